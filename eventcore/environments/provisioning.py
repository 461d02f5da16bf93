"""Provisioned concurrency: environments that are kept initialised, and started anew when they end.

One task per version starts what is missing, one after the other; it ends when nothing is. A start
that fails is tried again after PAUSE_S_FIRST, and after pauses that double up to PAUSE_S_MAX.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, final

from eventcore.environments.code_store import InvalidCode
from eventcore.functions.function_spec import FunctionConfig
from eventcore.functions.invocation import FailedInvocation

__all__ = ["Provisioning"]

PAUSE_S_FIRST: Final = 1.0
PAUSE_S_MAX: Final = 60.0

Version = tuple[str, str]


class _Target:
    __slots__ = ("config", "count", "has_failed", "over", "settled")

    def __init__(self, config: FunctionConfig, count: int) -> None:
        self.config = config
        self.count = count
        # The latest start has failed, and the function is to blame.
        self.has_failed = False
        # Set when all are there, or when one has failed.
        self.settled = asyncio.Event()
        # Set when another target is in its place, or none.
        self.over = asyncio.Event()

    def end(self) -> None:
        """Nobody wants it any more."""
        self.settled.set()
        self.over.set()

    async def pause(self, seconds: float) -> None:
        """Waits, unless it is over before."""
        try:
            async with asyncio.timeout(seconds):
                await self.over.wait()
        except TimeoutError:
            pass


@final
class Provisioning:
    """`start` starts one environment and offers it; it says whether that could be initialised, and
    raises InvalidCode where it never can, FailedInvocation where the function is not to blame.
    `count` tells how many initialised ones a version has, busy ones included.
    """

    def __init__(
        self,
        start: Callable[[Version, FunctionConfig], Awaitable[bool]],
        count: Callable[[Version], int],
    ) -> None:
        self._start = start
        self._count = count
        self._targets: dict[Version, _Target] = {}
        self._tasks: dict[Version, asyncio.Task[None]] = {}
        self._is_closed = False

    def wanted(self, version: Version) -> int:
        """How many environments of a version are to be there."""
        target = self._targets.get(version)
        return 0 if target is None else target.count

    def has_failed(self, version: Version) -> bool:
        """Whether its environments could not be initialised when that was tried last."""
        target = self._targets.get(version)
        return target is not None and target.has_failed

    @property
    def wanted_in_all(self) -> int:
        """How many are to be there, over all versions."""
        return sum(target.count for target in self._targets.values())

    async def provide(self, version: Version, config: FunctionConfig, count: int) -> None:
        """Sets how many there are to be; returns when they are there, or when one has failed."""
        before = self._targets.pop(version, None)
        if before is not None:
            before.end()
        if count <= 0:
            return
        target = self._targets[version] = _Target(config, count)
        self.look_after(version)
        await target.settled.wait()

    def forget(self, function_arn: str) -> None:
        """Nothing is provisioned for this function any more."""
        for version in [version for version in self._targets if version[0] == function_arn]:
            self._targets.pop(version).end()

    def look_after(self, version: Version) -> None:
        """Has what is missing started. Called whenever an environment has ended."""
        if version in self._targets and version not in self._tasks and not self._is_closed:
            task = asyncio.get_running_loop().create_task(self._fill(version))
            self._tasks[version] = task

    def close(self) -> None:
        """Starts nothing more."""
        self._is_closed = True
        for target in self._targets.values():
            target.end()
        self._targets.clear()
        for task in self._tasks.values():
            task.cancel()

    async def _fill(self, version: Version) -> None:
        try:
            pause_s = PAUSE_S_FIRST
            while (target := self._targets.get(version)) is not None:
                if self._count(version) >= target.count:
                    return
                try:
                    is_started = await self._start(version, target.config)
                    target.has_failed = not is_started
                except FailedInvocation:
                    is_started = False
                except InvalidCode:
                    is_started, target.has_failed = False, True
                if is_started:
                    pause_s = PAUSE_S_FIRST
                    continue
                target.settled.set()
                await target.pause(pause_s)
                pause_s = PAUSE_S_FIRST if target.over.is_set() else min(2 * pause_s, PAUSE_S_MAX)
        finally:
            # Not in a callback of the task: who is told now may ask for more before that.
            del self._tasks[version]
            if (target := self._targets.get(version)) is not None:
                target.settled.set()
