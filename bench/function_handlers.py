"""Functions that worker processes find by their names. Standard library only: it starts cold."""

from __future__ import annotations

from typing import Any

__all__ = ["echo", "work"]


def echo(event: Any, context: Any) -> Any:
    """Answers with its event."""
    return event


def work(event: Any, context: Any) -> int:
    """About a millisecond of Python: so many turns of a loop as `event` says."""
    total = 0
    for number in range(event["turns"]):
        total += number
    return total
