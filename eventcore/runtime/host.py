"""The host: runs machines on one store. Group commit, held replies, one timer, reload after a
failed commit.

Rules of this file:

- A command runs at once, in memory. Its mutations go into the open batch. One append is in flight
  at a time; while it runs, the next batch fills. Nobody waits for anybody but the disk.
- Every batch has a number. A machine remembers the number of the last batch that holds a change of
  it (`Seat.batch`); the highest among the machines that a command touched or looked at is its
  horizon, and its reply leaves when that batch is durable. So nobody is told of a fact that can
  vanish, and nobody waits for a write that does not concern him.
- `begin` opens a command, `hold` or `barrier` closes it; all between is synchronous, so one horizon
  is enough.
- After a failed append nothing in memory can be trusted: all waiting replies fail, the machines are
  dropped and rebuilt from the store. Commands are refused meanwhile. Waiting long polls stay and
  are served afterwards.
- The host never looks into a machine; it knows deadlines, outcomes and rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar, final

import msgspec

from eventcore import limits
from eventcore.clock import Clock, TimerHandle
from eventcore.errors import BrokerClosed, EventcoreError, StoreError, StoreUnavailable
from eventcore.outcome import Effect, Machine, Outcome, Transfer, Trim
from eventcore.runtime.telemetry import COMMIT_FAILED, COMMIT_SLOW, SLOW_COMMIT_MS, logger_of
from eventcore.runtime.timers import Timers
from eventcore.stores.base import Batch, Store

__all__ = ["Host", "Reply", "Seat"]

T = TypeVar("T")
NEVER: Final = 1 << 62
RECOVERY_PAUSE_SECONDS_MAX: Final = 5.0
LOAD_SLICE_ROWS: Final = 5_000
SEATS_PER_TIMER: Final = 64
DEADLINES_SWEEP_MIN: Final = 64
COMMANDS_PER_TURN: Final = 100
"""Commands of the embedding program that need not wait, before one gives way to the loop."""

log = logger_of("eventcore.host")


class Reply(Protocol):
    """Somebody who waits for an answer. Exactly one of the two is called, exactly once, and neither
    may raise.
    """

    def commit(self, payload: Any) -> None:
        """The answer may leave: all that it tells is durable."""
        ...

    def fail(self, error: EventcoreError) -> None:
        """What was asked for may or may not have happened; the state was reloaded."""
        ...


@final
class Seat:
    """A machine's place in the host: its component number in the store, and what the host notes
    about it.
    """

    __slots__ = (
        "armed_ms",
        "arn",
        "batch",
        "component",
        "is_touched",
        "is_waited_for",
        "kind",
        "machine",
    )

    def __init__(self, component: int, kind: str, arn: str, machine: Machine) -> None:
        self.component = component
        self.kind = kind
        self.arn = arn
        self.machine = machine
        self.batch = 0
        self.armed_ms = NEVER
        self.is_touched = False
        self.is_waited_for = False


_Waiting = list[tuple[Reply, Any]]
_Barriers = list[asyncio.Future[None]]


@final
class Host:
    """Runs the machines of one store. All methods belong to the event loop's thread."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        timers: Timers,
        *,
        route: Callable[[Effect], None],
        rebuild: Callable[[], Callable[[int, int, bytes], None]],
        on_wake: Callable[[Seat], None],
        on_loaded: Callable[[], None],
    ) -> None:
        """`route` passes an effect on; `rebuild` drops all machines and returns the taker of stored
        rows; `on_wake` is told of a seat somebody waits for that may have something ready;
        `on_loaded` follows every load.
        """
        self._store = store
        self._clock = clock
        self._timers = timers
        self._route = route
        self._rebuild = rebuild
        self._on_wake = on_wake
        self._on_loaded = on_loaded
        self._holds = store.holds_replies
        self._seats: dict[Machine, Seat] = {}
        self._open = Batch()
        self._open_waiting: _Waiting = []
        self._open_barriers: _Barriers = []
        self._flying: Batch | None = None
        self._flying_waiting: _Waiting = []
        self._flying_barriers: _Barriers = []
        self._flown_at = 0.0
        self._number = 1
        self._durable = 0
        self.now_ms = 0
        """The time of the current command, a request's or a tick's: effects are routed with it."""
        self._horizon = 0
        self._commands = 0
        self._is_flush_scheduled = False
        self._touched: list[Seat] = []
        self._woken: list[Seat] = []
        self._deadlines: list[tuple[int, int, Seat]] = []
        self._timer: TimerHandle | None = None
        self._timer_ms = NEVER
        self._arms = 0
        self._refusal: EventcoreError | None = StoreUnavailable("the store is not loaded yet")
        self._recovery: asyncio.Task[None] | None = None
        self._idle: asyncio.Future[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # Commands

    def begin(self) -> int:
        """Opens a command and returns its time. Raises while the host can take none (recovery,
        overload, closed).
        """
        if self._refusal is not None:
            raise type(self._refusal)(str(self._refusal))
        if self.is_full:
            raise StoreUnavailable(
                "more changes are waiting for the disk than BATCH_ROWS_MAX or "
                "BATCH_VALUE_BYTES_MAX; try again"
            )
        self._horizon = 0
        self.now_ms = self._clock.now_ms()
        return self.now_ms

    def begin_unchecked(self) -> None:
        """Opens a command that changes nothing and must be answered in any state (an expired long
        poll).
        """
        self._horizon = 0

    def stage_trim(self, component: int, trim: Trim) -> None:
        """Deletes rows that belong to no machine any more."""
        self._open.trim(component, trim)
        self._schedule_flush()

    def run(self, machine: Machine, outcome: Outcome[T]) -> T:
        """Takes a command's outcome: stages its mutations, routes its effects, has its deadline
        armed and its waiters woken before the next commit. Returns its value.
        """
        seat = self._seats[machine]
        effects = outcome.effects
        if outcome.mutations or outcome.trims:
            if effects:
                effects = self._with_records(seat, effects)
            self._open.add(seat.component, outcome.mutations)
            for trim in outcome.trims:
                self._open.trim(seat.component, trim)
            seat.batch = self._number
        if seat.batch > self._horizon:
            self._horizon = seat.batch
        if not seat.is_touched:
            self._touch(seat)
        for effect in effects:
            self._route(effect)
        return outcome.value

    def _touch(self, seat: Seat) -> None:
        """Has deadline and waiters looked after once before the commit, not once per command."""
        seat.is_touched = True
        self._touched.append(seat)
        self._schedule_flush()

    def look(self, machine: Machine) -> None:
        """Notes that the command read this machine's state, so that its reply waits for what it may
        have seen.
        """
        batch = self._seats[machine].batch
        if batch > self._horizon:
            self._horizon = batch

    def hold(self, reply: Reply, payload: Any) -> None:
        """Closes a command: `reply.commit(payload)` as soon as all it tells is durable, at once if
        it is already.
        """
        if not self._holds or self._horizon <= self._durable:
            reply.commit(payload)
        elif self._horizon == self._number:
            self._open_waiting.append((reply, payload))
        else:
            self._flying_waiting.append((reply, payload))

    def barrier(self) -> asyncio.Future[None] | None:
        """Closes a command of the embedding program: a future done when all it tells is durable;
        None if it is. Now and then a future all the same, so that a loop of commands that never
        wait does not keep everybody else from running.
        """
        assert self._loop is not None
        if not self._holds or self._horizon <= self._durable:
            self._commands += 1
            if self._commands < COMMANDS_PER_TURN:
                return None
            self._commands = 0
            turn: asyncio.Future[None] = self._loop.create_future()
            self._loop.call_soon(_resolve, turn)
            return turn
        future: asyncio.Future[None] = self._loop.create_future()
        if self._horizon == self._number:
            self._open_barriers.append(future)
        else:
            self._flying_barriers.append(future)
        return future

    def read(self, seat: Seat, keys: Sequence[int]) -> list[bytes | None]:
        """Rows of a machine as they are now, staged ones included. A short blocking read."""
        found: dict[int, bytes | None] = {}
        missing = []
        for key in keys:
            value = self._staged((seat.component, key))
            if value is Batch.ABSENT:
                missing.append(key)
            else:
                found[key] = value  # type: ignore[assignment]
        if missing:
            found.update(zip(missing, self._store.read(seat.component, missing), strict=True))
        return [found[key] for key in keys]

    def read_or_fail(self, seat: Seat, key: int) -> bytes:
        """A row that must be there, read after a machine has changed. If it can not be read, what
        is in memory is ahead of what will be stored: everything is reloaded, as after a failed
        commit, and StoreUnavailable is raised.
        """
        try:
            (row,) = self.read(seat, [key])
        except StoreError as error:
            self._fail(error)
            raise StoreUnavailable(f"a row could not be read back: {error}") from error
        assert row is not None, "a message is in memory and has no row"
        return row

    def _staged(self, row: tuple[int, int]) -> bytes | None | object:
        value = self._open.get(row)
        if value is Batch.ABSENT and self._flying is not None:
            value = self._flying.get(row)
        return value

    def _with_records(self, seat: Seat, effects: Sequence[Effect]) -> tuple[Effect, ...]:
        """Fills in the rows of spilled messages, before the sender's deletion is staged."""
        filled: list[Effect] = []
        for effect in effects:
            if isinstance(effect, Transfer) and effect.record is None:
                record = self.read_or_fail(seat, effect.key)
                filled.append(msgspec.structs.replace(effect, record=record))
            else:
                filled.append(effect)
        return tuple(filled)

    # Seats

    def seat(self, seat: Seat) -> None:
        """Takes a machine in."""
        self._seats[seat.machine] = seat
        deadline_ms = seat.machine.next_deadline()
        if deadline_ms is not None:
            self._arm(seat, deadline_ms)

    def unseat(self, machine: Machine) -> Seat:
        """Lets a machine go; its rows stay. Its last changes still belong to the open batch."""
        seat = self._seats.pop(machine)
        seat.armed_ms = NEVER
        return seat

    def seat_of(self, machine: Machine) -> Seat:
        """The machine's seat."""
        return self._seats[machine]

    def watch(self, machine: Machine, is_waited_for: bool) -> None:
        """Notes whether somebody waits for this machine. A machine that a reload is about to
        replace has no seat; its successor's is made with the answer of that time.
        """
        seat = self._seats.get(machine)
        if seat is not None:
            seat.is_waited_for = is_waited_for

    def wake(self, machine: Machine) -> None:
        """Has `on_wake` called for this machine before the next commit that there is room for."""
        self._woken.append(self._seats[machine])
        self._schedule_flush()

    def touch(self, seat: Seat) -> None:
        """Makes the current command's reply wait for the seat's last change."""
        self._horizon = max(self._horizon, seat.batch)

    @property
    def is_ready(self) -> bool:
        """Whether commands are taken."""
        return self._refusal is None

    @property
    def is_full(self) -> bool:
        """Whether more changes wait for the disk than may."""
        batch = self._open
        return (
            len(batch.rows) > limits.BATCH_ROWS_MAX
            or batch.value_bytes > limits.BATCH_VALUE_BYTES_MAX
        )

    def mark(self) -> int:
        """A number that stands for everything staged so far; see `has_reached`."""
        return self._number if self._has_staged else self._number - 1

    def has_reached(self, mark: int) -> bool:
        """Whether all that a mark stands for is durable."""
        return mark <= self._durable

    def look_at_everything(self) -> None:
        """Makes the command's reply wait for all that is staged: for a refusal, of which nobody
        noted which machine's state was its reason.
        """
        self._horizon = max(self._horizon, self.mark())

    # Commit

    @property
    def _has_staged(self) -> bool:
        """Whether the open batch holds anything: changes, or somebody who waits for its turn."""
        return bool(len(self._open) or self._open_waiting or self._open_barriers)

    @property
    def _is_taking(self) -> bool:
        """Whether what is in memory stands; it does while the host is open, and while it drains."""
        return self._refusal is None or isinstance(self._refusal, BrokerClosed)

    def _schedule_flush(self) -> None:
        if not self._is_flush_scheduled and self._loop is not None:
            self._is_flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._is_flush_scheduled = False
        if not self._is_taking:
            return
        while self._touched or (self._woken and not self.is_full):
            self._follow_up()
            if self.is_full:
                break  # whoever is woken would add to it; after the commit there is room
            woken, self._woken = self._woken, []
            for seat in dict.fromkeys(woken):
                if not self._is_taking:
                    return  # a read failed meanwhile: all is being reloaded, and woken again then
                self._on_wake(seat)
        if self._flying is not None:
            return
        if self._has_staged:
            self._append()
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _follow_up(self) -> None:
        touched, self._touched = self._touched, []
        for seat in touched:
            seat.is_touched = False
            if seat.machine not in self._seats:
                continue
            deadline_ms = seat.machine.next_deadline()
            if deadline_ms is not None and deadline_ms < seat.armed_ms:
                self._arm(seat, deadline_ms)
            if seat.is_waited_for:
                self._woken.append(seat)

    def _append(self) -> None:
        batch, self._open = self._open, Batch()
        self._flying, self._flying_waiting = batch, self._open_waiting
        self._flying_barriers = self._open_barriers
        self._open_waiting, self._open_barriers = [], []
        self._number += 1
        self._flown_at = perf_counter()
        self._store.append(batch, self._appended)

    def _appended(self, error: StoreError | None) -> None:
        if self._flying is None:
            return
        seconds = perf_counter() - self._flown_at
        if seconds * 1000 > SLOW_COMMIT_MS:
            log.warning(COMMIT_SLOW, seconds=round(seconds, 3), rows=len(self._flying.rows))
        if error is not None:
            self._fail(error)
            return
        waiting, self._flying_waiting = self._flying_waiting, []
        barriers, self._flying_barriers = self._flying_barriers, []
        self._flying = None
        self._durable = self._number - 1
        for reply, payload in waiting:
            reply.commit(payload)
        for barrier in barriers:
            _resolve(barrier)
        if self._has_staged or self._woken:
            self._schedule_flush()
        elif self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    # Failure and load

    def _fail(self, error: StoreError) -> None:
        log.error(COMMIT_FAILED, error=str(error))
        is_closing = isinstance(self._refusal, BrokerClosed)
        waiting = self._flying_waiting + self._open_waiting
        barriers = self._flying_barriers + self._open_barriers
        self._refusal = (
            self._refusal if is_closing else StoreUnavailable(f"recovering from: {error}")
        )
        self._drop()
        for reply, _ in waiting:
            reply.fail(error)
        for barrier in barriers:
            if not barrier.done():
                barrier.set_exception(error)
        if is_closing:
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)
        else:
            self._recovery = asyncio.get_running_loop().create_task(self._recover())

    def _drop(self) -> None:
        self._open, self._open_waiting, self._open_barriers = Batch(), [], []
        self._flying, self._flying_waiting, self._flying_barriers = None, [], []
        self._durable = self._number
        self._number += 1
        self._seats.clear()
        self._deadlines.clear()
        self._touched.clear()
        self._woken.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_ms = None, NEVER

    async def _recover(self) -> None:
        pause = 0.05
        while True:
            try:
                await self._store.recover()
                await self.load()
            except Exception as error:  # noqa: BLE001  (all there is: try again)
                log.warning("recovery_failed", error=repr(error), retry_seconds=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, RECOVERY_PAUSE_SECONDS_MAX)
            else:
                log.info("recovered")
                return

    async def load(self) -> None:
        """Builds all machines from the store's rows, in slices; the event loop runs between."""
        self._loop = asyncio.get_running_loop()
        self._seats.clear()
        self._deadlines.clear()
        take = self._rebuild()
        for rows, (component, key, value) in enumerate(self._store.load(), start=1):
            take(component, key, value)
            if rows % LOAD_SLICE_ROWS == 0:
                await asyncio.sleep(0)
        for seat in self._seats.values():
            deadline_ms = seat.machine.next_deadline()
            if deadline_ms is not None and deadline_ms < seat.armed_ms:
                self._arm(seat, deadline_ms)
        if not isinstance(self._refusal, BrokerClosed):
            self._refusal = None
        self._woken = [seat for seat in self._seats.values() if seat.is_waited_for]
        self._schedule_flush()
        self._on_loaded()

    # Time

    def _arm(self, seat: Seat, deadline_ms: int) -> None:
        seat.armed_ms = deadline_ms
        self._arms += 1
        if len(self._deadlines) > 2 * len(self._seats) + DEADLINES_SWEEP_MIN:
            # A far deadline is pushed again after each near one: without this, copies pile up.
            self._deadlines = [
                (other.armed_ms, number, other)
                for number, other in enumerate(self._seats.values())
                if other.armed_ms < NEVER and other is not seat
            ]
            heapify(self._deadlines)
        heappush(self._deadlines, (deadline_ms, self._arms, seat))
        if deadline_ms < self._timer_ms:
            self._set_timer(deadline_ms)

    def _set_timer(self, deadline_ms: int) -> None:
        if isinstance(self._refusal, BrokerClosed):
            return  # what falls due now is done after the next start
        if self._timer is not None:
            self._timer.cancel()
        self._timer_ms = deadline_ms
        if self._loop is not None and deadline_ms <= self._clock.now_ms():
            # At once: a manual clock fires nothing that is past until it is moved again.
            self._timer = self._loop.call_soon(self._on_timer)
        else:
            self._timer = self._timers.call_at(deadline_ms, self._on_timer)

    def _on_timer(self) -> None:
        self._timer, self._timer_ms = None, NEVER
        self.now_ms = now_ms = self._clock.now_ms()
        due: list[Seat] = []
        deadlines = self._deadlines
        while deadlines and len(due) < SEATS_PER_TIMER:
            deadline_ms, _, seat = deadlines[0]
            if seat.armed_ms == deadline_ms:
                if deadline_ms > now_ms:
                    break
                seat.armed_ms = NEVER
                due.append(seat)
            heappop(deadlines)
        for seat in due:
            self._horizon = 0
            self.run(seat.machine, seat.machine.tick(now_ms, limits.TICK_STEPS_MAX))
        self._follow_up()  # now, so that a manual clock meets the next deadline on its way
        if deadlines and deadlines[0][0] < self._timer_ms:
            self._set_timer(deadlines[0][0])

    # End

    async def close(self) -> None:
        """Refuses new commands, waits until everything staged is durable, and stops the timer."""
        self._refusal = BrokerClosed("the broker is closed")
        if self._recovery is not None:
            self._recovery.cancel()
            await asyncio.gather(self._recovery, return_exceptions=True)
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_ms = None, NEVER
        if self._flying is not None or self._has_staged:
            self._idle = asyncio.get_running_loop().create_future()
            self._schedule_flush()
            await self._idle


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
