"""Request structs of the IAM operations: members and types as in botocore's model of 2010-05-08.

Every member is optional here; `eventcore.api.iam_constraints` says what is missing. Members that
are not known are ignored. `tests/wire/test_models_iam.py` compares these structs with the model.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "AttachRolePolicyRequest",
    "CreatePolicyRequest",
    "CreatePolicyVersionRequest",
    "CreateRoleRequest",
    "CreateServiceLinkedRoleRequest",
    "DeletePolicyRequest",
    "DeletePolicyVersionRequest",
    "DeleteRolePermissionsBoundaryRequest",
    "DeleteRolePolicyRequest",
    "DeleteRoleRequest",
    "DeleteServiceLinkedRoleRequest",
    "DetachRolePolicyRequest",
    "GetPolicyRequest",
    "GetPolicyVersionRequest",
    "GetRolePolicyRequest",
    "GetRoleRequest",
    "GetServiceLinkedRoleDeletionStatusRequest",
    "ListAttachedRolePoliciesRequest",
    "ListEntitiesForPolicyRequest",
    "ListInstanceProfilesForRoleRequest",
    "ListPoliciesRequest",
    "ListPolicyTagsRequest",
    "ListPolicyVersionsRequest",
    "ListRolePoliciesRequest",
    "ListRoleTagsRequest",
    "ListRolesRequest",
    "PutRolePermissionsBoundaryRequest",
    "PutRolePolicyRequest",
    "SetDefaultPolicyVersionRequest",
    "TagPolicyRequest",
    "TagRoleRequest",
    "TagShape",
    "UntagPolicyRequest",
    "UntagRoleRequest",
    "UpdateAssumeRolePolicyRequest",
    "UpdateRoleDescriptionRequest",
    "UpdateRoleRequest",
]


class _Shape(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Members are snake case here and Pascal case on the wire."""


class TagShape(_Shape, frozen=True):
    """Shape Tag."""

    key: str | None = None
    value: str | None = None


# Roles


class _OfRole(_Shape, frozen=True):
    role_name: str | None = None


class CreateRoleRequest(_Shape, frozen=True):
    """CreateRole."""

    path: str | None = None
    role_name: str | None = None
    assume_role_policy_document: str | None = None
    description: str | None = None
    max_session_duration: int | None = None
    permissions_boundary: str | None = None
    tags: list[TagShape] | None = None


class GetRoleRequest(_OfRole, frozen=True):
    """GetRole."""


class UpdateRoleRequest(_OfRole, frozen=True):
    """UpdateRole."""

    description: str | None = None
    max_session_duration: int | None = None


class UpdateRoleDescriptionRequest(_OfRole, frozen=True):
    """UpdateRoleDescription."""

    description: str | None = None


class UpdateAssumeRolePolicyRequest(_OfRole, frozen=True):
    """UpdateAssumeRolePolicy."""

    policy_document: str | None = None


class PutRolePermissionsBoundaryRequest(_OfRole, frozen=True):
    """PutRolePermissionsBoundary."""

    permissions_boundary: str | None = None


class DeleteRolePermissionsBoundaryRequest(_OfRole, frozen=True):
    """DeleteRolePermissionsBoundary."""


class DeleteRoleRequest(_OfRole, frozen=True):
    """DeleteRole."""


class ListRolesRequest(_Shape, frozen=True):
    """ListRoles."""

    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


class ListInstanceProfilesForRoleRequest(_OfRole, frozen=True):
    """ListInstanceProfilesForRole."""

    marker: str | None = None
    max_items: int | None = None


class CreateServiceLinkedRoleRequest(_Shape, frozen=True):
    """CreateServiceLinkedRole."""

    service_name: str | None = msgspec.field(default=None, name="AWSServiceName")
    description: str | None = None
    custom_suffix: str | None = None


class DeleteServiceLinkedRoleRequest(_OfRole, frozen=True):
    """DeleteServiceLinkedRole."""


class GetServiceLinkedRoleDeletionStatusRequest(_Shape, frozen=True):
    """GetServiceLinkedRoleDeletionStatus."""

    deletion_task_id: str | None = None


class TagRoleRequest(_OfRole, frozen=True):
    """TagRole."""

    tags: list[TagShape] | None = None


class UntagRoleRequest(_OfRole, frozen=True):
    """UntagRole."""

    tag_keys: list[str] | None = None


class ListRoleTagsRequest(_OfRole, frozen=True):
    """ListRoleTags."""

    marker: str | None = None
    max_items: int | None = None


# The policies of a role


class PutRolePolicyRequest(_OfRole, frozen=True):
    """PutRolePolicy."""

    policy_name: str | None = None
    policy_document: str | None = None


class GetRolePolicyRequest(_OfRole, frozen=True):
    """GetRolePolicy."""

    policy_name: str | None = None


class DeleteRolePolicyRequest(_OfRole, frozen=True):
    """DeleteRolePolicy."""

    policy_name: str | None = None


class ListRolePoliciesRequest(_OfRole, frozen=True):
    """ListRolePolicies."""

    marker: str | None = None
    max_items: int | None = None


class AttachRolePolicyRequest(_OfRole, frozen=True):
    """AttachRolePolicy."""

    policy_arn: str | None = None


class DetachRolePolicyRequest(_OfRole, frozen=True):
    """DetachRolePolicy."""

    policy_arn: str | None = None


class ListAttachedRolePoliciesRequest(_OfRole, frozen=True):
    """ListAttachedRolePolicies."""

    path_prefix: str | None = None
    marker: str | None = None
    max_items: int | None = None


# Managed policies


class _OfPolicy(_Shape, frozen=True):
    policy_arn: str | None = None


class CreatePolicyRequest(_Shape, frozen=True):
    """CreatePolicy."""

    policy_name: str | None = None
    path: str | None = None
    policy_document: str | None = None
    description: str | None = None
    tags: list[TagShape] | None = None


class GetPolicyRequest(_OfPolicy, frozen=True):
    """GetPolicy."""


class DeletePolicyRequest(_OfPolicy, frozen=True):
    """DeletePolicy."""


class ListPoliciesRequest(_Shape, frozen=True):
    """ListPolicies."""

    scope: str | None = None
    only_attached: bool | None = None
    path_prefix: str | None = None
    policy_usage_filter: str | None = None
    marker: str | None = None
    max_items: int | None = None


class ListEntitiesForPolicyRequest(_OfPolicy, frozen=True):
    """ListEntitiesForPolicy."""

    entity_filter: str | None = None
    path_prefix: str | None = None
    policy_usage_filter: str | None = None
    marker: str | None = None
    max_items: int | None = None


class CreatePolicyVersionRequest(_OfPolicy, frozen=True):
    """CreatePolicyVersion."""

    policy_document: str | None = None
    set_as_default: bool | None = None


class GetPolicyVersionRequest(_OfPolicy, frozen=True):
    """GetPolicyVersion."""

    version_id: str | None = None


class SetDefaultPolicyVersionRequest(_OfPolicy, frozen=True):
    """SetDefaultPolicyVersion."""

    version_id: str | None = None


class DeletePolicyVersionRequest(_OfPolicy, frozen=True):
    """DeletePolicyVersion."""

    version_id: str | None = None


class ListPolicyVersionsRequest(_OfPolicy, frozen=True):
    """ListPolicyVersions."""

    marker: str | None = None
    max_items: int | None = None


class TagPolicyRequest(_OfPolicy, frozen=True):
    """TagPolicy."""

    tags: list[TagShape] | None = None


class UntagPolicyRequest(_OfPolicy, frozen=True):
    """UntagPolicy."""

    tag_keys: list[str] | None = None


class ListPolicyTagsRequest(_OfPolicy, frozen=True):
    """ListPolicyTags."""

    marker: str | None = None
    max_items: int | None = None
