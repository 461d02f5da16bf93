"""Where a worker's records come from: the contract of a source, and what it gives.

A source is a stream, wherever it is: in this process (`stream_broker`), or behind a Kinesis
endpoint (`stream_kinesis`). Whoever writes another implements `ShardSource` and `ShardReader`.

Rules of the contract:

- A reader gives each record of its shard once and in order, from where it was opened.
- A reader never raises for what passes (a rate, an iterator that expired, a broken connection): it
  waits and goes on. What it raises ends the shard for now: NotFound("shard") when it vanished,
  NotFound("stream") when the stream did.
- Sources and readers may be cancelled at any await, and read on afterwards where they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from eventcore.codec import decode_json
from eventcore.consumers.checkpoint import Checkpoint
from eventcore.consumers.records import ShardNode
from eventcore.streams.hash_range import HASH_KEY_MAX

__all__ = ["ShardReader", "ShardRecords", "ShardSource", "SourceShard", "StreamRecord"]


class StreamRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record as a handler is given it.

    `sub_sequence_number` is set for a user record of an aggregate: its place in it. `arrived_ms` is
    when the stream took it, epoch ms.
    """

    shard_id: str
    sequence_number: str
    partition_key: str
    data: bytes
    arrived_ms: int
    sub_sequence_number: int | None = None
    explicit_hash_key: str | None = None

    @property
    def text(self) -> str:
        """The data as UTF-8. Raises UnicodeDecodeError."""
        return self.data.decode()

    def json(self) -> Any:
        """The data as JSON. Raises ValueError."""
        return decode_json(self.data)


class SourceShard(msgspec.Struct, frozen=True):
    """A shard of a stream, with the hash keys that it owns."""

    shard_id: str
    parents: tuple[str, ...] = ()
    is_closed: bool = False
    first_hash: int = 0
    last_hash: int = HASH_KEY_MAX

    @property
    def node(self) -> ShardNode:
        """The shard as consumer groups know it."""
        return ShardNode(self.shard_id, self.parents, self.is_closed)


class ShardRecords(msgspec.Struct, frozen=True):
    """What one read gave. `behind_ms` and `behind_records` are how far the end of the shard is
    from the last of them; None where nobody knows. `is_end`: nothing will ever follow.
    """

    records: Sequence[StreamRecord] = ()
    behind_ms: int | None = None
    behind_records: int | None = None
    is_end: bool = False


class ShardReader(Protocol):
    """Reads one shard from a checkpoint on."""

    async def read(self, records_max: int, wait_ms: int) -> ShardRecords:
        """The next records, `records_max` at the most. With none there, waits for one, `wait_ms`
        at the most (0: not at all), and may give none then.
        """
        ...

    async def close(self) -> None:
        """Gives back what the reader holds."""
        ...


class ShardSource(Protocol):
    """One stream."""

    @property
    def stream_arn(self) -> str:
        """The stream's ARN."""
        ...

    @property
    def lineage_ms(self) -> int:
        """How often it may be asked for its shards without need."""
        ...

    async def list_shards(self) -> list[SourceShard]:
        """All shards that still exist, closed ones included. Raises NotFound("stream")."""
        ...

    def open_reader(self, shard_id: str, start: Checkpoint) -> ShardReader:
        """A reader that goes on behind `start`. Where that names a user record of an aggregate, the
        aggregate is the first that it gives. Does not wait, and does not raise.
        """
        ...

    async def close(self) -> None:
        """Gives back what the source holds."""
        ...
