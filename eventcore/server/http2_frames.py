"""The frames of an HTTP/2 connection, seen from outside: where they end, and what they cost.

h2 parses frames and checks what they say. It does not tell whether one is incomplete, does not
count those that do nothing, and takes a client's GOAWAY for the end of everything, while the client
waits for its answers (RFC 9113, 6.8). So each frame's header is looked at here first.

Rules of this file:

- Bytes are handed on unchanged and in order, apart from GOAWAY frames, which are kept back, and
  from a frame header that is incomplete, which waits for its rest.
- Nothing is judged: a frame of a wrong length or kind is for h2 to refuse.
"""

from __future__ import annotations

from typing import Final, final

__all__ = ["Allowance", "FrameGate", "goaway_frame"]

PREFACE_BYTES: Final = 24
HEADER_BYTES: Final = 9
SMALL_DATA_BYTES: Final = 64
"""A frame of a body with less than this, and not the last one, counts as a small frame."""

DATA: Final = 0
HEADERS: Final = 1
SETTINGS: Final = 4
GOAWAY: Final = 7
CONTINUATION: Final = 9

END_STREAM: Final = 1
ACK: Final = 1
END_HEADERS: Final = 4


@final
class FrameGate:
    """Goes along with what one client sends.

    Counts from the start on, for the reader to compare: `units`, the frames and header blocks
    begun; `small_frames`; `settings`. `block_bytes` are those of the last header block.
    """

    __slots__ = (
        "_begun",
        "_is_in_block",
        "_is_kept_back",
        "_rest",
        "block_bytes",
        "is_leaving",
        "settings",
        "small_frames",
        "units",
    )

    def __init__(self) -> None:
        self._begun = b""
        self._rest = PREFACE_BYTES
        self._is_kept_back = self._is_in_block = False
        self.is_leaving = False
        self.block_bytes = self.small_frames = self.settings = self.units = 0

    @property
    def is_partial(self) -> bool:
        """Whether a frame or a header block has begun and is not complete."""
        return self._rest > 0 or self._is_in_block or bool(self._begun)

    def feed(self, data: bytes) -> bytes:
        """Looks at what came; returns what h2 has to see of it."""
        if self._begun:
            data = self._begun + data
            self._begun = b""
        kept: list[bytes] = []
        size = len(data)
        start = position = 0
        while True:
            if self._rest:
                step = min(self._rest, size - position)
                position += step
                self._rest -= step
                if self._is_kept_back:
                    start = position
                if self._rest:
                    break
                self._is_kept_back = False
            if size - position < HEADER_BYTES:
                break
            length = int.from_bytes(data[position : position + 3])
            self._rest = HEADER_BYTES + length
            if data[position + 3] == GOAWAY:
                self.is_leaving = self._is_kept_back = True
                kept.append(data[start:position])
            self._note(data[position + 3], data[position + 4], length)
        if position < size:
            self._begun = data[position:]
        elif not kept and start == 0:
            return data
        kept.append(data[start:position])
        return b"".join(kept)

    def _note(self, kind: int, flags: int, length: int) -> None:
        self.units += 1
        if kind == DATA:
            if length < SMALL_DATA_BYTES and not flags & END_STREAM:
                self.small_frames += 1
        elif kind == HEADERS:
            self.block_bytes = length
            self._is_in_block = not flags & END_HEADERS
        else:
            self.small_frames += 1
            if kind == CONTINUATION:
                self.units -= 1
                self.block_bytes += length
                self._is_in_block = not flags & END_HEADERS
            elif kind == SETTINGS and not flags & ACK:
                self.settings += 1


@final
class Allowance:
    """So many at once, and so many per second after that."""

    __slots__ = ("_at_ms", "_burst", "_left", "_per_s")

    def __init__(self, burst: int, per_s: int, now_ms: int) -> None:
        self._burst = self._left = burst * 1_000
        self._per_s = per_s
        self._at_ms = now_ms

    def spend(self, count: int, now_ms: int) -> bool:
        """Takes `count`; returns whether there were as many."""
        left = self._left + (now_ms - self._at_ms) * self._per_s
        self._left = min(left, self._burst) - count * 1_000
        self._at_ms = now_ms
        return self._left >= 0

    def give(self, count: int) -> None:
        """Allows `count` more, as far as the burst goes."""
        self._left = min(self._left + count * 1_000, self._burst)


def goaway_frame(last_stream_id: int, code: int, reason: bytes = b"") -> bytes:
    """Tells the client to open no more streams: those up to `last_stream_id` are served.

    Written here, since h2 sends nothing more on a connection after its own.
    """
    length = 8 + len(reason)
    head = length.to_bytes(3) + bytes([GOAWAY, 0]) + bytes(4)
    return head + last_stream_id.to_bytes(4) + code.to_bytes(4) + reason
