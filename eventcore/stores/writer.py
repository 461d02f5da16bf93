"""The writer process: takes batches from a socket, commits them to the file, answers.

`WriterSqliteStore` starts it.

    python -m eventcore.stores.writer SOCKET_FD PATH RELAXED_MS FILE_BYTES_MAX

RELAXED_MS is -1 for durability "full", FILE_BYTES_MAX -1 for no bound.

- One batch at a time, in the order received; the answer leaves after the commit.
- It inherits the descriptor of the file's lock, so the file stays locked until the last of parent
  and writer is gone.
- The parent's death is the end of the socket: a batch received whole is still committed, then the
  process exits at once and leaves the log for the next open to recover.
- Signals meant for the parent's process group (Ctrl-C, a service manager's stop) are ignored: the
  parent decides.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import time
from typing import Final, final

from eventcore.errors import StoreError
from eventcore.stores.frames import HEADER, SUCCESS, decode_batch, encode_error
from eventcore.stores.row_file import RowFile

__all__ = ["main"]

_BUFFER_BYTES_KEPT: Final = 4 * 1024 * 1024


@final
class _Writer:
    """Reads, commits and answers until the socket ends or the parent asks it to close."""

    def __init__(self, connection: socket.socket, file: RowFile, relaxed_ms: int) -> None:
        self._socket = connection
        self._file = file
        self._relaxed_s = relaxed_ms / 1000 if relaxed_ms >= 0 else None
        self._sync_at: float | None = None
        self._buffer = bytearray(256 * 1024)
        self._poll = select.poll()  # not select: the parent may hand over a descriptor above 1023
        self._poll.register(connection, select.POLLIN)

    def run(self) -> bool:
        """True when the parent asked for the end, False when it is gone."""
        while True:
            self._wait()
            header = self._receive(HEADER.size)
            if header is None:
                return False
            (body_bytes,) = HEADER.unpack(header)
            if body_bytes == 0:
                return True
            body = self._receive(body_bytes)
            if body is None:
                return False
            self._commit(body)
            if body_bytes > _BUFFER_BYTES_KEPT:
                del body
                self._buffer = bytearray(256 * 1024)

    def _commit(self, body: memoryview) -> None:
        rows, ranges = decode_batch(body)
        try:
            self._file.commit(rows, ranges)
        except StoreError as error:
            self._socket.sendall(encode_error(error))
            return
        self._socket.sendall(SUCCESS)
        if self._relaxed_s is not None and self._sync_at is None:
            self._sync_at = time.monotonic() + self._relaxed_s

    def _wait(self) -> None:
        """Until there is something to read; syncs first what falls due (durability "relaxed")."""
        if self._sync_at is None:
            return
        wait_ms = max(0.0, (self._sync_at - time.monotonic()) * 1000)
        if wait_ms and self._poll.poll(wait_ms):
            return
        self._sync_at = None
        self._file.sync()

    def _receive(self, count: int) -> memoryview | None:
        """Exactly `count` bytes, valid until the next call; None at the end of the socket."""
        if count > len(self._buffer):
            self._buffer = bytearray(count)
        view = memoryview(self._buffer)
        received = 0
        while received < count:
            step = self._socket.recv_into(view[received:count])
            if step == 0:
                return None
            received += step
        return view[:count]


def main(arguments: list[str]) -> int:
    """Runs the writer; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    gc.disable()  # nothing here makes cycles, and each batch makes a tuple per row
    connection = socket.socket(fileno=int(arguments[0]))
    path, relaxed_ms, file_bytes_max = arguments[1], int(arguments[2]), int(arguments[3])
    try:
        file = RowFile(
            path,
            relaxed=relaxed_ms >= 0,
            file_bytes_max=None if file_bytes_max < 0 else file_bytes_max,
        )
    except StoreError as error:
        connection.sendall(encode_error(error))
        return 1
    try:
        connection.sendall(SUCCESS)
        is_orderly = _Writer(connection, file, relaxed_ms).run()
    except OSError:  # the parent is gone
        is_orderly = False
    file.sync()
    if not is_orderly:
        os._exit(0)
    file.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
