"""What IAM's model allows of the members of requests (botocore, service-2.json of iam)."""

from __future__ import annotations

from typing import Final

from eventcore.api import iam_requests as requests
from eventcore.api.constraints import Choice, Number, Rule, Text
from eventcore.api.query_constraints import (
    ARN_CHARACTERS_MAX,
    ARN_CHARACTERS_MIN,
    TAG_KEYS,
    TAGS,
    Constraints,
)

__all__ = ["CONSTRAINTS", "ENTITIES", "SCOPES", "USES"]

SCOPES: Final = ("All", "AWS", "Local")
USES: Final = ("PermissionsPolicy", "PermissionsBoundary")
ENTITIES: Final = ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy")

_NAME: Final = r"[\w+=,.@-]+"
_ARN: Final = Text(ARN_CHARACTERS_MIN, ARN_CHARACTERS_MAX)
_DESCRIPTION: Final = Text(0, 1_000, r"[\u0009\u000A\u000D\u0020-\u007E\u00A1-\u00FF]*")
_DOCUMENT: Final = Text(1, 131_072, r"[\u0009\u000A\u000D\u0020-\u00FF]+")
_PATH: Final = Text(1, 512, r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)")
_PATH_PREFIX: Final = Text(1, 512, r"\u002F[\u0021-\u007F]*")
_POLICY_PATH: Final = Text(1, 512, r"((/[A-Za-z0-9\.,\+@=_-]+)*)/")

_RULES: Final[dict[str, Rule | None]] = {
    "AWSServiceName": Text(1, 128, _NAME),
    "AssumeRolePolicyDocument": _DOCUMENT,
    "CustomSuffix": Text(1, 64, _NAME),
    "DeletionTaskId": Text(1, 1_000),
    "Description": _DESCRIPTION,
    "EntityFilter": Choice(ENTITIES),
    "Marker": Text(1, 320, r"[\u0020-\u00FF]+"),
    "MaxItems": Number(1, 1_000),
    "MaxSessionDuration": Number(3_600, 43_200),
    "OnlyAttached": None,
    "Path": _PATH,
    "PathPrefix": _POLICY_PATH,
    "PermissionsBoundary": _ARN,
    "PolicyArn": _ARN,
    "PolicyDocument": _DOCUMENT,
    "PolicyName": Text(1, 128, _NAME),
    "PolicyUsageFilter": Choice(USES),
    "RoleName": Text(1, 64, _NAME),
    "Scope": Choice(SCOPES),
    "SetAsDefault": None,
    "TagKeys": TAG_KEYS,
    "Tags": TAGS,
    "VersionId": Text(0, None, r"v[1-9][0-9]*(\.[A-Za-z0-9-]*)?"),
}
"""By the member's name on the wire."""

_OF_ONE: Final[dict[tuple[type, str], Rule]] = {
    (requests.CreatePolicyRequest, "Description"): Text(0, 1_000),
    (requests.CreatePolicyRequest, "Path"): _POLICY_PATH,
    (requests.ListEntitiesForPolicyRequest, "PathPrefix"): _PATH,
    (requests.ListRolesRequest, "PathPrefix"): _PATH_PREFIX,
}

_REQUIRED: Final[dict[type, str]] = {
    requests.AttachRolePolicyRequest: "RoleName PolicyArn",
    requests.CreatePolicyRequest: "PolicyName PolicyDocument",
    requests.CreatePolicyVersionRequest: "PolicyArn PolicyDocument",
    requests.CreateRoleRequest: "RoleName AssumeRolePolicyDocument",
    requests.CreateServiceLinkedRoleRequest: "AWSServiceName",
    requests.DeletePolicyRequest: "PolicyArn",
    requests.DeletePolicyVersionRequest: "PolicyArn VersionId",
    requests.DeleteRolePermissionsBoundaryRequest: "RoleName",
    requests.DeleteRolePolicyRequest: "RoleName PolicyName",
    requests.DeleteRoleRequest: "RoleName",
    requests.DeleteServiceLinkedRoleRequest: "RoleName",
    requests.DetachRolePolicyRequest: "RoleName PolicyArn",
    requests.GetPolicyRequest: "PolicyArn",
    requests.GetPolicyVersionRequest: "PolicyArn VersionId",
    requests.GetRolePolicyRequest: "RoleName PolicyName",
    requests.GetRoleRequest: "RoleName",
    requests.GetServiceLinkedRoleDeletionStatusRequest: "DeletionTaskId",
    requests.ListAttachedRolePoliciesRequest: "RoleName",
    requests.ListEntitiesForPolicyRequest: "PolicyArn",
    requests.ListInstanceProfilesForRoleRequest: "RoleName",
    requests.ListPolicyTagsRequest: "PolicyArn",
    requests.ListPolicyVersionsRequest: "PolicyArn",
    requests.ListRolePoliciesRequest: "RoleName",
    requests.ListRoleTagsRequest: "RoleName",
    requests.PutRolePermissionsBoundaryRequest: "RoleName PermissionsBoundary",
    requests.PutRolePolicyRequest: "RoleName PolicyName PolicyDocument",
    requests.SetDefaultPolicyVersionRequest: "PolicyArn VersionId",
    requests.TagPolicyRequest: "PolicyArn Tags",
    requests.TagRoleRequest: "RoleName Tags",
    requests.UntagPolicyRequest: "PolicyArn TagKeys",
    requests.UntagRoleRequest: "RoleName TagKeys",
    requests.UpdateAssumeRolePolicyRequest: "RoleName PolicyDocument",
    requests.UpdateRoleDescriptionRequest: "RoleName Description",
    requests.UpdateRoleRequest: "RoleName",
}

CONSTRAINTS: Final = Constraints(_RULES, _REQUIRED, _OF_ONE)
