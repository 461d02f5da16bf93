"""One execution environment: a process with its Runtime API, its log, and one invocation at a time.

    STARTING ──next──▶ IDLE ──invoke──▶ BUSY ──response, error──▶ SETTLING ──next──▶ IDLE
        │ init/error, exit, too slow       │ exit, timeout, too much memory │ exit, too slow
        ▼                                  ▼                                ▼
      ENDING ──process gone──▶ ENDED    ENDING (with a result)           ENDING

Rules of this file:

- In IDLE the process is frozen, but for the moment after its start. The initialisation's time is
  not the handler's: the timeout begins with the event. The caller has the result as soon as it was
  posted; until the process asks for the next event it runs on under the same timeout, SETTLE_S at
  least.
- An invocation ends once, with a result, whatever the process does: errors of the runtime client
  are answered as AWS does, and change nothing. FailedInvocation is raised by `start` only, where
  the system gave no process.
- After an error of the process (not of the handler) the environment is not used again.
- Memory is looked at every WATCH_S while the process runs, with that of its children, and its high
  mark at the end of an invocation. Beyond the configured memory it is killed. Between two looks a
  process can take more than it may: this keeps functions honest, and is no wall.
"""

from __future__ import annotations

import asyncio
import errno
import json
import math
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

from eventcore import limits
from eventcore.codec import decode_json
from eventcore.environments.guardian import Guardian
from eventcore.environments.log_lines import LogCapture, LogSink
from eventcore.environments.runtime_api import Answer, Event, NextCall, RuntimeApi, refusal
from eventcore.environments.variables import variables_of
from eventcore.environments.worker import Worker
from eventcore.functions.function_spec import FunctionConfig
from eventcore.functions.invocation import (
    UNHANDLED,
    FailedInvocation,
    Invocation,
    InvocationResult,
    Payload,
    error_payload,
)

__all__ = ["Environment"]

STARTING: Final = 0
IDLE: Final = 1
BUSY: Final = 2
SETTLING: Final = 3
ENDING: Final = 4
ENDED: Final = 5

INIT_S_MAX: Final = 10.0
"""For an initialisation, where the function's timeout is not longer."""
SETTLE_S: Final = 1.0
WATCH_S: Final = 0.05
EXIT_S: Final = 1.0
"""After the end of a process, for what it had written to its connections."""
PIPE_BYTES: Final = 1024 * 1024
_MB: Final = 1024 * 1024
_ACCEPTED: Final = Answer(202, b'{"status":"OK"}\n')
_TOO_LARGE: Final = refusal(
    413,
    "RequestEntityTooLarge",
    f"Exceeded maximum allowed payload size ({limits.INVOKE_BYTES_MAX} bytes).",
)
_NOT_ALLOWED: Final = refusal(403, "InvalidStateTransition", "State transition is not allowed")
_WRONG_ID: Final = refusal(400, "InvalidRequestID", "Invalid request ID")


class _Failure:
    """Why the process is not to be used any more, as an invocation tells it."""

    __slots__ = ("error_type", "payload", "status", "text")

    def __init__(
        self, error_type: str, text: str, payload: Payload | None = None, status: str = "error"
    ) -> None:
        self.error_type = error_type
        self.text = text
        self.payload = payload
        self.status = status

    def payload_for(self, request_id: str) -> Payload:
        """What the runtime client has told of it, else AWS's text."""
        if self.payload is not None:
            return self.payload
        return error_payload(self.error_type, f"RequestId: {request_id} Error: {self.text}")


class _Running:
    """The invocation that runs, or whose process has not asked for the next one yet."""

    __slots__ = ("began", "event", "future", "invocation", "is_lost")

    def __init__(self, invocation: Invocation, event: Event) -> None:
        self.invocation = invocation
        self.event = event
        self.began = time.monotonic()
        self.future: asyncio.Future[InvocationResult] = asyncio.get_running_loop().create_future()
        # The connection that it was sent on was reset before it had been read.
        self.is_lost = False


@final
class Environment:
    """A process for one version and configuration. `on_free` is called with it when it can take an
    invocation, and returns whether it was given one; `on_end` when its process is gone.
    """

    def __init__(
        self,
        version: tuple[str, str],
        config: FunctionConfig,
        *,
        log: LogSink,
        guardian: Guardian,
        on_free: Callable[[Environment], bool],
        on_end: Callable[[Environment], None],
    ) -> None:
        self.version = version
        self.config = config
        self.is_retired = False
        self.idle_since = 0.0
        self.task_root = Path()
        self._sink = log
        self._guardian = guardian
        self._on_free = on_free
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._state = STARTING
        self._api = RuntimeApi(self)
        self._scratch: Path | None = None
        self._worker: Worker | None = None
        self._log: LogCapture | None = None
        self._next: NextCall | None = None
        self._running: _Running | None = None
        self._failure: _Failure | None = None
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._deadline: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._leaving: asyncio.TimerHandle | None = None
        self._init_ms = 0.0
        self._is_first = True
        self._memory_bytes = 0

    # What the pool uses

    @property
    def has_failed(self) -> bool:
        """Whether its initialisation has failed: an invocation tells why."""
        return self._failure is not None

    @property
    def is_initialised(self) -> bool:
        """Whether it serves, or can serve, an invocation."""
        return self._state in (IDLE, BUSY, SETTLING)

    @property
    def is_settling(self) -> bool:
        """Whether its invocation has its result, and it will mostly be free in a moment."""
        return self._state == SETTLING

    @property
    def pid(self) -> int | None:
        """Of its process; None before the start."""
        return None if self._worker is None else self._worker.pid

    def serves(self, config: FunctionConfig) -> bool:
        """Whether it was started with this configuration."""
        return self.config is config or self.config == config

    def is_usable(self) -> bool:
        """Whether it is idle, and its process has not ended unnoticed."""
        return self._state == IDLE and self._worker is not None and self._worker.is_running()

    async def start(
        self,
        command: list[str],
        task_root: Path,
        scratch: Path,
        *,
        endpoint_url: str | None,
        initialization: str,
    ) -> None:
        """Starts the process, and returns when it is initialised or that has failed, which
        `has_failed` and the invocation tell. `scratch` is deleted at the end.

        Raises FailedInvocation; it has ended then.
        """
        self.task_root = task_root
        self._scratch = scratch
        began = time.monotonic()
        try:
            await self._api.listen()
            self._check_open()
            variables = variables_of(
                *self.version,
                self.config,
                runtime_api=self._api.address,
                task_root=task_root,
                scratch=scratch,
                endpoint_url=endpoint_url,
                initialization=initialization,
            )
            self._spawn(command, variables, task_root)
            if self._failure is None:
                limit_s = max(INIT_S_MAX, self.config.timeout_ms / 1000)
                self._deadline = self._loop.call_later(limit_s, self._init_too_slow, limit_s)
                self._watch = self._loop.call_later(WATCH_S, self._look_at_memory)
                await self._ready
                self._check_open()
        except OSError as error:
            self.end()
            raise FailedInvocation(f"A function's process could not be started: {error}") from error
        except BaseException:
            self.end()
            raise
        self._init_ms = (time.monotonic() - began) * 1000
        self.idle_since = time.monotonic()
        if self._failure is not None:
            self._report_failed_init(self._failure)

    def _check_open(self) -> None:
        """Raises FailedInvocation where it was ended from outside while it started."""
        if self._state >= ENDING and self._failure is None:
            raise FailedInvocation("The execution environment was ended while it started.")

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Runs one invocation. It must be idle, or its initialisation has failed. When cancelled,
        the process is killed.
        """
        running = self._running = _Running(invocation, self._event(invocation))
        assert self._log is not None
        self._log.begin(invocation.request_id)
        self._log.write(f"START RequestId: {invocation.request_id} Version: {invocation.version}")
        if self._failure is not None:
            self._fail(self._failure)
            self.end()
        else:
            assert self._state == IDLE and self._worker is not None
            self._state = BUSY
            self._worker.thaw()
            self._deadline = self._loop.call_later(
                invocation.config.timeout_ms / 1000, self._out_of_time
            )
            self._watch = self._loop.call_later(WATCH_S, self._look_at_memory)
            self._deliver()
        try:
            return await running.future
        except BaseException:
            self.end()
            raise

    def offer(self) -> None:
        """Has the pool take it as free, after its start."""
        if self._state == IDLE:
            self._became_idle()

    def end(self) -> None:
        """Kills the process. A running invocation fails. `on_end` is called when it is gone."""
        if self._state >= ENDING:
            return
        self._state = ENDING
        self._stop_timers()
        if self._running is not None and not self._running.future.done():
            self._fail(self._failure or _exit_failure(-signal.SIGKILL))
        if not self._ready.done():
            self._ready.set_result(None)
        self._api.close()
        if self._worker is None:
            self._loop.call_soon(self._ended)
        else:
            self._worker.kill()
            if self._worker.returncode is not None:
                self._loop.call_soon(self._ended)

    # The process

    def _spawn(self, command: list[str], variables: dict[str, str], task_root: Path) -> None:
        """Starts the process. Raises OSError, but for what cannot be run as it is configured."""
        ours, theirs = os.pipe()
        self._log = LogCapture(ours, self._sink, *self.version)
        try:
            self._worker = Worker.start(
                command,
                variables,
                task_root,
                theirs,
                guardian=self._guardian,
                on_exit=self._exited,
            )
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            self._failure = _entry_failure(command[0], task_root, error)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            self._failure = _entry_failure(command[0], task_root, error)
        except (
            ValueError
        ) as error:  # a variable that the system does not take: a NUL, a name with =
            text = f"fork/exec {command[0]}: {error}"
            self._failure = _Failure("Runtime.InvalidEntrypoint", text)
        finally:
            os.close(theirs)

    def _exited(self) -> None:
        """The process is gone. What it wrote before is read first."""
        self._stop_timers()
        if self._state == ENDING:
            self._ended()
        elif self._api.has_connections:
            self._leaving = self._loop.call_later(EXIT_S, self._left)
        else:
            self._left()

    def _left(self) -> None:
        """The process is gone, and all that it has said has been heard."""
        self._leaving = None
        if self._state >= ENDING:
            return
        assert self._worker is not None and self._worker.returncode is not None
        if self._failure is None:
            self._failure = _exit_failure(self._worker.returncode)
        if self._running is not None and self._state == BUSY:
            self._fail(self._failure)
        self.end()

    def _ended(self) -> None:
        if self._state == ENDED:
            return
        self._state = ENDED
        self._stop_timers()
        self._api.close()
        if self._log is not None:
            self._log.close()
        if self._scratch is not None:
            _delete(self._loop, self._scratch)
        self._on_end(self)

    def _stop_timers(self) -> None:
        for timer in (self._deadline, self._watch, self._leaving):
            if timer is not None:
                timer.cancel()
        self._deadline = self._watch = self._leaving = None

    # The runtime client's calls

    def on_next(self, call: NextCall) -> Answer | None:
        """It is ready for an event."""
        state = self._state
        if state == BUSY:
            assert self._running is not None
            if not self._running.is_lost:
                return _NOT_ALLOWED
            self._running.is_lost = False
            self._next = call
            self._deliver()
        elif state in (STARTING, SETTLING, IDLE) and self._failure is None:
            if self._next is not None:
                self._next.drop()
            self._next = call
            if state == STARTING:
                self._state = IDLE
                self._stop_timers()
                self._ready.set_result(None)
            elif state == SETTLING:
                self._became_idle()
        else:
            return _NOT_ALLOWED
        return None

    def on_next_lost(self, call: NextCall, *, is_delivered: bool) -> None:
        """It has given up waiting, or was reset before it had read its event."""
        if call is self._next:
            self._next = None
        elif is_delivered and self._state == BUSY and self._running is not None:
            self._running.is_lost = True

    def on_response(self, request_id: str, body: bytes | None) -> Answer:
        """The handler has returned."""
        refused = self._check_call(request_id)
        if refused is not None:
            return refused
        if self._fail_if_too_large():
            return _ACCEPTED
        if body is None:
            size = f"({limits.INVOKE_BYTES_MAX} bytes)"
            text = f"Response payload size exceeded maximum allowed payload size {size}."
            error = "Function.ResponseSizeTooLarge"
            self._settle(error_payload(error, text), UNHANDLED, status="error", error_type=error)
            return _TOO_LARGE
        self._settle(Payload(body), None)
        return _ACCEPTED

    def on_error(self, request_id: str, error_type: str, body: bytes | None) -> Answer:
        """The handler has failed."""
        refused = self._check_call(request_id)
        if refused is not None:
            return refused
        if self._fail_if_too_large():
            return _ACCEPTED
        self._settle(_told_error(error_type, body), UNHANDLED)
        return _ACCEPTED

    def on_init_error(self, error_type: str, body: bytes | None) -> Answer:
        """The initialisation has failed."""
        if self._state != STARTING or self._failure is not None:
            return _NOT_ALLOWED
        self._note_memory()
        payload = _told_error(error_type, body)
        told = payload.value.get("errorType")
        self._failure = _Failure(error_type or str(told or "Runtime.Unknown"), "", payload)
        self._init_is_over()
        return _ACCEPTED

    def on_connections_ended(self) -> None:
        """No connection is open any more."""
        if self._leaving is not None:
            self._leaving.cancel()
            self._left()

    def _check_call(self, request_id: str) -> Answer | None:
        if self._state != BUSY or self._running is None:
            return _NOT_ALLOWED
        return None if self._running.event.request_id == request_id else _WRONG_ID

    # An invocation

    def _event(self, invocation: Invocation) -> Event:
        return Event(
            invocation.request_id,
            time.time_ns() // 1_000_000 + invocation.config.timeout_ms,
            invocation.invoked_arn,
            invocation.trace_header,
            invocation.client_context,
            invocation.payload.raw,
        )

    def _deliver(self) -> None:
        """Answers `next`, if it is there; else when it comes."""
        assert self._running is not None
        if self._next is None:
            self._running.is_lost = True
        else:
            call, self._next = self._next, None
            call.deliver(self._running.event)

    def _became_idle(self) -> None:
        self._state = IDLE
        self._stop_timers()
        self._running = None
        self.idle_since = time.monotonic()
        if not self._on_free(self) and self._state == IDLE and self._worker is not None:
            self._worker.freeze()

    def _settle(
        self, payload: Payload, error: str | None, *, status: str = "", error_type: str = ""
    ) -> None:
        """Gives the invocation its result, with its log complete."""
        running = self._running
        assert running is not None and self._log is not None
        if self._state == BUSY:
            self._state = SETTLING
        if running.future.done():
            return
        self._log.drain()
        self._report(running, status, error_type)
        invocation = running.invocation
        tail = self._log.tail() if invocation.wants_log_tail else b""
        running.future.set_result(
            InvocationResult(payload, error, invocation.version, tail, status == "timeout")
        )

    def _report(self, running: _Running, status: str, error_type: str) -> None:
        """The lines END and REPORT."""
        assert self._log is not None
        request_id = running.invocation.request_id
        duration_ms = (time.monotonic() - running.began) * 1000
        if status == "timeout" and self._failure is None:
            duration_ms = float(self.config.timeout_ms)
        billed_ms = duration_ms
        parts = [f"REPORT RequestId: {request_id}", f"Duration: {duration_ms:.2f} ms"]
        init = ""
        if self._is_first:
            self._is_first = False
            billed_ms += self._init_ms
            init = f"Init Duration: {self._init_ms:.2f} ms"
        self._note_memory()
        parts += [
            f"Billed Duration: {math.ceil(billed_ms)} ms",
            f"Memory Size: {self.config.memory_mb} MB",
            f"Max Memory Used: {math.ceil(self._memory_bytes / _MB)} MB",
        ]
        parts += [init] if init else []
        parts += [f"Status: {status}"] if status else []
        parts += [f"Error Type: {error_type}"] if error_type else []
        self._log.write(f"END RequestId: {request_id}")
        self._log.write("\t".join(parts) + "\t")

    def _report_failed_init(self, failure: _Failure) -> None:
        """The line INIT_REPORT, which AWS writes for what has failed."""
        assert self._log is not None
        self._log.drain()
        parts = [f"INIT_REPORT Init Duration: {self._init_ms:.2f} ms", "Phase: init"]
        parts += [f"Status: {failure.status}", f"Error Type: {failure.error_type}"]
        self._log.write("\t".join(parts))

    def _fail(self, failure: _Failure) -> None:
        """The running invocation ends with a failure of its process."""
        running = self._running
        assert running is not None and self._log is not None
        if running.future.done():
            return
        request_id = running.invocation.request_id
        self._log.drain()
        if failure.status == "timeout":
            stamp = _timestamp()
            self._log.write(f"{stamp} {request_id} {failure.text}\n")
        elif failure.payload is None:
            self._log.write(f"RequestId: {request_id} Error: {failure.text}\n{failure.error_type}")
        self._settle(
            failure.payload_for(request_id),
            UNHANDLED,
            status=failure.status,
            error_type="" if failure.status == "timeout" else failure.error_type,
        )

    # Time and memory

    def _init_too_slow(self, limit_s: float) -> None:
        text = f"Task timed out after {limit_s:.2f} seconds"
        self._failure = _Failure("Sandbox.Timedout", text, status="timeout")
        self._init_is_over()

    def _init_is_over(self) -> None:
        """It has failed: the process is killed, and the invocation that waits for it is told."""
        self._stop_timers()
        if not self._ready.done():
            self._ready.set_result(None)
        if self._worker is not None:
            self._worker.kill()

    def _out_of_time(self) -> None:
        self._deadline = None
        running = self._running
        if running is None:
            return
        if self._state == SETTLING:
            left_s = running.began + self.config.timeout_ms / 1000 + SETTLE_S - time.monotonic()
            if left_s > 0:
                self._deadline = self._loop.call_later(left_s, self._out_of_time)
                return
        else:
            text = f"Task timed out after {self.config.timeout_ms / 1000:.2f} seconds"
            self._fail(_Failure("Sandbox.Timedout", text, status="timeout"))
        self.end()

    def _note_memory(self) -> None:
        if self._worker is not None:
            self._memory_bytes = max(self._memory_bytes, self._worker.memory_bytes_max())

    def _look_at_memory(self) -> None:
        self._watch = None
        assert self._worker is not None
        self._memory_bytes = max(self._memory_bytes, self._worker.memory_bytes())
        if not self._kill_if_too_large():
            self._watch = self._loop.call_later(WATCH_S, self._look_at_memory)

    def _fail_if_too_large(self) -> bool:
        self._note_memory()
        return self._kill_if_too_large()

    def _kill_if_too_large(self) -> bool:
        """Kills a process that uses, or has used, more memory than it may."""
        if self._memory_bytes <= self.config.memory_mb * _MB:
            return False
        text = "Runtime exited with error: signal: killed"
        self._failure = _Failure("Runtime.OutOfMemory", text)
        if self._state == STARTING:
            self._init_is_over()
        else:
            if self._state == BUSY:
                self._fail(self._failure)
            self.end()
        return True


def _exit_failure(returncode: int) -> _Failure:
    """The end of a process, in AWS's words."""
    if returncode == 0:
        text = "Runtime exited without providing a reason"
    elif returncode > 0:
        text = f"Runtime exited with error: exit status {returncode}"
    else:
        name = (signal.strsignal(-returncode) or str(-returncode)).lower()
        text = f"Runtime exited with error: signal: {name}"
    return _Failure("Runtime.ExitError", text)


def _entry_failure(program: str, task_root: Path, error: OSError) -> _Failure:
    """A command that is not there, or cannot be run."""
    if isinstance(error, FileNotFoundError) and program == str(task_root / "bootstrap"):
        text = f"Couldn't find valid bootstrap(s): [{program}]"
    else:
        text = f"fork/exec {program}: {(error.strerror or 'unknown error').lower()}"
    return _Failure("Runtime.InvalidEntrypoint", text)


def _told_error(error_type: str, body: bytes | None) -> Payload:
    """An error as a runtime client has told it. What is no JSON object is made one."""
    if body is None:
        text = f"The error is larger than {limits.INVOKE_BYTES_MAX} bytes."
        return error_payload(error_type or "Runtime.Unknown", text)
    try:
        value = decode_json(body)
    except ValueError:
        value = body.decode(errors="replace")
    if isinstance(value, dict):
        return Payload(body)
    text = value if isinstance(value, str) else json.dumps(value)
    return error_payload(error_type or "Runtime.Unknown", text)


def _timestamp() -> str:
    now_ms = time.time_ns() // 1_000_000
    date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now_ms // 1000))
    return f"{date}.{now_ms % 1000:03d}Z"


def _delete(loop: asyncio.AbstractEventLoop, scratch: Path) -> None:
    """Deletes an environment's temporary files: here if there are none, else in a thread."""
    try:
        scratch.rmdir()
    except OSError:
        loop.run_in_executor(None, lambda: shutil.rmtree(scratch, ignore_errors=True))
