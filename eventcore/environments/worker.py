"""One process group of the system: started, frozen, thawed, measured, killed, reaped.

Rules of this file:

- Its leader is a session leader, so that signals go to the group with all its children, and those
  of our terminal do not. What leaves the group is found by its parents when the group is killed
  (Linux); a process that leaves the group and outlives its parent is not.
- Its end is noticed by a pidfd (Linux). It is killed as a group, told to the guardian, and then
  reaped, so that no number is used that has become another's. Elsewhere a thread waits, which
  reaps the leader a moment earlier.
- Memory is what is resident, of the leader and of its descendants (Linux; elsewhere it is not
  known). Resident memory is looked at, and not limited by the system: RLIMIT_AS and RLIMIT_DATA
  count what is reserved, which for Node.js, threads and mapped files is many times what is used;
  cgroups need rights that a daemon mostly has not.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, final

from eventcore.environments.guardian import Guardian

__all__ = ["Worker"]

HAS_PIDFD: Final = hasattr(os, "pidfd_open")
_PROC: Final = Path("/proc")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
DESCENDANTS_MAX: Final = 4_096


@final
class Worker:
    """A running process group. `on_exit` is called once, on the loop, when its leader has ended;
    it is reaped then, `returncode` is known and its children are killed.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], guardian: Guardian, on_exit: Callable[[], None]
    ) -> None:
        self._process = process
        self._guardian = guardian
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._pidfd = -1
        self._is_frozen = False
        self.returncode: int | None = None
        guardian.add(process.pid)
        if HAS_PIDFD:
            try:
                self._pidfd = os.pidfd_open(process.pid)
            except OSError:
                pass  # an old kernel, or no descriptor left: a thread waits
        if self._pidfd >= 0:
            self._loop.add_reader(self._pidfd, self._conclude)
        else:
            threading.Thread(
                target=self._wait, name=f"eventcore-wait-{process.pid}", daemon=True
            ).start()

    @classmethod
    def start(
        cls,
        command: Sequence[str],
        variables: Mapping[str, str],
        directory: Path,
        output: int,
        *,
        guardian: Guardian,
        on_exit: Callable[[], None],
    ) -> Worker:
        """Starts the command with its standard output and error going to the descriptor `output`.
        Blocks for some milliseconds. Raises OSError.
        """
        process = subprocess.Popen(  # noqa: S603
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=directory,
            env=dict(variables),
            start_new_session=True,
        )
        return cls(process, guardian, on_exit)

    @property
    def pid(self) -> int:
        """The leader's process id, which is the group's."""
        return self._process.pid

    def is_running(self) -> bool:
        """Whether the leader has not ended, as far as the system knows at this moment."""
        if self.returncode is not None:
            return False
        if self._pidfd < 0:
            return self._process.returncode is None
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self.pid, flags) is None
        except ChildProcessError:
            return False

    def freeze(self) -> None:
        """Stops the group from running until it is thawed."""
        if not self._is_frozen:
            self._is_frozen = True
            self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Has the group go on."""
        if self._is_frozen:
            self._is_frozen = False
            self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Kills the group, frozen or not, and descendants that have left it."""
        if self.returncode is None:
            strays = [pid for pid in self._descendants() if _group_of(pid) not in (None, self.pid)]
            self._signal(signal.SIGKILL)
            for pid in strays:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:
                    pass  # it has ended by itself

    def memory_bytes(self) -> int:
        """What the leader and its descendants have resident now; 0 where that is not known."""
        total = 0
        for pid in (self.pid, *self._descendants()):
            try:
                fields = (_PROC / str(pid) / "statm").read_bytes().split(maxsplit=2)
                total += int(fields[1]) * _PAGE_BYTES
            except (OSError, IndexError):
                pass  # it has ended, or there is no such system
        return total

    def memory_bytes_max(self) -> int:
        """The most that the leader ever had resident; 0 where that is not known."""
        try:
            status = (_PROC / str(self.pid) / "status").read_bytes()
        except OSError:
            return 0
        at = status.find(b"VmHWM:")
        return 0 if at < 0 else int(status[at + 6 : status.index(b"kB", at)]) * 1024

    def _descendants(self) -> Iterator[int]:
        """Children, and children's children, as far as their parents live."""
        found = [self.pid]
        for pid in found:
            if pid != self.pid:
                yield pid
            try:
                tasks = list((_PROC / str(pid) / "task").iterdir())
            except OSError:
                continue
            for task in tasks:
                try:
                    found += map(int, (task / "children").read_bytes().split())
                except OSError:
                    continue
            if len(found) > DESCENDANTS_MAX:
                return

    def _signal(self, number: int) -> None:
        if self.returncode is None:
            try:
                os.killpg(self.pid, number)
            except OSError:
                pass  # it has ended by itself, which is noticed elsewhere

    def _wait(self) -> None:
        self._process.wait()
        try:
            self._loop.call_soon_threadsafe(self._conclude)
        except RuntimeError:
            pass  # the loop is closed: nobody asks any more

    def _conclude(self) -> None:
        """The leader has ended: its children follow it."""
        if self.returncode is not None:
            return
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        self.kill()
        self._guardian.remove(self.pid)
        self.returncode = self._process.wait()
        self._on_exit()


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None
