"""What the demo needs of a broker, and the broker behind AWS's wire protocols that gives it.

`eventcore.demo.embedded_access` has the other implementation. The demo's flow knows only
`BrokerAccess`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, final

import msgspec

from eventcore.bench import calls
from eventcore.bench.client import AwsJsonClient, CallFailed, EndpointUnreachable
from eventcore.demo.rules import BUS, DETAIL_TYPE, SOURCE, FlightRule

__all__ = ["BrokerAccess", "Delivered", "WireAccess"]

WAIT_S: Final = 1
"""A consumer's long poll; also how long the end of the input may go unnoticed by it."""


class Delivered(msgspec.Struct, frozen=True):
    """A received message: its body, and what deletes it."""

    body: str
    receipt_handle: str


class BrokerAccess(Protocol):
    """A bus named "flights", and a queue behind each rule."""

    async def prepare(self, rules: Sequence[FlightRule], visibility_timeout_s: int) -> None:
        """Creates bus, queues (emptied if they exist) and rules."""
        ...

    async def put(self, details: Sequence[str]) -> list[int]:
        """Puts up to 10 events; returns the indexes of those refused. On return the others are
        durable.
        """
        ...

    async def receive(self, rule: FlightRule) -> list[Delivered]:
        """Up to 10 messages of a rule's queue; waits about a second when there are none."""
        ...

    async def delete(self, rule: FlightRule, messages: Sequence[Delivered]) -> None:
        """Deletes received messages."""
        ...

    async def is_drained(self, rule: FlightRule) -> bool:
        """Whether a rule's queue holds no message, neither visible nor in flight."""
        ...

    async def clean_up(self, rules: Sequence[FlightRule]) -> None:
        """Deletes rules, queues and bus."""
        ...

    @property
    def retries(self) -> int:
        """How many calls were made again because their answer was lost."""
        ...


class _PutEntry(msgspec.Struct, frozen=True, rename="pascal"):
    detail: str
    source: str = SOURCE
    detail_type: str = DETAIL_TYPE
    event_bus_name: str = BUS


@final
class WireAccess:
    """The demo's broker behind any endpoint that speaks SQS and EventBridge."""

    def __init__(self, client: AwsJsonClient) -> None:
        self._client = client
        self._urls: dict[str, str] = {}

    @property
    def retries(self) -> int:
        """See BrokerAccess."""
        return self._client.retries

    async def prepare(self, rules: Sequence[FlightRule], visibility_timeout_s: int) -> None:
        """See BrokerAccess."""
        client = self._client
        await calls.create_bus(client, BUS)
        attributes = {"VisibilityTimeout": str(visibility_timeout_s)}
        for rule in rules:
            url = await self._empty_queue(rule.queue_name, attributes)
            self._urls[rule.name] = url
            arn = await calls.queue_arn(client, url)
            await calls.put_rule(client, BUS, rule.name, rule.pattern, arn)

    async def _empty_queue(self, name: str, attributes: dict[str, str]) -> str:
        client = self._client
        try:
            url = await calls.create_queue(client, name, attributes)
        except CallFailed as error:
            if not error.code.endswith("QueueNameExists"):
                raise
            url = await calls.queue_url(client, name)
            await calls.set_queue_attributes(client, url, attributes)
        if (await calls.queue_depth(client, url)).total:
            await calls.purge_queue(client, url)
        return url

    async def put(self, details: Sequence[str]) -> list[int]:
        """See BrokerAccess."""
        return await calls.put_events(self._client, [_PutEntry(detail) for detail in details])

    async def receive(self, rule: FlightRule) -> list[Delivered]:
        """See BrokerAccess."""
        messages = await calls.receive(self._client, self._urls[rule.name], wait_s=WAIT_S)
        return [Delivered(message.body, message.receipt_handle) for message in messages]

    async def delete(self, rule: FlightRule, messages: Sequence[Delivered]) -> None:
        """See BrokerAccess."""
        handles = [message.receipt_handle for message in messages]
        await calls.delete_batch(self._client, self._urls[rule.name], handles)

    async def is_drained(self, rule: FlightRule) -> bool:
        """See BrokerAccess."""
        return (await calls.queue_depth(self._client, self._urls[rule.name])).total == 0

    async def clean_up(self, rules: Sequence[FlightRule]) -> None:
        """See BrokerAccess. What is gone, or does not answer, is left."""
        try:
            for rule in rules:
                await calls.delete_rule(self._client, BUS, rule.name)
                if rule.name in self._urls:
                    await calls.delete_queue(self._client, self._urls[rule.name])
            await calls.delete_bus(self._client, BUS)
        except (CallFailed, EndpointUnreachable):
            return
