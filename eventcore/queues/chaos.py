"""Which messages and calls a queue's chaos hits: pure functions of its seed, so that a run can be
repeated. See `queue_spec.Chaos` for what each kind does.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from eventcore.queues.queue_spec import Chaos

__all__ = ["delay_of", "is_duplicated", "is_reordered", "is_throttled"]

_RANGE: Final = 1 << 32


def _draw(seed: int, kind: bytes, number: int, count: int) -> float:
    """A number from 0 to 1, the same one each time for the same arguments."""
    text = b"%d %b %d %d" % (seed, kind, number, count)
    return int.from_bytes(blake2b(text, digest_size=4).digest(), "big") / _RANGE


def is_duplicated(chaos: Chaos, number: int, receives: int) -> bool:
    """Whether this receive leaves the message visible."""
    return chaos.duplicate > 0 and _draw(chaos.seed, b"duplicate", number, receives) < (
        chaos.duplicate
    )


def is_reordered(chaos: Chaos, number: int, receives: int) -> bool:
    """Whether the message goes to the back of the line instead of being received."""
    return chaos.reorder > 0 and _draw(chaos.seed, b"reorder", number, receives) < chaos.reorder


def delay_of(chaos: Chaos, number: int) -> int:
    """By how many ms the message is late."""
    if chaos.delay <= 0 or _draw(chaos.seed, b"delay", number, 0) >= chaos.delay:
        return 0
    return round(_draw(chaos.seed, b"length", number, 0) * chaos.delay_ms_max)


def is_throttled(chaos: Chaos, call: int) -> bool:
    """Whether call number `call` is refused."""
    return chaos.throttle > 0 and _draw(chaos.seed, b"throttle", call, 0) < chaos.throttle
