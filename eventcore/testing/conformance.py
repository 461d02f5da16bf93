"""The promises of `eventcore.stores.base`, as checks that any store can be put through.

    await check_store(lambda directory: MyStore(directory / "events"))

or, one test per promise, with pytest:

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_my_store(check, tmp_path):
        await check(lambda: MyStore(tmp_path / "events"))

A check gets a function that makes a new store object, not opened, on an empty place; called again,
it makes another object on the same place. A store with a `path` has to keep its rows from one
object to the next. A broken promise is an AssertionError that names it.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from eventcore.errors import StoreError, StoreLocked, StoreUnavailable
from eventcore.outcome import Mutation, Trim
from eventcore.stores.base import Batch, Store

__all__ = ["CHECKS", "Check", "append", "check_store"]

MakeStore = Callable[[], Store]
Check = Callable[[MakeStore], Awaitable[None]]

KEY_MAX: Final = (1 << 63) - 1
LARGE_VALUE_BYTES: Final = 1024 * 1024
LARGE_BATCH_ROWS: Final = 20_000

Row = tuple[int, int, bytes]


async def check_store(make_store: Callable[[Path], Store]) -> None:
    """Runs every check, each in a temporary directory of its own.

    Raises AssertionError for a broken promise.
    """
    for check in CHECKS:
        with tempfile.TemporaryDirectory(prefix="eventcore-conformance-") as name:
            directory = Path(name)
            await check(lambda directory=directory: make_store(directory))  # type: ignore[misc]


async def append(store: Store, batch: Batch) -> StoreError | None:
    """Appends and waits for the answer; checks that there is exactly one."""
    answer: asyncio.Future[StoreError | None] = asyncio.get_running_loop().create_future()

    def done(error: StoreError | None) -> None:
        assert not answer.done(), "`done` was called twice for one append"
        answer.set_result(error)

    store.append(batch, done)
    async with asyncio.timeout(30):
        return await answer


@asynccontextmanager
async def _opened(make: MakeStore) -> AsyncIterator[Store]:
    store = make()
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def _batch(*rows: tuple[int, int, bytes | None]) -> Batch:
    batch = Batch()
    for component, key, value in rows:
        batch.add(component, (Mutation(key, value),))
    return batch


async def _put(store: Store, rows: Iterable[tuple[int, int, bytes | None]]) -> None:
    assert await append(store, _batch(*rows)) is None, "an append to an open store succeeds"


def _close(rows: Iterator[Row]) -> None:
    close = getattr(rows, "close", None)
    if close is not None:
        close()


def _refuse(key: int) -> None:
    if key == 50:
        raise LookupError(key)


async def a_new_store_is_empty(make: MakeStore) -> None:
    """Nothing is in a store that nobody wrote to."""
    async with _opened(make) as store:
        assert list(store.load()) == []
        assert store.read(1, [1]) == [None]
        assert store.scan(1, 0, KEY_MAX, 10) == []


async def what_was_appended_is_seen(make: MakeStore) -> None:
    """`read`, `scan` and `load` agree on what an append made durable."""
    async with _opened(make) as store:
        await _put(store, [(1, 7, b"a"), (1, 9, b"b"), (2, 7, b"c")])
        assert store.read(1, [9, 8, 7, 7]) == [b"b", None, b"a", b"a"], "in the order asked"
        assert store.scan(1, 0, KEY_MAX, 10) == [(7, b"a"), (9, b"b")]
        assert list(store.load()) == [(1, 7, b"a"), (1, 9, b"b"), (2, 7, b"c")]


async def rows_come_back_in_order_of_component_and_key(make: MakeStore) -> None:
    """`load` is ordered, whatever the order of appends."""
    rows: list[Row] = [(c, k, b"%d" % k) for c in (5, 1, 300) for k in (KEY_MAX, 0, 1 << 48, 3)]
    async with _opened(make) as store:
        for row in rows:
            await _put(store, [row])
        assert list(store.load()) == sorted(rows)


async def a_row_holds_what_was_put_last(make: MakeStore) -> None:
    """Across appends and within one, the last mutation of a row wins."""
    async with _opened(make) as store:
        await _put(store, [(1, 1, b"a"), (1, 2, b"a"), (1, 3, b"a")])
        await _put(store, [(1, 1, b"b"), (1, 2, None), (1, 3, None), (1, 3, b"c"), (1, 1, b"d")])
        assert list(store.load()) == [(1, 1, b"d"), (1, 3, b"c")]


async def a_repeated_append_changes_nothing(make: MakeStore) -> None:
    """Mutations are absolute."""
    batch = _batch((1, 1, b"a"), (1, 2, None))
    batch.trim(2, Trim(0, 9))
    async with _opened(make) as store:
        await _put(store, [(1, 2, b"x"), (2, 5, b"x")])
        for _ in range(2):
            assert await append(store, batch) is None
            assert list(store.load()) == [(1, 1, b"a")]


async def a_missing_row_can_be_deleted(make: MakeStore) -> None:
    """Deleting a row or a range that is not there succeeds."""
    batch = _batch((1, 1, None))
    batch.trim(9, Trim(0, KEY_MAX))
    async with _opened(make) as store:
        assert await append(store, batch) is None
        assert list(store.load()) == []


async def a_fresh_row_deleted_in_its_batch_leaves_no_trace(make: MakeStore) -> None:
    """A new row that is deleted before its batch is appended was never there."""
    batch = Batch()
    batch.add(1, (Mutation(1, b"a", None, True), Mutation(2, b"b", None, True), Mutation(1, None)))
    async with _opened(make) as store:
        assert await append(store, batch) is None
        assert list(store.load()) == [(1, 2, b"b")]


async def an_empty_batch_is_appended(make: MakeStore) -> None:
    """An append of nothing succeeds."""
    async with _opened(make) as store:
        assert await append(store, Batch()) is None


async def ranges_are_deleted_before_rows_are_put(make: MakeStore) -> None:
    """A row that a batch puts after its trim stays; one put before it goes."""
    batch = _batch((1, 5, b"before"))
    batch.trim(1, Trim(2, 8))
    batch.add(1, (Mutation(3, b"after"),))
    async with _opened(make) as store:
        await _put(store, [(1, key, b"old") for key in range(1, 10)] + [(2, 5, b"other")])
        assert await append(store, batch) is None
        assert list(store.load()) == [
            (1, 1, b"old"),
            (1, 3, b"after"),
            (1, 9, b"old"),
            (2, 5, b"other"),
        ]


async def a_scan_keeps_its_bounds_and_its_limit(make: MakeStore) -> None:
    """Both bounds are inclusive, the limit is exact; also while rows come and go."""
    async with _opened(make) as store:
        await _put(store, [(1, key, b"%d" % key) for key in range(10, 20)] + [(2, 12, b"x")])
        assert store.scan(1, 12, 14, 10) == [(12, b"12"), (13, b"13"), (14, b"14")]
        assert store.scan(1, 12, 19, 2) == [(12, b"12"), (13, b"13")]
        assert store.scan(1, 20, KEY_MAX, 2) == []
        assert store.scan(3, 0, KEY_MAX, 2) == []
        await _put(store, [(1, 12, None), (1, 25, b"25"), (1, 5, b"5")])
        assert store.scan(1, 0, 13, 10) == [(5, b"5"), (10, b"10"), (11, b"11"), (13, b"13")]
        await _put(store, [(1, 12, b"again")])
        assert store.scan(1, 12, 12, 10) == [(12, b"again")]
        assert store.scan(1, 19, KEY_MAX, 10) == [(19, b"19"), (25, b"25")]


async def a_scan_and_a_range_may_be_far_apart(make: MakeStore) -> None:
    """Keys may lie anywhere, in families far from each other; a range takes those within it."""
    keys = [family << 48 | number for family in (0, 1, 9) for number in (0, 1_023, 1_024, 5_000)]
    keys.append(KEY_MAX)
    async with _opened(make) as store:
        for first, last in ((0, 0), (1_023, 1_024), (1, 1 << 48), (1 << 48, KEY_MAX), (0, KEY_MAX)):
            await _put(store, [(1, key, b"x") for key in keys])
            inside = [key for key in keys if first <= key <= last]
            assert [key for key, _ in store.scan(1, first, last, 99)] == inside
            batch = Batch()
            batch.trim(1, Trim(first, last))
            assert await append(store, batch) is None
            left = [key for _, key, _ in store.load()]
            assert left == [key for key in keys if key not in inside]


async def appends_take_effect_in_order(make: MakeStore) -> None:
    """Each append sees the one before it as done; `done` may start the next one."""
    async with _opened(make) as store:
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        seen: list[bytes | None] = []

        def step(error: StoreError | None) -> None:
            assert error is None
            seen.append(store.read(1, [1])[0])
            if len(seen) == 50:
                finished.set_result(None)
            else:
                store.append(_batch((1, 1, b"%d" % len(seen))), step)

        store.append(_batch((1, 1, b"0")), step)
        async with asyncio.timeout(30):
            await finished
        assert seen == [b"%d" % number for number in range(50)]


async def values_may_be_empty_or_large(make: MakeStore) -> None:
    """From no byte to 1 MiB, any bytes."""
    large = bytes(range(256)) * (LARGE_VALUE_BYTES // 256)
    rows: list[Row] = [(1, 1, b""), (1, 2, large), (1, 3, b"\x00"), (1, 4, large[::-1])]
    async with _opened(make) as store:
        await _put(store, rows)
        assert store.read(1, [1, 2, 3, 4]) == [value for _, _, value in rows]
        assert list(store.load()) == rows


async def a_batch_may_be_large(make: MakeStore) -> None:
    """20,000 rows in one batch, put and then deleted."""
    rows = [(1, key, b"%300d" % key) for key in range(LARGE_BATCH_ROWS)]
    async with _opened(make) as store:
        await _put(store, rows)
        assert list(store.load()) == rows
        await _put(store, [(1, key, None) for key in range(1, LARGE_BATCH_ROWS)])
        assert list(store.load()) == rows[:1]


async def a_load_may_be_left_unfinished(make: MakeStore) -> None:
    """An iterator that is closed early is in nobody's way."""
    async with _opened(make) as store:
        await _put(store, [(1, key, b"x") for key in range(100)])
        rows = store.load()
        assert next(rows) == (1, 0, b"x")
        _close(rows)
        await _put(store, [(1, 0, b"y")])
        assert store.read(1, [0]) == [b"y"]


async def recover_keeps_what_was_appended(make: MakeStore) -> None:
    """`recover` is harmless when nothing failed, and the store goes on after it."""
    async with _opened(make) as store:
        await _put(store, [(1, 1, b"a")])
        await store.recover()
        assert list(store.load()) == [(1, 1, b"a")]
        await _put(store, [(1, 2, b"b")])
        assert list(store.load()) == [(1, 1, b"a"), (1, 2, b"b")]


async def an_append_needs_an_open_store(make: MakeStore) -> None:
    """Before `open` and after `close` it gets StoreUnavailable; closing twice is fine."""
    store = make()
    assert isinstance(await append(store, _batch((1, 1, b"a"))), StoreUnavailable)
    await store.open()
    await _put(store, [(1, 2, b"b")])
    await store.close()
    await store.close()
    assert isinstance(await append(store, _batch((1, 3, b"c"))), StoreUnavailable)
    async with _opened(make) as again:
        expected = [(1, 2, b"b")] if again.path is not None else []
        assert list(again.load()) == expected, "a refused append leaves no row"


async def reading_a_place_needs_an_open_store(make: MakeStore) -> None:
    """`read`, `scan`, `load` of a path raise StoreUnavailable before `open` and after `close`."""
    store = make()
    if store.path is None:
        return
    for _ in range(2):
        for read in (
            lambda: store.read(1, [1]),
            lambda: store.scan(1, 0, KEY_MAX, 1),
            lambda: list(store.load()),
        ):
            try:
                read()
            except StoreUnavailable:
                continue
            raise AssertionError("rows are read from a store that is not open")
        await store.open()
        await _put(store, [(1, 1, b"a")])
        await store.close()


async def a_load_that_its_reader_breaks_off_harms_nothing(make: MakeStore) -> None:
    """An exception of whoever takes the rows leaves a store that loads, appends and reads."""
    async with _opened(make) as store:
        await _put(store, [(1, key, b"x" * 300) for key in range(100)])
        rows = store.load()
        try:
            for _, key, _ in rows:
                _refuse(key)
        except LookupError:
            _close(rows)
        assert len(list(store.load())) == 100
        await _put(store, [(1, 50, None)])
        assert store.scan(1, 49, 51, 9) == [(49, b"x" * 300), (51, b"x" * 300)]


async def rows_outlive_the_object(make: MakeStore) -> None:
    """A store with a path gives back everything after close and open, the last append included."""
    rows = [(1, key, b"%d" % key) for key in range(500)]
    async with _opened(make) as store:
        if store.path is None:
            return
        for at in range(0, 500, 50):
            await _put(store, rows[at : at + 50])
    async with _opened(make) as store:
        assert list(store.load()) == rows
        await _put(store, [(1, 0, None)])
    async with _opened(make) as store:
        assert list(store.load()) == rows[1:]


async def close_waits_for_the_append_in_flight(make: MakeStore) -> None:
    """What was handed over before `close` is answered before it returns."""
    answers: list[StoreError | None] = []
    async with _opened(make) as store:
        store.append(_batch((1, 1, b"a")), answers.append)
        is_durable = store.path is not None
    assert answers == [None]
    if is_durable:
        async with _opened(make) as store:
            assert list(store.load()) == [(1, 1, b"a")]


async def a_place_belongs_to_one_store(make: MakeStore) -> None:
    """A second store on the same path gets StoreLocked; the first is not disturbed."""
    async with _opened(make) as store:
        if store.path is None:
            return
        second = make()
        try:
            await second.open()
        except StoreLocked:
            pass
        else:
            raise AssertionError("two stores have one path open")
        await _put(store, [(1, 1, b"a")])
        assert list(store.load()) == [(1, 1, b"a")]


CHECKS: Final[tuple[Check, ...]] = (
    a_new_store_is_empty,
    what_was_appended_is_seen,
    rows_come_back_in_order_of_component_and_key,
    a_row_holds_what_was_put_last,
    a_repeated_append_changes_nothing,
    a_missing_row_can_be_deleted,
    a_fresh_row_deleted_in_its_batch_leaves_no_trace,
    an_empty_batch_is_appended,
    ranges_are_deleted_before_rows_are_put,
    a_scan_keeps_its_bounds_and_its_limit,
    appends_take_effect_in_order,
    values_may_be_empty_or_large,
    a_batch_may_be_large,
    a_load_may_be_left_unfinished,
    recover_keeps_what_was_appended,
    an_append_needs_an_open_store,
    reading_a_place_needs_an_open_store,
    a_load_that_its_reader_breaks_off_harms_nothing,
    a_scan_and_a_range_may_be_far_apart,
    rows_outlive_the_object,
    close_waits_for_the_append_in_flight,
    a_place_belongs_to_one_store,
)
