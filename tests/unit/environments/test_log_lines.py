"""From a pipe's bytes to lines: cut, bounded, in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from eventcore.environments import log_lines
from eventcore.environments.log_lines import LogCapture

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"


class Lines:
    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def write(
        self, function_arn: str, version: str, request_id: str, line: str, time_ms: int
    ) -> None:
        assert (function_arn, version) == (ARN, "1")
        assert time_ms > 1_600_000_000_000
        self.all.append((request_id, line))

    def texts(self) -> list[str]:
        return [line for _, line in self.all]


class Pipe:
    def __init__(self) -> None:
        self.lines = Lines()
        ours, self.fd = os.pipe()
        os.set_blocking(self.fd, False)
        self.capture = LogCapture(ours, self.lines, ARN, "1")

    def write(self, data: bytes) -> None:
        assert os.write(self.fd, data) == len(data)

    def close(self) -> None:
        self.capture.close()
        os.close(self.fd)


@pytest.fixture
async def pipe() -> Iterator[Pipe]:  # type: ignore[misc]
    pipe = Pipe()
    yield pipe
    pipe.close()


async def until_lines(pipe: Pipe, count: int) -> None:
    async with asyncio.timeout(30):
        while len(pipe.lines.all) < count:
            await asyncio.sleep(0)


async def test_lines_come_by_themselves_whatever_their_parts(pipe: Pipe) -> None:
    for part in (b"on", b"e\ntw", b"o\r\n\nthr\xc3", b"\xa9e\n\xff\n"):
        pipe.write(part)
    await until_lines(pipe, 5)
    assert pipe.lines.texts() == ["one", "two", "", "thr\u00e9e", "\ufffd"]


async def test_what_was_written_before_is_drained_at_once(pipe: Pipe) -> None:
    pipe.write(b"init\n")
    pipe.capture.drain()
    pipe.capture.begin("r1")
    pipe.capture.write("START")
    pipe.write(b"a\nb\rc\nno end")
    pipe.capture.drain()
    assert pipe.lines.all == [
        ("", "init"),
        ("r1", "START"),
        ("r1", "a"),
        ("r1", "b\nc"),
        ("r1", "no end"),
    ]
    assert pipe.capture.tail() == b"init\nSTART\na\nb\nc\nno end\n"
    pipe.capture.begin("r2")
    assert pipe.capture.tail() == b""


async def test_the_tail_is_the_last_4096_bytes(pipe: Pipe) -> None:
    pipe.capture.begin("r1")
    written = b""
    for number in range(3_000):
        line = f"line {number}\n".encode()
        written += line
        pipe.write(line)
        pipe.capture.drain()
    assert pipe.capture.tail() == written[-4096:]
    pipe.write(b"x" * 60_000 + b"\n")
    pipe.capture.drain()
    assert pipe.capture.tail() == b"x" * 4095 + b"\n"


async def test_lines_beyond_the_bound_are_counted_and_dropped(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "LINES_BYTES_MAX", 10 + 2 * log_lines.LINE_BYTES)
    for request_id in ("r1", "r2"):
        pipe.capture.begin(request_id)
        pipe.write(b"1234\n5678\n9\nlast\n")
        pipe.capture.drain()
        assert pipe.capture.tail().startswith(b"1234\n5678\n9\nlast\n")
    expected = ["1234", "5678", "2 more lines of this invocation were not kept."]
    assert pipe.lines.texts() == expected * 2


async def test_a_flood_beyond_the_bound_is_counted_and_its_end_is_in_the_tail(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "LINES_BYTES_MAX", 10)
    pipe.capture.begin("r1")
    pipe.write(b"first\n")
    pipe.capture._read()
    flood = b"\n" * 5_000 + b"a\r\n" + b"x" * 250 + b"\nlast\nno end"
    pipe.write(flood)
    pipe.capture.drain()
    # What has no end counts as a line.
    dropped = 1 + 5_000 + 1 + 1 + 1 + 1
    assert pipe.lines.texts() == [f"{dropped} more lines of this invocation were not kept."]
    (told,) = pipe.lines.texts()
    assert pipe.capture.tail().endswith(f"\nlast\nno end\n{told}\n".encode())


async def test_empty_lines_are_bounded_too(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "LINES_BYTES_MAX", 10 * log_lines.LINE_BYTES)
    pipe.capture.begin("r1")
    pipe.write(b"\n" * 100)
    pipe.capture.drain()
    assert pipe.lines.texts() == [""] * 10 + ["90 more lines of this invocation were not kept."]


async def test_an_endless_line_is_cut(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "LINE_BYTES_MAX", 4)
    pipe.write(b"abcdefghij")
    pipe.write(b"k\n")
    await until_lines(pipe, 3)
    assert "".join(pipe.lines.texts()) == "abcdefghijk"


async def test_a_flood_is_read_with_pauses(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_lines, "READ_BYTES_PER_PASS", 1_000)
    monkeypatch.setattr(log_lines, "PAUSE_S", 0)
    for number in range(20):
        pipe.write(b"x" * 999 + b"\n")
        await until_lines(pipe, number + 1)
    assert len(pipe.lines.all) == 20


async def test_the_end_of_the_pipe_and_a_second_close_are_no_errors() -> None:
    pipe = Pipe()
    pipe.write(b"last words")
    os.close(pipe.fd)
    async with asyncio.timeout(30):
        while pipe.capture._fd >= 0:
            await asyncio.sleep(0)
    pipe.capture.close()
    pipe.capture.close()
    assert pipe.lines.texts() == ["last words"]
