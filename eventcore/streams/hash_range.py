"""Hash keys: the 128-bit MD5 of a partition key, and the ranges of them that shards own.

The open shards of a stream cover 0 to `HASH_KEY_MAX` once and without a gap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar, final

try:  # half the cost of hashlib's; not in every build of Python
    from _md5 import md5  # type: ignore[import-not-found]
except ImportError:  # pragma: no cover
    from hashlib import md5

__all__ = ["HASH_KEY_MAX", "HashRanges", "hash_key", "read_hash_key", "uniform_ranges"]

HASH_KEY_MAX: Final = (1 << 128) - 1
_DIGITS_MAX: Final = 39

_from_bytes: Final[Callable[..., int]] = int.from_bytes


def hash_key(partition_key: str) -> int:
    """Where a partition key lies among the hash keys: the MD5 of its UTF-8."""
    digest = md5(partition_key.encode("utf-8", "surrogatepass")).digest()  # noqa: S324
    return _from_bytes(digest, "big")


def read_hash_key(text: str) -> int | None:
    """An explicit hash key from its text; None for what is none."""
    if not text.isascii() or not text.isdecimal() or len(text.lstrip("0")) > _DIGITS_MAX:
        return None
    if len(text) > 1 and text[0] == "0":
        return None
    value = int(text)
    return value if value <= HASH_KEY_MAX else None


def uniform_ranges(count: int) -> list[tuple[int, int]]:
    """`count` ranges (first, last) of equal size, the last one with what is left over."""
    size = (HASH_KEY_MAX + 1) // count
    firsts = [size * at for at in range(count)]
    lasts = [first - 1 for first in firsts[1:]]
    return list(zip(firsts, [*lasts, HASH_KEY_MAX], strict=True))


class Owner(Protocol):
    """Who owns a range of hash keys."""

    @property
    def first_hash(self) -> int:
        """The first hash key of the range."""
        ...


O = TypeVar("O", bound=Owner)  # noqa: E741


@final
class HashRanges(Generic[O]):
    """Open shards by hash key. Immutable; a change of shards makes a new one."""

    __slots__ = ("firsts", "owners")

    def __init__(self, owners: Iterable[O]) -> None:
        self.owners: list[O] = sorted(owners, key=lambda owner: owner.first_hash)
        self.firsts = [owner.first_hash for owner in self.owners]

    def owner(self, key: int) -> O:
        """The owner of a hash key."""
        return self.owners[bisect_right(self.firsts, key) - 1]
