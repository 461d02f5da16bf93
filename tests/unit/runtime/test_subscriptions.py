"""Who waits at the tip: told when it is durable, everything once, and of the end."""

from __future__ import annotations

from typing import Any

import pytest

from eventcore import limits
from eventcore.errors import LimitExceeded, NotFound, StoreCorrupt, StoreUnavailable
from eventcore.limits import Quotas
from eventcore.streams.stream_spec import RecordEntry
from tests.unit.runtime.rig import turn
from tests.unit.runtime.stream_engine import DAY_MS, Sink, StreamEngine, shard

FIVE_MINUTES_MS = limits.SUBSCRIPTION_MS_MAX
BEAT_MS = limits.SUBSCRIPTION_HEARTBEAT_MS


async def engine(shards: int = 1, **options: Any) -> StreamEngine:
    rig = await StreamEngine(**options).start()
    rig.make(shards)
    await rig.run_for(1_000)
    return rig


async def test_a_record_is_pushed_when_it_is_durable_and_not_before():
    rig = await engine()
    sink = Sink()
    rig.subscribe(sink, "LATEST")
    await rig.settle()
    rig.put(b"a")
    await turn()
    assert rig.store.pending is not None and sink.data == []
    await rig.settle()
    assert sink.data == [b"a"]
    rig.put(b"b", b"c")
    await rig.settle()
    assert sink.data == [b"a", b"b", b"c"]


async def test_what_is_there_comes_first_then_what_comes_in_order():
    rig = await engine(cache_bytes=2_000)
    for at in range(30):
        rig.put(b"%d" % at)
        await rig.settle()
    sink = Sink()
    rig.subscribe(sink)
    for at in range(30, 60):
        rig.put(b"%d" % at)
        if at % 4:
            await turn()
        else:
            await rig.settle()
    await rig.settle()
    assert sink.data == [b"%d" % at for at in range(60)]


async def test_a_page_says_where_it_ends():
    rig = await engine()
    sink = Sink()
    rig.subscribe(sink)
    puts = rig.put(b"a", b"b")
    await rig.settle()
    (page,) = sink.pages
    assert page.continuation == puts[-1].sequence_number
    assert rig.at("AFTER_SEQUENCE_NUMBER", sequence_number=page.continuation) == []
    assert (page.behind_ms, page.child_shards) == (0, [])


async def test_only_those_at_the_shard_are_woken():
    rig = await engine(4)
    sinks = [Sink() for _ in range(4)]
    for ordinal, sink in enumerate(sinks):
        rig.subscribe(sink, "LATEST", ordinal)
    put = rig.put_one(b"a")
    await rig.settle()
    at = int(put.shard_id[-12:])
    assert [sink.data for sink in sinks] == [[b"a"] if each == at else [] for each in range(4)]


# Slow, failing and leaving sinks


async def test_a_slow_sink_gets_nothing_until_it_resumes_and_holds_up_nobody():
    rig = await engine()
    slow, quick = Sink(1), Sink()
    rig.subscribe(slow)
    rig.subscribe(quick)
    rig.put(b"a")
    await rig.settle()
    for at in range(20):
        rig.put(b"%d" % at)
        await rig.settle()
    assert slow.data == [b"a"] and len(quick.data) == 21
    slow.room = 2
    assert slow.subscription is not None
    slow.subscription.resume()
    slow.subscription.resume()
    await rig.settle()
    assert slow.data == quick.data
    slow.subscription.cancel()
    slow.subscription.resume()
    rig.put(b"more")
    await rig.settle()
    assert slow.data == quick.data[:-1]


async def test_a_sink_that_resumes_within_a_request_disturbs_it_not():
    rig = await engine()
    sink = Sink(1)
    rig.subscribe(sink)
    rig.put(b"a")
    await rig.settle()
    rig.put(b"b")
    sink.room = 9
    stream = rig.stream()
    answer = rig.request(
        lambda engine: (
            engine.streams.put_record(stream, RecordEntry(b"c", "k")),
            sink.subscription.resume(),  # type: ignore[union-attr]
        )
    )
    assert answer.is_waiting, "the reply waits for its own batch"
    await rig.settle()
    assert sink.data == [b"a", b"b", b"c"] and not answer.is_waiting


async def test_a_sink_that_raises_is_ended_and_the_others_are_told(caplog):
    rig = await engine()
    broken, sound = Sink(), Sink()

    def fail(page: object) -> None:
        raise RuntimeError("broken sink")

    broken.on_page = fail
    rig.subscribe(broken)
    rig.subscribe(sound)
    for data in (b"a", b"b"):
        rig.put(data)
        await rig.settle()
    assert len(broken.pages) == 1 and broken.ends == [None]
    assert sound.data == [b"a", b"b"]
    assert len(rig.streams.subscriptions) == 1
    assert "subscription_failed" in caplog.text


async def test_a_sink_may_leave_while_it_is_told():
    rig = await engine()
    sink = Sink()
    sink.on_page = lambda page: sink.subscription.cancel()  # type: ignore[union-attr]
    rig.subscribe(sink)
    rig.put(b"a")
    await rig.settle()
    rig.put(b"b")
    await rig.settle()
    assert sink.data == [b"a"] and sink.ends == []


async def test_one_that_leaves_while_a_page_is_on_its_way_is_not_told():
    rig = await engine()
    sink = Sink()
    subscription = rig.subscribe(sink)
    await rig.settle()
    rig.put(b"a")
    await turn()
    assert subscription.flying is not None
    subscription.cancel()
    subscription.cancel()
    await rig.settle()
    assert sink.pages == [] and sink.ends == [] and len(rig.streams.subscriptions) == 0
    assert not rig.engine.host.seat_of(rig.stream()).is_waited_for


# Ends


async def test_the_end_of_a_closed_shard_tells_its_children_and_ends():
    rig = await engine()
    sink = Sink()
    rig.subscribe(sink)
    rig.put(b"a")
    await rig.settle()
    rig.split()
    await turn()
    assert sink.ends == [], "not durable yet"
    await rig.settle()
    assert sink.data == [b"a"] and sink.ends == [None]
    assert [child.id for child in sink.pages[-1].child_shards] == [shard(1), shard(2)]
    assert sink.pages[-1].place is None
    late = Sink()
    rig.subscribe(late)
    await rig.settle()
    assert late.data == [b"a"] and late.ends == [None]


async def test_a_deletion_is_told_when_it_is_durable_and_even_to_a_slow_sink():
    rig = await engine()
    sink, slow = Sink(), Sink(1)
    rig.subscribe(sink)
    rig.subscribe(slow)
    rig.put(b"a")
    await rig.settle()
    rig.put(b"b")
    await rig.settle()
    rig.remove()
    await turn()
    assert sink.ends == slow.ends == []
    await rig.settle()
    for each in (sink, slow):
        (error,) = each.ends
        assert isinstance(error, NotFound) and error.kind == "stream"
    assert (sink.data, slow.data) == ([b"a", b"b"], [b"a"])
    assert len(rig.streams.subscriptions) == 0


async def test_a_deletion_that_failed_ends_nothing():
    rig = await engine()
    sink = Sink()
    rig.subscribe(sink)
    await rig.settle()
    rig.remove()
    await rig.fail(is_durable=False)
    await rig.run_for(1_000)
    rig.put(b"a")
    await rig.settle()
    assert sink.data == [b"a"] and sink.ends == []


async def test_a_deletion_that_failed_and_was_durable_ends_it():
    rig = await engine()
    sink = Sink()
    rig.subscribe(sink)
    await rig.settle()
    rig.remove()
    await rig.fail(is_durable=True)
    await rig.run_for(1_000)
    assert [type(error) for error in sink.ends] == [NotFound]


async def test_a_creation_that_failed_ends_those_who_wait():
    rig = await engine()
    sink = Sink()
    rig.make(name="new")
    rig.subscribe(sink, name="new")
    await rig.fail(is_durable=False)
    await rig.run_for(1_000)
    assert [type(error) for error in sink.ends] == [NotFound]


async def test_a_stream_made_again_at_the_same_time_is_another_one():
    rig = await engine()
    old, new = Sink(), Sink()
    rig.subscribe(old)
    await rig.settle()
    rig.remove()
    rig.make()
    rig.subscribe(new)
    rig.put(b"a")
    await rig.settle()
    rig.put(b"b")
    await rig.settle()
    assert old.data == [] and [type(error) for error in old.ends] == [NotFound]
    assert new.data == [b"a", b"b"] and new.ends == []


async def test_a_deletion_that_takes_time_lets_records_come_until_its_end():
    rig = await engine(quotas=Quotas(stream_transition_ms=500))
    rig.put(b"a")
    rig.remove()
    sink = Sink()
    stream = rig.stream()
    with pytest.raises(NotFound):
        rig.token()
    assert stream.status == "DELETING"
    await rig.run_for(499)
    assert sink.ends == []
    await rig.run_for(1)
    with pytest.raises(NotFound):
        rig.stream()


async def test_a_shard_that_vanishes_under_a_slow_sink_ends_it():
    rig = await engine()
    sink = Sink(1)
    rig.subscribe(sink)
    rig.put(b"a")
    await rig.settle()
    rig.put(b"b")
    rig.split()
    await rig.run_for(DAY_MS + 1_000)
    sink.room = 9
    assert sink.subscription is not None
    sink.subscription.resume()
    await rig.settle()
    (error,) = sink.ends
    assert isinstance(error, NotFound) and error.kind == "shard"


async def test_the_engines_end_is_an_end_without_an_error():
    rig = await engine()
    sink = Sink()
    rig.subscribe(sink)
    await rig.settle()
    await rig.engine.close()
    assert sink.ends == [None]
    await rig.run_for(1_000)
    assert sink.ends == [None]


# Failures


@pytest.mark.parametrize("is_durable", [False, True])
async def test_after_a_failed_commit_nothing_is_lost_or_told_twice(is_durable):
    rig = await engine()
    sink, latest = Sink(), Sink()
    rig.subscribe(sink)
    rig.put(b"a")
    await rig.settle()
    rig.subscribe(latest, "LATEST")
    await rig.settle()
    for data in (b"b", b"c"):
        rig.put(data)
        await turn()
    await rig.fail(is_durable=is_durable)
    await rig.run_for(1_000)
    found = rig.at()
    assert found == ([b"a", b"b"] if is_durable else [b"a"])
    rig.put(b"d")
    await rig.settle()
    assert sink.data == [*found, b"d"] and latest.data == [*found[1:], b"d"]


async def test_a_place_that_was_not_durable_skips_nothing():
    """Subscribed behind a record that then was never there; its number is given again."""
    rig = await engine()
    rig.put(b"a")
    await rig.settle()
    rig.put(b"lost")
    sink = Sink()
    rig.subscribe(sink, "LATEST")
    await rig.fail(is_durable=False)
    await rig.run_for(1_000)
    rig.put(b"b")
    await rig.settle()
    assert sink.data == [b"b"]


async def test_a_read_that_fails_is_tried_again(monkeypatch):
    rig = await engine(cache_bytes=0)
    rig.put(b"a")
    await rig.settle()
    rig = await rig.crash()
    scan = rig.store.rows.scan
    failing = [True]

    def scanned(*arguments: Any) -> Any:
        if failing[0]:
            raise StoreUnavailable("injected fault: read")
        return scan(*arguments)

    monkeypatch.setattr(rig.store.rows, "scan", scanned)
    sink = Sink()
    rig.subscribe(sink)
    await rig.run_for(2_000)
    assert sink.pages == [] and sink.ends == []
    failing[0] = False
    await rig.run_for(1_000)
    assert sink.data == [b"a"]


async def test_rows_that_are_damaged_end_it(monkeypatch):
    rig = await engine(cache_bytes=0)
    rig.put(b"a")
    await rig.settle()
    rig = await rig.crash()

    def scanned(*arguments: Any) -> Any:
        raise StoreCorrupt("injected fault: read")

    monkeypatch.setattr(rig.store.rows, "scan", scanned)
    sink = Sink()
    rig.subscribe(sink)
    await rig.settle()
    assert [type(error) for error in sink.ends] == [StoreCorrupt]


async def test_one_that_meets_a_full_host_is_told_later(monkeypatch):
    rig = await engine()
    rig.put(b"a", b"b")
    rig.make(name="other")
    await rig.settle()
    rig.put(b"x", name="other")
    await turn()
    assert rig.store.pending is not None, "so that the next batch stays open"
    monkeypatch.setattr(limits, "BATCH_ROWS_MAX", 1)
    sink = Sink()
    rig.subscribe(sink)
    rig.put(b"y", name="other")
    await turn()
    assert rig.engine.host.is_full and sink.pages == []
    await rig.settle()
    await rig.run_for(1_000)
    assert sink.data == [b"a", b"b"]


# Time


async def test_heartbeats_come_when_nothing_else_does():
    rig = await engine()
    sink = Sink()
    puts = rig.put(b"a")
    rig.subscribe(sink, "LATEST", heartbeat_ms=BEAT_MS)
    await rig.run_for(BEAT_MS - 1)
    assert sink.pages == []
    await rig.run_for(1)
    assert sink.heartbeats == 1
    assert sink.pages[0].continuation == puts[0].sequence_number
    await rig.run_for(3_000)
    rig.put(b"b")
    await rig.settle()
    await rig.run_for(BEAT_MS - 1)
    assert (sink.heartbeats, sink.data) == (1, [b"b"])
    await rig.run_for(1)
    assert sink.heartbeats == 2
    await rig.run_for(10 * BEAT_MS)
    assert sink.heartbeats == 12


@pytest.mark.parametrize("kind", ["AT_TIMESTAMP", "TRIM_HORIZON"])
async def test_heartbeats_come_behind_records_that_are_not_told_of(kind):
    rig = await engine()
    rig.put(b"old")
    await rig.settle()
    rig.clock.advance(DAY_MS + 1)  # out of retention, and not trimmed yet
    sink = Sink()
    now_ms = rig.clock.now_ms() if kind == "AT_TIMESTAMP" else None
    rig.subscribe(sink, kind, timestamp_ms=now_ms, heartbeat_ms=BEAT_MS)
    await rig.run_for(2 * BEAT_MS)
    assert (sink.heartbeats, sink.data) == (2, [])
    rig.put(b"new")
    await rig.settle()
    assert sink.data == [b"new"]


async def test_a_slow_sink_gets_no_heartbeats():
    rig = await engine()
    sink = Sink(1)
    rig.subscribe(sink, heartbeat_ms=BEAT_MS, duration_ms=FIVE_MINUTES_MS)
    await rig.run_for(4 * BEAT_MS)
    assert sink.heartbeats == 1
    await rig.run_for(FIVE_MINUTES_MS)
    assert sink.heartbeats == 1 and sink.ends == [None]


async def test_a_subscription_ends_after_five_minutes():
    rig = await engine()
    quiet, busy = Sink(), Sink()
    rig.subscribe(quiet, "LATEST", duration_ms=FIVE_MINUTES_MS, heartbeat_ms=BEAT_MS)
    await rig.run_for(1_000)
    rig.subscribe(busy, "LATEST", duration_ms=FIVE_MINUTES_MS)
    for _ in range(298):
        await rig.run_for(1_000)
        rig.put(b"x")
    await rig.run_for(999)
    assert quiet.ends == busy.ends == []
    await rig.run_for(1)
    assert (quiet.ends, busy.ends) == ([None], [])
    await rig.run_for(1_000)
    assert busy.ends == [None] and len(busy.data) == 298
    assert len(rig.streams.subscriptions._due) == 0 and len(rig.streams.subscriptions) == 0


async def test_one_entry_in_the_plan_serves_a_subscription():
    rig = await engine()
    sinks = [Sink() for _ in range(10)]
    for sink in sinks:
        rig.subscribe(sink, heartbeat_ms=BEAT_MS, duration_ms=FIVE_MINUTES_MS)
    for _ in range(100):
        await rig.run_for(700)
        rig.put(b"x")
        assert len(rig.streams.subscriptions._due) <= 10
    assert all(len(sink.data) >= 99 for sink in sinks)


async def test_idle_subscriptions_cost_nothing_but_memory(monkeypatch):
    rig = await engine()
    sinks = [Sink() for _ in range(10_000)]
    for sink in sinks:
        rig.subscribe(sink, "LATEST")
    await rig.settle()
    pumps: list[None] = []
    subscriptions = rig.streams.subscriptions
    pump = type(subscriptions).pump
    monkeypatch.setattr(
        type(subscriptions), "pump", lambda *args, **options: pumps.append(pump(*args, **options))
    )
    for _ in range(20):
        rig.make(name="other")
        rig.put(b"x", name="other")
        await rig.run_for(3_600_000)
        rig.remove("other")
        await rig.settle()
    assert pumps == [] and subscriptions._due == []
    rig.put(b"a")
    await rig.settle()
    assert all(sink.data == [b"a"] for sink in sinks)


async def test_there_is_a_limit_of_subscriptions(monkeypatch):
    monkeypatch.setattr(limits, "SUBSCRIPTIONS_MAX", 2)
    rig = await engine()
    first = rig.subscribe(Sink())
    rig.subscribe(Sink())
    with pytest.raises(LimitExceeded):
        rig.subscribe(Sink())
    first.cancel()
    rig.subscribe(Sink())
    assert len(rig.streams.subscriptions) == 2
