"""SendMessage, ReceiveMessage, DeleteMessage, ChangeMessageVisibility, and their batches.

The hot path. What is common costs nothing extra: a message without attributes skips their code,
answers of fixed shape are templates, and only texts that need JSON escaping go through the encoder.

Rules of this file:

- A call is admitted once, a batch as one call, before it is looked at any further.
- What only a FIFO queue takes is refused here for a standard queue; what a FIFO queue needs and
  does not take it checks itself. Where entries of a FIFO batch lack a message group or a
  deduplication id, the whole batch is refused, as on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from eventcore import limits
from eventcore.api.operation import Call
from eventcore.api.sqs_address import queue_of
from eventcore.api.sqs_faults import (
    batch_id_invalid,
    batch_ids_not_distinct,
    batch_too_long,
    batch_too_many,
    empty_batch,
    invalid_parameter,
    invalid_value,
    missing_parameter,
)
from eventcore.api.sqs_message_attributes import (
    Selection,
    attributes_bytes,
    attributes_digest,
    attributes_json,
    check_text,
    read_attributes,
    read_trace_header,
    selection_of,
    trace_header_digest,
)
from eventcore.api.sqs_requests import (
    ChangeMessageVisibilityBatchRequest,
    ChangeMessageVisibilityBatchRequestEntry,
    ChangeMessageVisibilityRequest,
    DeleteMessageBatchRequest,
    DeleteMessageBatchRequestEntry,
    DeleteMessageRequest,
    ReceiveMessageRequest,
    SendMessageBatchRequest,
    SendMessageBatchRequestEntry,
    SendMessageRequest,
)
from eventcore.api.trace_header import TRACE_ID, read_trace_id
from eventcore.attributes import decode_attributes, encode_attributes
from eventcore.codec import encode_json
from eventcore.errors import LimitExceeded, RequestError
from eventcore.ids import format_uuid
from eventcore.queues.message import (
    MessageRecord,
    SendEntry,
    SendResult,
    sequence_text,
)
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import ReceiveRequest
from eventcore.runtime.engine import ReceivedMessage
from eventcore.wire.fault import Fault

__all__ = [
    "change_message_visibility",
    "change_message_visibility_batch",
    "delete_message",
    "delete_message_batch",
    "receive_message",
    "send_message",
    "send_message_batch",
]

EMPTY: Final = b"{}"
_DELAY_SECONDS_MAX: Final = limits.DELAY_MS_MAX // 1000
_VISIBILITY_SECONDS_MAX: Final = limits.VISIBILITY_TIMEOUT_MS_MAX // 1000
_WAIT_SECONDS_MAX: Final = limits.WAIT_MS_MAX // 1000
_ENTRY_ID: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.BATCH_ENTRY_ID_CHARACTERS_MAX}}}")
_ONE_MESSAGE: Final = ReceiveRequest()
_NOT_OF_THIS_KIND: Final = "The request include parameter that is not valid for this queue type."
_SHOWN_CHARACTERS_MAX: Final = 256


# Sending


def send_message(call: Call, request: SendMessageRequest) -> bytes:
    """Sends one message; the answer holds its id and the digests that the SDK verifies."""
    queue = queue_of(call, request.queue_url)
    if queue.is_limited:
        call.engine.admit(queue, "send")
        call.engine.admit_group(queue, request.message_group_id)
    body = request.message_body
    if not body:
        raise missing_parameter("MessageBody")
    result = call.engine.send(queue, _send_entry(call, queue, request, body))
    return f"{{{_send_members(result, request)}}}".encode()


def send_message_batch(call: Call, request: SendMessageBatchRequest) -> bytes:
    """Sends up to ten messages, each for itself: some may fail."""
    queue = queue_of(call, request.queue_url)
    if queue.is_limited:
        call.engine.admit(queue, "send")
    entries = _check_batch(request.entries, "SendMessageBatchRequestEntry")
    for index, entry in enumerate(entries, 1):
        if not entry.message_body:
            raise missing_parameter(f"SendMessageBatchRequestEntry.{index}.MessageBody")
    _check_batch_size(entries)
    if queue.is_fifo:
        _check_fifo_batch(queue, entries)

    refused = _refused_groups(call, queue, entries) if queue.is_limited else {}

    def send(entry: SendMessageBatchRequestEntry) -> str:
        if refused and entry.message_group_id in refused:
            raise refused[entry.message_group_id]
        result = call.engine.send(queue, _send_entry(call, queue, entry, entry.message_body or ""))
        return "," + _send_members(result, entry)

    return _each(call, entries, send)


def _refused_groups(
    call: Call, queue: QueueMachine, entries: Sequence[SendMessageBatchRequestEntry]
) -> dict[str | None, LimitExceeded]:
    """The message groups of a batch that are over their quota: a batch is one call of each."""
    refused: dict[str | None, LimitExceeded] = {}
    for group_id in dict.fromkeys(entry.message_group_id for entry in entries):
        try:
            call.engine.admit_group(queue, group_id)
        except LimitExceeded as error:
            refused[group_id] = error
    return refused


def _send_entry(
    call: Call,
    queue: QueueMachine,
    request: SendMessageRequest | SendMessageBatchRequestEntry,
    body: str,
) -> SendEntry:
    """The entry for the queue. Raises Fault; the queue itself checks the size and the ids."""
    body_bytes = check_text(body)
    delay_ms = None
    delay = request.delay_seconds
    if delay is not None:
        if not 0 <= delay <= _DELAY_SECONDS_MAX:
            raise invalid_value(
                delay, "DelaySeconds", f"DelaySeconds must be >= 0 and <= {_DELAY_SECONDS_MAX}."
            )
        delay_ms = delay * 1000
    deduplication_id = request.message_deduplication_id
    if deduplication_id is not None and not queue.is_fifo:
        raise invalid_value(
            deduplication_id[:_SHOWN_CHARACTERS_MAX], "MessageDeduplicationId", _NOT_OF_THIS_KIND
        )
    given = request.message_attributes
    system = request.message_system_attributes
    trace_id = call.request.headers.get(TRACE_ID)
    trace_header = None if trace_id is None else read_trace_id(trace_id)
    if not given and not system:
        return SendEntry(  # by position: a fifth faster than by name
            body,
            delay_ms,
            b"",
            b"",
            call.caller.account,
            trace_header,
            request.message_group_id,
            deduplication_id,
            body_bytes,
        )
    attributes = read_attributes(given) if given else {}
    return SendEntry(
        body,
        delay_ms,
        encode_attributes(attributes),
        attributes_digest(attributes),
        call.caller.account,
        (read_trace_header(system) if system else None) or trace_header,
        request.message_group_id,
        deduplication_id,
        size_bytes=body_bytes + attributes_bytes(attributes),
    )


def _check_fifo_batch(queue: QueueMachine, entries: Sequence[SendMessageBatchRequestEntry]) -> None:
    """Raises Fault when any entry lacks what a FIFO queue can not do without."""
    for entry in entries:
        if entry.message_group_id is None:
            raise missing_parameter("MessageGroupId")
        if entry.message_deduplication_id is None and not queue.spec.content_deduplication:
            raise invalid_parameter(
                "The queue should either have ContentBasedDeduplication enabled or "
                "MessageDeduplicationId provided explicitly"
            )


def _send_members(
    result: SendResult, request: SendMessageRequest | SendMessageBatchRequestEntry
) -> str:
    members = f'"MessageId":"{format_uuid(result.id)}","MD5OfMessageBody":"{result.body_md5.hex()}"'
    if result.sequence:
        members += f',"SequenceNumber":"{sequence_text(result.sequence)}"'
    if result.attributes_md5:
        members += f',"MD5OfMessageAttributes":"{result.attributes_md5.hex()}"'
    if request.message_system_attributes:
        header = read_trace_header(request.message_system_attributes)
        if header is not None:
            members += f',"MD5OfMessageSystemAttributes":"{trace_header_digest(header).hex()}"'
    return members


def _check_batch_size(entries: Sequence[SendMessageBatchRequestEntry]) -> None:
    size_bytes = 0
    for entry in entries:
        size_bytes += len((entry.message_body or "").encode())
        for name, value in (entry.message_attributes or {}).items():
            size_bytes += len(name.encode()) + len((value.data_type or "").encode())
            size_bytes += len((value.string_value or "").encode()) + len(value.binary_value or b"")
    if size_bytes > limits.BATCH_BYTES_MAX:
        raise batch_too_long(size_bytes)


# Receiving


def receive_message(call: Call, request: ReceiveMessageRequest) -> bytes | None:
    """Receives up to ten messages; with a wait time, as soon as one is there."""
    queue = queue_of(call, request.queue_url)
    if queue.is_limited:
        call.engine.admit(queue, "receive")
    wanted = _receive_request(request, queue)
    wait_ms = _wait_ms(request, queue)
    selection = selection_of(
        request.attribute_names,
        request.message_system_attribute_names,
        request.message_attribute_names,
    )
    if not wait_ms:
        return _write_messages(call, call.engine.receive(queue, wanted), selection)

    def done(messages: list[ReceivedMessage]) -> None:
        call.complete(lambda: _write_messages(call, messages, selection))

    waiter = call.engine.receive_when_ready(queue, wanted, wait_ms, done, call.fail)
    if waiter is not None:
        call.wait_for(waiter)
    return None


def _receive_request(request: ReceiveMessageRequest, queue: QueueMachine) -> ReceiveRequest:
    attempt_id = request.receive_request_attempt_id
    if attempt_id is not None and not queue.is_fifo:
        raise invalid_value(
            attempt_id[:_SHOWN_CHARACTERS_MAX], "ReceiveRequestAttemptId", _NOT_OF_THIS_KIND
        )
    count = request.max_number_of_messages
    timeout = request.visibility_timeout
    if timeout is None:
        if attempt_id is None and (count is None or count == 1):
            return _ONE_MESSAGE
    elif not 0 <= timeout <= _VISIBILITY_SECONDS_MAX:
        raise invalid_value(
            timeout,
            "VisibilityTimeout",
            f"Must be >= 0 and <= {_VISIBILITY_SECONDS_MAX}, if provided.",
        )
    if count is not None and not 1 <= count <= limits.RECEIVE_MESSAGES_MAX:
        raise invalid_value(
            count,
            "MaxNumberOfMessages",
            f"Must be between 1 and {limits.RECEIVE_MESSAGES_MAX}, if provided.",
        )
    return ReceiveRequest(
        1 if count is None else count,
        None if timeout is None else timeout * 1000,
        attempt_id=attempt_id,
    )


def _wait_ms(request: ReceiveMessageRequest, queue: QueueMachine) -> int:
    seconds = request.wait_time_seconds
    if seconds is None:
        return queue.spec.wait_ms
    if not 0 <= seconds <= _WAIT_SECONDS_MAX:
        raise invalid_value(
            seconds, "WaitTimeSeconds", f"Must be >= 0 and <= {_WAIT_SECONDS_MAX}, if provided."
        )
    return seconds * 1000


def _write_messages(call: Call, messages: Sequence[ReceivedMessage], selection: Selection) -> bytes:
    if not messages:
        return EMPTY
    return (
        b'{"Messages":[' + b",".join([_write_message(call, m, selection) for m in messages]) + b"]}"
    )


def _write_message(call: Call, message: ReceivedMessage, selection: Selection) -> bytes:
    record = message.record
    start = (
        f'{{"MessageId":"{format_uuid(record.id)}","ReceiptHandle":"{message.receipt_handle}",'
        f'"MD5OfBody":"{record.body_md5.hex()}","Body":'
    ).encode()
    if selection.is_empty:
        return start + encode_json(record.body) + b"}"
    return start + encode_json(record.body) + _write_attributes(call, message, selection) + b"}"


def _write_attributes(call: Call, message: ReceivedMessage, selection: Selection) -> bytes:
    text = b""
    if selection.system:
        system = _system_attributes(call, message, selection.system)
        if system:
            text += b',"Attributes":' + encode_json(system)
    record = message.record
    if selection.names and record.attributes:
        attributes = decode_attributes(record.attributes)
        selected = selection.select(attributes)
        if selected:
            is_every = len(selected) == len(attributes)
            digest = record.attributes_md5 if is_every else attributes_digest(selected)
            text += f',"MD5OfMessageAttributes":"{digest.hex()}","MessageAttributes":'.encode()
            text += encode_json(attributes_json(selected))
    return text


def _system_attributes(
    call: Call, message: ReceivedMessage, names: frozenset[str]
) -> dict[str, str]:
    record: MessageRecord = message.record
    sequence = message.sequence
    values = {
        "SenderId": record.sender_id or call.caller.account,
        "SentTimestamp": str(record.sent_ms),
        "ApproximateReceiveCount": str(message.receives),
        "ApproximateFirstReceiveTimestamp": str(message.first_received_ms),
        "SequenceNumber": sequence_text(sequence) if sequence else None,
        "MessageDeduplicationId": record.deduplication_id if sequence else None,
        "MessageGroupId": record.group_id,
        "AWSTraceHeader": record.trace_header,
        "DeadLetterQueueSourceArn": record.dead_letter_source,
    }
    return {name: value for name, value in values.items() if value is not None and name in names}


# Deleting, changing visibility


def delete_message(call: Call, request: DeleteMessageRequest) -> bytes:
    """Deletes a received message."""
    queue = queue_of(call, request.queue_url)
    if queue.is_limited:
        call.engine.admit(queue, "delete")
    if not request.receipt_handle:
        raise missing_parameter("ReceiptHandle")
    call.engine.delete(queue, request.receipt_handle)
    return EMPTY


def delete_message_batch(call: Call, request: DeleteMessageBatchRequest) -> bytes:
    """Deletes up to ten received messages, each for itself."""
    queue = queue_of(call, request.queue_url)
    if queue.is_limited:
        call.engine.admit(queue, "delete")
    shape = "DeleteMessageBatchRequestEntry"
    entries = _check_batch(request.entries, shape)
    for index, entry in enumerate(entries, 1):
        if not entry.receipt_handle:
            raise missing_parameter(f"{shape}.{index}.ReceiptHandle")

    def delete(entry: DeleteMessageBatchRequestEntry) -> str:
        call.engine.delete(queue, entry.receipt_handle or "")
        return ""

    return _each(call, entries, delete)


def change_message_visibility(call: Call, request: ChangeMessageVisibilityRequest) -> bytes:
    """Changes for how long from now a received message stays invisible; 0 gives it back."""
    queue = queue_of(call, request.queue_url)
    if queue.is_limited:
        call.engine.admit(queue, "change")
    if not request.receipt_handle:
        raise missing_parameter("ReceiptHandle")
    if request.visibility_timeout is None:
        raise missing_parameter("VisibilityTimeout")
    _change_visibility(call, queue, request.receipt_handle, request.visibility_timeout)
    return EMPTY


def change_message_visibility_batch(
    call: Call, request: ChangeMessageVisibilityBatchRequest
) -> bytes:
    """Changes the visibility of up to ten received messages, each for itself."""
    queue = queue_of(call, request.queue_url)
    if queue.is_limited:
        call.engine.admit(queue, "change")
    shape = "ChangeMessageVisibilityBatchRequestEntry"
    entries = _check_batch(request.entries, shape)
    for index, entry in enumerate(entries, 1):
        if not entry.receipt_handle:
            raise missing_parameter(f"{shape}.{index}.ReceiptHandle")

    def change(entry: ChangeMessageVisibilityBatchRequestEntry) -> str:
        timeout = entry.visibility_timeout
        if timeout is None:
            raise missing_parameter("VisibilityTimeout")
        _change_visibility(call, queue, entry.receipt_handle or "", timeout)
        return ""

    return _each(call, entries, change)


def _change_visibility(call: Call, queue: QueueMachine, handle: str, timeout: int) -> None:
    if not 0 <= timeout <= _VISIBILITY_SECONDS_MAX:
        raise invalid_value(
            timeout,
            "VisibilityTimeout",
            f"VisibilityTimeout must be an integer between 0 and {_VISIBILITY_SECONDS_MAX}.",
        )
    call.engine.change_visibility(queue, handle, timeout * 1000)


# Batches


class _Entry(Protocol):
    @property
    def id(self) -> str | None: ...


E = TypeVar("E", bound=_Entry)


def _check_batch(entries: list[E] | None, entry_shape: str) -> list[E]:
    """The entries, if their number and their ids are right. Raises Fault, in AWS's order."""
    if not entries:
        raise empty_batch(entry_shape)
    if len(entries) > limits.BATCH_ENTRIES_MAX:
        raise batch_too_many(len(entries))
    seen: set[str] = set()
    for index, entry in enumerate(entries, 1):
        entry_id = entry.id
        if entry_id is None:
            raise missing_parameter(f"{entry_shape}.{index}.Id")
        if _ENTRY_ID.fullmatch(entry_id) is None:
            raise batch_id_invalid()
        if entry_id in seen:
            raise batch_ids_not_distinct(entry_id)
        seen.add(entry_id)
    return entries


def _each(call: Call, entries: Sequence[E], run: Callable[[E], str]) -> bytes:
    """Runs a batch. `run` returns what follows the id; what it raises fails its entry alone."""
    successful: list[str] = []
    failed: list[dict[str, object]] = []
    for entry in entries:
        try:
            successful.append(f'{{"Id":"{entry.id}"{run(entry)}}}')
        except (RequestError, Fault) as error:
            fault = call.fault_of(error)
            failed.append(
                {
                    "Id": entry.id,
                    "SenderFault": fault.is_sender,
                    "Code": fault.query_code,
                    "Message": fault.message,
                }
            )
    if failed:
        call.engine.look_at_everything()  # nobody noted which state was the reason
    parts = []
    if successful:
        parts.append(b'"Successful":[' + ",".join(successful).encode() + b"]")
    if failed:
        parts.append(b'"Failed":' + encode_json(failed))
    return b"{" + b",".join(parts) + b"}"
