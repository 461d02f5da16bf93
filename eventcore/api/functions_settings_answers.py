"""Answers of the operations on settings of functions: members and types as in botocore's model of
2015-03-31.

A member with a default is left out of an answer when it has that value.
"""

from __future__ import annotations

import msgspec

from eventcore.api.functions_requests import wire_name
from eventcore.api.mappings_requests import DestinationConfigShape

__all__ = [
    "AccountLimitShape",
    "AccountSettingsAnswer",
    "AccountUsageShape",
    "ConcurrencyAnswer",
    "EventInvokeConfigAnswer",
    "ListEventInvokeConfigsAnswer",
    "ListProvisionedAnswer",
    "ProvisionedAnswer",
    "ProvisionedItemShape",
    "RecursionConfigAnswer",
]


class _Answer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename=wire_name):
    """Members are snake case here; see `wire_name`."""


class EventInvokeConfigAnswer(_Answer, frozen=True):
    """A configuration of asynchronous invocations. Times are epoch seconds."""

    last_modified: float
    function_arn: str
    destination_config: DestinationConfigShape
    maximum_retry_attempts: int | None = None
    maximum_event_age_in_seconds: int | None = None


class ListEventInvokeConfigsAnswer(_Answer, frozen=True):
    """A page of them."""

    function_event_invoke_configs: list[EventInvokeConfigAnswer]
    next_marker: str | None = None


class ConcurrencyAnswer(_Answer, frozen=True):
    """A function's reservation."""

    reserved_concurrent_executions: int | None = None


class ProvisionedAnswer(_Answer, frozen=True):
    """Provisioned concurrency: what was asked for, and what is there."""

    requested_provisioned_concurrent_executions: int
    available_provisioned_concurrent_executions: int
    allocated_provisioned_concurrent_executions: int
    status: str
    last_modified: str
    status_reason: str | None = None


class ProvisionedItemShape(_Answer, frozen=True):
    """The same in a list."""

    function_arn: str
    requested_provisioned_concurrent_executions: int
    available_provisioned_concurrent_executions: int
    allocated_provisioned_concurrent_executions: int
    status: str
    last_modified: str
    status_reason: str | None = None


class ListProvisionedAnswer(_Answer, frozen=True):
    """A page of them."""

    provisioned_concurrency_configs: list[ProvisionedItemShape]
    next_marker: str | None = None


class RecursionConfigAnswer(_Answer, frozen=True):
    """What becomes of a recursive loop."""

    recursive_loop: str


class AccountLimitShape(_Answer, frozen=True):
    """An account's quotas."""

    total_code_size: int
    code_size_unzipped: int
    code_size_zipped: int
    concurrent_executions: int
    unreserved_concurrent_executions: int


class AccountUsageShape(_Answer, frozen=True):
    """What an account has."""

    total_code_size: int
    function_count: int


class AccountSettingsAnswer(_Answer, frozen=True):
    """Both."""

    account_limit: AccountLimitShape
    account_usage: AccountUsageShape
