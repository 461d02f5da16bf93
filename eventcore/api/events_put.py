"""PutEvents and TestEventPattern.

PutEvents is the hot path of this service: its answer is written by hand, and neighbouring entries
of one bus go to it in one call. Events are routed in the order of the request.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from eventcore import limits
from eventcore.api.events_address import arn_of_bus
from eventcore.api.events_constraints import (
    check_count,
    check_length,
    check_put_address,
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
from eventcore.api.trace_header import TRACE_ID, read_trace_id
from eventcore.buses.event import EventEntry, EventResult, EventWriter, entry_bytes
from eventcore.codec import encode_json
from eventcore.errors import NotFound
from eventcore.ids import format_uuid
from eventcore.patterns import compile_pattern, matches
from eventcore.patterns.numbers import decode_event
from eventcore.wire.fault import CORAL, Fault

__all__ = ["put_events", "test_event_pattern"]

_REQUIRED_MEMBERS: Final = frozenset(("id", "account", "source", "time", "region", "detail-type"))
"""AWS's documentation names `resources` too; AWS itself does not ask for it."""
_SECONDS_MAX: Final = 253_402_300_799
"""The last second of the year 9999."""


def put_events(call: Call, request: PutEventsRequest) -> bytes:
    """Puts up to ten events, each taken or refused for itself.

    An event for a bus that does not exist gets an id and goes nowhere, as on AWS.
    """
    shapes = required("entries", request.entries)
    if request.endpoint_id is not None:
        raise unsupported("global endpoints (EndpointId)")
    check_count("entries", shapes, 1, limits.PUT_EVENTS_ENTRIES_MAX)
    trace_id = call.request.headers.get(TRACE_ID)
    trace_header = None if trace_id is None else read_trace_id(trace_id)
    entries = [_entry(number, shape, trace_header) for number, shape in enumerate(shapes, 1)]
    if sum(map(entry_bytes, entries)) > limits.PUT_EVENTS_BYTES_MAX:
        raise validation("Total size of the entries in the request is over the limit.")
    arns = [arn_of_bus(call, shape.event_bus_name) for shape in shapes]
    results: list[EventResult] = []
    for arn, run in groupby(zip(arns, entries, strict=True), key=itemgetter(0)):
        results += _put(call, arn, [entry for _, entry in run])
    return _answer(results)


def _put(call: Call, arn: str, entries: list[EventEntry]) -> tuple[EventResult, ...]:
    try:
        bus = call.engine.bus(arn)
    except NotFound:
        return tuple(_drop(call, arn, entry) for entry in entries)
    return call.engine.put_events(bus, entries)


def _drop(call: Call, arn: str, entry: EventEntry) -> EventResult:
    """What is told of an event for a bus that does not exist: a bad entry is one all the same."""
    event_id = call.engine.ids.unique_id()
    written = EventWriter(arn).write(entry, event_id, call.engine.now_ms())
    return written if isinstance(written, EventResult) else EventResult(event_id)


def _entry(number: int, shape: PutEventsRequestEntry, of_request: str | None) -> EventEntry:
    trace_header = shape.trace_header
    if shape.event_bus_name is not None:
        check_put_address(f"entries.{number}.member.eventBusName", shape.event_bus_name)
    if trace_header is not None:
        name = f"entries.{number}.member.traceHeader"
        check_length(name, trace_header, 1, limits.TRACE_HEADER_CHARACTERS_MAX)
    return EventEntry(
        shape.source or "",
        shape.detail_type or "",
        shape.detail or "",
        tuple(shape.resources) if shape.resources else (),
        None if shape.time is None else _time_ms(shape.time),
        of_request if trace_header is None else trace_header,
    )


def _time_ms(seconds: float) -> int:
    """A time of the wire, which has fractions of seconds. Raises the fault for one that no calendar
    has, as for any text that is no number.
    """
    if not 0 <= seconds <= _SECONDS_MAX:
        raise Fault(
            CORAL + "SerializationException",
            f"Time must be in seconds from 1970 to the year 9999, and is {seconds}.",
        )
    return int(seconds * 1000)


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
    text = required("eventPattern", request.event_pattern)
    check_length("eventPattern", text, 0, limits.PATTERN_CHARACTERS_MAX)
    event_text = required("event", request.event)
    pattern = compile_pattern(text)
    try:
        is_match = matches(pattern, _event(event_text))
    except RecursionError as error:
        raise validation("Parameter Event is not valid.") from error
    return encode_json({"Result": is_match})


def _event(text: str) -> dict[str, Any]:
    try:
        event = decode_event(text)
    except ValueError:
        event = None
    if not isinstance(event, dict) or not event.keys() >= _REQUIRED_MEMBERS:
        raise validation("Parameter Event is not valid.")
    return event
