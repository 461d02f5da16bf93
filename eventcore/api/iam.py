"""IAM over AWS Query: the roles and managed policies that set-ups make before anything else.

It is a stub, and tells no lies: what is made is kept for good and told back, and nothing is
enforced. Every caller may do everything, with a role or without, and each answer says so in a
header. Users, groups, instance profiles
and identity providers do not exist here: their operations are answered as not implemented.
"""

from __future__ import annotations

from typing import Any, Final, get_type_hints

from eventcore.api import iam_policies, iam_role_policies, iam_roles
from eventcore.api.iam_constraints import CONSTRAINTS
from eventcore.api.iam_faults import ERRORS
from eventcore.api.iam_missing import MISSING_OPERATIONS
from eventcore.api.operation import Handler, Operation, Service
from eventcore.api.query_constraints import STUB
from eventcore.wire import aws_query, aws_query_xml
from eventcore.wire.aws_query import Spelling
from eventcore.wire.aws_query_form import form_decoder
from eventcore.wire.fault import Fault

__all__ = ["IAM", "WITHOUT_RESULT"]

_VERSION: Final = "2010-05-08"
_SPELLING: Final = Spelling()

WITHOUT_RESULT: Final = frozenset(
    (
        "AttachRolePolicy",
        "DeletePolicy",
        "DeletePolicyVersion",
        "DeleteRole",
        "DeleteRolePermissionsBoundary",
        "DeleteRolePolicy",
        "DetachRolePolicy",
        "PutRolePermissionsBoundary",
        "PutRolePolicy",
        "SetDefaultPolicyVersion",
        "TagPolicy",
        "TagRole",
        "UntagPolicy",
        "UntagRole",
        "UpdateAssumeRolePolicy",
    )
)
"""Operations that answer nothing: there is no element for a result."""

_HANDLERS: Final[tuple[tuple[str, Handler[Any]], ...]] = (
    ("AttachRolePolicy", iam_role_policies.attach_role_policy),
    ("CreatePolicy", iam_policies.create_policy),
    ("CreatePolicyVersion", iam_policies.create_policy_version),
    ("CreateRole", iam_roles.create_role),
    ("CreateServiceLinkedRole", iam_roles.create_service_linked_role),
    ("DeletePolicy", iam_policies.delete_policy),
    ("DeletePolicyVersion", iam_policies.delete_policy_version),
    ("DeleteRole", iam_roles.delete_role),
    ("DeleteRolePermissionsBoundary", iam_roles.delete_role_permissions_boundary),
    ("DeleteRolePolicy", iam_role_policies.delete_role_policy),
    ("DeleteServiceLinkedRole", iam_roles.delete_service_linked_role),
    ("DetachRolePolicy", iam_role_policies.detach_role_policy),
    ("GetPolicy", iam_policies.get_policy),
    ("GetPolicyVersion", iam_policies.get_policy_version),
    ("GetRole", iam_roles.get_role),
    ("GetRolePolicy", iam_role_policies.get_role_policy),
    ("GetServiceLinkedRoleDeletionStatus", iam_roles.get_service_linked_role_deletion_status),
    ("ListAttachedRolePolicies", iam_role_policies.list_attached_role_policies),
    ("ListEntitiesForPolicy", iam_policies.list_entities_for_policy),
    ("ListInstanceProfilesForRole", iam_roles.list_instance_profiles_for_role),
    ("ListPolicies", iam_policies.list_policies),
    ("ListPolicyTags", iam_policies.list_policy_tags),
    ("ListPolicyVersions", iam_policies.list_policy_versions),
    ("ListRolePolicies", iam_role_policies.list_role_policies),
    ("ListRoleTags", iam_roles.list_role_tags),
    ("ListRoles", iam_roles.list_roles),
    ("PutRolePermissionsBoundary", iam_roles.put_role_permissions_boundary),
    ("PutRolePolicy", iam_role_policies.put_role_policy),
    ("SetDefaultPolicyVersion", iam_policies.set_default_policy_version),
    ("TagPolicy", iam_policies.tag_policy),
    ("TagRole", iam_roles.tag_role),
    ("UntagPolicy", iam_policies.untag_policy),
    ("UntagRole", iam_roles.untag_role),
    ("UpdateAssumeRolePolicy", iam_roles.update_assume_role_policy),
    ("UpdateRole", iam_roles.update_role),
    ("UpdateRoleDescription", iam_roles.update_role_description),
)


def _operation(name: str, handle: Handler[Any]) -> Operation[Any]:
    request_type = get_type_hints(handle)["request"]
    return Operation(
        name, request_type, CONSTRAINTS.checked(handle), form_decoder(request_type, _SPELLING)
    )


def _write_answer(service: Service, action: str, answer: bytes, request_id: str) -> bytes:
    return aws_query_xml.write_result(
        action,
        answer,
        _SPELLING,
        namespace=service.namespace,
        request_id=request_id,
        has_result=action not in WITHOUT_RESULT,
    )


def _write_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    return b"", aws_query_xml.write_fault(fault, namespace=service.namespace, request_id=request_id)


IAM: Final = Service(
    name="iam",
    target_prefix="",
    content_type=aws_query.XML,
    operations=[_operation(name, handle) for name, handle in _HANDLERS],
    missing_operations=MISSING_OPERATIONS,
    errors=ERRORS,
    namespace=f"https://iam.amazonaws.com/doc/{_VERSION}/",
    write_fault=_write_fault,
    write_answer=_write_answer,
    version=_VERSION,
)
IAM.head = STUB + IAM.head
