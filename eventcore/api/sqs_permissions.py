"""AddPermission and RemovePermission: statements of a queue's policy, by label.

They edit the policy that SetQueueAttributes sets as a whole. A label is a statement's `Sid`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.operation import Call
from eventcore.api.sqs_address import is_account, queue_of
from eventcore.api.sqs_faults import invalid_value, missing_parameter, over_limit
from eventcore.api.sqs_policies import POLICY, check_policy_quotas, read_policy, statements_of
from eventcore.api.sqs_requests import AddPermissionRequest, RemovePermissionRequest
from eventcore.arn import parse_arn
from eventcore.codec import encode_json
from eventcore.queues.queue import QueueMachine

__all__ = ["GRANTABLE_ACTIONS", "OWNER_ACTIONS", "add_permission", "remove_permission"]

EMPTY: Final = b"{}"
LABEL_CHARACTERS_MAX: Final = 80
_LABEL: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{LABEL_CHARACTERS_MAX}}}")
_POLICY_VERSION: Final = "2008-10-17"
_SHOWN_CHARACTERS_MAX: Final = 256

GRANTABLE_ACTIONS: Final = frozenset(
    (
        "*",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
    )
)
"""Actions that another account can be given. Three of them stand for their batches as well."""

OWNER_ACTIONS: Final = frozenset(
    (
        "AddPermission",
        "CancelMessageMoveTask",
        "CreateQueue",
        "DeleteQueue",
        "ListMessageMoveTasks",
        "ListQueueTags",
        "ListQueues",
        "RemovePermission",
        "SetQueueAttributes",
        "StartMessageMoveTask",
        "TagQueue",
        "UntagQueue",
    )
)
"""Actions that only the queue's own account has."""


def add_permission(call: Call, request: AddPermissionRequest) -> bytes:
    """Adds a statement that allows the accounts the actions."""
    queue = queue_of(call, request.queue_url)
    label = _checked_label(request.label)
    actions = request.actions
    if not actions:
        raise missing_parameter("Actions")
    principals = _principals(queue, request.account_ids or [])
    if len(actions) > limits.PERMISSION_ACTIONS_MAX:
        raise over_limit(
            f"{len(actions)} Actions were found, maximum allowed is "
            f"{limits.PERMISSION_ACTIONS_MAX}."
        )
    for action in actions:
        _check_action(action)
    policy = _policy(queue)
    statements = statements_of(policy)
    if any(statement.get("Sid") == label for statement in statements):
        raise invalid_value(label, "Label", "Already exists.")
    added = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_all(principals)},
        "Action": _one_or_all([f"SQS:{action}" for action in actions]),
        "Resource": queue.arn,
    }
    _set_policy(call, queue, {**policy, "Statement": [*statements, added]})
    return EMPTY


def remove_permission(call: Call, request: RemovePermissionRequest) -> bytes:
    """Removes the statement of a label; with the last one the policy goes."""
    queue = queue_of(call, request.queue_url)
    label = _checked_label(request.label)
    policy = _policy(queue)
    statements = statements_of(policy)
    kept = [statement for statement in statements if statement.get("Sid") != label]
    if not statements:
        raise invalid_value(label, "Label", "can't find label.")
    if len(kept) == len(statements):
        raise invalid_value(label, "Label", "can't find label on existing policy.")
    _set_policy(call, queue, {**policy, "Statement": kept})
    return EMPTY


def _checked_label(label: str | None) -> str:
    if not label:
        raise missing_parameter("Label")
    if _LABEL.fullmatch(label) is None:
        raise invalid_value(
            label[:_SHOWN_CHARACTERS_MAX],
            "Label",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to "
            f"{LABEL_CHARACTERS_MAX} in length",
        )
    return label


def _principals(queue: QueueMachine, account_ids: list[str]) -> list[str]:
    if not account_ids or not all(map(is_account, account_ids)):
        shown = f"[{', '.join(account_ids)}]"[:_SHOWN_CHARACTERS_MAX]
        raise invalid_value(shown, "PrincipalId", "Unable to verify.")
    partition = parse_arn(queue.arn).partition
    return [f"arn:{partition}:iam::{account}:root" for account in dict.fromkeys(account_ids)]


def _check_action(action: str) -> None:
    if action in GRANTABLE_ACTIONS:
        return
    raise invalid_value(
        f"SQS:{action[:_SHOWN_CHARACTERS_MAX]}",
        "ActionName",
        "Only the queue owner is allowed to invoke this action."
        if action in OWNER_ACTIONS
        else "Please refer to the appropriate WSDL for a list of valid actions.",
    )


def _one_or_all(texts: list[str]) -> str | list[str]:
    return texts[0] if len(texts) == 1 else texts


def _policy(queue: QueueMachine) -> dict[str, Any]:
    """The queue's policy; one without statements where it has none."""
    policy = read_policy(queue.spec.attributes.get(POLICY, ""))
    if policy is not None:
        return policy
    default_id = f"{queue.arn}/SQSDefaultPolicy"
    return {"Version": _POLICY_VERSION, "Id": default_id, "Statement": []}


def _set_policy(call: Call, queue: QueueMachine, policy: dict[str, Any]) -> None:
    attributes = {name: text for name, text in queue.spec.attributes.items() if name != POLICY}
    if policy["Statement"]:
        text = encode_json(policy)
        check_policy_quotas(policy)
        if len(text) > limits.POLICY_BYTES_MAX:
            raise over_limit(
                f"The policy would have {len(text)} bytes, maximum allowed is "
                f"{limits.POLICY_BYTES_MAX}."
            )
        attributes[POLICY] = text.decode()
    spec = msgspec.structs.replace(queue.spec, attributes=attributes)
    call.engine.set_queue_spec(queue, spec)
