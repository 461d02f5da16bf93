"""Node.js functions in real processes: modules of both kinds, promises and callbacks, errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from eventcore.functions.function_spec import FunctionConfig
from tests.acceptance.function_pool import ARN, FunctionPool

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js here")


@pytest.fixture
async def functions() -> AsyncIterator[FunctionPool]:
    functions = FunctionPool()
    yield functions
    await functions.close()


def node(functions: FunctionPool, files: Mapping[str, str], **options: Any) -> FunctionConfig:
    options = {"handler": "index.handler", "timeout_ms": 30_000, **options}
    code = functions.code(files)
    return FunctionConfig(runtime="nodejs20.x", memory_mb=256, code=code, **options)


CONTEXT = """
export const handler = async (event, context) => ({
  event, context, left: context.getRemainingTimeInMillis(), trace: process.env._X_AMZN_TRACE_ID,
});
"""


async def test_a_module_with_an_async_handler(functions: FunctionPool) -> None:
    config = node(functions, {"index.mjs": CONTEXT})
    result = await functions.invoke(
        config, {"n": "ü"}, client_context=json.dumps({"custom": {"a": 1}}), trace_header="Root=1"
    )
    told = result.payload.value
    assert result.error is None
    assert told["event"] == {"n": "ü"}
    assert 0 < told["left"] <= 30_000
    assert told["trace"] == "Root=1"
    context = told["context"]
    assert context.pop("logStreamName").split("[")[1].startswith("$LATEST]")
    assert context == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionName": "greeter",
        "functionVersion": "$LATEST",
        "memoryLimitInMB": "256",
        "logGroupName": "/aws/lambda/greeter",
        "clientContext": {"custom": {"a": 1}},
        "invokedFunctionArn": f"{ARN}:live",
        "awsRequestId": "00000000-0000-4000-8000-000000000001",
    }
    assert "trace" not in (await functions.invoke(config)).payload.value


@pytest.mark.parametrize(
    ("handler", "files"),
    [
        ("index.handler", {"index.js": "exports.handler = async () => 'here'"}),
        ("index.handler", {"index.cjs": "exports.handler = async () => 'here'"}),
        (
            "src/deep/app.a.b",
            {"src/deep/app.js": "exports.a = { b: () => Promise.resolve('here') }"},
        ),
        (
            "index.handler",
            {
                "package.json": '{"type": "module"}',
                "index.js": "import { x } from './x.js';\nexport const handler = async () => x;",
                "x.js": "export const x = 'here';",
            },
        ),
        ("index.handler", {"index.mjs": "export default { handler: async () => 'here' };"}),
    ],
)
async def test_handlers_are_found_as_on_aws(
    functions: FunctionPool, handler: str, files: dict[str, str]
) -> None:
    result = await functions.invoke(node(functions, files, handler=handler))
    assert (result.error, result.payload.value) == (None, "here")


CALLBACKS = """
exports.handler = (event, context, callback) => {
  if (event.now) context.callbackWaitsForEmptyEventLoop = false;
  if (event.succeed) return context.succeed('succeeded');
  if (event.fail) return context.fail(new TypeError('failed'));
  if (event.never) return;
  setTimeout(() => console.log('in the end'), event.now ? 60_000 : 20);
  callback(event.error ? new RangeError('refused') : null, process.pid);
};
"""


async def test_callbacks_are_answered_when_the_loop_is_empty(functions: FunctionPool) -> None:
    config = node(functions, {"index.js": CALLBACKS})
    pids = set()
    for _ in range(2):
        result = await functions.invoke(config, {})
        pids.add(result.payload.value)
        assert b"\tINFO\tin the end\n" in result.log_tail
    assert len(pids) == 1
    result = await functions.invoke(config, {"error": True})
    assert (result.error, result.payload.value["errorType"]) == ("Unhandled", "RangeError")
    assert (await functions.invoke(config, {"succeed": True})).payload.value == "succeeded"
    failed = (await functions.invoke(config, {"fail": True})).payload.value
    assert (failed["errorType"], failed["errorMessage"]) == ("TypeError", "failed")
    assert (await functions.invoke(config, {"never": True})).payload.value is None
    result = await functions.invoke(config, {"now": True})
    assert result.payload.value in pids
    assert b"in the end" not in result.log_tail


async def test_errors_have_the_shape_of_aws(functions: FunctionPool) -> None:
    source = """
exports.handler = async (event) => {
  if (event === 'throws') throw new TypeError('thrown');
  if (event === 'text') throw 'only a text';
  if (event === 'loop') { const a = {}; a.a = a; return a; }
  console.error('first\\nsecond');
};
"""
    config = node(functions, {"index.js": source})
    result = await functions.invoke(config, "throws")
    told = result.payload.value
    assert (told["errorType"], told["errorMessage"]) == ("TypeError", "thrown")
    assert told["trace"][0] == "TypeError: thrown"
    assert "index.js:3:" in told["trace"][1]
    assert not any("node_client" in line for line in told["trace"])
    assert b"\tERROR\tInvoke Error \t{" in result.log_tail
    told = (await functions.invoke(config, "text")).payload.value
    assert told == {"errorType": "string", "errorMessage": "only a text", "trace": []}
    told = (await functions.invoke(config, "loop")).payload.value
    assert told["errorType"] == "Runtime.MarshalError"
    result = await functions.invoke(config, "")
    assert (result.error, result.payload.value) == (None, None)
    assert functions.texts()[-3].endswith("\tERROR\tfirst\nsecond")
    assert functions.pool.processes == 1


async def test_what_nobody_catches_fails_the_invocation_and_ends_the_process(
    functions: FunctionPool,
) -> None:
    source = """
exports.handler = (event) => new Promise((resolve) => {
  if (event === 'rejects') Promise.reject(new Error('lost'));
  else if (event === 'throws') setTimeout(() => { throw new Error('late'); }, 1);
  else resolve(process.pid);
});
"""
    config = node(functions, {"index.js": source})
    first = (await functions.invoke(config, "")).payload.value
    told = (await functions.invoke(config, "rejects")).payload.value
    assert told["errorType"] == "Runtime.UnhandledPromiseRejection"
    assert told["errorMessage"] == "Error: lost"
    second = (await functions.invoke(config, "")).payload.value
    told = (await functions.invoke(config, "throws")).payload.value
    assert (told["errorType"], told["errorMessage"]) == ("Error", "late")
    third = (await functions.invoke(config, "")).payload.value
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    ("handler", "files", "error_type"),
    [
        ("index.handler", {"other.js": ""}, "Runtime.ImportModuleError"),
        ("index.handler", {"index.js": "require('no-such-module')"}, "Runtime.ImportModuleError"),
        ("index.handler", {"index.mjs": "import 'no-such-module'"}, "Runtime.ImportModuleError"),
        ("index.handler", {"index.js": "exports.other = 1"}, "Runtime.HandlerNotFound"),
        ("index.handler", {"index.js": "exports.handler = 1"}, "Runtime.HandlerNotFound"),
        ("index.handler", {"index.js": "function ("}, "Runtime.UserCodeSyntaxError"),
        ("index", {"index.js": ""}, "Runtime.MalformedHandlerName"),
        ("../index.handler", {"index.js": ""}, "Runtime.MalformedHandlerName"),
        ("index.handler", {"index.js": "throw new RangeError('at the start')"}, "RangeError"),
        ("index.handler", {"index.js": "process.exit(9)"}, "Runtime.ExitError"),
    ],
)
async def test_a_failed_initialisation_is_the_invocations_result(
    functions: FunctionPool, handler: str, files: dict[str, str], error_type: str
) -> None:
    result = await functions.invoke(node(functions, files, handler=handler))
    assert (result.error, result.payload.value["errorType"]) == ("Unhandled", error_type)
