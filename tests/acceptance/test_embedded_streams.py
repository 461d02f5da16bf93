"""The embedded API of streams as a program uses it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

import eventcore
from eventcore.errors import BrokerClosed, InvalidParameter, NotFound


async def test_nothing_is_stored_that_could_not_be_read_back(tmp_path: Path) -> None:
    """One wrong type in a row would make the whole file unreadable."""
    path = str(tmp_path / "events.db")
    wrong: Any = 24.5
    async with eventcore.open(path) as broker:
        streams = broker.streams
        clicks = await streams.create("clicks")
        await clicks.put("tea", partition_key="k")
        for attempt in (
            lambda: streams.create("other", retention_hours=wrong),
            lambda: streams.create("other", record_bytes_max=cast("Any", 2_000_000.0)),
            lambda: streams.create("other", shards=wrong),
            lambda: streams.create("other", tags=cast("Any", {1: 2})),
            lambda: streams.create("other", tags=cast("Any", {"a": None})),
            lambda: clicks.update(retention_hours=wrong),
            lambda: clicks.update(tags=cast("Any", {"a": 5})),
            lambda: clicks.update_shard_count(wrong),
            lambda: clicks.put(cast("Any", 5), partition_key="k"),
            lambda: clicks.put("x", partition_key=cast("Any", 5)),
            lambda: clicks.put("x", partition_key="\ud800"),
            lambda: clicks.put("\ud800", partition_key="k"),
            lambda: clicks.put("x", partition_key="k", explicit_hash_key=cast("Any", 5)),
        ):
            with pytest.raises(InvalidParameter):
                await attempt()
    async with eventcore.open(path) as broker:
        assert await broker.streams.list() == ["clicks"]
        found = [record async for record in await records_of(broker, "clicks")]
        assert [record.data for record in found] == [b"tea"]


async def records_of(broker: eventcore.Broker, name: str) -> Any:
    stream = await broker.streams.get(name)
    return stream.records(start="TRIM_HORIZON", follow=False)


async def test_a_reader_of_a_deleted_stream_is_told_so_and_a_new_one_has_nothing_to_do_with_it(
    tmp_path: Path,
) -> None:
    async with eventcore.open(str(tmp_path / "events.db")) as broker:
        clicks = await broker.streams.create("clicks")
        await clicks.put("old", partition_key="k")
        reading = clicks.records(start="TRIM_HORIZON")
        assert (await anext(reading)).data == b"old"
        await clicks.delete()
        again = await broker.streams.create("clicks", shards=2)
        await again.put("new", partition_key="k")
        with pytest.raises(NotFound):
            await anext(reading)
        found = [record.data async for record in await records_of(broker, "clicks")]
        assert found == [b"new"]


async def test_a_reader_ends_with_its_broker() -> None:
    async with eventcore.open() as broker:
        clicks = await broker.streams.create("clicks")
        await clicks.put("tea", partition_key="k")
        reading = clicks.records(start="TRIM_HORIZON")
        assert (await anext(reading)).data == b"tea"
    with pytest.raises(StopAsyncIteration):
        await anext(reading)
    with pytest.raises(BrokerClosed):
        await clicks.put("x", partition_key="k")


async def test_groups_of_a_stream_are_listed_looked_at_and_deleted() -> None:
    async with eventcore.open() as broker:
        orders = await broker.streams.create("orders", shards=2)
        assert await orders.groups() == []
        await orders.put("x", partition_key="k")
        seen = anyio.Event()

        @broker.streams.consume("orders", group="billing", worker_id="w")
        async def bill(record: eventcore.StreamRecord) -> None:
            seen.set()

        async with broker.running():
            with anyio.fail_after(20):
                await seen.wait()
            assert await orders.groups() == ["billing"]
            group = await orders.group("billing")
            assert [worker.worker_id for worker in group.workers] == ["w"]
            assert {lease.owner for lease in group.leases} == {"w"}
        await orders.delete_group("billing")
        assert await orders.groups() == []
        with pytest.raises(NotFound):
            await orders.group("billing")
        with pytest.raises(NotFound):
            await orders.delete_group("billing")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("group", 5),
        ("group", "a b"),
        ("worker_id", 5),
        ("worker_id", ""),
        ("batch_max", 2.5),
        ("batch_max", 0),
        ("concurrency", "x"),
        ("lease_ms", 1_000.0),
        ("lease_ms", 1),
        ("handover_ms", -1),
        ("attempts_max", 1.5),
        ("attempts_max", 2),
    ],
)
async def test_what_a_worker_can_not_do_is_refused_when_it_is_registered(
    name: str, value: object
) -> None:
    async with eventcore.open() as broker:
        options: dict[str, Any] = {"group": "g", name: value}
        with pytest.raises(InvalidParameter, match=name):
            broker.streams.consume("orders", lambda record: None, **options)
        assert await broker.streams.list() == []


async def test_a_handler_in_a_thread_that_does_not_return_holds_no_stop_up() -> None:
    async with eventcore.open(drain_ms=50) as broker:
        orders = await broker.streams.create("orders")
        await orders.put("x", partition_key="k")
        started, go_on = threading.Event(), threading.Event()

        @broker.streams.consume("orders", group="billing")
        def bill(record: eventcore.StreamRecord) -> None:
            started.set()
            go_on.wait()

        try:
            with anyio.fail_after(20):
                async with broker.running():
                    while not started.is_set():
                        await anyio.sleep(0.005)
            (lease,) = (await orders.group("billing")).leases
        finally:
            go_on.set()
        assert lease.owner == "", "given up, for whoever comes next"
