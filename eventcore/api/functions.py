"""AWS Lambda over REST-JSON: the table of its operations.

Requests are in `functions_requests`, what is checked of them in `functions_constraints`, answers in
`functions_answers`, errors in `functions_faults`; the handlers are in a module per subject. Those
of invocations, of settings and of event source mappings come with tables of their own. What is
missing is in `functions_missing`, and what has no effect is listed in docs/coverage.md.

Each operation is served in this order: what the model does not allow is refused, then what a
request contradicts itself in; then the handler looks for the function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from eventcore.api import functions_lifecycle as lifecycle
from eventcore.api import functions_policies as policies
from eventcore.api import functions_requests as requests
from eventcore.api import functions_runtime as runtime
from eventcore.api import functions_tags as tags
from eventcore.api import functions_versions as versions
from eventcore.api.functions_code import CODE_PATH, GetCodeRequest, get_code
from eventcore.api.functions_constraints import check
from eventcore.api.functions_faults import ERRORS, write_fault
from eventcore.api.functions_invoke import INVOKE_OPERATIONS
from eventcore.api.functions_missing import MISSING_ROUTES
from eventcore.api.functions_settings import SETTINGS_OPERATIONS
from eventcore.api.mappings import MAPPING_OPERATIONS
from eventcore.api.operation import Call, RestAnswer, RestHandler, Service
from eventcore.api.rest import REST_JSON, RestOperation, RestRoutes

__all__ = ["GET_CODE", "LAMBDA", "LAMBDA_ROUTES"]

R = TypeVar("R", bound=msgspec.Struct)

GET_CODE: Final = "GetCode"
"""Of ours: it serves the location of code that GetFunction tells."""

_FUNCTIONS: Final = "/2015-03-31/functions"
_FUNCTION: Final = _FUNCTIONS + "/{FunctionName}"
_CONFIGURATION: Final = _FUNCTION + "/configuration"
_VERSIONS: Final = _FUNCTION + "/versions"
_ALIASES: Final = _FUNCTION + "/aliases"
_ALIAS: Final = _ALIASES + "/{Name}"
_POLICY: Final = _FUNCTION + "/policy"
_TAGS: Final = "/2017-03-31/tags/{Resource}"
_SIGNING: Final = "/2020-06-30/functions/{FunctionName}/code-signing-config"
_RUNTIME: Final = "/2021-07-20/functions/{FunctionName}/runtime-management-config"

_PAGE: Final = ("Marker", "MaxItems")
_QUALIFIER: Final = ("Qualifier",)


def _operation(
    name: str,
    request_type: type[R],
    handle: RestHandler[R],
    method: str,
    path: str,
    status: int = 200,
    query: Iterable[str] | Mapping[str, str] = (),
) -> RestOperation[Any]:
    """An operation whose requests are checked against the model first."""

    def serve(call: Call, request: R) -> bytes | RestAnswer | None:
        check(request)
        return handle(call, request)

    return RestOperation(name, request_type, serve, method, path, status=status, query=query)


_OF_FUNCTIONS: Final = (
    _operation(
        "CreateFunction",
        requests.CreateFunctionRequest,
        lifecycle.create_function,
        "POST",
        _FUNCTIONS,
        201,
    ),
    _operation(
        "DeleteFunction",
        requests.DeleteFunctionRequest,
        lifecycle.delete_function,
        "DELETE",
        _FUNCTION,
        204,  # the model says 200
        query=_QUALIFIER,
    ),
    _operation(
        "GetFunction",
        requests.GetFunctionRequest,
        lifecycle.get_function,
        "GET",
        _FUNCTION,
        query=_QUALIFIER,
    ),
    _operation(
        "GetFunctionCodeSigningConfig",
        requests.GetFunctionCodeSigningConfigRequest,
        runtime.get_function_code_signing_config,
        "GET",
        _SIGNING,
    ),
    _operation(
        "GetFunctionConfiguration",
        requests.GetFunctionConfigurationRequest,
        lifecycle.get_function_configuration,
        "GET",
        _CONFIGURATION,
        query=_QUALIFIER,
    ),
    _operation(
        "GetRuntimeManagementConfig",
        requests.GetRuntimeManagementConfigRequest,
        runtime.get_runtime_management_config,
        "GET",
        _RUNTIME,
        query=_QUALIFIER,
    ),
    _operation(
        "ListFunctions",
        requests.ListFunctionsRequest,
        lifecycle.list_functions,
        "GET",
        _FUNCTIONS,
        query=("MasterRegion", "FunctionVersion", *_PAGE),
    ),
    _operation(
        "PutRuntimeManagementConfig",
        requests.PutRuntimeManagementConfigRequest,
        runtime.put_runtime_management_config,
        "PUT",
        _RUNTIME,
        query=_QUALIFIER,
    ),
    _operation(
        "UpdateFunctionCode",
        requests.UpdateFunctionCodeRequest,
        lifecycle.update_function_code,
        "PUT",
        CODE_PATH,
    ),
    _operation(
        "UpdateFunctionConfiguration",
        requests.UpdateFunctionConfigurationRequest,
        lifecycle.update_function_configuration,
        "PUT",
        _CONFIGURATION,
    ),
    _operation(GET_CODE, GetCodeRequest, get_code, "GET", CODE_PATH, query=_QUALIFIER),
)

_OF_VERSIONS: Final = (
    _operation(
        "CreateAlias", requests.CreateAliasRequest, versions.create_alias, "POST", _ALIASES, 201
    ),
    _operation(
        "DeleteAlias", requests.DeleteAliasRequest, versions.delete_alias, "DELETE", _ALIAS, 204
    ),
    _operation("GetAlias", requests.GetAliasRequest, versions.get_alias, "GET", _ALIAS),
    _operation(
        "ListAliases",
        requests.ListAliasesRequest,
        versions.list_aliases,
        "GET",
        _ALIASES,
        query=("FunctionVersion", *_PAGE),
    ),
    _operation(
        "ListVersionsByFunction",
        requests.ListVersionsByFunctionRequest,
        versions.list_versions_by_function,
        "GET",
        _VERSIONS,
        query=_PAGE,
    ),
    _operation(
        "PublishVersion",
        requests.PublishVersionRequest,
        versions.publish_version,
        "POST",
        _VERSIONS,
        201,
    ),
    _operation("UpdateAlias", requests.UpdateAliasRequest, versions.update_alias, "PUT", _ALIAS),
)

_OF_POLICIES_AND_TAGS: Final = (
    _operation(
        "AddPermission",
        requests.AddPermissionRequest,
        policies.add_permission,
        "POST",
        _POLICY,
        201,
        query=_QUALIFIER,
    ),
    _operation(
        "GetPolicy",
        requests.GetPolicyRequest,
        policies.get_policy,
        "GET",
        _POLICY,
        query=_QUALIFIER,
    ),
    _operation("ListTags", requests.ListTagsRequest, tags.list_tags, "GET", _TAGS),
    _operation(
        "RemovePermission",
        requests.RemovePermissionRequest,
        policies.remove_permission,
        "DELETE",
        _POLICY + "/{StatementId}",
        204,
        query=("Qualifier", "RevisionId"),
    ),
    _operation("TagResource", requests.TagResourceRequest, tags.tag_resource, "POST", _TAGS, 204),
    _operation(
        "UntagResource",
        requests.UntagResourceRequest,
        tags.untag_resource,
        "DELETE",
        _TAGS,
        204,
        query={"tagKeys": "TagKeys"},
    ),
)

LAMBDA: Final = Service(
    name="lambda",
    target_prefix="",
    content_type=REST_JSON,
    errors=ERRORS,
    missing_operations=frozenset(route.name for route in MISSING_ROUTES),
    write_fault=write_fault,
    operations=(
        *_OF_FUNCTIONS,
        *_OF_VERSIONS,
        *_OF_POLICIES_AND_TAGS,
        *INVOKE_OPERATIONS,
        *SETTINGS_OPERATIONS,
        *MAPPING_OPERATIONS,
    ),
)

LAMBDA_ROUTES: Final = RestRoutes(LAMBDA, MISSING_ROUTES)
"""The paths of all these operations."""
