"""Who calls: access key, account and region, read from a request's Authorization header.

Signatures are not checked here. The account is the access key where that is twelve digits, so that
one daemon serves several accounts; any other access key means the default account. The region is
that of the credential's scope.

    Authorization: AWS4-HMAC-SHA256 Credential=<access key>/<date>/<region>/<service>/aws4_request,
    SignedHeaders=...
"""

from __future__ import annotations

import re
from typing import Final, final

from eventcore.arn import DEFAULT_ACCOUNT, DEFAULT_REGION

__all__ = ["ANONYMOUS", "Caller", "Callers"]

CACHED_MAX: Final = 1_024
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")


@final
class Caller:
    """An identity as far as it is known: it may be a claim."""

    __slots__ = ("access_key", "account", "region")

    def __init__(self, access_key: str, account: str, region: str) -> None:
        self.access_key = access_key
        self.account = account
        self.region = region


ANONYMOUS: Final = Caller("", DEFAULT_ACCOUNT, DEFAULT_REGION)
"""Who sends no credential."""


@final
class Callers:
    """Reads callers, and remembers CACHED_MAX credentials: a client sends the same one all day."""

    def __init__(self) -> None:
        self._known: dict[bytes, Caller] = {}

    def read(self, authorization: bytes | None) -> Caller:
        """The caller of an Authorization header; `ANONYMOUS` for none or one of another scheme."""
        if authorization is None:
            return ANONYMOUS
        start = authorization.find(b"Credential=")
        if start < 0:
            return ANONYMOUS
        end = authorization.find(b",", start)
        credential = authorization[start + 11 : end if end >= 0 else None]
        caller = self._known.get(credential)
        if caller is None:
            if len(self._known) >= CACHED_MAX:
                self._known.clear()
            caller = self._known[credential] = _parse(credential.strip())
        return caller


def _parse(credential: bytes) -> Caller:
    # An access key may itself hold slashes; the scope's four parts are counted from the end.
    parts = credential.decode("latin-1").rsplit("/", 4)
    access_key = parts[0]
    region = parts[2] if len(parts) == 5 else ""
    return Caller(
        access_key,
        access_key if _ACCOUNT.fullmatch(access_key) else DEFAULT_ACCOUNT,
        region if _REGION.fullmatch(region) else DEFAULT_REGION,
    )
