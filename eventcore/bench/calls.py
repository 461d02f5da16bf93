"""The AWS operations that load, demo and command line use, as plain functions over `AwsJsonClient`.

Every function makes one call and raises what the client raises: CallFailed, EndpointUnreachable.
What is sent often is encoded and decoded through structs, not dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from eventcore.bench.client import EVENTS, SQS, AwsJsonClient, CallFailed
from eventcore.codec import encode_json, json_decoder

__all__ = [
    "MoveTask",
    "QueueDepth",
    "Received",
    "cancel_move",
    "create_bus",
    "create_queue",
    "delete_batch",
    "delete_bus",
    "delete_message",
    "delete_queue",
    "delete_rule",
    "list_moves",
    "purge_queue",
    "put_events",
    "put_rule",
    "queue_arn",
    "queue_depth",
    "queue_url",
    "receive",
    "send",
    "send_batch",
    "set_queue_attributes",
    "start_move",
]

TARGET_ID: Final = "queue"


class Received(msgspec.Struct, frozen=True, rename={"message_id": "MessageId", "body": "Body"}):
    """A received message: id, body and what deletes it."""

    message_id: str
    body: str
    receipt_handle: str = msgspec.field(name="ReceiptHandle")


class QueueDepth(msgspec.Struct, frozen=True):
    """Counts of messages of one queue by state (approximate on AWS)."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All messages that the queue holds."""
        return self.visible + self.in_flight + self.delayed


class MoveTask(msgspec.Struct, frozen=True):
    """A message move task: `handle` while it runs, counts of messages, `started_ms` epoch ms."""

    status: str = msgspec.field(name="Status")
    started_ms: int = msgspec.field(name="StartedTimestamp")
    handle: str | None = msgspec.field(name="TaskHandle", default=None)
    moved: int = msgspec.field(name="ApproximateNumberOfMessagesMoved", default=0)
    to_move: int | None = msgspec.field(name="ApproximateNumberOfMessagesToMove", default=None)
    failure: str | None = msgspec.field(name="FailureReason", default=None)


class _MoveTasks(msgspec.Struct, frozen=True):
    results: list[MoveTask] = msgspec.field(name="Results", default=[])


class _Receive(msgspec.Struct, frozen=True, rename="pascal"):
    queue_url: str
    max_number_of_messages: int
    wait_time_seconds: int


class _ReceiveAnswer(msgspec.Struct, frozen=True):
    messages: list[Received] | None = msgspec.field(name="Messages", default=None)


class _Send(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    queue_url: str
    message_body: str
    message_group_id: str | None = None
    message_deduplication_id: str | None = None


class _Entry(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    id: str
    message_body: str
    message_group_id: str | None = None
    message_deduplication_id: str | None = None


class _DeleteEntry(msgspec.Struct, frozen=True, rename="pascal"):
    id: str
    receipt_handle: str


class _Batch(msgspec.Struct, frozen=True, rename="pascal"):
    queue_url: str
    entries: list[_Entry] | list[_DeleteEntry]


class _Failed(msgspec.Struct, frozen=True, rename="pascal"):
    id: str = ""
    code: str = ""
    message: str = ""


class _BatchAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    failed: list[_Failed] | None = None


class _PutEventsEntry(msgspec.Struct, frozen=True, rename="pascal"):
    error_code: str | None = None
    error_message: str | None = None


class _PutEventsAnswer(msgspec.Struct, frozen=True, rename="pascal"):
    failed_entry_count: int = 0
    entries: list[_PutEventsEntry] = []


_decode_receive: Final = json_decoder(_ReceiveAnswer)
_decode_moves: Final = json_decoder(_MoveTasks)
_decode_batch: Final = json_decoder(_BatchAnswer)
_decode_put_events: Final = json_decoder(_PutEventsAnswer)


async def create_queue(
    client: AwsJsonClient, name: str, attributes: Mapping[str, str] | None = None
) -> str:
    """Creates a queue, or finds it when it exists with these attributes. Returns its URL."""
    parameters = {"QueueName": name, "Attributes": dict(attributes or {})}
    return str((await client.call(SQS, "CreateQueue", parameters))["QueueUrl"])


async def queue_url(client: AwsJsonClient, name: str) -> str:
    """The URL of a queue that exists."""
    return str((await client.call(SQS, "GetQueueUrl", {"QueueName": name}))["QueueUrl"])


async def queue_arn(client: AwsJsonClient, url: str) -> str:
    """The ARN of a queue."""
    parameters = {"QueueUrl": url, "AttributeNames": ["QueueArn"]}
    answer = await client.call(SQS, "GetQueueAttributes", parameters)
    return str(answer["Attributes"]["QueueArn"])


async def queue_depth(client: AwsJsonClient, url: str) -> QueueDepth:
    """How many messages a queue holds, by state."""
    kinds = ("", "NotVisible", "Delayed")
    names = [f"ApproximateNumberOfMessages{kind}" for kind in kinds]
    answer = await client.call(
        SQS, "GetQueueAttributes", {"QueueUrl": url, "AttributeNames": names}
    )
    attributes = answer.get("Attributes", {})
    return QueueDepth(*(int(attributes.get(name, 0)) for name in names))


async def set_queue_attributes(
    client: AwsJsonClient, url: str, attributes: Mapping[str, str]
) -> None:
    """Changes settings of a queue."""
    parameters = {"QueueUrl": url, "Attributes": dict(attributes)}
    await client.call(SQS, "SetQueueAttributes", parameters)


async def purge_queue(client: AwsJsonClient, url: str) -> None:
    """Deletes all messages of a queue."""
    await client.call(SQS, "PurgeQueue", {"QueueUrl": url})


async def start_move(
    client: AwsJsonClient,
    source_arn: str,
    destination_arn: str | None = None,
    per_second: int | None = None,
) -> str:
    """Starts a message move task from a dead-letter queue; returns its handle. Without a
    destination messages go back to the queues that they came from.
    """
    parameters: dict[str, Any] = {"SourceArn": source_arn}
    if destination_arn is not None:
        parameters["DestinationArn"] = destination_arn
    if per_second is not None:
        parameters["MaxNumberOfMessagesPerSecond"] = per_second
    return str((await client.call(SQS, "StartMessageMoveTask", parameters))["TaskHandle"])


async def list_moves(client: AwsJsonClient, source_arn: str) -> list[MoveTask]:
    """The latest message move tasks (10 at the most) from a dead-letter queue, newest first."""
    request = encode_json({"SourceArn": source_arn, "MaxResults": 10})
    return _decode_moves(await client.call_raw(SQS, "ListMessageMoveTasks", request)).results


async def cancel_move(client: AwsJsonClient, handle: str) -> int:
    """Cancels a running message move task; returns how many messages it has moved."""
    answer = await client.call(SQS, "CancelMessageMoveTask", {"TaskHandle": handle})
    return int(answer["ApproximateNumberOfMessagesMoved"])


async def delete_queue(client: AwsJsonClient, url: str) -> None:
    """Deletes a queue with its messages."""
    await client.call(SQS, "DeleteQueue", {"QueueUrl": url})


async def send(
    client: AwsJsonClient,
    url: str,
    body: str,
    *,
    group_id: str | None = None,
    deduplication_id: str | None = None,
) -> None:
    """Sends one message; on return it is stored. FIFO queues need both ids."""
    request = encode_json(_Send(url, body, group_id, deduplication_id))
    await client.call_raw(SQS, "SendMessage", request)


async def send_batch(
    client: AwsJsonClient,
    url: str,
    bodies: Sequence[str],
    *,
    group_ids: Sequence[str] = (),
    deduplication_ids: Sequence[str] = (),
) -> None:
    """Sends up to 10 messages in one request. An entry that failed raises CallFailed.

    Ids are as many as bodies, or none at all. FIFO queues need both kinds.
    """
    groups: Sequence[str | None] = group_ids or [None] * len(bodies)
    deduplications: Sequence[str | None] = deduplication_ids or [None] * len(bodies)
    members = zip(bodies, groups, deduplications, strict=True)
    entries = [_Entry(str(index), *given) for index, given in enumerate(members)]
    answer = await client.call_raw(SQS, "SendMessageBatch", encode_json(_Batch(url, entries)))
    _raise_failed("SendMessageBatch", answer)


async def receive(
    client: AwsJsonClient, url: str, *, messages_max: int = 10, wait_s: int = 0
) -> list[Received]:
    """Receives up to 10 messages, waiting up to 20 s for the first one."""
    request = encode_json(_Receive(url, messages_max, wait_s))
    return _decode_receive(await client.call_raw(SQS, "ReceiveMessage", request)).messages or []


async def delete_message(client: AwsJsonClient, url: str, receipt_handle: str) -> None:
    """Deletes one received message."""
    parameters = {"QueueUrl": url, "ReceiptHandle": receipt_handle}
    await client.call_raw(SQS, "DeleteMessage", encode_json(parameters))


async def delete_batch(client: AwsJsonClient, url: str, receipt_handles: Sequence[str]) -> None:
    """Deletes up to 10 received messages. An entry that failed raises CallFailed."""
    entries = [_DeleteEntry(str(index), handle) for index, handle in enumerate(receipt_handles)]
    answer = await client.call_raw(SQS, "DeleteMessageBatch", encode_json(_Batch(url, entries)))
    _raise_failed("DeleteMessageBatch", answer)


async def create_bus(client: AwsJsonClient, name: str) -> None:
    """Creates an event bus; one that exists is left as it is."""
    try:
        await client.call(EVENTS, "CreateEventBus", {"Name": name})
    except CallFailed as error:
        if error.code != "ResourceAlreadyExistsException":
            raise


async def put_rule(
    client: AwsJsonClient, bus: str, name: str, pattern: str, target_arn: str
) -> None:
    """Creates or replaces a rule with one target (two calls)."""
    parameters = {"Name": name, "EventBusName": bus, "EventPattern": pattern}
    await client.call(EVENTS, "PutRule", parameters)
    targets = [{"Id": TARGET_ID, "Arn": target_arn}]
    answer = await client.call(
        EVENTS, "PutTargets", {"Rule": name, "EventBusName": bus, "Targets": targets}
    )
    if answer.get("FailedEntryCount"):
        failed = answer.get("FailedEntries", [{}])[0]
        code = str(failed.get("ErrorCode", "UnknownError"))
        raise CallFailed("PutTargets", 200, code, str(failed.get("ErrorMessage", "")))


async def delete_rule(client: AwsJsonClient, bus: str, name: str) -> None:
    """Deletes a rule that `put_rule` made (two calls)."""
    rule: dict[str, Any] = {"Rule": name, "EventBusName": bus, "Ids": [TARGET_ID]}
    await client.call(EVENTS, "RemoveTargets", rule)
    await client.call(EVENTS, "DeleteRule", {"Name": name, "EventBusName": bus})


async def delete_bus(client: AwsJsonClient, name: str) -> None:
    """Deletes an event bus that has no rules."""
    await client.call(EVENTS, "DeleteEventBus", {"Name": name})


async def put_events(client: AwsJsonClient, entries: Sequence[object]) -> list[int]:
    """Puts up to 10 events in one request; entries are structs or dictionaries of the wire's form.

    Returns the indexes of the entries that were refused, which the caller may put again.
    """
    answer = _decode_put_events(
        await client.call_raw(EVENTS, "PutEvents", encode_json({"Entries": entries}))
    )
    if not answer.failed_entry_count:
        return []
    return [index for index, entry in enumerate(answer.entries) if entry.error_code]


def _raise_failed(operation: str, answer: bytes) -> None:
    failed = _decode_batch(answer).failed
    if failed:
        first = failed[0]
        reason = f"entry {first.id}: {first.message} ({len(failed)} entries failed)"
        raise CallFailed(operation, 200, first.code, reason)
