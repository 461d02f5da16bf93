"""A program that kills its own process (SIGKILL) at a named point of one commit.

    python kill_points.py POINT NUMBER CHECKPOINT_PAGES appender KIND PATH
    python kill_points.py POINT NUMBER CHECKPOINT_PAGES broker PATH
    python kill_points.py POINT NUMBER CHECKPOINT_PAGES streams PATH
    python kill_points.py POINT NUMBER CHECKPOINT_PAGES writer ...

NUMBER counts the commits of the process from 0. The appender runs `store_appender`, and with a KIND
of writer it is the writer process that dies, except at `PARENT_POINTS`; the broker runs
`broker_client`, streams `stream_client`; `writer` is the armed writer process itself, started by
the other two or by a test.

Nothing in eventcore knows of this: the connection of the one `RowFile` is replaced by one that
counts what it executes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from eventcore.errors import StoreError
from eventcore.stores import row_file, writer, writer_client

LOST = ("before_begin", "after_begin", "after_deletes", "after_first_put", "before_commit")
"""Points at which the commit is not in the file."""
KEPT = ("after_commit",)
"""Points at which it is, and nobody was told."""
TOLD = ("after_answer",)
"""Points of the writer process at which it is, and the answer has left."""
PARENT_POINTS = ("parent_after_send", "parent_before_answer")
"""The parent of a writer process dies: with a batch on its way, and with the answer just in."""


def die() -> None:
    """The end, with no clean-up of any kind."""
    os.kill(os.getpid(), signal.SIGKILL)


class ArmedConnection(sqlite3.Connection):
    """Calls `reach` with each point and the number of the commit."""

    reach: Callable[[str, int], None]
    number = -1

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        if sql == "BEGIN IMMEDIATE":
            self.number += 1
            self.reach("before_begin", self.number)
        elif sql == "COMMIT":
            self.reach("before_commit", self.number)
        cursor = super().execute(sql, *arguments)
        self._executed(sql)
        return cursor

    def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        cursor = super().executemany(sql, *arguments)
        self._executed(sql)
        return cursor

    def _executed(self, sql: str) -> None:
        done = {"BEGIN": "begin", "DELETE": "deletes", "INSERT": "first_put", "COMMIT": "commit"}
        if (verb := sql.split(maxsplit=1)[0]) in done:
            self.reach(f"after_{done[verb]}", self.number)


def arm(point: str, number: int, checkpoint_pages: int) -> None:
    """Has this process die at `point` of commit `number`, if it commits by itself.

    The point "inside:BYTES" is in the middle of a write: the system ends the process (SIGXFSZ, for
    which nothing is installed) as soon as the log grows by more than BYTES in commit `number` or
    after it; "checkpoint:BYTES" is the same for the database file, BYTES being its size.
    """
    kind, _, size = point.partition(":")

    def reach(name: str, at: int) -> None:
        if (name, at) == (point, number):
            die()
        if (name, at, kind) == ("before_begin", number, "inside"):
            _limit_files(_log_bytes() + int(size))

    def connect(path: str, mode: str) -> sqlite3.Connection:
        connection = plain_connect(path, mode)
        if mode == "ro":
            return connection
        connection.close()
        ArmedConnection.reach = staticmethod(reach)  # type: ignore[assignment]
        paths.append(path)
        return sqlite3.connect(path, isolation_level=None, factory=ArmedConnection)

    def _log_bytes() -> int:
        return Path(paths[-1] + "-wal").stat().st_size

    paths: list[str] = []
    plain_connect = row_file.connect
    row_file.connect = connect
    row_file.CHECKPOINT_PAGES = checkpoint_pages  # type: ignore[misc]
    if kind == "checkpoint":
        _limit_files(int(size))


def _limit_files(size_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def arm_answer(number: int) -> None:
    """Has this writer process die when the answer to batch `number` has left."""
    commit, answered = writer._Writer._commit, iter(range(number + 1))

    def armed(self: writer._Writer, body: memoryview) -> None:
        commit(self, body)
        if next(answered) == number:
            die()

    writer._Writer._commit = armed  # type: ignore[method-assign]


def arm_parent(point: str, number: int) -> None:
    """Has this process, which has a writer process, die at one of `PARENT_POINTS`."""
    send, sent = writer_client.WriterProcess.send, iter(range(number + 1))

    def armed(self: writer_client.WriterProcess, body: bytes, done: Callable[..., None]) -> None:
        is_last = next(sent) == number
        if is_last and point == "parent_before_answer":
            send(self, body, lambda error: die())
            return
        send(self, body, done)
        if is_last:
            die()

    writer_client.WriterProcess.send = armed  # type: ignore[method-assign]


def armed_popen(point: str, number: int, checkpoint_pages: int) -> SimpleNamespace:
    """In the place of `writer_client.subprocess`: the first writer process is armed."""
    programs = iter([[__file__, point, str(number), str(checkpoint_pages), "writer"]])

    def popen(arguments: list[str], **options: Any) -> subprocess.Popen[bytes]:
        start = arguments.index("eventcore.stores.writer") + 1
        program = next(programs, ["-m", "eventcore.stores.writer"])
        return subprocess.Popen([sys.executable, *program, *arguments[start:]], **options)

    return SimpleNamespace(Popen=popen, DEVNULL=subprocess.DEVNULL)


def main(point: str, number: int, checkpoint_pages: int, program: str, *arguments: str) -> int:
    """Arms the process that is to die, and runs the program in this one."""
    if program == "writer":
        arm(point, number, checkpoint_pages)
        if point in TOLD:
            arm_answer(number)
        return writer.main(list(arguments))
    if point in PARENT_POINTS:
        arm_parent(point, number)
    elif program == "appender" and arguments[0].startswith("writer"):
        vars(writer_client)["subprocess"] = armed_popen(point, number, checkpoint_pages)
    else:
        arm(point, number, checkpoint_pages)
    if program == "appender":
        from tests.recovery import store_appender

        with contextlib.suppress(StoreError):  # its writer process died
            asyncio.run(store_appender.main(arguments[0], arguments[1], 0))
        return 0
    if program == "streams":
        from tests.recovery import stream_client

        asyncio.run(stream_client.main(arguments[0]))
        return 0
    from tests.recovery import broker_client

    asyncio.run(broker_client.main(arguments[0]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]))
