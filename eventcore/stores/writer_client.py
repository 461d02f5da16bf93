"""The parent's end of a writer process: starts it, sends it batches, hears its answers, ends it.

- Nothing here blocks the event loop: the socket is an asyncio transport, the end of the process is
  polled.
- One request is in flight at a time. Its callback is called exactly once, with an error when the
  process ends first.
- A process that ended stays ended; `WriterSqliteStore.recover` starts another one.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final, cast, final

from eventcore.errors import StoreError, StoreUnavailable
from eventcore.stores.base import Done
from eventcore.stores.frames import FRAME_BYTES_MAX, HEADER, SUCCESS, decode_error

__all__ = ["WriterProcess"]

START_S: Final = 30.0
STOP_S: Final = 30.0
"""How long an orderly end may take (it writes the log back) before the process is killed.
"""
KILL_S: Final = 10.0
REAP_RETRY_S: Final = 0.002
_SOCKET_BYTES: Final = 1024 * 1024


@final
class WriterProcess(asyncio.Protocol):
    """A running `eventcore.stores.writer`. Made by `start` only."""

    def __init__(self, path: str) -> None:
        loop = asyncio.get_running_loop()
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._transport: asyncio.Transport | None = None
        self._done: Done | None = None
        self._received = b""
        self._idle = asyncio.Event()
        self._idle.set()
        self._lost: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def start(
        cls, path: str, lock_fd: int, *, relaxed_ms: int = -1, file_bytes_max: int = -1
    ) -> WriterProcess:
        """Starts the process and waits until it has the file open.

        Raises StoreUnavailable, StoreCorrupt.
        """
        writer = cls(path)
        ready: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()
        writer._expect(lambda error: None if ready.done() else ready.set_result(error))
        try:
            await writer._spawn(lock_fd, relaxed_ms, file_bytes_max)
            async with asyncio.timeout(START_S):
                error = await ready
        except TimeoutError:
            error = StoreUnavailable(f"{path}: the writer process did not start in {START_S:g} s")
        except OSError as cause:
            error = StoreUnavailable(f"{path}: the writer process did not start ({cause})")
        except BaseException:
            await writer.kill()
            raise
        if error is not None:
            await writer.kill()
            raise error
        return writer

    async def _spawn(self, lock_fd: int, relaxed_ms: int, file_bytes_max: int) -> None:
        ours, theirs = socket.socketpair()
        try:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            ours.setblocking(False)
            # The child finds exactly the modules that this process finds, however that was started.
            search_path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
            numbers = (str(theirs.fileno()), self._path, str(relaxed_ms), str(file_bytes_max))
            # Blocks for 2 ms; asyncio's own subprocesses offer nothing for a socket of our own.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603
                [sys.executable, "-P", "-m", "eventcore.stores.writer", *numbers],
                pass_fds=(theirs.fileno(), lock_fd),
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": search_path},
            )
            await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()

    @property
    def is_alive(self) -> bool:
        """Whether its end of the socket is still there."""
        return self._transport is not None and not self._lost.done()

    @property
    def pid(self) -> int | None:
        """The process id; None before the start."""
        return None if self._process is None else self._process.pid

    def send(self, body: bytes, done: Done) -> None:
        """Sends one batch; `done` gets the answer later, or at once when it cannot be sent."""
        assert self._done is None, "one append at a time"
        if not self.is_alive or self._transport is None:
            done(StoreUnavailable(f"{self._path}: the writer process has ended"))
            return
        if len(body) > FRAME_BYTES_MAX:
            done(StoreUnavailable(f"{self._path}: a batch of {len(body)} bytes is too large"))
            return
        self._expect(done)
        self._transport.writelines((HEADER.pack(len(body)), body))

    def _expect(self, done: Done) -> None:
        self._done = done
        self._idle.clear()

    def _answer(self, error: StoreError | None) -> None:
        done, self._done = self._done, None
        self._idle.set()
        if done is not None:
            done(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        """Called by asyncio with (a part of) an answer."""
        if data == SUCCESS and not self._received:
            self._answer(None)
            return
        self._received += data
        if len(self._received) < HEADER.size:
            return
        (body_bytes,) = HEADER.unpack_from(self._received)
        if len(self._received) < HEADER.size + body_bytes:
            return
        body, self._received = self._received[HEADER.size :], b""
        self._answer(decode_error(body) if body else None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio at the process's end; what was in flight may be durable or not."""
        if not self._lost.done():
            self._lost.set_result(None)
        self._answer(StoreUnavailable(f"{self._path}: the writer process ended unexpectedly"))

    async def wait_idle(self) -> None:
        """Returns when no request is in flight."""
        await self._idle.wait()

    async def stop(self) -> None:
        """Asks for an orderly end and waits for it; kills the process after `STOP_S`.

        Nothing may be in flight.
        """
        try:
            if self.is_alive and self._transport is not None:
                self._transport.write(HEADER.pack(0))
                async with asyncio.timeout(STOP_S):
                    await asyncio.shield(self._lost)
        except TimeoutError:
            pass
        finally:
            await self.kill()

    async def kill(self) -> None:
        """Ends the process at once and waits until it is gone.

        Raises StoreUnavailable when it does not go.

        A process that sits in a hung disk cannot be killed; a second writer beside it would be one
        too many.
        """
        if self._transport is not None:
            self._transport.abort()
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.kill()
        loop = asyncio.get_running_loop()
        give_up = loop.time() + KILL_S
        while self._process.poll() is None:
            if loop.time() >= give_up:
                raise StoreUnavailable(
                    f"{self._path}: the writer process {self._process.pid} cannot be ended"
                )
            await asyncio.sleep(REAP_RETRY_S)
