"""A stream behind any Kinesis endpoint as a worker's source: AWS, or a daemon in another process.

It needs aiobotocore: `pip install 'eventcore[kinesis]'`.

Rules of this file:

- AWS allows five GetRecords calls a second on each shard, for all consumers together: a reader
  makes at most one in `CALL_PAUSE_MS`, and one in `poll_ms` while nothing comes.
- Rates, expired iterators and broken connections are waited out, with pauses that double up to
  `PAUSE_MS_MAX`; a new iterator begins behind the last record that was given.
- A shard iterator is not kept over a read that failed for another reason than a rate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final, final

import anyio

from eventcore.arn import parse_arn
from eventcore.clock import Clock, SystemClock
from eventcore.consumers.checkpoint import AFTER_RECORD, AT_TIMESTAMP, Checkpoint, after_record
from eventcore.errors import EventcoreError, InvalidParameter, NotFound, SourceUnavailable
from eventcore.runtime.stream_pauses import Pauses
from eventcore.runtime.stream_source import ShardReader, ShardRecords, SourceShard, StreamRecord
from eventcore.runtime.telemetry import WarningLimiter, logger_of

__all__ = ["KinesisSource"]

log = logger_of("eventcore.stream_kinesis")

CALL_PAUSE_MS: Final = 200
POLL_MS_DEFAULT: Final = 1_000
PAUSE_MS_FIRST: Final = 200
PAUSE_MS_MAX: Final = 10_000
LINEAGE_MS: Final = 60_000
RECORDS_PER_CALL_MAX: Final = 10_000
LIST_PAGES_MAX: Final = 100

_RATES: Final = frozenset(
    (
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
    )
)
_EXPIRED: Final = "ExpiredIteratorException"
_GONE: Final = "ResourceNotFoundException"
_REFUSED: Final = frozenset(("InvalidArgumentException", "ValidationException"))

MakeClient = Callable[[], Any]
"""Makes a Kinesis client's asynchronous context manager."""


@final
class KinesisSource:
    """A stream of a Kinesis endpoint, read by GetRecords."""

    def __init__(
        self,
        stream_arn: str,
        *,
        endpoint_url: str | None = None,
        poll_ms: int = POLL_MS_DEFAULT,
        client_options: Mapping[str, Any] | None = None,
        make_client: MakeClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        """`poll_ms` is the pause between calls at the tip. `client_options` are those of
        aiobotocore's `create_client`, "region_name" is the ARN's by default; `make_client` takes
        the place of all that. Raises InvalidParameter.
        """
        region = parse_arn(stream_arn).region
        if poll_ms < CALL_PAUSE_MS:
            raise InvalidParameter("poll_ms", f"Must be at least {CALL_PAUSE_MS}.", poll_ms)
        options = {"region_name": region, "endpoint_url": endpoint_url, **(client_options or {})}
        self.stream_arn = stream_arn
        self.lineage_ms = LINEAGE_MS
        self.poll_ms = poll_ms
        self.pauses = Pauses(clock or SystemClock())
        self._warnings = WarningLimiter(self.pauses.now_ms)
        self._make_client = make_client or (lambda: _create_client(options))
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._lock = anyio.Lock()

    async def list_shards(self) -> list[SourceShard]:
        """See ShardSource. Raises SourceUnavailable, too."""
        shards: list[SourceShard] = []
        request: dict[str, Any] = {"StreamARN": self.stream_arn}
        for _ in range(LIST_PAGES_MAX):
            answer = await self.call("list_shards", request)
            shards += map(_read_shard, answer["Shards"])
            token = answer.get("NextToken")
            if not token:
                return shards
            request = {"NextToken": token}
        raise SourceUnavailable(self.stream_arn, "ListShards does not come to an end")

    def open_reader(self, shard_id: str, start: Checkpoint) -> ShardReader:
        """See ShardSource."""
        return _KinesisReader(self, shard_id, start)

    async def close(self) -> None:
        """Closes the client."""
        async with self._lock:
            self._client = None
            await self._stack.aclose()

    async def call(self, operation: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """Calls the endpoint. Raises _Throttled, _IteratorExpired, NotFound, InvalidParameter,
        SourceUnavailable.
        """
        client = self._client or await self._open()
        method: Callable[..., Awaitable[dict[str, Any]]] = getattr(client, operation)
        try:
            return await method(**request)
        except EventcoreError:
            raise
        except Exception as error:
            raise self._translate(error) from error

    def note_fault(self, shard_id: str, error: EventcoreError) -> None:
        """Writes a fault down; one that all shards have, once in a while."""
        suppressed = self._warnings.admit("read_failed")
        if suppressed is not None:
            log.warning(
                "read_failed", shard=shard_id, error=str(error), not_logged_since=suppressed
            )

    async def _open(self) -> Any:
        async with self._lock:
            if self._client is None:
                try:
                    self._client = await self._stack.enter_async_context(self._make_client())
                except EventcoreError:
                    raise
                except Exception as error:
                    raise SourceUnavailable(self.stream_arn, repr(error)) from error
            return self._client

    def _translate(self, error: Exception) -> EventcoreError:
        answer = getattr(error, "response", None)
        fault = answer.get("Error", {}) if isinstance(answer, dict) else {}
        code, message = fault.get("Code", ""), fault.get("Message", "")
        if code in _RATES:
            return _Throttled(self.stream_arn, message or code)
        if code == _EXPIRED:
            return _IteratorExpired(self.stream_arn, message or code)
        if code == _GONE:
            is_shard = "shard" in message.lower()
            return NotFound("shard" if is_shard else "stream", message or self.stream_arn)
        if code in _REFUSED:
            return InvalidParameter("request", message or code)
        return SourceUnavailable(self.stream_arn, f"{code} {message}".strip() or repr(error))


class _Throttled(SourceUnavailable):
    """A rate is used up."""


class _IteratorExpired(SourceUnavailable):
    """The iterator is older than five minutes."""


@final
class _KinesisReader:
    def __init__(self, source: KinesisSource, shard_id: str, start: Checkpoint) -> None:
        self._source = source
        self._shard_id = shard_id
        self._after = start
        self._iterator: str | None = None
        self._is_over = False
        self._next_call_ms = 0
        self._pause_ms = PAUSE_MS_FIRST

    async def read(self, records_max: int, wait_ms: int) -> ShardRecords:
        if self._is_over:
            return ShardRecords(behind_ms=0, is_end=True)
        pauses = self._source.pauses
        end_ms = pauses.now_ms() + wait_ms
        while True:
            # Whole pauses, even beyond the wait: a rate that is broken helps nobody.
            if self._next_call_ms > pauses.now_ms():
                await pauses.sleep(self._next_call_ms - pauses.now_ms())
            taken = await self._try_read(records_max)
            if taken is not None and (taken.records or taken.is_end):
                return taken
            if pauses.now_ms() >= end_ms:
                return taken or ShardRecords()

    async def close(self) -> None:
        self._iterator = None

    async def _try_read(self, records_max: int) -> ShardRecords | None:
        """One call; None when it has to be made again."""
        source = self._source
        try:
            if self._iterator is None:
                self._iterator = await self._new_iterator()
            request = {
                "ShardIterator": self._iterator,
                "Limit": max(1, min(records_max, RECORDS_PER_CALL_MAX)),
                "StreamARN": source.stream_arn,
            }
            answer = await source.call("get_records", request)
        except _IteratorExpired:
            self._iterator = None
            return None
        except SourceUnavailable as error:
            if not isinstance(error, _Throttled):
                self._iterator = None
                source.note_fault(self._shard_id, error)
            self._next_call_ms = source.pauses.now_ms() + self._pause_ms
            self._pause_ms = min(self._pause_ms * 2, PAUSE_MS_MAX)
            return None
        return self._taken(answer)

    async def _new_iterator(self) -> str:
        source, after = self._source, self._after
        request: dict[str, Any] = {
            "StreamARN": source.stream_arn,
            "ShardId": self._shard_id,
            "ShardIteratorType": "TRIM_HORIZON",
        }
        if after.kind == AFTER_RECORD:
            is_inside = after.sub_sequence_number is not None
            kind = "AT_SEQUENCE_NUMBER" if is_inside else "AFTER_SEQUENCE_NUMBER"
            request["ShardIteratorType"] = kind
            request["StartingSequenceNumber"] = after.sequence_number
        elif after.kind == AT_TIMESTAMP:
            request["ShardIteratorType"] = AT_TIMESTAMP
            request["Timestamp"] = min(after.timestamp_ms, source.pauses.now_ms()) / 1000
        answer = await source.call("get_shard_iterator", request)
        iterator: str = answer["ShardIterator"]
        return iterator

    def _taken(self, answer: Mapping[str, Any]) -> ShardRecords:
        records = [_read_record(self._shard_id, record) for record in answer["Records"]]
        behind_ms = answer.get("MillisBehindLatest")
        if records:
            self._after = after_record(records[-1].sequence_number)
        self._iterator = answer.get("NextShardIterator")
        self._is_over = self._iterator is None
        self._pause_ms = PAUSE_MS_FIRST
        is_tip = not records and not behind_ms
        pause_ms = self._source.poll_ms if is_tip else CALL_PAUSE_MS
        self._next_call_ms = self._source.pauses.now_ms() + pause_ms
        return ShardRecords(
            records,
            behind_ms=behind_ms,
            behind_records=0 if behind_ms == 0 else None,
            is_end=self._is_over,
        )


def _create_client(options: Mapping[str, Any]) -> Any:
    try:
        from aiobotocore.session import get_session  # noqa: PLC0415  (an extra, which few have)
    except ImportError as error:
        raise InvalidParameter(
            "source", "KinesisSource needs aiobotocore: pip install 'eventcore[kinesis]'."
        ) from error
    return get_session().create_client("kinesis", **options)


def _read_shard(shard: Mapping[str, Any]) -> SourceShard:
    parents = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
    hashes = shard["HashKeyRange"]
    return SourceShard(
        shard["ShardId"],
        tuple(parent for parent in parents if parent),
        "EndingSequenceNumber" in shard["SequenceNumberRange"],
        int(hashes["StartingHashKey"]),
        int(hashes["EndingHashKey"]),
    )


def _read_record(shard_id: str, record: Mapping[str, Any]) -> StreamRecord:
    arrived = record.get("ApproximateArrivalTimestamp")
    return StreamRecord(
        shard_id=shard_id,
        sequence_number=record["SequenceNumber"],
        partition_key=record["PartitionKey"],
        data=record["Data"],
        arrived_ms=0 if arrived is None else round(arrived.timestamp() * 1000),
    )
