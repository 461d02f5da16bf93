"""A program whose files may not grow: fills a store, is given more room, recovers, reports.

python store_filler.py KIND PATH
"""

from __future__ import annotations

import asyncio
import resource
import sys

from eventcore.outcome import Mutation
from eventcore.stores.base import Batch
from eventcore.stores.factory import store_for
from eventcore.testing.conformance import append

LIMIT_BYTES = 300_000


def block(number: int) -> Batch:
    """A batch of 10 kB."""
    batch = Batch()
    batch.add(1, (Mutation(number, bytes(10_000), None, True),))
    return batch


async def main(kind: str, path: str) -> None:
    """Prints the error's type and text, then the rows before and after one more append."""
    store = store_for(path, "full", "inline" if kind == "inline" else "writer")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, hard))
    await store.open()
    count, error = 0, None
    while error is None and count < 1000:
        error = await append(store, block(count))
        count += error is None
    print(type(error).__name__, error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await store.recover()
    print(count, len(list(store.load())))
    assert await append(store, block(count)) is None
    print(len(list(store.load())))
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
