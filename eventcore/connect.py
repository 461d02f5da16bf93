"""What a connector to a foreign system implements. Connectors live in the distribution
`eventcore-connectors`.

A connector is found by the entry-point group `eventcore.connectors`: the entry point's name is the
URL scheme it serves ("https"), its object a callable `(url: str, options: Mapping[str, str]) ->
Target`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

__all__ = [
    "ENTRY_POINT_GROUP",
    "Delivery",
    "Endpoint",
    "EndpointAnswer",
    "EndpointCall",
    "Target",
    "TargetFactory",
]

ENTRY_POINT_GROUP = "eventcore.connectors"


class Delivery(msgspec.Struct, frozen=True):
    """One thing to deliver. `id` stays the same over all attempts, so that a receiver can drop
    repeats.
    """

    id: str
    body: str
    source_arn: str
    attempt: int


class Target(Protocol):
    """A foreign system that takes deliveries. At least once: an attempt whose answer was lost is
    made again.
    """

    async def open(self) -> None:
        """Gets ready (connections, sessions). Called once, before the first delivery."""
        ...

    async def deliver(self, delivery: Delivery) -> None:
        """Returns when the system has it for good.

        Raises RetryableDelivery or PermanentDelivery; anything else counts as retryable. Must
        honour cancellation.
        """
        ...

    async def close(self) -> None:
        """Releases what `open` took. Called once, also after failures."""
        ...


class EndpointCall(msgspec.Struct, frozen=True):
    """An invocation of a function that is an endpoint. `body` is JSON. `id` stays the same over all
    attempts of an asynchronous one.
    """

    id: str
    body: bytes
    function_arn: str
    timeout_ms: int
    trace_header: str = ""


class EndpointAnswer(msgspec.Struct, frozen=True):
    """What an endpoint answered: an HTTP status and its body."""

    status: int
    body: bytes


class Endpoint(Target, Protocol):
    """A target that can be asked, too: a function somewhere else."""

    async def invoke(self, call: EndpointCall) -> EndpointAnswer:
        """Asks once.

        Raises RetryableDelivery where no answer came, or one that means "later"; TimeoutError after
        `call.timeout_ms`; PermanentDelivery for an endpoint that must not be called. Must honour
        cancellation.
        """
        ...


TargetFactory = Callable[[str, Mapping[str, str]], Target]
