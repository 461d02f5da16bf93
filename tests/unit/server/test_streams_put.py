from __future__ import annotations

import argparse
import asyncio
import io
import json
import os

import pytest

from eventcore.bench.client import CallFailed, EndpointUnreachable
from eventcore.errors import InvalidParameter
from eventcore.server.commands import streams_calls, streams_input, streams_put
from eventcore.server.commands.streams_calls import PutResult, StreamSummary
from eventcore.server.commands.streams_input import (
    Keys,
    Numbered,
    Refusal,
    lines_of_file,
    lines_of_stdin,
    whole,
    write_entry,
)
from eventcore.server.commands.streams_put import Putting

FIXED = Keys("k", None)
RATE = "ProvisionedThroughputExceededException"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(streams_calls, "PAUSE_FIRST_S", 0.0)


# Input


async def lines(path):
    return [line async for group in lines_of_file(path) for line in group]


@pytest.mark.parametrize("read_bytes", [1, 2, 3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"a", [b"a"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\n\r\nb\r\n", [b"a", b"b"]),
        (b"\xff\x00\n long line \n", [b"\xff\x00", b" long line "]),
    ],
)
async def test_lines_are_the_same_however_they_come(
    tmp_path, monkeypatch, read_bytes, content, expected
):
    monkeypatch.setattr(streams_input, "READ_BYTES", read_bytes)
    path = tmp_path / "input"
    path.write_bytes(content)
    assert await lines(path) == expected


async def test_a_line_that_is_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(streams_input, "LINE_BYTES_MAX", 8)
    monkeypatch.setattr(streams_input, "READ_BYTES", 4)
    path = tmp_path / "input"
    path.write_bytes(b"a\n" + b"x" * 9)
    with pytest.raises(InvalidParameter, match="8 bytes"):
        await lines(path)
    with pytest.raises(InvalidParameter, match="8 bytes"):
        await whole(path)
    path.write_bytes(b"x\ny\xff")
    assert await whole(path) == b"x\ny\xff"


async def test_a_line_of_a_pipe_does_not_wait_for_the_next(monkeypatch):
    readable, writable = os.pipe()
    with os.fdopen(readable) as standard_input:
        monkeypatch.setattr("sys.stdin", standard_input)
        groups = lines_of_stdin()
        for line in (b"one", b"two"):
            os.write(writable, line + b"\n")
            assert await anext(groups) == [line]
        os.close(writable)
        with pytest.raises(StopAsyncIteration):
            await anext(groups)


async def test_standard_input_may_be_a_text_of_the_program(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("ü\nb"))
    assert [group async for group in lines_of_stdin()] == [["ü".encode()], [b"b"]]


async def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError):
        await lines(tmp_path / "nothing")


def entry_of(*arguments, **options):
    """The entry of input that is a record."""
    made = write_entry(*arguments, **options)
    assert isinstance(made, Numbered)
    return made.entry


def test_a_record_takes_the_key_it_was_given_or_one_by_chance():
    assert entry_of(1, b"x", FIXED, is_base64=False).partition_key == "k"
    chance = [entry_of(1, b"x", Keys(None, None), is_base64=False) for _ in range(2)]
    assert chance[0].partition_key != chance[1].partition_key


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (b'{"id": "a"}', "a"),
        (b'{"id": 7}', "7"),
        (b'{"id": 1.5}', "1.5"),
        (b'{"id": true}', "true"),
    ],
)
def test_a_key_is_a_member_of_the_json(data, key):
    assert entry_of(1, data, Keys(None, "id"), is_base64=False).partition_key == key


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no json", "is not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "no member 'id'"),
        (b'{"id": null}', "no member 'id'"),
        (b'{"id": {}}', "no member 'id'"),
        (b'{"id": ""}', "0 characters"),
        (b'{"id": "' + b"x" * 257 + b'"}', "257 characters"),
    ],
)
def test_what_has_no_key_is_refused(data, reason):
    refusal = write_entry(4, data, Keys(None, "id"), is_base64=False)
    assert isinstance(refusal, Refusal)
    assert refusal.number == 4
    assert reason in refusal.reason


def test_base64_is_decoded_or_refused():
    assert entry_of(1, b" /wA= ", FIXED, is_base64=True).data == b"\xff\x00"
    assert isinstance(write_entry(1, b"a!", FIXED, is_base64=True), Refusal)
    assert isinstance(write_entry(1, b"abc", FIXED, is_base64=True), Refusal)


# Putting


class FakeStream:
    """Answers each request with what the next function makes of its entries."""

    def __init__(self, *answers, record_bytes_max=1 << 20):
        self.answers = list(answers)
        self.asked = []
        self.record_bytes_max = record_bytes_max

    async def describe(self):
        return StreamSummary("s", "arn", "ACTIVE", "PROVISIONED", 1, self.record_bytes_max)

    async def put_records(self, entries):
        self.asked.append([entry.data for entry in entries])
        answer = self.answers.pop(0) if self.answers else stored
        if isinstance(answer, Exception):
            raise answer
        return [answer(entry) for entry in entries]


def stored(entry):
    return PutResult("shardId-000000000000", f"1{entry.data.decode()}")


def failing(code, *texts):
    def answer(entry):
        return PutResult(None, None, code, "why") if entry.data in texts else stored(entry)

    return answer


def putting(stream, **options):
    options = {"retries": 3, "json": False, "quiet": False, **options}
    return Putting(stream, argparse.Namespace(**options))


def batch(*texts):
    return [
        write_entry(number, text, FIXED, is_base64=False)
        for number, text in enumerate(texts, start=1)
    ]


async def test_only_what_was_refused_is_put_again(capsys):
    stream = FakeStream(failing(RATE, b"2"), failing("InternalFailure", b"2"))
    put = putting(stream)
    await put.put(batch(b"1", b"2", b"3"))
    assert stream.asked == [[b"1", b"2", b"3"], [b"2"], [b"2"]]
    assert (put.stored, put.refused) == (3, 0)
    shown = capsys.readouterr()
    assert [line.split()[1] for line in shown.out.splitlines()] == ["11", "12", "13"]
    assert shown.err == ""


async def test_what_is_refused_for_good_or_too_often_is_told(capsys):
    always = [failing(RATE, b"1")] * 9
    put = putting(FakeStream(*always), retries=2, json=True)
    await put.put([*batch(b"1", b"2"), Refusal(3, "is not JSON")])
    shown = capsys.readouterr()
    results = [json.loads(line) for line in shown.out.splitlines()]
    assert [(one["record"], one["error_code"]) for one in results] == [
        (1, RATE),
        (2, None),
        (3, "InvalidInput"),
    ]
    assert (put.stored, put.refused) == (1, 2)
    assert "record 1: " + RATE in shown.err
    stream = FakeStream(failing("KMSDisabledException", b"1"))
    await putting(stream).put(batch(b"1"))
    assert len(stream.asked) == 1


async def test_a_request_that_failed_is_made_again_and_its_error_raised_in_the_end():
    error = CallFailed("PutRecords", 503, "ServiceUnavailable", "")
    stream = FakeStream(error, error)
    put = putting(stream)
    await put.put(batch(b"1"))
    assert (put.stored, len(stream.asked)) == (1, 3)
    with pytest.raises(CallFailed):
        await putting(FakeStream(*[error] * 9)).put(batch(b"1"))


async def test_what_was_stored_before_a_failure_is_told(capsys):
    lost = EndpointUnreachable("u: gone")
    lost.__cause__ = EndpointUnreachable("gone")
    put = putting(FakeStream(failing(RATE, b"2"), lost))
    with pytest.raises(EndpointUnreachable):
        await put.put(batch(b"1", b"2"))
    put.tell_counts()
    shown = capsys.readouterr()
    assert shown.out.split()[1] == "11"
    assert "not known whether the next 1 are stored" in shown.err
    assert (put.stored, put.refused) == (1, 1)


async def test_what_never_had_a_connection_is_not_in_doubt(capsys):
    refused = EndpointUnreachable("u: refused")
    refused.__cause__ = ConnectionRefusedError()
    put = putting(FakeStream(refused))
    with pytest.raises(EndpointUnreachable):
        await put.put(batch(b"1"))
    assert not put.has_begun


async def test_a_record_that_is_too_large_does_not_take_others_with_it(capsys):
    stream = FakeStream()
    put = putting(stream)
    await put.put(batch(b"1", b"x" * (1 << 20)))
    assert (put.stored, put.refused, stream.asked) == (1, 1, [[b"1"]])
    assert "1,048,577 bytes" in capsys.readouterr().err
    large = FakeStream(lambda _: PutResult("s", "1"), record_bytes_max=1 << 21)
    put = putting(large)
    await put.put(batch(b"x" * (1 << 20)))
    assert (put.stored, put.refused) == (1, 0)


async def test_only_the_first_reasons_are_told(capsys):
    put = putting(FakeStream(), quiet=True)
    await put.put([Refusal(number, "\x1b[31m") for number in range(100)])
    shown = capsys.readouterr()
    assert (put.refused, shown.out) == (100, "")
    assert len(shown.err.splitlines()) == streams_put.REASONS_SHOWN
    assert "\x1b" not in shown.err


def test_batches_are_bounded_by_records_and_by_bytes(monkeypatch):
    def sizes(group):
        return [len(part) for part in streams_put._batches(group)]

    assert sizes(batch(*[b"x"] * 1_001)) == [500, 500, 1]
    monkeypatch.setattr(streams_put, "BATCH_BYTES", 10)
    assert sizes(batch(b"x" * 4, b"x" * 4, b"x" * 40, b"x", b"x")) == [2, 1, 2]
    assert sizes([]) == []


def test_an_interrupt_ends_waiting_for_input(monkeypatch):
    readable, writable = os.pipe()

    async def main():
        task = asyncio.ensure_future(anext(lines_of_stdin()))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with os.fdopen(readable) as standard_input, os.fdopen(writable, "w"):
        monkeypatch.setattr("sys.stdin", standard_input)
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(main())


def test_numbered_records_know_their_size():
    (one,) = batch("é".encode())
    assert isinstance(one, Numbered)
    assert one.entry.size == 3
