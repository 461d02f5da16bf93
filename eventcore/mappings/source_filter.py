"""The filter criteria of a mapping, on the records of `source_events`.

Rules of this file (AWS, "Control which events Lambda sends to your function"):

- A message's payload is its `body`; a stream's record is flat to a pattern: the members of its
  `kinesis` stand beside the others, and its payload, decoded from base64, is `data`.
- A pattern with a list under `body` wants a plain string; streams have no such patterns.
- What no pattern wants is dropped: a queue deletes it, a stream goes past it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from eventcore.patterns.record_filter import Decision, RecordFilter

__all__ = ["SourceFilter"]

_BODY: Final = "body"
_DATA: Final = "data"


@final
class SourceFilter:
    """The compiled filters of one mapping, of which there is at least one. Not for concurrent use.

    Raises InvalidPattern, InvalidParameter("Filters"), as `RecordFilter`.
    """

    __slots__ = ("_filter",)

    def __init__(self, filters: Sequence[str], *, is_queue: bool) -> None:
        self._filter = RecordFilter(filters, _BODY if is_queue else _DATA, accepts_plain=is_queue)

    @classmethod
    def of(cls, filters: Sequence[str], *, is_queue: bool) -> SourceFilter | None:
        """The filter of a mapping's settings; None where there is none."""
        return cls(filters, is_queue=is_queue) if filters else None

    def wants_message(self, record: Mapping[str, Any]) -> bool:
        """Whether a record of `QueueEvents` is delivered."""
        return self._filter.decide(record, record[_BODY]) is Decision.MATCHED

    def wants_record(self, record: Mapping[str, Any], data: bytes) -> bool:
        """Whether a record of `StreamEvents` is delivered. `data` is the record's own."""
        shown = {**record["kinesis"], **record}
        del shown["kinesis"]
        return self._filter.decide(shown, data) is Decision.MATCHED
