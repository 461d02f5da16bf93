"""How the `streams` commands show records, times and tables: for people, one line each.

Data are text where they are UTF-8, and base64 where they are not. The lines go out through
`endpoint_options.write_line`, so nothing in them is obeyed by a terminal.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from eventcore.server.commands.streams_calls import Shard
from eventcore.streams.hash_range import HASH_KEY_MAX

__all__ = [
    "age_text",
    "as_json",
    "hash_text",
    "record_line",
    "share_text",
    "table",
    "time_text",
]

DATA_SHOWN_CHARACTERS: Final = 120
_UNITS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_HASH_KEYS: Final = HASH_KEY_MAX + 1


def time_text(at_ms: int) -> str:
    """A time in UTC, as ISO 8601 with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds")


def age_text(age_ms: int | None) -> str:
    """In the largest unit of which it has two; a dash for None."""
    if age_ms is None:
        return "-"
    for unit_ms, name in _UNITS:
        if age_ms >= 2 * unit_ms:
            return f"{age_ms // unit_ms} {name}"
    return f"{age_ms} ms"


def share_text(shard: Shard) -> str:
    """A shard's share of all hash keys."""
    return f"{100 * (shard.last_hash - shard.first_hash + 1) / _HASH_KEYS:.2f} %"


def hash_text(key: int) -> str:
    """A hash key, as wide as every other one."""
    return f"{key:039}"


def record_line(arrived_ms: int, shard_id: str, key: str, data: bytes) -> str:
    """A record with the first 120 characters of its data."""
    text, is_text = _text_of(data)
    shown = " ".join(text.splitlines()).replace("\t", " ") if is_text else f"base64:{text}"
    if len(shown) > DATA_SHOWN_CHARACTERS:
        shown = shown[: DATA_SHOWN_CHARACTERS - 1] + "…"
    return f"{time_text(arrived_ms)}  {shard_id}  {key}  {shown}"


def as_json(
    arrived_ms: int,
    shard_id: str,
    sequence_number: str,
    sub_sequence_number: int | None,
    key: str,
    data: bytes,
) -> dict[str, Any]:
    """A whole record; `data_base64` takes the place of `data` where they are not UTF-8."""
    text, is_text = _text_of(data)
    sub = {} if sub_sequence_number is None else {"sub_sequence_number": sub_sequence_number}
    return {
        "arrived_ms": arrived_ms,
        "shard_id": shard_id,
        "sequence_number": sequence_number,
        **sub,
        "partition_key": key,
        "data" if is_text else "data_base64": text,
    }


def table(rows: Sequence[tuple[str, ...]], left: int) -> str:
    """Rows, the head first, in aligned columns: the first `left` to the left, the others to the
    right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_row(row, widths, left) for row in rows)


def _row(row: tuple[str, ...], widths: Sequence[int], left: int) -> str:
    cells = [
        cell.ljust(width) if at < left else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _text_of(data: bytes) -> tuple[str, bool]:
    """The data as text, and whether they are one."""
    try:
        return data.decode(), True
    except UnicodeDecodeError:
        return b64encode(data).decode("ascii"), False
