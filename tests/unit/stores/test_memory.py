"""The memory store's ordered keys stay right while rows come and go."""

from __future__ import annotations

import random

from eventcore.outcome import Mutation, Trim
from eventcore.stores.base import Batch
from eventcore.stores.memory import MemoryStore


def opened() -> MemoryStore:
    store = MemoryStore()
    coroutine = store.open()
    try:
        coroutine.send(None)
    except StopIteration:
        return store
    raise AssertionError("opening a memory store never waits")


def test_scan_agrees_with_a_sorted_dict_over_random_changes() -> None:
    store = opened()
    chance = random.Random(7)
    model: dict[int, bytes] = {}
    for number in range(2_000):
        batch = Batch()
        if chance.random() < 0.1:
            first = chance.randrange(3_000)
            batch.trim(1, Trim(first, first + 50))
            model = {key: value for key, value in model.items() if not first <= key <= first + 50}
        key = number if chance.random() < 0.7 else chance.randrange(2_000)
        value = None if chance.random() < 0.3 else b"%d" % number
        batch.add(1, (Mutation(key, value),))
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value
        store.append(batch, lambda error: None)
        first = chance.randrange(2_000)
        expected = sorted((k, v) for k, v in model.items() if first <= k <= first + 100)[:7]
        assert store.scan(1, first, first + 100, 7) == expected
    assert [(key, value) for _, key, value in store.load()] == sorted(model.items())


def test_stale_keys_of_a_scanned_component_are_forgotten() -> None:
    store = opened()
    store.scan(1, 0, 1, 1)
    for number in range(10_000):
        batch = Batch()
        batch.add(1, (Mutation(number, b""), Mutation(number - 1, None)))
        store.append(batch, lambda error: None)
        store.scan(1, number, number, 1)
    assert sum(map(len, store._orders.values())) < 2_000


def test_replies_wait_only_when_asked_to() -> None:
    assert MemoryStore().holds_replies is False
    assert MemoryStore(holds_replies=True).holds_replies is True
    assert MemoryStore().path is None
