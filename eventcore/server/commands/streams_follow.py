"""Reads all shards of a stream at once, and goes on with their children across resharding.

Rules of this file:

- A shard is read when all its parents are read to their ends, or are gone: so the records of a
  partition key come in the order in which they were put.
- Shards are polled: at the tip every `POLL_S`, more slowly where there are so many that it would
  be more than `CALLS_PER_S` calls a second.
- Iterators that expired are made again behind the last record that was seen. One at the tip that
  had not seen any begins anew at the time at which it was made.
- Whoever fails ends all of it: its error is raised, and `seen` says how far every shard was read.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final, final

from eventcore.bench.client import CallFailed
from eventcore.errors import NotFound
from eventcore.server.commands.streams_calls import (
    EXPIRED,
    NOT_FOUND,
    Record,
    Shard,
    StartAt,
    StreamClient,
)

__all__ = ["AFTER", "AT_TIMESTAMP", "LATEST", "TRIM_HORIZON", "Follower"]

TRIM_HORIZON: Final = "TRIM_HORIZON"
LATEST: Final = "LATEST"
AT_TIMESTAMP: Final = "AT_TIMESTAMP"
AFTER: Final = "AFTER_SEQUENCE_NUMBER"
POLL_S: Final = 0.5
CALLS_PER_S: Final = 200
NEW_SHARDS_POLL_S: Final = 2.0
RECORDS_MAX: Final = 1_000

Show = Callable[[str, Sequence[Record]], None]
"""Takes a shard's id and its next records."""


@final
class Follower:
    """Reads one stream. Used once."""

    def __init__(
        self,
        stream: StreamClient,
        name: str,
        show: Show,
        *,
        start: StartAt,
        after: Mapping[str, str],
        only: Collection[str] = (),
        follows: bool = True,
    ) -> None:
        """`after` has the sequence numbers behind which single shards begin; the others begin at
        `start`. With `only`, those shards are read and no others, not even their children. What
        `follows` not ends at the tips.
        """
        self.seen: dict[str, str] = dict(after)
        self._stream = stream
        self._name = name
        self._show = show
        self._start = start
        self._only = only
        self._follows = follows
        self._shards: dict[str, Shard] = {}
        self._over: set[str] = set()
        self._readers: dict[str, asyncio.Task[bool]] = {}
        self._begun: set[str] = set()

    @property
    def has_begun(self) -> bool:
        """Whether any shard was read at all."""
        return bool(self._begun)

    async def run(self) -> None:
        """Reads until every shard is read to its end, or its tip. Raises NotFound("shard"),
        CallFailed, EndpointUnreachable.
        """
        try:
            await self._list_first()
            while self._readers:
                await asyncio.wait(self._readers.values(), return_when=asyncio.FIRST_COMPLETED)
                if ended := self._collect():
                    await self._go_on(ended)
        finally:
            for reader in self._readers.values():
                reader.cancel()
            await asyncio.gather(*self._readers.values(), return_exceptions=True)

    def _collect(self) -> set[str]:
        """Takes out the readers that are done; the shards that were read to their ends."""
        done = [shard_id for shard_id, reader in self._readers.items() if reader.done()]
        ended = {shard_id for shard_id in done if self._readers.pop(shard_id).result()}
        self._over |= ended
        return ended

    # Which shards are read

    async def _list_first(self) -> None:
        await self._list()
        for shard_id in (*self._only, *self.seen):
            if shard_id not in self._shards:
                raise NotFound("shard", shard_id, self._name)
        if self._start.kind == LATEST and not self._only:
            later = self._descendants(self.seen)
            self._over = {
                shard.id
                for shard in self._shards.values()
                if not shard.is_open and shard.id not in self.seen and shard.id not in later
            }
            self._begin(later=later)
        else:
            self._begin()

    async def _go_on(self, ended: Collection[str]) -> None:
        """Begins with the children of shards that are over."""
        if self._only:
            return
        parents = {parent for shard in self._shards.values() for parent in shard.parents}
        if not parents.issuperset(ended):
            await self._list()
        self._begin(later=self._shards)
        while self._follows and not self._readers:  # children are yet to come
            await asyncio.sleep(NEW_SHARDS_POLL_S)
            await self._list()
            self._begin(later=self._shards)

    async def _list(self) -> None:
        self._shards = {shard.id: shard for shard in await self._stream.list_shards()}

    def _begin(self, later: Collection[str] = ()) -> None:
        """Starts reading what may be read now. Of `later` shards nothing may be left out: they
        begin with their first record where the others begin at the tip.
        """
        for shard in self._readable():
            self._begun.add(shard.id)
            start = self._start
            if shard.id in self.seen:
                start = StartAt(AFTER, self.seen[shard.id])
            elif start.kind == LATEST and shard.id in later:
                start = StartAt(TRIM_HORIZON)
            self._readers[shard.id] = asyncio.create_task(self._read(shard.id, start))

    def _readable(self) -> Iterator[Shard]:
        for shard in self._shards.values():
            if shard.id in self._begun or shard.id in self._over:
                continue
            if self._only:
                if shard.id in self._only:
                    yield shard
            elif not any(self._is_ahead(parent) for parent in shard.parents):
                yield shard

    def _is_ahead(self, parent: str) -> bool:
        """Whether a parent is yet to be read to its end."""
        return parent in self._shards and parent not in self._over

    def _descendants(self, ancestors: Collection[str]) -> set[str]:
        """All shards that came of these. Ids rise from parents to children."""
        found: set[str] = set()
        for shard in self._shards.values():
            if any(parent in ancestors or parent in found for parent in shard.parents):
                found.add(shard.id)
        return found

    # Reading one

    async def _read(self, shard_id: str, start: StartAt) -> bool:
        """Reads a shard; whether to its end, and not just to the tip."""
        iterator: str | None = None
        while True:
            try:
                if iterator is None:
                    made_s = time.time()
                    iterator = await self._stream.iterator(shard_id, start)
                    if start.kind == LATEST:
                        start = StartAt(AT_TIMESTAMP, at_s=made_s)
                page = await self._stream.get_records(iterator, RECORDS_MAX)
            except CallFailed as error:
                if error.code == NOT_FOUND and await self._is_gone(shard_id):
                    return True
                if error.code != EXPIRED:
                    raise
                iterator = None
                continue
            if page.records:
                self._show(shard_id, page.records)
                self.seen[shard_id] = page.records[-1].sequence_number
                start = StartAt(AFTER, self.seen[shard_id])
            iterator = page.next_iterator
            if iterator is None:
                return True
            if page.is_tip or not page.records:
                if page.is_tip and not self._follows:
                    return False
                await asyncio.sleep(max(POLL_S, len(self._readers) / CALLS_PER_S))

    async def _is_gone(self, shard_id: str) -> bool:
        """Whether it is the shard that has vanished. Raises CallFailed when it is the stream."""
        return shard_id not in {shard.id for shard in await self._stream.list_shards()}
