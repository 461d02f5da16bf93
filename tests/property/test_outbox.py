"""The outbox on random commands: nothing accepted is lost, nothing ends twice, and replaying the
rows gives the state of the run.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventcore.outboxes.dead_letter import DeliveryFailure
from eventcore.outboxes.outbox import Attempt, Outbox
from eventcore.outcome import Deliver, Mutation, Outcome, Parcel
from eventcore.testing import SeededIds

TARGET = "https://example.com/"
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
DOWN = DeliveryFailure("INTERNAL_ERROR", "down")


def durable_state(outbox: Outbox) -> dict[int, tuple[object, ...]]:
    return {n: (e.record, e.attempts, e.next_ms) for n, e in outbox._entries.items()}


class OutboxMachine(RuleBasedStateMachine):
    """Every body is unique, so each can be followed to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 1_700_000_000_000
        self.ids = SeededIds(7)
        self.outbox = Outbox(TARGET, self.ids, deliveries_max=5)
        self.rows: dict[int, bytes] = {}
        self.accepted: set[str] = set()
        self.settled: set[str] = set()
        self.dead: list[str] = []
        self.attempts: list[Attempt] = []

    def keep(self, outcome: Outcome):
        for mutation in outcome.mutations:
            if mutation.value is None:
                assert self.rows.pop(mutation.key, None) is not None
            else:
                assert not (mutation.is_new and mutation.key in self.rows)
                self.rows[mutation.key] = mutation.value
        for effect in outcome.effects:
            assert isinstance(effect, Deliver)
            self.dead.append(effect.parcel.body)
        return outcome.value

    @rule(attempts_max=st.integers(1, 3), age_s=st.integers(60, 120))
    def accept(self, attempts_max, age_s):
        body = f"{len(self.accepted)}"
        self.accepted.add(body)
        deliver = Deliver(TARGET, Parcel(body, "arn:rule"), DEAD, attempts_max, age_s * 1_000)
        self.keep(self.outbox.accept(deliver, self.now_ms))

    @rule(limit=st.integers(1, 4))
    def due(self, limit):
        attempts = self.keep(self.outbox.due(self.now_ms, limit))
        assert len(attempts) <= limit
        for attempt in attempts:
            entry = self.outbox._entries[attempt.number]
            assert entry.next_ms <= self.now_ms < entry.expires_ms
            assert attempt.delivery.attempt <= entry.record.attempts_max
        self.attempts += attempts

    @rule(data=st.data(), how=st.sampled_from(["settle", "retry", "fail", "release"]))
    def end(self, data, how):
        if not self.attempts:
            return
        at = data.draw(st.integers(0, len(self.attempts) - 1))
        attempt = self.attempts.pop(at)
        if how == "settle":
            if self.outbox._attempted(attempt) is not None:
                self.settled.add(attempt.delivery.body)
            self.keep(self.outbox.settle(attempt))
        elif how == "retry":
            self.keep(self.outbox.retry(attempt, DOWN, self.now_ms))
        elif how == "fail":
            self.keep(self.outbox.fail(attempt, DOWN))
        else:
            self.keep(self.outbox.release(attempt))

    @rule(pause_ms=st.sampled_from([0, 1, 600, 5_000, 61_000]))
    def pass_time(self, pause_ms):
        self.now_ms += pause_ms
        deadline_ms = self.outbox.next_deadline()
        before = durable_state(self.outbox), self.outbox.has_ready
        self.keep(self.outbox.tick(self.now_ms, 1_000))
        if deadline_ms is None or deadline_ms > self.now_ms:
            assert before == (durable_state(self.outbox), self.outbox.has_ready)

    @rule()
    def restart(self):
        self.outbox = Outbox(TARGET, self.ids, deliveries_max=5)
        for key in sorted(self.rows):
            self.outbox.apply(Mutation(key, self.rows[key]))

    @invariant()
    def the_invariants_hold(self):
        self.outbox.check()

    @invariant()
    def each_delivery_is_in_one_place(self):
        held = {entry.record.body for entry in self.outbox._entries.values()}
        assert len(self.dead) == len(set(self.dead))
        assert held | self.settled | set(self.dead) == self.accepted
        assert len(held) + len(self.settled) + len(self.dead) == len(self.accepted)

    @invariant()
    def the_rows_give_the_state(self):
        again = Outbox(TARGET, self.ids, deliveries_max=5)
        for key in sorted(self.rows):
            again.apply(Mutation(key, self.rows[key]))
        assert durable_state(again) == durable_state(self.outbox)
        tried = sum(entry.attempts > 0 for entry in self.outbox._entries.values())
        assert len(self.rows) == len(self.outbox) + tried, "no row outlives its delivery"


TestOutbox = OutboxMachine.TestCase
TestOutbox.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
