"""Settings of functions: how asynchronous invocations are tried and where they end, what becomes of
recursive loops; and what the account has.

Rules of this file (AWS's answers):

- A configuration of asynchronous invocations belongs to a qualifier: to "$LATEST", a version or an
  alias, the last whatever version it stands for.
- Lists are in the order of the qualifiers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.functions_address import (
    FunctionAddress,
    find_function,
    function_at,
    read_address,
    version_at,
)
from eventcore.api.functions_answers import NOTHING
from eventcore.api.functions_concurrency import CONCURRENCY_OPERATIONS
from eventcore.api.functions_destinations import check_async_destinations, destination_of
from eventcore.api.functions_faults import invalid_value, not_found
from eventcore.api.functions_pages import page_of
from eventcore.api.functions_settings_answers import (
    AccountLimitShape,
    AccountSettingsAnswer,
    AccountUsageShape,
    EventInvokeConfigAnswer,
    ListEventInvokeConfigsAnswer,
    RecursionConfigAnswer,
)
from eventcore.api.functions_settings_requests import (
    DeleteFunctionEventInvokeConfigRequest,
    GetAccountSettingsRequest,
    GetFunctionEventInvokeConfigRequest,
    GetFunctionRecursionConfigRequest,
    ListFunctionEventInvokeConfigsRequest,
    PutFunctionEventInvokeConfigRequest,
    PutFunctionRecursionConfigRequest,
    UpdateFunctionEventInvokeConfigRequest,
    check,
)
from eventcore.api.mappings_requests import DestinationConfigShape, DestinationShape
from eventcore.api.operation import Call
from eventcore.api.rest import RestOperation
from eventcore.functions.function import Function
from eventcore.functions.function_spec import LATEST, InvokeConfig
from eventcore.wire.fault import Fault

__all__ = ["SETTINGS_OPERATIONS"]

TOTAL_CODE_BYTES_MAX: Final = 80_530_636_800
"""What AWS tells of an account. Nothing is bounded by it here."""


# Asynchronous invocations


def put_function_event_invoke_config(
    call: Call, request: PutFunctionEventInvokeConfigRequest
) -> bytes:
    """Says how asynchronous invocations are tried, and where they end."""
    check(request)
    address, function = _invoked_function(call, request.function_name, request.qualifier)
    _require_some(request)
    destinations = request.destination_config or DestinationConfigShape()
    check_async_destinations(call, function.arn, destinations)
    config = InvokeConfig(
        call.engine.now_ms(),
        request.maximum_retry_attempts,
        _ms(request.maximum_event_age_in_seconds),
        destination_of(destinations.on_success),
        destination_of(destinations.on_failure),
    )
    return _set_invoke_config(call, function, address, config)


def update_function_event_invoke_config(
    call: Call, request: UpdateFunctionEventInvokeConfigRequest
) -> bytes:
    """Changes some of it. A destination that is named empty is taken away."""
    check(request)
    address, function = _invoked_function(call, request.function_name, request.qualifier)
    _require_some(request)
    config = function.invoke_config(address.qualifier or LATEST)
    if config is None:
        raise _no_invoke_config(address)
    changes: dict[str, Any] = {"modified_ms": call.engine.now_ms()}
    if request.maximum_retry_attempts is not None:
        changes["retries_max"] = request.maximum_retry_attempts
    if request.maximum_event_age_in_seconds is not None:
        changes["age_ms_max"] = _ms(request.maximum_event_age_in_seconds)
    destinations = request.destination_config or DestinationConfigShape()
    check_async_destinations(call, function.arn, destinations)
    if destinations.on_success is not None:
        changes["on_success"] = destination_of(destinations.on_success)
    if destinations.on_failure is not None:
        changes["on_failure"] = destination_of(destinations.on_failure)
    return _set_invoke_config(call, function, address, msgspec.structs.replace(config, **changes))


def get_function_event_invoke_config(
    call: Call, request: GetFunctionEventInvokeConfigRequest
) -> bytes:
    """Tells how asynchronous invocations are tried, and where they end."""
    check(request)
    address, _, config = _find_invoke_config(call, request.function_name, request.qualifier)
    return call.encode(_config_answer(address.arn, address.qualifier or LATEST, config))


def delete_function_event_invoke_config(
    call: Call, request: DeleteFunctionEventInvokeConfigRequest
) -> bytes:
    """Goes back to AWS's defaults."""
    check(request)
    address, function, _ = _find_invoke_config(call, request.function_name, request.qualifier)
    outcome = function.set_invoke_config(address.qualifier or LATEST, None)
    call.engine.functions.run(function, outcome)
    return NOTHING


def list_function_event_invoke_configs(
    call: Call, request: ListFunctionEventInvokeConfigsRequest
) -> bytes:
    """The configurations of a function, its versions and aliases."""
    check(request)
    address = read_address(call, request.function_name or "")
    function = _existing(call, msgspec.structs.replace(address, qualifier=None))
    call.engine.look(function)
    configs = function.invoke_configs()
    page, marker = page_of(sorted(configs), str, request.marker, request.max_items)
    answers = [_config_answer(function.arn, qualifier, configs[qualifier]) for qualifier in page]
    return call.encode(ListEventInvokeConfigsAnswer(answers, marker))


def _require_some(
    request: PutFunctionEventInvokeConfigRequest | UpdateFunctionEventInvokeConfigRequest,
) -> None:
    settings = (
        request.maximum_retry_attempts,
        request.maximum_event_age_in_seconds,
        request.destination_config,
    )
    if all(setting is None for setting in settings):
        raise invalid_value(
            "You must specify at least one of error handling or destination setting."
        )


def _invoked_function(
    call: Call, name: str | None, qualifier: str | None
) -> tuple[FunctionAddress, Function]:
    address = read_address(call, name or "", qualifier)
    return address, _existing(call, address)


def _existing(call: Call, address: FunctionAddress) -> Function:
    """The function of an address, which exists with its qualifier, in the words of the operations
    on asynchronous invocations.
    """
    try:
        return version_at(call, address)[0]
    except Fault as error:
        raise not_found("The function doesn't exist.") from error


def _find_invoke_config(
    call: Call, name: str | None, qualifier: str | None
) -> tuple[FunctionAddress, Function, InvokeConfig]:
    address = read_address(call, name or "", qualifier)
    try:
        function = function_at(call, address)
    except Fault as error:
        raise _no_invoke_config(address) from error
    call.engine.look(function)
    config = function.invoke_config(address.qualifier or LATEST)
    if config is None:
        raise _no_invoke_config(address)
    return address, function, config


def _set_invoke_config(
    call: Call, function: Function, address: FunctionAddress, config: InvokeConfig
) -> bytes:
    qualifier = address.qualifier or LATEST
    call.engine.functions.run(function, function.set_invoke_config(qualifier, config))
    return call.encode(_config_answer(function.arn, qualifier, config))


def _config_answer(arn: str, qualifier: str, config: InvokeConfig) -> EventInvokeConfigAnswer:
    age_ms = config.age_ms_max
    return EventInvokeConfigAnswer(
        config.modified_ms / 1000,
        f"{arn}:{qualifier}",
        DestinationConfigShape(
            DestinationShape(config.on_success), DestinationShape(config.on_failure)
        ),
        config.retries_max,
        None if age_ms is None else age_ms // 1000,
    )


def _no_invoke_config(address: FunctionAddress) -> Fault:
    arn = f"{address.arn}:{address.qualifier or LATEST}"
    return not_found(f"The function {arn} doesn't have an EventInvokeConfig")


def _ms(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


# Loops, and the account


def get_function_recursion_config(call: Call, request: GetFunctionRecursionConfigRequest) -> bytes:
    """Tells what becomes of a recursive loop."""
    check(request)
    function = find_function(call, request.function_name)
    call.engine.look(function)
    return call.encode(RecursionConfigAnswer(function.record.recursive_loop))


def put_function_recursion_config(call: Call, request: PutFunctionRecursionConfigRequest) -> bytes:
    """Says whether a recursive loop is ended."""
    check(request)
    assert request.recursive_loop is not None
    function = find_function(call, request.function_name)
    outcome = function.set_recursive_loop(request.recursive_loop)
    call.engine.functions.run(function, outcome)
    return call.encode(RecursionConfigAnswer(request.recursive_loop))


def get_account_settings(call: Call, request: GetAccountSettingsRequest) -> bytes:
    """Tells an account's quotas in a region, and what it has there."""
    functions = call.engine.functions
    found = functions.all_of(call.account, call.region)
    quota = call.engine.quotas.function_concurrency_max
    answer = AccountSettingsAnswer(
        AccountLimitShape(
            TOTAL_CODE_BYTES_MAX,
            limits.UNZIPPED_BYTES_MAX,
            limits.ZIP_BYTES_MAX,
            limits.FUNCTION_CONCURRENCY_MAX if quota is None else quota,
            functions.unreserved(call.account, call.region),
        ),
        AccountUsageShape(_code_bytes(found), len(found)),
    )
    return call.encode(answer)


def _code_bytes(functions: Sequence[Function]) -> int:
    return sum(
        version.config.code.size_bytes for function in functions for version in function.versions()
    )


_INVOKE_CONFIG: Final = "/2019-09-25/functions/{FunctionName}/event-invoke-config"
_RECURSION: Final = "/2024-08-31/functions/{FunctionName}/recursion-config"
_PAGE: Final = ("Marker", "MaxItems")
_QUALIFIER: Final = ("Qualifier",)

SETTINGS_OPERATIONS: Final[tuple[RestOperation[Any], ...]] = (
    *CONCURRENCY_OPERATIONS,
    RestOperation(
        "PutFunctionEventInvokeConfig",
        PutFunctionEventInvokeConfigRequest,
        put_function_event_invoke_config,
        "PUT",
        _INVOKE_CONFIG,
        query=_QUALIFIER,
    ),
    RestOperation(
        "UpdateFunctionEventInvokeConfig",
        UpdateFunctionEventInvokeConfigRequest,
        update_function_event_invoke_config,
        "POST",
        _INVOKE_CONFIG,
        query=_QUALIFIER,
    ),
    RestOperation(
        "GetFunctionEventInvokeConfig",
        GetFunctionEventInvokeConfigRequest,
        get_function_event_invoke_config,
        "GET",
        _INVOKE_CONFIG,
        query=_QUALIFIER,
    ),
    RestOperation(
        "DeleteFunctionEventInvokeConfig",
        DeleteFunctionEventInvokeConfigRequest,
        delete_function_event_invoke_config,
        "DELETE",
        _INVOKE_CONFIG,
        status=204,
        query=_QUALIFIER,
    ),
    RestOperation(
        "ListFunctionEventInvokeConfigs",
        ListFunctionEventInvokeConfigsRequest,
        list_function_event_invoke_configs,
        "GET",
        _INVOKE_CONFIG + "/list",
        query=_PAGE,
    ),
    RestOperation(
        "GetFunctionRecursionConfig",
        GetFunctionRecursionConfigRequest,
        get_function_recursion_config,
        "GET",
        _RECURSION,
    ),
    RestOperation(
        "PutFunctionRecursionConfig",
        PutFunctionRecursionConfigRequest,
        put_function_recursion_config,
        "PUT",
        _RECURSION,
    ),
    RestOperation(
        "GetAccountSettings",
        GetAccountSettingsRequest,
        get_account_settings,
        "GET",
        "/2016-08-19/account-settings",
    ),
)
"""The operations on settings, for `eventcore.api.functions`."""
