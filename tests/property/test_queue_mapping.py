"""A mapping of a queue on random messages, failures, throttles, restarts and failed commits, with a
ledger.

Whatever happens, each message is in one place: in the queue, in the dead-letter queue, or gone; and
it is gone only if the function was given it and did not report it, if the filter did not want it,
or if it was in a recursive loop without a dead-letter queue. A message that succeeded within its
visibility is never given to the function again. Of a FIFO queue's group, one batch runs at a time,
and no message is given to the function before all that were sent before it have succeeded or have
left the queue.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore.errors import RecursiveInvocation, StoreUnavailable, Throttled
from eventcore.queues.message import decode_message
from eventcore.queues.queue import QueueMachine
from tests.unit.runtime.queue_mapping_rig import Call, MappingRig, succeeded
from tests.unit.runtime.rig import PREFIX, turn

VISIBILITY_MS = 30_000
GROUPS = ["a", "b", "c"]
WAITS_MS = [1, 100, 700, 5_000, 14_000, VISIBILITY_MS - 1, VISIBILITY_MS]
FILTER = '{"body": [{"prefix": "+"}]}'
THROTTLED = Throttled("handler", "ReservedFunctionConcurrentInvocationLimitExceeded")
LOOP = RecursiveInvocation("handler", 17)

sends = st.tuples(
    st.just("send"), st.sampled_from(GROUPS), st.integers(1, 6), st.integers(0, 9).map(bool)
)
ends = st.tuples(
    st.just("end"),
    st.integers(0, 9),
    st.sampled_from(["succeed", "succeed", "fail", "report", "report", "garbage"]),
    st.integers(0, 1023),
)
waits = st.tuples(st.just("wait"), st.sampled_from(WAITS_MS))
others = st.one_of(
    st.tuples(st.just("refuse"), st.sampled_from([None, THROTTLED, LOOP])),
    st.tuples(st.just("fail commits"), st.booleans()),
    st.tuples(st.just("restart"), st.sampled_from([0, 500, 40_000])),
    st.tuples(st.just("function"), st.booleans()),
)
commands = st.lists(
    st.one_of(sends, sends, ends, ends, ends, waits, others), min_size=15, max_size=50
)
mappings = st.fixed_dictionaries(
    {
        "is_fifo": st.booleans(),
        "receives_max": st.sampled_from([None, 1, 2, 5]),
        "batch_size": st.sampled_from([1, 2, 3, 10]),
        "batch_window_ms": st.sampled_from([0, 0, 1_000, 100_000]),
        "concurrency_max": st.sampled_from([None, 2, 3]),
        "reports_item_failures": st.booleans(),
        "filters": st.sampled_from([(), (FILTER,)]),
    }
)


class World(MappingRig):
    """The rig with the ledger."""

    fails_commit: bool | None = None
    """Whether the next commit, reported as failed, is durable; None for one that does not fail."""

    async def prepare(self, **fields: Any) -> World:
        self.sent: dict[str, list[str]] = {group: [] for group in GROUPS}
        self.unsure: set[str] = set()
        self.succeeded_once: set[str] = set()
        self.succeeded_in_time: set[str] = set()
        self.dropped: set[str] = set()
        self.fields = fields
        await super().prepare(**fields)
        self.functions.on_call = self.check_call
        return self

    async def settle(self) -> None:
        while True:
            await turn()
            if self.store.pending is None and self.engine.is_ready:
                return
            if self.store.pending is None:
                continue
            if self.fails_commit is None:
                self.store.commit()
            else:
                is_durable, self.fails_commit = self.fails_commit, None
                self.store.fail(is_durable=is_durable)

    # What is where

    def stored(self, name: str) -> list[str]:
        queue = self.engine.queue(PREFIX + name)
        assert isinstance(queue, QueueMachine)
        records = [entry.record for entry in queue._entries.values()]
        return [decode_message(record).body for record in records if record is not None]

    @property
    def dead(self) -> list[str]:
        return self.stored("dead.fifo" if self.fields["is_fifo"] else "dead")

    def is_wanted(self, body: str) -> bool:
        return not self.fields["filters"] or body.startswith("+")

    def is_kept(self, record: dict[str, Any], duration_ms: int) -> bool:
        """Whether a message stays invisible, by the receive that its handle is of, for so long."""
        browsed, _ = self.engine.browse(self.engine.queue(PREFIX + self.name), -1, 10_000)
        count = int(record["attributes"]["ApproximateReceiveCount"])
        until_ms = self.clock.now_ms() + duration_ms
        return any(
            each.body == record["body"] and each.visible_ms > until_ms and each.receives == count
            for each in browsed
        )

    # Checks

    def check_call(self, call: Call) -> None:
        """What holds when the function is given a batch."""
        assert 1 <= len(call.records) <= self.fields["batch_size"]
        assert len(set(call.bodies)) == len(call.bodies), "a message is twice in a batch"
        assert all(map(self.is_wanted, call.bodies)), "the filter did not want it"
        assert not self.succeeded_in_time.intersection(call.bodies), "done, and given again"
        if call.refusal is LOOP:
            self.dropped.update(call.bodies)
        if self.fields["is_fifo"]:
            self.check_order(call)

    def check_order(self, call: Call) -> None:
        there = set(self.stored(self.name))
        for other in self.functions.running:
            shared = groups_of(other).intersection(groups_of(call))
            assert not shared or other.was_cancelled, "two batches of a group"
        seen: set[str] = set()
        for body in call.bodies:
            group = self.sent[group_of(body)]
            for earlier in group[: group.index(body)]:
                is_done = earlier in seen or earlier in self.succeeded_once
                assert is_done or earlier not in there, "an earlier message is not done"
            seen.add(body)

    def check(self) -> None:
        """What holds whenever nothing moves."""
        self.poller._batches.check()
        there, dead = self.stored(self.name), self.dead
        assert len(set(there)) == len(there) and len(set(dead)) == len(dead)
        assert not set(there).intersection(dead), "a message is in two places"
        for bodies in self.sent.values():
            for body in set(bodies).difference(there, dead, self.unsure):
                is_let = body in self.succeeded_once or body in self.dropped
                assert is_let or not self.is_wanted(body), f"{body} is lost"
        assert not self.succeeded_in_time.intersection(there), "done, and still there"

    # Commands

    async def offer(self, group: str, count: int, is_wanted: bool) -> None:
        mark = "+" if is_wanted else "-"
        first = len(self.sent[group])
        bodies = [f"{mark}{group}{first + number}" for number in range(count)]
        self.sent[group] += bodies
        try:
            answer = self.put_only(*bodies, group=group)
        except StoreUnavailable:
            self.unsure.update(bodies)
            return
        await self.settle()
        if isinstance(answer.value, Exception):
            self.unsure.update(bodies)

    async def end(self, at: int, how: str, mask: int) -> None:
        running = self.functions.running
        if not running:
            return
        call = running[at % len(running)]
        reports = self.fields["reports_item_failures"]
        failed = {body for bit, body in enumerate(call.bodies) if mask >> bit & 1}
        if how == "fail" or (how == "garbage" and reports):
            failed = set(call.bodies)
        elif how != "report" or not reports:
            failed = set()
        if self.fields["is_fifo"]:
            failed = behind(call.bodies, failed)
        done = [record for record in call.records if record["body"] not in failed]
        recovery_ms = 0 if self.fails_commit is None else 5_000
        in_time = {r["body"] for r in done if self.is_kept(r, recovery_ms)}
        self.succeeded_once.update(record["body"] for record in done)
        if how == "fail":
            call.fail()
        elif how == "garbage":
            call.succeed({"batchItemFailures": [{"itemIdentifier": None}]})
        else:
            call.report(*failed)
        await self.settle()
        await self.run_for(recovery_ms)
        self.succeeded_in_time |= in_time

    async def restart(self, drain_ms: int) -> None:
        stop = asyncio.ensure_future(self.poller.stop(drain_ms))
        await self.settle()
        await self.run_for(drain_ms)
        await stop
        for call in self.functions.running:
            assert call.was_cancelled
            call.fail()
        self.poller = self.new_poller()
        await self.begin()

    async def obey(self, command: tuple[Any, ...]) -> None:
        name, *arguments = command
        if name == "send":
            await self.offer(*arguments)
        elif name == "end":
            await self.end(*arguments)
        elif name == "wait":
            await self.run_for(*arguments)
        elif name == "refuse":
            self.functions.refusal = arguments[0]
        elif name == "fail commits":
            self.fails_commit = arguments[0]
        elif name == "restart":
            await self.restart(*arguments)
        else:
            self.functions.is_there = arguments[0]

    async def come_to_rest(self) -> None:
        """From now on everything works."""
        self.functions.refusal, self.functions.is_there = None, True
        self.fails_commit = None

        def handle(call: Call) -> Any:
            self.succeeded_once.update(call.bodies)
            return succeeded()

        self.functions.handle = handle
        while self.functions.running:
            await self.end(0, "succeed", 0)
        for _ in range(4):
            await self.run_for(VISIBILITY_MS + 5_000)


def group_of(body: str) -> str:
    return body[1]


def groups_of(call: Call) -> set[str]:
    return {group_of(body) for body in call.bodies}


def behind(bodies: list[str], failed: set[str]) -> set[str]:
    """The failed ones, and what stands behind them in their groups."""
    held: set[str] = set()
    for body in bodies:
        if body in failed or group_of(body) in {group_of(each) for each in held}:
            held.add(body)
    return held


async def run_world(fields: dict[str, Any], program: list[tuple[Any, ...]]) -> None:
    world = await World().prepare(**fields)
    await world.begin()
    for command in program:
        await world.obey(command)
        world.check()
    await world.come_to_rest()
    world.check()
    assert world.stored(world.name) == [], "a message was left behind"
    for bodies in world.sent.values():
        done = world.succeeded_once.union(world.dead, world.unsure, world.dropped)
        assert all(body in done or not world.is_wanted(body) for body in bodies)
    await world.poller.stop(0)
    assert world.poller.invocations == 0


@settings(max_examples=120)
@given(fields=mappings, program=commands)
def test_no_message_is_lost_and_groups_keep_their_order(
    fields: dict[str, Any], program: list[tuple[Any, ...]]
) -> None:
    asyncio.run(run_world(fields, program))
    assert program is not None
