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
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from eventcore.errors import StoreError, StoreLocked, StoreUnavailable
from eventcore.outcome import LOG_KEY_FIRST, Mutation, Trim
from eventcore.stores.base import LOG_SHIFT, Batch, Store

__all__ = ["CHECKS", "Check", "append", "check_store"]

MakeStore = Callable[[], Store]
Check = Callable[[MakeStore], Awaitable[None]]

KEY_MAX: Final = LOG_KEY_FIRST - 1
LOG_KEY_MAX: Final = (1 << 63) - 1
LARGE_VALUE_BYTES: Final = 1024 * 1024
HUGE_VALUE_BYTES: Final = 10 * 1024 * 1024
"""Of a log row: what a record of a stream may have."""
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
        assert store.measure(1, 0, KEY_MAX, 10) == []
        assert store.read(1, [LOG_KEY_FIRST]) == [None]
        assert store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 10) == []
        assert store.measure(1, LOG_KEY_FIRST, LOG_KEY_MAX, 10) == []


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
    """Reads of a path raise StoreUnavailable before `open` and after `close`."""
    store = make()
    if store.path is None:
        return
    for _ in range(2):
        for read in (
            lambda: store.read(1, [1]),
            lambda: store.scan(1, 0, KEY_MAX, 1),
            lambda: store.measure(1, 0, KEY_MAX, 1),
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


async def log_rows_are_read_and_never_loaded(make: MakeStore) -> None:
    """`read` and `scan` give log rows as any row; `load` gives the hot rows and nothing else."""
    first, last = _log_key(0, 0), LOG_KEY_MAX
    async with _opened(make) as store:
        await _put(store, [(2, last, b"d"), (1, 7, b"a"), (1, first, b"b"), (1, KEY_MAX, b"c")])
        assert store.read(1, [last, first, KEY_MAX, 7]) == [None, b"b", b"c", b"a"]
        assert store.read(2, [last, first]) == [b"d", None]
        assert store.scan(1, first, last, 9) == [(first, b"b")]
        assert store.scan(1, 0, KEY_MAX, 9) == [(7, b"a"), (KEY_MAX, b"c")]
        assert list(store.load()) == [(1, 7, b"a"), (1, KEY_MAX, b"c")]


async def one_batch_changes_hot_rows_and_log_rows(make: MakeStore) -> None:
    """Puts, deletes and ranges of both kinds take effect together, and again without harm."""
    keys = [_log_key(0, number) for number in range(6)]
    async with _opened(make) as store:
        await _put(store, [(1, key, b"old") for key in (1, 2, 3, *keys[:4])])
        batch = _batch((1, 2, None), (1, keys[0], b"before"))
        batch.trim(1, Trim(keys[0], keys[1]))
        batch.add(1, [Mutation(keys[1], b"after"), Mutation(keys[3], None)])
        batch.add(1, [Mutation(keys[5], b"new", None, True), Mutation(3, b"hot")])
        left = [(keys[1], b"after"), (keys[2], b"old"), (keys[5], b"new")]
        for _ in range(2):
            assert await append(store, batch) is None
            assert store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 99) == left
            assert list(store.load()) == [(1, 1, b"old"), (1, 3, b"hot")]


async def a_range_takes_rows_of_its_kind_only(make: MakeStore) -> None:
    """Everything of one kind goes, of one component; the other kind and the others stay."""
    rows = [(component, key, b"x") for component in (1, 2) for key in (0, KEY_MAX)]
    logs = [(component, key, b"y") for component in (1, 2) for key in (LOG_KEY_FIRST, LOG_KEY_MAX)]
    hot, log = Batch(), Batch()
    hot.trim(1, Trim(0, KEY_MAX))
    log.trim(1, Trim(LOG_KEY_FIRST, LOG_KEY_MAX))
    async with _opened(make) as store:
        await _put(store, [*rows, *logs])
        assert await append(store, hot) is None
        assert list(store.load()) == rows[2:]
        assert len(store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9)) == 2
        await _put(store, rows)
        assert await append(store, log) is None
        assert store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9) == []
        assert len(store.scan(2, LOG_KEY_FIRST, LOG_KEY_MAX, 9)) == 2
        assert list(store.load()) == rows


async def logs_agree_with_a_sorted_map(make: MakeStore) -> None:
    """Several logs of a component, put in turns, in order and not, trimmed at the front and within:
    scans and measures give what a sorted map would.
    """
    chance = random.Random(5)  # noqa: S311
    model: dict[int, bytes] = {}
    next_number = [1] * 4
    async with _opened(make) as store:
        for step in range(150):
            batch = Batch()
            for _ in range(chance.randrange(6)):
                log = chance.randrange(4)
                next_number[log] += chance.choice((1, 3, 125))
                number = next_number[log] if chance.random() < 0.8 else chance.randrange(500)
                value = None if chance.random() < 0.1 else b"%d" % step * chance.randrange(30)
                batch.add(1, (Mutation(_log_key(log, number), value),))
                model.pop(_log_key(log, number), None)
                if value is not None:
                    model[_log_key(log, number)] = value
            first, last = _some_range(chance, next_number)
            if chance.random() < 0.5:
                batch.trim(1, Trim(first, last))
                model = {key: value for key, value in model.items() if not first <= key <= last}
            assert await append(store, batch) is None
            _check_against(store, model, *_some_range(chance, next_number), chance)
        assert list(store.load()) == []


def _log_key(log: int, number: int) -> int:
    return LOG_KEY_FIRST | log << LOG_SHIFT | number


def _some_range(chance: random.Random, next_number: list[int]) -> tuple[int, int]:
    """Mostly the front of one log; some within it, some over several."""
    log = chance.randrange(4)
    last = chance.randrange(next_number[log] + 2)
    first = 0 if chance.random() < 0.7 else chance.randrange(last + 1)
    if chance.random() < 0.1:
        return _log_key(max(0, log - 1), first), _log_key(log, last)
    return _log_key(log, first), _log_key(log, last)


def _check_against(
    store: Store, model: dict[int, bytes], first: int, last: int, chance: random.Random
) -> None:
    limit = chance.choice((1, 3, 1_000))
    bytes_max = chance.choice((1, 20, 1_000))
    rows = sorted((key, value) for key, value in model.items() if first <= key <= last)[:limit]
    assert store.scan(1, first, last, limit) == rows
    assert store.measure(1, first, last, limit) == [(key, len(value)) for key, value in rows]
    assert store.scan(1, first, last, limit, bytes_max) == _up_to(bytes_max, rows)
    keys = [key for key, _ in rows[:3]]
    assert store.read(1, [*keys, last + 1]) == [*(model[key] for key in keys), model.get(last + 1)]


def _up_to(bytes_max: int, rows: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    for count in range(1, len(rows)):
        if sum(len(value) for _, value in rows[:count]) >= bytes_max:
            return rows[:count]
    return rows


async def a_scan_ends_with_the_row_that_reaches_its_bytes(make: MakeStore) -> None:
    """For rows of both kinds; one row is given however small the bound, and `limit` holds too."""
    async with _opened(make) as store:
        for base in (0, LOG_KEY_FIRST):
            rows = [(base + number, b"%010d" % number) for number in range(10)]
            await _put(store, [(1, key, value) for key, value in rows])
            last = base + 99
            assert store.scan(1, base, last, 99, 1) == rows[:1]
            assert store.scan(1, base, last, 99, 10) == rows[:1]
            assert store.scan(1, base, last, 99, 11) == rows[:2]
            assert store.scan(1, base + 3, last, 99, 40) == rows[3:7]
            assert store.scan(1, base, last, 2, 40) == rows[:2]
            assert store.scan(1, base, last, 99, 1_000) == rows
            assert store.scan(1, base + 10, last, 99, 1) == []


async def measures_tell_the_bytes_of_values(make: MakeStore) -> None:
    """Of any size, for rows of both kinds, also after a row was put again with another size."""
    sizes = (0, 1, 300, 2_100, 8_200, 65_534, 65_535, 65_536, LARGE_VALUE_BYTES)
    async with _opened(make) as store:
        for base in (0, LOG_KEY_FIRST):
            await _put(store, [(1, base + at, bytes(size)) for at, size in enumerate(sizes)])
            measured = list(enumerate(sizes, start=base))
            assert store.measure(1, base, base + 99, 99) == measured
            assert store.measure(1, base + 2, base + 99, 3) == measured[2:5]
            assert store.measure(1, base + 1, base + 2, 9) == measured[1:3]
            await _put(store, [(1, base + 8, b"small"), (1, base + 1, bytes(70_000))])
            assert store.measure(1, base + 8, base + 9, 9) == [(base + 8, 5)]
            assert store.measure(1, base + 1, base + 1, 9) == [(base + 1, 70_000)]


async def values_of_log_rows_may_be_huge(make: MakeStore) -> None:
    """A row of 10 MiB among small ones, in one batch."""
    huge = bytes(range(256)) * (HUGE_VALUE_BYTES // 256)
    rows = [(_log_key(0, 1), b""), (_log_key(0, 2), huge), (_log_key(0, 3), b"\x00")]
    async with _opened(make) as store:
        await _put(store, [(1, key, value) for key, value in rows])
        assert store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9) == rows
        assert store.read(1, [_log_key(0, 2)]) == [huge]
        assert store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 9, 1) == rows[:2]


async def log_rows_outlive_the_object(make: MakeStore) -> None:
    """Log rows of a store with a path are there after close and open, and go on."""
    rows = [(_log_key(log, number), b"%d" % number) for log in (0, 3) for number in range(1, 90, 7)]
    async with _opened(make) as store:
        if store.path is None:
            return
        for key, value in rows:
            await _put(store, [(1, key, value), (1, 1, value)])
    async with _opened(make) as store:
        assert list(store.load()) == [(1, 1, rows[-1][1])]
        assert store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 99) == rows
        await _put(store, [(1, rows[0][0], None), (1, rows[-1][0] + 1, b"new")])
        await store.recover()
        await _put(store, [(1, rows[-1][0] + 2, b"newer")])
        left = [*rows[1:], (rows[-1][0] + 1, b"new"), (rows[-1][0] + 2, b"newer")]
        assert store.scan(1, LOG_KEY_FIRST, LOG_KEY_MAX, 99) == left


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
    log_rows_are_read_and_never_loaded,
    one_batch_changes_hot_rows_and_log_rows,
    a_range_takes_rows_of_its_kind_only,
    logs_agree_with_a_sorted_map,
    a_scan_ends_with_the_row_that_reaches_its_bytes,
    measures_tell_the_bytes_of_values,
    values_of_log_rows_may_be_huge,
    log_rows_outlive_the_object,
    close_waits_for_the_append_in_flight,
    a_place_belongs_to_one_store,
)
