"""A program to be killed: appends numbered batches, prints each number once acknowledged.

    python store_appender.py KIND PATH FIRST

Batch n puts ROWS rows of value n and the row "latest"; it deletes the row that marks batch n - 1.
Its first line is the writer's pid, or 0.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable

from eventcore.outcome import Mutation
from eventcore.stores.base import Batch, Store
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore
from eventcore.testing.conformance import append

ROWS = 23
COPIES = 700
"""Of its number in a row: a batch of 16 kB or more, which takes several pages."""
LATEST = (2, 0)
MARKS = 3

KINDS: dict[str, Callable[[str], Store]] = {
    "inline-full": InlineSqliteStore,
    "inline-relaxed": lambda path: InlineSqliteStore(path, "relaxed"),
    "writer-full": WriterSqliteStore,
    "writer-relaxed": lambda path: WriterSqliteStore(path, "relaxed", relaxed_interval_ms=5),
}


def numbered_batch(number: int) -> Batch:
    """Batch `number`; everything in it says which one it is."""
    value = b"%d" % number
    batch = Batch()
    batch.add(1, [Mutation(number * ROWS + at, value * COPIES, None, True) for at in range(ROWS)])
    batch.add(LATEST[0], (Mutation(LATEST[1], value),))
    batch.add(MARKS, (Mutation(number, b""), Mutation(number - 1, None)))
    return batch


def whole_batches(store: Store) -> int:
    """How many batches are in the store; asserts that each is whole and none before is missing."""
    rows = list(store.load())
    numbers = [(key, value) for component, key, value in rows if component == 1]
    count, rest = divmod(len(numbers), ROWS)
    assert rest == 0, "a batch is there in part"
    assert numbers == [(at, b"%d" % (at // ROWS) * COPIES) for at in range(count * ROWS)]
    if count:
        assert [row for row in rows if row[0] == LATEST[0]] == [(*LATEST, b"%d" % (count - 1))]
        assert [row for row in rows if row[0] == MARKS] == [(MARKS, count - 1, b"")]
    return count


async def main(kind: str, path: str, first: int) -> None:
    """Appends until killed. Raises StoreError."""
    store = KINDS[kind](path)
    await store.open()
    os.write(1, b"%d\n" % (getattr(store, "writer_pid", None) or 0))
    for number in range(first, first + 1_000_000):
        error = await append(store, numbered_batch(number))
        if error is not None:
            raise error
        os.write(1, b"%d\n" % number)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
