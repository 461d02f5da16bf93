"""What is compared with the ledger: at quiet moments, and at the end of a world of functions."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from eventcore.functions.async_events import decode_async_event
from eventcore.functions.function import Function
from eventcore.functions.records import EVENT
from eventcore.limits import INVOKE_AGE_MS_MAX, INVOKE_RETRIES_MAX
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.outcome import row_key
from eventcore.queues.message import decode_message
from eventcore.queues.queue import QueueMachine
from eventcore.queues.records import MESSAGE
from eventcore.runtime.engine import Engine
from eventcore.streams.shard import shard_id
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Place
from tests.simulation.function_ledger import Item, MappingLife, covers
from tests.simulation.function_settings import DEAD, DESTINATIONS, LOST, SOURCES, queue

if TYPE_CHECKING:
    from tests.simulation.function_world import FunctionWorld

__all__ = ["check_end", "look_around"]

PAGE_BYTES: Final = 1 << 22


def look_around(world: FunctionWorld) -> None:
    """A quiet moment: what memory has is durable."""
    failing, world.store.scans_failing = world.store.scans_failing, 0
    ledger = world.ledger
    world.engine.host.now_ms = world.clock.now_ms()
    for found in world.machines(QueueMachine):
        if found.name in SOURCES:
            ledger.look(world.life(found), _numbers(world, found))
    for found in world.machines(Function):
        if world.configs.get(world.life(found)):
            ledger.look(world.life(found), _events(world, found))
    for mapping in world.machines(EventSourceMapping):
        if not mapping.spec.is_queue:
            _look_at_positions(world, mapping)
    _check_messages(world)
    _compare_with_rows(world)
    world.store.scans_failing = failing


def _look_at_positions(world: FunctionWorld, mapping: EventSourceMapping) -> None:
    life = world.mappings[mapping.uuid]
    found = world.engine.streams.find_stream(mapping.spec.resource_arn)
    positions = mapping.positions()
    if found is None or found.created_ms != mapping.record.stream_created_ms:
        life.settled = []
        return
    if life.settled_of != world.life(found):
        life.settled, life.settled_of = [], world.life(found)
    now = {(each.ordinal, each.lane): each for each in positions}
    for before in life.settled:
        after = now.get((before.ordinal, before.lane))
        if after is not None and after.lanes == before.lanes:
            assert after.number >= before.number, f"{before} went back to {after}"
            assert after.is_end or not before.is_end, f"{before} came to life again"
    life.settled = positions


def _numbers(world: FunctionWorld, found: QueueMachine) -> set[int]:
    return {json.loads(body)["n"] for body in _bodies(world, found)}


def _bodies(world: FunctionWorld, found: QueueMachine) -> list[str]:
    """The bodies of all messages of a queue."""
    host = world.engine.host
    seat = host.seat_of(found)
    bodies = []
    for number, entry in found._entries.items():
        row = entry.record or host.read(seat, [row_key(MESSAGE, number)])[0]
        assert row is not None, "a message in memory has no row"
        bodies.append(decode_message(row).body)
    return bodies


def _events(world: FunctionWorld, found: Function) -> set[int]:
    """The numbers of a function's events."""
    host = world.engine.host
    seat = host.seat_of(found)
    numbers = set()
    for number, entry in found._events._entries.items():
        row = entry.row or host.read(seat, [_event_key(number)])[0]
        assert row is not None, "an event in memory has no row"
        numbers.add(json.loads(decode_async_event(row).payload)["n"])
    return numbers


def _event_key(number: int) -> int:
    return row_key(EVENT, number)


def _check_messages(world: FunctionWorld) -> None:
    """What was sent is there, done, dropped by a filter, or dead-lettered."""
    for name in SOURCES:
        found = world.engine.find(queue(name))
        if not isinstance(found, QueueMachine):
            continue
        there = _numbers(world, found)
        if name in DEAD:
            dead = world.engine.queue(queue(DEAD[name]))
            there |= _numbers(world, dead)
        own = [m for m in world.mappings.values() if m.spec.source_arn == found.arn]
        for item in world.ledger.missing(world.life(found), found.arn, there):
            assert any(mapping.filters(item) for mapping in own), f"{item} is lost"


def _compare_with_rows(world: FunctionWorld) -> None:
    """Nothing is staged: machines must be what their rows make of new ones."""
    fresh = Engine(world.store, clock=world.clock, quotas=world.quotas)
    take = fresh._rebuild()
    for component, key, value in world.store.rows.load():
        take(component, key, value)
    assert fresh._machines.keys() == world.engine._machines.keys()
    for mapping in world.machines(EventSourceMapping):
        other: Any = fresh.find(mapping.arn)
        assert other.record == mapping.record, "a mapping differs from its rows"
        assert other.positions() == mapping.positions(), "positions differ from their rows"
    for found in world.machines(Function):
        other = fresh.find(found.arn)
        assert other.record == found.record, "a function differs from its rows"
        assert other.versions() == found.versions()
        assert other.aliases() == found.aliases()
        assert other.invoke_configs() == found.invoke_configs()
        events = [
            {number: (entry.id, entry.invokes) for number, entry in each._events._entries.items()}
            for each in (found, other)
        ]
        assert events[0] == events[1], "events differ from their rows"


# The end


def check_end(world: FunctionWorld, *, is_last: bool) -> bool:
    """Whether all is done; the last time it must be."""
    left = [*_left_messages(world), *_left_records(world), *_left_events(world)]
    left += [life for life in world.engine.mappings._lives.values() if life.task is not None]
    if left and is_last:
        raise AssertionError(f"left at the end: {left[:5]} of {len(left)}")
    if not left:
        _check_order(world)
        _check_destinations(world)
    return not left


def _enabled(world: FunctionWorld) -> list[MappingLife]:
    return [world.mappings[m.uuid] for m in world.machines(EventSourceMapping) if m.is_running]


def _left_messages(world: FunctionWorld) -> list[Any]:
    """Messages in queues that have a mapping."""
    sources = {m.spec.source_arn for m in _enabled(world) if m.spec.is_queue}
    left = []
    for arn in sources:
        found = world.engine.queue(arn)
        if len(found._entries):
            left.append((arn, _numbers(world, found)))
    return left


def _records(world: FunctionWorld, found: Stream) -> list[Item]:
    """The records that a stream has."""
    items = []
    for shard in found.shards(world.clock.now_ms()):
        place: Place | None = Place(shard.ordinal, 0)
        while place is not None and place.number < shard.next_number:
            page = world.engine.streams.read(found, place, 10_000, PAGE_BYTES)
            items += [world.ledger.items[json.loads(r.data)["n"]] for r in page.records()]
            place = page.place
    return items


def _left_records(world: FunctionWorld) -> list[Any]:
    documents = _documents(world)
    now_ms = world.clock.now_ms()
    left: list[Any] = []
    for mapping in _enabled(world):
        if mapping.spec.is_queue:
            continue
        found = world.engine.streams.find(mapping.spec.resource_arn)
        for item in _records(world, found):
            is_done = (mapping.uuid, item.number) in world.ledger.done
            if is_done or not mapping.is_about(item) or mapping.filters(item):
                continue
            if not world.ledger.may_be_discarded(mapping, item, now_ms):
                left.append((mapping.uuid, item))
            elif all(spec.on_failure_arn for spec in mapping.specs):
                name = shard_id(item.place[0])
                if not any(covers(each, mapping.spec, item, name) for each in documents):
                    left.append((mapping.uuid, item, "told nobody"))
    return left


def _documents(world: FunctionWorld) -> list[Any]:
    """All that is in the destinations."""
    found = [*world.documents]
    for name in DESTINATIONS:
        found += [json.loads(body) for body in _bodies(world, world.engine.queue(queue(name)))]
    return found


def _left_events(world: FunctionWorld) -> list[Any]:
    return [
        (found.name, found.statistics(world.clock.now_ms()))
        for found in world.machines(Function)
        if len(found._events)
    ]


def _check_order(world: FunctionWorld) -> None:
    ledger = world.ledger
    for found in world.machines(QueueMachine):
        if found.is_fifo:
            ledger.check_order(found.arn, world.life(found), lambda i: i.number in ledger.overdue)
    for mapping in _enabled(world):
        if not mapping.spec.is_queue:
            found = world.engine.streams.find(mapping.spec.resource_arn)
            there = {item.number for item in _records(world, found)}
            sure = {i.number for i in ledger.items.values() if i.is_sure}
            lost = {n for n in sure - there if ledger.items[n].life == world.life(found)}
            assert not lost, f"records are lost: {lost}"
            ledger.check_order(mapping.uuid, world.life(found), mapping.filters)


def _check_destinations(world: FunctionWorld) -> None:
    """Events that have ended are told of as their function's settings say."""
    documents = _documents(world)
    told = [d["requestContext"]["requestId"] for d in documents if "requestPayload" in d]
    queued = Counter(told[len(world.documents) :])
    audited = {d["requestContext"]["requestId"] for d in world.documents}
    lost = _numbers(world, world.engine.queue(queue(LOST)))
    now_ms = world.clock.now_ms()
    for found in world.machines(Function):
        life = world.life(found)
        configs = world.configs.get(life)
        if not configs:
            continue
        for item in [i for i in world.ledger.items.values() if i.life == life and i.is_sure]:
            failures = world.ledger.failures[found.name, item.number]
            is_done = (found.name, item.number) in world.ledger.done
            is_told = item.id in audited or item.id in queued
            assert queued[item.id] <= 1, f"{item} ended more than once"
            may_fail = any(
                failures > (INVOKE_RETRIES_MAX if c.retries_max is None else c.retries_max)
                or now_ms - item.at_ms >= (c.age_ms_max or INVOKE_AGE_MS_MAX)
                or (failures and c.age_ms_max)  # its retry would come too late
                for c in configs
            )
            assert is_done or may_fail, f"{item} of {found.name} is lost"
            if is_done and all(c.on_success for c in configs) and not may_fail:
                assert is_told, f"the success of {item} was told nobody"
            if not is_done and all(c.on_failure for c in configs):
                assert is_told, f"the failure of {item} was told nobody"
            if not is_done and found.latest.config.dead_letter_arn is not None:
                assert item.number in lost, f"{item} is not in the dead-letter queue"
