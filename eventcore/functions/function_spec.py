"""What a function is told and what it tells: configurations, versions, aliases, settings.

Times are epoch ms, durations ms, sizes bytes. Machines keep these structs in rows, so fields are
only ever added, at the end and with a default.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from eventcore import limits

__all__ = [
    "KIND_HTTP",
    "KIND_LOCAL",
    "KIND_PROCESS",
    "LATEST",
    "AliasRecord",
    "FunctionCode",
    "FunctionConfig",
    "FunctionRecord",
    "InvokeConfig",
    "PolicyRecord",
    "PolicyStatement",
    "ProvisionedRecord",
    "Resolved",
    "VersionRecord",
]

LATEST: Final = "$LATEST"
"""The version that can be changed."""

KIND_PROCESS: Final = "process"
"""Code in execution environments: worker processes that speak the Lambda Runtime API."""
KIND_LOCAL: Final = "local"
"""A callable of the embedding program. It is known only while that program has registered it."""
KIND_HTTP: Final = "http"
"""An HTTP endpoint that is posted the event, and answers with the result."""


class FunctionCode(msgspec.Struct, frozen=True, array_like=True):
    """Where a version's code is.

    `blob` numbers a zip in the function's own log rows, 0 for none. `location` is a directory of
    this machine that is used as it is, empty for none. `sha256` is the zip's digest in base64, as
    AWS's CodeSha256, and `size_bytes` the zip's size.
    """

    blob: int = 0
    sha256: str = ""
    size_bytes: int = 0
    location: str = ""


class FunctionConfig(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The configuration of one version.

    `handler` is "module.function" as the runtime reads it, or the URL of an HTTP endpoint. `echoed`
    holds members of Lambda's FunctionConfiguration that are kept and shown and do nothing here, by
    their AWS names (VpcConfig, LoggingConfig, SnapStart, ...).
    """

    kind: str = KIND_PROCESS
    handler: str = ""
    runtime: str = ""
    role: str = ""
    description: str = ""
    timeout_ms: int = limits.FUNCTION_TIMEOUT_MS_DEFAULT
    memory_mb: int = limits.FUNCTION_MEMORY_MB_DEFAULT
    environment: dict[str, str] = {}
    code: FunctionCode = FunctionCode()
    dead_letter_arn: str | None = None
    tracing: str = "PassThrough"
    architecture: str = "x86_64"
    storage_mb: int = 512
    echoed: dict[str, Any] = {}


class FunctionRecord(msgspec.Struct, frozen=True, array_like=True):
    """What a function has beside its versions. `reserved` is its reserved concurrency, None for
    none. `recursive_loop` is "Terminate" or "Allow". Numbers are given once and never again.
    """

    created_ms: int
    tags: dict[str, str] = {}
    reserved: int | None = None
    recursive_loop: str = "Terminate"
    next_version: int = 1
    next_blob: int = 1


class VersionRecord(msgspec.Struct, frozen=True, array_like=True):
    """A version: "$LATEST", or a number from 1 that never changes again. `revision_id` (a UUID)
    changes with each change, so that a caller can say which state he meant.
    """

    version: str
    config: FunctionConfig
    modified_ms: int
    revision_id: str
    description: str = ""

    @property
    def shown_description(self) -> str:
        """The version's own description, or its configuration's."""
        return self.description or self.config.description


class AliasRecord(msgspec.Struct, frozen=True, array_like=True):
    """A name for a version. `weights` sends a share (0.0 to 1.0) of the invocations to another."""

    name: str
    version: str
    revision_id: str
    description: str = ""
    weights: dict[str, float] = {}


class InvokeConfig(msgspec.Struct, frozen=True, array_like=True):
    """How asynchronous invocations of a function, version or alias are tried and where they end.

    None means AWS's default: two retries, six hours, nowhere. Destinations are ARNs.
    """

    modified_ms: int
    retries_max: int | None = None
    age_ms_max: int | None = None
    on_success: str | None = None
    on_failure: str | None = None


class ProvisionedRecord(msgspec.Struct, frozen=True, array_like=True):
    """Provisioned concurrency of a version or an alias: environments kept initialised."""

    requested: int
    modified_ms: int


class PolicyStatement(msgspec.Struct, frozen=True, array_like=True):
    """A permission: its id and its statement as JSON text. Stored and told, not enforced."""

    sid: str
    text: str


class PolicyRecord(msgspec.Struct, frozen=True, array_like=True):
    """The resource policy of a function, version or alias."""

    statements: tuple[PolicyStatement, ...]
    revision_id: str


class Resolved(msgspec.Struct, frozen=True):
    """What a qualifier means for one invocation. `alias` is its name where it is one."""

    version: VersionRecord
    alias: str | None = None
