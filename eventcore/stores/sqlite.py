"""The two durable stores: one SQLite file, the same format and promises, two ways to commit.

- `InlineSqliteStore` commits on the event loop's thread: the loop stands still for the fsync (0.2
  ms on a good disk, 4 on a slow one). The simplest, and the fastest for an embedded program.
- `WriterSqliteStore` hands the batch to a writer process: the loop never waits for a disk, and a
  loop that is 100 % busy does not keep commits waiting, as it would keep a thread.

Durability "full": reported as done means fsynced. "relaxed": reported as done means handed to the
kernel, and fsynced at most `relaxed_interval_ms` later, a trailing fsync after the last commit
included. Then a kill -9 loses nothing; a power cut loses at most what was reported in the last
`relaxed_interval_ms` plus the time that one fsync takes. (A killed inline store cannot do its
trailing fsync: until the file is opened again, which does it, the kernel's own write-back, some 30
seconds, is the window. A writer process does it when its parent is killed.)

After `done(error)` every append fails until `recover` has returned.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from typing import Final, Literal, final

from eventcore.errors import InvalidParameter, StoreError, StoreUnavailable, UnsupportedOperation
from eventcore.stores.base import Batch, Done
from eventcore.stores.frames import encode_batch
from eventcore.stores.lock import FileLock
from eventcore.stores.row_file import RowFile
from eventcore.stores.schema import prepare
from eventcore.stores.writer_client import WriterProcess

__all__ = ["RELAXED_INTERVAL_MS", "InlineSqliteStore", "WriterSqliteStore"]

RELAXED_INTERVAL_MS: Final = 100
"""Default of the window that a power cut may cost with durability "relaxed"."""

FileDurability = Literal["full", "relaxed"]


def _check_settings(durability: str, relaxed_interval_ms: int, file_bytes_max: int | None) -> None:
    if durability not in ("full", "relaxed"):
        raise InvalidParameter("durability", 'must be "full" or "relaxed"', durability)
    if not 1 <= relaxed_interval_ms <= 60_000:
        reason = "must be from 1 to 60,000"
        raise InvalidParameter("relaxed_interval_ms", reason, relaxed_interval_ms)
    if file_bytes_max is not None and file_bytes_max < 65_536:
        raise InvalidParameter("file_bytes_max", "must be 65,536 or more", file_bytes_max)


@final
class InlineSqliteStore:
    """Commits inside `append`, on the caller's thread; `done` is called before `append` returns."""

    def __init__(
        self,
        path: str,
        durability: FileDurability = "full",
        *,
        relaxed_interval_ms: int = RELAXED_INTERVAL_MS,
        file_bytes_max: int | None = None,
    ) -> None:
        """`file_bytes_max` bounds the file. Raises InvalidParameter; touches no file yet."""
        _check_settings(durability, relaxed_interval_ms, file_bytes_max)
        self._path = path
        self._is_relaxed = durability == "relaxed"
        self._interval_s = relaxed_interval_ms / 1000
        self._file_bytes_max = file_bytes_max
        self._lock = FileLock(path)
        self._file: RowFile | None = None
        self._failure: StoreError | None = None
        self._sync_timer: asyncio.TimerHandle | None = None

    @property
    def holds_replies(self) -> bool:
        """A reply waits for its batch."""
        return True

    @property
    def path(self) -> str:
        """The file, as given."""
        return self._path

    async def open(self) -> None:
        """Locks, creates or migrates, opens.

        Raises StoreLocked, StoreTooNew, StoreCorrupt, StoreUnavailable.
        """
        assert not self._lock.is_held, "the store is open"
        await self._lock.acquire()
        try:
            await prepare(self._path)
            self._open_file()
        except BaseException:
            self._lock.release()
            raise

    def _open_file(self) -> None:
        self._file = RowFile(
            self._path, relaxed=self._is_relaxed, file_bytes_max=self._file_bytes_max
        )
        self._failure = None

    def _opened(self) -> RowFile:
        if self._file is None:
            raise StoreUnavailable(f"{self._path}: the store is not open")
        return self._file

    def append(self, batch: Batch, done: Done) -> None:
        """Commits, then calls `done`, all before it returns."""
        try:
            if self._failure is not None:
                raise StoreUnavailable(f"{self._path}: not recovered from: {self._failure}")
            self._opened().commit(batch.rows, batch.ranges)
        except StoreError as error:
            if self._file is not None:
                self._failure = self._failure or error
            done(error)
            return
        if self._is_relaxed and self._sync_timer is None:
            loop = asyncio.get_running_loop()
            self._sync_timer = loop.call_later(self._interval_s, self._sync)
        done(None)

    def _sync(self) -> None:
        """Ends the window of commits that a power cut could lose.

        If it fails, the next append tells.
        """
        self._sync_timer = None
        if self._file is None or self._failure is not None:
            return
        try:
            self._file.sync()
        except StoreError as error:
            self._failure = error

    async def recover(self) -> None:
        """Opens the file anew; what was committed is there.

        Raises StoreError when that is not possible now.
        """
        if not self._lock.is_held:
            raise StoreUnavailable(f"{self._path}: the store is not open")
        self._close_file()
        self._open_file()

    def load(self) -> Iterator[tuple[int, int, bytes]]:
        """All hot rows, ordered by component and key, one at a time. Raises StoreError."""
        return self._opened().load()

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        """The values of some rows, None where there is none. Raises StoreError."""
        return self._opened().read(component, keys)

    def scan(
        self,
        component: int,
        first_key: int,
        last_key: int,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows from first_key to last_key, up to `bytes_max`. Raises StoreError."""
        return self._opened().scan(component, first_key, last_key, limit, bytes_max)

    def measure(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, int]]:
        """Keys and bytes of the values of at most `limit` rows. Raises StoreError."""
        return self._opened().measure(component, first_key, last_key, limit)

    async def close(self) -> None:
        """Writes the log back into the file and unlocks it."""
        self._close_file()
        self._lock.release()

    def _close_file(self) -> None:
        if self._sync_timer is not None:
            self._sync_timer.cancel()
            self._sync()
        file, self._file = self._file, None
        if file is not None:
            file.close()


@final
class WriterSqliteStore:
    """Commits in a writer process; `done` is called from the event loop when the answer arrives.

    `read`, `scan`, `measure` and `load` use a read-only connection in this process.
    """

    def __init__(
        self,
        path: str,
        durability: FileDurability = "full",
        *,
        relaxed_interval_ms: int = RELAXED_INTERVAL_MS,
        file_bytes_max: int | None = None,
    ) -> None:
        """`file_bytes_max` bounds the file.

        Raises InvalidParameter, and UnsupportedOperation on Windows.
        """
        _check_settings(durability, relaxed_interval_ms, file_bytes_max)
        if sys.platform == "win32":
            raise UnsupportedOperation(
                "store", "the writer process", 'not on Windows; use committer="inline"'
            )
        self._path = path
        self._relaxed_ms = relaxed_interval_ms if durability == "relaxed" else -1
        self._file_bytes_max = -1 if file_bytes_max is None else file_bytes_max
        self._lock = FileLock(path)
        self._writer: WriterProcess | None = None
        self._reader: RowFile | None = None
        self._failure: StoreError | None = None
        self._done: Done | None = None

    @property
    def holds_replies(self) -> bool:
        """A reply waits for its batch."""
        return True

    @property
    def path(self) -> str:
        """The file, as given."""
        return self._path

    @property
    def writer_pid(self) -> int | None:
        """The writer's process id; None while there is none."""
        return None if self._writer is None else self._writer.pid

    async def open(self) -> None:
        """Locks, creates or migrates, starts the writer.

        Raises StoreLocked, StoreTooNew, StoreCorrupt, StoreUnavailable.
        """
        assert not self._lock.is_held, "the store is open"
        await self._lock.acquire()
        try:
            await prepare(self._path)
            await self._start()
        except BaseException:
            self._lock.release()
            raise

    async def _start(self) -> None:
        writer = await WriterProcess.start(
            self._path,
            self._lock.fileno(),
            relaxed_ms=self._relaxed_ms,
            file_bytes_max=self._file_bytes_max,
        )
        try:
            self._reader = RowFile(self._path, mode="ro")
        except BaseException:
            await writer.kill()
            raise
        self._writer = writer
        self._failure = None

    def append(self, batch: Batch, done: Done) -> None:
        """Sends the batch; `done` follows from the event loop, or at once without a writer."""
        assert self._done is None, "one append at a time"
        if self._writer is None:
            done(StoreUnavailable(f"{self._path}: the store is not open"))
            return
        if self._failure is not None:
            done(StoreUnavailable(f"{self._path}: not recovered from: {self._failure}"))
            return
        self._done = done
        self._writer.send(encode_batch(batch.rows, batch.ranges), self._answered)

    def _answered(self, error: StoreError | None) -> None:
        done, self._done = self._done, None
        if error is not None:
            self._failure = error
        if done is not None:
            done(error)

    async def recover(self) -> None:
        """Ends the old writer, whatever state it is in, and starts another.

        Raises StoreError; may be called again.
        """
        if not self._lock.is_held:
            raise StoreUnavailable(f"{self._path}: the store is not open")
        self._close_reader()
        if self._writer is not None:
            await self._writer.kill()
            self._writer = None
        await self._start()

    def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _opened(self) -> RowFile:
        if self._reader is None:
            raise StoreUnavailable(f"{self._path}: the store is not open")
        return self._reader

    def load(self) -> Iterator[tuple[int, int, bytes]]:
        """All hot rows, ordered by component and key, one at a time. Raises StoreError."""
        return self._opened().load()

    def read(self, component: int, keys: Sequence[int]) -> list[bytes | None]:
        """The values of some rows, None where there is none. Raises StoreError."""
        return self._opened().read(component, keys)

    def scan(
        self,
        component: int,
        first_key: int,
        last_key: int,
        limit: int,
        bytes_max: int | None = None,
    ) -> list[tuple[int, bytes]]:
        """At most `limit` rows from first_key to last_key, up to `bytes_max`. Raises StoreError."""
        return self._opened().scan(component, first_key, last_key, limit, bytes_max)

    def measure(
        self, component: int, first_key: int, last_key: int, limit: int
    ) -> list[tuple[int, int]]:
        """Keys and bytes of the values of at most `limit` rows. Raises StoreError."""
        return self._opened().measure(component, first_key, last_key, limit)

    async def close(self) -> None:
        """Waits for an append in flight and for the writer's end, then unlocks the file."""
        writer = self._writer
        try:
            if writer is not None:
                await writer.wait_idle()
                self._close_reader()  # the last connection, the writer's, ends the log
                await writer.stop()
        finally:
            self._close_reader()
            self._writer = None
            self._lock.release()
