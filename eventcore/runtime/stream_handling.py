"""Calls a stream's handler: with a record or a batch, again after a fault, until it is done.

Rules of this file:

- A handler that returns is done with what it was given. One that raises is called again, with the
  same: after the delay of `Retry`, else after a pause that doubles from `BACKOFF_MS_FIRST` to
  `BACKOFF_MS_MAX`. What comes behind in its partition key, or in its batch, waits meanwhile.
- After `attempts_max` calls, or at once after `Reject`, what it was given goes to `on_failure`, and
  the handler goes on behind it. An `on_failure` that raises is called again, too: nothing is
  dropped because the place for it is out of order.
- Nothing is begun when the shard is not ours any more, or is being given up.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, Literal, Protocol, final, overload

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import msgspec

from eventcore.consumers.records import check_number
from eventcore.errors import InvalidParameter
from eventcore.runtime.consumer import Handler, Reject, Retry
from eventcore.runtime.stream_source import StreamRecord
from eventcore.runtime.telemetry import logger_of

__all__ = ["CheckpointMode", "Course", "HandlingOptions", "OnFailure", "RecordBatch", "handle"]

log = logger_of("eventcore.stream_worker")

BACKOFF_MS_FIRST: Final = 100
BACKOFF_MS_MAX: Final = 30_000
BATCH_RECORDS_MAX: Final = 10_000
CONCURRENCY_MAX: Final = 10_000
ATTEMPTS_MAX: Final = 1_000_000

CheckpointMode = Literal["batch", "record", "handler"]

OnFailure = Callable[[Any, Exception], Awaitable[None] | None]
"""Takes a record, or a `RecordBatch`, that the handler did not do, and the last error."""


@final
class RecordBatch(Sequence[StreamRecord]):
    """Records of one shard, in order, for a handler of batches.

    `attempt` counts the calls with this batch from 1. `behind_ms` is how far its end is from the
    shard's, None where nobody knows. `is_shard_end`: the shard has no records after these.
    """

    __slots__ = ("_checkpoint", "_records", "attempt", "behind_ms", "is_shard_end", "shard_id")

    def __init__(
        self,
        shard_id: str,
        records: Sequence[StreamRecord],
        checkpoint: Callable[[StreamRecord | None], Coroutine[Any, Any, None]],
        *,
        attempt: int = 1,
        behind_ms: int | None = None,
        is_shard_end: bool = False,
    ) -> None:
        self.shard_id = shard_id
        self.attempt = attempt
        self.behind_ms = behind_ms
        self.is_shard_end = is_shard_end
        self._records = records
        self._checkpoint = checkpoint

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[StreamRecord]:
        return iter(self._records)

    @overload
    def __getitem__(self, index: int) -> StreamRecord: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[StreamRecord]: ...
    def __getitem__(self, index: int | slice) -> StreamRecord | Sequence[StreamRecord]:
        return self._records[index]

    def __repr__(self) -> str:
        return f"<RecordBatch of {len(self)} of {self.shard_id}>"

    async def checkpoint(self, record: StreamRecord | None = None) -> None:
        """Notes that everything up to this record is done; without one, the whole batch. Returns
        when that is durable.

        A call that fails later gets only what is behind the record. Raises LeaseLost when the shard
        is another worker's, InvalidParameter for a record that is not in the batch, StoreError and
        SourceUnavailable when its fate is unknown.
        """
        await self._checkpoint(record)

    def checkpoint_from_thread(self, record: StreamRecord | None = None) -> None:
        """`checkpoint` for handlers that are no coroutine functions, which run in threads."""
        anyio.from_thread.run(self._checkpoint, record)


class HandlingOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How records are handled; see `StreamWorker` for each."""

    handler: Handler
    checkpoint: CheckpointMode = "batch"
    batches: bool = False
    batch_max: int = 1_000
    concurrency: int = 1
    deaggregate: bool = False
    skip_misplaced: bool = False
    attempts_max: int | None = None
    on_failure: OnFailure | None = None

    def validate(self) -> None:
        """Raises InvalidParameter."""
        if self.checkpoint not in ("batch", "record", "handler"):
            raise InvalidParameter(
                "checkpoint", 'Must be "batch", "record" or "handler".', self.checkpoint
            )
        if self.checkpoint == "handler" and not self.batches:
            raise InvalidParameter(
                "checkpoint", 'A handler needs batches=True for "handler".', self.checkpoint
            )
        if self.checkpoint == "record" and self.batches:
            raise InvalidParameter(
                "checkpoint", 'Batches are done as a whole: use "batch" or "handler".', True
            )
        check_number("batch_max", self.batch_max, 1, BATCH_RECORDS_MAX)
        check_number("concurrency", self.concurrency, 1, CONCURRENCY_MAX)
        if self.batches and self.concurrency > 1:
            raise InvalidParameter(
                "concurrency", "Batches of a shard are handled one by one.", self.concurrency
            )
        if self.attempts_max is not None:
            check_number("attempts_max", self.attempts_max, 1, ATTEMPTS_MAX)
            if self.on_failure is None:
                raise InvalidParameter(
                    "attempts_max",
                    "Needs on_failure, or a dead_letter queue where there is one: nothing is "
                    "dropped unseen.",
                    self.attempts_max,
                )
        if self.skip_misplaced and not self.deaggregate:
            raise InvalidParameter("skip_misplaced", "Is for deaggregate=True.", True)


class Course(Protocol):
    """Whether a shard's handling goes on."""

    @property
    def shard_id(self) -> str:
        """The shard."""
        ...

    @property
    def abandoned(self) -> anyio.Event:
        """Set when draining is over, and nothing is waited for any more."""
        ...

    def may_go_on(self) -> bool:
        """Whether something new may be begun."""
        ...

    async def pause(self, duration_ms: int) -> None:
        """Waits; ends early when nothing new may be begun any more."""
        ...


async def handle(
    options: HandlingOptions, course: Course, make: Callable[[int], Any | None]
) -> bool:
    """Has it handled, or given up. False when it was neither, because it may not go on.

    `make` makes the handler's argument for an attempt, counted from 1; None when nothing is left.
    """
    attempt = 0
    while course.may_go_on():
        attempt += 1
        argument = make(attempt)
        if argument is None:
            return True
        pause_ms = _backoff_ms(attempt)
        try:
            await _call(course, options.handler, argument)
        except Retry as retry:
            error: Exception = retry
            pause_ms = retry.delay_ms
        except Reject as reject:
            return await _give_up(options, course, argument, reject)
        except Exception as failure:  # noqa: BLE001  (whatever it is, it is the handler's)
            error = failure
            _log_failure(course, argument, attempt, failure)
        else:
            return True
        if options.attempts_max is not None and attempt >= options.attempts_max:
            left = make(attempt)
            return left is None or await _give_up(options, course, left, error)
        await course.pause(pause_ms)
    return False


async def _give_up(
    options: HandlingOptions, course: Course, argument: Any, error: Exception
) -> bool:
    if options.on_failure is None:
        log.error(
            "record_rejected",
            shard=course.shard_id,
            record=_place(argument),
            error=repr(error),
        )
        return True
    attempt = 0
    while course.may_go_on():
        attempt += 1
        try:
            await _call(course, options.on_failure, argument, error)
        except Exception as failure:  # noqa: BLE001  (whatever it is, the record waits for it)
            _log_failure(course, argument, attempt, failure)
            await course.pause(_backoff_ms(attempt))
        else:
            return True
    return False


async def _call(course: Course, function: Callable[..., Any], *arguments: Any) -> None:
    try:
        await _run(course, function, *arguments)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Something that it waited for was cancelled: a fault as any other, and not our end.
        raise RuntimeError("cancelled, but not by the worker") from error


async def _run(course: Course, function: Callable[..., Any], *arguments: Any) -> None:
    if _is_coroutine_function(function):
        await function(*arguments)
        return
    result = await _run_in_thread(course, functools.partial(function, *arguments))
    if inspect.isawaitable(result):
        await result  # a plain function that made a coroutine: a lambda, a decorator


async def _run_in_thread(course: Course, function: Callable[[], Any]) -> Any:
    """A cancellation waits for the thread, lest a shard that comes back is handled twice here; but
    it does not when draining is over: then the thread runs on alone.
    """
    results: list[Any] = []
    failures: list[Exception] = []
    with anyio.CancelScope(shield=True):
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when, course.abandoned, group.cancel_scope)
            try:
                results.append(await anyio.to_thread.run_sync(function, abandon_on_cancel=True))
            except Exception as error:  # noqa: BLE001  (raised below, outside of the group)
                failures.append(error)
            group.cancel_scope.cancel()
    if failures:
        raise failures[0]
    await anyio.lowlevel.checkpoint_if_cancelled()
    return results[0]


async def _cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _is_coroutine_function(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  (an object with an async __call__)
    )


def _backoff_ms(attempt: int) -> int:
    return min(BACKOFF_MS_FIRST << min(attempt - 1, 20), BACKOFF_MS_MAX)


def _log_failure(course: Course, argument: Any, attempt: int, failure: Exception) -> None:
    """The first with its traceback: the rest are the same."""
    facts = {"shard": course.shard_id, "record": _place(argument), "attempt": attempt}
    if attempt == 1:
        log.error("handler_failed", **facts, exc_info=failure)
    else:
        log.warning("handler_failed", **facts, error=repr(failure))


def _place(argument: StreamRecord | RecordBatch) -> str:
    """The sequence number of a record, or of a batch's first: what it can be found by."""
    if isinstance(argument, StreamRecord):
        return argument.sequence_number
    return argument[0].sequence_number if argument else ""
