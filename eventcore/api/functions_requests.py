"""Request structs of the operations on functions, versions, aliases, policies and tags: members and
types as in botocore's model of 2015-03-31.

Every member is optional here; `functions_constraints` says what is missing, in Lambda's words.
What this broker has nothing of (file systems, durable executions, capacity providers) is read as
it comes: it is refused as a whole. `tests/wire/test_models_lambda.py` compares these structs with
the model.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

__all__ = [
    "AddPermissionRequest",
    "CodeShape",
    "CreateAliasRequest",
    "CreateFunctionRequest",
    "DeadLetterShape",
    "DeleteAliasRequest",
    "DeleteFunctionRequest",
    "EnvironmentShape",
    "FunctionSettings",
    "GetAliasRequest",
    "GetFunctionCodeSigningConfigRequest",
    "GetFunctionConfigurationRequest",
    "GetFunctionRequest",
    "GetPolicyRequest",
    "GetRuntimeManagementConfigRequest",
    "ListAliasesRequest",
    "ListFunctionsRequest",
    "ListTagsRequest",
    "ListVersionsByFunctionRequest",
    "LoggingShape",
    "OfQualified",
    "PublishVersionRequest",
    "PutRuntimeManagementConfigRequest",
    "RemovePermissionRequest",
    "RoutingShape",
    "SnapStartShape",
    "StorageShape",
    "TagResourceRequest",
    "TracingShape",
    "UntagResourceRequest",
    "UpdateAliasRequest",
    "UpdateFunctionCodeRequest",
    "UpdateFunctionConfigurationRequest",
    "VpcShape",
    "wire_name",
]

_WORDS: Final = {"kms": "KMS"}


def wire_name(attribute: str) -> str:
    """The name of a member on the wire: `kms_key_arn` is `KMSKeyArn`."""
    return "".join(_WORDS.get(word) or word.capitalize() for word in attribute.split("_"))


class _Shape(msgspec.Struct, frozen=True, gc=False, rename=wire_name):
    """Members are snake case here; see `wire_name`."""


class _OfFunction(_Shape, frozen=True):
    """Names a function."""

    function_name: str | None = None


class OfQualified(_OfFunction, frozen=True):
    """Names a function, or a version or an alias of it."""

    qualifier: str | None = None


class _Page(_Shape, frozen=True):
    """A page of a list."""

    marker: str | None = None
    max_items: int | None = None


# Code and configuration


class CodeShape(_Shape, frozen=True):
    """Where the code is: in the request, in S3, in a container's image."""

    zip_file: bytes | None = None
    s3_bucket: str | None = None
    s3_key: str | None = None
    s3_object_version: str | None = None
    s3_object_storage_mode: str | None = None
    image_uri: str | None = None
    source_kms_key_arn: str | None = msgspec.field(default=None, name="SourceKMSKeyArn")


class VpcShape(_Shape, frozen=True):
    """A network. Kept and shown, and nothing else."""

    subnet_ids: list[str] | None = None
    security_group_ids: list[str] | None = None
    ipv6_allowed_for_dual_stack: bool | None = None


class DeadLetterShape(_Shape, frozen=True):
    """Where asynchronous events go that were given up."""

    target_arn: str | None = None


class EnvironmentShape(_Shape, frozen=True):
    """Variables of the function's environment."""

    variables: dict[str, str] | None = None


class TracingShape(_Shape, frozen=True):
    """How requests are traced. Kept and shown, and nothing else."""

    mode: str | None = None


class StorageShape(_Shape, frozen=True):
    """The size of /tmp in MB. Kept and shown, and nothing else."""

    size: int | None = None


class SnapStartShape(_Shape, frozen=True):
    """Snapshots of initialised environments. Kept and shown, and nothing else."""

    apply_on: str | None = None


class LoggingShape(_Shape, frozen=True):
    """How and where is logged. Kept and shown, and nothing else."""

    log_format: str | None = None
    application_log_level: str | None = None
    system_log_level: str | None = None
    log_group: str | None = None


class FunctionSettings(_OfFunction, frozen=True):
    """What CreateFunction and UpdateFunctionConfiguration say in common."""

    runtime: str | None = None
    role: str | None = None
    handler: str | None = None
    description: str | None = None
    timeout: int | None = None
    memory_size: int | None = None
    vpc_config: VpcShape | None = None
    dead_letter_config: DeadLetterShape | None = None
    environment: EnvironmentShape | None = None
    kms_key_arn: str | None = None
    tracing_config: TracingShape | None = None
    layers: list[str] | None = None
    file_system_configs: list[dict[str, Any]] | None = None
    image_config: dict[str, Any] | None = None
    ephemeral_storage: StorageShape | None = None
    snap_start: SnapStartShape | None = None
    logging_config: LoggingShape | None = None
    capacity_provider_config: dict[str, Any] | None = None
    durable_config: dict[str, Any] | None = None


class CreateFunctionRequest(FunctionSettings, frozen=True):
    """CreateFunction."""

    code: CodeShape | None = None
    publish: bool | None = None
    publish_to: str | None = None
    package_type: str | None = None
    tags: dict[str, str] | None = None
    code_signing_config_arn: str | None = None
    architectures: list[str] | None = None
    tenancy_config: dict[str, Any] | None = None


class UpdateFunctionConfigurationRequest(FunctionSettings, frozen=True):
    """UpdateFunctionConfiguration."""

    revision_id: str | None = None


class UpdateFunctionCodeRequest(CodeShape, frozen=True):
    """UpdateFunctionCode."""

    function_name: str | None = None
    architectures: list[str] | None = None
    publish: bool | None = None
    publish_to: str | None = None
    dry_run: bool | None = None
    revision_id: str | None = None


class GetFunctionRequest(OfQualified, frozen=True):
    """GetFunction."""


class GetFunctionConfigurationRequest(OfQualified, frozen=True):
    """GetFunctionConfiguration."""


class DeleteFunctionRequest(OfQualified, frozen=True):
    """DeleteFunction: a version, or the function with all of them."""


class ListFunctionsRequest(_Page, frozen=True):
    """ListFunctions."""

    master_region: str | None = None
    function_version: str | None = None


# Versions and aliases


class PublishVersionRequest(_OfFunction, frozen=True):
    """PublishVersion."""

    code_sha256: str | None = None
    description: str | None = None
    revision_id: str | None = None
    publish_to: str | None = None


class ListVersionsByFunctionRequest(_Page, frozen=True):
    """ListVersionsByFunction."""

    function_name: str | None = None


class RoutingShape(_Shape, frozen=True):
    """Another version that takes a share of the invocations."""

    additional_version_weights: dict[str, float] | None = None


class _OfAlias(_OfFunction, frozen=True):
    name: str | None = None


class CreateAliasRequest(_OfAlias, frozen=True):
    """CreateAlias."""

    function_version: str | None = None
    description: str | None = None
    routing_config: RoutingShape | None = None


class UpdateAliasRequest(CreateAliasRequest, frozen=True):
    """UpdateAlias: what is not said stays as it is."""

    revision_id: str | None = None


class GetAliasRequest(_OfAlias, frozen=True):
    """GetAlias."""


class DeleteAliasRequest(_OfAlias, frozen=True):
    """DeleteAlias."""


class ListAliasesRequest(_Page, frozen=True):
    """ListAliases."""

    function_name: str | None = None
    function_version: str | None = None


# Policies


class AddPermissionRequest(OfQualified, frozen=True):
    """AddPermission."""

    statement_id: str | None = None
    action: str | None = None
    principal: str | None = None
    source_arn: str | None = None
    function_url_auth_type: str | None = None
    invoked_via_function_url: bool | None = None
    source_account: str | None = None
    event_source_token: str | None = None
    revision_id: str | None = None
    principal_org_id: str | None = msgspec.field(default=None, name="PrincipalOrgID")


class RemovePermissionRequest(OfQualified, frozen=True):
    """RemovePermission."""

    statement_id: str | None = None
    revision_id: str | None = None


class GetPolicyRequest(OfQualified, frozen=True):
    """GetPolicy."""


# Tags


class _OfResource(_Shape, frozen=True):
    resource: str | None = None


class TagResourceRequest(_OfResource, frozen=True):
    """TagResource."""

    tags: dict[str, str] | None = None


class UntagResourceRequest(_OfResource, frozen=True):
    """UntagResource."""

    tag_keys: list[str] | None = None


class ListTagsRequest(_OfResource, frozen=True):
    """ListTags."""


# What has no effect


class GetFunctionCodeSigningConfigRequest(_OfFunction, frozen=True):
    """GetFunctionCodeSigningConfig."""


class GetRuntimeManagementConfigRequest(OfQualified, frozen=True):
    """GetRuntimeManagementConfig."""


class PutRuntimeManagementConfigRequest(OfQualified, frozen=True):
    """PutRuntimeManagementConfig."""

    update_runtime_on: str | None = None
    runtime_version_arn: str | None = None
