"""Request structs of invocations and of the settings of functions (asynchronous invocations,
concurrency, loops), and what Lambda's model allows of their members: as in botocore's model of
2015-03-31.

Every member is optional in the structs; the constraints say what is missing. They stand beside each
other in the order in which AWS tells what a request breaks: the qualifier goes first.
`tests/wire/test_models_lambda_settings.py` compares both with the model.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.api.constraints import (
    Choice,
    Member,
    Members,
    Number,
    Rule,
    Text,
    broken_constraints,
    member_name,
    validation_errors,
)
from eventcore.api.functions_address import (
    FUNCTION_PATTERN,
    NAMESPACED_PATTERN,
    QUALIFIER_PATTERN,
    REGION_PATTERN,
)
from eventcore.api.functions_requests import wire_name
from eventcore.api.mappings_constraints import DESTINATION
from eventcore.api.mappings_requests import DestinationConfigShape

__all__ = [
    "CONSTRAINTS",
    "DeleteFunctionConcurrencyRequest",
    "DeleteFunctionEventInvokeConfigRequest",
    "DeleteProvisionedConcurrencyConfigRequest",
    "GetAccountSettingsRequest",
    "GetFunctionConcurrencyRequest",
    "GetFunctionEventInvokeConfigRequest",
    "GetFunctionRecursionConfigRequest",
    "GetProvisionedConcurrencyConfigRequest",
    "InvokeAsyncRequest",
    "InvokeRequest",
    "InvokeWithResponseStreamRequest",
    "ListFunctionEventInvokeConfigsRequest",
    "ListProvisionedConcurrencyConfigsRequest",
    "PutFunctionConcurrencyRequest",
    "PutFunctionEventInvokeConfigRequest",
    "PutFunctionRecursionConfigRequest",
    "PutProvisionedConcurrencyConfigRequest",
    "UpdateFunctionEventInvokeConfigRequest",
    "check",
]


class _OfFunction(msgspec.Struct, frozen=True, gc=False, rename=wire_name):
    """Names a function. Members are snake case here; see `wire_name`."""

    function_name: str | None = None


class _OfQualified(_OfFunction, frozen=True):
    """Names a function, or a version or an alias of it."""

    qualifier: str | None = None


class _Page(_OfFunction, frozen=True):
    """A page of a list about a function."""

    marker: str | None = None
    max_items: int | None = None


# Invocations


class InvokeRequest(_OfQualified, frozen=True):
    """An invocation. `payload` is the raw body."""

    invocation_type: str | None = None
    log_type: str | None = None
    client_context: str | None = None
    durable_execution_name: str | None = None
    tenant_id: str | None = None
    payload: bytes | None = None


class InvokeWithResponseStreamRequest(_OfQualified, frozen=True):
    """An invocation whose answer is sent in parts."""

    invocation_type: str | None = None
    log_type: str | None = None
    client_context: str | None = None
    tenant_id: str | None = None
    payload: bytes | None = None


class InvokeAsyncRequest(_OfFunction, frozen=True):
    """An event, in the operation that came before Invoke."""

    invoke_args: bytes | None = None


# Asynchronous invocations


class _EventInvokeConfig(_OfQualified, frozen=True):
    """How asynchronous invocations are tried, and where they end."""

    maximum_retry_attempts: int | None = None
    maximum_event_age_in_seconds: int | None = None
    destination_config: DestinationConfigShape | None = None


class PutFunctionEventInvokeConfigRequest(_EventInvokeConfig, frozen=True):
    """All of a configuration. What is not named has AWS's default."""


class UpdateFunctionEventInvokeConfigRequest(_EventInvokeConfig, frozen=True):
    """Changes of a configuration. What is not named stays as it is."""


class GetFunctionEventInvokeConfigRequest(_OfQualified, frozen=True):
    """Whose configuration."""


class DeleteFunctionEventInvokeConfigRequest(_OfQualified, frozen=True):
    """Whose configuration."""


class ListFunctionEventInvokeConfigsRequest(_Page, frozen=True):
    """The configurations of a function, its versions and aliases."""


# Concurrency


class PutFunctionConcurrencyRequest(_OfFunction, frozen=True):
    """What a function has for itself."""

    reserved_concurrent_executions: int | None = None


class GetFunctionConcurrencyRequest(_OfFunction, frozen=True):
    """Whose reservation."""


class DeleteFunctionConcurrencyRequest(_OfFunction, frozen=True):
    """Whose reservation."""


class PutProvisionedConcurrencyConfigRequest(_OfQualified, frozen=True):
    """How many environments are kept initialised."""

    provisioned_concurrent_executions: int | None = None


class GetProvisionedConcurrencyConfigRequest(_OfQualified, frozen=True):
    """Whose environments."""


class DeleteProvisionedConcurrencyConfigRequest(_OfQualified, frozen=True):
    """Whose environments."""


class ListProvisionedConcurrencyConfigsRequest(_Page, frozen=True):
    """The provisioned concurrency of a function's versions and aliases."""


# The rest


class GetFunctionRecursionConfigRequest(_OfFunction, frozen=True):
    """Whose setting."""


class PutFunctionRecursionConfigRequest(_OfFunction, frozen=True):
    """What becomes of a recursive loop."""

    recursive_loop: str | None = None


class GetAccountSettingsRequest(msgspec.Struct, frozen=True, gc=False):
    """The caller's account."""


# Constraints

_NAME: Final = Text(1, 140, FUNCTION_PATTERN)
_NAMESPACED: Final = Text(1, 256, NAMESPACED_PATTERN)
_UNQUALIFIED: Final = Text(
    1,
    140,
    rf"(arn:(aws[a-zA-Z-]*)?:lambda:)?({REGION_PATTERN}:)?(\d{{12}}:)?(function:)?([a-zA-Z0-9-_]+)",
)
_QUALIFIER: Final = Text(1, 128, QUALIFIER_PATTERN)
_NARROW_QUALIFIER: Final = Text(1, 128, "(|[a-zA-Z0-9$_-]+)")
_PAGE_MAX: Final = Number(1, 50)
_DESTINATION: Final = Members((Member("destination", "destination", DESTINATION),))
_DESTINATIONS: Final = Members(
    (
        Member("on_success", "onSuccess", _DESTINATION),
        Member("on_failure", "onFailure", _DESTINATION),
    )
)
_TYPE_ANSWERED: Final = Choice(("RequestResponse", "DryRun"))

_RULES: Final[dict[str, Rule]] = {
    "destination_config": _DESTINATIONS,
    "durable_execution_name": Text(1, 64, "[a-zA-Z0-9-_]+"),
    "invocation_type": Choice(("Event", "RequestResponse", "DryRun")),
    "log_type": Choice(("None", "Tail")),
    "max_items": _PAGE_MAX,
    "maximum_event_age_in_seconds": Number(60, 21_600),
    "maximum_retry_attempts": Number(0, 2),
    "provisioned_concurrent_executions": Number(1),
    "qualifier": _QUALIFIER,
    "recursive_loop": Choice(("Terminate", "Allow")),
    "reserved_concurrent_executions": Number(0),
    "tenant_id": Text(1, 256, r"[a-zA-Z0-9\._:\/=+\-@ ]+"),
}
"""By the attribute's name, where a request has no rule of its own."""


def _members(
    of: type[msgspec.Struct], name: Text | None, required: str, own: dict[str, Rule]
) -> Members:
    """The constraints of a request: `name` is that of its FunctionName, which is always required,
    `required` are the others that are, `own` are rules that are not those of other requests.
    """
    rules = {**_RULES, **own}
    members = []
    for field in msgspec.structs.fields(of):
        rule = name if field.name == "function_name" else rules.get(field.name)
        is_required = field.name == "function_name" or field.name in required.split()
        members.append(Member(field.name, member_name(field.encode_name), rule, is_required))
    members.sort(key=lambda member: member.attribute != "qualifier")
    return Members(tuple(members))


_NARROW: Final[dict[str, Rule]] = {"qualifier": _NARROW_QUALIFIER}
_REQUESTS: Final[tuple[tuple[type[msgspec.Struct], Text | None, str, dict[str, Rule]], ...]] = (
    (InvokeRequest, _NAMESPACED, "", {}),
    (InvokeAsyncRequest, _NAMESPACED, "invoke_args", {}),
    (InvokeWithResponseStreamRequest, _NAMESPACED, "", {"invocation_type": _TYPE_ANSWERED}),
    (PutFunctionEventInvokeConfigRequest, _NAMESPACED, "", {}),
    (UpdateFunctionEventInvokeConfigRequest, _NAMESPACED, "", {}),
    (GetFunctionEventInvokeConfigRequest, _NAMESPACED, "", {}),
    (DeleteFunctionEventInvokeConfigRequest, _NAMESPACED, "", {}),
    (ListFunctionEventInvokeConfigsRequest, _NAMESPACED, "", {}),
    (PutFunctionConcurrencyRequest, _NAME, "reserved_concurrent_executions", {}),
    (GetFunctionConcurrencyRequest, _NAME, "", {}),
    (DeleteFunctionConcurrencyRequest, _NAME, "", {}),
    (
        PutProvisionedConcurrencyConfigRequest,
        _NAME,
        "qualifier provisioned_concurrent_executions",
        _NARROW,
    ),
    (GetProvisionedConcurrencyConfigRequest, _NAME, "qualifier", _NARROW),
    (DeleteProvisionedConcurrencyConfigRequest, _NAME, "qualifier", _NARROW),
    (ListProvisionedConcurrencyConfigsRequest, _NAME, "", {}),
    (GetFunctionRecursionConfigRequest, _UNQUALIFIED, "", {}),
    (PutFunctionRecursionConfigRequest, _UNQUALIFIED, "recursive_loop", {}),
    (GetAccountSettingsRequest, None, "", {}),
)

CONSTRAINTS: Final = {
    of: _members(of, name, required, own) for of, name, required, own in _REQUESTS
}
"""What is allowed of each request."""


def check(request: msgspec.Struct) -> None:
    """Raises Fault ValidationException with all that the request breaks of the model."""
    broken = broken_constraints(CONSTRAINTS[type(request)], request)
    if broken:
        raise validation_errors(broken)
