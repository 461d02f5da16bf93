"""`provided` runtimes: bootstraps that speak the Runtime API themselves, well or badly."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from eventcore.functions.function_spec import FunctionConfig
from tests.acceptance.function_pool import ARN, FunctionPool, until

SHELL = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime"
head="$TMPDIR/head"
while true; do
  event=$(curl -sS -D "$head" "$api/invocation/next") || exit 1
  id=$(grep -i '^lambda-runtime-aws-request-id:' "$head" | tr -d '\\r' | cut -d ' ' -f 2)
  echo "an event"
  curl -sS -o /dev/null -d "{\\"echo\\": $event, \\"handler\\": \\"$_HANDLER\\"}" \\
    "$api/invocation/$id/response"
done
"""
# A runtime client without any library. `serve` is what each test puts after it.
PYTHON = f"""#!{sys.executable}
import json, os, socket, sys, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
API = "/2018-06-01/runtime/"
def connect():
    return socket.create_connection((host, int(port)))
def exchange(connection, request):
    connection.sendall(request)
    data = b""
    while b"\\r\\n\\r\\n" not in data:
        part = connection.recv(65536)
        if not part:
            return None
        data += part
    head, _, body = data.partition(b"\\r\\n\\r\\n")
    lines = head.decode().split("\\r\\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return int(lines[0].split()[1]), headers, body
def get(connection, path):
    return exchange(connection, f"GET {{API}}{{path}} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
def post(connection, path, body, lines=""):
    head = f"POST {{API}}{{path}} HTTP/1.1\\r\\nHost: x\\r\\n{{lines}}"
    head += f"Content-Length: {{len(body)}}\\r\\n\\r\\n"
    return exchange(connection, head.encode() + body)
def next_id(connection):
    return get(connection, "invocation/next")[1]["lambda-runtime-aws-request-id"]
"""


@pytest.fixture
async def functions() -> AsyncIterator[FunctionPool]:
    functions = FunctionPool()
    yield functions
    await functions.close()
    assert functions.pool.processes == 0


def provided(functions: FunctionPool, bootstrap: str, **options: Any) -> FunctionConfig:
    options = {"timeout_ms": 30_000, "handler": "app.main", **options}
    code = functions.code({"bootstrap": bootstrap})
    return FunctionConfig(runtime="provided.al2023", code=code, **options)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
async def test_a_bootstrap_in_shell(functions: FunctionPool) -> None:
    config = provided(functions, SHELL)
    for number in range(3):
        result = await functions.invoke(config, {"n": number})
        assert result.payload.value == {"echo": {"n": number}, "handler": "app.main"}
        assert b"\nan event\n" in result.log_tail
    assert functions.pool.processes == 1


async def test_awslambdaric_runs_unchanged(functions: FunctionPool) -> None:
    pytest.importorskip("awslambdaric")
    source = (
        "def main(event, context):\n    print('hello')\n    if event == 'fail':\n"
        "        raise ValueError('no')\n"
        "    return [event, context.aws_request_id, context.invoked_function_arn,\n"
        "            context.get_remaining_time_in_millis() > 0]\n"
    )
    start = f"#!/bin/sh\ncd $LAMBDA_TASK_ROOT\nexec {sys.executable} -m awslambdaric $_HANDLER\n"
    code = functions.code({"bootstrap": start, "app.py": source})
    config = msgspec.structs.replace(provided(functions, ""), code=code)
    number = "00000000-0000-4000-8000-000000000001"
    result = await functions.invoke(config, {"a": "ü"})
    assert result.payload.value == [{"a": "ü"}, number, f"{ARN}:live", True]
    assert b"\nhello\n" in result.log_tail
    result = await functions.invoke(config, "fail")
    told = result.payload.value
    assert (told["errorType"], told["errorMessage"]) == ("ValueError", "no")
    assert len(told["stackTrace"]) == 1
    assert b"[ERROR] ValueError: no\nTraceback (most recent call last):\n" in result.log_tail
    assert functions.pool.processes == 1
    broken = functions.code({"bootstrap": start, "app.py": "import nothing_like_it"})
    result = await functions.invoke(msgspec.structs.replace(config, code=broken))
    assert result.payload.value["errorType"] == "Runtime.ImportModuleError"


@pytest.mark.parametrize(
    ("files", "mode", "message"),
    [
        ({"other": ""}, 0o755, "Couldn't find valid bootstrap(s): ["),
        ({"bootstrap": "#!/bin/sh\n"}, 0o644, "fork/exec "),
        ({"bootstrap": "#!/no/such/interpreter\n"}, 0o755, "Couldn't find valid bootstrap(s): ["),
        ({"bootstrap": "\0\1\2\3"}, 0o755, "fork/exec "),
    ],
)
async def test_a_bootstrap_that_cannot_be_run(
    functions: FunctionPool, files: dict[str, str], mode: int, message: str
) -> None:
    config = msgspec.structs.replace(provided(functions, ""), code=functions.code(files, mode))
    told = (await functions.invoke(config)).payload.value
    assert told["errorType"] == "Runtime.InvalidEntrypoint"
    assert f" Error: {message}" in told["errorMessage"]


async def test_wrong_calls_are_refused_and_change_nothing(functions: FunctionPool) -> None:
    serve = """
import threading
c = connect()
said = [post(c, "invocation/x/response", b"0")[0]]
while True:
    i = next_id(c)
    said.append(post(c, "invocation/other/response", b"1")[0])
    said.append(post(c, f"invocation/{i}/nonsense", b"1")[0])
    said.append(get(c, "restore/next")[0])
    d = connect()
    said.append(get(d, "invocation/next")[0])
    said.append(post(d, "init/error", b"{}")[0])
    d.sendall(b"this is no HTTP\\r\\n\\r\\n")
    said.append(d.recv(1000).split()[1].decode())
    said.append(d.recv(1000).decode())
    said.append(post(c, f"invocation/{i}/response", json.dumps(said).encode())[0])
    said = [said[-1], post(c, f"invocation/{i}/response", b"2")[0]]
    said.append(post(c, f"invocation/{i}/error", b"{}")[0])
"""
    config = provided(functions, PYTHON + serve)
    calls = [400, 404, 404, 403, 403, "400", ""]
    assert (await functions.invoke(config)).payload.value == [403, *calls]
    assert (await functions.invoke(config)).payload.value == [202, 403, 403, *calls]
    assert functions.pool.processes == 1


async def test_errors_as_custom_runtimes_tell_them(functions: FunctionPool) -> None:
    serve = """
bodies = [b'{"errorType": "A", "errorMessage": "a", "more": 1}', b"only text", b"[1]", b""]
c = connect()
for body in bodies:
    i = next_id(c)
    post(c, f"invocation/{i}/error", body, "Lambda-Runtime-Function-Error-Type: My.Type\\r\\n")
i = next_id(c)
post(c, f"invocation/{i}/response", b"no JSON")
next_id(c)
"""
    config = provided(functions, PYTHON + serve)
    results = [await functions.invoke(config) for _ in range(5)]
    assert [result.error for result in results] == ["Unhandled"] * 4 + [None]
    assert [result.payload.value for result in results[:4]] == [
        {"errorType": "A", "errorMessage": "a", "more": 1},
        {"errorType": "My.Type", "errorMessage": "only text"},
        {"errorType": "My.Type", "errorMessage": "[1]"},
        {"errorType": "My.Type", "errorMessage": ""},
    ]
    assert results[4].payload.raw == b"no JSON"


async def test_a_giant_answer_in_chunks_is_bounded(functions: FunctionPool) -> None:
    serve = """
c = connect()
i = next_id(c)
c.sendall(f"POST {API}invocation/{i}/response HTTP/1.1\\r\\nHost: x\\r\\n".encode())
c.sendall(b"Transfer-Encoding: chunked\\r\\n\\r\\n")
chunk = b"100000\\r\\n" + b"x" * 0x100000 + b"\\r\\n"
try:
    while True:
        c.sendall(chunk)
except OSError:
    sys.exit(6)
"""
    config = provided(functions, PYTHON + serve)
    result = await functions.invoke(config)
    assert result.payload.value["errorMessage"].endswith("exit status 6")
    finite = serve.replace("while True:", "for _ in range(8):").replace(
        "except OSError:\n    sys.exit(6)",
        'except OSError:\n    sys.exit(6)\nprint(exchange(c, b"0\\r\\n\\r\\n")[0], flush=True)\n'
        "c = connect()\ni = next_id(c)\npost(c, f'invocation/{i}/response', b'1')\nnext_id(c)",
    )
    config = provided(functions, PYTHON + finite)
    result = await functions.invoke(config)
    assert result.payload.value["errorType"] == "Function.ResponseSizeTooLarge"
    assert (await functions.invoke(config)).payload.value == 1
    assert "413" in functions.texts()


async def test_an_answer_by_a_process_that_ends_at_once_is_heard(functions: FunctionPool) -> None:
    serve = """
c = connect()
i = next_id(c)
body = b'"' + b"x" * 1_000_000 + b'"'
head = f"POST {API}invocation/{i}/response HTTP/1.1\\r\\nHost: x\\r\\n"
c.sendall(f"{head}Content-Length: {len(body)}\\r\\n\\r\\n".encode() + body)
print("written", flush=True)
os._exit(3)
"""
    config = provided(functions, PYTHON + serve)
    for _ in range(3):
        result = await functions.invoke(config)
        assert (result.error, len(result.payload.raw)) == (None, 1_000_002)


async def test_one_that_answers_and_never_asks_again_is_ended(functions: FunctionPool) -> None:
    serve = """
c = connect()
i = next_id(c)
post(c, f"invocation/{i}/response", b"1")
time.sleep(1000)
"""
    config = provided(functions, PYTHON + serve, timeout_ms=1_000)
    assert (await functions.invoke(config)).payload.value == 1
    # It is waited for, but not for long.
    assert (await functions.invoke(config, is_settled=False)).payload.value == 1
    await until(lambda: functions.pool.processes == 0)


async def test_many_connections_are_bounded(functions: FunctionPool) -> None:
    serve = """
many = [connect() for _ in range(200)]
time.sleep(0.1)
for one in many:
    one.close()
while True:
    try:
        c = connect()
        i = next_id(c)
    except (OSError, TypeError):
        continue
    post(c, f"invocation/{i}/response", b"1")
"""
    config = provided(functions, PYTHON + serve)
    assert (await functions.invoke(config)).payload.value == 1
