"""An event: what a caller puts, what he is answered, and the envelope that the targets get.

Rules of this file:

- The envelope is written once per event; every target of the whole event shares that one string.
- Its members stand in AWS's order (AWS, "Events in Amazon EventBridge", "event structure"):
  version, id, detail-type, source, account, time, region, resources, detail.
- `detail` keeps its numbers as the caller wrote them. Only insignificant whitespace is taken out.
- An entry is refused by a code and a message, never by an exception: the others of its request
  stand (botocore, PutEventsResultEntry).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, final

import msgspec

from eventcore import limits
from eventcore.arn import parse_arn
from eventcore.codec import compact_json, decode_json, encode_json
from eventcore.ids import format_uuid

__all__ = [
    "Envelope",
    "EventEntry",
    "EventResult",
    "EventWriter",
    "entry_bytes",
    "iso_seconds",
    "read_envelope",
    "refusal_of",
]

INVALID_ARGUMENT: Final = "InvalidArgument"
MALFORMED_DETAIL: Final = "MalformedDetail"
NOT_AUTHORIZED: Final = "NotAuthorizedForSourceException"
RESERVED_SOURCE: Final = "aws."
TIME_BYTES: Final = 14
"""What AWS counts for the member Time of an entry."""
_SECONDS_MAX: Final = 253_402_300_799
_REQUIRED_MEMBERS: Final = ("id", "detail-type", "source", "detail")


class EventEntry(msgspec.Struct, gc=False, frozen=True):
    """An event to put. `detail` is the text of a JSON object; `time_ms` None takes the present."""

    source: str = ""
    detail_type: str = ""
    detail: str = ""
    resources: tuple[str, ...] = ()
    time_ms: int | None = None
    trace_header: str | None = None


class EventResult(msgspec.Struct, gc=False, frozen=True):
    """What becomes of one entry: its event id (16 bytes), or no id, a code and a message."""

    id: bytes = b""
    error_code: str | None = None
    error_message: str | None = None


class Envelope(msgspec.Struct, gc=False, frozen=True):
    """An event on its way: as the text that is matched and that targets get, and as plain values
    for their inputs.
    """

    event: dict[str, Any]
    text: str
    received_ms: int
    trace_header: str | None = None


@final
class EventWriter:
    """Writes the envelopes of one bus."""

    __slots__ = ("_account", "_account_text", "_region", "_region_text")

    def __init__(self, bus_arn: str) -> None:
        arn = parse_arn(bus_arn)
        self._account = arn.account
        self._region = arn.region
        self._account_text = _quoted(arn.account)
        self._region_text = _quoted(arn.region)

    def write(self, entry: EventEntry, event_id: bytes, now_ms: int) -> Envelope | EventResult:
        """The envelope of an entry, or the refusal that answers it."""
        refusal = refusal_of(entry)
        if refusal is not None:
            return refusal
        try:
            detail = decode_json(entry.detail)
            if detail.__class__ is not dict:
                return _refused(MALFORMED_DETAIL, "Detail is malformed.")
            return self._envelope(entry, format_uuid(event_id), detail, now_ms)
        except UnicodeEncodeError:
            return _refused(INVALID_ARGUMENT, "A member of the entry is not valid Unicode.")
        except (ValueError, RecursionError):
            return _refused(MALFORMED_DETAIL, "Detail is malformed.")

    def _envelope(
        self, entry: EventEntry, event_id: str, detail: dict[str, Any], now_ms: int
    ) -> Envelope:
        time = iso_seconds((now_ms if entry.time_ms is None else entry.time_ms) // 1000)
        text = (
            f'{{"version":"0","id":"{event_id}","detail-type":{_quoted(entry.detail_type)},'
            f'"source":{_quoted(entry.source)},"account":{self._account_text},"time":"{time}",'
            f'"region":{self._region_text},"resources":{encode_json(entry.resources).decode()},'
            f'"detail":{_compact(entry.detail)}}}'
        )
        event = {
            "version": "0",
            "id": event_id,
            "detail-type": entry.detail_type,
            "source": entry.source,
            "account": self._account,
            "time": time,
            "region": self._region,
            "resources": list(entry.resources),
            "detail": detail,
        }
        return Envelope(event, text, now_ms, entry.trace_header)


def read_envelope(text: str, received_ms: int, trace_header: str | None) -> Envelope | None:
    """The envelope that another bus wrote; None when the text is none."""
    try:
        event = decode_json(text)
    except ValueError:
        return None
    if not isinstance(event, dict) or any(member not in event for member in _REQUIRED_MEMBERS):
        return None
    return Envelope(event, text, received_ms, trace_header)


def entry_bytes(entry: EventEntry) -> int:
    """The size of an entry as AWS counts it (AWS, "Calculating PutEvents event entry size")."""
    return (
        (0 if entry.time_ms is None else TIME_BYTES)
        + len(entry.source.encode())
        + len(entry.detail_type.encode())
        + len(entry.detail.encode())
        + sum(len(resource.encode()) for resource in entry.resources)
    )


@lru_cache(maxsize=64)
def iso_seconds(seconds: int) -> str:
    """A time in epoch seconds as EventBridge writes it: `2026-01-31T23:59:59Z`."""
    bounded = min(max(seconds, 0), _SECONDS_MAX)
    return datetime.fromtimestamp(bounded, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def refusal_of(entry: EventEntry) -> EventResult | None:
    """The refusal of an entry that can be refused without reading its detail, else None."""
    if not entry.source:
        return _missing("Source")
    if not entry.detail_type:
        return _missing("DetailType")
    if not entry.detail:
        return _missing("Detail")
    if len(entry.detail_type) > limits.DETAIL_TYPE_CHARACTERS_MAX:
        return _invalid(
            "DetailType", f"must not be longer than {limits.DETAIL_TYPE_CHARACTERS_MAX} characters"
        )
    if len(entry.detail) > limits.PUT_EVENTS_BYTES_MAX:
        return _invalid("Detail", f"must not be larger than {limits.PUT_EVENTS_BYTES_MAX} bytes")
    if entry.source.startswith(RESERVED_SOURCE):
        return _refused(NOT_AUTHORIZED, "Not authorized for the source.")
    return None


def _missing(name: str) -> EventResult:
    return _invalid(name, "is a required argument")


def _invalid(name: str, reason: str) -> EventResult:
    return _refused(INVALID_ARGUMENT, f"Parameter {name} is not valid. Reason: {name} {reason}.")


def _refused(code: str, message: str) -> EventResult:
    return EventResult(error_code=code, error_message=message)


def _quoted(text: str) -> str:
    return encode_json(text).decode()


def _compact(detail: str) -> str:
    """Most producers write compact JSON already: four searches cost less than one copy."""
    if " " in detail or "\n" in detail or "\t" in detail or "\r" in detail:
        return compact_json(detail)
    return detail
