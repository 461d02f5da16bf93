"""IAM's errors: their codes, statuses and texts, which are those that AWS sends.

NoSuchEntity is 404, EntityAlreadyExists, DeleteConflict and LimitExceeded are 409, the others 400.
"""

from __future__ import annotations

from typing import Final

from eventcore.api.operation import ErrorMap
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    UnsupportedOperation,
)
from eventcore.wire.fault import Fault

__all__ = ["ERRORS", "invalid_input", "no_such_entity"]

_NOT_FOUND_STATUS: Final = 404
_CONFLICT_STATUS: Final = 409
_FORBIDDEN_STATUS: Final = 403

_NOT_FOUND: Final = {
    "role": "The role with name {0} cannot be found.",
    "role policy": "The role policy with name {0} cannot be found.",
    "boundary": "Role {0} does not have a permissions boundary.",
    "attached policy": "Policy {0} was not found.",
    "attachable policy": "Policy {0} does not exist or is not attachable.",
    "policy": "Policy {0} was not found.",
    "policy version": "Policy {1} version {0} does not exist or is not attachable.",
}
_EXISTS: Final = {
    "role": "Role with name {0} already exists.",
    "policy": "A policy called {0} already exists. Duplicate names are not allowed.",
}
_DELETE_CONFLICTS: Final = {
    "attached": "Cannot delete a policy attached to entities.",
    "attached policies": "Cannot delete entity, must detach all policies first.",
    "default version": "Cannot delete the default version of a policy.",
    "inline policies": "Cannot delete entity, must delete policies first.",
    "several versions": "This policy has more than one version. Before you delete a policy, you "
    "must delete the policy's versions. The default version is deleted with the policy.",
}
_LIMITS: Final = {
    "INLINE_POLICIES_CHARACTERS_MAX": "Maximum policy size of {value} bytes exceeded for role "
    "{detail}",
    "MANAGED_POLICY_CHARACTERS_MAX": "Cannot exceed quota for PolicySize: {value}",
    "MANAGED_POLICY_VERSIONS_MAX": "A managed policy can have up to {value} versions. Before you "
    "create a new version, you must delete an existing version.",
    "ROLES_MAX": "Cannot exceed quota for {counted}: {value}",
    "ROLE_POLICIES_MAX": "Cannot exceed quota for PoliciesPerRole: {value}",
    "TAGS_MAX": "The number of tags has reached the maximum limit.",
    "TRUST_POLICY_CHARACTERS_MAX": "Cannot exceed quota for ACLSizePerRole: {value}",
}
_COUNTED: Final = {"role": "RolesPerAccount", "policy": "PoliciesPerAccount"}
"""Whose number per account ROLES_MAX bounds, by the core's kind."""


def no_such_entity(message: str) -> Fault:
    """NoSuchEntity with a text of the caller's."""
    return Fault("NoSuchEntity", message, status=_NOT_FOUND_STATUS)


def invalid_input(message: str) -> Fault:
    """InvalidInput."""
    return Fault("InvalidInput", message)


def _not_found(error: NotFound) -> Fault:
    return no_such_entity(_NOT_FOUND[error.kind].format(error.name, error.parent))


def _already_exists(error: AlreadyExists) -> Fault:
    return Fault(
        "EntityAlreadyExists", _EXISTS[error.kind].format(error.name), status=_CONFLICT_STATUS
    )


def _conflict(error: Conflict) -> Fault:
    if error.reason == "protected":
        return Fault(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{error.name}' - this role is "
            "only modifiable by AWS",
        )
    if error.reason == "of AWS":
        return Fault(
            "AccessDenied",
            f"Policy {error.name} belongs to AWS and cannot be changed.",
            status=_FORBIDDEN_STATUS,
        )
    return Fault("DeleteConflict", _DELETE_CONFLICTS[error.reason], status=_CONFLICT_STATUS)


def _limit_exceeded(error: LimitExceeded) -> Fault:
    counted = _COUNTED.get(error.detail, "")
    message = _LIMITS[error.limit].format(value=error.value, detail=error.detail, counted=counted)
    return Fault("LimitExceeded", message, status=_CONFLICT_STATUS)


def _invalid_parameter(error: InvalidParameter) -> Fault:
    if error.name == "policy_document":
        return Fault("MalformedPolicyDocument", error.reason)
    return invalid_input(error.reason)


def _unsupported(error: UnsupportedOperation) -> Fault:
    return Fault("UnsupportedOperation", str(error), status=501)


ERRORS: Final[ErrorMap] = {
    AlreadyExists: _already_exists,
    Conflict: _conflict,
    InvalidParameter: _invalid_parameter,
    LimitExceeded: _limit_exceeded,
    NotFound: _not_found,
    UnsupportedOperation: _unsupported,
}
