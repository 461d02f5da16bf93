"""The compiled event pattern."""

from __future__ import annotations

from typing import final

import msgspec

from eventcore.patterns.conditions import Condition

__all__ = ["Branch", "Pattern"]

Branch = tuple[Condition, ...]
"""Conditions that must hold together, one per path, in ascending order of `path`."""


@final
class Pattern(msgspec.Struct, frozen=True):
    """An event pattern, checked and immutable; made by `eventcore.patterns.compile_pattern`.

    `text` is the source as it was given, `dialect` the name of the dialect in which it was read. An
    event matches if one of `branches` holds; there is one, unless the pattern has `$or`. Two
    patterns of one dialect with the same text are equal.
    """

    text: str
    branches: tuple[Branch, ...]
    dialect: str = "bus"
