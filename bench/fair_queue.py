"""Dwell times in a queue that one tenant floods, in virtual time: the queue machine, senders and
consumers as numbers on a clock, so that a run is the same on every machine.

One group sends `flood` messages at once. `QUIET_GROUPS` others send a message a second each, one
after the other. Consumers receive one message at a time and delete it after their service time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush

from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest
from eventcore.queues.standard import StandardQueue
from eventcore.testing import SeededIds

__all__ = ["Dwell", "Load", "Result", "simulate"]

START_MS = 1_700_000_000_000
NOISY = "noisy"
QUIET_GROUPS = 9
PAUSE_MS = 1_000
VISIBILITY_MS = 600_000


@dataclass(frozen=True)
class Load:
    """What is sent and who works on it; times in ms. `has_groups` is whether messages say whose
    they are.
    """

    has_groups: bool
    flood: int = 100_000
    consumers: int = 20
    service_ms: int = 50
    noisy_service_ms: int = 50
    duration_ms: int = 60_000


@dataclass
class Dwell:
    """How long messages were in the queue before they were received, in ms."""

    times_ms: list[int] = field(default_factory=list)

    def at(self, share: float) -> int:
        """The time within which this share of the messages was received."""
        ordered = sorted(self.times_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def longest(self) -> int:
        """The longest time."""
        return max(self.times_ms)


@dataclass
class Result:
    """The dwell times of one run. The quiet groups' are complete, the noisy one's as far as it was
    received until then.
    """

    quiet: Dwell = field(default_factory=Dwell)
    noisy: Dwell = field(default_factory=Dwell)
    noisy_groups_seen: int = 0


def simulate(load: Load) -> Result:
    """Runs until every message of the quiet groups was received."""
    return _Simulation(load).run()


class _Simulation:
    def __init__(self, load: Load) -> None:
        self.load = load
        self.queue = StandardQueue("arn:aws:sqs:us-east-1:000000000000:shared", SeededIds(1))
        self.queue.configure(QueueSpec(visibility_timeout_ms=VISIBILITY_MS), START_MS)
        self.result = Result()
        self.now_ms = START_MS
        self.events: list[tuple[int, int, str]] = []
        """(when, a number that keeps the order, what): a group sends, or a handle is deleted."""
        self.count = 0
        self.idle = load.consumers
        self.senders: list[tuple[int, str]] = []
        """(sent, group) by the message's number."""
        self.quiet_left = 0

    def run(self) -> Result:
        for _ in range(self.load.flood):
            self.send(NOISY)
        for sent_ms in range(0, self.load.duration_ms, PAUSE_MS):
            for group in range(QUIET_GROUPS):
                offset_ms = group * PAUSE_MS // QUIET_GROUPS
                self.at(START_MS + sent_ms + offset_ms, f"quiet-{group}")
                self.quiet_left += 1
        self.work()
        while self.quiet_left:
            self.now_ms, _, what = heappop(self.events)
            if what.startswith("quiet-"):
                self.send(what)
            else:
                self.queue.delete(what, self.now_ms)
                self.idle += 1
            self.work()
        return self.result

    def at(self, when_ms: int, what: str) -> None:
        self.count += 1
        heappush(self.events, (when_ms, self.count, what))

    def send(self, group: str) -> None:
        self.senders.append((self.now_ms, group))
        tenant = group if self.load.has_groups else None
        self.queue.send(SendEntry(str(len(self.senders) - 1), group_id=tenant), self.now_ms)

    def work(self) -> None:
        """Idle consumers receive what there is."""
        while self.idle:
            messages = self.queue.receive(ReceiveRequest(1), self.now_ms).value
            if not messages:
                return
            self.idle -= 1
            (message,) = messages
            sent_ms, group = self.senders[message.key & 0xFFFFFFFFFFFF]
            is_noisy = group == NOISY
            dwell = self.result.noisy if is_noisy else self.result.quiet
            dwell.times_ms.append(self.now_ms - sent_ms)
            self.quiet_left -= not is_noisy
            service_ms = self.load.noisy_service_ms if is_noisy else self.load.service_ms
            self.at(self.now_ms + service_ms, message.receipt_handle)
            if len(dwell.times_ms) % 100 == 0:
                seen = self.queue.statistics(self.now_ms).noisy_groups
                self.result.noisy_groups_seen = max(self.result.noisy_groups_seen, seen)
