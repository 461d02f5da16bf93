"""What a FIFO queue remembers of deduplication ids: each for five minutes from its send, whatever
becomes of the message.

- An id is kept as a digest of 16 bytes, made of the id alone or, where the queue deduplicates per
  message group, of the group and the id. An id taken per queue counts for every group, also after
  the queue was changed to deduplicate per group; one taken per group never counts for the whole
  queue. (So AWS was recorded to answer.)
- Digests are forgotten in the order of their sends. The row of the highest number stays, though it
  counts no more: it keeps sequence numbers from beginning again after a restart.
- One dict of bytes to bytes and one array of bytes: neither is walked by the garbage collector.
"""

from __future__ import annotations

import struct
from hashlib import blake2b, sha256
from typing import Final, final

from eventcore import limits
from eventcore.queues.deadlines import NEVER
from eventcore.queues.records import DeduplicationRecord

__all__ = ["Deduplication", "Known", "content_id", "digest_of"]

FORGET_PAUSE_MS: Final = 1_000
"""Rows are forgotten up to so much later, so that they go in slices and not one by one."""
_VALUE: Final = struct.Struct(">QQ16s")
_LINE: Final = struct.Struct(">16sQQ")
_NO_DIGEST: Final = bytes(16)
_SWEEP_BYTES: Final = 1 << 16

Known = tuple[int, bytes]
"""(number, message id) of a message that was taken."""


def digest_of(deduplication_id: str, group_id: str | None) -> bytes:
    """The digest of an id; of one per group where `group_id` is given."""
    if group_id is None:
        text = b"q" + deduplication_id.encode()
    else:
        text = b"g" + group_id.encode() + b"\0" + deduplication_id.encode()
    return blake2b(text, digest_size=16).digest()


def content_id(body: bytes) -> str:
    """The deduplication id of a body: its SHA-256 in hexadecimal, as on AWS."""
    return sha256(body).hexdigest()


@final
class Deduplication:
    """The ids that count at present."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        self._line = bytearray()
        self._head = 0
        self._per_queue = 0
        self._trimmed = 0
        self.highest = -1
        """The highest number taken in."""

    def find(self, digest: bytes, now_ms: int) -> Known | None:
        """The message that was taken under this digest, while it counts."""
        value = self._known.get(digest)
        if value is None:
            return None
        sent_ms, number, message_id = _VALUE.unpack(value)
        if sent_ms + limits.DEDUPLICATION_MS <= now_ms:
            return None
        return number, message_id

    def add(self, number: int, record: DeduplicationRecord) -> None:
        """Takes in a row, in the order of numbers. One that is there already is passed over."""
        if number <= self.highest:
            return
        self.highest = number
        digest = record.digest
        if digest:
            self._per_queue += digest not in self._known and not record.is_per_group
            self._known[digest] = _VALUE.pack(record.sent_ms, number, record.message_id)
        tail = number << 1 | record.is_per_group
        self._line += _LINE.pack(digest or _NO_DIGEST, record.sent_ms, tail)

    @property
    def has_per_queue(self) -> bool:
        """Whether any id was taken for the whole queue."""
        return self._per_queue > 0

    @property
    def next_ms(self) -> int:
        """When `forget` next has something to do; NEVER when nothing is remembered."""
        if self._head >= len(self._line):
            return NEVER
        sent_ms: int = _LINE.unpack_from(self._line, self._head)[1]
        return sent_ms + limits.DEDUPLICATION_MS + FORGET_PAUSE_MS

    def forget(self, now_ms: int, limit: int) -> tuple[int, int] | None:
        """Forgets at most `limit` ids whose time is over; (first, last) number whose rows can go.

        The row of the highest number stays.
        """
        line, oldest_ms = self._line, now_ms - limits.DEDUPLICATION_MS
        last = -1
        while self._head < len(line) and limit:
            digest, sent_ms, tail = _LINE.unpack_from(line, self._head)
            if sent_ms > oldest_ms:
                break
            limit -= 1
            self._head += _LINE.size
            last = tail >> 1
            value = self._known.get(digest)
            if value is not None and _VALUE.unpack(value)[1] == last:
                del self._known[digest]
                self._per_queue -= not tail & 1
        self._sweep()
        last = min(last, self.highest - 1)
        if last < self._trimmed:
            return None
        first, self._trimmed = self._trimmed, last + 1
        return first, last

    def _sweep(self) -> None:
        if self._head >= len(self._line):
            self._line = bytearray()
            self._head = 0
        elif self._head >= _SWEEP_BYTES and 2 * self._head > len(self._line):
            del self._line[: self._head]
            self._head = 0

    def check(self) -> None:
        """Asserts the rules of this file."""
        lined = {}
        for offset in range(self._head, len(self._line), _LINE.size):
            digest, sent_ms, tail = _LINE.unpack_from(self._line, offset)
            if digest != _NO_DIGEST:
                lined[digest] = (sent_ms, tail >> 1)
        for digest, value in self._known.items():
            assert lined[digest] == _VALUE.unpack(value)[:2], "an id would be forgotten too early"
        assert self._known.keys() == lined.keys(), "an id is forgotten too early"
