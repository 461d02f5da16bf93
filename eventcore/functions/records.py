"""The rows of a function: their families, in the order of recovery, and what is in them.

Code is log rows: bulk that no function holds in memory (`code.py`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.codec import record_decoder
from eventcore.functions.function_spec import (
    AliasRecord,
    FunctionRecord,
    InvokeConfig,
    PolicyRecord,
    ProvisionedRecord,
    VersionRecord,
)

__all__ = [
    "ALIAS",
    "ATTEMPTS",
    "EVENT",
    "FUNCTION",
    "INVOKE_CONFIG",
    "POLICY",
    "PROVISIONED",
    "VERSION",
    "AsyncAttemptsRecord",
    "AsyncRecord",
    "InvokeConfigRow",
    "PolicyRow",
    "ProvisionedRow",
    "decode_alias",
    "decode_async_attempts",
    "decode_async_record",
    "decode_function",
    "decode_invoke_config",
    "decode_policy",
    "decode_provisioned",
    "decode_version",
]

FUNCTION: Final = 0
VERSION: Final = 1
"""Number 0 is $LATEST; a published version's number is its own."""
ALIAS: Final = 2
INVOKE_CONFIG: Final = 3
PROVISIONED: Final = 4
POLICY: Final = 5
EVENT: Final = 6
ATTEMPTS: Final = 7


class InvokeConfigRow(msgspec.Struct, frozen=True, array_like=True):
    """How asynchronous invocations of one qualifier are tried."""

    qualifier: str
    record: InvokeConfig


class ProvisionedRow(msgspec.Struct, frozen=True, array_like=True):
    """The provisioned concurrency of one qualifier."""

    qualifier: str
    record: ProvisionedRecord


class PolicyRow(msgspec.Struct, frozen=True, array_like=True):
    """The policy of one qualifier, the empty one for the function itself."""

    qualifier: str
    record: PolicyRecord


class AsyncRecord(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """The row of an asynchronous invocation, never changed. `id` is 16 bytes, `payload` JSON."""

    id: bytes
    accepted_ms: int
    payload: str
    qualifier: str | None = None
    trace_header: str = ""
    client_context: str = ""


class AsyncAttemptsRecord(msgspec.Struct, gc=False, frozen=True, array_like=True):
    """The second row of an asynchronous invocation, from its first failure on: how often the
    function was invoked, when it is next, and how the last one ended.
    """

    invokes: int
    next_ms: int
    executed_version: str
    error: str
    message: str


decode_function: Final = record_decoder(FunctionRecord)
decode_version: Final = record_decoder(VersionRecord)
decode_alias: Final = record_decoder(AliasRecord)
decode_invoke_config: Final = record_decoder(InvokeConfigRow)
decode_provisioned: Final = record_decoder(ProvisionedRow)
decode_policy: Final = record_decoder(PolicyRow)
decode_async_record: Final = record_decoder(AsyncRecord)
decode_async_attempts: Final = record_decoder(AsyncAttemptsRecord)
