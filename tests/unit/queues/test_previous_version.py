"""Rows that eventcore wrote before there were FIFO queues (schema version 1) are still read.

The rows are those of three queues at one moment: "dead" holds a dead letter; "orders" a message in
flight until START + 62 s, one delayed until START + 5 s and one that is visible; "purged" was
purged of one message and holds another.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from eventcore.outcome import Mutation, row_key
from eventcore.queues.queue_spec import (
    QueueSpec,
    ReceiveRequest,
    RedrivePolicy,
    decode_queue_spec,
)
from eventcore.queues.records import decode_queue
from eventcore.queues.standard import StandardQueue
from eventcore.runtime.engine import Engine
from eventcore.stores.base import Batch, Store
from eventcore.stores.memory import MemoryStore
from eventcore.stores.schema import APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION, file_version
from eventcore.stores.sqlite import InlineSqliteStore
from eventcore.testing import ManualClock, SeededIds
from tests.unit.queues.driver import ARN, DEAD_ARN, START_MS, Driver

PREFIX = "arn:aws:sqs:us-east-1:000000000000:"
NOW_MS = START_MS + 2_000
QUEUE_TAIL = "cf0000018bcfe56800cf0000018bcfe56800"
ROWS = [
    (0, 0, 1, "94a57175657565d927" + (PREFIX + "dead").encode().hex() + "cf0000018bcfe5680000"),
    (0, 0, 2, "94a57175657565d929" + (PREFIX + "orders").encode().hex() + "cf0000018bcfe5680000"),
    (0, 0, 3, "94a57175657565d929" + (PREFIX + "purged").encode().hex() + "cf0000018bcfe56fd000"),
    (
        1,
        0,
        0,
        "9398cd753000ce1499700000ce00100000c081b252656472697665416c6c6f77506f6c696379bf"
        "7b22726564726976655065726d697373696f6e223a2264656e79416c6c227d80" + QUEUE_TAIL,
    ),
    (
        1,
        2,
        0,
        "9ecf0000018bcfe56800cf0000018bcfe56fd0c410cd613e30d8f14adf91b7584a2265b1f5a464656164c410"
        "f58e6a506c76fc2c90a7d29cbc631c2fa0c400c400c0c0c0d929"
        + (PREFIX + "orders").encode().hex()
        + "02cf0000018bcfe56800",
    ),
    (
        2,
        0,
        0,
        "9398cd03e800ce1499700000ce0010000092d927"
        + (PREFIX + "dead").encode().hex()
        + "028081a47465616da161"
        + QUEUE_TAIL,
    ),
    (
        2,
        2,
        1,
        "9ecf0000018bcfe56800cf0000018bcfe56800c4101e2feb89414c443c9027c4d1c386bbc4a6666c69676874"
        "c410e325b16aa10bc2b065742595902073cba0c400c400c0c0c0c00000",
    ),
    (
        2,
        2,
        2,
        "9ecf0000018bcfe56800cf0000018bcfe57b88c41078e51061731148a382ce6f447ed4d57ba764656c617965"
        "64c410f5e0a640e01c53954396b55beeb29ab9a0c400c400c0c0c0c00000",
    ),
    (
        2,
        2,
        3,
        "9ecf0000018bcfe56800cf0000018bcfe56800c41035bf992dc9e94616a12e7696a6cecc1ba776697369626c"
        "65c41046cf0e59759c9b7f1112ca4b174343efa0c400c400c0c0c0c00000",
    ),
    (
        2,
        3,
        1,
        "96cf0000018bcfe65a30cdea6001cf0000018bcfe56fd0cf0000018bcfe56fd0cf31e54146d5f4b3b2",
    ),
    (
        3,
        0,
        0,
        "9398cd753000ce1499700000ce00100000c08080cf0000018bcfe56fd0cf0000018bcfe56fd0",
    ),
    (3, 1, 0, "930101cf0000018bcfe56fd0"),
    (
        3,
        2,
        1,
        "9ecf0000018bcfe56fd0cf0000018bcfe56fd0c410442e3d437204452db2221a58008a05a6a179c410415290"
        "769594460e2e485922904f345da0c400c400c0c0c0c00000",
    ),
]


def rows() -> list[tuple[int, int, bytes]]:
    return [(component, row_key(f, n), bytes.fromhex(text)) for component, f, n, text in ROWS]


def test_a_row_of_settings_with_eight_members_has_the_defaults_of_the_others():
    queue = decode_queue(
        next(value for component, key, value in rows() if (component, key) == (2, 0))
    )
    assert queue.spec == QueueSpec(
        visibility_timeout_ms=1_000, redrive=RedrivePolicy(PREFIX + "dead", 2), tags={"team": "a"}
    )
    assert not queue.spec.is_fifo and queue.spec.redrive_allow is None and queue.spec.chaos is None
    queue.spec.validate()


def test_settings_alone_are_read_as_well():
    spec = decode_queue_spec(bytes.fromhex("98cd753000ce1499700000ce00100000c08080"))
    assert spec == QueueSpec()


@pytest.fixture(params=["memory", "sqlite"])
async def old_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return InlineSqliteStore(str(old_file(tmp_path)))
    store = MemoryStore()
    await store.open()
    batch = Batch()
    for component, key, value in rows():
        batch.add(component, (Mutation(key, value),))
    store.append(batch, lambda error: None)
    return store


def old_file(folder: Path) -> Path:
    path = folder / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?)", rows())
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    return path


def bodies(engine: Engine, name: str) -> list[str]:
    engine.begin()
    messages = engine.receive(engine.queue(PREFIX + name), ReceiveRequest(10, 0))
    engine.barrier()
    return [message.record.body for message in messages]


async def test_queues_and_messages_of_the_previous_version_go_on(old_store):
    clock = ManualClock(NOW_MS)
    async with Engine.open(old_store, clock=clock, ids=SeededIds(9)) as engine:
        orders = engine.find(PREFIX + "orders")
        assert isinstance(orders, StandardQueue)
        orders.check()
        found = engine.statistics(orders)
        assert (found.visible, found.in_flight, found.delayed) == (1, 1, 1)
        assert orders.created_ms == START_MS
        assert bodies(engine, "orders") == ["visible"]
        clock.advance(3_000)
        assert sorted(bodies(engine, "orders")) == ["delayed", "visible"]
        assert bodies(engine, "dead") == ["dead"]
        assert bodies(engine, "purged") == ["y"]


async def test_dead_letters_of_the_previous_version_can_be_moved_back(old_store):
    clock = ManualClock(NOW_MS)
    async with Engine.open(old_store, clock=clock, ids=SeededIds(9)) as engine:
        engine.begin()
        dead = engine.queue(PREFIX + "dead")
        engine.start_move(dead, None, None)
        await clock.run_for(1_000)
        (task,) = engine.list_moves(dead, 10)
        assert (task.status, task.moved) == ("COMPLETED", 1)
        assert bodies(engine, "orders") == ["visible", "dead"]


async def test_a_file_of_the_previous_version_is_of_this_one_when_it_was_opened(tmp_path):
    path = old_file(tmp_path)
    assert file_version(str(path)) == 1
    async with Engine.open(InlineSqliteStore(str(path)), clock=ManualClock(NOW_MS)) as engine:
        assert engine.find(PREFIX + "orders") is not None
    assert file_version(str(path)) == SCHEMA_VERSION > 1


def test_a_restart_of_the_previous_versions_queue_changes_nothing():
    for component, arn in ((1, DEAD_ARN), (2, ARN)):
        driver = Driver(arn=arn, now_ms=NOW_MS)
        driver.rows = {key: value for owner, key, value in rows() if owner == component}
        driver.restart()
        driver.check_restart()
        assert sum(driver.counts()) == (1 if component == 1 else 3)
