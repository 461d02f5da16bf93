"""The host, with a machine of two lines and a store whose appends end on command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from eventcore import limits
from eventcore.errors import BrokerClosed, EventcoreError, StoreUnavailable
from eventcore.outcome import Effect, Mutation, Outcome, Trim
from eventcore.runtime.host import Host, Seat
from eventcore.testing import ManualClock
from tests.simulation.pending_store import PendingStore


class Register:
    """A machine of rows that are what was put. Rows are put again by ticks at the set deadlines."""

    def __init__(self) -> None:
        self.rows: dict[int, bytes] = {}
        self.deadlines: list[int] = []
        self.ticks: list[int] = []

    def put(self, key: int, value: bytes, *, is_new: bool = False) -> Outcome[bytes]:
        mutation = Mutation(key, value, None, is_new)
        self.apply(mutation)
        return Outcome(value, (mutation,))

    def remove(self, key: int) -> Outcome[None]:
        mutation = Mutation(key, None)
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def apply(self, mutation: Mutation) -> None:
        if mutation.value is None:
            self.rows.pop(mutation.key, None)
        else:
            self.rows[mutation.key] = mutation.value

    def next_deadline(self) -> int | None:
        return min(self.deadlines, default=None)

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        self.ticks.append(now_ms)
        due = [d for d in self.deadlines if d <= now_ms]
        self.deadlines = [d for d in self.deadlines if d > now_ms]
        return Outcome(None, tuple(self.put(d, b"ticked").mutations[0] for d in due))

    def check(self) -> None:
        return


class Answers:
    """A reply that notes what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def commit(self, payload: Any) -> None:
        self.told.append(payload)

    def fail(self, error: EventcoreError) -> None:
        self.told.append(error)


class Rig:
    """A host with two registers, in components 1 and 2."""

    def __init__(self, store: PendingStore | None = None) -> None:
        self.store = store or PendingStore()
        self.clock = ManualClock()
        self.woken: list[int] = []
        self.on_wake: Callable[[Seat], None] = lambda seat: self.woken.append(seat.component)
        self.loads = 0
        self.effects: list[Effect] = []
        self.registers: dict[int, Register] = {}
        self.host = Host(
            self.store,
            self.clock,
            self.clock,
            route=self.effects.append,
            rebuild=self._rebuild,
            on_wake=self._wake,
            on_loaded=lambda: setattr(self, "loads", self.loads + 1),
        )

    def _wake(self, seat: Seat) -> None:
        self.on_wake(seat)

    def _rebuild(self) -> Callable[[int, int, bytes], None]:
        self.registers = {}
        return self._take_row

    def _take_row(self, component: int, key: int, value: bytes) -> None:
        self.register(component).apply(Mutation(key, value))

    def register(self, component: int) -> Register:
        if component not in self.registers:
            self.registers[component] = Register()
            self.host.seat(Seat(component, "register", "", self.registers[component]))
        return self.registers[component]

    def put(self, component: int, key: int, value: bytes = b"v", **options: Any) -> Answers:
        """A whole command: its reply."""
        self.host.begin()
        register = self.register(component)
        self.host.run(register, register.put(key, value, **options))
        return self.reply("ok")

    def look(self, component: int) -> Answers:
        self.host.begin()
        self.host.look(self.register(component))
        return self.reply("seen")

    def reply(self, payload: Any) -> Answers:
        answers = Answers()
        self.host.hold(answers, payload)
        return answers

    def stored(self) -> dict[tuple[int, int], bytes]:
        return {(c, k): v for c, k, v in self.store.rows.load()}


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
async def rig() -> Rig:
    rig = Rig()
    await rig.store.open()
    await rig.host.load()
    await turn()
    return rig


# Replies


async def test_a_reply_leaves_when_its_batch_is_durable_and_not_before(rig):
    answers = rig.put(1, 1)
    await turn()
    assert rig.store.pending is not None and answers.told == []
    rig.store.commit()
    assert answers.told == ["ok"]
    assert rig.stored() == {(1, 1): b"v"}


async def test_a_command_that_changed_and_saw_nothing_is_answered_at_once(rig):
    rig.host.begin()
    assert rig.reply("ok").told == ["ok"]
    await turn()
    assert rig.store.appends == 0


async def test_a_reader_of_an_uncommitted_change_waits_for_it(rig):
    rig.put(1, 1)
    waiting_in_the_open_batch = rig.look(1)
    await turn()
    waiting_for_the_flight = rig.look(1)
    assert (waiting_in_the_open_batch.told, waiting_for_the_flight.told) == ([], [])
    rig.store.commit()
    assert (waiting_in_the_open_batch.told, waiting_for_the_flight.told) == (["seen"], ["seen"])


async def test_a_reader_of_another_machine_does_not_wait(rig):
    rig.register(2)
    rig.put(1, 1)
    assert rig.look(2).told == ["seen"]


async def test_a_reader_of_durable_state_does_not_wait_for_a_later_batch(rig):
    rig.put(1, 1)
    await turn()
    rig.put(2, 1)
    reader = rig.look(1)
    assert reader.told == []
    rig.store.commit()
    assert reader.told == ["seen"], "batch 1 is durable, batch 2 is not"


async def test_a_command_that_changes_nothing_waits_for_what_it_may_have_seen(rig):
    rig.put(1, 1)
    rig.host.begin()
    rig.host.run(rig.register(1), Outcome(None))
    answers = rig.reply("empty")
    assert answers.told == []
    await turn()
    rig.store.commit()
    assert answers.told == ["empty"]


async def test_a_command_on_two_machines_waits_for_the_later_batch(rig):
    rig.put(1, 1)
    await turn()
    rig.put(2, 1)
    rig.host.begin()
    rig.host.look(rig.register(2))
    rig.host.look(rig.register(1))
    both = rig.reply("both")
    rig.store.commit()
    assert both.told == []
    await turn()
    rig.store.commit()
    assert both.told == ["both"]


async def test_a_deleted_machines_last_change_holds_the_reply_back(rig):
    rig.host.begin()
    register = rig.register(1)
    rig.host.run(register, register.put(1, b"v"))
    rig.host.begin()
    rig.host.touch(rig.host.unseat(register))
    answers = rig.reply("gone")
    assert answers.told == []
    await turn()
    rig.store.commit()
    assert answers.told == ["gone"]


async def test_barrier_is_none_when_there_is_nothing_to_wait_for(rig):
    rig.host.begin()
    assert rig.host.barrier() is None
    register = rig.register(1)
    rig.host.run(register, register.put(1, b"v"))
    barrier = rig.host.barrier()
    assert barrier is not None
    await turn()
    rig.store.commit()
    await barrier


async def test_a_barrier_whose_waiter_has_gone_disturbs_nobody(rig):
    rig.host.begin()
    register = rig.register(1)
    rig.host.run(register, register.put(1, b"v"))
    barrier = rig.host.barrier()
    assert barrier is not None
    barrier.cancel()
    after = rig.put(1, 2)
    await turn()
    rig.store.commit()
    assert after.told == ["ok"]


async def test_replies_of_one_batch_leave_in_order(rig):
    order: list[int] = []

    class Ordered(Answers):
        def commit(self, payload: Any) -> None:
            order.append(payload)

    for number in range(5):
        rig.host.begin()
        register = rig.register(number % 2 + 1)
        rig.host.run(register, register.put(number, b"v"))
        rig.host.hold(Ordered(), number)
    await turn()
    rig.store.commit()
    assert order == [0, 1, 2, 3, 4]


# Batches


async def test_commands_of_one_turn_share_one_append(rig):
    for number in range(100):
        rig.put(number % 2 + 1, number)
    await turn()
    assert rig.store.appends == 1
    rig.store.commit()
    await turn()
    assert rig.store.appends == 1 and rig.store.pending is None
    assert len(rig.stored()) == 100


async def test_one_append_is_in_flight_and_the_next_batch_fills_meanwhile(rig):
    rig.put(1, 1)
    await turn()
    later = [rig.put(1, number) for number in range(2, 50)]
    await turn()
    assert rig.store.appends == 1
    rig.store.commit()
    await turn()
    assert rig.store.appends == 2
    assert all(answers.told == [] for answers in later)
    rig.store.commit()
    assert all(answers.told == ["ok"] for answers in later)


async def test_changes_of_one_row_coalesce(rig):
    for number in range(10):
        rig.put(1, 7, b"%d" % number)
    await turn()
    assert rig.store.pending is not None
    assert rig.store.pending[0].rows == {(1, 7): b"9"}


async def test_a_new_row_deleted_within_its_batch_costs_nothing_and_is_answered(rig):
    created = rig.put(1, 7, is_new=True)
    rig.host.begin()
    rig.host.run(rig.register(1), rig.register(1).remove(7))
    deleted = rig.reply("deleted")
    await turn()
    assert rig.store.pending is not None and len(rig.store.pending[0]) == 0
    rig.store.commit()
    assert (created.told, deleted.told) == (["ok"], ["deleted"])


async def test_too_many_rows_waiting_for_the_disk_refuse_new_commands(rig, monkeypatch):
    monkeypatch.setattr(limits, "BATCH_ROWS_MAX", 3)
    for number in range(4):
        rig.put(1, number)
    with pytest.raises(StoreUnavailable, match="BATCH_ROWS_MAX"):
        rig.host.begin()
    await turn()
    rig.host.begin()


async def test_reads_see_what_is_staged_in_flight_and_stored(rig):
    rig.put(1, 1, b"stored")
    rig.put(1, 2, b"old")
    rig.put(1, 3, b"trimmed")
    await turn()
    rig.store.commit()
    rig.put(1, 2, b"in flight")
    await turn()
    rig.put(1, 4, b"open")
    rig.host.stage_trim(1, Trim(3, 3))
    seat = rig.host.seat_of(rig.register(1))
    found = rig.host.read(seat, [4, 3, 2, 1, 9])
    assert found == [b"open", None, b"in flight", b"stored", None]


# Failure


@pytest.mark.parametrize("is_durable", [False, True])
async def test_after_a_failed_append_the_state_is_what_the_store_has(rig, is_durable):
    rig.put(1, 1, b"before")
    await turn()
    rig.store.commit()
    rig.put(1, 1, b"unknown")
    rig.put(2, 1, b"unknown too")
    await turn()
    rig.put(1, 5, b"never")
    rig.store.fail(is_durable=is_durable)
    await turn()
    assert rig.host.is_ready
    wanted = {(1, 1): b"before"}
    if is_durable:
        wanted = {(1, 1): b"unknown", (2, 1): b"unknown too"}
    assert rig.stored() == wanted
    assert {(c, k): v for c, r in rig.registers.items() for k, v in r.rows.items()} == wanted


@pytest.mark.parametrize("is_durable", [False, True])
async def test_after_a_failed_append_every_waiting_reply_fails_once(rig, is_durable):
    flying = rig.put(1, 1)
    await turn()
    waiting = [rig.put(1, 2), rig.put(2, 1), rig.look(1)]
    rig.store.fail(is_durable=is_durable)
    for answers in [flying, *waiting]:
        assert len(answers.told) == 1 and isinstance(answers.told[0], StoreUnavailable)
    await turn()
    after = rig.put(1, 3)
    await turn()
    rig.store.commit()
    assert after.told == ["ok"]
    assert all(len(answers.told) == 1 for answers in [flying, *waiting])


async def test_commands_are_refused_while_recovering(rig):
    rig.store.recoveries_failing = 1
    rig.put(1, 1)
    await turn()
    rig.store.fail(is_durable=False)
    assert not rig.host.is_ready
    with pytest.raises(StoreUnavailable, match="recovering"):
        rig.host.begin()
    rig.host.begin_unchecked()
    assert rig.reply("empty").told == ["empty"]


async def test_recovery_is_tried_until_it_works(rig):
    rig.put(1, 1)
    await turn()
    rig.store.commit()
    rig.store.recoveries_failing = 1
    rig.put(1, 2)
    await turn()
    rig.store.fail(is_durable=False)
    async with asyncio.timeout(5):
        while not rig.host.is_ready:
            await asyncio.sleep(0.01)
    assert rig.registers[1].rows == {1: b"v"}
    assert rig.loads == 2


async def test_a_load_that_fails_half_way_leaves_nothing_behind(rig):
    for key in range(3):
        rig.put(1, key)
    await turn()
    rig.store.commit()
    rig.put(1, 5)
    await turn()
    rig.store.loads_failing_at = 2
    rig.store.fail(is_durable=False)
    async with asyncio.timeout(5):
        while not rig.host.is_ready:
            await asyncio.sleep(0.01)
    assert list(rig.host._seats) == [rig.registers[1]]
    assert rig.registers[1].rows == {0: b"v", 1: b"v", 2: b"v"}


async def test_a_machine_without_a_seat_may_still_be_watched(rig):
    """A long poll may end between a failed commit and the reload."""
    register = rig.register(1)
    rig.host.watch(register, True)
    assert rig.host.seat_of(register).is_waited_for
    rig.put(1, 1)
    await turn()
    rig.store.fail(is_durable=False)
    rig.host.watch(register, False)
    await turn()
    assert rig.host.is_ready


async def test_a_timer_from_before_the_failure_ticks_no_dropped_machine(rig):
    register = rig.register(1)
    register.deadlines = [rig.clock.now_ms() + 10]
    rig.put(1, 1)
    await turn()
    rig.store.recoveries_failing = 1
    rig.store.fail(is_durable=False)
    rig.clock.advance(100)
    assert register.ticks == []


async def test_machines_are_loaded_from_the_store_at_the_start(rig):
    rig.put(1, 1, b"a")
    rig.put(2, 9, b"b")
    await turn()
    rig.store.commit()
    restarted = Rig(rig.store.crash())
    await restarted.store.open()
    await restarted.host.load()
    assert {c: r.rows for c, r in restarted.registers.items()} == {1: {1: b"a"}, 2: {9: b"b"}}


async def test_nothing_is_taken_before_the_first_load():
    with pytest.raises(StoreUnavailable, match="not loaded"):
        Rig().host.begin()


# Time


async def test_a_deadline_ticks_its_machine_on_time_and_only_it(rig):
    now_ms = rig.clock.now_ms()
    one, two = rig.register(1), rig.register(2)
    one.deadlines = [now_ms + 100]
    rig.put(1, 1)
    two.deadlines = [now_ms + 200]
    rig.put(2, 1)
    await turn()
    rig.clock.advance(99)
    assert one.ticks == []
    rig.clock.advance(1)
    assert (one.ticks, two.ticks) == ([now_ms + 100], [])
    rig.clock.advance(1_000)
    assert (len(one.ticks), two.ticks) == (1, [now_ms + 200])


async def test_an_earlier_deadline_rearms_the_timer(rig):
    now_ms = rig.clock.now_ms()
    one = rig.register(1)
    for deadline_ms in (500, 300, 400, 100):
        one.deadlines.append(now_ms + deadline_ms)
        rig.put(1, 1)
        await turn()
    rig.clock.advance(1_000)
    assert one.ticks == [now_ms + n for n in (100, 300, 400, 500)]


async def test_a_deadline_in_the_past_ticks_at_once(rig):
    rig.register(1).deadlines = [0]
    rig.put(1, 1)
    await turn()
    assert len(rig.register(1).ticks) == 1


async def test_more_machines_fall_due_at_once_than_one_timer_serves(rig):
    due_ms = rig.clock.now_ms() + 5
    for component in range(1, 300):
        rig.register(component).deadlines = [due_ms]
        rig.put(component, 1)
    await turn()
    rig.clock.advance(5)
    for _ in range(10):
        await turn()
    assert all(r.ticks == [due_ms] for r in rig.registers.values())


async def test_a_ticks_changes_are_committed(rig):
    due_ms = rig.clock.now_ms() + 5
    rig.register(1).deadlines = [due_ms]
    rig.put(1, 1)
    await turn()
    rig.store.commit()
    rig.clock.advance(5)
    await turn()
    rig.store.commit()
    assert rig.stored()[(1, due_ms)] == b"ticked"


async def test_an_unseated_machine_is_not_ticked(rig):
    register = rig.register(1)
    register.deadlines = [rig.clock.now_ms() + 5]
    rig.put(1, 1)
    rig.host.unseat(register)
    rig.clock.advance(10)
    assert register.ticks == []


async def test_deadlines_are_armed_again_after_a_restart(rig):
    rig.put(1, 1)
    await turn()
    rig.store.commit()
    restarted = Rig(rig.store.crash())
    due_ms = restarted.clock.now_ms() + 7
    take = restarted._take_row

    def take_with_deadline(component: int, key: int, value: bytes) -> None:
        take(component, key, value)
        restarted.register(component).deadlines = [due_ms]

    restarted._take_row = take_with_deadline  # type: ignore[method-assign]
    await restarted.store.open()
    await restarted.host.load()
    restarted.clock.advance(7)
    assert restarted.register(1).ticks == [due_ms]


# Waking


async def test_a_seat_that_is_waited_for_is_woken_once_per_turn_before_the_commit(rig):
    rig.host.watch(rig.register(1), True)
    for number in range(10):
        rig.put(1, number)
        rig.put(2, number)
    await turn()
    assert rig.woken == [1]
    assert rig.store.appends == 1


async def test_what_a_woken_waiter_does_joins_the_same_batch(rig):
    rig.host.watch(rig.register(1), True)

    def serve(seat: Seat) -> None:
        rig.host.watch(rig.register(1), False)
        rig.put(1, 99, b"served")

    rig.on_wake = serve
    rig.put(1, 1)
    await turn()
    assert rig.store.pending is not None
    assert rig.store.pending[0].rows == {(1, 1): b"v", (1, 99): b"served"}


async def test_nobody_is_woken_when_nobody_waits(rig):
    rig.put(1, 1)
    await turn()
    assert rig.woken == []


async def test_whoever_waits_is_woken_after_a_reload(rig):
    rig.put(1, 1)
    await turn()
    rig.store.commit()
    await turn()
    take = rig._take_row

    def take_watched(component: int, key: int, value: bytes) -> None:
        take(component, key, value)
        rig.host.watch(rig.register(component), True)

    rig._take_row = take_watched  # type: ignore[method-assign]
    rig.put(1, 2)
    await turn()
    rig.store.fail(is_durable=False)
    await turn()
    assert rig.woken == [1]


async def test_a_full_batch_puts_waking_off_until_there_is_room(rig, monkeypatch):
    monkeypatch.setattr(limits, "BATCH_ROWS_MAX", 3)
    rig.host.watch(rig.register(1), True)
    for number in range(4):
        rig.put(1, number)
    await turn()
    assert rig.woken == [], "a waiter could not be served now"
    rig.store.commit()
    await turn()
    assert rig.woken == [1]


# End


async def test_close_waits_for_everything_staged_and_refuses_the_rest(rig):
    first = rig.put(1, 1)
    await turn()
    second = rig.put(1, 2)
    closing = asyncio.ensure_future(rig.host.close())
    await turn()
    with pytest.raises(BrokerClosed):
        rig.host.begin()
    rig.store.commit()
    await turn()
    assert not closing.done()
    rig.store.commit()
    await closing
    assert (first.told, second.told) == (["ok"], ["ok"])
    assert len(rig.stored()) == 2


async def test_close_ends_even_when_the_last_commit_fails(rig):
    answers = rig.put(1, 1)
    closing = asyncio.ensure_future(rig.host.close())
    await turn()
    rig.store.fail(is_durable=False)
    await closing
    assert isinstance(answers.told[0], StoreUnavailable)
    with pytest.raises(BrokerClosed):
        rig.host.begin()


async def test_close_ends_a_recovery(rig):
    rig.put(1, 1)
    await turn()
    rig.store.recoveries_failing = 1_000
    rig.store.fail(is_durable=False)
    await turn()
    await rig.host.close()
    assert not rig.host.is_ready


async def test_close_does_not_wait_for_work_that_time_makes(rig):
    """Ticks that follow each other (the rows of a purge) go on after the next start."""
    register = rig.register(1)
    now_ms = rig.clock.now_ms()
    register.deadlines = [now_ms + n for n in range(1, 1_000)]
    rig.put(1, 1)
    await turn()
    closing = asyncio.ensure_future(rig.host.close())
    await turn()
    for _ in range(3):
        rig.clock.advance(1)
        if rig.store.pending is not None:
            rig.store.commit()
        await turn()
    assert closing.done()
    assert register.ticks == []


async def test_close_leaves_no_timer_behind(rig):
    async def put_and_close() -> None:
        rig.register(1).deadlines = [rig.clock.now_ms() + 10]
        rig.put(1, 1)
        await rig.host.close()

    closing = asyncio.ensure_future(put_and_close())
    await turn()
    rig.store.commit()
    await closing
    rig.clock.advance(100)
    await turn()
    assert rig.register(1).ticks == [] and rig.store.appends == 1


async def test_close_of_an_idle_host_is_immediate_and_may_be_repeated(rig):
    await rig.host.close()
    await rig.host.close()
    assert rig.store.appends == 0


async def test_a_far_deadline_behind_many_near_ones_is_kept_once(rig):
    now_ms = rig.clock.now_ms()
    register = rig.register(1)
    register.deadlines = [now_ms + 86_400_000]
    for step in range(1_000):
        register.deadlines.append(now_ms + step + 1)
        rig.put(1, 1)
        await turn()
        if rig.host.mark() and not rig.host.has_reached(rig.host.mark()):
            rig.store.commit()
        rig.clock.advance(1)
        await turn()
    assert len(register.ticks) >= 999
    assert len(rig.host._deadlines) < 200
