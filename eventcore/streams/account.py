"""What an account has agreed with Kinesis in one region: the minimum throughput that it pays for.

Stored and told; nobody bills. With it, on-demand streams have the advantage's quotas.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from eventcore.codec import record_decoder
from eventcore.outcome import Mutation, Outcome, put_row, row_key

__all__ = ["StreamAccount", "StreamAccountRecord"]

_ROW: Final = row_key(0, 0)


class StreamAccountRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row. Times are epoch ms, 0 for none."""

    is_committed: bool = False
    started_ms: int = 0
    ended_ms: int = 0
    earliest_end_ms: int = 0


_decode: Final = record_decoder(StreamAccountRecord)


@final
class StreamAccount:
    """The settings of one account and region."""

    def __init__(self) -> None:
        self.record = StreamAccountRecord()

    def set_committed(self, is_committed: bool, now_ms: int) -> Outcome[StreamAccountRecord]:
        """Begins or ends the commitment; telling what is so already changes nothing."""
        record = self.record
        if is_committed == record.is_committed:
            return Outcome(record)
        if is_committed:
            record = StreamAccountRecord(True, now_ms, 0, now_ms + 86_400_000)
        else:
            record = msgspec.structs.replace(record, is_committed=False, ended_ms=now_ms)
        mutation = put_row(_ROW, record)
        self.apply(mutation)
        return Outcome(record, (mutation,))

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes the settings."""
        if mutation.value is not None:
            self.record = mutation.record or _decode(mutation.value)

    def next_deadline(self) -> int | None:
        """Nothing here has to do with time."""
        return None

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Nothing is ever due."""
        return Outcome(None)

    def check(self) -> None:
        """Asserts that what is committed has begun."""
        assert not self.record.is_committed or self.record.started_ms
