"""Request structs of the SQS operations: members and types as in botocore's model of 2012-11-05.

Every member is optional here; the handlers say what is missing, in SQS's words. Unknown members are
ignored and null counts as absent, as on AWS. `tests/wire/test_models_sqs.py` compares these structs
with the model.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "AddPermissionRequest",
    "CancelMessageMoveTaskRequest",
    "ChangeMessageVisibilityBatchRequest",
    "ChangeMessageVisibilityBatchRequestEntry",
    "ChangeMessageVisibilityRequest",
    "CreateQueueRequest",
    "DeleteMessageBatchRequest",
    "DeleteMessageBatchRequestEntry",
    "DeleteMessageRequest",
    "DeleteQueueRequest",
    "GetQueueAttributesRequest",
    "GetQueueUrlRequest",
    "ListDeadLetterSourceQueuesRequest",
    "ListMessageMoveTasksRequest",
    "ListQueueTagsRequest",
    "ListQueuesRequest",
    "MessageAttributeValue",
    "PurgeQueueRequest",
    "ReceiveMessageRequest",
    "RemovePermissionRequest",
    "SendMessageBatchRequest",
    "SendMessageBatchRequestEntry",
    "SendMessageRequest",
    "SetQueueAttributesRequest",
    "StartMessageMoveTaskRequest",
    "TagQueueRequest",
    "UntagQueueRequest",
]


class _Shape(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Members are snake case here and Pascal case on the wire."""


class MessageAttributeValue(_Shape, frozen=True):
    """Shapes MessageAttributeValue and MessageSystemAttributeValue."""

    data_type: str | None = None
    string_value: str | None = None
    binary_value: bytes | None = None
    string_list_values: list[str] | None = None
    binary_list_values: list[bytes] | None = None


MessageAttributes = dict[str, MessageAttributeValue]


class SendMessageRequest(_Shape, frozen=True):
    """One message to send."""

    queue_url: str | None = None
    message_body: str | None = None
    delay_seconds: int | None = None
    message_attributes: MessageAttributes | None = None
    message_system_attributes: MessageAttributes | None = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessageBatchRequestEntry(_Shape, frozen=True):
    """One message of a batch."""

    id: str | None = None
    message_body: str | None = None
    delay_seconds: int | None = None
    message_attributes: MessageAttributes | None = None
    message_system_attributes: MessageAttributes | None = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessageBatchRequest(_Shape, frozen=True):
    """Up to ten messages to send; each succeeds or fails for itself."""

    queue_url: str | None = None
    entries: list[SendMessageBatchRequestEntry] | None = None


class ReceiveMessageRequest(_Shape, frozen=True):
    """A short or long poll."""

    queue_url: str | None = None
    attribute_names: list[str] | None = None
    message_system_attribute_names: list[str] | None = None
    message_attribute_names: list[str] | None = None
    max_number_of_messages: int | None = None
    visibility_timeout: int | None = None
    wait_time_seconds: int | None = None
    receive_request_attempt_id: str | None = None


class DeleteMessageRequest(_Shape, frozen=True):
    """One receipt handle."""

    queue_url: str | None = None
    receipt_handle: str | None = None


class DeleteMessageBatchRequestEntry(_Shape, frozen=True):
    """One receipt handle of a batch."""

    id: str | None = None
    receipt_handle: str | None = None


class DeleteMessageBatchRequest(_Shape, frozen=True):
    """Up to ten receipt handles."""

    queue_url: str | None = None
    entries: list[DeleteMessageBatchRequestEntry] | None = None


class ChangeMessageVisibilityRequest(_Shape, frozen=True):
    """A receipt handle and its new timeout in seconds from now."""

    queue_url: str | None = None
    receipt_handle: str | None = None
    visibility_timeout: int | None = None


class ChangeMessageVisibilityBatchRequestEntry(_Shape, frozen=True):
    """One receipt handle of a batch and its new timeout in seconds from now."""

    id: str | None = None
    receipt_handle: str | None = None
    visibility_timeout: int | None = None


class ChangeMessageVisibilityBatchRequest(_Shape, frozen=True):
    """Up to ten receipt handles with their timeouts."""

    queue_url: str | None = None
    entries: list[ChangeMessageVisibilityBatchRequestEntry] | None = None


class CreateQueueRequest(_Shape, frozen=True):
    """A queue's name and settings. `tags` is in lower case on the wire, in this operation only."""

    queue_name: str | None = None
    attributes: dict[str, str | None] | None = None
    tags: dict[str, str] | None = msgspec.field(default=None, name="tags")


class GetQueueUrlRequest(_Shape, frozen=True):
    """A queue's name, in the caller's account or in another."""

    queue_name: str | None = None
    queue_owner_account: str | None = msgspec.field(default=None, name="QueueOwnerAWSAccountId")


class GetQueueAttributesRequest(_Shape, frozen=True):
    """The settings and counts wanted."""

    queue_url: str | None = None
    attribute_names: list[str] | None = None


class SetQueueAttributesRequest(_Shape, frozen=True):
    """The settings to change."""

    queue_url: str | None = None
    attributes: dict[str, str | None] | None = None


class ListQueuesRequest(_Shape, frozen=True):
    """A page of the caller's queues."""

    queue_name_prefix: str | None = None
    next_token: str | None = None
    max_results: int | None = None


class ListDeadLetterSourceQueuesRequest(_Shape, frozen=True):
    """A page of the queues that dead-letter into this one."""

    queue_url: str | None = None
    next_token: str | None = None
    max_results: int | None = None


class DeleteQueueRequest(_Shape, frozen=True):
    """The queue to delete."""

    queue_url: str | None = None


class PurgeQueueRequest(_Shape, frozen=True):
    """The queue to empty."""

    queue_url: str | None = None


class TagQueueRequest(_Shape, frozen=True):
    """Tags to add or replace."""

    queue_url: str | None = None
    tags: dict[str, str] | None = None


class UntagQueueRequest(_Shape, frozen=True):
    """Tags to remove."""

    queue_url: str | None = None
    tag_keys: list[str] | None = None


class ListQueueTagsRequest(_Shape, frozen=True):
    """The queue whose tags are wanted."""

    queue_url: str | None = None


class AddPermissionRequest(_Shape, frozen=True):
    """Accounts that may call actions on the queue, under a label."""

    queue_url: str | None = None
    label: str | None = None
    account_ids: list[str] | None = msgspec.field(default=None, name="AWSAccountIds")
    actions: list[str] | None = None


class RemovePermissionRequest(_Shape, frozen=True):
    """The label of the permission to remove."""

    queue_url: str | None = None
    label: str | None = None


class StartMessageMoveTaskRequest(_Shape, frozen=True):
    """The dead-letter queue to empty, and where to; nowhere means back to where they came from."""

    source_arn: str | None = None
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None


class CancelMessageMoveTaskRequest(_Shape, frozen=True):
    """The handle of the task to cancel."""

    task_handle: str | None = None


class ListMessageMoveTasksRequest(_Shape, frozen=True):
    """The dead-letter queue whose latest tasks are wanted."""

    source_arn: str | None = None
    max_results: int | None = None
