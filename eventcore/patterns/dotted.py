"""Keys of an event that contain dots.

For AWS a path is one string of names joined by dots, so `{"a.b": 1}` and `{"a": {"b": 1}}` are the
same event to a pattern. Such keys are rare: the engines look for exactly the spellings that some
path has, and rewrite the object only if it has one.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from functools import lru_cache

__all__ = ["nest_dotted_keys", "spellings_below"]


@lru_cache(maxsize=4_096)
def spellings_below(steps: tuple[str, ...], depth: int) -> frozenset[str]:
    """The dotted keys that lead down several steps of the path at once, from `depth` on."""
    rest = steps[depth:]
    return frozenset(".".join(rest[:count]) for count in range(2, len(rest) + 1))


def nest_dotted_keys(fields: dict[str, object], spellings: AbstractSet[str]) -> dict[str, object]:
    """`fields`, in which the keys of `spellings` are objects in objects; itself if it has none.

    Where both forms of a key are present their values are seen together, as the items of one array
    would be.
    """
    if not spellings or spellings.isdisjoint(fields):
        return fields
    nested: dict[str, object] = {k: v for k, v in fields.items() if k not in spellings}
    for key, value in fields.items():
        if key in spellings:
            nested = _merged_objects(nested, _as_objects(key, value))
    return nested


def _as_objects(key: str, value: object) -> dict[str, object]:
    first, *rest = key.split(".")
    for step in reversed(rest):
        value = {step: value}
    return {first: value}


def _merged_objects(one: dict[str, object], other: dict[str, object]) -> dict[str, object]:
    merged = dict(one)
    for key, value in other.items():
        merged[key] = _merged(merged[key], value) if key in merged else value
    return merged


def _merged(one: object, other: object) -> object:
    if isinstance(one, dict) and isinstance(other, dict):
        return _merged_objects(one, other)
    return [*_as_list(one), *_as_list(other)]


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
