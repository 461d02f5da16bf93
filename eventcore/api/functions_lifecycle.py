"""Lambda operations on functions as such: from CreateFunction to DeleteFunction.

A function is there, and can be invoked, as soon as the answer has left. `functions_answers` says
what is told of its state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from eventcore import limits
from eventcore.api.functions_address import (
    find_function,
    function_at,
    read_address,
    read_unqualified,
    version_at,
)
from eventcore.api.functions_answers import (
    CREATING,
    LISTED,
    NOTHING,
    READY,
    UPDATING,
    ConfigurationAnswer,
    GetFunctionAnswer,
    ListFunctionsAnswer,
    configuration,
)
from eventcore.api.functions_code import code_location, zip_of
from eventcore.api.functions_config import first_config, next_config
from eventcore.api.functions_faults import (
    access_denied,
    function_already_exists,
    invalid_value,
    precondition_failed,
    resource_conflict,
)
from eventcore.api.functions_pages import page_of
from eventcore.api.functions_requests import (
    CreateFunctionRequest,
    DeleteFunctionRequest,
    GetFunctionConfigurationRequest,
    GetFunctionRequest,
    ListFunctionsRequest,
    UpdateFunctionCodeRequest,
    UpdateFunctionConfigurationRequest,
)
from eventcore.api.functions_tags import check_tag_count
from eventcore.api.operation import Call
from eventcore.errors import AlreadyExists, Conflict, NotFound
from eventcore.functions.code import code_sha256
from eventcore.functions.function import Function
from eventcore.functions.function_spec import LATEST, VersionRecord

__all__ = [
    "create_function",
    "delete_function",
    "get_function",
    "get_function_configuration",
    "list_functions",
    "refuse_publish_to",
    "update_function_code",
    "update_function_configuration",
]

_Versioned = tuple[Function, VersionRecord]


def refuse_publish_to(publish_to: str | None) -> None:
    """Raises the fault for a version of the one kind that only capacity providers run."""
    if publish_to is not None:
        raise invalid_value("eventcore does not support capacity providers.")


def create_function(call: Call, request: CreateFunctionRequest) -> bytes:
    """Creates a function from a zip."""
    assert request.function_name is not None
    assert request.code is not None
    address = read_unqualified(call, request.function_name)
    if len(address.name) > limits.FUNCTION_NAME_CHARACTERS_MAX:
        # AWS tells a constraint here, and not with the code of one.
        raise invalid_value(
            f"1 validation error detected: Value '{address.name}' at 'functionName' failed to "
            "satisfy constraint: Member must have length less than or equal to "
            f"{limits.FUNCTION_NAME_CHARACTERS_MAX}"
        )
    if address.account != call.account:
        raise access_denied()
    refuse_publish_to(request.publish_to)
    config = first_config(request)
    tags = request.tags or {}
    check_tag_count(tags)
    zip_bytes = zip_of(request.code, is_update=False)
    publish = request.publish or False
    try:
        function = call.engine.functions.create(
            address.arn, config, zip_bytes, tags=tags, publish=publish
        )
    except AlreadyExists as error:
        raise function_already_exists(address.name) from error
    version = function.versions()[-1] if publish else function.latest
    return call.encode(configuration(function, version, function.arn, CREATING))


def get_function(call: Call, request: GetFunctionRequest) -> bytes:
    """A function's or version's configuration, where its code is, its tags."""
    assert request.function_name is not None
    address = read_address(call, request.function_name, request.qualifier)
    function, version = version_at(call, address)
    reserved = function.record.reserved
    return call.encode(
        GetFunctionAnswer(
            configuration(function, version, address.qualified_arn, READY),
            code_location(call, function, version),
            function.record.tags or None,
            None if reserved is None else {"ReservedConcurrentExecutions": reserved},
        )
    )


def get_function_configuration(call: Call, request: GetFunctionConfigurationRequest) -> bytes:
    """A function's or version's configuration."""
    assert request.function_name is not None
    address = read_address(call, request.function_name, request.qualifier)
    function, version = version_at(call, address)
    return call.encode(configuration(function, version, address.qualified_arn, READY))


def list_functions(call: Call, request: ListFunctionsRequest) -> bytes:
    """A page of the functions of the caller's account and region, by name. FunctionVersion=ALL
    lists their published versions, too.
    """
    functions = call.engine.functions.all_of(call.account, call.region)
    if request.function_version is None:
        page, marker = page_of(
            functions, lambda function: function.name, request.marker, request.max_items
        )
        shown = [
            configuration(function, function.latest, function.arn, LISTED) for function in page
        ]
        return call.encode(ListFunctionsAnswer(shown, marker))
    every: Sequence[_Versioned] = [
        (function, version) for function in functions for version in function.versions()
    ]
    versions, marker = page_of(every, _key_of_version, request.marker, request.max_items)
    return call.encode(ListFunctionsAnswer([_listed(*entry) for entry in versions], marker))


def _key_of_version(entry: _Versioned) -> str:
    """In the order of names, and of versions: $LATEST before the numbers, those as numbers."""
    function, version = entry
    number = 0 if version.version == LATEST else int(version.version)
    # A blank goes before all characters of names: "a" with its versions before "a-b".
    return f"{function.name} {number:020d}"


def _listed(function: Function, version: VersionRecord) -> ConfigurationAnswer:
    return configuration(function, version, f"{function.arn}:{version.version}", LISTED)


def update_function_configuration(call: Call, request: UpdateFunctionConfigurationRequest) -> bytes:
    """Changes the configuration of $LATEST."""
    function = find_function(call, request.function_name)
    config = next_config(function.latest.config, request)
    now_ms = call.engine.now_ms()
    outcome = function.update_config(config, now_ms, revision_id=request.revision_id)
    version = call.engine.functions.run(function, outcome)
    return call.encode(configuration(function, version, function.arn, UPDATING))


def update_function_code(call: Call, request: UpdateFunctionCodeRequest) -> bytes:
    """Replaces the code of $LATEST, and publishes it if that is asked for."""
    function = find_function(call, request.function_name)
    refuse_publish_to(request.publish_to)
    zip_bytes = zip_of(request, is_update=True)
    architecture = request.architectures[0] if request.architectures else None
    if request.dry_run:
        return call.encode(_dry_run(function, zip_bytes, request))
    functions, now_ms = call.engine.functions, call.engine.now_ms()
    outcome = function.update_code(
        zip_bytes, "", now_ms, revision_id=request.revision_id, architecture=architecture
    )
    version = functions.run(function, outcome)
    if not request.publish:
        return call.encode(configuration(function, version, function.arn, UPDATING))
    version = functions.run(function, function.publish(now_ms))
    return call.encode(
        configuration(function, version, f"{function.arn}:{version.version}", CREATING)
    )


def _dry_run(
    function: Function, zip_bytes: bytes, request: UpdateFunctionCodeRequest
) -> ConfigurationAnswer:
    """The configuration as it would be."""
    if request.revision_id not in (None, function.latest.revision_id):
        raise precondition_failed()
    shown = configuration(function, function.latest, function.arn, READY)
    architectures = request.architectures or shown.architectures
    return msgspec.structs.replace(
        shown,
        code_sha256=code_sha256(zip_bytes),
        code_size=len(zip_bytes),
        architectures=architectures,
    )


_ALIAS_CHARACTERS: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
)


def delete_function(call: Call, request: DeleteFunctionRequest) -> bytes:
    """Deletes a function with all of it, or one version. A version that is not there is deleted
    already.
    """
    assert request.function_name is not None
    address = read_address(call, request.function_name, request.qualifier)
    qualifier = address.qualifier
    if qualifier == LATEST:
        raise invalid_value("$LATEST version cannot be deleted without deleting the function.")
    if (
        qualifier is not None
        and not qualifier.isdigit()
        and _ALIAS_CHARACTERS.issuperset(qualifier)
    ):
        raise invalid_value("Deletion of aliases is not currently supported.")
    function = function_at(call, msgspec.structs.replace(address, qualifier=None))
    if qualifier is None:
        call.engine.functions.delete(function)
        return NOTHING
    try:
        call.engine.functions.run(function, function.delete_version(qualifier))
    except NotFound:
        pass
    except Conflict as error:
        names = [
            alias.name
            for alias in function.aliases()
            if qualifier in (alias.version, *alias.weights)
        ]
        raise resource_conflict(
            "Unable to delete version because the following aliases reference it: "
            f"[{', '.join(names)}]"
        ) from error
    return NOTHING
