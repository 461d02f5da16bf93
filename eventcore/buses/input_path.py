r"""The JSON paths of EventBridge's InputPath and InputPathsMap.

    path  := "$" step*
    step  := "." name | "[" index "]"          name: any character but . [ ] * ' " and whitespace

The subset that PutTargets accepts on AWS, without the wildcard: dots, names with dashes, slashes
and underscores, and array indices. Quoted brackets (`$['a']`) are refused, as AWS refuses them.
"""

from __future__ import annotations

import re
from typing import Any, Final

from eventcore import limits

__all__ = ["ABSENT", "JsonPath", "compile_path", "find"]

JsonPath = tuple[str | int, ...]
"""Member names and array indices, from the event inwards; empty for the whole event."""

ABSENT: Final = object()
"""What `find` gives for a path that leads nowhere. Not None, which is JSON's null."""

_STEP: Final = re.compile(r"""\.([^.\[\]*'"\s]+)|\[(\d{1,9})\]""")


def compile_path(text: str) -> JsonPath | None:
    """The steps of a path; None for a text that is no path of this language."""
    if not text.startswith("$") or len(text) > limits.INPUT_PATH_CHARACTERS_MAX:
        return None
    steps: list[str | int] = []
    at = 1
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            return None
        name, index = step.groups()
        steps.append(name if name is not None else int(index))
        at = step.end()
    return tuple(steps)


def find(path: JsonPath, event: Any) -> Any:
    """The value at `path`, ABSENT where there is none."""
    value = event
    for step in path:
        if step.__class__ is str:
            if value.__class__ is not dict or step not in value:
                return ABSENT
        elif value.__class__ is not list or step >= len(value):  # type: ignore[operator]
            return ABSENT
        value = value[step]
    return value
