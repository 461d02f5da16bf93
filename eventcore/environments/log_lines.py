"""What an execution environment's process writes: read from its pipe, cut into lines, bounded.

Rules of this file:

- Standard output and standard error are one pipe, so their order is kept.
- A process that floods the pipe is slowed down: READ_BYTES_PER_PASS, then a pause. Of one
  invocation LINES_BYTES_MAX are handed on; what comes after it is counted and dropped, and a line
  tells so. The tail always has the latest lines.
- What was written before an answer belongs to that answer's log: `drain` takes it out of the pipe
  before the log is closed. Nothing here waits.
- A carriage return inside a line is a line break of one log event, as on AWS.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final, Protocol, final

from eventcore import limits

__all__ = ["LogCapture", "LogSink"]

READ_BYTES: Final = 65_536
READ_BYTES_PER_PASS: Final = 256 * 1024
PAUSE_S: Final = 0.01
DRAIN_BYTES_MAX: Final = 256 * 1024
"""Twice and more what a pipe holds: a process that writes on while it is drained ends nothing."""
LINE_BYTES_MAX: Final = 64 * 1024
"""A longer line is cut into several."""
LINES_BYTES_MAX: Final = 1024 * 1024
LINE_BYTES: Final = 32
"""What each line counts beside its own bytes, so that empty ones are bounded, too."""


class LogSink(Protocol):
    """Who is given the lines of functions' logs."""

    def write(
        self, function_arn: str, version: str, request_id: str, line: str, time_ms: int
    ) -> None:
        """Takes a line, without its end; it may have line breaks inside. `request_id` is empty for
        what was written before the first invocation. Must not raise, nor wait.
        """
        ...


@final
class LogCapture:
    """The log of one environment. `fd` is the reading end of the pipe, which is closed here."""

    def __init__(self, fd: int, sink: LogSink, function_arn: str, version: str) -> None:
        self._fd = fd
        self._sink = sink
        self._function_arn = function_arn
        self._version = version
        self._request_id = ""
        self._partial = b""
        self._tail = bytearray()
        self._taken_bytes = 0
        self._dropped = 0
        self._pass_bytes = 0
        self._resumption: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._read)

    def begin(self, request_id: str) -> None:
        """What follows is of this invocation. What came before it stays in the tail only if it is
        the environment's first.
        """
        if self._request_id:
            self._tail.clear()
        self._request_id = request_id
        self._taken_bytes = self._dropped = 0

    def drain(self) -> None:
        """Takes what is in the pipe, and ends a line that has no end."""
        left = DRAIN_BYTES_MAX
        while left > 0 and self._fd >= 0:
            try:
                data = os.read(self._fd, READ_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            if not data:
                self._stop_reading()
                break
            left -= len(data)
            self._feed(data)
        if self._partial:
            partial, self._partial = self._partial, b""
            self._take(partial)
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            self.write(f"{dropped} more lines of this invocation were not kept.")

    def write(self, line: str) -> None:
        """Adds a line of the platform's own."""
        self._add_to_tail(line.encode())
        self._sink.write(
            self._function_arn,
            self._version,
            self._request_id,
            line,
            time.time_ns() // 1_000_000,
        )

    def tail(self) -> bytes:
        """The last LOG_TAIL_BYTES of the invocation's log."""
        return bytes(self._tail[-limits.LOG_TAIL_BYTES :])

    def close(self) -> None:
        """Takes what is left, and closes the pipe."""
        self.drain()
        self._stop_reading()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            self._stop_reading()
            return
        self._feed(data)
        self._pass_bytes += len(data)
        if self._pass_bytes >= READ_BYTES_PER_PASS:
            self._pass_bytes = 0
            self._loop.remove_reader(self._fd)
            self._resumption = self._loop.call_later(PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._resumption = None
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._read)

    def _stop_reading(self) -> None:
        if self._resumption is not None:
            self._resumption.cancel()
            self._resumption = None
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _feed(self, data: bytes) -> None:
        if self._taken_bytes > LINES_BYTES_MAX:
            self._pass_over(self._partial + data)
            return
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            self._take(self._cut(line))
        self._partial = self._cut(self._partial)

    def _pass_over(self, data: bytes) -> None:
        """Takes nothing but the tail, and counts: a flood of short lines must not cost the loop
        as much as lines that are kept.
        """
        lines, end, rest = data.rpartition(b"\n")
        if end:
            self._dropped += lines.count(b"\n") + 1
            self._add_to_tail(lines)
        self._partial = self._cut(rest)

    def _cut(self, line: bytes) -> bytes:
        """Takes the parts of a line that is too long; returns what is left of it."""
        while len(line) > LINE_BYTES_MAX:
            self._take(line[:LINE_BYTES_MAX])
            line = line[LINE_BYTES_MAX:]
        return line

    def _take(self, line: bytes) -> None:
        self._add_to_tail(line)
        self._taken_bytes += len(line) + LINE_BYTES
        if self._taken_bytes > LINES_BYTES_MAX:
            self._dropped += 1
            return
        text = line.decode(errors="replace").rstrip("\r").replace("\r", "\n")
        now_ms = time.time_ns() // 1_000_000
        self._sink.write(self._function_arn, self._version, self._request_id, text, now_ms)

    def _add_to_tail(self, line: bytes) -> None:
        tail = self._tail
        tail += line[-limits.LOG_TAIL_BYTES :].replace(b"\r", b"\n")
        tail += b"\n"
        if len(tail) > 4 * limits.LOG_TAIL_BYTES:
            del tail[: -limits.LOG_TAIL_BYTES]
