"""Everything that a matcher does only with many rules, many values or many events, done with few.

The numbers below decide when it begins, never what the answer is. So random scripts of some dozen
rules reach every way in which a matcher works.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from unittest.mock import patch

__all__ = ["LOW", "lowered", "missing_thresholds"]

LOW = {
    "partition.FEW": 2,
    "partition.SPLIT_MIN": 12,
    "partition.SAMPLE": 8,
    "partition.GAIN_MIN": 0.01,
    "partition.MOVED": 1,
    "rule_index.QUIET_EVENTS": 3,
    "path_index.VALUES_MAX": 16,
    "path_index.CHARACTERS_MAX": 3,
    "path_index.BYTES_MAX": 8_000,
    "path_index._MISSES_TO_JUDGE_BY": 8,
    "path_tree.LEARNED_ITEMS_MAX": 1,
    "event_reader.FIELDS_MAX": 12,
    "range_table._CUTS_MAX": 2,
    "range_table._CUTS_MAX_OF_LONG_MASKS": 4,
    "range_table._LONG_MASK_BITS": 16,
    "range_table._BLOCKS_MAX": 2,
    "masks._SHORT_BITS": 8,
}


@contextmanager
def lowered() -> Iterator[None]:
    """Inside, matchers that are made have the low thresholds, as far as these exist."""
    missing = missing_thresholds()
    with ExitStack() as stack:
        for name, value in LOW.items():
            if name not in missing:
                stack.enter_context(patch(f"eventcore.patterns.{name}", value))
        yield


def missing_thresholds() -> list[str]:
    """The names above that eventcore does not have (any more)."""
    missing: list[str] = []
    for name in LOW:
        module, _, constant = name.partition(".")
        try:
            found = hasattr(import_module(f"eventcore.patterns.{module}"), constant)
        except ModuleNotFoundError:
            found = False
        if not found:
            missing.append(name)
    return missing
