"""Functions that are callables of the embedding program, and the context that they are given.

Rules of this file:

- A coroutine function runs on the loop, any other in a thread. A saturated event loop starves
  threads (docs/performance/functions.md), so plain functions are for programs that are
  mostly idle; others name worker processes.
- Whatever a callable raises is the result of its invocation, and is logged with its traceback:
  what a mapping or a rule invokes has no caller who is told. Cancellation from outside ends it; its
  own time-out is a result, too. A thread can not be stopped: it is left behind, its result dropped.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final, final

import anyio.to_thread
import msgspec

from eventcore.clock import Clock
from eventcore.codec import encode_json
from eventcore.functions.invocation import (
    UNHANDLED,
    Invocation,
    InvocationResult,
    Payload,
    timed_out,
)
from eventcore.runtime.telemetry import logger_of

__all__ = ["FunctionContext", "LocalFunction", "failure_of", "plain_answer"]

TRACE_LINES_MAX: Final = 50

log = logger_of("eventcore.functions")

Callee = Callable[[Any, "FunctionContext"], Any]


@final
class FunctionContext:
    """What a handler may know of its invocation, named as in AWS's Python runtime."""

    __slots__ = ("_clock", "_invocation", "identity")

    def __init__(self, invocation: Invocation, clock: Clock) -> None:
        self._invocation = invocation
        self._clock = clock
        self.identity: Any = None

    @property
    def aws_request_id(self) -> str:
        """The id of the invocation, a UUID; the same over all attempts of an asynchronous one."""
        return self._invocation.request_id

    @property
    def function_name(self) -> str:
        """The function's name."""
        return self._invocation.function_name

    @property
    def function_version(self) -> str:
        """The version that runs: a number, or "$LATEST"."""
        return self._invocation.version

    @property
    def invoked_function_arn(self) -> str:
        """The ARN that the caller named, with its alias or version."""
        return self._invocation.invoked_arn

    @property
    def memory_limit_in_mb(self) -> str:
        """The configured memory."""
        return str(self._invocation.config.memory_mb)

    @property
    def log_group_name(self) -> str:
        """What the log group would be called on AWS."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """What the log stream would be called on AWS, as far as there is one here."""
        return f"[{self.function_version}]"

    @property
    def client_context(self) -> Any:
        """What the caller sent along as client context, decoded; None for nothing."""
        text = self._invocation.client_context
        return msgspec.json.decode(text) if text else None

    @property
    def trace_header(self) -> str:
        """AWS's X-Amzn-Trace-Id, empty for none. Send it on to have loops recognised."""
        return self._invocation.trace_header

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is stopped."""
        return max(0, self._invocation.deadline_ms - self._clock.now_ms())


@final
class LocalFunction:
    """One callable. An `Invoker`.

    `call(event, context)` gets the event as plain values (dict, list, str, ...), which it must not
    keep and change, and returns anything that JSON can say, or an awaitable of it.
    """

    def __init__(self, call: Callee, clock: Clock, *, is_async: bool | None = None) -> None:
        """`is_async` tells what can not be seen from outside; None looks at `call`."""
        self._call = call
        self._clock = clock
        self._is_async = inspect.iscoroutinefunction(call) if is_async is None else is_async

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """See environments.invoker.Invoker."""
        context = FunctionContext(invocation, self._clock)
        timeout = asyncio.timeout(invocation.config.timeout_ms / 1000)
        try:
            async with timeout:
                value = await self._run(invocation.payload.value, context)
            return InvocationResult(_payload_of(value), None, invocation.version)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something that it waited for was cancelled.
            return _logged_failure(error, invocation)
        except TimeoutError as error:
            if timeout.expired():
                log.warning("handler_timed_out", **_facts(invocation))
                return timed_out(invocation)
            return _logged_failure(error, invocation)
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise  # the program ends, or this coroutine does
        except BaseException as error:  # noqa: BLE001  (what a handler raises is its result)
            return _logged_failure(error, invocation)

    async def _run(self, event: Any, context: FunctionContext) -> Any:
        if self._is_async:
            return await self._call(event, context)
        value = await anyio.to_thread.run_sync(
            functools.partial(self._call, event, context), abandon_on_cancel=True
        )
        return await _awaited(value) if inspect.isawaitable(value) else value

    async def close(self) -> None:
        """Holds nothing."""


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def _payload_of(value: Any) -> Payload:
    """The payload of what a handler returned. Raises TypeError for what JSON can not say.

    Plain containers are not encoded before somebody asks for their bytes: most answers are None, or
    are read once, by a mapping.
    """
    if value is None or value.__class__ in (str, int, bool, float):
        return Payload.of(value)
    value = plain_answer(value)
    if value.__class__ is dict and all(key.__class__ is str for key in value):
        failures = value.get("batchItemFailures")
        if len(value) == 1 and failures.__class__ is list:
            return Payload.of(value)
    return Payload(encode_json(value))


def plain_answer(value: Any) -> Any:
    """What a handler returned, Pydantic models as plain values; msgspec knows the rest itself."""
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump is not None and not isinstance(value, type) else value


def _facts(invocation: Invocation) -> dict[str, str]:
    return {"function": invocation.function_name, "request": invocation.request_id}


def _logged_failure(error: BaseException, invocation: Invocation) -> InvocationResult:
    log.error("handler_failed", **_facts(invocation), exc_info=error)
    return failure_of(error, invocation)


def failure_of(error: BaseException, invocation: Invocation) -> InvocationResult:
    """The result of a handler that raised, in the shape of AWS's Python runtime."""
    stack = traceback.extract_tb(error.__traceback__)[-TRACE_LINES_MAX:]
    lines = [
        f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}\n    {frame.line}\n'
        for frame in stack
        if not frame.filename.startswith(__file__)
    ]
    payload = Payload.of(
        {
            "errorMessage": _text_of(error),
            "errorType": type(error).__name__,
            "requestId": invocation.request_id,
            "stackTrace": lines,
        }
    )
    return InvocationResult(payload, UNHANDLED, invocation.version)


def _text_of(error: BaseException) -> str:
    """An error's text, such as JSON can say. An error that can not tell its text is one, too."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001
        return ""
    return text.encode(errors="replace").decode()
