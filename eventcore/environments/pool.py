"""The pool: which execution environment an invocation gets, and how many there may be.

Rules of this file:

- An environment serves one invocation at a time, and only those of its own version with the very
  configuration that it was started with. The latest used one is taken first, so that others fall
  idle and end.
- At most `processes_max` environments live at a time, those that start or end included. Where that
  many are busy, an invocation waits. Where one of them idles that is not provisioned, the one that
  idles longest makes room.
- A process asks for its next event a moment after its result, and is free only then. An invocation
  that finds such an environment waits for it, PATIENCE_S at the most, before another is started.
- An environment that gets free goes to the first waiting invocation that it can serve, unless the
  first of all has waited STARVATION_MS: then it makes room for that one. So a busy function keeps
  its warm environments, and starves no other.
- The time of a function's initialisation and of waiting here is not the function's: its timeout
  begins when its handler is given the event, as on AWS.
- What the function does is a result. FailedInvocation is for what it cannot be blamed for: its code
  is gone, the system gives no process, the pool is closed.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from eventcore import limits
from eventcore.environments.code_store import CodeStore, InvalidCode
from eventcore.environments.environment import Environment
from eventcore.environments.guardian import Guardian
from eventcore.environments.log_lines import LogSink
from eventcore.environments.provisioning import Provisioning
from eventcore.environments.runtimes import Interpreters, supported_runtime
from eventcore.errors import EventcoreError
from eventcore.functions.function_spec import FunctionCode, FunctionConfig
from eventcore.functions.invocation import (
    UNHANDLED,
    FailedInvocation,
    Invocation,
    InvocationResult,
    error_payload,
)

__all__ = ["IDLE_MS_DEFAULT", "Environments"]

IDLE_MS_DEFAULT: Final = 300_000
"""For which an environment is kept without an invocation."""
STARVATION_MS: Final = 2_000
PATIENCE_S: Final = 0.05
CLOSE_S: Final = 10.0
"""For which `close` waits for killed processes, which end in milliseconds unless the system is
stuck.
"""

Version = tuple[str, str]
"""A function's ARN and a version."""


class _Waiter:
    """An invocation that waits: for an environment (the future's value), or for room (None). As
    long as it is patient it takes an environment only.
    """

    __slots__ = ("config", "future", "is_patient", "since", "version")

    def __init__(self, version: Version, config: FunctionConfig) -> None:
        self.version = version
        self.config = config
        self.is_patient = False
        self.since = time.monotonic()
        self.future: asyncio.Future[Environment | None] = asyncio.get_running_loop().create_future()


@final
class Environments:
    """Runs functions of KIND_PROCESS. All methods are for the event loop's thread.

    `read_code` gives a zip (None when it is gone); it is called on the loop's thread. `directory`
    is where zips are unpacked and kept; None for a temporary one, which ends with the pool.
    `endpoint_url` is what functions find as AWS_ENDPOINT_URL. `log` takes their lines.
    """

    def __init__(
        self,
        read_code: Callable[[str, FunctionCode], bytes | None],
        directory: Path | None,
        *,
        endpoint_url: Callable[[], str | None],
        log: LogSink,
        processes_max: int = limits.ENVIRONMENTS_MAX,
        idle_ms: int = IDLE_MS_DEFAULT,
    ) -> None:
        assert processes_max > 0
        self._read_code = read_code
        self._directory = directory
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._endpoint_url = endpoint_url
        self._log = log
        self._processes_max = processes_max
        self._idle_ms = idle_ms
        self._codes: CodeStore | None = None
        self._guardian = Guardian()
        self._interpreters = Interpreters()
        # Every environment that has a process or is about to, and those of them that are free: the
        # longest idle one first, over all versions.
        self._living: set[Environment] = set()
        self._idle: dict[Environment, None] = {}
        self._idle_by_version: dict[Version, list[Environment]] = {}
        self._waiting: deque[_Waiter] = deque()
        # Slots that are promised to a waiter which has not run yet.
        self._promised = 0
        self._provisioning = Provisioning(self._start_provisioned, self._count_ready)
        self._sweep: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._is_closed = False

    # What a caller uses

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Runs it to its end, or for its configuration's timeout, in which case the process is
        killed; so it is when the caller is cancelled. Waits while `processes_max` are busy.

        Raises FailedInvocation, and TypeError or ValueError for a payload that has no JSON.
        """
        _ = invocation.payload.raw  # made here, where a failure costs no environment
        version = (invocation.function_arn, invocation.version)
        environment = await self._acquire(version, invocation.config)
        try:
            if environment is None:
                environment = await self._start(version, invocation.config, "on-demand")
            return await environment.invoke(invocation)
        except InvalidCode as error:
            return _code_failure(invocation, error)

    async def provision(
        self, function_arn: str, version: str, config: FunctionConfig, count: int
    ) -> None:
        """Keeps `count` initialised environments of a version; 0 ends it. Returns when they are
        there, or when one could not be initialised. That is tried again, with growing pauses, as
        long as it is asked for. One process of `processes_max` is left for other functions, so
        there may be fewer than are asked for.
        """
        key = (function_arn, version)
        if self._is_closed:
            raise FailedInvocation("The execution environments are closed.")
        others = self._provisioning.wanted_in_all - self._provisioning.wanted(key)
        count = min(count, self._processes_max - 1 - others)
        await self._provisioning.provide(key, config, count)
        self._arm_sweep()

    def provisioned_ready(self, function_arn: str, version: str) -> int:
        """How many environments of a provisioned version are initialised, at most as many as were
        asked for.
        """
        key = (function_arn, version)
        return min(self._count_ready(key), self._provisioning.wanted(key))

    def provisioning_failed(self, function_arn: str, version: str) -> bool:
        """Whether environments that are to be kept could not be initialised, by the function's own
        fault, when that was tried last.
        """
        return self._provisioning.has_failed((function_arn, version))

    def retire(self, function_arn: str, version: str | None = None) -> None:
        """Ends the environments of a version, or of all versions of a function: idle ones now, busy
        ones after their invocation. Provisioned ones of a single version are started anew; with
        all versions, nothing is provisioned any more. Never waits.
        """
        for environment in list(self._living):
            arn, of_version = environment.version
            if arn == function_arn and version in (None, of_version):
                environment.is_retired = True
                if environment in self._idle:
                    self._end_idle(environment)
        if version is None:
            self._provisioning.forget(function_arn)

    async def close(self) -> None:
        """Ends everything: running invocations fail, waiting ones raise FailedInvocation. Returns
        when all processes are gone. More calls do nothing.
        """
        if self._is_closed:
            return
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        self._provisioning.close()
        for waiter in self._waiting:
            if not waiter.future.done():
                waiter.future.set_exception(
                    FailedInvocation("The execution environments were closed.")
                )
        self._waiting.clear()
        for environment in list(self._living):
            environment.end()
        if self._living:
            self._drained = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._drained], timeout=CLOSE_S)
        await asyncio.to_thread(self._guardian.close)
        if self._codes is not None:
            await self._codes.close()
        if self._temporary is not None:
            await asyncio.to_thread(self._temporary.cleanup)

    @property
    def processes(self) -> int:
        """How many environments there are, those included that start or end."""
        return len(self._living)

    # Who gets which

    async def _acquire(self, version: Version, config: FunctionConfig) -> Environment | None:
        """An idle environment that was taken for the caller, or None: room for a new one, which is
        the caller's until he starts it.
        """
        while True:
            if self._is_closed:
                raise FailedInvocation("The execution environments are closed.")
            environment = self._take_idle(version, config)
            if environment is not None:
                return environment
            if self._has_room() and not self._is_one_settling(version, config):
                self._promised += 1
                return None
            environment = await self._wait(_Waiter(version, config))
            if environment is None or environment.is_usable():
                return environment

    def _take_idle(self, version: Version, config: FunctionConfig) -> Environment | None:
        idle = self._idle_by_version.get(version)
        while idle:
            environment = idle[-1]
            self._remove_idle(environment)
            if not environment.is_usable():
                environment.end()
            elif environment.serves(config):
                return environment
            else:
                environment.end()  # of a configuration that has been changed
        return None

    def _has_room(self) -> bool:
        return len(self._living) + self._promised < self._processes_max

    def _is_one_settling(self, version: Version, config: FunctionConfig) -> bool:
        """Whether an environment will be free in a moment that no other invocation waits for."""
        waiting = sum(waiter.version == version for waiter in self._waiting)
        return self._count_settling(version, config) > waiting

    def _count_settling(self, version: Version, config: FunctionConfig) -> int:
        return sum(
            environment.is_settling
            and environment.version == version
            and not environment.is_retired
            and environment.serves(config)
            for environment in self._living
        )

    async def _wait(self, waiter: _Waiter) -> Environment | None:
        """Waits for an environment or for room. What is settling is waited for, with patience."""
        self._waiting.append(waiter)
        patience: asyncio.TimerHandle | None = None
        if self._has_room():
            waiter.is_patient = True
            loop = asyncio.get_running_loop()
            patience = loop.call_later(PATIENCE_S, self._lose_patience, waiter)
        else:
            self._make_room()
        try:
            return await waiter.future
        except BaseException:
            self._withdraw(waiter)
            raise
        finally:
            if patience is not None:
                patience.cancel()

    def _withdraw(self, waiter: _Waiter) -> None:
        """A waiting invocation was cancelled: what it has been given already goes to the next."""
        if not waiter.future.done():
            self._waiting.remove(waiter)
        elif not waiter.future.cancelled() and waiter.future.exception() is None:
            environment = waiter.future.result()
            if environment is not None:
                environment.offer()
            else:
                self._promised -= 1
                self._serve_room()
        elif waiter in self._waiting:
            self._waiting.remove(waiter)

    def _make_room(self) -> None:
        """Has the longest idle environment end that is not provisioned, if there is one."""
        for environment in self._idle:
            if not self._is_kept(environment):
                self._end_idle(environment)
                return

    def _is_kept(self, environment: Environment) -> bool:
        version = environment.version
        wanted = self._provisioning.wanted(version)
        return wanted > 0 and self._count_ready(version) <= wanted

    def _became_free(self, environment: Environment) -> bool:
        """Called by an environment after its initialisation and after each invocation. Returns
        whether it has been given to somebody, who invokes it at once.
        """
        if self._is_closed or environment.is_retired:
            environment.end()
            return True
        waiter = self._first_waiter_for(environment)
        if waiter is not None:
            waiter.future.set_result(environment)
            return True
        if self._waiting and not self._has_room() and not self._is_kept(environment):
            environment.end()  # the first waiting one gets its room
            return True
        self._idle[environment] = None
        self._idle_by_version.setdefault(environment.version, []).append(environment)
        self._arm_sweep()
        return False

    def _first_waiter_for(self, environment: Environment) -> _Waiter | None:
        waiting = self._waiting
        while waiting and waiting[0].future.done():
            waiting.popleft()
        if not waiting:
            return None
        starved = time.monotonic() - STARVATION_MS / 1000
        for index, waiter in enumerate(waiting):
            if (
                not waiter.future.done()
                and waiter.version == environment.version
                and environment.serves(waiter.config)
            ):
                del waiting[index]
                return waiter
            if index == 0 and waiter.since < starved:
                return None
        return None

    def _lose_patience(self, waiter: _Waiter) -> None:
        waiter.is_patient = False
        self._serve_room()

    def _serve_room(self) -> None:
        """Gives the room that there is to those who wait for it; makes some if there is none."""
        impatient = [w for w in self._waiting if not w.is_patient and not w.future.done()]
        for waiter in impatient:
            if not self._has_room():
                self._make_room()
                return
            self._waiting.remove(waiter)
            self._promised += 1
            waiter.future.set_result(None)

    def _ended(self, environment: Environment) -> None:
        """Called by an environment when its process is gone."""
        self._remove_idle(environment)
        self._living.discard(environment)
        for waiter in self._waiting:
            if waiter.is_patient and not self._count_settling(waiter.version, waiter.config):
                waiter.is_patient = False
        self._serve_room()
        if self._drained is not None and not self._living and not self._drained.done():
            self._drained.set_result(None)
        self._provisioning.look_after(environment.version)

    def _remove_idle(self, environment: Environment) -> None:
        if environment in self._idle:
            del self._idle[environment]
            of_version = self._idle_by_version[environment.version]
            of_version.remove(environment)
            if not of_version:
                del self._idle_by_version[environment.version]

    def _end_idle(self, environment: Environment) -> None:
        self._remove_idle(environment)
        environment.end()

    # Starts

    async def _start(
        self, version: Version, config: FunctionConfig, initialization: str
    ) -> Environment:
        """Starts an environment in the room that was promised. Raises FailedInvocation,
        InvalidCode. An initialisation that fails is told by the environment's invocation.
        """
        environment: Environment | None = None
        try:
            reason = supported_runtime(config.runtime)
            if reason is not None:
                raise FailedInvocation(reason)
            task_root = await self._task_root(version[0], config.code)
            command = await self._interpreters.command(config, task_root)
            if self._is_closed:
                raise FailedInvocation("The execution environments were closed.")
            assert self._codes is not None
            scratch = self._codes.scratch()
            environment = Environment(
                version,
                config,
                log=self._log,
                guardian=self._guardian,
                on_free=self._became_free,
                on_end=self._ended,
            )
        finally:
            self._promised -= 1
            if environment is None:
                self._serve_room()
        self._living.add(environment)
        await environment.start(
            command,
            task_root,
            scratch,
            endpoint_url=self._endpoint_url(),
            initialization=initialization,
        )
        return environment

    async def _task_root(self, function_arn: str, code: FunctionCode) -> Path:
        codes = self._codes
        if codes is None:
            root = self._directory
            if root is None:
                self._temporary = tempfile.TemporaryDirectory(
                    prefix="eventcore-", ignore_cleanup_errors=True
                )
                root = Path(self._temporary.name)
                self._guardian.remove_afterwards(root)
            codes = self._codes = CodeStore(root, self._task_roots)

        def read() -> bytes | None:
            try:
                return self._read_code(function_arn, code)
            except EventcoreError as error:
                raise FailedInvocation(f"The function's code cannot be read: {error}") from error

        return await codes.unpacked(code, read)

    def _task_roots(self) -> set[Path]:
        return {environment.task_root for environment in self._living}

    async def _start_provisioned(self, version: Version, config: FunctionConfig) -> bool:
        """Starts one for a provisioned version; False where it cannot be initialised. Raises
        FailedInvocation where there is no room, too; InvalidCode.
        """
        if not self._has_room():
            self._make_room()
            raise FailedInvocation("No room is left for execution environments.")
        self._promised += 1
        environment = await self._start(version, config, "provisioned-concurrency")
        if environment.has_failed:
            environment.end()
            return False
        environment.offer()
        return True

    def _count_ready(self, version: Version) -> int:
        return sum(
            environment.is_initialised and not environment.is_retired
            for environment in self._living
            if environment.version == version
        )

    # Idle ones

    def _arm_sweep(self) -> None:
        if self._sweep is None and self._idle and not self._is_closed:
            oldest = next(iter(self._idle))
            delay_s = max(0.05, oldest.idle_since + self._idle_ms / 1000 - time.monotonic())
            self._sweep = asyncio.get_running_loop().call_later(delay_s, self._end_overdue)

    def _end_overdue(self) -> None:
        """Ends what has been idle for too long. The oldest is first, so that one look is enough."""
        self._sweep = None
        overdue = time.monotonic() - self._idle_ms / 1000
        kept = []
        for environment in list(self._idle):
            if environment.idle_since > overdue:
                break
            if self._is_kept(environment):
                kept.append(environment)
            else:
                self._end_idle(environment)
        for environment in kept:
            # Looked at again after another `idle_ms`, in case it is not provisioned then.
            del self._idle[environment]
            environment.idle_since = time.monotonic()
            self._idle[environment] = None
        self._arm_sweep()


def _code_failure(invocation: Invocation, error: InvalidCode) -> InvocationResult:
    payload = error_payload("InvalidZipFileException", str(error))
    return InvocationResult(payload, UNHANDLED, invocation.version)
