"""What a function's settings may be. Each check raises InvalidParameter or LimitExceeded with AWS's
text, and knows nothing of a function's state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from eventcore import limits
from eventcore.codec import check_record
from eventcore.errors import InvalidParameter, LimitExceeded
from eventcore.functions.function_spec import LATEST, FunctionConfig, InvokeConfig

__all__ = [
    "ALLOW",
    "TERMINATE",
    "check_alias_name",
    "check_config",
    "check_invoke_config",
    "check_recursive_loop",
    "check_reserved",
    "check_tags",
    "check_weights",
    "check_zip",
    "is_version",
]

TERMINATE: Final = "Terminate"
ALLOW: Final = "Allow"
ALIAS_CHARACTERS_MAX: Final = 128
_ALIAS: Final = re.compile(r"(?!\d+\Z)[a-zA-Z0-9_-]+", re.ASCII)


def is_version(qualifier: str) -> bool:
    """Whether a qualifier names a version; every other one names an alias."""
    return qualifier == LATEST or (qualifier.isascii() and qualifier.isdigit())


def check_config(config: FunctionConfig) -> None:
    """The types and the numbers of a configuration."""
    check_record(config)
    _check_range("timeout", config.timeout_ms, 1, limits.FUNCTION_TIMEOUT_MS_MAX, " ms")
    _check_range("memory_size", config.memory_mb, 1, limits.FUNCTION_MEMORY_MB_MAX, " MB")


def check_zip(zip_bytes: bytes | None) -> None:
    """The size of code that is stored."""
    if zip_bytes is not None and len(zip_bytes) > limits.ZIP_BYTES_MAX:
        raise LimitExceeded("zip_bytes_max", limits.ZIP_BYTES_MAX)


def check_tags(tags: Mapping[str, str]) -> None:
    """The tags of a function, all of them."""
    if len(tags) > limits.TAGS_MAX:
        detail = "Number of tags exceeds resource tag limit."
        raise LimitExceeded("tags_max", limits.TAGS_MAX, detail)
    for key, value in tags.items():
        if not 1 <= len(key) <= limits.TAG_KEY_CHARACTERS_MAX:
            raise InvalidParameter("tags", "A tag's key must have 1 to 128 characters.", key)
        if len(value) > limits.TAG_VALUE_CHARACTERS_MAX:
            raise InvalidParameter("tags", "A tag's value must have 0 to 256 characters.", value)


def check_reserved(reserved: int | None) -> None:
    """Reserved concurrency; what is left of the account's is not known here."""
    if reserved is not None and (reserved.__class__ is not int or reserved < 0):
        raise InvalidParameter("reserved_concurrent_executions", "Must be 0 or more.", reserved)


def check_recursive_loop(recursive_loop: str) -> None:
    """What happens to a recursive loop."""
    if recursive_loop not in (TERMINATE, ALLOW):
        raise InvalidParameter("recursive_loop", "Must be Terminate or Allow.", recursive_loop)


def check_invoke_config(config: InvokeConfig, function_arn: str) -> None:
    """The settings of asynchronous invocations; whether destinations exist is not known here."""
    check_record(config)
    if config.retries_max is not None:
        _check_range("maximum_retry_attempts", config.retries_max, 0, limits.INVOKE_RETRIES_MAX)
    if config.age_ms_max is not None:
        low, high = limits.INVOKE_AGE_MS_MIN, limits.INVOKE_AGE_MS_MAX
        _check_range("maximum_event_age", config.age_ms_max, low, high, " ms")
    for destination in (config.on_success, config.on_failure):
        if destination is not None and f"{destination}:".startswith(f"{function_arn}:"):
            raise InvalidParameter(
                "destination",
                "You can't specify the function as a destination for itself.",
                destination,
            )


def check_alias_name(name: str) -> None:
    """The name of an alias, which must not look like a version's."""
    if len(name) > ALIAS_CHARACTERS_MAX or _ALIAS.fullmatch(name) is None:
        raise InvalidParameter(
            "name", "Must have 1 to 128 letters, digits, - and _, and not digits only.", name
        )


def check_weights(version: str, weights: Mapping[str, float]) -> None:
    """The routing of an alias; whether its versions exist is not known here."""
    if not weights:
        return
    if len(weights) > 1:
        raise InvalidParameter(
            "weights", "Number of items in AdditionalVersionWeights cannot be greater than 1"
        )
    if version == LATEST or LATEST in weights:
        raise InvalidParameter(
            "version", "$LATEST is not supported for an alias pointing to more than 1 version"
        )
    for other, weight in weights.items():
        if other == version:
            raise InvalidParameter(
                "weights",
                f"Invalid function version {version}. Function version {version} is already "
                "included in routing configuration.",
            )
        if not 0.0 <= weight <= 1.0:
            raise InvalidParameter("weights", "A weight must be from 0.0 to 1.0.", weight)


def _check_range(name: str, value: int, low: int, high: int, unit: str = "") -> None:
    if not low <= value <= high:
        raise InvalidParameter(name, f"Must be from {low} to {high}{unit}.", value)
