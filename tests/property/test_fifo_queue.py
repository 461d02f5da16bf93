"""The FIFO queue against a plain model, on random commands; and the proof that replay gives the
state of the run.

The model says what a receive takes of each group and in which order; which group comes first is
known too, but for those with a message at their front that failed often.
"""

from __future__ import annotations

import random
from itertools import groupby

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eventcore.codec import encode_record
from eventcore.errors import InvalidParameter
from eventcore.outcome import Mutation, Outcome, Transfer
from eventcore.queues.fifo import FifoQueue
from eventcore.queues.message import (
    Message,
    MessageRecord,
    SendEntry,
    decode_message,
)
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest, RedrivePolicy
from eventcore.stores.base import Batch
from eventcore.testing import SeededIds
from tests.property.fifo_model import Attempt, Model, ModelMessage, Taken

ARN = "arn:aws:sqs:us-east-1:000000000000:q.fifo"
START_MS = 1_700_000_000_000
HOURS_12_MS = 43_200_000
DELAYS_MS = [0, 0, 0, 1_000, 20_000]
RECEIVES_MAX = [None, None, 1, 2, 4]
RETENTIONS_MS = [60_000, 600_000]
COUNTS = [1, 1, 2, 3, 5, 10]
KINDS = ["send"] * 6 + ["receive"] * 5 + ["receive in other ways", "receive again"] * 2
KINDS += ["delete"] * 4 + ["give back"] * 3 + ["wait", "wait for an end"] * 2
KINDS += ["change", "reject", "configure", "look", "look", "rare", "rare"]


def durable_state(queue: FifoQueue) -> dict[int, tuple[object, ...]]:
    """What the rows say of each message, without anything that time derives."""
    return {
        n: (e.group and e.group.id, e.sent_ms, e.receives, e.first_received_ms, e.token)
        for n, e in queue._entries.items()
    }


class FifoQueueMachine(RuleBasedStateMachine):
    """Random commands, time and restarts, on one queue."""

    @initialize(
        memory_bytes=st.sampled_from([0, 400, 1 << 20]),
        delay_ms=st.sampled_from(DELAYS_MS),
        receives_max=st.sampled_from(RECEIVES_MAX),
        is_per_group=st.booleans(),
        retention_ms=st.sampled_from(RETENTIONS_MS),
    )
    def start(
        self,
        memory_bytes: int,
        delay_ms: int,
        receives_max: int | None,
        is_per_group: bool,
        retention_ms: int,
    ) -> None:
        self.now_ms = START_MS
        self.memory_bytes = memory_bytes
        self.ids = SeededIds(7)
        self.bodies = 0
        self.rows: dict[int, bytes] = {}
        self.log: list[Mutation] = []
        self.model = Model(
            delay_ms=delay_ms,
            retention_ms=retention_ms,
            receives_max=receives_max,
            is_per_group=is_per_group,
        )
        self.queue = self.new_queue()
        self.stage(self.queue.configure(self.spec(), self.now_ms))

    def spec(self) -> QueueSpec:
        model = self.model
        redrive = None
        if model.receives_max is not None:
            redrive = RedrivePolicy(ARN.replace("q.", "dead."), model.receives_max)
        return QueueSpec(
            is_fifo=True,
            retention_ms=model.retention_ms,
            visibility_timeout_ms=model.timeout_ms,
            delay_ms=model.delay_ms,
            redrive=redrive,
            deduplication_scope="messageGroup" if model.is_per_group else "queue",
        )

    def new_queue(self) -> FifoQueue:
        return FifoQueue(ARN, self.ids, memory_bytes_max=self.memory_bytes)

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

    def body_of(self, message: Message | Transfer) -> str:
        return decode_message(message.record or self.rows[message.key]).body

    def next_body(self) -> str:
        self.bodies += 1
        return f"body {self.bodies}"

    # Sending

    @rule(kind=st.sampled_from(KINDS), seed=st.integers(0, 1 << 32))
    def step(self, kind: str, seed: int) -> None:
        """One kind of rule among weighted ones, so that none is left out of a run."""
        chance = random.Random(seed)
        match kind:
            case "send":
                for _ in range(chance.randint(1, 6)):
                    self.send(chance.choice("aaab"), chance.choice([None, None, None, "1", "2"]))
            case "receive":
                self.receive(chance.choice(COUNTS), None, None, True)
            case "receive in other ways":
                timeout_ms = chance.choice([None, 0, 1, 2_000, 30_000, HOURS_12_MS])
                self.receive(chance.choice(COUNTS), timeout_ms, None, chance.random() < 0.7)
            case "receive again":
                timeout_ms = chance.choice([None, 2_000, HOURS_12_MS])
                self.receive(chance.choice(COUNTS), timeout_ms, chance.choice("xxy"), True)
            case "wait":
                self.now_ms += chance.choice(
                    [1, 999, 2_000, 5_000, 5_000, 29_000, 240_000, 300_000]
                )
            case "wait for an end" if ends := self.model.boundaries():
                self.now_ms = max(self.now_ms, chance.choice(ends) - chance.choice([0, 0, 1]))
            case "look":
                self.the_queue_shows_the_model(chance.random() < 0.5)
            case "configure":
                self.configure(chance)
            case "rare":
                self.something_rare(chance)
            case _:
                self.settle_expired()
                if any(m.handle for m in self.model.messages):
                    self.use_handles(kind, chance)

    def use_handles(self, kind: str, chance: random.Random) -> None:
        received = [m for m in self.model.messages if m.handle]
        match kind:
            case "delete":
                for message in chance.sample(received, min(len(received), chance.randint(1, 5))):
                    self.delete(message)
            case "give back":
                self.change_visibility(chance.choice(received), 0)
            case "change":
                timeout_ms = chance.choice([0, 1, 10_000, HOURS_12_MS])
                self.change_visibility(chance.choice(received), timeout_ms)
            case _:
                self.reject(chance.choice(received), chance.random() < 0.5)

    def something_rare(self, chance: random.Random) -> None:
        match chance.choice(["purge", "restart", "pause", "dead letter", "move", "move", "tick"]):
            case "purge":
                self.purge()
            case "restart":
                self.restart()
            case "pause":
                self.now_ms += 302_000
                self.tick_all()
                self.restart()
            case "move":
                self.move(chance.randint(1, 5))
            case "tick":
                self.stage(self.queue.tick(self.now_ms, chance.choice([1, 3, 1_000])))
            case _:
                self.dead_letter_arrives(chance.choice("aaab"), chance.randint(1, 5))

    def send(self, group: str, deduplication_id: str | None) -> None:
        body = self.next_body()
        deduplication_id = deduplication_id or body.replace(" ", "-")
        known = self.model.duplicate_of(deduplication_id, group, self.now_ms)
        entry = SendEntry(body, group_id=group, deduplication_id=deduplication_id)
        outcome = self.queue.send(entry, self.now_ms)
        result = outcome.value
        if known is not None:
            assert (result.id, result.sequence) == (known.message_id, known.number + 1)
            assert outcome.mutations == ()
            return
        assert result.sequence > max((k.number + 1 for k in self.model.known), default=0)
        self.put(body, group, deduplication_id, result.id, outcome)

    def put(
        self,
        body: str,
        group: str,
        deduplication_id: str | None,
        message_id: bytes,
        outcome: Outcome[object],
    ) -> ModelMessage:
        number = self.queue._next_number - 1
        message = ModelMessage(number, body, group, self.now_ms)
        self.model.put(message, deduplication_id, message_id)
        self.stage(outcome)
        return message

    def dead_letter_arrives(self, group: str, receives: int) -> None:
        body = self.next_body()
        record = MessageRecord(
            START_MS - 10_000,
            START_MS,
            bytes(16),
            body,
            bytes(16),
            group_id=group,
            deduplication_id="1",
        )
        transfer = Transfer(ARN, "arn:source", 0, None, receives, START_MS - 5_000)
        outcome = self.queue.take_over(transfer, encode_record(record), self.now_ms)
        self.put(body, group, None, bytes(16), outcome).receives = receives

    # Receiving

    def receive(
        self, count: int, timeout_ms: int | None, attempt_id: str | None, is_reachable: bool
    ) -> None:
        self.settle_expired()
        request = ReceiveRequest(count, timeout_ms, is_reachable, attempt_id)
        visible_ms = self.now_ms + (self.model.timeout_ms if timeout_ms is None else timeout_ms)
        again = self.model.repeatable(attempt_id, self.now_ms) if attempt_id else None
        outcome = self.queue.receive(request, self.now_ms)
        if again is not None:
            self.check_repeated(outcome, again, visible_ms)
        else:
            self.check_taken(outcome, count, visible_ms, is_reachable)
        if attempt_id and outcome.value:
            started_ms = self.model.attempts[attempt_id].started_ms if again else self.now_ms
            handles = [(m.sequence - 1, m.receipt_handle) for m in outcome.value]
            self.model.attempts[attempt_id] = Attempt(started_ms, visible_ms, handles)
        self.stage(outcome)

    def settle_expired(self) -> None:
        """A message in flight that expires locks its group until a tick finds it."""
        if any(m.sent_ms + self.model.retention_ms <= self.now_ms for m in self.model.messages):
            self.tick_all()
        self.model.drop_expired(self.now_ms)

    def check_repeated(
        self, outcome: Outcome[tuple[Message, ...]], again: list[ModelMessage], visible_ms: int
    ) -> None:
        assert [m.receipt_handle for m in outcome.value] == [m.handle for m in again]
        assert [m.receives for m in outcome.value] == [m.receives for m in again]
        assert outcome.effects == ()
        for message in again:
            message.visible_ms = visible_ms

    def check_taken(
        self,
        outcome: Outcome[tuple[Message, ...]],
        count: int,
        visible_ms: int,
        is_reachable: bool,
    ) -> None:
        takeable = self.model.takeable(self.now_ms, is_reachable)
        group_of = {m.body: m.group for m in self.model.messages}
        dead = [self.body_of(effect) for effect in outcome.effects if isinstance(effect, Transfer)]
        given = [self.body_of(message) for message in outcome.value]
        assert len(given) <= count
        runs = [group for group, _ in groupby(group_of[body] for body in given)]
        assert len(runs) == len(set(runs)), "a group was left and taken up again"
        is_full = len(given) == count
        cut = []
        for group, taken in takeable.items():
            found = tuple([b for b in each if group_of[b] == group] for each in (dead, given))
            prefix = taken.messages[: len(found[0]) + len(found[1])]
            assert found == tuple(
                [m.body for f, m in prefix if f == fate] for fate in ("dead", "given")
            ), "not what is at the front of the group"
            if 0 < len(prefix) < len(taken.messages):
                cut.append(group)
                assert prefix[-1][0] == "given" and prefix[-1][1].body == given[-1]
            assert prefix or is_full, "visible messages were left with room for them"
        assert len(cut) <= int(is_full), "the rest of a group was left with room for it"
        assert {group_of[body] for body in dead + given} <= set(takeable)
        self.check_order_of_groups(runs, {group_of[body] for body in dead}, takeable)
        self.take(outcome, set(dead), visible_ms)

    def check_order_of_groups(
        self, runs: list[str], dead: set[str], takeable: dict[str, Taken]
    ) -> None:
        """The oldest front message first; groups with a failing one in front are anywhere."""
        plain = [group for group, taken in takeable.items() if not taken.is_poison]
        given = [group for group in runs if group in plain]
        assert given == sorted(given, key=plain.index), "groups out of order"
        visited = [group for group in plain if group in dead or group in runs]
        assert visited == plain[: len(visited)], "a group with an older front message was left"

    def take(self, outcome: Outcome[tuple[Message, ...]], dead: set[str], visible_ms: int) -> None:
        self.model.messages = [m for m in self.model.messages if m.body not in dead]
        known = {m.number: m for m in self.model.messages}
        for given in outcome.value:
            message = known[given.sequence - 1]
            assert message.body == self.body_of(given)
            message.receives += 1
            assert given.receives == message.receives
            assert given.visible_ms == visible_ms
            message.visible_ms, message.received_ms = visible_ms, self.now_ms
            message.handle = given.receipt_handle

    # With a handle

    def is_open(self, message: ModelMessage) -> bool:
        """Whether the handle counts still."""
        return message.visible_ms > self.now_ms

    def delete(self, message: ModelMessage) -> None:
        assert message.handle is not None
        try:
            outcome = self.queue.delete(message.handle, self.now_ms)
        except InvalidParameter:
            assert not self.is_open(message), "refused while the message was invisible"
        else:
            assert self.is_open(message), "deleted after its visibility timeout"
            self.model.messages.remove(message)
            self.stage(outcome)

    def change_visibility(self, message: ModelMessage, timeout_ms: int) -> None:
        is_in_time = self.now_ms + timeout_ms - message.received_ms <= HOURS_12_MS
        assert message.handle is not None
        try:
            outcome = self.queue.change_visibility(message.handle, timeout_ms, self.now_ms)
        except InvalidParameter:
            assert not (self.is_open(message) and is_in_time)
        else:
            assert self.is_open(message) and is_in_time
            message.visible_ms = self.now_ms + timeout_ms
            self.stage(outcome)

    def reject(self, message: ModelMessage, is_reachable: bool) -> None:
        assert message.handle is not None
        outcome = self.queue.reject(message.handle, is_reachable)
        assert outcome.value is (is_reachable and self.model.receives_max is not None)
        assert len(outcome.effects) == int(outcome.value)
        self.model.messages.remove(message)
        self.stage(outcome)

    # Settings and what is rare

    def configure(self, chance: random.Random) -> None:
        self.settle_expired()
        model = self.model
        model.delay_ms = chance.choice(DELAYS_MS)
        model.retention_ms = chance.choice(RETENTIONS_MS)
        model.timeout_ms = chance.choice([0, 5_000])
        model.receives_max = chance.choice(RECEIVES_MAX)
        model.is_per_group = chance.random() < 0.5
        self.stage(self.queue.configure(self.spec(), self.now_ms))

    def purge(self) -> None:
        self.stage(self.queue.purge(self.now_ms))
        self.model.messages.clear()

    def move(self, count: int) -> None:
        """A step of a move task; the messages go nowhere."""
        self.settle_expired()
        if not self.queue.is_moving:
            self.stage(self.queue.start_move(None, None, self.now_ms))
            self.model.cursor, self.model.below = 0, self.queue._next_number
        planned, cursor = self.queue.plan_move(count, self.now_ms)
        expected = self.model.movable(count, self.now_ms)
        assert [p.number for p in planned] == [m.number for m in expected]
        self.stage(self.queue.move([p.number for p in planned], cursor, ""))
        for message in expected:
            self.model.messages.remove(message)
        self.model.cursor = cursor

    def restart(self) -> None:
        """From the rows, as after a crash."""
        before, moves = durable_state(self.queue), self.queue.moves(10)
        self.queue = self.new_queue()
        for key in sorted(self.rows):
            self.queue.apply(Mutation(key, self.rows[key]))
        assert durable_state(self.queue) == before
        assert self.queue.moves(10) == moves

    def tick_all(self) -> None:
        for _ in range(1_000):
            deadline_ms = self.queue.next_deadline()
            if deadline_ms is None or deadline_ms > self.now_ms:
                return
            self.stage(self.queue.tick(self.now_ms, limit=3))
        raise AssertionError("tick does not come to an end")

    # What must hold

    @invariant()
    def invariants_hold(self) -> None:
        if hasattr(self, "queue"):
            self.queue.check()

    def the_queue_shows_the_model(self, is_ticked: bool) -> None:
        self.counts_are_the_models(is_ticked)
        self.a_look_shows_the_model()
        self.a_waiting_receive_is_woken()

    def counts_are_the_models(self, is_ticked: bool) -> None:
        self.settle_expired()
        if is_ticked:
            self.tick_all()
        found = self.queue.statistics(self.now_ms)
        assert (found.visible, found.in_flight, found.delayed) == self.model.counts(self.now_ms)
        oldest_ms = min((m.sent_ms for m in self.model.messages), default=self.now_ms)
        assert found.oldest_age_ms == self.now_ms - oldest_ms

    def a_look_shows_the_model(self) -> None:
        found, _ = self.queue.browse(-1, 1_000, self.now_ms)
        expired_ms = self.now_ms - self.model.retention_ms
        assert [(b.number, b.state, b.receives) for b in found] == [
            (m.number, self.model.state(m, self.now_ms), m.receives)
            for m in self.model.messages
            if m.sent_ms > expired_ms
        ]

    def a_waiting_receive_is_woken(self) -> None:
        """After its ticks the queue says truly whether there is something."""
        self.settle_expired()
        self.tick_all()
        is_there = bool(self.model.takeable(self.now_ms, True))
        assert self.queue.has_ready or not is_there
        if self.queue.has_ready and not is_there:  # since the delay was made longer
            assert any(self.model.state(m, self.now_ms) == "delayed" for m in self.model.messages)

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


TestFifoQueue = FifoQueueMachine.TestCase
TestFifoQueue.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
