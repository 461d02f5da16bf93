"""Runs a coroutine as a program's main: on uvloop where it is installed, and with room for many
sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["raise_file_limit", "run"]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end on a fresh event loop, and returns what it returns."""
    try:
        import uvloop  # noqa: PLC0415  absent on Windows
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def raise_file_limit(wanted: int) -> int:
    """Raises this process's limit of open files to `wanted`, as far as allowed; returns the limit
    then.

    Children inherit it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
