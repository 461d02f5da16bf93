"""Runs a coroutine as a program's main: on uvloop where it is installed, and with room for many
sockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import Coroutine
from typing import Any, TypeVar

from eventcore.errors import EventcoreError

__all__ = ["raise_file_limit", "run"]

T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` to its end on a fresh event loop, and returns what it returns.

    When tasks of a group failed with eventcore's errors, the first of those is raised by itself.
    """
    try:
        return _run(main)
    except BaseExceptionGroup as group:
        failures, others = group.split(EventcoreError)
        if failures is None or others is not None:
            raise
        raise _first(failures) from group


def _run(main: Coroutine[Any, Any, T]) -> T:
    try:
        import uvloop  # noqa: PLC0415  absent on Windows
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


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
