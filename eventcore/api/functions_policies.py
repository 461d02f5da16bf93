"""Lambda operations on the resource policies of functions, versions and aliases.

Policies are stored and shown, in AWS's form, and not enforced: whoever may call this broker may
call its functions.
"""

from __future__ import annotations

import re
from typing import Any, Final

from eventcore.api.functions_address import (
    FunctionAddress,
    function_at,
    is_version,
    read_address,
)
from eventcore.api.functions_answers import NOTHING, AddPermissionAnswer, GetPolicyAnswer
from eventcore.api.functions_faults import (
    function_not_found,
    invalid_value,
    make,
    not_found,
    precondition_failed,
    resource_conflict,
)
from eventcore.api.functions_requests import (
    AddPermissionRequest,
    GetPolicyRequest,
    RemovePermissionRequest,
)
from eventcore.api.operation import Call
from eventcore.codec import decode_json, encode_json
from eventcore.errors import AlreadyExists, LimitExceeded, NotFound, PreconditionFailed
from eventcore.functions.function import Function
from eventcore.functions.function_spec import LATEST, PolicyRecord, PolicyStatement

__all__ = ["add_permission", "get_policy", "remove_permission"]

_ACCOUNT: Final = re.compile(r"\d{12}", re.ASCII)
_IDENTITY: Final = re.compile(r"arn:aws[a-z-]*:(iam|sts)::(\d{12}|cloudfront):\S+", re.ASCII)
_SERVICE: Final = re.compile(r"[a-z0-9.-]+\.(amazonaws\.com(\.cn)?|amazon\.com)", re.ASCII)


def add_permission(call: Call, request: AddPermissionRequest) -> bytes:
    """Adds a statement to the policy of a function, or of a version or alias of it."""
    assert request.function_name is not None
    assert request.statement_id is not None
    address = read_address(call, request.function_name, request.qualifier)
    qualifier = address.qualifier
    if qualifier == LATEST:
        raise invalid_value("We currently do not support adding policies for $LATEST.")
    principal = _principal(request.principal or "")
    function = _function_with(call, address)
    text = encode_json(_statement(request, principal, address.qualified_arn)).decode()
    statement = PolicyStatement(request.statement_id, text)
    try:
        outcome = function.add_statement(qualifier, statement, request.revision_id or None)
    except AlreadyExists as error:
        raise resource_conflict(
            f"The statement id ({request.statement_id}) provided already exists. Please provide a "
            "new statement id, or remove the existing statement."
        ) from error
    except LimitExceeded as error:
        policy = function.policy(qualifier)
        size = len(text.encode()) + (0 if policy is None else len(_document(policy)))
        raise make(
            "PolicyLengthExceededException",
            f"The final policy size ({size}) is bigger than the limit ({error.value}).",
        ) from error
    except PreconditionFailed as error:
        raise precondition_failed("GetPolicy") from error
    call.engine.functions.run(function, outcome)
    return call.encode(AddPermissionAnswer(text))


def _principal(principal: str) -> Any:
    if principal == "*":
        return principal
    if _ACCOUNT.fullmatch(principal):
        return {"AWS": f"arn:aws:iam::{principal}:root"}
    if _IDENTITY.fullmatch(principal):
        return {"AWS": principal}
    if _SERVICE.fullmatch(principal):
        return {"Service": principal}
    raise invalid_value(
        "The provided principal was invalid. Please check the principal and try again."
    )


def _statement(request: AddPermissionRequest, principal: Any, arn: str) -> dict[str, Any]:
    equals = {
        "AWS:SourceAccount": request.source_account,
        "lambda:EventSourceToken": request.event_source_token,
        "lambda:FunctionUrlAuthType": request.function_url_auth_type,
        "aws:PrincipalOrgID": request.principal_org_id,
    }
    via_url = request.invoked_via_function_url
    conditions = {
        "StringEquals": equals,
        "Bool": {"lambda:InvokedViaFunctionUrl": None if via_url is None else str(via_url).lower()},
        "ArnLike": {"AWS:SourceArn": request.source_arn},
    }
    said = {
        operator: {key: value for key, value in keys.items() if value}
        for operator, keys in conditions.items()
        if any(keys.values())
    }
    statement: dict[str, Any] = {
        "Sid": request.statement_id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": request.action,
        "Resource": arn,
    }
    return {**statement, "Condition": said} if said else statement


def remove_permission(call: Call, request: RemovePermissionRequest) -> bytes:
    """Removes a statement. The policy goes with its last one."""
    assert request.function_name is not None
    assert request.statement_id is not None
    address = read_address(call, request.function_name, request.qualifier)
    try:
        function = call.engine.functions.find(address.arn)
    except NotFound as error:
        raise not_found(f"No policy found for: {address.qualified_arn}") from error
    call.engine.look(function)
    qualifier = address.qualifier
    _check_qualifier(function, address)
    if qualifier == LATEST or function.policy(qualifier) is None:
        raise not_found("No policy is associated with the given resource.")
    try:
        outcome = function.remove_statement(
            qualifier, request.statement_id, request.revision_id or None
        )
    except NotFound as error:
        raise not_found(
            f"Statement {request.statement_id} is not found in resource policy."
        ) from error
    except PreconditionFailed as error:
        raise precondition_failed("GetPolicy") from error
    call.engine.functions.run(function, outcome)
    return NOTHING


def get_policy(call: Call, request: GetPolicyRequest) -> bytes:
    """The policy of a function, or of a version or alias of it."""
    assert request.function_name is not None
    address = read_address(call, request.function_name, request.qualifier)
    policy = None
    try:
        function = call.engine.functions.find(address.arn)
    except NotFound:
        call.engine.look_at_everything()
    else:
        call.engine.look(function)
        policy = None if address.qualifier == LATEST else function.policy(address.qualifier)
    if policy is None or not policy.statements:
        raise not_found("The resource you requested does not exist.")
    return call.encode(GetPolicyAnswer(_document(policy).decode(), policy.revision_id))


def _document(policy: PolicyRecord) -> bytes:
    statements = [decode_json(statement.text) for statement in policy.statements]
    return encode_json({"Version": "2012-10-17", "Id": "default", "Statement": statements})


def _function_with(call: Call, address: FunctionAddress) -> Function:
    """The function of an address, which has the qualifier."""
    function = function_at(call, address)
    _check_qualifier(function, address)
    return function


def _check_qualifier(function: Function, address: FunctionAddress) -> None:
    qualifier = address.qualifier
    if qualifier is None:
        return
    try:
        if is_version(qualifier):
            function.version(qualifier)
        else:
            function.alias(qualifier)
    except NotFound as error:
        if is_version(qualifier) or "$" in qualifier:
            raise function_not_found(address.qualified_arn) from error
        raise not_found(f"Cannot find alias arn: {address.qualified_arn}") from error
