"""Webhooks: deliveries to an HTTP endpoint, one POST each.

    POST /hook HTTP/1.1
    content-type: application/json
    webhook-id: 6f1c...              the delivery's id, the same over all attempts
    webhook-timestamp: 1700000000    of the attempt, in seconds
    webhook-signature: v1,...        with the option `secret`: base64 of the HMAC-SHA256 of
                                     "<id>.<timestamp>.<body>", as Standard Webhooks says
    eventcore-source-arn: arn:...    the rule
    eventcore-attempt: 1

Rules of this file:

- 2xx: delivered. 408, 425, 429, 5xx, and no answer at all: may be tried again, not before the time
  that `Retry-After` names. Everything else, redirects included: never again. Redirects are not
  followed: they would lead where nobody has looked.
- Addresses that are not public are refused (`address_guard`), unless the option `allow_private` is
  "true". A name without a public address is tried again, since names change; a URL that holds a
  private address is not even taken.
- TLS certificates are verified against the host name of the URL. Proxy settings of the environment
  are not used, since a proxy would resolve the name for itself.
- An answer's body is not read beyond RESPONSE_BYTES_MAX, and the exchange ends after `timeout_ms`.
- An endpoint can be a function, too (`invoke`): the event is posted with the same headers, the
  answer is the function's, up to ANSWER_BYTES_MAX, and the time is the function's own.

aiohttp, and not httpx, because its resolver is a parameter: what is judged is what is connected to,
with the URL's own name in TLS and in Host.
"""

from __future__ import annotations

import hmac
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from ipaddress import ip_address
from typing import Final, final

import aiohttp
from yarl import URL

from eventcore.connect import Delivery, EndpointAnswer, EndpointCall
from eventcore.errors import InvalidParameter, PermanentDelivery, RetryableDelivery
from eventcore_connectors.address_guard import GuardedResolver, is_public

__all__ = ["WebhookTarget", "webhook_target"]

TIMEOUT_MS_DEFAULT: Final = 5_000
TIMEOUT_MS_MAX: Final = 300_000
RESPONSE_BYTES_MAX: Final = 4_096
ANSWER_BYTES_MAX: Final = 6_291_556
CAUSE_CHARACTERS_MAX: Final = 256
ANSWER_PART_BYTES: Final = 65_536
NOT_NOW: Final = 503
CONNECTIONS_MAX: Final = 64
RETRY_AFTER_MS_MAX: Final = 86_400_000
RETRYABLE_STATUSES: Final = frozenset({408, 425, 429})
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  (what precedes a key, not a key)
OPTIONS: Final = frozenset({"allow_private", "secret", "timeout_ms"})


def webhook_target(url: str, options: Mapping[str, str]) -> WebhookTarget:
    """The target for an http or https URL; a `TargetFactory`.

    Options: `allow_private` ("true", "false"), `secret` (a key; in base64 behind "whsec_"),
    `timeout_ms` (1 to 300,000; default 5,000). Raises InvalidParameter.
    """
    unknown = sorted(set(options) - OPTIONS)
    if unknown:
        raise InvalidParameter(unknown[0], "is no option of the webhook connector.")
    return WebhookTarget(
        _parse_url(url),
        is_private_allowed=_parse_flag("allow_private", options.get("allow_private", "false")),
        secret=_parse_secret(options.get("secret")),
        timeout_ms=_parse_timeout(options.get("timeout_ms", str(TIMEOUT_MS_DEFAULT))),
    )


@final
class WebhookTarget:
    """One endpoint. Keeps its connections between deliveries."""

    def __init__(
        self,
        url: URL,
        *,
        is_private_allowed: bool = False,
        secret: bytes | None = None,
        timeout_ms: int = TIMEOUT_MS_DEFAULT,
    ) -> None:
        self._url = url
        self._name = f"{url.scheme}://{url.raw_host}"  # never the path or query: they hold secrets
        self._is_private_allowed = is_private_allowed
        self._secret = secret
        self._timeout_ms = timeout_ms
        self._session: aiohttp.ClientSession | None = None
        if not is_private_allowed and _is_private_literal(url.raw_host or ""):
            raise InvalidParameter(
                "url", "Its address is not public; the option allow_private permits it.", self._name
            )

    async def open(self) -> None:
        """Makes the session; no connection yet."""
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS_MAX,
            resolver=None if self._is_private_allowed else GuardedResolver(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout_ms / 1000),
            headers={"user-agent": "eventcore-webhook"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )

    async def deliver(self, delivery: Delivery) -> None:
        """Posts it. Returns on 2xx; raises RetryableDelivery or PermanentDelivery."""
        assert self._session is not None, "deliver before open"
        body = delivery.body.encode()
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=self._headers(delivery, body),
                allow_redirects=False,
            ) as response:
                if 200 <= response.status < 300:
                    return
                raise self._failure(response, await _first_bytes(response))
        except TimeoutError as error:
            cause = f"no answer within {self._timeout_ms} ms"
            raise RetryableDelivery(self._name, cause) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise RetryableDelivery(self._name, f"certificate: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RetryableDelivery(self._name, f"{type(error).__name__}: {error}") from error

    async def invoke(self, call: EndpointCall) -> EndpointAnswer:
        """Posts the event of an invocation and reads the answer.

        Raises RetryableDelivery where no answer came, and for 408, 425, 429 and 503;
        PermanentDelivery for an answer over ANSWER_BYTES_MAX; TimeoutError after the call's time.
        """
        assert self._session is not None, "invoke before open"
        headers = self._headers(Delivery(call.id, "", call.function_arn, 1), call.body)
        if call.trace_header:
            headers["x-amzn-trace-id"] = call.trace_header
        try:
            async with self._session.post(
                self._url,
                data=call.body,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=call.timeout_ms / 1000),
            ) as response:
                if response.status == NOT_NOW or response.status in RETRYABLE_STATUSES:
                    raise self._failure(response, await _first_bytes(response))
                return EndpointAnswer(response.status, await self._answer(response))
        except aiohttp.ClientConnectorCertificateError as error:
            raise RetryableDelivery(self._name, f"certificate: {error}") from error
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError) as error:
            raise RetryableDelivery(self._name, f"{type(error).__name__}: {error}") from error

    async def _answer(self, response: aiohttp.ClientResponse) -> bytes:
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_chunked(ANSWER_PART_BYTES):
            parts.append(part)
            size += len(part)
            if size > ANSWER_BYTES_MAX:
                raise PermanentDelivery(
                    self._name, f"the answer has more than {ANSWER_BYTES_MAX} bytes"
                )
        return b"".join(parts)

    async def close(self) -> None:
        """Closes the connections. Harmless without `open`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        headers = {
            "content-type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": timestamp,
            "eventcore-source-arn": delivery.source_arn,
            "eventcore-attempt": str(delivery.attempt),
        }
        if self._secret is not None:
            signed = f"{delivery.id}.{timestamp}.".encode() + body
            digest = hmac.digest(self._secret, signed, sha256)
            headers["webhook-signature"] = "v1," + b64encode(digest).decode()
        return headers

    def _failure(
        self, response: aiohttp.ClientResponse, text: bytes
    ) -> RetryableDelivery | PermanentDelivery:
        said = text.decode("utf-8", "replace")[:CAUSE_CHARACTERS_MAX]
        cause = f"HTTP {response.status}" + (f": {said}" if said else "")
        if response.status >= 500 or response.status in RETRYABLE_STATUSES:
            return RetryableDelivery(
                self._name, cause, _retry_after_ms(response.headers.get("retry-after"))
            )
        return PermanentDelivery(self._name, cause)


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.read(RESPONSE_BYTES_MAX)
    except (aiohttp.ClientError, TimeoutError, OSError):
        return b""  # the status has said what counts


def _retry_after_ms(text: str | None) -> int | None:
    """The pause that a Retry-After header asks for (RFC 9110, 10.2.3); None for none."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return min(int(text.strip()[:9]) * 1000, RETRY_AFTER_MS_MAX)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    pause_ms = round((moment - datetime.now(UTC)).total_seconds() * 1000)
    return min(max(pause_ms, 0), RETRY_AFTER_MS_MAX)


def _is_private_literal(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False  # a name: the resolver judges it
    return not is_public(host)


def _parse_url(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as error:
        raise InvalidParameter("url", "is not a URL.") from error
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise InvalidParameter("url", "must be http:// or https:// with a host.")
    if url.user is not None or url.password is not None:
        raise InvalidParameter("url", "must not hold a user name or password.")
    return url


def _parse_flag(name: str, text: str) -> bool:
    if text not in {"true", "false"}:
        raise InvalidParameter(name, 'must be "true" or "false".')
    return text == "true"


def _parse_secret(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        encoded = text.startswith(SECRET_PREFIX)
        secret = b64decode(text[len(SECRET_PREFIX) :], validate=True) if encoded else text.encode()
    except Base64Error as error:
        raise InvalidParameter("secret", 'must be base64 behind "whsec_".') from error
    if not secret:
        raise InvalidParameter("secret", "must not be empty.")
    return secret


def _parse_timeout(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text[:9]) <= TIMEOUT_MS_MAX:
        raise InvalidParameter("timeout_ms", f"must be 1 to {TIMEOUT_MS_MAX}.")
    return int(text)
