"""The standard queue against a naive model, on random commands; and the proof that replay gives the
state of the run.

The model knows nothing of lanes, runs and heaps: a message is a dict, visible when its time has
come. What order a standard queue delivers in is its own affair, so the model learns from each
receive which messages were chosen, and checks that they could be.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from eventcore.errors import InvalidParameter
from eventcore.outcome import Mutation, Outcome, Transfer
from eventcore.queues.message import SendEntry, decode_message
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest, RedrivePolicy
from eventcore.queues.standard import StandardQueue
from eventcore.stores.base import Batch
from eventcore.testing import SeededIds

ARN = "arn:aws:sqs:us-east-1:000000000000:q"
START_MS = 1_700_000_000_000
RETENTION_MS = 60_000
HOURS_12_MS = 43_200_000


@dataclass
class ModelMessage:
    body: str
    sent_ms: int
    visible_ms: int
    receives: int = 0
    received_ms: int = 0
    handle: str | None = None


@dataclass
class Model:
    messages: dict[str, ModelMessage] = field(default_factory=dict)

    def visible(self, now_ms: int) -> dict[str, ModelMessage]:
        return {
            k: m
            for k, m in self.messages.items()
            if m.visible_ms <= now_ms < m.sent_ms + RETENTION_MS
        }


def durable_state(queue: StandardQueue) -> dict[int, tuple[int, ...]]:
    """What the rows say of each message, without anything that time derives."""
    return {
        n: (e.sent_ms, e.receives, e.first_received_ms, e.received_ms, e.token)
        for n, e in queue._entries.items()
    }


class StandardQueueMachine(RuleBasedStateMachine):
    """Random commands, time and restarts, on one queue."""

    @initialize(
        memory_bytes=st.sampled_from([0, 400, 1 << 20]), receives_max=st.sampled_from([None, 1, 3])
    )
    def start(self, memory_bytes: int, receives_max: int | None) -> None:
        self.now_ms = START_MS
        self.memory_bytes = memory_bytes
        self.ids = SeededIds(7)
        self.model = Model()
        self.sent = 0
        self.receives_max = receives_max
        self.rows: dict[int, bytes] = {}
        self.log: list[Mutation] = []
        self.queue = self.new_queue()
        redrive = None if receives_max is None else RedrivePolicy(ARN + "-dead", receives_max)
        spec = QueueSpec(retention_ms=RETENTION_MS, visibility_timeout_ms=5_000, redrive=redrive)
        self.stage(self.queue.configure(spec, self.now_ms))

    def new_queue(self) -> StandardQueue:
        return StandardQueue(ARN, self.ids, memory_bytes_max=self.memory_bytes)

    def stage(self, outcome: Outcome[object]) -> None:
        """What a host and a store would do with the outcome, coalescing included."""
        batch = Batch()
        batch.add(1, outcome.mutations)
        for trim in outcome.trims:
            batch.trim(1, trim)
        for _, first, last in batch.ranges:
            for key in [k for k in self.rows if first <= k <= last]:
                del self.rows[key]
        for (_, key), value in batch.rows.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value
        self.log += outcome.mutations

    @rule(delay_ms=st.sampled_from([0, 0, 0, 1, 1_000, 3_000]))
    def send(self, delay_ms: int) -> None:
        self.sent += 1
        body = f"body {self.sent}"
        self.stage(self.queue.send(SendEntry(body, delay_ms), self.now_ms))
        self.model.messages[body] = ModelMessage(body, self.now_ms, self.now_ms + delay_ms)

    @rule(
        count=st.integers(1, 10),
        timeout_ms=st.sampled_from([None, 0, 1, 2_000, 30_000, HOURS_12_MS]),
    )
    def receive(self, count: int, timeout_ms: int | None) -> None:
        visible = self.model.visible(self.now_ms)
        outcome = self.queue.receive(ReceiveRequest(count, timeout_ms), self.now_ms)
        moved = self.check_transfers(outcome.effects, visible)
        for message in outcome.value:
            record = message.record or self.rows[message.key]
            body = decode_message(record).body
            known = visible.pop(body)
            assert self.receives_max is None or known.receives < self.receives_max
            known.receives += 1
            assert message.receives == known.receives
            known.received_ms = self.now_ms
            known.visible_ms = self.now_ms + (5_000 if timeout_ms is None else timeout_ms)
            known.handle = message.receipt_handle
        if len(outcome.value) < count:
            assert not visible, "visible messages were left although there was room"
        assert len(outcome.value) <= count and moved >= 0
        self.stage(outcome)

    def check_transfers(self, effects: tuple[object, ...], visible: dict[str, ModelMessage]) -> int:
        for effect in effects:
            assert isinstance(effect, Transfer)
            body = decode_message(effect.record or self.rows[effect.key]).body
            known = visible.pop(body)
            assert self.receives_max is not None and known.receives >= self.receives_max
            assert effect.receives == known.receives
            del self.model.messages[body]
        return len(effects)

    @precondition(lambda self: any(m.handle for m in self.model.messages.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        known = self.choose_received(data)
        assert known.handle is not None
        self.stage(self.queue.delete(known.handle, self.now_ms))
        del self.model.messages[known.body]

    @precondition(lambda self: any(m.handle for m in self.model.messages.values()))
    @rule(data=st.data(), timeout_ms=st.sampled_from([0, 0, 1, 10_000, HOURS_12_MS]))
    def change_visibility(self, data: st.DataObject, timeout_ms: int) -> None:
        known = self.choose_received(data)
        assert known.handle is not None
        is_allowed = self.now_ms + timeout_ms - known.received_ms <= HOURS_12_MS
        try:
            outcome = self.queue.change_visibility(known.handle, timeout_ms, self.now_ms)
        except InvalidParameter:
            assert not is_allowed
        else:
            assert is_allowed
            known.visible_ms = self.now_ms + timeout_ms
            self.stage(outcome)

    def choose_received(self, data: st.DataObject) -> ModelMessage:
        received = [m for m in self.model.messages.values() if m.handle]
        return data.draw(st.sampled_from(received))

    @rule(step_ms=st.sampled_from([1, 999, 2_000, 5_000, 30_000]))
    def wait(self, step_ms: int) -> None:
        self.now_ms += step_ms
        self.model.messages = {
            k: m for k, m in self.model.messages.items() if self.now_ms < m.sent_ms + RETENTION_MS
        }

    @rule(limit=st.sampled_from([1, 3, 1_000]))
    def tick_once(self, limit: int) -> None:
        self.stage(self.queue.tick(self.now_ms, limit))

    @rule()
    def purge(self) -> None:
        self.stage(self.queue.purge(self.now_ms))
        self.model.messages.clear()

    @rule()
    def restart(self) -> None:
        """From the rows, as after a crash."""
        before = durable_state(self.queue)
        self.queue = self.new_queue()
        for key in sorted(self.rows):
            self.queue.apply(Mutation(key, self.rows[key]))
        assert durable_state(self.queue) == before

    def tick_all(self) -> None:
        for _ in range(1_000):
            deadline_ms = self.queue.next_deadline()
            if deadline_ms is None or deadline_ms > self.now_ms:
                return
            self.stage(self.queue.tick(self.now_ms, limit=3))
        raise AssertionError("tick does not come to an end")

    @invariant()
    def invariants_hold(self) -> None:
        if hasattr(self, "queue"):
            self.queue.check()

    @rule()
    def counts_are_the_models(self) -> None:
        self.tick_all()
        statistics = self.queue.statistics(self.now_ms)
        visible = self.model.visible(self.now_ms)
        assert statistics.visible == len(visible)
        waiting = len(self.model.messages) - len(visible)
        assert statistics.in_flight + statistics.delayed == waiting

    def teardown(self) -> None:
        """Replaying the run's mutations gives the state that the run had."""
        if not hasattr(self, "queue"):
            return
        replayed = self.new_queue()
        for mutation in self.log:
            replayed.apply(Mutation(mutation.key, mutation.value))
            replayed.apply(Mutation(mutation.key, mutation.value))
        assert durable_state(replayed) == durable_state(self.queue)
        replayed.check()


TestStandardQueue = StandardQueueMachine.TestCase
TestStandardQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
