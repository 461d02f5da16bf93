"""Python functions in real processes: what a handler sees, and what becomes of its errors."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.acceptance.function_pool import ARN, FunctionPool

CONTEXT_NAMES = (
    "function_name",
    "function_version",
    "invoked_function_arn",
    "memory_limit_in_mb",
    "aws_request_id",
    "log_group_name",
    "log_stream_name",
)
CONTEXT = f"""
import os, sys
def main(event, context):
    told = {{name: getattr(context, name) for name in {CONTEXT_NAMES!r}}}
    told["event"] = event
    told["left"] = context.get_remaining_time_in_millis()
    told["identity"] = vars(context.identity)
    if context.client_context is not None:
        told["custom"] = context.client_context.custom
        told["title"] = context.client_context.client.app_title
    told["trace"] = os.environ.get("_X_AMZN_TRACE_ID")
    told["variables"] = dict(os.environ)
    told["path"] = sys.path[0]
    return told
"""


@pytest.fixture
async def functions() -> AsyncIterator[FunctionPool]:
    functions = FunctionPool()
    yield functions
    await functions.close()
    assert functions.pool.processes == 0


async def test_a_handler_sees_the_context_of_aws(functions: FunctionPool) -> None:
    config = functions.python(CONTEXT, environment={"STAGE": "test", "TZ": "Europe/Rome"})
    context = {"custom": {"a": "ä"}, "client": {"app_title": "x"}}
    result = await functions.invoke(
        config,
        {"n": [1, "ü"]},
        client_context=json.dumps(context, indent=1, ensure_ascii=False),
        trace_header="Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1",
    )
    told = result.payload.value
    assert (result.error, result.executed_version, result.is_timeout) == (None, "$LATEST", False)
    assert told["event"] == {"n": [1, "ü"]}
    assert told["function_name"] == "greeter"
    assert told["function_version"] == "$LATEST"
    assert told["invoked_function_arn"] == f"{ARN}:live"
    assert told["memory_limit_in_mb"] == "128"
    assert told["aws_request_id"] == "00000000-0000-4000-8000-000000000001"
    assert told["log_group_name"] == "/aws/lambda/greeter"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", told["log_stream_name"])
    assert 0 < told["left"] <= 30_000
    assert told["identity"] == {"cognito_identity_id": None, "cognito_identity_pool_id": None}
    assert (told["custom"], told["title"]) == ({"a": "ä"}, "x")
    assert told["trace"] == "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"


async def test_a_function_has_the_variables_of_aws_and_none_of_ours(
    functions: FunctionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENTCORE_TEST_SECRET", "x")
    config = functions.python(CONTEXT, environment={"STAGE": "test"}, memory_mb=256)
    told = (await functions.invoke(config, version="7")).payload.value
    variables = told["variables"]
    assert "EVENTCORE_TEST_SECRET" not in variables
    assert told["path"] == variables["LAMBDA_TASK_ROOT"]
    assert told["trace"] is None
    expected = {
        "STAGE": "test",
        "_HANDLER": "app.main",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "AWS_LAMBDA_FUNCTION_NAME": "greeter",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "7",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
        "AWS_ACCESS_KEY_ID": "111122223333",
        "TZ": ":UTC",
    }
    assert {name: variables.get(name) for name in expected} == expected


async def test_the_trace_of_one_invocation_is_not_the_nexts(functions: FunctionPool) -> None:
    config = functions.python(CONTEXT)
    first = await functions.invoke(config, trace_header="Root=1-a-b\r\nX: y")
    second = await functions.invoke(config)
    assert first.payload.value["trace"] == "Root=1-a-b X: y"
    assert second.payload.value["trace"] is None


async def test_an_environment_is_initialised_once_and_used_again(functions: FunctionPool) -> None:
    config = functions.python(
        "import os\nprint('initialised')\ncount = 0\n"
        "def main(event, context):\n    global count\n    count += 1\n    return os.getpid(), count"
    )
    answers = [(await functions.invoke(config)).payload.value for _ in range(5)]
    assert [count for _, count in answers] == [1, 2, 3, 4, 5]
    assert len({pid for pid, _ in answers}) == 1
    assert functions.texts().count("initialised") == 1
    assert functions.reads == 1


async def test_a_raised_error_has_the_shape_of_aws(functions: FunctionPool) -> None:
    config = functions.python(
        "def main(event, context):\n    raise ValueError('no such\\nthing')\n"
    )
    result = await functions.invoke(config)
    root = next(e.task_root for e in functions.pool._living)
    assert result.error == "Unhandled"
    assert result.payload.value == {
        "errorMessage": "no such\nthing",
        "errorType": "ValueError",
        "requestId": "00000000-0000-4000-8000-000000000001",
        "stackTrace": [
            f"  File \"{root}/app.py\", line 2, in main\n    raise ValueError('no such\\nthing')\n"
        ],
    }
    shown = result.log_tail.decode().splitlines()
    assert shown[1] == "[ERROR] ValueError: no such"
    assert shown[3] == "Traceback (most recent call last):"
    assert (await functions.invoke(config)).error == "Unhandled"
    assert functions.pool.processes == 1  # it is used again


BAD_CODE: list[tuple[str, dict[str, str], str, str]] = [
    ("app.main", {"other.py": ""}, "Runtime.ImportModuleError", "Unable to import module 'app': "),
    ("app.main", {"app.py": "import nothing_like_it"}, "Runtime.ImportModuleError", "Unable to "),
    ("app.main", {"app.py": "x = 1"}, "Runtime.HandlerNotFound", "Handler 'main' missing on "),
    ("app.main", {"app.py": "def main(:"}, "Runtime.UserCodeSyntaxError", "Syntax error in "),
    ("main", {"app.py": ""}, "Runtime.MalformedHandlerName", "Bad handler 'main': "),
    ("sys.exit", {"app.py": ""}, "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys"),
    ("app.main", {"app.py": "1 / 0"}, "ZeroDivisionError", "division by zero"),
    ("app.main", {"app.py": "import sys; sys.exit(3)"}, "Runtime.ExitError", "RequestId: "),
]


@pytest.mark.parametrize(("handler", "files", "error_type", "message"), BAD_CODE)
async def test_a_failed_initialisation_is_the_invocations_result(
    functions: FunctionPool, handler: str, files: dict[str, str], error_type: str, message: str
) -> None:
    config = functions.python("")
    config = msgspec.structs.replace(config, handler=handler, code=functions.code(files))
    result = await functions.invoke(config)
    told = result.payload.value
    assert (result.error, told["errorType"]) == ("Unhandled", error_type)
    assert told["errorMessage"].startswith(message)
    lines = functions.texts()
    assert any(line.startswith("INIT_REPORT Init Duration: ") for line in lines)
    assert lines[-1].startswith("REPORT RequestId: ")
    assert f"Error Type: {error_type}" in lines[-1]


async def test_answers_that_are_no_json_are_errors(functions: FunctionPool) -> None:
    config = functions.python(
        "from decimal import Decimal\n"
        "def main(event, context):\n"
        "    loop = []\n    loop.append(loop)\n"
        "    return {'set': {1}, 'loop': loop, 'number': Decimal('3'), 'part': Decimal('0.5'),\n"
        "            'bytes': b'\"raw\"', 'text': 'ü', 'none': None}[event]"
    )
    result = await functions.invoke(config, "set")
    assert result.payload.value == {
        "errorMessage": "Unable to marshal response: Object of type set is not JSON serializable",
        "errorType": "Runtime.MarshalError",
        "requestId": "00000000-0000-4000-8000-000000000001",
        "stackTrace": [],
    }
    assert (await functions.invoke(config, "loop")).payload.value["errorType"] == (
        "Runtime.MarshalError"
    )
    raw = [(await functions.invoke(config, x)).payload.raw for x in ("number", "part", "bytes")]
    assert raw == [b"3", b"0.5", b'"raw"']
    assert (await functions.invoke(config, "text")).payload.value == "ü"
    assert (await functions.invoke(config, "none")).payload.value is None


async def test_an_answer_beyond_six_megabytes_is_refused(functions: FunctionPool) -> None:
    config = functions.python("def main(event, context):\n    return 'x' * event", memory_mb=512)
    result = await functions.invoke(config, 6_291_555)
    assert result.payload.value == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        "(6291556 bytes).",
    }
    assert result.error == "Unhandled"
    at_the_limit = await functions.invoke(config, 6_291_554)
    assert (at_the_limit.error, len(at_the_limit.payload.raw)) == (None, 6_291_556)
    assert functions.pool.processes == 1


async def test_a_large_event_arrives_whole(functions: FunctionPool) -> None:
    config = functions.python("def main(event, context):\n    return len(event)", memory_mb=512)
    assert (await functions.invoke(config, "x" * 6_000_000)).payload.value == 6_000_000


async def test_lines_of_the_log_are_as_on_aws(functions: FunctionPool) -> None:
    config = functions.python(
        "import logging, sys\nprint('starts')\n"
        "def main(event, context):\n"
        "    print('out')\n    print('err', file=sys.stderr)\n"
        "    logging.getLogger('x').warning('two\\nlines')\n"
        "    sys.stdout.write('no end')\n"
    )
    result = await functions.invoke(config)
    number = "00000000-0000-4000-8000-000000000001"
    lines = functions.texts()
    assert lines[:4] == ["starts", f"START RequestId: {number} Version: $LATEST", "out", "err"]
    warning = re.escape(f"\t{number}\ttwo\nlines")
    assert re.fullmatch(r"\[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z" + warning, lines[4])
    assert lines[5:7] == ["no end", f"END RequestId: {number}"]
    assert re.fullmatch(
        rf"REPORT RequestId: {number}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 128 MB\tMax Memory Used: [1-9]\d* MB\tInit Duration: \d+\.\d\d ms\t",
        lines[7],
    )
    assert result.log_tail.decode() == "".join(f"{line}\n" for line in lines)
    assert [x.request_id for x in functions.lines] == [""] + [number] * 7
    second = await functions.invoke(config)
    assert "Init Duration" not in second.log_tail.decode()
    assert second.log_tail.decode().startswith("START RequestId: ")


async def test_no_log_tail_unless_it_is_asked_for(functions: FunctionPool) -> None:
    config = functions.python("def main(event, context):\n    print('x' * 5000)\n    print('end')")
    assert (await functions.invoke(config, wants_log_tail=False)).log_tail == b""
    tail = (await functions.invoke(config)).log_tail
    assert len(tail) == 4096
    assert b"xx\nend\nEND RequestId: " in tail


async def test_a_flood_of_lines_is_bounded(functions: FunctionPool) -> None:
    config = functions.python(
        "import sys\ndef main(event, context):\n"
        "    for _ in range(80):\n        sys.stdout.write('y' * 1000 + '\\n' + 'z' * 100_000)\n"
        "    print('last')\n"
    )
    result = await functions.invoke(config)
    assert result.error is None
    kept = functions.texts()
    assert sum(map(len, kept)) < 1_300_000
    assert re.fullmatch(r"\d+ more lines of this invocation were not kept\.", kept[-3])
    assert b"last\n" in result.log_tail
    assert (await functions.invoke(config)).error is None


@pytest.mark.parametrize("minor", [9, 13])
async def test_the_interpreter_that_the_runtime_names_is_used(
    functions: FunctionPool, minor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = other_python(minor)
    if found is None:
        pytest.skip(f"there is no Python 3.{minor} beside this one")
    monkeypatch.setenv("PATH", str(found.parent), prepend=":")
    source = (
        "import sys\ndef main(event, context):\n"
        "    if event: raise KeyError('k')\n    return sys.version_info[:2]"
    )
    config = functions.python(source, runtime=f"python3.{minor}")
    assert (await functions.invoke(config)).payload.value == [3, minor]
    assert (await functions.invoke(config, 1)).payload.value["errorType"] == "KeyError"


def other_python(minor: int) -> Path | None:
    """An interpreter of that version, beside the one that runs the tests or on the PATH."""
    import shutil
    import subprocess

    base = Path(sys.base_prefix).parent
    beside = sorted(base.glob(f"3.{minor}.*/bin/python3.{minor}"))
    on_path = shutil.which(f"python3.{minor}")
    for path in [*beside, *([Path(on_path)] if on_path else [])]:
        if subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            return path
    return None


async def test_without_that_interpreter_ours_is_used_and_told_once(
    functions: FunctionPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    config = functions.python(
        "import sys\ndef main(event, context):\n    return sys.version_info[:2]",
        runtime="python3.99",
    )
    own: list[Any] = list(sys.version_info[:2])
    assert (await functions.invoke(config)).payload.value == own
    changed = msgspec.structs.replace(config, memory_mb=129)
    assert (await functions.invoke(changed)).payload.value == own
    assert len([r for r in caplog.records if "python3.99 is not on the PATH" in r.message]) == 1
