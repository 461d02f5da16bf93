"""IAM operations on managed policies.

Rules of this file:

- Policies of the account are kept with their versions. AWS's own are known by their ARNs only: each
  is taken for existing, with a version v1 whose document is not here (501), and of its lists those
  are told that a role has.
- Users and groups do not exist, so a policy is used by roles only.
"""

from __future__ import annotations

from typing import Any, Final

from eventcore.api import iam_requests as requests
from eventcore.api.iam_answers import (
    NOTHING,
    shown_aws_policy,
    shown_policy,
    shown_tags,
    shown_version,
    write_page,
)
from eventcore.api.iam_constraints import USES
from eventcore.api.operation import Call
from eventcore.api.query_constraints import read_tags
from eventcore.codec import decode_json, encode_json
from eventcore.errors import UnsupportedOperation
from eventcore.roles.iam_account import IamAccount, version_of
from eventcore.roles.policy_arn import AWS, read_policy_arn
from eventcore.roles.records import RoleRecord

__all__ = [
    "create_policy",
    "create_policy_version",
    "delete_policy",
    "delete_policy_version",
    "get_policy",
    "get_policy_version",
    "list_entities_for_policy",
    "list_policies",
    "list_policy_tags",
    "list_policy_versions",
    "set_default_policy_version",
    "tag_policy",
    "untag_policy",
]

_VERSIONS_MAX: Final = 10**9
_AS_PERMISSIONS, _AS_BOUNDARY = USES


def create_policy(call: Call, request: requests.CreatePolicyRequest) -> bytes:
    """Makes a managed policy."""
    name, document = request.policy_name, request.policy_document
    assert name is not None and document is not None
    tags = read_tags(request.tags)
    now_ms = call.engine.now_ms()
    policy = call.engine.roles.change(
        call.account,
        lambda iam: iam.create_policy(
            name,
            document,
            now_ms,
            path=request.path or "/",
            description=request.description,
            tags=tags,
        ),
    )
    return encode_json({"Policy": shown_policy(call.engine.roles.of(call.account), policy)})


def get_policy(call: Call, request: requests.GetPolicyRequest) -> bytes:
    """A managed policy."""
    arn = request.policy_arn
    assert arn is not None
    iam = call.engine.roles.of(call.account)
    if _is_of_aws(arn):
        return encode_json({"Policy": shown_aws_policy(iam, arn)})
    return encode_json({"Policy": shown_policy(iam, iam.policy(arn))})


def delete_policy(call: Call, request: requests.DeletePolicyRequest) -> bytes:
    """Deletes a managed policy that nobody has."""
    arn = request.policy_arn
    assert arn is not None
    call.engine.roles.change(call.account, lambda iam: iam.delete_policy(arn))
    return NOTHING


def list_policies(call: Call, request: requests.ListPoliciesRequest) -> bytes:
    """A page of managed policies: the account's, and those of AWS that are used here."""
    iam = call.engine.roles.of(call.account)
    prefix = request.path_prefix or "/"
    shown: list[dict[str, Any]] = []
    if request.scope != "AWS":
        shown += [shown_policy(iam, policy, is_whole=False) for policy in iam.policies()]
    if request.scope != "Local":
        shown += [shown_aws_policy(iam, arn) for arn in iam.used_policies() if _is_of_aws(arn)]
    wanted = [
        policy
        for policy in shown
        if policy["Path"].startswith(prefix) and _is_wanted(policy, request)
    ]
    return write_page(
        "Policies",
        wanted,
        lambda policy: f"{policy['PolicyName']} {policy['Arn']}",
        lambda policy: policy,
        request.marker,
        request.max_items,
    )


def _is_wanted(policy: dict[str, Any], request: requests.ListPoliciesRequest) -> bool:
    uses = (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"])
    if request.policy_usage_filter is not None:
        return bool(uses[USES.index(request.policy_usage_filter)])
    return not request.only_attached or bool(uses[0])


def list_entities_for_policy(call: Call, request: requests.ListEntitiesForPolicyRequest) -> bytes:
    """A page of the roles that have a managed policy, attached or as their boundary."""
    arn = request.policy_arn
    assert arn is not None
    iam = call.engine.roles.of(call.account)
    if not _is_of_aws(arn):
        iam.policy(arn)
    roles: list[RoleRecord] = []
    if request.entity_filter in (None, "Role"):
        use = request.policy_usage_filter
        roles = [r for r in iam.roles(request.path_prefix or "/") if _has(r, arn, use)]
    page = write_page(
        "PolicyRoles",
        roles,
        lambda role: role.name,
        lambda role: {"RoleName": role.name, "RoleId": role.id},
        request.marker,
        request.max_items,
    )
    return encode_json({"PolicyGroups": [], "PolicyUsers": [], **decode_json(page)})


def _has(role: RoleRecord, arn: str, use: str | None) -> bool:
    return (use != _AS_BOUNDARY and arn in role.attached) or (
        use != _AS_PERMISSIONS and arn == role.boundary_arn
    )


def create_policy_version(call: Call, request: requests.CreatePolicyVersionRequest) -> bytes:
    """Adds a version to a managed policy."""
    arn, document = request.policy_arn, request.policy_document
    assert arn is not None and document is not None
    is_default = bool(request.set_as_default)
    now_ms = call.engine.now_ms()
    version = call.engine.roles.change(
        call.account, lambda iam: iam.add_version(arn, document, now_ms, is_default=is_default)
    )
    policy = call.engine.roles.of(call.account).policy(arn)
    return encode_json({"PolicyVersion": shown_version(policy, version, has_document=False)})


def get_policy_version(call: Call, request: requests.GetPolicyVersionRequest) -> bytes:
    """A version of a managed policy with its document. Raises UnsupportedOperation for one of
    AWS's own.
    """
    arn, version = request.policy_arn, request.version_id
    assert arn is not None and version is not None
    if _is_of_aws(arn):
        raise UnsupportedOperation(
            "iam", "GetPolicyVersion", "the documents of AWS's own policies are not kept here"
        )
    policy = _reader(call).policy(arn)
    found = version_of(policy, version, arn)
    return encode_json({"PolicyVersion": shown_version(policy, found, has_document=True)})


def list_policy_versions(call: Call, request: requests.ListPolicyVersionsRequest) -> bytes:
    """A page of a managed policy's versions, the newest first."""
    arn = request.policy_arn
    assert arn is not None
    versions: list[dict[str, Any]] = [{"VersionId": "v1", "IsDefaultVersion": True}]
    if not _is_of_aws(arn):
        policy = _reader(call).policy(arn)
        versions = [shown_version(policy, v, has_document=False) for v in policy.versions]
    return write_page(
        "Versions",
        versions,
        lambda version: f"{_VERSIONS_MAX - int(version['VersionId'][1:]):010}",
        lambda version: version,
        request.marker,
        request.max_items,
    )


def set_default_policy_version(
    call: Call, request: requests.SetDefaultPolicyVersionRequest
) -> bytes:
    """Puts a version of a managed policy in force."""
    arn, version = request.policy_arn, request.version_id
    assert arn is not None and version is not None
    now_ms = call.engine.now_ms()
    call.engine.roles.change(
        call.account, lambda iam: iam.set_default_version(arn, version, now_ms)
    )
    return NOTHING


def delete_policy_version(call: Call, request: requests.DeletePolicyVersionRequest) -> bytes:
    """Deletes a version of a managed policy that is not in force."""
    arn, version = request.policy_arn, request.version_id
    assert arn is not None and version is not None
    now_ms = call.engine.now_ms()
    call.engine.roles.change(call.account, lambda iam: iam.delete_version(arn, version, now_ms))
    return NOTHING


def tag_policy(call: Call, request: requests.TagPolicyRequest) -> bytes:
    """Adds tags to a managed policy, or replaces them."""
    arn = request.policy_arn
    assert arn is not None
    tags = read_tags(request.tags)
    call.engine.roles.change(call.account, lambda iam: iam.set_policy_tags(arn, tags))
    return NOTHING


def untag_policy(call: Call, request: requests.UntagPolicyRequest) -> bytes:
    """Takes tags from a managed policy."""
    arn, keys = request.policy_arn, request.tag_keys
    assert arn is not None and keys is not None
    call.engine.roles.change(call.account, lambda iam: iam.set_policy_tags(arn, {}, keys))
    return NOTHING


def list_policy_tags(call: Call, request: requests.ListPolicyTagsRequest) -> bytes:
    """A page of a managed policy's tags."""
    assert request.policy_arn is not None
    policy = _reader(call).policy(request.policy_arn)
    return write_page(
        "Tags",
        shown_tags(policy.tags),
        lambda tag: tag["Key"],
        lambda tag: tag,
        request.marker,
        request.max_items,
    )


def _reader(call: Call) -> IamAccount:
    return call.engine.roles.of(call.account)


def _is_of_aws(arn: str) -> bool:
    return read_policy_arn(arn)[0] == AWS
