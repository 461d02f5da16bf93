"""The lineage in a trace header: how often each function was invoked in one chain of requests.

    Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Lineage=a87bd80c:1|68fd508a:5

A function passes the header on with every request that it makes, and every invocation counts its
function up, so a function that invokes itself, through whatever lies between, sees its own count
grow. Rules of this file:

- A function is eight hexadecimal digits of its ARN's SHA-256, the ARN without a qualifier.
- What is read is never trusted: a header that can not be read is replaced, and no text is an error.
- A header keeps to `limits.TRACE_HEADER_CHARACTERS_MAX` and a lineage to `ENTRIES_MAX`. What has to
  give way are the functions that were invoked least, the earliest first; after them members of the
  header that say nothing here. The Root and the function itself always stay.
- Both forms that AWS's clients write are read: "hash:count", and one entry "requests:hash:count".
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256
from typing import Final

from eventcore import limits

__all__ = ["COUNT_MAX", "ENTRIES_MAX", "count", "extend", "short_hash"]

COUNT_MAX: Final = 32_767
"""Beyond which nothing is counted."""
ENTRIES_MAX: Final = 32
"""Functions in one lineage."""
_LINEAGE: Final = "Lineage"
_ROOT: Final = "Root"
_ROOT_TEXT: Final = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}", re.ASCII)
_MEMBER: Final = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,31})=([\x21-\x3a\x3c-\x7e]{1,200})", re.ASCII)
_ENTRY: Final = re.compile(r"(?:[0-9]{1,5}:)?([0-9a-f]{8}):([0-9]{1,5})", re.ASCII)
_READ_CHARACTERS_MAX: Final = 4 * limits.TRACE_HEADER_CHARACTERS_MAX


def count(trace_header: str, function_arn: str) -> int:
    """How often the function was invoked in this chain before; 0 for a header that can not be
    read. A qualifier in the ARN makes another function of it.
    """
    return _entries(_members(trace_header).get(_LINEAGE, "")).get(short_hash(function_arn), 0)


def extend(
    trace_header: str, function_arn: str, root_ms: int = 0, root_id: bytes = bytes(12)
) -> str:
    """The header to pass on from an invocation of the function: its count is one more.

    Where there is no Root that can be read, the header is made anew, with one of `root_ms` (epoch
    ms) and the first 12 bytes of `root_id`.
    """
    members = _members(trace_header)
    own = short_hash(function_arn)
    entries = _entries(members.pop(_LINEAGE, ""))
    entries[own] = min(entries.get(own, 0) + 1, COUNT_MAX)
    if not members:
        seconds = root_ms // 1000 & 0xFFFFFFFF
        members[_ROOT] = f"1-{seconds:08x}-{root_id[:12].ljust(12, bytes(1)).hex()}"
    while len(entries) > ENTRIES_MAX:
        _forget_one(entries, own)
    header = _written(members, entries)
    while len(header) > limits.TRACE_HEADER_CHARACTERS_MAX:
        if len(members) > 1:
            members.popitem()
        else:
            _forget_one(entries, own)
        header = _written(members, entries)
    return header


@lru_cache(maxsize=4096)
def short_hash(function_arn: str) -> str:
    """The eight digits that stand for a function in a lineage."""
    return sha256(function_arn.encode(errors="surrogatepass")).hexdigest()[:8]


def _members(trace_header: str) -> dict[str, str]:
    """The members of a header, its Root first; none for one that can not be read."""
    if not trace_header or len(trace_header) > _READ_CHARACTERS_MAX:
        return {}
    members: dict[str, str] = {}
    for part in trace_header.split(";"):
        match = _MEMBER.fullmatch(part.strip(" "))
        if match is not None:
            members.setdefault(match[1], match[2])
        elif part.startswith(f"{_LINEAGE}="):  # longer than a member may be
            members.setdefault(_LINEAGE, part.partition("=")[2])
    root = members.pop(_ROOT, "")
    return {_ROOT: root, **members} if _ROOT_TEXT.fullmatch(root) else {}


def _entries(lineage: str) -> dict[str, int]:
    """The counts of a lineage, in its order. What is no entry is passed over."""
    entries: dict[str, int] = {}
    for part in lineage.split("|"):
        match = _ENTRY.fullmatch(part)
        if match is not None:
            entries[match[1]] = max(entries.get(match[1], 0), min(int(match[2]), COUNT_MAX))
    return entries


def _forget_one(entries: dict[str, int], own: str) -> None:
    del entries[min((name for name in entries if name != own), key=lambda name: entries[name])]


def _written(members: dict[str, str], entries: dict[str, int]) -> str:
    lineage = "|".join(f"{name}:{times}" for name, times in entries.items())
    head = ";".join(f"{name}={value}" for name, value in members.items())
    return f"{head};{_LINEAGE}={lineage}"
