"""Concurrency of functions: what is reserved for one, and what is kept initialised.

Rules of this file (AWS's answers):

- Provisioned concurrency belongs to a version or an alias. A version has its own or that of an
  alias, not both.
- Both come out of the account's quota, of which a part stays for functions that have neither.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.functions_address import (
    FunctionAddress,
    find_function,
    function_at,
    is_version,
    read_address,
    read_unqualified,
    version_at,
)
from eventcore.api.functions_answers import NOTHING
from eventcore.api.functions_faults import (
    function_not_found,
    invalid_value,
    not_found,
    untyped_value,
)
from eventcore.api.functions_pages import page_of
from eventcore.api.functions_settings_answers import (
    ConcurrencyAnswer,
    ListProvisionedAnswer,
    ProvisionedAnswer,
    ProvisionedItemShape,
)
from eventcore.api.functions_settings_requests import (
    DeleteFunctionConcurrencyRequest,
    DeleteProvisionedConcurrencyConfigRequest,
    GetFunctionConcurrencyRequest,
    GetProvisionedConcurrencyConfigRequest,
    ListProvisionedConcurrencyConfigsRequest,
    PutFunctionConcurrencyRequest,
    PutProvisionedConcurrencyConfigRequest,
    check,
)
from eventcore.api.operation import Call
from eventcore.api.rest import RestOperation
from eventcore.functions.function import Function
from eventcore.functions.function_spec import LATEST, ProvisionedRecord
from eventcore.wire.fault import Fault

__all__ = ["CONCURRENCY_OPERATIONS"]

READY: Final = "READY"
IN_PROGRESS: Final = "IN_PROGRESS"
FAILED: Final = "FAILED"
INIT_FAILURE: Final = "FUNCTION_ERROR_INIT_FAILURE"
TOO_MANY: Final = (
    f"eventcore runs at most {limits.ENVIRONMENTS_MAX} execution environments, and keeps one for "
    "functions that have none."
)
"""Ours: AWS has more."""


# Reserved concurrency


def put_function_concurrency(call: Call, request: PutFunctionConcurrencyRequest) -> bytes:
    """Reserves concurrency for a function, and bounds it to that."""
    check(request)
    wanted = request.reserved_concurrent_executions
    assert wanted is not None
    address = read_unqualified(call, request.function_name or "")
    try:
        function = function_at(call, address)
    except Fault as error:
        raise function_not_found(f"{address.arn}:{LATEST}") from error
    call.engine.look(function)
    provisioned = sum(record.requested for record in function.all_provisioned().values())
    if wanted < provisioned:
        raise invalid_value(
            f"ReservedConcurrentExecutions  {wanted} should not be lower than function's total "
            f"provisioned concurrency [{provisioned}]."
        )
    reserved = function.record.reserved or 0
    left = _unreserved(call, function) + reserved - wanted
    if wanted > reserved and left < limits.UNRESERVED_CONCURRENCY_MIN:
        raise untyped_value(
            "Specified ReservedConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of "
            f"[{limits.UNRESERVED_CONCURRENCY_MIN}]."
        )
    call.engine.functions.run(function, function.set_reserved(wanted))
    return call.encode(ConcurrencyAnswer(wanted))


def get_function_concurrency(call: Call, request: GetFunctionConcurrencyRequest) -> bytes:
    """Tells what is reserved for a function."""
    check(request)
    function = find_function(call, request.function_name)
    call.engine.look(function)
    return call.encode(ConcurrencyAnswer(function.record.reserved))


def delete_function_concurrency(call: Call, request: DeleteFunctionConcurrencyRequest) -> bytes:
    """Has a function share what is not reserved."""
    check(request)
    function = find_function(call, request.function_name)
    call.engine.functions.run(function, function.set_reserved(None))
    return NOTHING


def _unreserved(call: Call, function: Function) -> int:
    """What the functions of the same account and region share that have nothing reserved, less
    what is provisioned of it for others than this one.
    """
    provisioned = sum(
        record.requested
        for other in call.engine.functions.all_of(function.account, function.region)
        if other is not function and other.record.reserved is None
        for record in other.all_provisioned().values()
    )
    return call.engine.functions.unreserved(function.account, function.region) - provisioned


# Provisioned concurrency


def put_provisioned_concurrency_config(
    call: Call, request: PutProvisionedConcurrencyConfigRequest
) -> bytes:
    """Keeps environments of a version or an alias initialised."""
    check(request)
    wanted = request.provisioned_concurrent_executions
    assert wanted is not None
    address = read_address(call, request.function_name or "", request.qualifier)
    if address.qualifier == LATEST:
        raise invalid_value(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        )
    function, qualifier = _provisionable(call, address)
    _check_capacity(call, function, qualifier, wanted)
    now_ms = call.engine.now_ms()
    call.engine.functions.run(function, function.set_provisioned(qualifier, wanted, now_ms))
    record = ProvisionedRecord(wanted, now_ms)
    return call.encode(_provisioned_answer(record, 0, None))


def get_provisioned_concurrency_config(
    call: Call, request: GetProvisionedConcurrencyConfigRequest
) -> bytes:
    """Tells how many environments are kept initialised."""
    check(request)
    function, qualifier = _provisioned_of(call, request.function_name, request.qualifier)
    record = function.provisioned(qualifier)
    if record is None:
        raise Fault(
            "ProvisionedConcurrencyConfigNotFoundException",
            "No Provisioned Concurrency Config found for this function",
            status=404,
        )
    return call.encode(_provisioned_now(call, function, qualifier, record))


def delete_provisioned_concurrency_config(
    call: Call, request: DeleteProvisionedConcurrencyConfigRequest
) -> bytes:
    """Keeps none any more. Does nothing where there was nothing, as AWS does."""
    check(request)
    function, qualifier = _provisioned_of(call, request.function_name, request.qualifier)
    if function.provisioned(qualifier) is not None:
        outcome = function.set_provisioned(qualifier, None, call.engine.now_ms())
        call.engine.functions.run(function, outcome)
    return NOTHING


def list_provisioned_concurrency_configs(
    call: Call, request: ListProvisionedConcurrencyConfigsRequest
) -> bytes:
    """The provisioned concurrency of a function's versions and aliases."""
    check(request)
    function = find_function(call, request.function_name)
    call.engine.look(function)
    records = function.all_provisioned()
    page, marker = page_of(sorted(records), str, request.marker, request.max_items)
    items = [
        ProvisionedItemShape(
            f"{function.arn}:{qualifier}",
            *msgspec.structs.astuple(
                _provisioned_now(call, function, qualifier, records[qualifier])
            ),
        )
        for qualifier in page
    ]
    return call.encode(ListProvisionedAnswer(items, marker))


def _provisionable(call: Call, address: FunctionAddress) -> tuple[Function, str]:
    """A function, and the qualifier of it that is named, which exists."""
    qualifier = address.qualifier
    assert qualifier is not None, "the model requires it"
    try:
        function, _ = version_at(call, address)
    except Fault as error:
        if is_version(qualifier):
            raise
        raise not_found(f"Cannot find alias arn: {address.qualified_arn}") from error
    call.engine.look(function)
    return function, qualifier


def _provisioned_of(call: Call, name: str | None, qualifier: str | None) -> tuple[Function, str]:
    address = read_address(call, name or "", qualifier)
    if address.qualifier == LATEST:
        raise invalid_value(
            "The function resource provided must be an alias or a published version."
        )
    return _provisionable(call, address)


def _check_capacity(call: Call, function: Function, qualifier: str, wanted: int) -> None:
    """Raises the fault for more than is reserved for the function, or left in the account."""
    others = sum(
        record.requested
        for other, record in function.all_provisioned().items()
        if other != qualifier
    )
    reserved = function.record.reserved
    if reserved is not None:
        if others + wanted > reserved:
            raise invalid_value(
                "Requested Provisioned Concurrency should not be greater than the "
                "reservedConcurrentExecution for function"
            )
        return
    left = _unreserved(call, function) - others
    if wanted > left:
        raise untyped_value(
            "Specified ConcurrentExecutions for function is greater than account's unreserved "
            f"concurrency [{left}]."
        )
    if left - wanted < limits.UNRESERVED_CONCURRENCY_MIN:
        raise untyped_value(
            "Specified ConcurrentExecutions for function decreases account's "
            "UnreservedConcurrentExecution below its minimum value of "
            f"[{limits.UNRESERVED_CONCURRENCY_MIN}]."
        )


def _provisioned_now(
    call: Call, function: Function, qualifier: str, record: ProvisionedRecord
) -> ProvisionedAnswer:
    functions = call.engine.functions
    ready = functions.provisioned_ready(function, qualifier)
    failure = None
    if functions.provisioning_failed(function, qualifier):
        failure = INIT_FAILURE
    elif record.requested >= limits.ENVIRONMENTS_MAX:
        failure = TOO_MANY
    return _provisioned_answer(record, ready, failure)


def _provisioned_answer(
    record: ProvisionedRecord, ready: int, failure: str | None
) -> ProvisionedAnswer:
    """What was asked for, what is there, and how that goes on. `failure`: why all will never be
    there.
    """
    available = min(ready, record.requested)
    status = READY if available == record.requested else FAILED if failure else IN_PROGRESS
    modified = datetime.fromtimestamp(record.modified_ms / 1000, UTC)
    return ProvisionedAnswer(
        record.requested,
        available,
        available,
        status,
        f"{modified:%Y-%m-%dT%H:%M:%S}+0000",
        failure if status == FAILED else None,
    )


_CONCURRENCY: Final = "/2017-10-31/functions/{FunctionName}/concurrency"
_PROVISIONED: Final = "/2019-09-30/functions/{FunctionName}/provisioned-concurrency"
_PAGE: Final = ("Marker", "MaxItems")
_QUALIFIER: Final = ("Qualifier",)

CONCURRENCY_OPERATIONS: Final[tuple[RestOperation[Any], ...]] = (
    RestOperation(
        "PutFunctionConcurrency",
        PutFunctionConcurrencyRequest,
        put_function_concurrency,
        "PUT",
        _CONCURRENCY,
    ),
    RestOperation(
        "GetFunctionConcurrency",
        GetFunctionConcurrencyRequest,
        get_function_concurrency,
        "GET",
        "/2019-09-30/functions/{FunctionName}/concurrency",
    ),
    RestOperation(
        "DeleteFunctionConcurrency",
        DeleteFunctionConcurrencyRequest,
        delete_function_concurrency,
        "DELETE",
        _CONCURRENCY,
        status=204,
    ),
    RestOperation(
        "PutProvisionedConcurrencyConfig",
        PutProvisionedConcurrencyConfigRequest,
        put_provisioned_concurrency_config,
        "PUT",
        _PROVISIONED,
        status=202,
        query=_QUALIFIER,
    ),
    RestOperation(
        "GetProvisionedConcurrencyConfig",
        GetProvisionedConcurrencyConfigRequest,
        get_provisioned_concurrency_config,
        "GET",
        _PROVISIONED,
        query=_QUALIFIER,
    ),
    RestOperation(
        "DeleteProvisionedConcurrencyConfig",
        DeleteProvisionedConcurrencyConfigRequest,
        delete_provisioned_concurrency_config,
        "DELETE",
        _PROVISIONED,
        status=204,
        query=_QUALIFIER,
    ),
    RestOperation(
        "ListProvisionedConcurrencyConfigs",
        ListProvisionedConcurrencyConfigsRequest,
        list_provisioned_concurrency_configs,
        "GET",
        _PROVISIONED + "?List=ALL",
        query=_PAGE,
    ),
)
"""The operations of this file, for `eventcore.api.functions`."""
