from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eventcore.bench.client import CallFailed, EndpointUnreachable
from eventcore.errors import NotFound
from eventcore.server.commands import streams_follow
from eventcore.server.commands.streams_calls import Record, RecordsPage, Shard, StartAt
from eventcore.server.commands.streams_follow import Follower

ALL = StartAt("TRIM_HORIZON")
TIP = StartAt("LATEST")
TURNS_MAX = 100_000
"""Of the event loop, for anything to happen."""


class _Stream:
    """A stream in memory. Sequence numbers count from 1 in each shard, as do arrivals, in seconds.
    Iterators are (shard, index of the next record).
    """

    def __init__(self):
        self.shards = {}
        self.logs = {}
        self.errors = []
        self.starts = []
        self.iterators = {}

    def add(self, shard_id, *parents, records=()):
        self.shards[shard_id] = Shard(shard_id, parents, 0, 1, is_open=True)
        self.logs[shard_id] = list(records)
        for parent in parents:
            if parent in self.shards:
                self.shards[parent] = Shard(
                    parent, self.shards[parent].parents, 0, 1, is_open=False
                )

    async def list_shards(self):
        return sorted(self.shards.values(), key=lambda shard: shard.id)

    async def iterator(self, shard_id, start):
        self.starts.append((shard_id, start.kind, start.sequence_number))
        at = {
            "TRIM_HORIZON": lambda: 0,
            "LATEST": lambda: len(self.logs[shard_id]),
            "AFTER_SEQUENCE_NUMBER": lambda: int(start.sequence_number),
            "AT_TIMESTAMP": lambda: max(0, int(start.at_s) - 1),
        }[start.kind]()
        token = f"{shard_id}/{len(self.iterators)}"
        self.iterators[token] = (shard_id, at)
        return token

    async def get_records(self, token, records_max):
        await asyncio.sleep(0)
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
        shard_id, at = self.iterators.pop(token)
        if shard_id not in self.shards:
            raise failed("ResourceNotFoundException")
        log = self.logs[shard_id]
        part = log[at : at + min(records_max, 2)]
        records = [
            Record(str(at + number), text.encode(), "k", float(at + number))
            for number, text in enumerate(part, start=1)
        ]
        end = at + len(part)
        following = None
        if end < len(log) or self.shards[shard_id].is_open:
            following = f"{token}'"
            self.iterators[following] = (shard_id, end)
        return RecordsPage(records, following, 0 if end == len(log) else 5)


def new_stream() -> Any:
    """One that mypy takes for a client of a stream."""
    return _Stream()


def failed(code):
    return CallFailed("GetRecords", 400, code, "")


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(streams_follow, "POLL_S", 0.0)
    monkeypatch.setattr(streams_follow, "CALLS_PER_S", 1e9)
    monkeypatch.setattr(streams_follow, "NEW_SHARDS_POLL_S", 0.0)


class Shown:
    """What a follower shows, and a way to wait for it."""

    def __init__(self):
        self.texts = []
        self.shards = []

    def __call__(self, shard_id, records):
        self.shards.append(shard_id)
        self.texts += [record.data.decode() for record in records]


async def read(stream, start=ALL, after=None, **options):
    shown = Shown()
    follower = Follower(
        stream, "s", shown, start=start, after=after or {}, follows=False, **options
    )
    await follower.run()
    return follower, shown


async def until(is_so):
    for _ in range(TURNS_MAX):
        if is_so():
            return
        await asyncio.sleep(0)
    pytest.fail("it does not happen")


async def following(stream, start, after=None):
    """A follower that runs, and what it shows."""
    shown = Shown()
    follower = Follower(stream, "s", shown, start=start, after=after or {})
    return asyncio.create_task(follower.run()), follower, shown


async def stopped(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_all_that_is_there_is_read_and_then_it_ends():
    stream = new_stream()
    stream.add("0", records="abc")
    stream.add("1", records="xyz")
    follower, shown = await read(stream)
    assert sorted(shown.texts) == list("abcxyz")
    assert follower.seen == {"0": "3", "1": "3"}


async def test_parents_come_before_their_children():
    stream = new_stream()
    stream.add("0", records="abcd")
    stream.add("1", records="xy")
    stream.add("2", "0", "1", records="m")
    stream.add("3", "2", records="n")
    _, shown = await read(stream)
    assert shown.texts[-2:] == ["m", "n"]
    assert sorted(shown.texts[:6]) == list("abcdxy")


async def test_a_parent_that_is_gone_keeps_nobody_waiting():
    stream = new_stream()
    stream.add("5", "vanished", records="a")
    _, shown = await read(stream)
    assert shown.texts == ["a"]


async def test_at_the_tip_only_new_records_are_seen_and_all_of_new_shards():
    stream = new_stream()
    stream.add("0", records="ab")
    stream.add("1", "0", records="c")
    stream.add("4", records="z")  # stays open
    task, follower, shown = await following(stream, TIP)
    await until(lambda: stream.starts)
    stream.logs["1"].append("d")
    await until(lambda: shown.texts)
    stream.add("2", "1", records="e")
    stream.add("3", "1", records="f")
    await until(lambda: len(shown.texts) == 3)
    await stopped(task)
    assert (shown.texts[0], sorted(shown.texts[1:])) == ("d", ["e", "f"])
    assert ("0", "LATEST", None) not in stream.starts
    assert follower.seen == {"1": "2", "2": "1", "3": "1"}


async def test_it_goes_on_behind_what_was_seen_and_with_the_children_of_that():
    stream = new_stream()
    stream.add("0", records="abcd")
    stream.add("1", "0", records="e")
    stream.add("9", records="z")
    task, _, shown = await following(stream, TIP, after={"0": "2"})
    await until(lambda: len(shown.texts) == 3)
    await stopped(task)
    assert shown.texts == ["c", "d", "e"]


async def test_only_the_shards_that_were_asked_for():
    stream = new_stream()
    stream.add("0", records="ab")
    stream.add("1", "0", records="c")
    stream.add("2", records="z")
    _, shown = await read(stream, only=("1",))
    assert shown.texts == ["c"]
    shown = Shown()
    await Follower(stream, "s", shown, start=ALL, after={}, only=("0",)).run()  # closed: it ends
    assert shown.texts == ["a", "b"]


async def test_an_unknown_shard_is_told():
    stream = new_stream()
    stream.add("0")
    with pytest.raises(NotFound, match="'7'"):
        await read(stream, only=("7",))
    with pytest.raises(NotFound, match="'8'"):
        await read(stream, after={"8": "1"})


async def test_an_expired_iterator_loses_and_repeats_nothing():
    stream = new_stream()
    stream.add("0", records="abcde")
    stream.errors = [None, failed("ExpiredIteratorException"), None]
    _, shown = await read(stream)
    assert shown.texts == list("abcde")
    assert stream.starts == [("0", "TRIM_HORIZON", None), ("0", "AFTER_SEQUENCE_NUMBER", "2")]


async def test_an_expired_iterator_at_the_tip_begins_at_its_time():
    stream = new_stream()
    stream.add("0", records="ab")
    stream.errors = [failed("ExpiredIteratorException")]
    task, _, _ = await following(stream, TIP)
    await until(lambda: len(stream.starts) == 2)
    await stopped(task)
    assert [kind for _, kind, _ in stream.starts] == ["LATEST", "AT_TIMESTAMP"]


async def test_a_shard_that_vanishes_is_over_and_a_stream_that_does_is_an_error():
    stream = new_stream()
    stream.add("0", records="ab")
    stream.add("1", "0", records="c")
    original = stream.list_shards

    async def list_then_vanish():
        shards = await original()
        stream.shards.pop("0", None)
        return shards

    stream.list_shards = list_then_vanish
    _, shown = await read(stream)
    assert shown.texts == ["c"]

    async def gone():
        if stream.starts:
            raise failed("ResourceNotFoundException")
        return await original()

    stream = new_stream()
    stream.add("0", records="ab")
    original, stream.list_shards = stream.list_shards, gone
    stream.errors = [failed("ResourceNotFoundException")]
    with pytest.raises(CallFailed, match="ResourceNotFound"):
        await read(stream)


async def test_one_failure_ends_all_of_it_and_what_was_seen_is_known():
    stream = new_stream()
    stream.add("0", records="ab")
    stream.add("1", records="c")
    task, follower, shown = await following(stream, ALL)
    await until(lambda: len(shown.texts) == 3)
    stream.errors = [EndpointUnreachable("gone")]
    with pytest.raises(EndpointUnreachable):
        await task
    assert follower.seen == {"0": "2", "1": "1"}
    assert follower.has_begun
    assert len(asyncio.all_tasks()) == 1
