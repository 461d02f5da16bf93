"""The constraints of EventBridge's model on the members of requests, and the fault for a value that
breaks one.

Rules of this file (botocore, service-2.json of events; answers that AWS gave):

- A member is named as AWS names it in its errors: camel case, list entries counted from 1
  (`targets.1.member.id`).
- AWS tells all broken constraints of a request; here it is the first.
- Every member that is stored has a bound.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final, TypeVar

from eventcore import limits
from eventcore.api.constraints import broken_member, validation_errors
from eventcore.arn import parse_arn
from eventcore.errors import InvalidParameter
from eventcore.wire.fault import Fault

__all__ = [
    "check_arn",
    "check_bus_address",
    "check_bus_name",
    "check_count",
    "check_enum",
    "check_kms_key",
    "check_length",
    "check_limit",
    "check_name",
    "check_path_name",
    "check_put_address",
    "constraint_failed",
    "required",
    "unsupported",
    "validation",
]

T = TypeVar("T")

_NAME: Final = r"[\.\-_A-Za-z0-9]+"
_BUS_NAME: Final = r"[/\.\-_A-Za-z0-9]+"
_BUS_ARN_PREFIX: Final = r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?"
# AWS's, but for regions that only exist at home: "local".
_ANY_BUS_ARN_PREFIX: Final = r"(arn:aws[\w-]*:events:[a-z0-9-]+:[0-9]{12}:event-bus/)?"
_BUS_ADDRESS: Final = re.compile(_ANY_BUS_ARN_PREFIX + _BUS_NAME, re.ASCII)
_PUT_ADDRESS: Final = re.compile(_ANY_BUS_ARN_PREFIX + _NAME, re.ASCII)
_PATH_NAME: Final = r"[A-Za-z0-9\_\-]+"
_KMS_KEY: Final = r"^[a-zA-Z0-9_\-/:]*$"


def validation(message: str) -> Fault:
    """ValidationException with a text of its own."""
    return Fault("ValidationException", message)


def unsupported(detail: str) -> Fault:
    """501 for what AWS has and eventcore has not. SDKs do not try it again."""
    return Fault("UnsupportedOperation", f"eventcore does not support {detail}.", status=501)


def constraint_failed(name: str, value: object, reason: str) -> Fault:
    """ValidationException in the form in which AWS reports a broken constraint of the model."""
    return validation_errors([broken_member(name, None if value is None else str(value), reason)])


def required(name: str, value: T | None) -> T:
    """The value of a required member. Raises the fault for one that is absent."""
    if value is None:
        raise constraint_failed(name, None, "Member must not be null")
    return value


def check_length(name: str, value: str | None, lowest: int, highest: int) -> None:
    """Raises the fault for a text of a length that is not allowed; None is allowed."""
    if value is not None:
        _check_bounds(name, value, len(value), (lowest, highest), "length")


def check_count(name: str, entries: Sequence[object], lowest: int, highest: int) -> None:
    """Raises the fault for a list of a length that is not allowed."""
    _check_bounds(name, "[...]" if entries else "[]", len(entries), (lowest, highest), "length")


def check_limit(limit: int | None, highest: int = limits.LIST_ENTRIES_MAX) -> int:
    """The size of a page, `highest` by default. Raises the fault for one out of range."""
    if limit is None:
        return highest
    _check_bounds("limit", limit, limit, (1, highest), "value")
    return limit


def check_enum(name: str, value: str | None, allowed: Collection[str]) -> None:
    """Raises the fault for a value that is none of `allowed`; None is allowed."""
    if value is not None and value not in allowed:
        reason = f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        raise constraint_failed(name, value, reason)


def check_name(name: str, value: str | None, characters_max: int) -> None:
    """Raises the fault for what is no name of a rule or id of a target; None is allowed."""
    _check_text(name, value, characters_max, _NAME)


def check_bus_name(name: str, value: str | None) -> None:
    """Raises the fault for what is no name of a bus; None is allowed."""
    _check_text(name, value, limits.BUS_NAME_CHARACTERS_MAX, _BUS_NAME)


def check_bus_address(name: str, value: str | None) -> None:
    """Raises the fault for what is neither a name nor an ARN of a bus; None is allowed."""
    shown = _BUS_ARN_PREFIX + _BUS_NAME
    _check_text(name, value, limits.ARN_CHARACTERS_MAX, shown, _BUS_ADDRESS)


def check_put_address(name: str, value: str | None) -> None:
    """`check_bus_address` of PutEvents, which does not put to the buses of partners."""
    shown = _BUS_ARN_PREFIX + _NAME
    _check_text(name, value, limits.ARN_CHARACTERS_MAX, shown, _PUT_ADDRESS)


def check_path_name(name: str, value: str) -> None:
    """Raises the fault for what is no variable of an input transformer."""
    _check_text(name, value, limits.INPUT_PATH_NAME_CHARACTERS_MAX, _PATH_NAME)


def check_kms_key(name: str, value: str | None) -> None:
    """Raises the fault for what can not name a key; None is allowed."""
    if value:
        _check_text(name, value, limits.KMS_KEY_CHARACTERS_MAX, _KMS_KEY)


def check_arn(name: str, value: str | None) -> None:
    """Raises the fault for what is no ARN; None is allowed."""
    if value is None:
        return
    check_length(name, value, 1, limits.ARN_CHARACTERS_MAX)
    try:
        parse_arn(value)
    except InvalidParameter as error:
        raise validation(
            f"Parameter {value} is not valid. Reason: Provided Arn is not in correct format."
        ) from error


def _check_text(
    name: str,
    value: str | None,
    characters_max: int,
    pattern: str,
    compiled: re.Pattern[str] | None = None,
) -> None:
    """`pattern` is what is told; `compiled` is what is meant where that is more."""
    if value is None:
        return
    check_length(name, value, 1, characters_max)
    if (compiled or re.compile(pattern, re.ASCII)).fullmatch(value) is None:
        reason = f"Member must satisfy regular expression pattern: {pattern}"
        raise constraint_failed(name, value, reason)


def _check_bounds(
    name: str, shown: object, measure: int, bounds: tuple[int, int], what: str
) -> None:
    lowest, highest = bounds
    if measure > highest:
        reason = f"Member must have {what} less than or equal to {highest}"
    elif measure < lowest:
        reason = f"Member must have {what} greater than or equal to {lowest}"
    else:
        return
    raise constraint_failed(name, shown, reason)
