"""Pages of lists: a token names the last entry of the page before.

Lists are in the order of their names, so a page goes on behind that name whether or not its entry
is still there, and nothing is kept for a list between two requests.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode

from eventcore import limits
from eventcore.api.events_constraints import check_length, validation

__all__ = ["read_token", "write_token"]


def write_token(last: str) -> str:
    """The token of the page behind this name."""
    return urlsafe_b64encode(last.encode()).decode()


def read_token(token: str | None) -> str:
    """The name behind which a page begins, "" for the first page. Raises the fault for a token
    that is none of ours.
    """
    if token is None:
        return ""
    check_length("nextToken", token, 1, limits.NEXT_TOKEN_CHARACTERS_MAX)
    try:
        return b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise validation("Parameter NextToken is not valid.") from error
