"""Quotas by name, as the command line has them: NAME=VALUE, or NAME=off.

The names are the fields of `eventcore.limits.Quotas`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from eventcore.errors import InvalidParameter
from eventcore.limits import Quotas, quotas_for

__all__ = ["OFF", "QUOTA_NAMES", "check_quotas", "quotas_with", "read_quotas"]

OFF: Final = "off"
QUOTA_NAMES: Final = tuple(field.name for field in msgspec.structs.fields(Quotas))
VALUE_MAX: Final = (1 << 63) - 1
_VALUE: Final = re.compile(r"[0-9]{1,19}")


def read_quotas(texts: Iterable[str]) -> dict[str, int | None]:
    """Quotas of texts NAME=VALUE or NAME=off; of a name that comes twice, the last.

    Raises InvalidParameter for anything else.
    """
    quotas: dict[str, int | None] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise InvalidParameter("quota", f"must be NAME=VALUE or NAME=off, and is {text!r}")
        _check_name(name)
        if value != OFF and _VALUE.fullmatch(value) is None:
            raise _bad_value(name, value)
        quotas[name] = None if value == OFF else int(value)
    check_quotas(quotas)
    return quotas


def check_quotas(quotas: Mapping[str, object]) -> None:
    """Raises InvalidParameter for a name that is no quota's, and a value that is none."""
    for name, value in quotas.items():
        _check_name(name)
        is_number = value.__class__ is int and 1 <= value <= VALUE_MAX
        if value is not None and not is_number:
            raise _bad_value(name, value)


def quotas_with(strictness: str, quotas: Mapping[str, int | None]) -> Quotas:
    """The quotas of a strictness, but for those named; None switches one off."""
    return msgspec.structs.replace(quotas_for(strictness), **quotas)


def _check_name(name: str) -> None:
    if name not in QUOTA_NAMES:
        raise InvalidParameter(
            "quota", f"there is no {name!r}; the quotas are {', '.join(QUOTA_NAMES)}", name
        )


def _bad_value(name: str, value: object) -> InvalidParameter:
    return InvalidParameter(
        "quota", f"{name} must be a whole number from 1 on, or {OFF}, and is {value!r}", value
    )
