"""Lambda operations on versions and aliases.

A version is what $LATEST was when it was published. An alias names a version, and may send a share
of the invocations to a second one.
"""

from __future__ import annotations

import msgspec

from eventcore.api.functions_address import (
    FunctionAddress,
    find_function,
    function_at,
    read_unqualified,
)
from eventcore.api.functions_answers import (
    LISTED,
    NOTHING,
    READY,
    ListAliasesAnswer,
    ListVersionsAnswer,
    alias_answer,
    configuration,
)
from eventcore.api.functions_faults import (
    function_not_found,
    invalid_value,
    not_found,
    resource_conflict,
    untyped_value,
)
from eventcore.api.functions_lifecycle import refuse_publish_to
from eventcore.api.functions_pages import page_of
from eventcore.api.functions_requests import (
    CreateAliasRequest,
    DeleteAliasRequest,
    GetAliasRequest,
    ListAliasesRequest,
    ListVersionsByFunctionRequest,
    PublishVersionRequest,
    RoutingShape,
    UpdateAliasRequest,
)
from eventcore.api.operation import Call
from eventcore.errors import AlreadyExists, NotFound
from eventcore.functions.function import Function
from eventcore.functions.function_spec import LATEST, AliasRecord, VersionRecord

__all__ = [
    "create_alias",
    "delete_alias",
    "get_alias",
    "list_aliases",
    "list_versions_by_function",
    "publish_version",
    "update_alias",
]


def publish_version(call: Call, request: PublishVersionRequest) -> bytes:
    """Publishes $LATEST; the version of before, when nothing has changed since."""
    function = find_function(call, request.function_name)
    refuse_publish_to(request.publish_to)
    current = function.latest.config.code.sha256
    if request.code_sha256 and request.code_sha256 != current:
        raise invalid_value(
            f"CodeSHA256 ({request.code_sha256}) is different from current CodeSHA256 in $LATEST "
            f"({current}). Please try again with the CodeSHA256 in $LATEST."
        )
    outcome = function.publish(
        call.engine.now_ms(),
        description=request.description or "",
        revision_id=request.revision_id or None,
    )
    version = call.engine.functions.run(function, outcome)
    return call.encode(configuration(function, version, f"{function.arn}:{version.version}", READY))


def list_versions_by_function(call: Call, request: ListVersionsByFunctionRequest) -> bytes:
    """A page of a function's versions: $LATEST, then the others as they were published."""
    function = find_function(call, request.function_name)
    versions, marker = page_of(
        function.versions(), _key_of_version, request.marker, request.max_items
    )
    shown = [
        configuration(function, version, f"{function.arn}:{version.version}", LISTED)
        for version in versions
    ]
    return call.encode(ListVersionsAnswer(shown, marker))


def _key_of_version(version: VersionRecord) -> str:
    return f"{0 if version.version == LATEST else int(version.version):020d}"


# Aliases


def create_alias(call: Call, request: CreateAliasRequest) -> bytes:
    """Creates an alias."""
    assert request.function_name is not None
    assert request.name is not None
    assert request.function_version is not None
    address = read_unqualified(call, request.function_name)
    version = request.function_version
    weights = _weights(request.routing_config) or {}
    function = function_at(call, msgspec.structs.replace(address, qualifier=version))
    _check_target(function, version, weights)
    outcome_of = function.put_alias
    try:
        alias = call.engine.functions.run(
            function,
            outcome_of(
                request.name,
                version,
                description=request.description or "",
                weights=weights,
                is_new=True,
            ),
        )
    except AlreadyExists as error:
        raise resource_conflict(f"Alias already exists: {function.arn}:{request.name}") from error
    return call.encode(alias_answer(function, alias))


def update_alias(call: Call, request: UpdateAliasRequest) -> bytes:
    """Changes an alias; what is not said stays as it is. An empty map of weights ends them."""
    function, before = _alias_of(call, request, "Alias not found")
    version = request.function_version or before.version
    weights = _weights(request.routing_config)
    if weights is None:
        weights = before.weights
    _check_target(function, version, weights)
    description = request.description
    outcome = function.put_alias(
        before.name,
        version,
        description=before.description if description is None else description,
        weights=weights,
        is_new=False,
        revision_id=request.revision_id or None,
    )
    return call.encode(alias_answer(function, call.engine.functions.run(function, outcome)))


def get_alias(call: Call, request: GetAliasRequest) -> bytes:
    """An alias."""
    return call.encode(alias_answer(*_alias_of(call, request, "Cannot find alias arn")))


def delete_alias(call: Call, request: DeleteAliasRequest) -> bytes:
    """Deletes an alias, with what is set for it. One that is not there is deleted already."""
    assert request.name is not None
    function = find_function(call, request.function_name)
    try:
        outcome = function.delete_alias(request.name)
    except NotFound:
        return NOTHING
    call.engine.functions.run(function, outcome)
    return NOTHING


def list_aliases(call: Call, request: ListAliasesRequest) -> bytes:
    """A page of a function's aliases by name: all, or those of one version."""
    function = find_function(call, request.function_name)
    aliases, marker = page_of(
        function.aliases(request.function_version),
        lambda alias: alias.name,
        request.marker,
        request.max_items,
    )
    shown = [alias_answer(function, alias) for alias in aliases]
    return call.encode(ListAliasesAnswer(shown, marker))


def _alias_of(
    call: Call, request: GetAliasRequest | UpdateAliasRequest, before_arn: str
) -> tuple[Function, AliasRecord]:
    assert request.function_name is not None
    assert request.name is not None
    address: FunctionAddress = read_unqualified(call, request.function_name)
    function = function_at(call, address)
    try:
        return function, function.alias(request.name)
    except NotFound as error:
        raise not_found(f"{before_arn}: {function.arn}:{request.name}") from error


def _weights(routing: RoutingShape | None) -> dict[str, float] | None:
    """The weights that a request gives; None where it says nothing of them."""
    if routing is None:
        return None
    weights = routing.additional_version_weights or {}
    if len(weights) > 1:
        raise invalid_value("Number of items in AdditionalVersionWeights cannot be greater than 1")
    return weights


def _check_target(function: Function, version: str, weights: dict[str, float]) -> None:
    """Raises the fault for versions that are not there, or cannot share an alias."""
    for other in weights:
        if other == version:
            raise invalid_value(
                f"Invalid function version {other}. Function version {other} is already included "
                "in routing configuration."
            )
    if weights and version == LATEST:
        raise untyped_value("$LATEST is not supported for an alias pointing to more than 1 version")
    for named in (version, *weights):
        try:
            function.version(named)
        except NotFound as error:
            raise function_not_found(f"{function.arn}:{named}") from error
