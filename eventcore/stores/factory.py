"""Which store a path and two words of configuration mean."""

from __future__ import annotations

from typing import Literal

from eventcore.errors import InvalidParameter
from eventcore.stores.base import Durability, Store
from eventcore.stores.memory import MemoryStore
from eventcore.stores.sqlite import InlineSqliteStore, WriterSqliteStore

__all__ = ["Committer", "store_for"]

Committer = Literal["inline", "writer"]
"""inline: on the event loop, the embedded default.

writer: in a process of its own, the daemon's default.
"""


def store_for(
    path: str | None, durability: Durability = "full", committer: Committer = "inline"
) -> Store:
    """The store for a file, or the one in memory when `path` is None; not opened yet.

    Raises InvalidParameter for a path with durability "memory" (or an unknown word),
    UnsupportedOperation for the writer process on Windows.
    """
    if path is None:
        return MemoryStore()
    if durability == "memory":
        raise InvalidParameter("durability", 'is "memory", which has no file; leave the path out')
    if committer == "inline":
        return InlineSqliteStore(path, durability)
    if committer == "writer":
        return WriterSqliteStore(path, durability)
    raise InvalidParameter("committer", 'must be "inline" or "writer"', committer)
