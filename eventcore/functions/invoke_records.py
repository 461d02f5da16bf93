"""What is told of an asynchronous invocation that has ended: to its destination, and to the
dead-letter queue.

Rules of this file:

- The document is AWS's (AWS, "Capturing records of Lambda asynchronous invocations"), in AWS's
  order. Payloads stand in it as they were: their numbers, escapes and members are not touched.
- An invocation that never began (throttled until it was too old, a recursive loop) has a document
  without `responseContext` and `responsePayload`.
- A queue, a topic and a function are given the document; an event bus is given an event of which it
  is the detail.
- A dead-letter queue is given the event, and the reason in three message attributes (AWS,
  "Dead-letter queues" of Lambda): RequestID, ErrorCode (a number), ErrorMessage (up to 1 KB).
- What goes on carries the trace header with the invocation counted in its lineage, so that a loop
  through a destination is seen.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from eventcore.arn import parse_arn
from eventcore.attributes import (
    AttributesRecord,
    AttributeValue,
    encode_attributes,
    md5_of_attributes,
)
from eventcore.codec import decode_json, encode_json
from eventcore.functions import lineage
from eventcore.functions.function_spec import LATEST
from eventcore.functions.invocation import InvocationResult
from eventcore.ids import IdSource, format_uuid
from eventcore.outcome import Deliver, Parcel

__all__ = [
    "EVENT_AGE_EXCEEDED",
    "QUEUE_FULL",
    "RETRIES_EXHAUSTED",
    "SUCCESS",
    "EndedInvocation",
    "LastResponse",
    "error_message_of",
    "json_text",
    "last_response_of",
    "to_dead_letter_queue",
    "to_destination",
]

SUCCESS: Final = "Success"
RETRIES_EXHAUSTED: Final = "RetriesExhausted"
EVENT_AGE_EXCEEDED: Final = "EventAgeExceeded"
QUEUE_FULL: Final = "QueueFull"
"""The oldest event made room for a new one. Ours; AWS has no condition for it."""
_ERROR_CODE_INVOKED: Final = "200"
_ERROR_CODES: Final = {EVENT_AGE_EXCEEDED: "429", QUEUE_FULL: "429", "ResourceNotFound": "404"}
_ERROR_CODE_REFUSED: Final = "400"
_MESSAGE_BYTES_MAX: Final = 1_024
_SECONDS_MAX: Final = 253_402_300_799


class LastResponse(msgspec.Struct, frozen=True):
    """How the last invocation of an event ended. `payload` is JSON text, None where it is not known
    any more. `message` is the error's, empty for success.
    """

    executed_version: str
    error: str | None
    message: str
    payload: str | None = None


class EndedInvocation(msgspec.Struct, frozen=True, kw_only=True):
    """An asynchronous invocation at its end. `response` is None where the function never ran."""

    function_arn: str
    request_id: str
    payload: str
    qualifier: str | None
    trace_header: str
    condition: str
    invokes: int
    response: LastResponse | None
    ended_ms: int

    @property
    def qualified_arn(self) -> str:
        """The function's ARN with the qualifier that it was invoked by."""
        return f"{self.function_arn}:{self.qualifier or LATEST}"


def to_destination(ended: EndedInvocation, destination_arn: str, ids: IdSource) -> Deliver:
    """The effect that gives a destination its record."""
    document = _document(ended)
    if destination_arn.split(":", 3)[2:3] == ["events"]:
        document = _bus_event(ended, destination_arn, document, format_uuid(ids.unique_id()))
    trace_header = _passed_on(ended, ids)
    parcel = Parcel(document, ended.function_arn, trace_header=trace_header)
    return Deliver(destination_arn, parcel)


def to_dead_letter_queue(ended: EndedInvocation, dead_letter_arn: str, ids: IdSource) -> Deliver:
    """The effect that gives a dead-letter queue (or topic) the event."""
    response = ended.response
    if response is None:
        code = _ERROR_CODES.get(ended.condition, _ERROR_CODE_REFUSED)
        message = ended.condition
    else:
        code, message = _ERROR_CODE_INVOKED, response.message or ended.condition
    attributes: AttributesRecord = {
        "RequestID": AttributeValue("String", ended.request_id),
        "ErrorCode": AttributeValue("Number", code),
        "ErrorMessage": AttributeValue("String", _cut(message, _MESSAGE_BYTES_MAX)),
    }
    parcel = Parcel(
        ended.payload,
        ended.function_arn,
        encode_attributes(attributes),
        md5_of_attributes(attributes),
        trace_header=_passed_on(ended, ids),
    )
    return Deliver(dead_letter_arn, parcel)


def last_response_of(result: InvocationResult) -> LastResponse:
    """What is told of a result."""
    payload = _raw_text(result)
    message = "" if result.error is None else error_message_of(payload) or result.error
    return LastResponse(result.executed_version, result.error, message, payload)


def error_message_of(payload: str) -> str:
    """The errorMessage in a failed invocation's payload; empty where there is none."""
    try:
        document = decode_json(payload)
    except ValueError:
        return ""
    message = document.get("errorMessage") if isinstance(document, dict) else None
    return message if isinstance(message, str) else ""


def json_text(text: str) -> str:
    """The text itself when it is JSON, else a JSON string of it."""
    try:
        decode_json(text)
    except (ValueError, RecursionError):
        return encode_json(text.encode(errors="replace").decode()).decode()
    return text


def _raw_text(result: InvocationResult) -> str:
    """A response as JSON text. A handler may answer with anything: what is no JSON becomes a
    string, and a value that has none at all is null.
    """
    try:
        return json_text(result.payload.raw.decode(errors="replace"))
    except (TypeError, ValueError, RecursionError):
        return "null"


def _document(ended: EndedInvocation) -> str:
    document: dict[str, Any] = {
        "version": "1.0",
        "timestamp": _iso_ms(ended.ended_ms),
        "requestContext": {
            "requestId": ended.request_id,
            "functionArn": ended.qualified_arn,
            "condition": ended.condition,
            "approximateInvokeCount": ended.invokes,
        },
        "requestPayload": _spliced(ended.payload),
    }
    response = ended.response
    if response is not None:
        context: dict[str, Any] = {
            "statusCode": 200,
            "executedVersion": response.executed_version or LATEST,
        }
        if response.error is not None:
            context["functionError"] = response.error
        document["responseContext"] = context
        if response.payload is not None:
            document["responsePayload"] = _spliced(response.payload)
    return encode_json(document).decode()


def _bus_event(ended: EndedInvocation, bus_arn: str, detail: str, event_id: str) -> str:
    arn = parse_arn(ended.function_arn)
    outcome = "Success" if ended.condition == SUCCESS else "Failure"
    event = {
        "version": "0",
        "id": event_id,
        "detail-type": f"Lambda Function Invocation Result - {outcome}",
        "source": "lambda",
        "account": arn.account,
        "time": _iso_ms(ended.ended_ms)[:19] + "Z",
        "region": arn.region,
        "resources": [bus_arn, ended.qualified_arn],
        "detail": _spliced(detail),
    }
    return encode_json(event).decode()


def _spliced(text: str) -> msgspec.Raw:
    """JSON text that is written as it is."""
    return msgspec.Raw(text.encode())


def _passed_on(ended: EndedInvocation, ids: IdSource) -> str:
    """The event's trace header, with the function's invocation in its lineage where it ran."""
    if ended.response is None and ended.trace_header:
        return ended.trace_header
    return lineage.extend(
        ended.trace_header, ended.function_arn, ended.ended_ms, ids.unique_id()[:12]
    )


def _cut(text: str, bytes_max: int) -> str:
    encoded = text.encode(errors="replace")
    return encoded[:bytes_max].decode(errors="ignore")


def _iso_ms(time_ms: int) -> str:
    """A time as Lambda writes it: `2026-01-31T23:59:59.001Z`."""
    seconds, ms = divmod(max(time_ms, 0), 1000)
    moment = datetime.fromtimestamp(min(seconds, _SECONDS_MAX), UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
