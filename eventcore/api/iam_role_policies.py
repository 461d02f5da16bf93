"""IAM operations on the policies of a role: inline ones, and managed ones attached to it."""

from __future__ import annotations

from eventcore.api import iam_requests as requests
from eventcore.api.iam_answers import NOTHING, shown_document, write_page
from eventcore.api.operation import Call
from eventcore.codec import encode_json
from eventcore.errors import NotFound
from eventcore.roles.policy_arn import read_policy_arn

__all__ = [
    "attach_role_policy",
    "delete_role_policy",
    "detach_role_policy",
    "get_role_policy",
    "list_attached_role_policies",
    "list_role_policies",
    "put_role_policy",
]


def put_role_policy(call: Call, request: requests.PutRolePolicyRequest) -> bytes:
    """Gives a role an inline policy."""
    name, policy, document = request.role_name, request.policy_name, request.policy_document
    assert name is not None and policy is not None and document is not None
    call.engine.roles.change(call.account, lambda iam: iam.put_inline(name, policy, document))
    return NOTHING


def get_role_policy(call: Call, request: requests.GetRolePolicyRequest) -> bytes:
    """An inline policy of a role."""
    name, policy = request.role_name, request.policy_name
    assert name is not None and policy is not None
    document = call.engine.roles.of(call.account).role(name).inline.get(policy)
    if document is None:
        raise NotFound("role policy", policy, name)
    return encode_json(
        {"RoleName": name, "PolicyName": policy, "PolicyDocument": shown_document(document)}
    )


def delete_role_policy(call: Call, request: requests.DeleteRolePolicyRequest) -> bytes:
    """Takes an inline policy from a role."""
    name, policy = request.role_name, request.policy_name
    assert name is not None and policy is not None
    call.engine.roles.change(call.account, lambda iam: iam.delete_inline(name, policy))
    return NOTHING


def list_role_policies(call: Call, request: requests.ListRolePoliciesRequest) -> bytes:
    """A page of the names of a role's inline policies."""
    assert request.role_name is not None
    role = call.engine.roles.of(call.account).role(request.role_name)
    return write_page(
        "PolicyNames",
        list(role.inline),
        lambda name: name,
        lambda name: name,
        request.marker,
        request.max_items,
    )


def attach_role_policy(call: Call, request: requests.AttachRolePolicyRequest) -> bytes:
    """Attaches a managed policy to a role."""
    name, arn = request.role_name, request.policy_arn
    assert name is not None and arn is not None
    call.engine.roles.change(call.account, lambda iam: iam.attach(name, arn))
    return NOTHING


def detach_role_policy(call: Call, request: requests.DetachRolePolicyRequest) -> bytes:
    """Detaches a managed policy from a role."""
    name, arn = request.role_name, request.policy_arn
    assert name is not None and arn is not None
    call.engine.roles.change(call.account, lambda iam: iam.detach(name, arn))
    return NOTHING


def list_attached_role_policies(
    call: Call, request: requests.ListAttachedRolePoliciesRequest
) -> bytes:
    """A page of the managed policies of a role, those below a path."""
    assert request.role_name is not None
    role = call.engine.roles.of(call.account).role(request.role_name)
    prefix = request.path_prefix or "/"
    attached = [(*read_policy_arn(arn)[1:], arn) for arn in role.attached]
    return write_page(
        "AttachedPolicies",
        [(name, arn) for path, name, arn in attached if path.startswith(prefix)],
        lambda policy: f"{policy[0]} {policy[1]}",
        lambda policy: {"PolicyName": policy[0], "PolicyArn": policy[1]},
        request.marker,
        request.max_items,
    )
