"""Where the records of `streams put` come from: arguments, or the lines of a file or of standard
input, as they come.

Rules of this file:

- What is there is handed on at once: a line of a pipe does not wait for the next one. Nothing is
  read ahead, so the memory that is taken is one read's and one line's.
- Reading blocks a thread of its own, never the event loop, so that Ctrl-C ends it. The thread reads
  from the descriptor itself: it may be left behind in a read when the program ends.
- A line that is no record is told by its number, and the others go on.
"""

from __future__ import annotations

import asyncio
import binascii
import contextlib
import io
import os
import sys
import threading
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, NamedTuple, final

from eventcore import limits
from eventcore.codec import decode_json, encode_json
from eventcore.errors import InvalidParameter
from eventcore.server.commands.streams_calls import PutEntry

__all__ = ["Keys", "Numbered", "Refusal", "lines_of_file", "lines_of_stdin", "whole", "write_entry"]

READ_BYTES: Final = 1 << 20
LINE_BYTES_MAX: Final = 2 * limits.RECORD_BYTES_MAX_HIGHEST
"""More than the base64 of the largest record."""
KEY_CHARACTERS_MAX: Final = limits.PARTITION_KEY_CHARACTERS_MAX

ReadChunk = Callable[[], bytes]
"""Reads what is there, and waits where nothing is; b"" at the end."""


class Numbered(NamedTuple):
    """A record to put, and which one of the input it is, counted from 1."""

    number: int
    entry: PutEntry


class Refusal(NamedTuple):
    """Why a part of the input is no record."""

    number: int
    reason: str


class Keys(NamedTuple):
    """Where partition keys come from: one for all, a member of each record's JSON, or chance."""

    fixed: str | None
    member: str | None


# Chunks and lines


@final
class _ReadingThread:
    """Makes the reads of a blocking source in a thread of its own, one at a time."""

    def __init__(self, read: ReadChunk) -> None:
        self._read = read
        self._wanted: SimpleQueue[asyncio.Future[bytes]] = SimpleQueue()
        threading.Thread(target=self._run, name="input", daemon=True).start()

    async def read(self) -> bytes:
        """The next chunk. Raises what the source raises."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._wanted.put(future)
        return await future

    def _run(self) -> None:
        chunk: bytes | None = None
        while chunk != b"":
            future = self._wanted.get()
            try:
                chunk = self._read()
            except OSError as error:
                _answer(future, future.set_exception, error)
            else:
                _answer(future, future.set_result, chunk)


def _answer(future: asyncio.Future[bytes], settle: Callable[[Any], None], value: object) -> None:
    def settle_if_awaited() -> None:
        if not future.done():
            settle(value)

    with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
        future.get_loop().call_soon_threadsafe(settle_if_awaited)


async def _lines(read: ReadChunk) -> AsyncIterator[list[bytes]]:
    """The lines of a source, in groups as they come, without their ends and without empty ones."""
    thread = _ReadingThread(read)
    parts: list[bytes] = []
    size = 0
    while chunk := await thread.read():
        head, newline, rest = chunk.rpartition(b"\n")
        if newline:
            group = (b"".join(parts) + head).split(b"\n")
            parts, size = [], 0
            yield [text for line in group if (text := line.removesuffix(b"\r"))]
        parts.append(rest)
        size += len(rest)
        if size > LINE_BYTES_MAX:
            raise InvalidParameter("line", f"A line has more than {LINE_BYTES_MAX:,} bytes.")
    if last := b"".join(parts).removesuffix(b"\r"):
        yield [last]


async def lines_of_file(path: Path) -> AsyncIterator[list[bytes]]:
    """The lines of a file or a pipe. Raises OSError, InvalidParameter."""
    with path.open("rb", buffering=0) as file:
        async for group in _lines(lambda: os.read(file.fileno(), READ_BYTES)):
            yield group


async def lines_of_stdin() -> AsyncIterator[list[bytes]]:
    """The lines of standard input. Raises OSError, InvalidParameter."""
    async for group in _lines(_stdin_reader()):
        yield group


async def whole(path: Path | None) -> bytes:
    """All of a file, or of standard input. Raises OSError, InvalidParameter for more than a record
    can be.
    """
    with contextlib.ExitStack() as stack:
        if path is None:
            read = _stdin_reader()
        else:
            file = stack.enter_context(path.open("rb", buffering=0))
            read = _chunks_of(file.fileno())
        thread = _ReadingThread(read)
        parts: list[bytes] = []
        size = 0
        while chunk := await thread.read():
            parts.append(chunk)
            size += len(chunk)
            if size > LINE_BYTES_MAX:
                raise InvalidParameter("data", f"The input has over {LINE_BYTES_MAX:,} bytes.")
        return b"".join(parts)


def _chunks_of(descriptor: int) -> ReadChunk:
    return lambda: os.read(descriptor, READ_BYTES)


def _stdin_reader() -> ReadChunk:
    try:
        return _chunks_of(sys.stdin.fileno())
    except (OSError, ValueError, io.UnsupportedOperation):  # it is not the process's own
        text = io.BytesIO(os.fsencode(sys.stdin.read()))
        return lambda: text.read(READ_BYTES)


# Records


def write_entry(number: int, raw: bytes, keys: Keys, *, is_base64: bool) -> Numbered | Refusal:
    """The record of an argument or a line, or why it is none."""
    data = raw
    if is_base64:
        try:
            data = b64decode(raw.strip(), validate=True)
        except binascii.Error as error:
            return Refusal(number, f"is not base64: {error}")
    if keys.fixed is not None:
        key = keys.fixed
    elif keys.member is None:
        key = uuid.uuid4().hex
    else:
        found = _key_in(data, keys.member)
        if isinstance(found, _NoKey):
            return Refusal(number, found.reason)
        key = found
    return Numbered(number, PutEntry(data, key))


class _NoKey(NamedTuple):
    reason: str


def _key_in(data: bytes, member: str) -> str | _NoKey:
    """The text of a member of a JSON object; numbers and truth values as JSON writes them."""
    try:
        content = decode_json(data)
    except ValueError:
        return _NoKey("is not JSON")
    if not isinstance(content, dict):
        return _NoKey("is not a JSON object")
    value = content.get(member)
    if value is None or isinstance(value, dict | list):
        return _NoKey(f"has no member {member!r} that can be a key")
    key = value if isinstance(value, str) else encode_json(value).decode()
    if not 1 <= len(key) <= KEY_CHARACTERS_MAX:
        return _NoKey(f"has a key of {len(key)} characters; it may have 1 to {KEY_CHARACTERS_MAX}")
    return key
