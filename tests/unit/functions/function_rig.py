"""A function machine with the rows that a store would have of it, and the effects it caused."""

from __future__ import annotations

from typing import Any, TypeVar

from eventcore.arn import function_arn
from eventcore.attributes import decode_attributes, md5_of_attributes
from eventcore.codec import decode_json
from eventcore.functions.async_events import AsyncAttempt, AsyncEvent, decode_async_event
from eventcore.functions.function import Function
from eventcore.functions.function_spec import FunctionConfig, InvokeConfig
from eventcore.functions.invocation import InvocationResult, Payload, error_payload
from eventcore.outcome import LOG_KEY_FIRST, Deliver, Mutation, Outcome
from eventcore.testing import SeededIds

ARN = function_arn("000000000000", "us-east-1", "resize")
QUEUE = "arn:aws:sqs:us-east-1:000000000000:ends"
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
NOW_MS = 1_700_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
DONE = InvocationResult(Payload.of({"ok": True}), None, "$LATEST")
FAILED = InvocationResult(error_payload("ValueError", "too small"), "Unhandled", "$LATEST")
CONFIG = FunctionConfig(handler="resize.main", runtime="python3.12")
T = TypeVar("T")


class FunctionRig:
    """A function, its rows, and the effects it caused. Every outcome goes through `keep`."""

    def __init__(self, config: FunctionConfig = CONFIG, zip_bytes: bytes | None = b"zip", **bounds):
        self.bounds = bounds
        self.function = Function(ARN, SeededIds(1), **bounds)
        self.rows: dict[int, bytes] = {}
        self.log: list[Mutation] = []
        self.effects: list[Deliver] = []
        self.function.check()
        self.keep(self.function.create(config, zip_bytes, NOW_MS))

    def keep(self, outcome: Outcome[T]) -> T:
        """What a host and a store would do with the outcome; then the invariants."""
        for mutation in outcome.mutations:
            assert not (mutation.is_new and mutation.key in self.rows)
            if mutation.value is None:
                assert self.rows.pop(mutation.key, None) is not None
            else:
                self.rows[mutation.key] = mutation.value
        for trim in outcome.trims:
            gone = [key for key in self.rows if trim.first_key <= key <= trim.last_key]
            assert gone, "a trim of nothing"
            for key in gone:
                del self.rows[key]
        self.log += outcome.mutations
        for effect in outcome.effects:
            assert isinstance(effect, Deliver)
            self.effects.append(effect)
        self.function.check()
        assert state_of(self.restarted().function) == state_of(self.function)
        return outcome.value

    def restarted(self) -> FunctionRig:
        """The function of these rows, each of them applied twice, as after a restart."""
        again = FunctionRig.__new__(FunctionRig)
        again.bounds, again.rows, again.log, again.effects = self.bounds, dict(self.rows), [], []
        again.function = Function(ARN, SeededIds(2), **self.bounds)
        for key in sorted(key for key in self.rows if key < LOG_KEY_FIRST):
            again.function.apply(Mutation(key, self.rows[key]))
            again.function.apply(Mutation(key, self.rows[key]))
        again.function.check()
        return again

    # Asynchronous invocations

    def configure(self, qualifier="$LATEST", **settings):
        self.keep(self.function.set_invoke_config(qualifier, InvokeConfig(NOW_MS, **settings)))

    def enqueue(self, payload="{}", now_ms=NOW_MS, **members) -> str:
        return self.keep(self.function.enqueue(AsyncEvent(payload, **members), now_ms))

    def due(self, now_ms=NOW_MS, limit=100) -> tuple[AsyncAttempt, ...]:
        return self.keep(self.function.due(now_ms, limit))

    def event_of(self, attempt: AsyncAttempt) -> AsyncEvent:
        """The attempt's event, read back from its row where it is not in memory."""
        return attempt.event or decode_async_event(self.rows[attempt.key])

    def succeed(self, attempt, now_ms=NOW_MS, result=DONE):
        self.keep(self.function.succeed(attempt, self.event_of(attempt), result, now_ms))

    def fail(self, attempt, now_ms=NOW_MS, result=FAILED):
        self.keep(self.function.fail(attempt, self.event_of(attempt), result, now_ms))

    def discard(self, attempt, condition, now_ms=NOW_MS):
        self.keep(self.function.discard(attempt, self.event_of(attempt), condition, now_ms))

    def tick(self, now_ms, limit=1_000):
        self.keep(self.function.tick(now_ms, limit))

    def event_rows(self) -> int:
        """The rows of events and of their attempts."""
        return sum(6 << 48 <= key < LOG_KEY_FIRST for key in self.rows)

    def record(self) -> Any:
        """The one document that a destination was given."""
        (effect,) = self.effects
        assert effect.target_arn == QUEUE
        return decode_json(effect.parcel.body)


def state_of(function: Function) -> Any:
    """All that the rows of a function say, as the machine has it."""
    if function._record is None:
        return None
    entries = function._events._entries
    return (
        function.record,
        function.versions(),
        function.aliases(),
        function.invoke_configs(),
        function.all_provisioned(),
        [(row.qualifier, row.record) for row in function._policies],
        [(n, e.id, e.accepted_ms, e.lane.qualifier, e.invokes) for n, e in entries.items()],
    )


def attributes_of(effect: Deliver) -> dict[str, tuple[str, str | None]]:
    """The message attributes of a dead letter, their digest checked."""
    attributes = decode_attributes(effect.parcel.attributes)
    assert effect.parcel.attributes_md5 == md5_of_attributes(attributes)
    return {name: (value.data_type, value.string) for name, value in attributes.items()}
