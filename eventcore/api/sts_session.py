"""Temporary credentials: who their holder is, and how they say it.

Rules of this file:

- Nothing is kept of them. The access key has the account in it (`eventcore.wire.credential`), and
  the session token says who the holder is; both outlive a restart, and neither is a secret, since
  no signature is checked.
- A session token belongs to its access key: with another key it says nothing. It comes in a header,
  or, where the request was signed ahead, in the query string.
- They have a time at which they expire, as AWS's have, and SDKs ask for new ones then. They are
  good for ever all the same: nothing is enforced.
"""

from __future__ import annotations

from base64 import b32encode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b
from typing import Any, Final, final

import msgspec

from eventcore.api.iam_answers import shown_time
from eventcore.api.operation import Call
from eventcore.codec import encode_record, record_decoder
from eventcore.wire.aws_query import parse_parameters
from eventcore.wire.credential import temporary_key

__all__ = ["TOKEN_HEADER", "Session", "issue", "session_of"]

TOKEN_HEADER: Final = b"x-amz-security-token"
_SIGNED_AHEAD: Final = "X-Amz-Security-Token"
_KEY_CHARACTERS: Final = 16
_DIGEST_BYTES: Final = 8
_TOKEN_BYTES_MAX: Final = 4_096


@final
class Session(msgspec.Struct, frozen=True, array_like=True):
    """What a session token says: the access key that it belongs to, and who its holder is, as
    GetCallerIdentity tells it.
    """

    access_key: str
    arn: str
    user_id: str


_decode: Final = record_decoder(Session)


def issue(call: Call, account: str, arn: str, user_id: str, seconds: int) -> dict[str, Any]:
    """New temporary credentials of an account, as the member Credentials shows them."""
    ids = call.engine.ids
    access_key = temporary_key(
        account, b32encode(ids.unique_id()).decode("ascii")[:_KEY_CHARACTERS]
    )
    secret = b64encode(ids.unique_id() + ids.unique_id()[:14]).decode("ascii")
    content = encode_record(Session(access_key, arn, user_id))
    return {
        "AccessKeyId": access_key,
        "SecretAccessKey": secret,
        "SessionToken": urlsafe_b64encode(content + _digest(content)).decode("ascii"),
        "Expiration": shown_time(call.engine.now_ms() + seconds * 1000),
    }


def session_of(call: Call) -> Session | None:
    """The session that a request's token tells of; None without one of ours."""
    request = call.request
    text = request.headers.get(TOKEN_HEADER) or _token_of_query(request.target)
    if text is None or len(text) > _TOKEN_BYTES_MAX:
        return None
    try:
        content = urlsafe_b64decode(text)
        session = _decode(content[:-_DIGEST_BYTES])
    except (ValueError, msgspec.DecodeError):
        return None
    content, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if digest != _digest(content) or session.access_key != call.access_key:
        return None
    return session


def _token_of_query(target: bytes) -> bytes | None:
    query = target.partition(b"?")[2]
    if not query:
        return None
    token = parse_parameters(query, b"").get(_SIGNED_AHEAD)
    return None if token is None else token.encode()


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
