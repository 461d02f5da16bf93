"""What Lambda's model allows of the members of requests on functions, and the check of a request
against it.

Rules of this file (botocore, service-2.json of lambda; answers that AWS gave):

- A member of one name is of one shape in all requests, but for those in `_OF_ONE`.
- A request is checked as a whole before anything else is done with it, and all that it breaks is
  told, as AWS does. What needs more than the request to be told from good is not checked here.
- The bounds of time and memory are those of the account's quotas, which are below the model's.
- Values of maps and lists are told as Java writes them, those of variables never.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from types import NoneType
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from eventcore import limits
from eventcore.api import functions_requests as requests
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

__all__ = ["ARCHITECTURES", "check", "shape_of"]

ARCHITECTURES: Final = ("x86_64", "arm64")
_ARN: Final = rf"arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\-])+:({REGION_PATTERN})?:(\d{{12}})?:(.*)"
_KEY_ARN: Final = Text(0, 10_000, "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()")
_TAGGABLE: Final = (
    rf"arn:(aws[a-zA-Z-]*):lambda:{REGION_PATTERN}:\d{{12}}:"
    r"(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?|code-signing-config:csc-[a-z0-9]{17}|"
    r"event-source-mapping:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-"
    r"[0-9a-fA-F]{12}|(capacity-provider|network-connector):[a-zA-Z0-9-_]{1,64})"
)
_NAME: Final = Text(1, 140, FUNCTION_PATTERN)
_NAMESPACED: Final = Text(1, 256, NAMESPACED_PATTERN)

_RULES: Final[dict[str, Rule]] = {
    "Action": Text(0, 10_000, "(lambda:[*]|lambda:[a-zA-Z]+|[*])"),
    "ApplicationLogLevel": Choice(("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")),
    "ApplyOn": Choice(("PublishedVersions", "None")),
    "CodeSigningConfigArn": Text(
        0,
        200,
        rf"arn:(aws[a-zA-Z-]*)?:lambda:{REGION_PATTERN}:\d{{12}}:"
        r"code-signing-config:csc-[a-z0-9]{17}",
    ),
    "Description": Text(0, 256),
    "EventSourceToken": Text(0, 256, r"[a-zA-Z0-9._\-]+"),
    "FunctionName": _NAME,
    "FunctionUrlAuthType": Choice(("NONE", "AWS_IAM")),
    "FunctionVersion": Text(1, 1_024, r"(\$LATEST(\.PUBLISHED)?|[0-9]+)"),
    "Handler": Text(0, 128, r"[^\s]+"),
    "KMSKeyArn": _KEY_ARN,
    "LogFormat": Choice(("JSON", "Text")),
    "LogGroup": Text(1, 512, r"[\.\-_/#A-Za-z0-9]+"),
    "MasterRegion": Text(1, 50, f"ALL|{REGION_PATTERN}"),
    "MaxItems": Number(1, 10_000),
    "MemorySize": Number(limits.FUNCTION_MEMORY_MB_DEFAULT, limits.FUNCTION_MEMORY_MB_MAX),
    "Mode": Choice(("Active", "PassThrough")),
    "Name": Text(1, 128, "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"),
    "PackageType": Choice(("Zip", "Image")),
    "Principal": Text(0, 2_048, r"[^\s]+"),
    "PrincipalOrgID": Text(12, 34, "o-[a-z0-9]{10,32}"),
    "PublishTo": Choice(("LATEST_PUBLISHED",)),
    "Qualifier": Text(1, 128, QUALIFIER_PATTERN),
    "Resource": Text(1, 10_000, _TAGGABLE),
    "Role": Text(0, 10_000, r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"),
    "RuntimeVersionArn": Text(
        26, 2_048, rf"arn:(aws[a-zA-Z-]*):lambda:{REGION_PATTERN}::runtime:.+"
    ),
    "S3Bucket": Text(3, 63, r"[0-9A-Za-z\.\-_]*(?<!\.)"),
    "S3Key": Text(1, 1_024),
    "S3ObjectStorageMode": Choice(("COPY", "REFERENCE")),
    "S3ObjectVersion": Text(1, 1_024),
    "Size": Number(512, 10_240),
    "SourceAccount": Text(0, 12, r"\d{12}"),
    "SourceArn": Text(0, 10_000, _ARN),
    "SourceKMSKeyArn": _KEY_ARN,
    "StatementId": Text(1, 100, "([a-zA-Z0-9-_]+)"),
    "SystemLogLevel": Choice(("DEBUG", "INFO", "WARN")),
    "TargetArn": _KEY_ARN,
    "Timeout": Number(1, limits.FUNCTION_TIMEOUT_MS_MAX // 1000),
    "UpdateRuntimeOn": Choice(("Auto", "Manual", "FunctionUpdate")),
}
"""By the member's name on the wire."""

_OF_ONE: Final[dict[tuple[type, str], Rule]] = {
    (requests.ListFunctionsRequest, "FunctionVersion"): Choice(("ALL",)),
    (requests.RemovePermissionRequest, "StatementId"): Text(1, 100, "([a-zA-Z0-9-_.]+)"),
    **{
        (of, "FunctionName"): _NAMESPACED
        for of in (
            requests.AddPermissionRequest,
            requests.DeleteFunctionRequest,
            requests.GetFunctionCodeSigningConfigRequest,
            requests.GetFunctionConfigurationRequest,
            requests.GetFunctionRequest,
            requests.GetPolicyRequest,
            requests.GetRuntimeManagementConfigRequest,
            requests.ListVersionsByFunctionRequest,
            requests.PutRuntimeManagementConfigRequest,
            requests.RemovePermissionRequest,
        )
    },
}

_REQUIRED: Final[dict[type, frozenset[str]]] = {
    of: frozenset(names.split())
    for of, names in (
        (requests.AddPermissionRequest, "FunctionName StatementId Action Principal"),
        (requests.CreateAliasRequest, "FunctionName Name FunctionVersion"),
        (requests.CreateFunctionRequest, "FunctionName Role Code"),
        (requests.DeleteAliasRequest, "FunctionName Name"),
        (requests.DeleteFunctionRequest, "FunctionName"),
        (requests.GetAliasRequest, "FunctionName Name"),
        (requests.GetFunctionCodeSigningConfigRequest, "FunctionName"),
        (requests.GetFunctionConfigurationRequest, "FunctionName"),
        (requests.GetFunctionRequest, "FunctionName"),
        (requests.GetPolicyRequest, "FunctionName"),
        (requests.GetRuntimeManagementConfigRequest, "FunctionName"),
        (requests.ListAliasesRequest, "FunctionName"),
        (requests.ListTagsRequest, "Resource"),
        (requests.ListVersionsByFunctionRequest, "FunctionName"),
        (requests.PublishVersionRequest, "FunctionName"),
        (requests.PutRuntimeManagementConfigRequest, "FunctionName UpdateRuntimeOn"),
        (requests.RemovePermissionRequest, "FunctionName StatementId"),
        (requests.StorageShape, "Size"),
        (requests.TagResourceRequest, "Resource Tags"),
        (requests.UntagResourceRequest, "Resource TagKeys"),
        (requests.UpdateAliasRequest, "FunctionName Name"),
        (requests.UpdateFunctionCodeRequest, "FunctionName"),
        (requests.UpdateFunctionConfigurationRequest, "FunctionName"),
    )
}

_shapes: Final[dict[type, Members]] = {}


def shape_of(struct_type: type) -> Members:
    """The constraints of a request struct, or of a structure in one; made when first asked for."""
    shape = _shapes.get(struct_type)
    if shape is None:
        shape = _shapes[struct_type] = _make_shape(struct_type)
    return shape


def _make_shape(struct_type: type) -> Members:
    required = _REQUIRED.get(struct_type, frozenset())
    hints = get_type_hints(struct_type)
    members = []
    for field in msgspec.structs.fields(struct_type):
        name = field.encode_name
        rule = _OF_ONE.get((struct_type, name)) or _RULES.get(name)
        if rule is None:
            rule = _rule_of_type(hints[field.name])
        members.append(Member(field.name, member_name(name), rule, name in required))
    return Members(tuple(members))


def _rule_of_type(hint: Any) -> Rule | None:
    """The rule of a member that is a structure."""
    (kind,) = (option for option in get_args(hint) if option is not NoneType)
    if get_origin(kind) is None and issubclass(kind, msgspec.Struct):
        return shape_of(kind)
    return None


def check(request: msgspec.Struct) -> None:
    """Raises Fault ValidationException with all that the request breaks."""
    broken = broken_constraints(shape_of(type(request)), request)
    for attribute, tell in _COLLECTIONS.items():
        value = getattr(request, attribute, None)
        if value is not None:
            broken.extend(tell(value))
    if broken:
        raise validation_errors(broken)


# Lists and maps, which Lambda tells in its own way

_VARIABLE: Final = "[a-zA-Z]([a-zA-Z0-9_])+"
_TAG_TEXT: Final = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
_TAG_CHARACTERS: Final = re.compile(r"[\w\s.:/=+\-@]*")
_TAG_KEY: Final = (1, limits.TAG_KEY_CHARACTERS_MAX)
_TAG_VALUE: Final = (0, limits.TAG_VALUE_CHARACTERS_MAX)


def _broken(shown: str, place: str, reason: str) -> str:
    value = f" '{shown}'" if shown else ""
    return f"Value{value} at '{place}' failed to satisfy constraint: {reason}"


def _java_map(pairs: Mapping[str, object]) -> str:
    return "{" + ", ".join(f"{key}={value}" for key, value in pairs.items()) + "}"


def _java_list(values: Iterable[str]) -> str:
    return "[" + ", ".join(values) + "]"


def _architectures(values: list[str]) -> Iterator[str]:
    shown = _java_list(values)
    if len(values) != 1:
        bound = "less than or equal to 1" if values else "greater than or equal to 1"
        yield _broken(shown, "architectures", f"Member must have length {bound}")
    if any(value not in ARCHITECTURES for value in values):
        allowed = f"Member must satisfy enum value set: {_java_list(ARCHITECTURES)}"
        reason = f"Member must satisfy constraint: [{allowed}, Member must not be null]"
        yield _broken(shown, "architectures", reason)


def _environment(environment: requests.EnvironmentShape) -> Iterator[str]:
    names = environment.variables or {}
    if any(re.fullmatch(_VARIABLE, name, re.ASCII) is None for name in names):
        allowed = f"Member must satisfy regular expression pattern: {_VARIABLE}"
        reason = f"Map keys must satisfy constraint: [{allowed}, Member must not be null]"
        yield _broken("", "environment.variables", reason)


def _weights(routing: requests.RoutingShape) -> Iterator[str]:
    weights = routing.additional_version_weights or {}
    place = "routingConfig.additionalVersionWeights"
    if any(not 1 <= len(key) <= 1_024 or not re.fullmatch("[0-9]+", key) for key in weights):
        reason = (
            "Map keys must satisfy constraint: [Member must have length less than or equal to "
            "1024, Member must have length greater than or equal to 1, Member must satisfy regular "
            "expression pattern: [0-9]+]"
        )
        yield _broken(_java_map(weights), place, reason)
    if any(not 0.0 <= weight <= 1.0 for weight in weights.values()):
        reason = (
            "Map value must satisfy constraint: [Member must have value less than or equal to 1.0, "
            "Member must have value greater than or equal to 0.0, Member must not be null]"
        )
        yield _broken(_java_map(weights), place, reason)


def _tags(tags: dict[str, str]) -> Iterator[str]:
    if any(_is_no_tag_text(key, _TAG_KEY) for key in tags):
        yield _broken(_java_map(tags), "tags", f"Map keys must satisfy {_told(_TAG_KEY)}")
    if any(_is_no_tag_text(value, _TAG_VALUE) for value in tags.values()):
        yield _broken(_java_map(tags), "tags", f"Map value must satisfy {_told(_TAG_VALUE)}")


def _tag_keys(keys: list[str]) -> Iterator[str]:
    if any(_is_no_tag_text(key, _TAG_KEY) for key in keys):
        yield _broken(_java_list(keys), "tagKeys", f"Member must satisfy {_told(_TAG_KEY)}")


def _is_no_tag_text(text: str, lengths: tuple[int, int]) -> bool:
    lowest, highest = lengths
    return not lowest <= len(text) <= highest or _TAG_CHARACTERS.fullmatch(text) is None


def _told(lengths: tuple[int, int]) -> str:
    return (
        f"constraint: [Member must have length less than or equal to {lengths[1]}, Member must "
        f"have length greater than or equal to {lengths[0]}, Member must satisfy regular "
        f"expression pattern: {_TAG_TEXT}, Member must not be null]"
    )


_COLLECTIONS: Final[dict[str, Any]] = {
    "architectures": _architectures,
    "environment": _environment,
    "routing_config": _weights,
    "tag_keys": _tag_keys,
    "tags": _tags,
}
