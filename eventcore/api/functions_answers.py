"""Answers of the operations on functions: members, types and their order as Lambda sends them.

Rules of this file (AWS's answers):

- What is not there is not sent.
- A function can be invoked as soon as CreateFunction is answered. It is told as AWS tells it all
  the same: Pending in that answer, Active from the next look on. An update is told as InProgress,
  and as Successful from the next look on. So clients that wait for the states are served at once.
- Lists show neither states nor the runtime's version. They show qualified ARNs where they show
  versions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from eventcore.api.functions_requests import wire_name
from eventcore.codec import encode_json
from eventcore.functions.function import Function
from eventcore.functions.function_spec import AliasRecord, FunctionConfig, VersionRecord

__all__ = [
    "CREATING",
    "LISTED",
    "NOTHING",
    "READY",
    "RUNTIME_MANAGEMENT",
    "UPDATING",
    "AddPermissionAnswer",
    "AliasAnswer",
    "CodeLocationAnswer",
    "ConfigurationAnswer",
    "GetFunctionAnswer",
    "GetPolicyAnswer",
    "ListAliasesAnswer",
    "ListFunctionsAnswer",
    "ListTagsAnswer",
    "ListVersionsAnswer",
    "RuntimeManagementAnswer",
    "alias_answer",
    "configuration",
    "encode_json",
    "runtime_version_arn",
]

NOTHING: Final = b""

_REASON: Final = "The function is being created."
CREATING: Final = {"State": "Pending", "StateReason": _REASON, "StateReasonCode": "Creating"}
UPDATING: Final = {
    "State": "Active",
    "LastUpdateStatus": "InProgress",
    "LastUpdateStatusReason": _REASON,
    "LastUpdateStatusReasonCode": "Creating",
}
READY: Final = {"State": "Active", "LastUpdateStatus": "Successful"}
LISTED: Final[dict[str, str]] = {}

RUNTIME_MANAGEMENT: Final = "RuntimeManagementConfig"
"""The echoed member that holds PutRuntimeManagementConfig's settings, by version. Not shown with
the configuration.
"""


class _Answer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename=wire_name):
    """Members are snake case here; what is None is not sent."""


class ConfigurationAnswer(_Answer, frozen=True, kw_only=True):
    """A function's or version's configuration."""

    function_name: str
    function_arn: str
    runtime: str | None = None
    role: str
    handler: str | None = None
    code_size: int
    description: str
    timeout: int
    memory_size: int
    last_modified: str
    code_sha256: str
    version: str
    vpc_config: dict[str, Any] | None = None
    dead_letter_config: dict[str, str] | None = None
    environment: dict[str, Any] | None = None
    kms_key_arn: str | None = None
    tracing_config: dict[str, str]
    revision_id: str
    state: str | None = None
    state_reason: str | None = None
    state_reason_code: str | None = None
    last_update_status: str | None = None
    last_update_status_reason: str | None = None
    last_update_status_reason_code: str | None = None
    package_type: str
    architectures: list[str]
    ephemeral_storage: dict[str, int]
    snap_start: dict[str, str]
    runtime_version_config: dict[str, str] | None = None
    logging_config: dict[str, str]


class CodeLocationAnswer(_Answer, frozen=True):
    """Where a version's code can be had. `location` is None for code that is a directory here."""

    repository_type: str | None = None
    location: str | None = None


class GetFunctionAnswer(_Answer, frozen=True):
    """GetFunction."""

    configuration: ConfigurationAnswer
    code: CodeLocationAnswer
    tags: dict[str, str] | None = None
    concurrency: dict[str, int] | None = None


class ListFunctionsAnswer(_Answer, frozen=True):
    """ListFunctions."""

    functions: list[ConfigurationAnswer]
    next_marker: str | None = None


class ListVersionsAnswer(_Answer, frozen=True):
    """ListVersionsByFunction."""

    versions: list[ConfigurationAnswer]
    next_marker: str | None = None


class AliasAnswer(_Answer, frozen=True, kw_only=True):
    """An alias."""

    alias_arn: str
    name: str
    function_version: str
    description: str
    routing_config: dict[str, dict[str, float]] | None = None
    revision_id: str


class ListAliasesAnswer(_Answer, frozen=True):
    """ListAliases."""

    aliases: list[AliasAnswer]
    next_marker: str | None = None


class AddPermissionAnswer(_Answer, frozen=True):
    """AddPermission: the statement as JSON text."""

    statement: str


class GetPolicyAnswer(_Answer, frozen=True):
    """GetPolicy: the policy as JSON text."""

    policy: str
    revision_id: str


class ListTagsAnswer(_Answer, frozen=True):
    """ListTags."""

    tags: dict[str, str]


class RuntimeManagementAnswer(_Answer, frozen=True):
    """GetRuntimeManagementConfig and PutRuntimeManagementConfig."""

    update_runtime_on: str
    function_arn: str
    runtime_version_arn: str | None = None


def configuration(
    function: Function, version: VersionRecord, arn: str, state: dict[str, str]
) -> ConfigurationAnswer:
    """A version as it is shown under `arn`, in one of the states of this file."""
    config = version.config
    echoed = config.echoed
    dead_letters = config.dead_letter_arn
    is_listed = state is LISTED
    return ConfigurationAnswer(
        function_name=function.name,
        function_arn=arn,
        runtime=config.runtime or None,
        role=config.role,
        handler=config.handler or None,
        code_size=config.code.size_bytes,
        description=version.shown_description,
        timeout=-(-config.timeout_ms // 1000),
        memory_size=config.memory_mb,
        last_modified=_java_time(version.modified_ms),
        code_sha256=config.code.sha256,
        version=version.version,
        vpc_config=echoed.get("VpcConfig"),
        dead_letter_config=None if dead_letters is None else {"TargetArn": dead_letters},
        environment=_environment(config),
        kms_key_arn=echoed.get("KMSKeyArn"),
        tracing_config={"Mode": config.tracing},
        revision_id=version.revision_id,
        state=state.get("State"),
        state_reason=state.get("StateReason"),
        state_reason_code=state.get("StateReasonCode"),
        last_update_status=state.get("LastUpdateStatus"),
        last_update_status_reason=state.get("LastUpdateStatusReason"),
        last_update_status_reason_code=state.get("LastUpdateStatusReasonCode"),
        package_type="Zip",
        architectures=[config.architecture],
        ephemeral_storage={"Size": config.storage_mb},
        snap_start=_snap_start(version),
        runtime_version_config=None if is_listed else _runtime_version(function, config),
        logging_config=echoed.get("LoggingConfig")
        or {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"},
    )


def _environment(config: FunctionConfig) -> dict[str, Any] | None:
    """The variables; None where the function was never given any, not even an empty map."""
    if not config.environment:
        empty: dict[str, Any] | None = config.echoed.get("Environment")
        return empty
    return {"Variables": config.environment}


def _snap_start(version: VersionRecord) -> dict[str, str]:
    apply_on: str = version.config.echoed.get("SnapStart") or "None"
    return {"ApplyOn": apply_on, "OptimizationStatus": "Off"}


def _runtime_version(function: Function, config: FunctionConfig) -> dict[str, str] | None:
    if not config.runtime:
        return None
    return {"RuntimeVersionArn": runtime_version_arn(function.region, config.runtime)}


def runtime_version_arn(region: str, runtime: str) -> str:
    """The ARN of a runtime's version, in AWS's form: of each runtime there is one here."""
    return f"arn:aws:lambda:{region}::runtime:{sha256(runtime.encode()).hexdigest()}"


def alias_answer(function: Function, alias: AliasRecord) -> AliasAnswer:
    """An alias as it is shown."""
    weights = alias.weights
    return AliasAnswer(
        alias_arn=f"{function.arn}:{alias.name}",
        name=alias.name,
        function_version=alias.version,
        description=alias.description,
        routing_config={"AdditionalVersionWeights": weights} if weights else None,
        revision_id=alias.revision_id,
    )


def _java_time(at_ms: int) -> str:
    """A time as Lambda writes LastModified."""
    at = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}+0000"
