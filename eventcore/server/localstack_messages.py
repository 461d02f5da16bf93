"""LocalStack's door to the messages of a queue: what receives would give out, all of it at once,
and nothing is received.

    GET  /_aws/sqs/messages?QueueUrl=<url>
    GET  /_aws/sqs/messages/<region>/<account>/<queue name>
    POST either, with a ReceiveMessage request in AWS JSON or Query

    ShowInvisible=true    messages in flight, too
    ShowDelayed=true      delayed messages, too

Rules of this file:

- The answer is in the protocol of the request; `localstack_forms` has the forms.
- Messages come in the order of their sends, with all attributes. Other parameters of ReceiveMessage
  do not matter. The receipt handle is a constant, and no queue takes it.
- Bounded: PEEK_MESSAGES_MAX messages are looked at, and the slice that brings the answer over
  DOOR_ANSWER_BYTES_MAX is the last. An answer that was cut says so in the header
  `x-eventcore-truncated`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from eventcore import limits
from eventcore.api.sqs import SQS
from eventcore.api.sqs_faults import invalid_address, missing_parameter
from eventcore.api.sqs_message_attributes import attributes_json
from eventcore.arn import DEFAULT_REGION, queue_arn
from eventcore.attributes import decode_attributes
from eventcore.codec import json_decoder
from eventcore.ids import format_uuid
from eventcore.queues.message import sequence_text
from eventcore.runtime.engine import BrowsedMessage, Engine
from eventcore.server.door_request import READ_METHODS, DoorRequest
from eventcore.server.localstack_forms import (
    JsonForm,
    JsonOfXmlForm,
    Message,
    MessagesForm,
    XmlForm,
)
from eventcore.server.looks import Answer, Look, Visit
from eventcore.server.queue_reader import QueueReader
from eventcore.wire import aws_json
from eventcore.wire.fault import Fault, unknown_operation

__all__ = ["RECEIPT_HANDLE", "visit"]

RECEIPT_HANDLE: Final = "SQS/BACKDOOR/ACCESS"
"""LocalStack's; parsers want one."""
METHODS: Final = (*READ_METHODS, b"POST")
TRUNCATED: Final = b"x-eventcore-truncated: true\r\n"
QUEUES: Final = "arn:aws:sqs:"
URL_CHARACTERS_MAX: Final = 1_024

_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REGION_HOST: Final = re.compile(r"sqs\.([a-z0-9-]+)\.|([a-z]+(?:-[a-z]+)+-[0-9]+)\.queue\.")


class Wanted(NamedTuple):
    """Which messages of which queue, and which attributes of LocalStack's own."""

    arn: str
    account: str
    shows_invisible: bool
    shows_delayed: bool


class _PeekRequest(msgspec.Struct):
    queue_url: str | None = msgspec.field(name="QueueUrl", default=None)


_decode_request: Final = json_decoder(_PeekRequest)


def visit(engine: Engine, request: DoorRequest) -> Visit:
    """See `eventcore.server.doors`."""
    form: MessagesForm
    if _is_aws_json(request):
        form = JsonForm(request.request_id)
    elif b"application/json" in request.accept:
        form = JsonOfXmlForm(request.request_id)
    else:
        form = XmlForm(request.request_id)

    def write_fault(fault: Fault) -> Answer:
        answer = form.fault(fault)
        if fault.status == 405:
            allowed = b"allow: " + b", ".join(METHODS) + b"\r\n"
            return answer._replace(head=answer.head + allowed)
        return answer

    return Visit(_look(engine, request, form), SQS.errors, write_fault, is_long=True)


def _is_aws_json(request: DoorRequest) -> bool:
    return request.method == b"POST" and aws_json.is_json(request.headers.get(b"content-type"))


def _look(engine: Engine, request: DoorRequest, form: MessagesForm) -> Look:
    wanted = _wanted(engine, request)
    states = {"visible"}
    if wanted.shows_invisible:
        states.add("in flight")
    if wanted.shows_delayed:
        states.add("delayed")
    reader = QueueReader(engine, wanted.arn, -1)
    parts: list[bytes] = []
    looked, size = 0, 0
    while not reader.is_over:
        left = limits.PEEK_MESSAGES_MAX - looked
        messages = yield from reader.read(min(max(left, 1), limits.DOOR_SLICE))
        if messages and (left <= 0 or size >= limits.DOOR_ANSWER_BYTES_MAX):
            break  # there is more than there is room for
        looked += len(messages)
        shown = [_message(one, wanted) for one in messages if one.state in states]
        if shown:
            parts.append(form.part(shown))
            size += len(parts[-1])
    head = form.head if reader.is_end else form.head + TRUNCATED
    return Answer(200, head, form.document(parts))


# The request


def _wanted(engine: Engine, request: DoorRequest) -> Wanted:
    """What is asked for. Raises Fault."""
    request.check(METHODS)
    parameters = request.parameters()
    if _is_aws_json(request):
        parameters["Action"] = _target_action(request)
        parameters["QueueUrl"] = _read_body(request.body).queue_url or ""
    action = parameters.get("Action", "ReceiveMessage")
    if action != "ReceiveMessage":
        raise unknown_operation(f"Only ReceiveMessage is served here, and not {action[:64]!r}.")
    shows = [
        parameters.get(name, "").lower() in ("true", "1")
        for name in ("ShowInvisible", "ShowDelayed")
    ]
    match request.segments[1:]:
        case ["sqs", "messages"]:
            region, account, name = _address(parameters.get("QueueUrl", ""))
        case ["sqs", "messages", region, account, name]:
            pass
        case _:
            raise Fault("NotFound", "The only path here is /_aws/sqs/messages.", status=404)
    account = account or request.caller.account
    return Wanted(_find(engine, request, region, account, name), account, *shows)


def _target_action(request: DoorRequest) -> str:
    target = request.headers.get(b"x-amz-target", b"").decode("latin-1")
    prefix, _, action = target.rpartition(".")
    return action if prefix == SQS.target_prefix else target or "none"


def _read_body(body: bytes) -> _PeekRequest:
    try:
        return _decode_request(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise aws_json.serialization_fault(error) from error


def _address(url: str) -> tuple[str | None, str, str]:
    """Region, account and name of a queue's URL, as far as it says; the URLs of eventcore and of
    all of LocalStack's strategies, or a bare name. Raises Fault.

        <host>/<account>/<name>                     sqs.<region>.<host>/<account>/<name>
        <host>/queue/<region>/<account>/<name>      <region>.queue.<host>/<account>/<name>
    """
    if not url:
        raise missing_parameter("QueueUrl")
    if len(url) > URL_CHARACTERS_MAX:
        raise invalid_address(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise invalid_address(url) from error
    segments = [part for part in parts.path.split("/") if part]
    if not segments:
        raise invalid_address(url)
    region = None
    if found := _REGION_HOST.match(parts.netloc):
        region = found[1] or found[2]
    elif len(segments) > 2 and segments[0] == "queue":
        region = segments[1]
    has_account = len(segments) > 1 and _ACCOUNT.fullmatch(segments[-2])
    return region, segments[-2] if has_account else "", segments[-1]


def _find(engine: Engine, request: DoorRequest, region: str | None, account: str, name: str) -> str:
    """The ARN. Who names no region, in no way, gets the only queue of that account and name; our
    queue URLs have none, and a GET has no credential.
    """
    arn = queue_arn(account, region or request.caller.region, name)
    is_open = region is None and request.caller.region == DEFAULT_REGION
    if is_open and engine.find(arn) is None:
        ending = f":{account}:{name}"
        found = [other for other in engine.arns_with_prefix(QUEUES) if other.endswith(ending)]
        if len(found) == 1:
            return found[0]
    return arn


# The answer


def _message(browsed: BrowsedMessage, wanted: Wanted) -> Message:
    """A message in the members of AWS JSON."""
    record = browsed.record
    message: Message = {
        "MessageId": format_uuid(record.id),
        "ReceiptHandle": RECEIPT_HANDLE,
        "MD5OfBody": record.body_md5.hex(),
        "Body": record.body,
        "Attributes": _system_attributes(browsed, wanted),
    }
    if record.attributes:
        message["MD5OfMessageAttributes"] = record.attributes_md5.hex()
        message["MessageAttributes"] = attributes_json(decode_attributes(record.attributes))
    return message


def _system_attributes(browsed: BrowsedMessage, wanted: Wanted) -> dict[str, str]:
    record = browsed.record
    values = {
        "SenderId": record.sender_id or wanted.account,
        "SentTimestamp": str(record.sent_ms),
        "ApproximateReceiveCount": str(browsed.receives),
        "ApproximateFirstReceiveTimestamp": str(browsed.first_received_ms),
        "SequenceNumber": sequence_text(browsed.sequence) if browsed.sequence else None,
        "MessageDeduplicationId": record.deduplication_id,
        "MessageGroupId": record.group_id,
        "AWSTraceHeader": record.trace_header,
        "DeadLetterQueueSourceArn": record.dead_letter_source,
        # LocalStack's own: a delayed message has no visibility timeout that runs.
        "IsVisible": _boolean(browsed.state != "in flight") if wanted.shows_invisible else None,
        "IsDelayed": _boolean(browsed.state == "delayed") if wanted.shows_delayed else None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _boolean(value: bool) -> str:
    return "true" if value else "false"
