"""Lambda operations on what a function's code is run by and signed with. They have no effect here:
runtimes are those of this machine, and nothing is signed.
"""

from __future__ import annotations

from typing import Any

import msgspec

from eventcore.api.functions_address import function_at, read_address, read_unqualified, version_at
from eventcore.api.functions_answers import RUNTIME_MANAGEMENT, RuntimeManagementAnswer
from eventcore.api.functions_faults import invalid_value
from eventcore.api.functions_requests import (
    GetFunctionCodeSigningConfigRequest,
    GetRuntimeManagementConfigRequest,
    PutRuntimeManagementConfigRequest,
)
from eventcore.api.operation import Call
from eventcore.functions.function import Function

__all__ = [
    "get_function_code_signing_config",
    "get_runtime_management_config",
    "put_runtime_management_config",
]


def get_function_code_signing_config(
    call: Call, request: GetFunctionCodeSigningConfigRequest
) -> bytes:
    """Nothing: as AWS answers for a function that has none."""
    assert request.function_name is not None
    function_at(call, read_unqualified(call, request.function_name))
    return b"{}"


def get_runtime_management_config(call: Call, request: GetRuntimeManagementConfigRequest) -> bytes:
    """When the runtime of a version is updated, as it was stored."""
    assert request.function_name is not None
    address = read_address(call, request.function_name, request.qualifier)
    function, version = version_at(call, address)
    stored = _stored(function).get(version.version) or {}
    return call.encode(
        RuntimeManagementAnswer(
            stored.get("UpdateRuntimeOn", "Auto"),
            address.qualified_arn,
            stored.get("RuntimeVersionArn"),
        )
    )


def put_runtime_management_config(call: Call, request: PutRuntimeManagementConfigRequest) -> bytes:
    """Stores when the runtime of a version is updated."""
    assert request.function_name is not None
    assert request.update_runtime_on is not None
    update_on, arn = request.update_runtime_on, request.runtime_version_arn
    if (update_on == "Manual") != (arn is not None):
        raise invalid_value(
            "RuntimeVersionArn is required when UpdateRuntimeOn is Manual, and is not allowed "
            "otherwise."
        )
    address = read_address(call, request.function_name, request.qualifier)
    function, version = version_at(call, address)
    said = {"UpdateRuntimeOn": update_on, "RuntimeVersionArn": arn}
    stored = {**_stored(function), version.version: {k: v for k, v in said.items() if v}}
    config = function.latest.config
    echoed = {**config.echoed, RUNTIME_MANAGEMENT: stored}
    outcome = function.update_config(
        msgspec.structs.replace(config, echoed=echoed), call.engine.now_ms()
    )
    call.engine.functions.run(function, outcome)
    return call.encode(RuntimeManagementAnswer(update_on, address.qualified_arn, arn))


def _stored(function: Function) -> dict[str, dict[str, Any]]:
    """The settings by version. They are all kept with $LATEST, as other versions never change."""
    stored: dict[str, dict[str, Any]] = function.latest.config.echoed.get(RUNTIME_MANAGEMENT, {})
    return stored
