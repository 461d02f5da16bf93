"""What a stream is told and what it tells: settings, entries, results, views.

Times are epoch ms, durations ms, sizes bytes. Machines keep settings in rows, so fields are only
ever added, at the end and with a default.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from eventcore import limits
from eventcore.errors import InvalidParameter

__all__ = [
    "ON_DEMAND",
    "PROVISIONED",
    "Appended",
    "FanOutConsumer",
    "Place",
    "RecordEntry",
    "Refused",
    "ShardView",
    "StartKind",
    "StartingPosition",
    "StreamSpec",
    "StreamStatus",
    "StreamSummary",
]

PROVISIONED: Final = "PROVISIONED"
ON_DEMAND: Final = "ON_DEMAND"

StreamStatus = Literal["CREATING", "ACTIVE", "UPDATING", "DELETING"]
StartKind = Literal[
    "TRIM_HORIZON", "LATEST", "AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER", "AT_TIMESTAMP"
]


class StreamSpec(msgspec.Struct, frozen=True, array_like=True):
    """A stream's settings.

    `encryption_key` is a KMS key's name, None for no encryption: it is stored and told, nothing is
    encrypted by it. `metrics` are the shard-level metrics asked for; `policy` is a resource policy
    as JSON text, stored and not enforced. `warm_mib_per_s` is an on-demand stream's, or None.
    """

    mode: str = PROVISIONED
    retention_ms: int = limits.STREAM_RETENTION_MS_DEFAULT
    record_bytes_max: int = limits.RECORD_BYTES_MAX_DEFAULT
    encryption_key: str | None = None
    metrics: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    policy: str | None = None
    warm_mib_per_s: int | None = None

    def validate(self) -> None:
        """Raises InvalidParameter for a setting out of its range, or of a type that could not be
        read back from the store.
        """
        if self.mode not in (PROVISIONED, ON_DEMAND):
            raise InvalidParameter("mode", "Must be PROVISIONED or ON_DEMAND.", self.mode)
        _in_range(
            "retention_ms",
            self.retention_ms,
            limits.STREAM_RETENTION_MS_MIN,
            limits.STREAM_RETENTION_MS_MAX,
        )
        _in_range(
            "record_bytes_max",
            self.record_bytes_max,
            limits.RECORD_BYTES_MAX_LOWEST,
            limits.RECORD_BYTES_MAX_HIGHEST,
        )
        _check_tags(self.tags)


def _in_range(name: str, value: int, low: int, high: int) -> None:
    if value.__class__ is not int:
        raise InvalidParameter(name, "Must be an int.", value)
    if not low <= value <= high:
        raise InvalidParameter(name, f"Must be {low} to {high}.", value)


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > limits.TAGS_MAX:
        raise InvalidParameter("tags", f"Must be at most {limits.TAGS_MAX}.", len(tags))
    for text in (text for pair in tags.items() for text in pair):
        if text.__class__ is not str:
            raise InvalidParameter("tags", "Must be str to str.", text)
        if not text.isascii() and not _is_unicode(text):
            raise InvalidParameter("tags", "Must be valid Unicode.", text)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class RecordEntry(msgspec.Struct, gc=False, rename="pascal"):
    """A record to put. Its shard is the one that owns the MD5 of `partition_key` (1 to 256
    characters), or `explicit_hash_key` (0 to 2**128 - 1 in decimal).

    Decodes from botocore's PutRecordsRequestEntry.
    """

    data: bytes
    partition_key: str
    explicit_hash_key: str | None = None


class Appended(msgspec.Struct, gc=False, frozen=True, rename="pascal"):
    """Where a record went. Encodes as botocore's PutRecordsResultEntry."""

    sequence_number: str
    shard_id: str


class Refused(msgspec.Struct, gc=False, frozen=True, rename="pascal"):
    """Why a record of a batch was not taken. Encodes as botocore's PutRecordsResultEntry."""

    error_code: str
    error_message: str


class StartingPosition(msgspec.Struct, frozen=True):
    """Where reading begins. Two kinds need `sequence_number`, AT_TIMESTAMP needs `timestamp_ms`."""

    kind: StartKind
    sequence_number: str | None = None
    timestamp_ms: int | None = None


class Place(msgspec.Struct, frozen=True):
    """A place in a shard: before its record `number`, and before the first one from there on that
    arrived at `from_ms` or later. Places of a shard that do not look at time order by `number`.
    """

    ordinal: int
    number: int
    from_ms: int = 0


class ShardView(msgspec.Struct, frozen=True):
    """A shard as it is told. `end` (a sequence number) and `closed_ms` are None while it is open;
    hash keys are inclusive.
    """

    id: str
    ordinal: int
    parent_id: str | None
    adjacent_parent_id: str | None
    first_hash: int
    last_hash: int
    start: str
    end: str | None
    created_ms: int
    closed_ms: int | None


class FanOutConsumer(msgspec.Struct, frozen=True, array_like=True):
    """An enhanced fan-out consumer of a stream."""

    name: str
    arn: str
    created_ms: int
    active_ms: int
    tags: dict[str, str] = {}
    policy: str | None = None

    def status(self, now_ms: int) -> str:
        """CREATING or ACTIVE. A consumer that is deregistered is gone at once."""
        return "ACTIVE" if now_ms >= self.active_ms else "CREATING"


class StreamSummary(msgspec.Struct, frozen=True):
    """A stream's state in numbers."""

    name: str
    arn: str
    status: StreamStatus
    spec: StreamSpec
    created_ms: int
    open_shards: int
    consumers: int
