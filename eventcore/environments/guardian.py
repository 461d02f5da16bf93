"""Sees to it that no function's process outlives this one, however this one ends.

Rules of this file:

- A second small process, the guardian, is told of each process group that is started and of each
  that is gone. When its pipe ends, or this process does (it watches both: a forked copy of this
  process may hold the pipe open), it kills the groups that are left, and deletes the directories
  that were to end with us. Frozen processes and grandchildren are killed like others.
- It is started with the first group. When it is killed itself, another one is started with the next
  group, and told of all.
- A group is told of right after its start, and before its leader is reaped: so its number is not
  another's while the guardian knows it. A process that is killed between the start of a group and
  the line about it leaves a group that finds its Runtime API gone.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Final, final

__all__ = ["Guardian"]

log = logging.getLogger("eventcore.environments")

SCRIPT: Final = Path(__file__).resolve().parent / "guardian_process.py"
END_S: Final = 10.0
_LIBRARIES: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""What an interpreter may need to start."""


@final
class Guardian:
    """Our end of the guardian. Its methods do not wait, apart from a start (2 ms) and `close`."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: set[int] = set()
        self._directories: list[Path] = []

    @property
    def pid(self) -> int | None:
        """The guardian's process; None before the first group."""
        return None if self._process is None else self._process.pid

    def remove_afterwards(self, directory: Path) -> None:
        """Has a directory deleted when this process ends without closing the guardian."""
        self._directories.append(directory)
        self._tell(f"d{directory}\n")

    def add(self, group: int) -> None:
        """A process group was started."""
        self._groups.add(group)
        if self._process is None or self._process.poll() is not None:
            self._start()
        else:
            self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """A process group is gone. Its leader has not been reaped yet."""
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def close(self) -> None:
        """Ends the guardian. What it still knows is killed."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        for line in [f"D{directory}\n" for directory in self._directories]:
            _write(process, line)
        try:
            process.stdin.close()
        except OSError:
            pass  # it is gone already
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        if self._process is not None:
            log.warning(
                "the guardian of the functions' processes had ended; another one is started"
            )
            self._forget_process()
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", str(SCRIPT), str(os.getpid())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                env={name: os.environ[name] for name in _LIBRARIES if name in os.environ},
            )
        except OSError as error:
            log.warning("the guardian of the functions' processes could not be started: %s", error)
            return
        for directory in self._directories:
            self._tell(f"d{directory}\n")
        for group in self._groups:
            self._tell(f"+{group}\n")

    def _forget_process(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            try:
                process.stdin.close()
            except OSError:
                pass  # what it had not read is lost with it

    def _tell(self, line: str) -> None:
        if self._process is not None:
            _write(self._process, line)


def _write(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(line.encode())
        process.stdin.flush()
    except (BrokenPipeError, ValueError):
        pass  # it has ended: the next group starts another one
