"""The memory store's pages stay right while rows come and go, and a range costs what it covers."""

from __future__ import annotations

import random

from eventcore.outcome import LOG_KEY_FIRST, Mutation, Trim
from eventcore.stores.base import Batch
from eventcore.stores.memory import PAGE_SHIFT, MemoryStore

PAGE_ROWS = 1 << PAGE_SHIFT
LAST = LOG_KEY_FIRST - 1


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
            last = first + chance.choice((0, 50, 1_500))
            batch.trim(1, Trim(first, last))
            model = {key: value for key, value in model.items() if not first <= key <= last}
        key = number if chance.random() < 0.7 else chance.randrange(2_000)
        value = None if chance.random() < 0.3 else b"%d" % number
        batch.add(1, (Mutation(key, value),))
        if value is None:
            model.pop(key, None)
        else:
            model[key] = value
        store.append(batch, lambda error: None)
        first = chance.randrange(2_000)
        last = first + chance.choice((0, 100, 3_000))
        expected = sorted((k, v) for k, v in model.items() if first <= k <= last)[:7]
        assert store.scan(1, first, last, 7) == expected
    assert [(key, value) for _, key, value in store.load()] == sorted(model.items())


def test_a_range_deletion_and_a_scan_touch_only_the_pages_they_cover() -> None:
    store = opened()
    batch = Batch()
    batch.add(1, [Mutation(key, b"x", None, True) for key in range(20 * PAGE_ROWS)])
    store.append(batch, lambda error: None)
    pages = store._components[1].pages = _Counted(store._components[1].pages)
    trim = Batch()
    trim.trim(1, Trim(10 * PAGE_ROWS - 5, 10 * PAGE_ROWS + 5))
    store.append(trim, lambda error: None)
    assert pages.taken == [9, 10]
    pages.taken.clear()
    first = 10 * PAGE_ROWS - 6
    assert store.scan(1, first, LAST, 2) == [(first, b"x"), (first + 12, b"x")]
    assert pages.taken == [9, 10]
    pages.taken.clear()
    assert len(store.scan(1, 0, LAST, PAGE_ROWS)) == PAGE_ROWS
    assert pages.taken == [0]


def test_no_page_is_kept_empty_however_its_rows_go() -> None:
    store = opened()
    for number in range(3 * PAGE_ROWS):
        batch = Batch()
        batch.add(1, (Mutation(number, b""), Mutation(number - 1, None)))
        store.append(batch, lambda error: None)
        assert store._components[1].order == [number // PAGE_ROWS]
    trim = Batch()
    trim.trim(1, Trim(0, LAST))
    trim.trim(1, Trim(0, LAST))
    store.append(trim, lambda error: None)
    assert not store._components[1].order
    assert not store._components[1].pages
    assert store.scan(1, 0, LAST, 1) == []
    assert list(store.load()) == []


class _Counted(dict[int, dict[int, bytes]]):
    """Pages that note which of them are looked into."""

    def __init__(self, pages: dict[int, dict[int, bytes]]) -> None:
        super().__init__(pages)
        self.taken: list[int] = []

    def __getitem__(self, number: int) -> dict[int, bytes]:
        self.taken.append(number)
        return super().__getitem__(number)


def test_replies_wait_only_when_asked_to() -> None:
    assert MemoryStore().holds_replies is False
    assert MemoryStore(holds_replies=True).holds_replies is True
    assert MemoryStore().path is None
