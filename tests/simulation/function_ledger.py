"""What was given to simulated functions and their mappings, and what became of it.

Rules:

- Everything that is sent, put or enqueued is an *item* with a number of its own, in its body.
  Numbers rise, so the order of a message group or a partition key is that of its numbers.
- An item is done for a consumer (the queue for a message, a mapping for a record, the function for
  an event) when an invocation has succeeded that held it. The first time counts: everything may be
  done again after a crash.
- What is neither done nor there any more must have been dropped by a filter, have used up its
  retries or its age, or be in its dead-letter queue or destination.
- What a quiet moment saw settled never comes back: a deleted message, an event that has ended, a
  record behind its lane's position.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, final

from eventcore.mappings.mapping_spec import FOR_EVER, LanePosition, MappingSpec
from eventcore.mappings.shard_lane import lane_of, lanes_of

__all__ = ["Call", "Item", "Ledger", "Life", "MappingLife", "covers"]

Life = tuple[str, int, int]
"""A name, the component of its machine, and when it was made: what is made anew is another."""


@dataclass
class Item:
    """A message, a record or an event. `key` is its message group or partition key, `tag` what
    filters look at; `place` is a record's shard and number there, `id` an event's request.
    """

    number: int
    life: Life
    key: str
    tag: int
    at_ms: int
    place: tuple[int, int] = (0, 0)
    id: str = ""
    is_sure: bool = False


@dataclass
class MappingLife:
    """One mapping, from its making to its end, with all settings that it ever had."""

    uuid: str
    specs: list[MappingSpec]
    first_life: Life
    begins: dict[int, int]
    """The number of the first record that it is about, by shard, in the stream of that time."""
    settled: list[LanePosition] = field(default_factory=list)
    """The positions that a quiet moment saw."""
    settled_of: Life = ("", 0, 0)
    """The stream that they belong to."""

    @property
    def spec(self) -> MappingSpec:
        """The latest settings."""
        return self.specs[-1]

    def is_about(self, item: Item) -> bool:
        """Whether a record came after the mapping's beginning."""
        ordinal, number = item.place
        if item.life == self.first_life and number < self.begins.get(ordinal, 0):
            return False
        after_ms = self.spec.starting_ms
        return after_ms is None or item.life != self.first_life or item.at_ms >= after_ms

    def filters(self, item: Item) -> bool:
        """Whether an item may have been dropped by the filter."""
        return item.tag == 0 and any(spec.filters for spec in self.specs)

    def is_settled(self, item: Item) -> bool:
        """Whether the record is behind a position that was durable."""
        ordinal, number = item.place
        for position in self.settled:
            if item.life != self.settled_of or position.lanes != lanes_of(self.spec):
                return False  # another stream; or the shard begins anew, at its lowest lane
            if position.ordinal == ordinal and position.lane == lane_of(item.key, position.lanes):
                return number < position.number or position.is_end
        return False


@dataclass
class Call:
    """An invocation that runs. `consumer` is told in the module's text."""

    function: str
    consumer: str
    items: list[Item]
    mapping: MappingLife | None = None


@final
class Ledger:
    """All items, what runs, and what was done."""

    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.done: dict[tuple[str, int], int] = {}
        """The moment of the first success, by consumer and item."""
        self.failures: Counter[tuple[str, int]] = Counter()
        """Invocations that failed as a whole."""
        self.gone: set[tuple[str, int]] = set()
        """Items that are not there any more, by name of their source."""
        self.running: list[Call] = []
        self.overdue: set[int] = set()
        """Items that were in flight when the process stood still for longer than that may last."""
        self.invocations = 0
        self.repeats = 0

    def add(self, item: Item) -> Item:
        """Something was sent; whether it stays is not sure before its answer."""
        self.items[item.number] = item
        return item

    # Invocations

    def begin(self, call: Call) -> None:
        """A function is given items, in this order."""
        self.invocations += 1
        mapping = call.mapping
        numbers = [item.number for item in call.items]
        assert len(set(numbers)) == len(numbers), f"twice in one batch: {numbers}"
        for item in call.items:
            assert (item.life[0], item.number) not in self.gone, f"{item} came back"
            self.repeats += (call.consumer, item.number) in self.done
        if mapping is not None:
            self._check_batch(call, mapping)
        self.running.append(call)

    def _check_batch(self, call: Call, mapping: MappingLife) -> None:
        items, specs = call.items, mapping.specs
        assert len(items) <= max(spec.batch_size for spec in specs), "the batch is too large"
        if all(spec.filters for spec in specs):
            assert all(item.tag for item in items), "the filter let something through"
        others = [other for other in self.running if other.mapping is mapping]
        if mapping.spec.is_queue:
            bounds = [spec.concurrency_max for spec in specs]
            most = max((bound for bound in bounds if bound is not None), default=None)
            assert None in bounds or len(others) < (most or 0), "too many at a time"
            others = [other for other in self.running if other.consumer == call.consumer]
        else:
            assert not any(mapping.is_settled(item) for item in items), "a position went back"
            assert all(mapping.is_about(item) for item in items), "from before the mapping"
        if mapping.spec.is_queue and not mapping.spec.source_arn.endswith(".fifo"):
            return
        keys = {item.key for item in items}
        running = [item for other in others for item in other.items]
        busy = {item.key for item in running if item.number not in self.overdue}
        assert not keys & busy, f"{keys & busy} at the same time"
        for key in keys:
            own = [item.number for item in items if item.key == key]
            assert own == sorted(own), f"out of order: {own}"

    def end(self, call: Call, done: Iterable[Item], *, has_failed: bool) -> None:
        """It has ended; `done` succeeded. `has_failed`: nothing of it did."""
        self.running.remove(call)
        for item in done:
            self.done.setdefault((call.consumer, item.number), len(self.done))
        if has_failed:
            self.failures.update((call.consumer, item.number) for item in call.items)

    def stop(self, call: Call) -> None:
        """It was broken off, unless it went with its process."""
        if call in self.running:
            self.running.remove(call)

    # What is there

    def look(self, source: Life, there: set[int]) -> None:
        """A quiet moment: these items of a queue, or of a function's events, are there."""
        for item in self.items.values():
            if item.life == source:
                if item.number in there:
                    item.is_sure = True
                    assert (source[0], item.number) not in self.gone, f"{item} is there again"
                else:
                    self.gone.add((source[0], item.number))

    def missing(self, source: Life, consumer: str, there: set[int]) -> list[Item]:
        """Sure items of a source that are neither there nor done."""
        return [
            item
            for item in self.items.values()
            if item.life == source
            and item.is_sure
            and item.number not in there
            and (consumer, item.number) not in self.done
        ]

    def may_be_discarded(self, mapping: MappingLife, item: Item, now_ms: int) -> bool:
        """Whether a record has used up its retries or its age, by any settings it fell under."""
        failures = self.failures[mapping.uuid, item.number]
        for spec in mapping.specs:
            if spec.retries_max != FOR_EVER and failures > spec.retries_max:
                return True
            if spec.age_ms_max != FOR_EVER and now_ms - item.at_ms > spec.age_ms_max:
                return True
        return False

    def check_order(self, consumer: str, source: Life, skipped: Callable[[Item], bool]) -> None:
        """Of one group or key, what came earlier was done first, as far as it was done. `skipped`
        may have been dropped before: by a filter that holds no more, or into a dead-letter queue.
        """
        latest: dict[str, tuple[int, int]] = {}
        for item in self.items.values():
            moment = self.done.get((consumer, item.number))
            if item.life != source or moment is None or skipped(item):
                continue
            before = latest.get(item.key)
            assert before is None or before[0] < moment, (
                f"{consumer}: {item.number} of {item.key} was done before {before}"
            )
            latest[item.key] = (moment, item.number)


def covers(document: dict[str, Any], spec: MappingSpec, item: Item, shard_id: str) -> bool:
    """Whether a stream mapping's failure document tells of a record."""
    batch = document.get("KinesisBatchInfo")
    if batch is None or document["requestContext"]["functionArn"] != spec.function_arn:
        return False
    first, last = int(batch["startSequenceNumber"]), int(batch["endSequenceNumber"])
    return (
        batch["streamArn"] == spec.resource_arn
        and batch["shardId"] == shard_id
        and first <= int(item.id) <= last
    )
