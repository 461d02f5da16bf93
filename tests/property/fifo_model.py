"""A FIFO queue, written as plainly as it can be: one list of messages in the order of their sends,
walked from its beginning for everything.

What it does not decide is which group comes first where a message that failed often is at the front
of one: the queue may put that one last.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Attempt", "Known", "Model", "ModelMessage", "Taken"]

FIVE_MINUTES_MS = 300_000
POISON_RECEIVES = 3


@dataclass
class ModelMessage:
    """One message. `handle` is that of its latest receive here, None before the first."""

    number: int
    body: str
    group: str
    sent_ms: int
    receives: int = 0
    visible_ms: int = 0
    received_ms: int = 0
    handle: str | None = None


@dataclass
class Known:
    """A deduplication id that was taken; `group` is None where it counts for all groups."""

    id: str
    group: str | None
    sent_ms: int
    number: int
    message_id: bytes


@dataclass
class Attempt:
    """What a receive with an attempt id gave out."""

    started_ms: int
    visible_ms: int
    handles: list[tuple[int, str]]


@dataclass
class Taken:
    """What a receive does to one group: its messages in order, each "dead" or "given"."""

    is_poison: bool
    messages: list[tuple[str, ModelMessage]]


@dataclass
class Model:
    """The settings, the messages, and what is remembered of those that are gone."""

    delay_ms: int = 0
    retention_ms: int = 60_000
    timeout_ms: int = 5_000
    receives_max: int | None = None
    is_per_group: bool = False
    messages: list[ModelMessage] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    cursor: int = 0
    below: int = 0

    # Sends

    def duplicate_of(self, deduplication_id: str, group: str, now_ms: int) -> Known | None:
        """The latest that counts of those taken under the id; for its own group before all."""
        counting = [
            k
            for k in self.known
            if k.id == deduplication_id and k.sent_ms + FIVE_MINUTES_MS > now_ms
        ]
        for_group = [k for k in counting if k.group == group]
        for_all = [k for k in counting if k.group is None]
        found = (for_group or for_all) if self.is_per_group else for_all
        return found[-1] if found else None

    def put(self, message: ModelMessage, deduplication_id: str | None, message_id: bytes) -> None:
        self.messages.append(message)
        if deduplication_id is not None:
            group = message.group if self.is_per_group else None
            self.known.append(
                Known(deduplication_id, group, message.sent_ms, message.number, message_id)
            )

    # What is visible

    def state(self, message: ModelMessage, now_ms: int) -> str:
        if message.handle is None:
            return "visible" if message.sent_ms + self.delay_ms <= now_ms else "delayed"
        return "visible" if message.visible_ms <= now_ms else "in flight"

    def boundaries(self) -> list[int]:
        """Every time at which something ends, or will have ended."""
        ends = [known.sent_ms + FIVE_MINUTES_MS for known in self.known[-5:]]
        ends += [attempt.started_ms + FIVE_MINUTES_MS for attempt in self.attempts.values()]
        for message in self.messages:
            ends += [message.sent_ms + self.retention_ms]
            ends += [message.visible_ms or message.sent_ms + self.delay_ms]
        return sorted(set(ends))

    def counts(self, now_ms: int) -> tuple[int, int, int]:
        states = [self.state(m, now_ms) for m in self.messages]
        return states.count("visible"), states.count("in flight"), states.count("delayed")

    def drop_expired(self, now_ms: int) -> None:
        self.messages = [m for m in self.messages if m.sent_ms + self.retention_ms > now_ms]

    def takeable(self, now_ms: int, is_reachable: bool) -> dict[str, Taken]:
        """By group, in the order of their front messages: what a receive without an end takes."""
        found: dict[str, Taken] = {}
        closed: set[str] = set()
        for message in self.messages:
            if message.group in closed:
                continue
            if self.state(message, now_ms) != "visible":
                closed.add(message.group)
                continue
            is_received = message.handle is not None
            is_poison = is_received and message.receives >= POISON_RECEIVES
            is_over = self.receives_max is not None and message.receives >= self.receives_max
            fate = "dead" if is_received and is_over and is_reachable else "given"
            taken = found.setdefault(message.group, Taken(is_poison, []))
            taken.messages.append((fate, message))
        return found

    def repeatable(self, attempt_id: str, now_ms: int) -> list[ModelMessage] | None:
        """The messages of an attempt, if they can be given once more."""
        attempt = self.attempts.get(attempt_id)
        if attempt is None or attempt.started_ms + FIVE_MINUTES_MS <= now_ms:
            return None
        if attempt.visible_ms <= now_ms:
            return None
        there = {(m.number, m.handle): m for m in self.messages}
        again = [there.get(key) for key in attempt.handles]
        if any(m is None or m.visible_ms != attempt.visible_ms for m in again):
            return None
        return [m for m in again if m is not None]

    # Move tasks

    def movable(self, count: int, now_ms: int) -> list[ModelMessage]:
        """The next messages that a move task takes."""
        found: list[ModelMessage] = []
        closed: set[str] = set()
        for message in self.messages:
            is_visible = self.state(message, now_ms) == "visible"
            is_ours = self.cursor <= message.number < self.below
            if is_ours and is_visible and message.group not in closed and len(found) < count:
                found.append(message)
            else:
                closed.add(message.group)
        return found
