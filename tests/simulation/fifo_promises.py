"""What FIFO queues promise beyond the ledger: one message per deduplication id in five minutes,
rising sequence numbers, and no message before an earlier one of its group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from eventcore.queues.message import SendResult

__all__ = ["FifoPromises", "Sent"]

WINDOW_MS = 300_000


@dataclass
class Sent:
    """A send under a deduplication id; it is sure once its answer has come. `life` counts how often
    the queue had been deleted.
    """

    queue: str
    life: int
    sent_ms: int
    message_id: bytes
    sequence: int
    is_sure: bool = False


@final
class FifoPromises:
    """All FIFO queues of one world."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, str], list[Sent]] = {}
        self._highest: dict[str, int] = {}
        self._lives: dict[str, int] = {}
        self.duplicates = 0

    def sent(self, queue: str, key: str, result: SendResult, now_ms: int) -> tuple[Sent, bool]:
        """What an answer stands for, and whether a message was put."""
        known = self._sent.setdefault((queue, key), [])
        counting = [sent for sent in known if sent.sent_ms + WINDOW_MS > now_ms]
        for sent in counting:
            if sent.message_id == result.id:
                assert sent.sequence == result.sequence, f"{key}: another sequence number"
                self.duplicates += 1
                return sent, False
        assert all(sent.message_id != result.id for sent in known), f"{key} counts too long"
        assert not any(sent.is_sure for sent in counting), f"{key} was taken twice"
        highest = self._highest.get(queue, 0)
        assert result.sequence > highest, f"sequence {result.sequence} after {highest}"
        sent = Sent(queue, self._lives.get(queue, 0), now_ms, result.id, result.sequence)
        known.append(sent)
        return sent, True

    def sure(self, sent: list[Sent]) -> None:
        """The answer to these has come, and stands."""
        for each in sent:
            if each.life == self._lives.get(each.queue, 0):
                each.is_sure = True
                self._highest[each.queue] = max(self._highest.get(each.queue, 0), each.sequence)

    def dropped(self, queue: str) -> None:
        """The queue was deleted, or will have been: nothing that it knew is sure."""
        self._highest.pop(queue, None)
        self._lives[queue] = self._lives.get(queue, 0) + 1
        for (name, _), known in self._sent.items():
            if name == queue:
                for sent in known:
                    sent.is_sure = False

    def check_order(self, given: list[tuple[str, int]], there: dict[str, tuple[int, str]]) -> None:
        """`given` is (body, number) of one receive's messages in order, `there` the number and the
        group of all messages of the queue: no earlier one of a group may be left behind.
        """
        passed: set[str] = set()
        for body, number in given:
            group = there[body][1]
            for other, (earlier, others_group) in there.items():
                if others_group == group and earlier < number:
                    assert other in passed, f"{body} was given before {other} of its group"
            passed.add(body)
