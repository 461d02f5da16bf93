"""One process per file: an exclusive lock on `<path>.lock`, which holds the owner's pid.

- The lock belongs to the open file description. A writer process that inherits the descriptor holds
  it as well, so after a kill of the parent nobody opens the file before the orphan has finished its
  last commit and exited.
- For the same reason the same file opened twice in one process is locked, too.
- The system drops the lock with the last holder; the lock file itself stays (removing it would race
  with a new owner).
- Locks over network file systems are only as good as that system's; a store belongs on a local
  disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from pathlib import Path
from typing import Final, final

from eventcore.errors import StoreLocked
from eventcore.stores.row_file import store_error

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["FileLock"]

ACQUIRE_S: Final = 3.0
"""How long `acquire` waits for another owner to go, e.g. for an orphaned writer's last commit."""
RETRY_S: Final = 0.02
_LOCKED_BYTE: Final = 1 << 30
"""Windows locks make their bytes unreadable: lock one far behind the pid."""


@final
class FileLock:
    """The lock of the store file at `path`; two names of one file share it."""

    def __init__(self, path: str) -> None:
        self._store_path = path
        self._path = f"{Path(path).resolve()}.lock"
        self._fd = -1

    def fileno(self) -> int:
        """The descriptor to hand to the writer process; -1 while not held."""
        return self._fd

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd >= 0

    async def acquire(self, wait_s: float | None = None) -> None:
        """Takes the lock.

        Raises StoreLocked with the owner's pid after `wait_s`, StoreUnavailable where it cannot be.

        Must not be called while held.
        """
        assert self._fd < 0, "the lock is held already"
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise store_error(self._path, error) from error
        try:
            await self._take(fd, ACQUIRE_S if wait_s is None else wait_s)
            _write_pid(fd)
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd

    async def _take(self, fd: int, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + wait_s
        while not _try_lock(fd):
            if loop.time() >= give_up:
                raise StoreLocked(
                    f"{self._store_path}: process {_read_pid(fd)} has the file open; "
                    "one file belongs to one process"
                )
            await asyncio.sleep(RETRY_S)

    def release(self) -> None:
        """Lets the lock go, for every process that inherited it. Does nothing when not held."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        with contextlib.suppress(OSError):
            _unlock(fd)
        os.close(fd)


def _write_pid(fd: int) -> None:
    with contextlib.suppress(
        OSError
    ):  # a full disk must not keep the owner from the file; the pid is only a hint
        os.ftruncate(fd, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.write(fd, b"%d\n" % os.getpid())


def _read_pid(fd: int) -> str:
    os.lseek(fd, 0, os.SEEK_SET)
    text = os.read(fd, 20).decode("ascii", "replace").strip()
    return text or "(unknown)"


if sys.platform == "win32":

    def _try_lock(fd: int) -> bool:
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(fd: int) -> None:
        os.lseek(fd, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:

    def _try_lock(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)
