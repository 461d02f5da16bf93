"""The fair queue against a plain model, on random commands: the same messages in the same order;
and how long a quiet group waits.
"""

from __future__ import annotations

import random

from hypothesis import reject, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from eventcore import limits
from eventcore.outcome import Mutation, Outcome
from eventcore.queues import fairness
from eventcore.queues.message import SendEntry, decode_message
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest
from eventcore.queues.standard import StandardQueue
from eventcore.testing import SeededIds
from tests.property.fair_model import FairModel, ModelMessage, Undecided

ARN = "arn:aws:sqs:us-east-1:000000000000:q"
START_MS = 1_700_000_000_000
NEVER_NOISY = 1e9
IN_FLIGHT_MIN = 2
SHARE = 0.25
GROUPS = "abcd"
KINDS = ["send"] * 5 + ["receive"] * 8 + ["wait"] * 3 + ["delete"] * 3 + ["change"] * 2
KINDS += ["fail", "look", "purge", "restart"]


class FairQueueMachine(RuleBasedStateMachine):
    """Random commands, time and restarts. The limits are low, so that groups are noisy often.

    Messages without a group go unseen by the averages until somebody looks; so either there are
    none of them, or time does not make a group noisy.
    """

    @initialize(is_mixed=st.booleans(), timeout_ms=st.sampled_from([5_000, 5_000, 120_000]))
    def start(self, is_mixed: bool, timeout_ms: int) -> None:
        self.is_mixed = is_mixed
        self.timeout_ms = timeout_ms
        self.old = limits.NOISY_IN_FLIGHT_MIN, limits.NOISY_SHARE, fairness.USE_MIN
        use_min = NEVER_NOISY if is_mixed else 0.5
        self.set_limits(IN_FLIGHT_MIN, SHARE, use_min)
        self.model = FairModel(IN_FLIGHT_MIN, SHARE, use_min)
        self.now_ms = START_MS
        self.ids = SeededIds(7)
        self.rows: dict[int, bytes] = {}
        self.waits: dict[str, int] = {}
        self.bodies = 0
        self.queue = self.new_queue()
        spec = QueueSpec(visibility_timeout_ms=timeout_ms)
        self.stage(self.queue.configure(spec, self.now_ms))

    def set_limits(self, in_flight_min: int, share: float, use_min: float) -> None:
        limits.NOISY_IN_FLIGHT_MIN = in_flight_min  # type: ignore[misc]
        limits.NOISY_SHARE = share  # type: ignore[misc]
        fairness.USE_MIN = use_min  # type: ignore[misc]

    def new_queue(self) -> StandardQueue:
        return StandardQueue(ARN, self.ids)

    def stage(self, outcome: Outcome[object]) -> None:
        for mutation in outcome.mutations:
            if mutation.value is None:
                self.rows.pop(mutation.key, None)
            else:
                self.rows[mutation.key] = mutation.value
        for trim in outcome.trims:
            for key in [k for k in self.rows if trim.first_key <= k <= trim.last_key]:
                del self.rows[key]

    @rule(kind=st.sampled_from(KINDS), seed=st.integers(0, 1 << 32))
    def step(self, kind: str, seed: int) -> None:
        """One kind of rule among weighted ones, so that none is left out of a run."""
        chance = random.Random(seed)
        match kind:
            case "send":
                groups = chance.choices([*"aaaabbcd", None], k=chance.randint(1, 15))
                self.send(groups, chance.choice([0, 0, 0, 2_000]))
            case "receive":
                for count in chance.choices([1, 1, 2, 3, 8], k=chance.randint(1, 4)):
                    self.receive(count)
            case "wait":
                self.wait(chance.choice([1, 700, 2_000, 5_000, 20_000, 60_000]))
            case "fail":
                self.fail_again_and_again(chance.randint(1, 4))
            case "delete" | "change" if not self.received():
                self.send(["a", "a", "b"], 0)
            case "delete":
                for message in chance.sample(self.received(), min(len(self.received()), 5)):
                    self.delete(message)
            case "change":
                timeout_ms = chance.choice([0, 0, self.timeout_ms])
                self.change_visibility(chance.choice(self.received()), timeout_ms)
            case "look":
                self.statistics_are_the_models()
            case "purge":
                self.purge()
            case _:
                self.restart()

    def send(self, groups: list[str | None], delay_ms: int) -> None:
        for group in groups:
            self.bodies += 1
            group = group if self.is_mixed else group or "a"  # noqa: PLW2901
            number = self.queue._next_number
            entry = SendEntry(f"{self.bodies}", delay_ms, group_id=group)
            self.stage(self.queue.send(entry, self.now_ms))
            message = ModelMessage(number, entry.body, group)
            self.model.send(message, self.now_ms + delay_ms, self.now_ms)

    def receive(self, count: int) -> None:
        outcome = self.queue.receive(ReceiveRequest(count), self.now_ms)
        self.stage(outcome)
        given = list(outcome.value)
        is_any_ready = any(m.place == "ready" for m in self.model.messages.values())
        for _ in range(count if is_any_ready else 0):
            try:
                message = self.model.next(self.now_ms)
            except Undecided:
                reject()
            if message is None:
                break
            assert given, "a message was left"
            found = given.pop(0)
            assert decode_message(found.record or b"").body == message.body
            self.model.give(message, self.now_ms + self.timeout_ms, self.now_ms)
            message.handle = found.receipt_handle
            assert found.receives == message.receives
            self.note_waits(message.group)
        assert not given

    def note_waits(self, served: str | None) -> None:
        """A quiet group waits for one message of each other group at the most."""
        for group in GROUPS:
            is_quiet = group in self.model.quiet and self.model.ready(group)
            if group == served or not is_quiet:
                self.waits.pop(group, None)
            else:
                self.waits[group] = self.waits.get(group, 0) + 1
                assert self.is_mixed or self.waits[group] <= len(GROUPS), "a quiet group starves"

    def received(self) -> list[ModelMessage]:
        return [m for m in self.model.messages.values() if m.handle]

    def delete(self, message: ModelMessage) -> None:
        self.stage(self.queue.delete(message.handle, self.now_ms))
        self.model.delete(message, self.now_ms)

    def change_visibility(self, message: ModelMessage, timeout_ms: int) -> None:
        outcome = self.queue.change_visibility(message.handle, timeout_ms, self.now_ms)
        self.stage(outcome)
        self.model.hide(message, self.now_ms + timeout_ms, self.now_ms)
        self.model.release(self.now_ms)

    def fail_again_and_again(self, count: int) -> None:
        """The message that is next is received and given back."""
        for _ in range(count):
            before = {m.number: m.handle for m in self.received()}
            self.receive(1)
            for message in self.received():
                if before.get(message.number) != message.handle:
                    self.change_visibility(message, 0)

    def wait(self, step_ms: int) -> None:
        """Every deadline on the way is met, as a host does."""
        end_ms = self.now_ms + step_ms
        while (deadline_ms := self.queue.next_deadline()) is not None and deadline_ms <= end_ms:
            self.now_ms = max(self.now_ms, deadline_ms)
            self.stage(self.queue.tick(self.now_ms, 1_000))
            self.model.release(self.now_ms)
        self.now_ms = end_ms

    def purge(self) -> None:
        self.stage(self.queue.purge(self.now_ms))
        self.model.purge()
        self.waits.clear()

    def restart(self) -> None:
        self.queue = self.new_queue()
        for key in sorted(self.rows):
            self.queue.apply(Mutation(key, self.rows[key]))
        self.stage(self.queue.tick(self.now_ms, 1_000))
        self.model.next_number = self.queue._next_number  # of the messages that are left
        self.model.restart(self.now_ms)
        found = self.queue._fairness  # its averages begin with the first look
        found.observe(len(self.queue._in_flight), self.now_ms)
        for group in found.groups.values():
            group.use.settle(group.in_flight, self.now_ms)
        self.waits.clear()

    def statistics_are_the_models(self) -> None:
        found = self.queue.statistics(self.now_ms)
        places = [m.place for m in self.model.messages.values()]
        assert found.visible == places.count("ready")
        assert found.in_flight == places.count("in flight")
        assert found.delayed == places.count("delayed")
        if not self.is_mixed:
            return
        noisy = {g for g in {m.group for m in self.model.messages.values()} if g is not None}
        noisy = {group for group in noisy if self.model.is_noisy(group, self.now_ms)}
        assert found.noisy_groups == len(noisy)
        quiet = [m.place for m in self.model.messages.values() if m.group not in noisy]
        assert found.quiet_visible == quiet.count("ready")
        assert found.quiet_in_flight == quiet.count("in flight")
        assert found.quiet_delayed == quiet.count("delayed")

    @invariant()
    def invariants_hold(self) -> None:
        if hasattr(self, "queue"):
            self.queue.check()

    def teardown(self) -> None:
        """Whatever is left is received once, and nothing else."""
        if not hasattr(self, "queue"):
            return
        left = sorted(m.body for m in self.model.messages.values())
        self.now_ms += 10 * self.timeout_ms
        while self.queue.next_deadline() is not None:
            deadline_ms = self.queue.next_deadline()
            if deadline_ms is None or deadline_ms > self.now_ms:
                break
            self.stage(self.queue.tick(self.now_ms, 1_000))
        found = []
        while messages := self.queue.receive(ReceiveRequest(10, 10**7), self.now_ms).value:
            found += [decode_message(m.record or b"").body for m in messages]
        self.set_limits(*self.old)
        assert sorted(found) == left


TestFairQueue = FairQueueMachine.TestCase
TestFairQueue.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
