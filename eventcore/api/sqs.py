"""Amazon SQS over AWS JSON 1.0: the table of its operations.

Requests are in `sqs_requests`, handlers in `sqs_messages`, `sqs_queues`, `sqs_permissions` and
`sqs_moves`, errors in `sqs_faults`. What has no effect is listed in docs/coverage.md.
"""

from __future__ import annotations

from typing import Final

from eventcore.api import sqs_messages, sqs_moves, sqs_permissions, sqs_queues, sqs_requests
from eventcore.api.operation import Operation, Service
from eventcore.api.sqs_faults import ERRORS
from eventcore.wire.aws_json import JSON_1_0

__all__ = ["MISSING_OPERATIONS", "SQS"]

MISSING_OPERATIONS: Final[frozenset[str]] = frozenset()
"""What AWS has and eventcore lacks: nothing."""

SQS: Final = Service(
    name="sqs",
    target_prefix="AmazonSQS",
    content_type=JSON_1_0,
    namespace="com.amazonaws.sqs#",
    is_query_compatible=True,
    errors=ERRORS,
    missing_operations=MISSING_OPERATIONS,
    operations=[
        Operation(
            "AddPermission", sqs_requests.AddPermissionRequest, sqs_permissions.add_permission
        ),
        Operation(
            "CancelMessageMoveTask",
            sqs_requests.CancelMessageMoveTaskRequest,
            sqs_moves.cancel_message_move_task,
        ),
        Operation(
            "ChangeMessageVisibility",
            sqs_requests.ChangeMessageVisibilityRequest,
            sqs_messages.change_message_visibility,
        ),
        Operation(
            "ChangeMessageVisibilityBatch",
            sqs_requests.ChangeMessageVisibilityBatchRequest,
            sqs_messages.change_message_visibility_batch,
        ),
        Operation("CreateQueue", sqs_requests.CreateQueueRequest, sqs_queues.create_queue),
        Operation("DeleteMessage", sqs_requests.DeleteMessageRequest, sqs_messages.delete_message),
        Operation(
            "DeleteMessageBatch",
            sqs_requests.DeleteMessageBatchRequest,
            sqs_messages.delete_message_batch,
        ),
        Operation("DeleteQueue", sqs_requests.DeleteQueueRequest, sqs_queues.delete_queue),
        Operation(
            "GetQueueAttributes",
            sqs_requests.GetQueueAttributesRequest,
            sqs_queues.get_queue_attributes,
        ),
        Operation("GetQueueUrl", sqs_requests.GetQueueUrlRequest, sqs_queues.get_queue_url),
        Operation(
            "ListDeadLetterSourceQueues",
            sqs_requests.ListDeadLetterSourceQueuesRequest,
            sqs_queues.list_dead_letter_source_queues,
        ),
        Operation(
            "ListMessageMoveTasks",
            sqs_requests.ListMessageMoveTasksRequest,
            sqs_moves.list_message_move_tasks,
        ),
        Operation("ListQueueTags", sqs_requests.ListQueueTagsRequest, sqs_queues.list_queue_tags),
        Operation("ListQueues", sqs_requests.ListQueuesRequest, sqs_queues.list_queues),
        Operation("PurgeQueue", sqs_requests.PurgeQueueRequest, sqs_queues.purge_queue),
        Operation(
            "ReceiveMessage", sqs_requests.ReceiveMessageRequest, sqs_messages.receive_message
        ),
        Operation(
            "RemovePermission",
            sqs_requests.RemovePermissionRequest,
            sqs_permissions.remove_permission,
        ),
        Operation("SendMessage", sqs_requests.SendMessageRequest, sqs_messages.send_message),
        Operation(
            "SendMessageBatch",
            sqs_requests.SendMessageBatchRequest,
            sqs_messages.send_message_batch,
        ),
        Operation(
            "SetQueueAttributes",
            sqs_requests.SetQueueAttributesRequest,
            sqs_queues.set_queue_attributes,
        ),
        Operation(
            "StartMessageMoveTask",
            sqs_requests.StartMessageMoveTaskRequest,
            sqs_moves.start_message_move_task,
        ),
        Operation("TagQueue", sqs_requests.TagQueueRequest, sqs_queues.tag_queue),
        Operation("UntagQueue", sqs_requests.UntagQueueRequest, sqs_queues.untag_queue),
    ],
)
