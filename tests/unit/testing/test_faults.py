"""A faulty store fails where its plan says, and its batch is durable or not as the fault says."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

import pytest

from eventcore.errors import StoreError, StoreUnavailable
from eventcore.outcome import Mutation
from eventcore.stores.base import Batch
from eventcore.stores.memory import MemoryStore
from eventcore.testing import FaultyStore


def finish(coroutine: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine that never waits."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


def opened(**plan: Any) -> FaultyStore:
    store = FaultyStore(MemoryStore(holds_replies=True), **plan)
    finish(store.open())
    return store


def append(store: FaultyStore, key: int) -> list[StoreError | None]:
    answers: list[StoreError | None] = []
    batch = Batch()
    batch.add(1, (Mutation(key, b"x"),))
    store.append(batch, answers.append)
    return answers


def keys(store: FaultyStore) -> list[int]:
    return [key for _, key, _ in store.load()]


def test_fail_before_leaves_nothing_and_fail_after_leaves_the_batch() -> None:
    store = opened(plan={2: "fail_before", 3: "fail_after"})
    assert append(store, 1) == [None]
    assert isinstance(append(store, 2)[0], StoreUnavailable)
    assert keys(store) == [1]
    finish(store.recover())
    assert isinstance(append(store, 3)[0], StoreUnavailable)
    assert keys(store) == [1, 3]


def test_after_a_fault_every_append_fails_until_recover() -> None:
    store = opened(plan={1: "fail_before"})
    append(store, 1)
    assert isinstance(append(store, 2)[0], StoreUnavailable)
    finish(store.recover())
    assert append(store, 3) == [None]
    assert keys(store) == [3]
    assert store.appends == 3


def test_held_answers_come_on_release_in_order_while_their_batches_are_durable() -> None:
    store = opened()
    store.hold()
    first, second = append(store, 1), append(store, 2)
    assert (first, second, store.held) == ([], [], 2)
    assert keys(store) == [1, 2]
    store.release(1)
    assert (first, second) == ([None], [])
    assert append(store, 3) == []
    store.release()
    assert (second, store.held) == ([None], 0)
    assert append(store, 4) == [None]


def test_recover_fails_as_often_as_told() -> None:
    store = opened(plan={1: "fail_before"})
    append(store, 1)
    store.recoveries_failing = 1
    with pytest.raises(StoreUnavailable):
        store.recover().send(None)
    assert isinstance(append(store, 2)[0], StoreUnavailable)
    finish(store.recover())
    assert append(store, 3) == [None]


def test_it_looks_like_its_inner_store() -> None:
    store = opened()
    append(store, 5)
    assert store.holds_replies is True
    assert store.path is None
    assert store.read(1, [5, 6]) == [b"x", None]
    assert store.scan(1, 0, 9, 9) == [(5, b"x")]
