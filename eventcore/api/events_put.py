"""PutEvents and TestEventPattern.

PutEvents is the hot path of this service: its answer is written by hand, and the entries of one
bus go to it in one call.
"""

from __future__ import annotations

from typing import Final

from eventcore import limits
from eventcore.api.events_buses import arn_of_bus
from eventcore.api.events_faults import (
    check_length,
    constraint_failed,
    required,
    unsupported,
    validation,
)
from eventcore.api.events_requests import (
    PutEventsRequest,
    PutEventsRequestEntry,
    TestEventPatternRequest,
)
from eventcore.api.operation import Call
from eventcore.buses.event import EventEntry, EventResult, entry_bytes
from eventcore.codec import decode_json, encode_json
from eventcore.errors import NotFound
from eventcore.ids import format_uuid
from eventcore.patterns import compile_pattern, matches

__all__ = ["put_events", "test_event_pattern"]

_REQUIRED_MEMBERS: Final = (
    "id",
    "account",
    "source",
    "time",
    "region",
    "resources",
    "detail-type",
)


def put_events(call: Call, request: PutEventsRequest) -> bytes:
    """Puts up to ten events, each taken or refused for itself.

    An event for a bus that does not exist gets an id and goes nowhere, as on AWS.
    """
    shapes = required("entries", request.entries)
    if request.endpoint_id is not None:
        raise unsupported("global endpoints (EndpointId)")
    if not 1 <= len(shapes) <= limits.PUT_EVENTS_ENTRIES_MAX:
        few = not shapes
        reason = f"{'greater' if few else 'less'} than or equal to {1 if few else 10}"
        raise constraint_failed("entries", "[...]", f"Member must have length {reason}")
    entries = [_entry(shape) for shape in shapes]
    try:
        total_bytes = sum(entry_bytes(entry) for entry in entries)
    except UnicodeEncodeError as error:
        raise validation("A member of an entry is not valid Unicode.") from error
    if total_bytes > limits.PUT_EVENTS_BYTES_MAX:
        raise validation("Total size of the entries in the request is over the limit.")
    arns = [arn_of_bus(call, shape.event_bus_name) for shape in shapes]
    return _answer(_put(call, arns, entries))


def _put(call: Call, arns: list[str], entries: list[EventEntry]) -> list[EventResult]:
    results: list[EventResult] = [_UNKNOWN] * len(entries)
    for arn in dict.fromkeys(arns):
        places = [place for place, other in enumerate(arns) if other == arn]
        try:
            bus = call.engine.bus(arn)
        except NotFound:
            for place in places:
                results[place] = EventResult(call.engine.ids.unique_id())
            continue
        put = call.engine.put_events(bus, [entries[place] for place in places])
        for place, result in zip(places, put, strict=True):
            results[place] = result
    return results


_UNKNOWN: Final = EventResult()


def _entry(shape: PutEventsRequestEntry) -> EventEntry:
    return EventEntry(
        shape.source or "",
        shape.detail_type or "",
        shape.detail or "",
        tuple(shape.resources) if shape.resources else (),
        None if shape.time is None else int(shape.time * 1000),
        shape.trace_header,
    )


def _answer(results: list[EventResult]) -> bytes:
    failed = 0
    entries = []
    for result in results:
        if result.error_code is None:
            entries.append(f'{{"EventId":"{format_uuid(result.id)}"}}')
        else:
            failed += 1
            shown = {"ErrorCode": result.error_code, "ErrorMessage": result.error_message}
            entries.append(encode_json(shown).decode())
    return f'{{"FailedEntryCount":{failed},"Entries":[{",".join(entries)}]}}'.encode()


def test_event_pattern(call: Call, request: TestEventPatternRequest) -> bytes:
    """Whether an event matches a pattern."""
    pattern_text = required("eventPattern", request.event_pattern)
    check_length("eventPattern", pattern_text, 0, limits.PATTERN_CHARACTERS_MAX)
    text = required("event", request.event)
    pattern = compile_pattern(pattern_text)
    try:
        event = decode_json(text)
    except (ValueError, RecursionError) as error:
        raise validation("Parameter Event is not valid. Reason: it is no JSON.") from error
    if not isinstance(event, dict):
        raise validation("Parameter Event is not valid. Reason: it is no JSON object.")
    missing = [member for member in _REQUIRED_MEMBERS if member not in event]
    if missing:
        raise validation(
            f"Parameter Event is not valid. Reason: {', '.join(missing)} must be present."
        )
    return encode_json({"Result": matches(pattern, event)})
