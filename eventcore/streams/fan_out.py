"""The enhanced fan-out consumers of a stream: who may subscribe to its shards.

Rows of the stream's last family, numbered in the order of registration. A consumer's ARN holds the
second of its registration, so that one registered again under the name is another one.
"""

from __future__ import annotations

from typing import final

from eventcore import limits
from eventcore.arn import stream_consumer_arn
from eventcore.errors import AlreadyExists, LimitExceeded, NotFound
from eventcore.limits import Quotas
from eventcore.outcome import Mutation, delete_row, put_row, row_key
from eventcore.streams.records import CONSUMER_FAMILY, decode_consumer
from eventcore.streams.stream_spec import FanOutConsumer

__all__ = ["FanOut"]


@final
class FanOut:
    """A part of `Stream`, which passes the mutations on."""

    def __init__(self, stream_arn: str, quotas: Quotas) -> None:
        self._stream_arn = stream_arn
        self._quotas = quotas
        self._consumers: dict[int, FanOutConsumer] = {}
        self._numbers: dict[str, int] = {}
        self._next_number = 0

    def __len__(self) -> int:
        return len(self._consumers)

    def find(self, name: str) -> FanOutConsumer:
        """The consumer of a name. Raises NotFound("consumer")."""
        number = self._numbers.get(name)
        if number is None:
            raise NotFound("consumer", name, self._stream_arn)
        return self._consumers[number]

    def find_arn(self, arn: str) -> FanOutConsumer:
        """The consumer of an ARN. Raises NotFound("consumer")."""
        consumer = self.find(arn.rpartition("/")[2].partition(":")[0])
        if consumer.arn != arn:
            raise NotFound("consumer", arn, self._stream_arn)
        return consumer

    def list(self) -> list[FanOutConsumer]:
        """All consumers, by name."""
        return sorted(self._consumers.values(), key=lambda consumer: consumer.name)

    def register(
        self, name: str, tags: dict[str, str], most: int, now_ms: int
    ) -> tuple[Mutation, FanOutConsumer]:
        """See Stream.register_consumer."""
        if name in self._numbers:
            raise AlreadyExists("consumer", name)
        if len(self._consumers) >= most:
            raise LimitExceeded("stream_consumers_max", most)
        creating = sum(other.active_ms > now_ms for other in self._consumers.values())
        if creating >= limits.STREAM_CONSUMERS_CREATING_MAX:
            raise LimitExceeded(
                "stream_consumers_creating_max",
                limits.STREAM_CONSUMERS_CREATING_MAX,
                "consumers in the state CREATING",
            )
        consumer = FanOutConsumer(
            name,
            stream_consumer_arn(self._stream_arn, name, now_ms),
            now_ms,
            now_ms + (self._quotas.stream_transition_ms or 0),
            tags,
        )
        return self._put(self._next_number, consumer, is_new=True), consumer

    def replace(self, consumer: FanOutConsumer) -> Mutation:
        """Puts a consumer in the place of the one with its name. Raises NotFound."""
        self.find(consumer.name)
        return self._put(self._numbers[consumer.name], consumer)

    def deregister(self, name: str) -> Mutation:
        """See Stream.deregister_consumer."""
        self.find(name)
        number = self._numbers[name]
        mutation = delete_row(row_key(CONSUMER_FAMILY, number))
        self.apply(number, mutation)
        return mutation

    def _put(self, number: int, consumer: FanOutConsumer, *, is_new: bool = False) -> Mutation:
        mutation = put_row(row_key(CONSUMER_FAMILY, number), consumer, is_new=is_new)
        self.apply(number, mutation)
        return mutation

    def apply(self, number: int, mutation: Mutation) -> None:
        """The only code that changes the consumers."""
        self._next_number = max(self._next_number, number + 1)
        old = self._consumers.pop(number, None)
        if old is not None:
            del self._numbers[old.name]
        if mutation.value is not None:
            consumer = mutation.record or decode_consumer(mutation.value)
            self._consumers[number] = consumer
            self._numbers[consumer.name] = number

    def check(self) -> None:
        """Asserts that the index says what the rows say."""
        assert {c.name: n for n, c in self._consumers.items()} == self._numbers
