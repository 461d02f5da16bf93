"""A daemon as a child process, for load and demo: started, killed, restarted on the same data and
port.

The child has a process group of its own, and `kill` takes the whole group at once with SIGKILL:
what survives is what is on the disk. Whatever happens, leaving the context leaves no process
behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

from eventcore.errors import EventcoreError

__all__ = ["DaemonFailed", "DaemonProcess"]

START_S: Final = 60.0
"""How long a daemon may take until it listens; a large store is loaded first."""
STOP_S: Final = 20.0
LOG_LINES_MAX: Final = 50
LINE_BYTES_MAX: Final = 1 << 20

_URL: Final = re.compile(rb"https?://[\w.\[\]:-]+:\d+")


class DaemonFailed(EventcoreError):
    """The daemon ended, or did not listen in time; the text has its last lines."""


@final
class DaemonProcess:
    """`python -m eventcore serve` on 127.0.0.1. An async context manager.

    The first start takes any free port, later ones take the same port again. `url` is where it
    listens.
    """

    def __init__(
        self, data: Path, *, durability: str = "full", arguments: Sequence[str] = ()
    ) -> None:
        self.url = ""
        self.kills = 0
        self._data = data
        self._durability = durability
        self._arguments = tuple(arguments)
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._lines: deque[str] = deque(maxlen=LOG_LINES_MAX)

    @property
    def pid(self) -> int:
        """The process id of the running daemon."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> DaemonProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts the daemon and returns when it listens. Raises DaemonFailed."""
        listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LINE_BYTES_MAX,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            asyncio.create_task(self._follow(stream, listening))
            for stream in (process.stdout, process.stderr)
        ]
        try:
            async with asyncio.timeout(START_S):
                self.url = await self._listening_or_ended(listening)
        except TimeoutError:
            await self._end(signal.SIGKILL)
            raise DaemonFailed(self._text("the daemon does not listen")) from None

    async def kill(self) -> None:
        """SIGKILL to the daemon and its children; returns when they are gone."""
        self.kills += 1
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM and an orderly end; SIGKILL when that takes too long. May be called twice."""
        await self._end(signal.SIGTERM)

    def _command(self) -> list[str]:
        port = self.url.rpartition(":")[2] if self.url else "0"
        return [
            *(sys.executable, "-m", "eventcore", "serve", "--host", "127.0.0.1", "--port", port),
            *("--data", str(self._data), "--durability", self._durability),
            *self._arguments,
        ]

    async def _listening_or_ended(self, listening: asyncio.Future[str]) -> str:
        assert self._process is not None
        ended = asyncio.create_task(self._process.wait())
        await asyncio.wait((listening, ended), return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            ended.cancel()
            return listening.result()
        await asyncio.gather(*self._readers)
        raise DaemonFailed(self._text(f"the daemon ended with status {ended.result()}"))

    async def _follow(self, stream: asyncio.StreamReader, listening: asyncio.Future[str]) -> None:
        while line := await stream.readline():
            self._lines.append(line.decode(errors="replace").rstrip())
            found = _URL.search(line)
            if found and not listening.done():
                listening.set_result(found[0].decode())

    async def _end(self, how: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        self._process = None
        group = process.pid
        if how is not signal.SIGKILL and process.returncode is None:
            with contextlib.suppress(TimeoutError, ProcessLookupError):
                process.send_signal(how)
                async with asyncio.timeout(STOP_S):
                    await process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        await process.wait()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)

    def _text(self, what: str) -> str:
        return "\n".join([what, *self._lines])
