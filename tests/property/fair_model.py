"""A fair queue, written plainly: lists that are walked, and averages from the whole history.

A line of messages is those that came one after the other, and those that came back, lowest first; a
number whose message is not ready when it comes to the front is dropped. The lines of groups take
turns; see the rules in `eventcore.queues.fairness`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["FairModel", "ModelLine", "ModelMessage", "Undecided"]

POISON_RECEIVES = 3
HALF_LIFE_MS = 30_000
NEAR = 1e-9


class Undecided(Exception):
    """A share is so near to the limit that rounding decides."""


@dataclass
class ModelMessage:
    """One message; `is_received` is whether it was received, `delay_ends_ms` 0 without a delay."""

    number: int
    body: str
    group: str | None
    place: str = "ready"
    due_ms: int = 0
    delay_ends_ms: int = 0
    receives: int = 0
    is_received: bool = False
    handle: str = ""


@dataclass
class ModelLine:
    """A line of message numbers."""

    fresh: list[int] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)

    def first(self, ready: set[int]) -> int | None:
        self.returned.sort()
        for numbers in (self.fresh, self.returned):
            while numbers and numbers[0] not in ready:
                numbers.pop(0)
        return min(self.fresh[:1] + self.returned[:1], default=None)

    def take(self, ready: set[int]) -> int | None:
        number = self.first(ready)
        if number is not None:
            (self.fresh if self.fresh[:1] == [number] else self.returned).remove(number)
        return number


@dataclass
class FairModel:
    """One queue. `in_flight_min` and `share` say who is noisy, `use_min` whether time counts."""

    in_flight_min: int
    share: float
    use_min: float
    messages: dict[int, ModelMessage] = field(default_factory=dict)
    lines: dict[str | None, ModelLine] = field(default_factory=dict)
    late: dict[int, int] = field(default_factory=dict)
    quiet: list[str] = field(default_factory=list)
    noisy: list[str] = field(default_factory=list)
    stamps: dict[str, int] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    history: dict[str | None, list[tuple[int, int]]] = field(default_factory=dict)
    next_number: int = 0

    # Who is where

    def in_flight(self, group: str | None = None) -> int:
        """Of a group; of the queue with None."""
        return sum(
            m.place == "in flight" and (group is None or m.group == group)
            for m in self.messages.values()
        )

    def ready(self, group: str | None) -> set[int]:
        """The messages of a group, or without one, that a receive may give."""
        return {n for n, m in self.messages.items() if m.place == "ready" and m.group == group}

    def note(self, now_ms: int) -> None:
        """Notes how many messages are in flight from now on."""
        groups = {m.group for m in self.messages.values()} | set(self.history) | {None}
        for group in groups:
            self.history.setdefault(group, []).append((now_ms, self.in_flight(group)))

    def use(self, group: str | None, now_ms: int) -> float:
        """Messages in flight on average, each moment weighted by how long ago it is."""
        found = self.history.get(group, [])
        ends = [at_ms for at_ms, _ in found[1:]] + [now_ms]
        return sum(
            count * (_weight(end_ms, now_ms) - _weight(at_ms, now_ms))
            for (at_ms, count), end_ms in zip(found, ends, strict=True)
        )

    def is_noisy(self, group: str, now_ms: int) -> bool:
        own, total = self.in_flight(group), self.in_flight()
        if own >= self.in_flight_min and own > self.share * total:
            return True
        use, all_use = self.use(group, now_ms), self.use(None, now_ms)
        if use < self.use_min - NEAR:
            return False
        if use < self.use_min + NEAR or abs(use - self.share * all_use) < NEAR:
            raise Undecided
        return use > self.share * all_use

    # Lines and turns

    def line(self, group: str | None) -> ModelLine:
        return self.lines.setdefault(group, ModelLine())

    def stand(self, message: ModelMessage, *, is_last: bool) -> None:
        message.place = "ready"
        if message.group is None:
            if is_last and message.is_received:
                self.late[message.number] = self.next_number
        elif message.group not in self.quiet + self.noisy:
            self.quiet.append(message.group)
            is_late = is_last and message.is_received
            stamp = self.next_number if is_late else message.number
            self.stamps[message.group] = stamp
        line = self.line(message.group)
        (line.fresh if is_last else line.returned).append(message.number)

    def next(self, now_ms: int) -> ModelMessage | None:
        """The message that is received next, taken out of its line."""
        for group in list(self.noisy):
            if not self.ready(group):
                self.noisy.remove(group)
            elif not self.is_noisy(group, now_ms):
                self.noisy.remove(group)
                self.quiet.append(group)
        while self.quiet:
            group = self.quiet[0]
            if self.ready(group) and not self.is_noisy(group, now_ms):
                break
            self.quiet.pop(0)
            if self.ready(group):
                self.noisy.append(group)
        return (
            self.messages[number] if (number := self.next_number_of(now_ms)) is not None else None
        )

    def next_number_of(self, now_ms: int) -> int | None:
        alone = self.line(None).first(self.ready(None))
        if alone is not None:
            turn = self.late.get(alone, alone)
            if not self.quiet or turn < self.stamps[self.quiet[0]]:
                self.late.pop(alone, None)
                return self.line(None).take(self.ready(None))
        if self.quiet:
            return self.take(self.quiet, self.quiet[0])
        if self.noisy:
            return self.take(self.noisy, min(self.noisy, key=self.in_flight))
        return None

    def take(self, turns: list[str], group: str) -> int:
        number = self.line(group).take(self.ready(group))
        assert number is not None
        turns.remove(group)
        if len(self.ready(group)) > 1:
            turns.append(group)
            self.stamps[group] = self.next_number
        return number

    # What happens to messages

    def send(self, message: ModelMessage, due_ms: int, now_ms: int) -> None:
        self.next_number = message.number + 1
        self.messages[message.number] = message
        if due_ms > now_ms:
            message.place, message.due_ms = "delayed", due_ms
            message.delay_ends_ms = due_ms
            self.waiting.append(message.number)
        else:
            self.stand(message, is_last=True)
        self.note(now_ms)

    def give(self, message: ModelMessage, visible_ms: int, now_ms: int) -> None:
        message.place, message.due_ms = "in flight", visible_ms
        message.receives += 1
        message.is_received = True
        self.waiting.append(message.number)
        self.note(now_ms)

    def hide(self, message: ModelMessage, visible_ms: int, now_ms: int) -> None:
        self.leave(message)
        message.place, message.due_ms = "in flight", visible_ms
        self.waiting.append(message.number)
        self.note(now_ms)

    def leave(self, message: ModelMessage) -> None:
        """Takes a message out of where it is."""
        if message.place != "ready":
            self.waiting.remove(message.number)

    def delete(self, message: ModelMessage, now_ms: int) -> None:
        self.leave(message)
        self.late.pop(message.number, None)
        del self.messages[message.number]
        self.note(now_ms)

    def release(self, now_ms: int) -> None:
        """What is due is visible: delayed messages first, then those in flight."""
        due = [self.messages[n] for n in self.waiting if self.messages[n].due_ms <= now_ms]
        for place in ("delayed", "in flight"):
            for message in [m for m in due if m.place == place]:
                self.waiting.remove(message.number)
                self.stand(message, is_last=message.receives >= POISON_RECEIVES)
        self.note(now_ms)

    def purge(self) -> None:
        self.messages, self.lines, self.late, self.stamps = {}, {}, {}, {}
        self.quiet, self.noisy, self.waiting, self.history = [], [], [], {}

    def restart(self, now_ms: int) -> None:
        """Lines and turns are made anew of what is there, in the order of the sends; then what was
        received or delayed once, and is due by now, is due again.
        """
        there = sorted(self.messages.values(), key=lambda m: m.number)
        self.purge()
        for message in there:
            self.messages[message.number] = message
            if not message.delay_ends_ms:
                is_received, message.is_received = message.is_received, False
                self.stand(message, is_last=True)
                message.is_received = is_received
                if not is_received:
                    continue
            message.place = "in flight" if message.is_received else "delayed"
            self.waiting.append(message.number)
        self.waiting.sort(key=lambda n: (self.messages[n].due_ms, n))
        self.release(now_ms)


def _weight(at_ms: int, now_ms: int) -> float:
    return float(0.5 ** ((now_ms - at_ms) / HALF_LIFE_MS))
