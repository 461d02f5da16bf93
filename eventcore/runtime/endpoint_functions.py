"""Functions that are HTTP endpoints: the event is posted, the answer is the result.

Rules of this file:

- The connector that serves the URL's scheme does the HTTP (`eventcore.connect.Endpoint`); without
  one the function can not be invoked, and its creation is refused.
- 2xx is success. 429 and 503, and no answer at all, are no result: the invocation could not be made
  and may be tried again. Anything else is the function's error.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, cast, final

from eventcore.codec import decode_json
from eventcore.connect import Endpoint, EndpointCall
from eventcore.errors import EventcoreError, RetryableDelivery, UnsupportedOperation
from eventcore.functions.invocation import (
    UNHANDLED,
    FailedInvocation,
    Invocation,
    InvocationResult,
    Payload,
    error_payload,
    timed_out,
)
from eventcore.runtime.connectors import Connectors

__all__ = ["EndpointFunctions"]

ENDPOINTS_MAX: Final = 256
"""Endpoints with open connections; the one that was used longest ago makes room."""


@final
class EndpointFunctions:
    """All functions of one engine that are endpoints. An `Invoker`."""

    def __init__(self, connectors: Connectors) -> None:
        self._connectors = connectors
        self._endpoints: OrderedDict[str, Endpoint] = OrderedDict()
        self._opening = asyncio.Lock()

    def check(self, url: str) -> None:
        """Raises UnsupportedOperation for a URL that nothing here can call, and what a connector
        raises for one that it would never call.
        """
        self._made(url)

    def _made(self, url: str) -> Endpoint:
        target = self._connectors.target(url)
        if not hasattr(target, "invoke"):
            raise UnsupportedOperation("lambda", "Invoke", f"the connector of {url!r} has no calls")
        return cast("Endpoint", target)

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """See environments.invoker.Invoker."""
        url = invocation.config.handler
        try:
            endpoint = await self._opened(url)
            answer = await endpoint.invoke(
                EndpointCall(
                    invocation.request_id,
                    invocation.payload.raw,
                    invocation.invoked_arn,
                    invocation.config.timeout_ms,
                    invocation.trace_header,
                )
            )
        except TimeoutError:
            return timed_out(invocation)
        except RetryableDelivery as error:
            raise FailedInvocation(str(error)) from error
        except EventcoreError as error:
            payload = error_payload(type(error).__name__, str(error))
            return InvocationResult(payload, UNHANDLED, invocation.version)
        return _result(invocation, answer.status, answer.body)

    async def _opened(self, url: str) -> Endpoint:
        async with self._opening:
            endpoint = self._endpoints.get(url)
            if endpoint is None:
                endpoint = self._made(url)
                try:
                    await endpoint.open()
                except BaseException:
                    await endpoint.close()
                    raise
                self._endpoints[url] = endpoint
            self._endpoints.move_to_end(url)
            if len(self._endpoints) > ENDPOINTS_MAX:
                _, oldest = self._endpoints.popitem(last=False)
                await oldest.close()
            return endpoint

    async def close(self) -> None:
        """Closes all connections."""
        endpoints = list(self._endpoints.values())
        self._endpoints.clear()
        for endpoint in endpoints:
            await endpoint.close()


def _result(invocation: Invocation, status: int, body: bytes) -> InvocationResult:
    try:
        value = decode_json(body) if body.strip() else None
    except ValueError:
        value = body.decode("utf-8", "replace")
    if 200 <= status < 300:
        return InvocationResult(Payload.of(value), None, invocation.version)
    if isinstance(value, dict) and "errorMessage" in value:
        payload = Payload.of(value)
    else:
        payload = error_payload(f"HTTP{status}", str(value or "")[:1_024])
    return InvocationResult(payload, UNHANDLED, invocation.version)
