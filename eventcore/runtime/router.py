"""From an effect to the machine that it is for.

A target in this store takes the effect at once, in the same batch, and so in the same transaction
as its cause. A target outside (a URL whose scheme a connector serves) gets a row in its outbox in
the same transaction; the deliverer takes it from there after the commit.

A delivery whose target does not exist, or is a FIFO queue that could not take it, goes to its
dead-letter queue. Without one, or where that can not take it either, it is dropped, as on AWS:
counted, and told in the log.
"""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar, final

from eventcore.arn import split_qualifier
from eventcore.buses.bus import EventBus
from eventcore.errors import InvalidParameter, UnsupportedOperation
from eventcore.functions.function import Function
from eventcore.outboxes.dead_letter import (
    NO_RESOURCE,
    SDK_CLIENT_ERROR,
    DeliveryFailure,
    to_dead_letter,
)
from eventcore.outboxes.outbox import Outbox
from eventcore.outcome import Deliver, Effect, Machine, Outcome, Parcel, Transfer
from eventcore.queues.queue import QueueMachine
from eventcore.runtime.connectors import Connectors
from eventcore.runtime.telemetry import DELIVERY_DROPPED, WarningLimiter, logger_of
from eventcore.streams.stream import Stream

__all__ = ["OUTBOX", "Router", "RouterEngine"]

T = TypeVar("T")
OUTBOX: Final = "outbox"
_NO_TARGET: Final = DeliveryFailure(NO_RESOURCE, "The specified target does not exist.")

log = logger_of("eventcore.router")


class ParcelTaker(Protocol):
    """What the router needs of the streams."""

    def accept(self, stream: Stream, parcel: Parcel) -> None:
        """Appends a parcel that the stream does not refuse."""
        ...


class RouterEngine(Protocol):
    """What the router needs of the engine."""

    @property
    def streams(self) -> ParcelTaker:
        """The streams."""
        ...

    def find(self, arn: str) -> Any | None:
        """The machine of an existing resource."""
        ...

    def run(self, machine: Machine, outcome: Outcome[T]) -> T:
        """Takes a command's outcome into the open batch."""
        ...

    def now_ms(self) -> int:
        """The time of the current request."""
        ...

    def open_outbox(self, url: str) -> Outbox:
        """The outbox of a URL, made in the current batch if need be."""
        ...


@final
class Router:
    """Routes the effects of one engine."""

    def __init__(self, engine: RouterEngine, connectors: Connectors) -> None:
        self._engine = engine
        self._connectors = connectors
        self._limiter = WarningLimiter(engine.now_ms)
        self.dropped = 0
        """Deliveries without a target and without a dead-letter queue, since the start."""

    def route(self, effect: Effect) -> None:
        """Hands an effect to its machine. Never raises: its cause is already in the batch."""
        target = self._engine.find(_resource_of(effect.target_arn))
        now_ms = self._engine.now_ms()
        if isinstance(effect, Transfer):
            # A queue moves a message only after it was told that the target is there.
            assert isinstance(target, QueueMachine) and effect.record is not None
            self._engine.run(target, target.take_over(effect, effect.record, now_ms))
        elif isinstance(target, QueueMachine):
            self._to_queue(target, effect, now_ms)
        elif isinstance(target, Stream):
            self._to_stream(target, effect)
        elif isinstance(target, EventBus):
            self._engine.run(target, target.accept(effect.parcel, now_ms))
        elif isinstance(target, Function):
            qualifier = split_qualifier(effect.target_arn)[1]
            self._engine.run(target, target.accept(effect.parcel, now_ms, qualifier))
        elif "://" in effect.target_arn:
            outbox = target or self._engine.open_outbox(effect.target_arn)
            self._engine.run(outbox, outbox.accept(effect, now_ms))
        else:
            self._dead_letter(effect, _NO_TARGET)

    def _to_queue(self, queue: QueueMachine, effect: Deliver, now_ms: int) -> None:
        refusal = queue.refusal(effect.parcel)
        if refusal is None:
            self._engine.run(queue, queue.accept(effect.parcel, now_ms))
        else:
            self._dead_letter(effect, DeliveryFailure(SDK_CLIENT_ERROR, refusal))

    def _to_stream(self, stream: Stream, effect: Deliver) -> None:
        refusal = stream.refusal(effect.parcel)
        if refusal is None:
            self._engine.streams.accept(stream, effect.parcel)
        else:
            self._dead_letter(effect, DeliveryFailure(SDK_CLIENT_ERROR, refusal))

    def _dead_letter(self, effect: Deliver, failure: DeliveryFailure) -> None:
        dead_letter = to_dead_letter(effect, failure)
        if dead_letter is not None:
            self.route(dead_letter)
            return
        self.dropped += 1
        missed = self._limiter.admit(effect.target_arn)
        if missed is not None:
            log.warning(
                DELIVERY_DROPPED,
                target=effect.target_arn,
                rule=effect.parcel.source_arn,
                reason=failure.message,
                not_told=missed,
            )

    def check_target(self, arn: str) -> None:
        """Raises UnsupportedOperation for a target that nothing here could ever deliver to, and
        what a connector raises for a URL that it would never take.
        """
        if "://" in arn:
            scheme = arn.partition("://")[0]
            if scheme not in self._connectors.schemes():
                raise UnsupportedOperation(
                    "events", "PutTargets", f"with {scheme}: URLs: no connector serves them"
                )
            self._connectors.target(arn)  # it refuses what it would never deliver to
            return
        if not arn.startswith("arn:"):
            raise InvalidParameter("targets", "Must be queues, ARNs or URLs.", arn)
        service, resource = (arn.split(":", 5) + [""] * 6)[2:6:3]
        is_bus = service == "events" and resource.startswith("event-bus/")
        is_stream = service == "kinesis" and resource.startswith("stream/")
        is_function = service == "lambda" and resource.startswith("function:")
        if service != "sqs" and not (is_bus or is_stream or is_function):
            raise UnsupportedOperation(
                "events", "PutTargets", f"with targets of the service {service!r} yet"
            )


def _resource_of(arn: str) -> str:
    """The ARN of the resource: functions are named with a version or an alias, too."""
    return split_qualifier(arn)[0] if arn.startswith("arn:aws:lambda:") else arn
