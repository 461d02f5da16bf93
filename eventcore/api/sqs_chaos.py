"""Chaos by a tag: how a test makes a queue misbehave without knowing eventcore.

The value of the tag `eventcore:chaos` is a list of `name=value`, separated by commas or spaces:

    seed=7,duplicate=0.1,reorder=0.05,delay=0.2,delay_ms_max=500,throttle=0.01

Names are those of `eventcore.queues.queue_spec.Chaos`; those left out have its defaults. What does
not parse is refused and changes nothing. On AWS the tag is a tag like any other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from eventcore.api.sqs_faults import invalid_parameter
from eventcore.errors import InvalidParameter
from eventcore.queues.queue_spec import Chaos, QueueSpec
from eventcore.wire.fault import Fault

__all__ = ["CHAOS_TAG", "read_chaos", "with_chaos"]

CHAOS_TAG: Final = "eventcore:chaos"
_WHOLE: Final = frozenset(("seed", "delay_ms_max"))
_NAMES: Final = tuple(field.name for field in msgspec.structs.fields(Chaos))
_NUMBER: Final = re.compile(
    r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?"
)
_SEPARATORS: Final = re.compile(r"[,\s]+")


def with_chaos(spec: QueueSpec, tags: Mapping[str, str]) -> QueueSpec:
    """`spec` with the chaos of these tags, unchanged where none of them is about it. Raises
    Fault.
    """
    text = tags.get(CHAOS_TAG)
    if text is None:
        return spec
    return msgspec.structs.replace(spec, chaos=read_chaos(text, is_fifo=spec.is_fifo))


def read_chaos(text: str, *, is_fifo: bool) -> Chaos:
    """The settings that the tag's value stands for. Raises Fault for what does not parse, is out of
    range, or is not for FIFO queues.
    """
    values: dict[str, Any] = {}
    for part in filter(None, _SEPARATORS.split(text)):
        name, _, value = part.partition("=")
        if name not in _NAMES:
            raise _refused(f"{name[:64]!r} is none of {', '.join(_NAMES)}.")
        if name in values:
            raise _refused(f"{name} is given twice.")
        values[name] = _read_number(name, value)
    if not values:
        raise _refused("It must be a list such as seed=7,duplicate=0.1.")
    chaos = Chaos(**values)
    try:
        QueueSpec(is_fifo=is_fifo, chaos=chaos).validate()
    except InvalidParameter as error:
        raise _refused(f"{error.name}: {error.reason}") from error
    return chaos


def _read_number(name: str, value: str) -> int | float:
    if _NUMBER.fullmatch(value) is None:
        raise _refused(f"{name} must be a number, and is {value[:64]!r}.")
    if name not in _WHOLE:
        return float(value)
    try:
        return int(value)
    except ValueError as error:
        raise _refused(f"{name} must be a whole number, and is {value[:64]!r}.") from error


def _refused(reason: str) -> Fault:
    return invalid_parameter(f"Value of the tag {CHAOS_TAG} is invalid. Reason: {reason}")
