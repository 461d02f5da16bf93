"""Callables of the embedding program as functions: results, errors, time, cancellation."""

from __future__ import annotations

import asyncio
import logging
import threading

import pytest

from eventcore.clock import SystemClock
from eventcore.codec import decode_json
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.functions.invocation import UNHANDLED, Invocation, Payload
from eventcore.runtime.local_functions import LocalFunction

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


def invocation(value=None, *, timeout_ms=60_000, client_context="", trace_header=""):
    return Invocation(
        request_id="6f1c2a3b-0000-4000-8000-000000000001",
        function_arn=ARN,
        invoked_arn=f"{ARN}:live",
        version="3",
        config=FunctionConfig(kind=KIND_LOCAL, timeout_ms=timeout_ms, memory_mb=256),
        payload=Payload.of(value),
        deadline_ms=SystemClock().now_ms() + timeout_ms,
        client_context=client_context,
        trace_header=trace_header,
    )


async def run(call, value=None, **options):
    return await LocalFunction(call, SystemClock()).invoke(invocation(value, **options))


async def test_a_coroutine_function_answers():
    async def call(event, context):
        return {"twice": event * 2}

    result = await run(call, 21)
    assert (result.payload.value, result.error, result.executed_version) == (
        {"twice": 42},
        None,
        "3",
    )


async def test_a_plain_function_runs_in_a_thread():
    def call(event, context):
        return threading.current_thread() is threading.main_thread()

    assert (await run(call)).payload.value is False


async def test_a_plain_function_may_return_something_to_await():
    async def later():
        return 5

    assert (await run(lambda event, context: later())).payload.value == 5


async def test_the_context_is_as_on_aws():
    seen: dict[str, object] = {}

    async def call(event, context):
        seen.update(
            name=context.function_name,
            version=context.function_version,
            arn=context.invoked_function_arn,
            memory=context.memory_limit_in_mb,
            request=context.aws_request_id,
            group=context.log_group_name,
            client=context.client_context,
            trace=context.trace_header,
            identity=context.identity,
        )
        assert 0 < context.get_remaining_time_in_millis() <= 60_000

    await run(call, client_context='{"a":1}', trace_header="Root=1")
    assert seen == {
        "name": "f",
        "version": "3",
        "arn": f"{ARN}:live",
        "memory": "256",
        "request": "6f1c2a3b-0000-4000-8000-000000000001",
        "group": "/aws/lambda/f",
        "client": {"a": 1},
        "trace": "Root=1",
        "identity": None,
    }


async def test_what_it_raises_is_the_result():
    async def call(event, context):
        raise KeyError("gone")

    result = await run(call)
    assert result.error == UNHANDLED
    assert result.payload.value["errorType"] == "KeyError"
    assert result.payload.value["errorMessage"] == "'gone'"
    assert "in call" in result.payload.value["stackTrace"][-1]


@pytest.mark.parametrize("answer", [{1, 2}, {"a": object()}, {1: object()}])
async def test_an_answer_that_is_no_json_is_the_functions_error(answer):
    async def call(event, context):
        return answer

    result = await run(call)
    if result.error is None:  # a set is an array to msgspec
        assert sorted(result.payload.value) == [1, 2]
    else:
        assert result.payload.value["errorType"] == "TypeError"


async def test_its_time_ends():
    async def call(event, context):
        await asyncio.sleep(30)

    result = await run(call, timeout_ms=20)
    assert result.is_timeout
    assert result.payload.value["errorType"] == "Sandbox.Timedout"
    assert result.payload.value["errorMessage"].endswith("Task timed out after 0.02 seconds")


async def test_a_time_out_of_its_own_is_an_error_as_any_other():
    async def call(event, context):
        raise TimeoutError("theirs")

    result = await run(call)
    assert (result.is_timeout, result.payload.value["errorMessage"]) == (False, "theirs")


async def test_a_cancellation_of_its_own_is_an_error_as_any_other():
    async def call(event, context):
        raise asyncio.CancelledError

    assert (await run(call)).payload.value["errorType"] == "CancelledError"


async def test_a_cancelled_caller_ends_it():
    is_ended = asyncio.Event()

    async def call(event, context):
        try:
            await asyncio.sleep(30)
        finally:
            is_ended.set()

    task = asyncio.ensure_future(run(call))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert is_ended.is_set()


async def test_failures_are_logged_with_their_traceback(caplog):
    class Silent(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    def call(event, context):
        raise {"value": ValueError("no such order"), "silent": Silent()}[event]

    async def sleep(event, context):
        await asyncio.sleep(60)

    with caplog.at_level(logging.WARNING, "eventcore.functions"):
        await run(call, "value")
        await run(call, "silent")
        await run(sleep, timeout_ms=1)
    failed, silent, late = (record.getMessage() for record in caplog.records)
    assert "handler_failed" in failed
    assert "function='f'" in failed
    assert "ValueError: no such order" in caplog.text
    assert "handler_failed" in silent
    assert "handler_timed_out" in late


class Mute(Exception):
    def __str__(self):
        raise ValueError("no text")


class Beyond(BaseException): ...


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Mute(), ("Mute", "")),
        (Beyond("x"), ("Beyond", "x")),
    ],
)
async def test_whatever_it_raises_is_a_result_that_can_be_told(error, told):
    async def call(event, context):
        raise error

    result = await run(call)
    value = decode_json(result.payload.raw)
    assert (result.error, (value["errorType"], value["errorMessage"])) == (UNHANDLED, told)


async def test_the_end_of_the_program_is_no_result():
    def call(event, context):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        await run(call)


async def test_a_text_that_is_no_unicode_is_told_as_far_as_it_is(caplog):
    async def call(event, context):
        raise ValueError("lone \ud800")

    caplog.set_level(
        logging.CRITICAL
    )  # the log has it as it is, and who runs tests can not send it
    result = await run(call)
    assert result.payload.value["errorMessage"] == "lone ?"
