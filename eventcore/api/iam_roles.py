"""IAM operations on roles: kept and told, and asked by nobody whether anything is allowed.

The name of a service's role is AWS's own for services that this project knows, and made of the
service's name for others.
"""

from __future__ import annotations

from typing import Final

from eventcore.api import iam_requests as requests
from eventcore.api.iam_answers import NOTHING, shown_role, shown_tags, write_page
from eventcore.api.iam_faults import invalid_input, no_such_entity
from eventcore.api.operation import Call
from eventcore.api.query_constraints import read_tags
from eventcore.codec import encode_json
from eventcore.errors import AlreadyExists
from eventcore.ids import format_uuid
from eventcore.roles.records import SESSION_S_MAX_DEFAULT, RoleRecord

__all__ = [
    "create_role",
    "create_service_linked_role",
    "delete_role",
    "delete_role_permissions_boundary",
    "delete_service_linked_role",
    "get_role",
    "get_service_linked_role_deletion_status",
    "list_instance_profiles_for_role",
    "list_role_tags",
    "list_roles",
    "put_role_permissions_boundary",
    "tag_role",
    "untag_role",
    "update_assume_role_policy",
    "update_role",
    "update_role_description",
]

_ROLE_NAME_CHARACTERS_MAX: Final = 64
_SERVICE_ROLE: Final = "AWSServiceRoleFor"
_TASK: Final = "task/aws-service-role/"
_DOMAIN: Final = ".amazonaws.com"
_SERVICE_ROLES: Final = {
    "autoscaling.amazonaws.com": "AutoScaling",
    "events.amazonaws.com": "CloudWatchEvents",
    "lambda.amazonaws.com": "Lambda",
    "replicator.lambda.amazonaws.com": "LambdaReplicator",
    "apidestinations.events.amazonaws.com": "AmazonEventBridgeApiDestinations",
}


def create_role(call: Call, request: requests.CreateRoleRequest) -> bytes:
    """Makes a role."""
    name, trust = request.role_name, request.assume_role_policy_document
    assert name is not None and trust is not None
    tags = read_tags(request.tags)
    now_ms = call.engine.now_ms()
    role = call.engine.roles.change(
        call.account,
        lambda iam: iam.create_role(
            name,
            trust,
            now_ms,
            path=request.path or "/",
            description=request.description,
            session_s_max=request.max_session_duration or SESSION_S_MAX_DEFAULT,
            boundary_arn=request.permissions_boundary,
            tags=tags,
        ),
    )
    return _role_answer(call, role)


def get_role(call: Call, request: requests.GetRoleRequest) -> bytes:
    """A role."""
    assert request.role_name is not None
    return _role_answer(call, call.engine.roles.of(call.account).role(request.role_name))


def update_role(call: Call, request: requests.UpdateRoleRequest) -> bytes:
    """Changes a role's description and the longest session."""
    name = request.role_name
    assert name is not None
    call.engine.roles.change(
        call.account,
        lambda iam: iam.update_role(
            name,
            description=request.description,
            session_s_max=request.max_session_duration,
        ),
    )
    return NOTHING


def update_role_description(call: Call, request: requests.UpdateRoleDescriptionRequest) -> bytes:
    """Changes a role's description."""
    name = request.role_name
    assert name is not None
    role = call.engine.roles.change(
        call.account, lambda iam: iam.update_role(name, description=request.description)
    )
    return _role_answer(call, role)


def update_assume_role_policy(call: Call, request: requests.UpdateAssumeRolePolicyRequest) -> bytes:
    """Gives a role another trust policy."""
    name, document = request.role_name, request.policy_document
    assert name is not None and document is not None
    call.engine.roles.change(call.account, lambda iam: iam.set_trust_policy(name, document))
    return NOTHING


def put_role_permissions_boundary(
    call: Call, request: requests.PutRolePermissionsBoundaryRequest
) -> bytes:
    """Gives a role a permissions boundary."""
    name = request.role_name
    assert name is not None
    call.engine.roles.change(
        call.account, lambda iam: iam.set_boundary(name, request.permissions_boundary)
    )
    return NOTHING


def delete_role_permissions_boundary(
    call: Call, request: requests.DeleteRolePermissionsBoundaryRequest
) -> bytes:
    """Takes a role's permissions boundary away."""
    name = request.role_name
    assert name is not None
    call.engine.roles.change(call.account, lambda iam: iam.set_boundary(name, None))
    return NOTHING


def delete_role(call: Call, request: requests.DeleteRoleRequest) -> bytes:
    """Deletes a role that has no policies any more."""
    name = request.role_name
    assert name is not None
    call.engine.roles.change(call.account, lambda iam: iam.delete_role(name))
    return NOTHING


def list_roles(call: Call, request: requests.ListRolesRequest) -> bytes:
    """A page of the roles below a path."""
    iam = call.engine.roles.of(call.account)
    return write_page(
        "Roles",
        iam.roles(request.path_prefix or "/"),
        lambda role: role.name,
        lambda role: shown_role(iam, role, is_whole=False),
        request.marker,
        request.max_items,
    )


def list_instance_profiles_for_role(
    call: Call, request: requests.ListInstanceProfilesForRoleRequest
) -> bytes:
    """None: there are no instances here."""
    assert request.role_name is not None
    call.engine.roles.of(call.account).role(request.role_name)
    return encode_json({"InstanceProfiles": [], "IsTruncated": False})


def tag_role(call: Call, request: requests.TagRoleRequest) -> bytes:
    """Adds tags to a role, or replaces them."""
    name = request.role_name
    assert name is not None
    tags = read_tags(request.tags)
    call.engine.roles.change(call.account, lambda iam: iam.set_role_tags(name, tags))
    return NOTHING


def untag_role(call: Call, request: requests.UntagRoleRequest) -> bytes:
    """Takes tags from a role."""
    name, keys = request.role_name, request.tag_keys
    assert name is not None and keys is not None
    call.engine.roles.change(call.account, lambda iam: iam.set_role_tags(name, {}, keys))
    return NOTHING


def list_role_tags(call: Call, request: requests.ListRoleTagsRequest) -> bytes:
    """A page of a role's tags."""
    assert request.role_name is not None
    role = call.engine.roles.of(call.account).role(request.role_name)
    return write_page(
        "Tags",
        shown_tags(role.tags),
        lambda tag: tag["Key"],
        lambda tag: tag,
        request.marker,
        request.max_items,
    )


# Roles of services


def create_service_linked_role(
    call: Call, request: requests.CreateServiceLinkedRoleRequest
) -> bytes:
    """Makes the role of a service of AWS."""
    service = request.service_name
    assert service is not None
    name = _service_role_name(service, request.custom_suffix)
    now_ms = call.engine.now_ms()
    try:
        role = call.engine.roles.change(
            call.account,
            lambda iam: iam.create_service_role(
                service, name, now_ms, description=request.description
            ),
        )
    except AlreadyExists as error:
        raise invalid_input(
            f"Service role name {name} has been taken in this account, please try a different "
            "suffix."
        ) from error
    return _role_answer(call, role)


def delete_service_linked_role(
    call: Call, request: requests.DeleteServiceLinkedRoleRequest
) -> bytes:
    """Deletes the role of a service, at once; the task that it tells of is over."""
    name = request.role_name
    assert name is not None
    service = call.engine.roles.of(call.account).role(name).service
    if not service:
        raise invalid_input(f"The role {name} is not a service-linked role.")
    call.engine.roles.change(call.account, lambda iam: iam.delete_role(name, is_by_service=True))
    task = f"{_TASK}{service}/{name}/{format_uuid(call.engine.ids.unique_id())}"
    return encode_json({"DeletionTaskId": task})


def get_service_linked_role_deletion_status(
    call: Call, request: requests.GetServiceLinkedRoleDeletionStatusRequest
) -> bytes:
    """SUCCEEDED for every task that could be one of ours: none takes any time."""
    task = request.deletion_task_id
    assert task is not None
    if not task.startswith(_TASK) or task.count("/") != _TASK.count("/") + 2:
        raise no_such_entity(f"The deletion task with id {task} cannot be found.")
    return encode_json({"Status": "SUCCEEDED"})


def _service_role_name(service: str, suffix: str | None) -> str:
    if not service.endswith(_DOMAIN) or service == _DOMAIN:
        raise invalid_input(f"{service} is not a valid service name.")
    words = service.removesuffix(_DOMAIN).replace("-", ".").split(".")
    made_up = "".join(word[:1].upper() + word[1:] for word in reversed(words))
    name = _SERVICE_ROLE + _SERVICE_ROLES.get(service, made_up)
    if suffix is not None:
        name += f"_{suffix}"
    if len(name) > _ROLE_NAME_CHARACTERS_MAX:
        raise invalid_input(
            f"The role name {name} is longer than {_ROLE_NAME_CHARACTERS_MAX} characters."
        )
    return name


def _role_answer(call: Call, role: RoleRecord) -> bytes:
    iam = call.engine.roles.of(call.account)
    return encode_json({"Role": shown_role(iam, role)})
