"""The short form of a worker: a handler on a stream of this broker, with its leases in its store.

    broker.streams.consume("orders", handle_order, group="billing")

A `ConsumePlan` is made when a handler is registered, and refuses what makes no sense then; it makes
a new worker each time the broker's handlers are run.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypedDict, TypeVar, Unpack, final, overload

from eventcore.codec import encode_json
from eventcore.consumers.records import StartAt
from eventcore.errors import Conflict, InvalidParameter
from eventcore.limits import MESSAGE_BYTES_MAX
from eventcore.runtime.consumer import Handler
from eventcore.runtime.engine import Engine
from eventcore.runtime.handles import Queue
from eventcore.runtime.lease_source import BrokerLeases
from eventcore.runtime.stream_broker import BrokerSource
from eventcore.runtime.stream_handling import CheckpointMode, OnFailure, RecordBatch
from eventcore.runtime.stream_shard import ShardLag
from eventcore.runtime.stream_source import StreamRecord
from eventcore.runtime.stream_worker import DRAIN_MS_DEFAULT, StreamWorker

__all__ = ["ConsumeOptions", "ConsumePlan", "StreamConsuming", "dead_letter_to", "start_at"]

H = TypeVar("H", bound=Handler)

ENVELOPE_BYTES: Final = 16 * 1024
"""What a dead letter has besides the data of its record, at the most."""
ERROR_CHARACTERS_MAX: Final = 1_024


def start_at(start: str | datetime) -> StartAt:
    """Where a new group starts: "TRIM_HORIZON", "LATEST", or a time with its zone. Raises
    InvalidParameter.
    """
    if isinstance(start, datetime):
        if start.tzinfo is None:
            raise InvalidParameter("start", "A time must say its zone.", start)
        return StartAt("AT_TIMESTAMP", int(start.timestamp() * 1000))
    if start == "TRIM_HORIZON":
        return StartAt("TRIM_HORIZON")
    if start == "LATEST":
        return StartAt("LATEST")
    raise InvalidParameter("start", 'Must be "TRIM_HORIZON", "LATEST" or a time.', start)


class ConsumeOptions(TypedDict, total=False):
    """How a stream of this broker is consumed; what is not named here is in `StreamWorker`.

    `start` is where a group begins that is not there yet: "TRIM_HORIZON" (default), "LATEST", or a
    time with its zone. `dead_letter` is a queue for what `on_failure` would get.
    """

    worker_id: str | None
    start: str | datetime
    checkpoint: CheckpointMode
    batches: bool
    batch_max: int
    concurrency: int
    deaggregate: bool
    skip_misplaced: bool
    attempts_max: int | None
    on_failure: OnFailure | None
    dead_letter: Queue | None
    lease_ms: int
    handover_ms: int | None
    drain_ms: int


@final
class ConsumePlan:
    """What it takes to make a worker for a stream of this broker."""

    def __init__(
        self,
        engine: Engine,
        stream_arn: str,
        handler: Handler,
        *,
        group: str,
        **options: Unpack[ConsumeOptions],
    ) -> None:
        """Raises InvalidParameter, TypeError for an option that there is none of."""
        chosen: dict[str, Any] = dict(options)
        start = start_at(chosen.pop("start", "TRIM_HORIZON"))
        dead_letter = chosen.pop("dead_letter", None)
        if dead_letter is not None:
            if not isinstance(dead_letter, Queue):
                raise InvalidParameter(
                    "dead_letter", "Must be a queue of this broker.", dead_letter
                )
            if chosen.get("on_failure") is not None:
                raise InvalidParameter("on_failure", "Give either this or dead_letter.")
            chosen["on_failure"] = dead_letter_to(dead_letter, stream_arn, group)
        self.stream_arn = stream_arn
        self.group = group
        if start.timestamp_ms > engine.clock.now_ms():
            raise InvalidParameter("start", "Must not be in the future.", start.timestamp_ms)
        self._engine = engine
        self._start = start
        self._options = {"handler": handler, **chosen}
        self.make()  # refuses now what it would refuse later

    def make(self, drain_ms: int = DRAIN_MS_DEFAULT) -> StreamWorker:
        """A new worker; it does nothing before its `run`."""
        engine = self._engine
        return StreamWorker(
            source=BrokerSource(engine, self.stream_arn),
            leases=BrokerLeases(engine, self.stream_arn, self.group, self._start),
            clock=engine.clock,
            **{"drain_ms": drain_ms, **self._options},
        )


class StreamConsuming:
    """The part of `broker.streams` that consumes: handlers and their workers.

    The broker calls `begin_consuming` when its handlers begin to run, and `end_consuming` when all
    have ended.
    """

    def __init__(self, engine: Engine, arn_of: Callable[[str], str]) -> None:
        """`arn_of` gives the ARN of the stream of a name."""
        self._consuming_engine = engine
        self._arn_of = arn_of
        self._plans: list[ConsumePlan] = []
        self._workers: list[StreamWorker] = []
        self._is_consuming = False

    @overload
    def consume(
        self, name: str, handler: H, *, group: str, **options: Unpack[ConsumeOptions]
    ) -> H: ...
    @overload
    def consume(
        self, name: str, *, group: str, **options: Unpack[ConsumeOptions]
    ) -> Callable[[H], H]: ...
    def consume(
        self,
        name: str,
        handler: H | None = None,
        *,
        group: str,
        **options: Unpack[ConsumeOptions],
    ) -> H | Callable[[H], H]:
        """Has a handler called with the records of a stream, as a worker of the group `group`, as
        soon as the broker's handlers run. Without a handler, a decorator.

        At least once, and in order per partition key; all workers of the group share the shards,
        and what was consumed is remembered. `start` ("TRIM_HORIZON", "LATEST" or a time with its
        zone) is for a group that is not there yet. What can not be handled in `attempts_max` calls
        goes to `on_failure`, or to the queue `dead_letter`. All else is as in `StreamWorker`.

        Raises InvalidParameter at once, Conflict when the handlers run already.
        """
        if self._is_consuming:
            raise Conflict("broker", name, "handlers are registered before they run")

        def register(chosen: H) -> H:
            arn = self._arn_of(name)
            plan = ConsumePlan(self._consuming_engine, arn, chosen, group=group, **options)
            self._plans.append(plan)
            return chosen

        return register if handler is None else register(handler)

    def lag(self) -> list[ShardLag]:
        """How far the workers of this broker are behind, for each shard that they own."""
        return [lag for worker in self._workers for lag in worker.lag()]

    @property
    def consumed_names(self) -> list[str]:
        """The names of the streams that handlers are registered for, each once."""
        return list(dict.fromkeys(plan.stream_arn.partition("/")[2] for plan in self._plans))

    def begin_consuming(self, drain_ms: int) -> list[StreamWorker]:
        """A new worker for each handler; the broker runs and stops them."""
        self._is_consuming = True
        self._workers = [plan.make(drain_ms) for plan in self._plans]
        return self._workers

    def end_consuming(self) -> None:
        """All workers have ended; handlers may be registered again."""
        self._is_consuming = False
        self._workers = []


def dead_letter_to(queue: Queue, stream_arn: str, group: str) -> OnFailure:
    """Has records that could not be handled sent to a queue, one message for each, as JSON: where
    the record was, its data in base64, and the error.

    Data that a message can not hold is left out, which `dataIsOmitted` says: it is in the stream
    until its retention is over. Records of a batch are sent one after the other; after a fault in
    between, they are sent again.
    """

    async def on_failure(what: StreamRecord | RecordBatch, error: Exception) -> None:
        records: Sequence[StreamRecord] = what if isinstance(what, RecordBatch) else (what,)
        for record in records:
            place = f"{record.shard_id}-{record.sequence_number}-{record.sub_sequence_number}"
            await queue.send(
                _dead_letter(record, stream_arn, group, error),
                group_id=record.shard_id if queue.is_fifo else None,
                deduplication_id=place if queue.is_fifo else None,
            )

    return on_failure


def _dead_letter(record: StreamRecord, stream_arn: str, group: str, error: Exception) -> str:
    letter: dict[str, Any] = {
        "streamArn": stream_arn,
        "consumerGroup": group,
        "shardId": record.shard_id,
        "sequenceNumber": record.sequence_number,
        "subSequenceNumber": record.sub_sequence_number,
        "partitionKey": record.partition_key,
        "approximateArrivalTimestamp": record.arrived_ms,
        "error": repr(error)[:ERROR_CHARACTERS_MAX],
    }
    data = base64.b64encode(record.data)
    if len(data) + ENVELOPE_BYTES > MESSAGE_BYTES_MAX:
        letter["dataIsOmitted"] = True
    else:
        letter["data"] = data.decode()
    return encode_json(letter).decode()
