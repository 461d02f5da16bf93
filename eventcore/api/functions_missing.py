"""The operations of Lambda that AWS has and eventcore has not: layers, code signing, durable
executions, function URLs and others, with their paths, so that they are told as missing and not as
unknown.
"""

from __future__ import annotations

from typing import Final

from eventcore.api.rest import MissingRoute

__all__ = ["MISSING_ROUTES"]

_LAYER_VERSIONS: Final = "/2018-10-31/layers/{LayerName}/versions"
_LAYERS: Final = "/2018-10-31/layers"
_DURABLE_EXECUTION: Final = "/2025-12-01/durable-executions/{DurableExecutionArn}"
_CALLBACK: Final = "/2025-12-01/durable-execution-callbacks/{CallbackId}"
_SIGNING: Final = "/2020-04-22/code-signing-configs"
_PROVIDER: Final = "/2025-11-30/capacity-providers"
_URL: Final = "/2021-10-31/functions/{FunctionName}/url"
_RESOURCE_POLICY: Final = "/2026-07-09/resource-policy/{ResourceArn}"
_FUNCTION_SIGNING: Final = "/2020-06-30/functions/{FunctionName}/code-signing-config"
_SCALING: Final = "/2025-11-30/functions/{FunctionName}/function-scaling-config"

MISSING_ROUTES: Final = (
    MissingRoute("AddLayerVersionPermission", "POST", _LAYER_VERSIONS + "/{VersionNumber}/policy"),
    MissingRoute("CheckpointDurableExecution", "POST", _DURABLE_EXECUTION + "/checkpoint"),
    MissingRoute("CreateCapacityProvider", "POST", _PROVIDER),
    MissingRoute("CreateCodeSigningConfig", "POST", _SIGNING),
    MissingRoute("CreateFunctionUrlConfig", "POST", _URL),
    MissingRoute("DeleteCapacityProvider", "DELETE", _PROVIDER + "/{CapacityProviderName}"),
    MissingRoute("DeleteCodeSigningConfig", "DELETE", _SIGNING + "/{CodeSigningConfigArn}"),
    MissingRoute("DeleteFunctionCodeSigningConfig", "DELETE", _FUNCTION_SIGNING),
    MissingRoute("DeleteFunctionUrlConfig", "DELETE", _URL),
    MissingRoute("DeleteLayerVersion", "DELETE", _LAYER_VERSIONS + "/{VersionNumber}"),
    MissingRoute("DeleteResourcePolicy", "DELETE", _RESOURCE_POLICY),
    MissingRoute("GetCapacityProvider", "GET", _PROVIDER + "/{CapacityProviderName}"),
    MissingRoute("GetCodeSigningConfig", "GET", _SIGNING + "/{CodeSigningConfigArn}"),
    MissingRoute("GetDurableExecution", "GET", _DURABLE_EXECUTION),
    MissingRoute("GetDurableExecutionHistory", "GET", _DURABLE_EXECUTION + "/history"),
    MissingRoute("GetDurableExecutionState", "GET", _DURABLE_EXECUTION + "/state"),
    MissingRoute("GetFunctionScalingConfig", "GET", _SCALING),
    MissingRoute("GetFunctionUrlConfig", "GET", _URL),
    MissingRoute("GetLayerVersion", "GET", _LAYER_VERSIONS + "/{VersionNumber}"),
    MissingRoute("GetLayerVersionByArn", "GET", _LAYERS + "?find=LayerVersion"),
    MissingRoute("GetLayerVersionPolicy", "GET", _LAYER_VERSIONS + "/{VersionNumber}/policy"),
    MissingRoute("GetResourcePolicy", "GET", _RESOURCE_POLICY),
    MissingRoute("ListCapacityProviders", "GET", _PROVIDER),
    MissingRoute("ListCodeSigningConfigs", "GET", _SIGNING),
    MissingRoute(
        "ListDurableExecutionsByFunction",
        "GET",
        "/2025-12-01/functions/{FunctionName}/durable-executions",
    ),
    MissingRoute("ListFunctionUrlConfigs", "GET", _URL + "s"),
    MissingRoute(
        "ListFunctionVersionsByCapacityProvider",
        "GET",
        _PROVIDER + "/{CapacityProviderName}/function-versions",
    ),
    MissingRoute(
        "ListFunctionsByCodeSigningConfig", "GET", _SIGNING + "/{CodeSigningConfigArn}/functions"
    ),
    MissingRoute("ListLayerVersions", "GET", _LAYER_VERSIONS),
    MissingRoute("ListLayers", "GET", _LAYERS),
    MissingRoute("PublishLayerVersion", "POST", _LAYER_VERSIONS),
    MissingRoute("PutFunctionCodeSigningConfig", "PUT", _FUNCTION_SIGNING),
    MissingRoute("PutFunctionScalingConfig", "PUT", _SCALING),
    MissingRoute("PutResourcePolicy", "PUT", _RESOURCE_POLICY),
    MissingRoute(
        "RemoveLayerVersionPermission",
        "DELETE",
        _LAYER_VERSIONS + "/{VersionNumber}/policy/{StatementId}",
    ),
    MissingRoute("SendDurableExecutionCallbackFailure", "POST", _CALLBACK + "/fail"),
    MissingRoute("SendDurableExecutionCallbackHeartbeat", "POST", _CALLBACK + "/heartbeat"),
    MissingRoute("SendDurableExecutionCallbackSuccess", "POST", _CALLBACK + "/succeed"),
    MissingRoute("StopDurableExecution", "POST", _DURABLE_EXECUTION + "/stop"),
    MissingRoute("UpdateCapacityProvider", "PUT", _PROVIDER + "/{CapacityProviderName}"),
    MissingRoute("UpdateCodeSigningConfig", "PUT", _SIGNING + "/{CodeSigningConfigArn}"),
    MissingRoute("UpdateFunctionUrlConfig", "PUT", _URL),
)
"""By name."""
