"""Pages of a list of queues. A token says after which name to go on, so pages survive changes of
the list; it is good for the very same list only, as on AWS. It has two digests, so that one that
was tampered with is told from one of another list.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, final

from eventcore import limits
from eventcore.api.sqs_faults import invalid_parameter, invalid_value

__all__ = ["Page"]

_DIGEST_BYTES: Final = 6


@final
class Page:
    """One page, as asked for. `scope` is a text that tells this list from all others."""

    __slots__ = ("_count", "_has_token", "_mark", "_start")

    def __init__(self, scope: str, max_results: int | None, token: str | None) -> None:
        """Raises Fault InvalidParameterValue."""
        highest = limits.LIST_QUEUES_MAX
        if max_results is not None and not 1 <= max_results <= highest:
            raise invalid_value(
                max_results, "MaxResults", f"Must be >= 1 and <= {highest}, if provided."
            )
        self._count = highest if max_results is None else max_results
        self._has_token = max_results is not None
        self._mark = _digest(scope.encode())
        self._start = None if token is None else self._read(token)

    def cut(self, names: list[str], show: Callable[[str], str]) -> tuple[list[str], dict[str, str]]:
        """Of sorted names those of the page, as `show` shows them; and the member NextToken where
        more follow and MaxResults was given.
        """
        start = 0 if self._start is None else bisect_right(names, self._start)
        page = names[start : start + self._count]
        has_more = self._has_token and start + len(page) < len(names)
        token = {"NextToken": self._write(page[-1])} if has_more else {}
        return [show(name) for name in page], token

    def _write(self, name: str) -> str:
        content = self._mark + name.encode()
        return urlsafe_b64encode(_digest(content) + content).decode()

    def _read(self, token: str) -> str:
        try:
            decoded = urlsafe_b64decode(token.encode("ascii"))
            content = decoded[_DIGEST_BYTES:]
            name = content[_DIGEST_BYTES:].decode("ascii")
        except ValueError as error:
            raise invalid_parameter("Invalid or expired next token.") from error
        # The decoder passes over what is not base64; only what we write is a token.
        is_ours = decoded[:_DIGEST_BYTES] == _digest(content)
        if not name or not is_ours or urlsafe_b64encode(decoded) != token.encode():
            raise invalid_parameter("Invalid or expired next token.")
        if content[:_DIGEST_BYTES] != self._mark:
            raise invalid_parameter(
                "Invalid NextToken value. If you are passing in NextToken, you must not change the "
                "other request parameters."
            )
        return name


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
