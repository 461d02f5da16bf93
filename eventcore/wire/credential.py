"""Who calls: access key, account and region, read from what a request is signed with.

Signatures are not checked here. The account is the access key where that is twelve digits, so that
one daemon serves several accounts, and those digits of a temporary key that was given out here; any
other access key means the default account. The region is that of the credential's scope.

    Authorization: AWS4-HMAC-SHA256 Credential=<access key>/<date>/<region>/<service>/aws4_request,
    SignedHeaders=...

Query requests may have it among their parameters: the same credential as `X-Amz-Credential`, or,
with signatures of version 2, `AWSAccessKeyId` alone, which leaves the default region.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, final

from eventcore.arn import DEFAULT_ACCOUNT, DEFAULT_REGION

__all__ = ["ANONYMOUS", "Caller", "Callers", "account_of", "temporary_key"]

CACHED_MAX: Final = 1_024
CACHED_BYTES_MAX: Final = 1_024
_ACCOUNT: Final = re.compile(r"[0-9]{12}|ASIA([0-9]{12})[A-Z2-7]{16}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,32}")


@final
class Caller:
    """An identity as far as it is known: it may be a claim.

    `service` is the one that the credential's scope names, as "sqs"; empty without a scope.
    """

    __slots__ = ("access_key", "account", "region", "service")

    def __init__(self, access_key: str, account: str, region: str, service: str = "") -> None:
        self.access_key = access_key
        self.account = account
        self.region = region
        self.service = service


ANONYMOUS: Final = Caller("", DEFAULT_ACCOUNT, DEFAULT_REGION)
"""Who sends no credential."""


@final
class Callers:
    """Reads callers, and remembers CACHED_MAX credentials: a client sends the same one all day.

    One of more than CACHED_BYTES_MAX is none that a client has, and is not kept.
    """

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
        return self._known.get(credential) or self._remember(credential)

    def read_parameters(self, form: Mapping[str, str]) -> Caller:
        """The caller that a Query request's parameters name; `ANONYMOUS` for none."""
        text = form.get("X-Amz-Credential") or form.get("AWSAccessKeyId")
        if not text:
            return ANONYMOUS
        credential = text.encode()
        return self._known.get(credential) or self._remember(credential)

    def _remember(self, credential: bytes) -> Caller:
        caller = _parse(credential.strip())
        if len(credential) <= CACHED_BYTES_MAX:
            if len(self._known) >= CACHED_MAX:
                self._known.clear()
            self._known[credential] = caller
        return caller


def account_of(access_key: str) -> str:
    """The account that an access key means."""
    found = _ACCOUNT.fullmatch(access_key)
    if found is None:
        return DEFAULT_ACCOUNT
    return found[1] or access_key


def temporary_key(account: str, suffix: str) -> str:
    """The access key of temporary credentials of an account; `suffix` is 16 characters of base32.

    Longer than AWS's own, which have twenty characters, so that those are never taken for ours.
    """
    return f"ASIA{account}{suffix}"


def _parse(credential: bytes) -> Caller:
    # An access key may itself hold slashes; the scope's four parts are counted from the end.
    parts = credential.decode("latin-1").rsplit("/", 4)
    access_key = parts[0]
    region, service = (parts[2], parts[3]) if len(parts) == 5 else ("", "")
    return Caller(
        access_key,
        account_of(access_key),
        region if _REGION.fullmatch(region) else DEFAULT_REGION,
        service,
    )
