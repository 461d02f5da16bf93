"""Pages of Lambda's lists: a marker says after which entry the next page begins.

Entries that came or went between two pages are seen so. A marker is an entry's key in base64: it is
no secret, and an old one stays good.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from eventcore.api.functions_faults import invalid_value

__all__ = ["page_of"]

T = TypeVar("T")

ITEMS_DEFAULT: Final = 50


def page_of(
    entries: Sequence[T], key: Callable[[T], str], marker: str | None, items_max: int | None
) -> tuple[Sequence[T], str | None]:
    """The entries of a page, and the next page's marker, None after the last. `entries` are in the
    order of their keys. Raises the fault for what is no marker.
    """
    start = bisect_right(entries, _read(marker), key=key) if marker else 0
    end = start + (items_max or ITEMS_DEFAULT)
    page = entries[start:end]
    return page, _write(key(page[-1])) if page and end < len(entries) else None


def _write(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode("ascii")


def _read(marker: str) -> str:
    try:
        key = urlsafe_b64decode(marker.encode("ascii")).decode()
    except ValueError:
        key = None
    if key is None or _write(key) != marker:
        raise invalid_value("The provided Marker is invalid.")
    return key
