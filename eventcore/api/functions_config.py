"""From the settings in a request to the configuration of a function.

Rules of this file (AWS's answers):

- What is not said stays as it is, or as it is by default. An empty text, list or map says that
  there is to be none.
- What is kept and shown and does nothing here goes into `FunctionConfig.echoed`, in the form in
  which it is shown.
- What would change what the function's code finds or does (layers, file systems, durable
  executions, ...) and is not there is refused: it must not look as if it worked.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.functions_faults import invalid_value, make
from eventcore.api.functions_requests import (
    CreateFunctionRequest,
    DeadLetterShape,
    EnvironmentShape,
    FunctionSettings,
    LoggingShape,
    VpcShape,
)
from eventcore.arn import parse_arn
from eventcore.codec import encode_json
from eventcore.environments.runtimes import supported_runtime
from eventcore.errors import InvalidParameter
from eventcore.functions.function_spec import KIND_PROCESS, FunctionConfig

__all__ = ["first_config", "next_config"]

_RESERVED_KEYS: Final = frozenset(
    (
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    )
)

_RUNTIMES: Final = (
    "nodejs20.x", "python3.14", "provided.al2023", "python3.12", "python3.13", "nodejs24.x",
    "nodejs22.x", "java25", "python3.10", "python3.11", "java21", "ruby3.3", "ruby3.4", "ruby3.2",
    "python3.8", "python3.9", "java17", "nodejs16.x", "dotnet10", "dotnet8", "java11", "dotnet6",
    "nodejs18.x", "provided.al2", "java8.al2",
)  # fmt: skip
"""In the order in which AWS tells them."""
_NEWER_RUNTIMES: Final = frozenset(
    (
        "java11.al2023",
        "java17.al2023",
        "java8.al2023",
        "nodejs26.x",
        "python3.15",
        "ruby4.0",
    )
)
_DEPRECATED_RUNTIMES: Final = frozenset(
    (
        "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1", "dotnetcore3.1", "go1.x", "java8",
        "nodejs", "nodejs10.x", "nodejs12.x", "nodejs14.x", "nodejs4.3", "nodejs4.3-edge",
        "nodejs6.10", "nodejs8.10", "provided", "python2.7", "python3.6", "python3.7", "ruby2.5",
        "ruby2.7",
    )
)  # fmt: skip

_ABSENT: Final = {
    "layers": "layers",
    "file_system_configs": "file systems",
    "image_config": "container images",
    "capacity_provider_config": "capacity providers",
    "durable_config": "durable functions",
    "tenancy_config": "tenant isolation",
}
"""Members that ask for what is not there, and what that is."""

_LOG_LEVEL: Final = "INFO"


def first_config(request: CreateFunctionRequest) -> FunctionConfig:
    """The configuration of a new function, without its code. Raises Fault."""
    if request.package_type == "Image":
        raise invalid_value(
            "eventcore does not run container images: PackageType must be Zip, and the code be "
            "sent as ZipFile."
        )
    if request.code_signing_config_arn is not None:
        raise make(
            "CodeSigningConfigNotFoundException",
            "The code signing configuration cannot be found. Check that the provided configuration "
            f"is not deleted: {request.code_signing_config_arn}.",
        )
    if not request.runtime or not request.handler:
        raise invalid_value(
            "Runtime and Handler are mandatory parameters for functions created with deployment "
            "packages."
        )
    assert request.role is not None
    architecture = request.architectures[0] if request.architectures else "x86_64"
    return next_config(
        FunctionConfig(kind=KIND_PROCESS, role=request.role, architecture=architecture), request
    )


def next_config(config: FunctionConfig, request: FunctionSettings) -> FunctionConfig:
    """The configuration with what the request says. Raises Fault."""
    for attribute, what in _ABSENT.items():
        if getattr(request, attribute, None):
            raise invalid_value(f"eventcore does not support {what}.")
    changes: dict[str, Any] = {
        "handler": request.handler,
        "role": request.role,
        "description": request.description,
        "memory_mb": request.memory_size,
    }
    if request.runtime is not None:
        changes["runtime"] = _runtime(request.runtime)
    if request.timeout is not None:
        changes["timeout_ms"] = request.timeout * 1000
    if request.environment is not None:
        changes["environment"] = _variables(request.environment)
    if request.tracing_config is not None:
        changes["tracing"] = request.tracing_config.mode
    if request.ephemeral_storage is not None:
        changes["storage_mb"] = request.ephemeral_storage.size
    said = {name: value for name, value in changes.items() if value is not None}
    if request.dead_letter_config is not None:
        said["dead_letter_arn"] = _dead_letter_arn(request.dead_letter_config)
    said["echoed"] = _echoed(config.echoed, request)
    return msgspec.structs.replace(config, **said)


def _runtime(runtime: str) -> str:
    if runtime in _DEPRECATED_RUNTIMES:
        raise invalid_value(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating "
            "AWS Lambda functions. We recommend you use a supported runtime while creating or "
            "updating functions."
        )
    if runtime not in _RUNTIMES and runtime not in _NEWER_RUNTIMES:
        raise invalid_value(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum "
            f"value set: [{', '.join(_RUNTIMES)}] or be a valid ARN"
        )
    reason = supported_runtime(runtime)
    if reason is not None:
        raise invalid_value(reason)
    return runtime


def _variables(environment: EnvironmentShape) -> dict[str, str]:
    variables = environment.variables or {}
    before = (
        "Lambda was unable to configure your environment variables because the environment "
        "variables you have provided"
    )
    reserved = [name for name in variables if name in _RESERVED_KEYS]
    if reserved:
        raise invalid_value(
            f"{before} contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(reserved)}"
        )
    measured = encode_json(variables)
    if len(measured) > limits.FUNCTION_ENVIRONMENT_BYTES_MAX:
        raise invalid_value(
            f"{before} exceeded the 4KB limit. String measured: {measured.decode()}"
        )
    return variables


def _dead_letter_arn(dead_letters: DeadLetterShape) -> str | None:
    arn = dead_letters.target_arn
    if not arn:
        return None
    try:
        service = parse_arn(arn).service
    except InvalidParameter:
        service = ""
    if service == "sns":
        raise invalid_value(
            "eventcore has no topics: the TargetArn of DeadLetterConfig must be a queue's."
        )
    if service != "sqs":
        raise invalid_value(
            "The TargetArn of DeadLetterConfig must be the ARN of a queue or of a topic."
        )
    return arn


# What is kept and shown


def _echoed(echoed: dict[str, Any], request: FunctionSettings) -> dict[str, Any]:
    found = dict(echoed)
    if request.environment is not None:
        # For an empty map only: AWS shows that there is one.
        found["Environment"] = {"Variables": {}}
    if request.vpc_config is not None:
        found["VpcConfig"] = _vpc(request.vpc_config)
    if request.kms_key_arn is not None:
        found["KMSKeyArn"] = request.kms_key_arn or None
    if request.snap_start is not None:
        found["SnapStart"] = request.snap_start.apply_on
    if request.logging_config is not None:
        found["LoggingConfig"] = _logging(
            found.get("LoggingConfig") or {}, request.logging_config, request.function_name or ""
        )
    return {name: value for name, value in found.items() if value is not None}


def _vpc(vpc: VpcShape) -> dict[str, Any]:
    return {
        "SubnetIds": vpc.subnet_ids or [],
        "SecurityGroupIds": vpc.security_group_ids or [],
        "VpcId": "",
        "Ipv6AllowedForDualStack": vpc.ipv6_allowed_for_dual_stack or False,
    }


def _logging(before: dict[str, str], said: LoggingShape, function_name: str) -> dict[str, str]:
    """The settings of logs: levels are those of the format JSON only."""
    log_format = said.log_format or before.get("LogFormat", "Text")
    has_level = said.application_log_level is not None or said.system_log_level is not None
    if log_format == "Text" and has_level:
        raise invalid_value(
            "You cannot set LogLevel when LogFormat is set to Text. Remove LogLevel from your "
            "request or change the LogFormat to JSON and try again."
        )
    name = function_name.removesuffix(":$LATEST").rpartition(":")[2]
    found = {
        "LogFormat": log_format,
        "LogGroup": said.log_group or before.get("LogGroup", f"/aws/lambda/{name}"),
    }
    if log_format == "JSON":
        found["ApplicationLogLevel"] = said.application_log_level or before.get(
            "ApplicationLogLevel", _LOG_LEVEL
        )
        found["SystemLogLevel"] = said.system_log_level or before.get("SystemLogLevel", _LOG_LEVEL)
    return found
