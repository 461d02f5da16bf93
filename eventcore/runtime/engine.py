"""The engine: every operation on every resource, as plain synchronous calls. Both faces stand on
it: the embedded API awaits `barrier` after them, the wire API ends each request with `hold`.

Rules of this file:

- A request is: `begin`, any number of calls, then `hold` (or `barrier`). What a call returns must
  not be told to anyone before that. A call either raises an EventcoreError and has changed nothing,
  or has happened.
- Resources are named by ARN and looked up at each request: after a failed commit the machines are
  new objects.
- Creating a resource writes its directory row and its own first row in one batch; so does
  everything an event causes in the resources of this store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, final

import msgspec

from eventcore import limits
from eventcore.arn import bus_arn, parse_arn, queue_arn
from eventcore.buses.bus import EventBus, EventEntry, EventResult, RuleSpec, Target
from eventcore.buses.bus_spec import BusSpec
from eventcore.clock import Clock, SystemClock
from eventcore.consumers.group import ConsumerGroup
from eventcore.errors import (
    AlreadyExists,
    EventcoreError,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    StoreCorrupt,
)
from eventcore.functions.function import Function
from eventcore.ids import IdSource, SystemIds, format_uuid
from eventcore.limits import RELAXED_QUOTAS, Quotas
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.outboxes.outbox import Outbox
from eventcore.outcome import Effect, Machine, Mutation, Outcome
from eventcore.queues.fifo import FifoQueue
from eventcore.queues.message import MessageRecord, SendEntry, SendResult, decode_message
from eventcore.queues.move_task import MoveTask
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import QueueSpec, QueueStatistics, ReceiveRequest
from eventcore.queues.standard import StandardQueue
from eventcore.resources.directory import DIRECTORY_COMPONENT, Directory
from eventcore.roles.iam_account import IamAccount
from eventcore.runtime.connectors import Connectors
from eventcore.runtime.deliverer import Deliverer
from eventcore.runtime.functions import FUNCTION, Functions
from eventcore.runtime.host import Host, Reply, Seat
from eventcore.runtime.lease_groups import CONSUMER_GROUP, ConsumerGroups
from eventcore.runtime.mappings import EVENT_SOURCE_MAPPING, Mappings, Poller
from eventcore.runtime.mover import Mover
from eventcore.runtime.outbox_driver import EngineOutboxDriver
from eventcore.runtime.queue_poller import QueuePoller
from eventcore.runtime.roles import IAM, Roles
from eventcore.runtime.router import OUTBOX, Router
from eventcore.runtime.stream_poller import StreamPoller
from eventcore.runtime.streams import STREAM, STREAM_ACCOUNT, Streams
from eventcore.runtime.sweeper import Sweeper
from eventcore.runtime.telemetry import logger_of
from eventcore.runtime.timers import timers_for
from eventcore.runtime.waiters import Waiter, Waiters
from eventcore.stores.base import Store
from eventcore.streams.account import StreamAccount
from eventcore.streams.stream import Stream

__all__ = ["FIFO_SUFFIX", "BrowsedMessage", "Engine", "ReceivedMessage"]

T = TypeVar("T")
QUEUE: Final = "queue"
FIFO_SUFFIX: Final = ".fifo"
BUS: Final = "bus"
DEFAULT_BUS: Final = "default"

log = logger_of("eventcore.engine")


class ReceivedMessage(msgspec.Struct, gc=False, frozen=True):
    """A received message with its content. `receives` counts this receive; times are epoch ms.
    `sequence` is a FIFO queue's sequence number, else 0.
    """

    record: MessageRecord
    receipt_handle: str
    receives: int
    first_received_ms: int
    visible_ms: int
    sequence: int = 0


class BrowsedMessage(msgspec.Struct, gc=False, frozen=True):
    """A message looked at without receiving it; members as in `queues.message.Browsed`."""

    number: int
    record: MessageRecord
    state: str
    receives: int
    first_received_ms: int
    visible_ms: int
    sequence: int

    @property
    def id(self) -> str:
        """The message's id, a UUID."""
        return format_uuid(self.record.id)

    @property
    def body(self) -> str:
        """The body as it was sent."""
        return self.record.body


@final
class Engine:
    """All resources of one store. Every call belongs to the event loop's thread."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        quotas: Quotas = RELAXED_QUOTAS,
        memory_bytes_max: int = limits.BODY_MEMORY_BYTES_DEFAULT,
        connectors: Connectors | None = None,
        drain_ms: int = limits.DRAIN_MS_DEFAULT,
        code_directory: Path | None = None,
    ) -> None:
        """`connectors` serve the targets outside; by default those that are installed.
        `code_directory` is where functions' code is unpacked; by default beside the store's file.
        """
        self.clock = clock or SystemClock()
        self.ids = ids or SystemIds()
        self.quotas = quotas
        self._store = store
        self._memory_bytes_max = memory_bytes_max
        self._drain_ms = drain_ms
        self._timers = timers_for(self.clock)
        self._waiters = Waiters(self.clock, self._timers, self.watch)
        self.host = Host(
            store,
            self.clock,
            self._timers,
            route=self._route,
            rebuild=self._rebuild,
            on_wake=self._serve_waiters,
            on_loaded=self._on_loaded,
        )
        self._directory = Directory(quotas)
        self._machines: dict[str, Any] = {}
        self._sweeper = Sweeper(self.host, store, self.clock, self._timers)
        self._mover = Mover(self, self.clock, self._timers, quotas.move_tasks_max)
        self.streams = Streams(self, store, self.clock, self._timers)
        self.groups = ConsumerGroups(self, self.clock, self._timers)
        self.roles = Roles(self)
        connectors = connectors or Connectors()
        self.functions = Functions(self, connectors, code_directory or _code_directory(store))
        self.mappings = Mappings(self, self._new_poller)
        self.router = Router(self, connectors)
        self._deliverer = Deliverer(EngineOutboxDriver(self), connectors)

    @classmethod
    @asynccontextmanager
    async def open(cls, store: Store, **options: Any) -> AsyncIterator[Engine]:
        """Opens the store, loads everything, and closes both at the end. Raises StoreError."""
        engine = cls(store, **options)
        await engine.start()
        try:
            yield engine
        finally:
            await engine.close()

    async def start(self) -> None:
        """Opens the store and loads everything. Raises StoreError."""
        await self._store.open()
        try:
            await self.host.load()
        except BaseException:
            await self._store.close()
            raise

    async def close(self) -> None:
        """Answers long polls empty, waits until all accepted is durable, closes the store."""
        self._sweeper.stop()
        self._mover.stop()
        # First nothing new is begun, then those who wait are answered, then what runs may end.
        handlers = asyncio.ensure_future(self._close_handlers())
        await asyncio.sleep(0)
        self._waiters.close()
        self.streams.close()
        self.groups.wake_all()
        try:
            await self._deliverer.drain(self._drain_ms)
            await handlers
        finally:
            handlers.cancel()
            try:
                await self.host.close()
            finally:
                await self._store.close()

    async def _close_handlers(self) -> None:
        try:
            await self.mappings.close(self._drain_ms)
        finally:
            await self.functions.close(self._drain_ms)

    # Requests

    @property
    def is_ready(self) -> bool:
        """Whether requests are taken."""
        return self.host.is_ready

    def begin(self) -> None:
        """Opens a request. Raises StoreUnavailable while reloading or overloaded, BrokerClosed at
        the end.
        """
        self.host.begin()

    def now_ms(self) -> int:
        """The time of the current request."""
        return self.host.now_ms

    def hold(self, reply: Reply, payload: Any) -> None:
        """Closes a request: the payload leaves when all that it tells is durable."""
        self.host.hold(reply, payload)

    def barrier(self) -> asyncio.Future[None] | None:
        """Closes a request of the embedding program; see Host.barrier."""
        return self.host.barrier()

    async def sleep(self, duration_ms: int) -> None:
        """Waits on the injected clock."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        timer = self._timers.call_at(self.clock.now_ms() + duration_ms, wake)
        try:
            await over
        finally:
            timer.cancel()

    def run(self, machine: Machine, outcome: Outcome[T]) -> T:
        """Takes the outcome of a machine's command, which was called with `now_ms()`; returns its
        value.
        """
        return self.host.run(machine, outcome)

    def look(self, machine: Machine) -> None:
        """Notes that the request reads this machine's state."""
        self.host.look(machine)

    def look_at_directory(self) -> None:
        """Notes that the request may tell that a resource is there, or is not."""
        self.host.look(self._directory)

    def look_at_everything(self) -> None:
        """Notes that the request may tell of any state; see Host.look_at_everything."""
        self.host.look_at_everything()

    # Resources

    def find(self, arn: str) -> Any | None:
        """The machine of an existing resource, or None."""
        return self._machines.get(arn)

    def arns_with_prefix(self, prefix: str) -> list[str]:
        """ARNs of existing resources that begin so, sorted."""
        self.host.look(self._directory)
        return self._directory.with_prefix(prefix)

    def add_resource(self, kind: str, arn: str, machine: Machine) -> None:
        """Registers a new resource in the directory and seats its machine. Raises AlreadyExists,
        Conflict.
        """
        component = self.host.run(
            self._directory, self._directory.register(kind, arn, self.host.now_ms)
        )
        self._machines[arn] = machine
        self.host.seat(Seat(component, kind, arn, machine))
        self.mappings.noticed(arn)

    def drop_resource(self, arn: str) -> None:
        """Deletes a resource. Its rows are trimmed in slices afterwards. Raises NotFound."""
        self.host.run(self._directory, self._directory.retire(arn, self.host.now_ms))
        seat = self.host.unseat(self._machines.pop(arn))
        self.host.touch(seat)
        self._sweeper.start(self._directory)
        self.mappings.noticed(arn)

    # Queues

    def queue(self, arn: str) -> QueueMachine:
        """The queue of an ARN. Raises NotFound("queue", name)."""
        machine = self._machines.get(arn)
        if not isinstance(machine, QueueMachine):
            self.host.look(self._directory)  # it may have been deleted just now
            raise NotFound(QUEUE, arn.rpartition(":")[2])
        return machine

    def create_queue(self, arn: str, spec: QueueSpec) -> QueueMachine:
        """Creates a queue; gives the existing one if its settings are the same.

        Raises AlreadyExists with the setting that differs, Conflict within the cool-down after a
        deletion (quota), InvalidParameter for a setting out of range, for a FIFO queue whose name
        does not end in ".fifo" (and the reverse), and for a dead-letter queue of another kind or
        one that does not allow it.
        """
        existing = self._machines.get(arn)
        if isinstance(existing, QueueMachine):
            self.host.look(existing)
            difference = _difference(existing.spec, spec)
            if difference is not None:
                raise AlreadyExists(QUEUE, existing.name, difference)
            return existing
        spec.validate()
        queue = self._new_queue(arn)
        self._check_spec(queue, spec)
        outcome = queue.configure(spec, self.host.now_ms)  # first: it may refuse
        self.add_resource(QUEUE, arn, queue)
        self.host.run(queue, outcome)
        return queue

    def delete_queue(self, arn: str) -> None:
        """Deletes a queue with its messages. Its waiting long polls are answered empty. Raises
        NotFound.
        """
        self.queue(arn)
        self._waiters.expire_all(arn)  # first: each is a request of its own
        self.drop_resource(arn)

    def list_queues(self, account: str, region: str, prefix: str = "") -> list[str]:
        """The names of an account's queues in a region that begin so, sorted."""
        first = queue_arn(account, region, "")
        return [arn[len(first) :] for arn in self.arns_with_prefix(first + prefix)]

    def set_queue_spec(self, queue: QueueMachine, spec: QueueSpec) -> None:
        """Changes a queue's settings. Raises InvalidParameter, as `create_queue` does."""
        spec.validate()
        self._check_spec(queue, spec)
        self.host.run(queue, queue.configure(spec, self.host.now_ms))

    def _check_spec(self, queue: QueueMachine, spec: QueueSpec) -> None:
        """What one queue can not know of its settings. A dead-letter queue may be named before it
        exists, and is asked when it is named, not later.
        """
        if spec.is_fifo != queue.is_fifo:
            raise InvalidParameter(
                "is_fifo", 'The names of FIFO queues, and only theirs, end in ".fifo".', queue.name
            )
        redrive = spec.redrive
        if redrive is None or redrive == queue.spec.redrive:
            return
        if redrive.target_arn.split(":")[2:3] != ["sqs"]:
            raise InvalidParameter("redrive", "Must be the ARN of a queue.", redrive.target_arn)
        target = self._machines.get(redrive.target_arn)
        if redrive.target_arn.endswith(FIFO_SUFFIX) != queue.is_fifo:
            raise InvalidParameter(
                "redrive", "Dead-letter queue must be same type of queue as the source.", queue.name
            )
        if not isinstance(target, QueueMachine):
            return
        self.host.look(target)
        allow = target.spec.redrive_allow
        if allow is not None and not allow.allows(queue.arn):
            raise InvalidParameter(
                "redrive",
                "The dead-letter queue's redrive allow policy does not allow this source queue.",
                queue.name,
            )

    def dead_letter_sources(self, arn: str) -> list[str]:
        """The ARNs of the queues of the same account and region that dead-letter into this one,
        sorted.
        """
        target = parse_arn(arn)
        found = []
        for source in self.arns_with_prefix(queue_arn(target.account, target.region, "")):
            machine = self._machines[source]
            self.host.look(machine)
            redrive = machine.spec.redrive
            if redrive is not None and redrive.target_arn == arn:
                found.append(source)
        return found

    def admit(self, queue: QueueMachine, action: str) -> None:
        """Counts a call of an action ("send", "receive", "delete", "change"; a batch is one call)
        before it does anything. Raises LimitExceeded; see QueueMachine.admit.
        """
        if queue.is_limited:
            self.host.look(queue)
            queue.admit(action, self.host.now_ms)

    def admit_group(self, queue: QueueMachine, group_id: str | None) -> None:
        """Counts a call that sends to a message group, once per call and group, before it does
        anything. Raises LimitExceeded; see QueueMachine.admit_group.
        """
        if group_id is not None and queue.is_limited:
            queue.admit_group(group_id, self.host.now_ms)

    def send(self, queue: QueueMachine, entry: SendEntry) -> SendResult:
        """Sends one message; see StandardQueue.send, FifoQueue.send."""
        return self.host.run(queue, queue.send(entry, self.host.now_ms))

    def receive(self, queue: QueueMachine, request: ReceiveRequest) -> list[ReceivedMessage]:
        """Receives what is visible now; see StandardQueue.receive and FifoQueue.receive. Spilled
        bodies are read back (blocking, short).
        """
        redrive = queue.spec.redrive
        if redrive is not None and redrive.target_arn not in self._machines:
            request = msgspec.structs.replace(request, redrive_reachable=False)
        messages = self.host.run(queue, queue.receive(request, self.host.now_ms))
        if not messages:
            return []
        return [
            ReceivedMessage(
                decode_message(m.record or self.read_back(queue, m.key)),
                m.receipt_handle,
                m.receives,
                m.first_received_ms,
                m.visible_ms,
                m.sequence,
            )
            for m in messages
        ]

    def read_back(self, queue: QueueMachine, key: int) -> bytes:
        """The row of a spilled message. Raises StoreUnavailable, and reloads, if it can not be
        read.
        """
        return self.host.read_or_fail(self.host.seat_of(queue), key)

    def browse(
        self, queue: QueueMachine, after: int, messages_max: int
    ) -> tuple[list[BrowsedMessage], int]:
        """Messages as they are, nothing is changed; see QueueMachine.browse."""
        self.host.look(queue)
        found, after = queue.browse(after, messages_max, self.host.now_ms)
        browsed = [
            BrowsedMessage(
                m.number,
                decode_message(m.record or self.read_back(queue, m.key)),
                m.state,
                m.receives,
                m.first_received_ms,
                m.visible_ms,
                m.sequence,
            )
            for m in found
        ]
        return browsed, after

    def receive_when_ready(
        self,
        queue: QueueMachine,
        request: ReceiveRequest,
        wait_ms: int,
        done: Callable[[list[ReceivedMessage]], None],
        failed: Callable[[EventcoreError], None] | None = None,
    ) -> Waiter | None:
        """Receives as soon as there is something, `done([])` when nothing came within `wait_ms`.

        Calls `done` before it returns (and returns None) when messages are there or wait_ms is 0;
        otherwise later, within a request of its own, which `done` closes with `hold` or `barrier`.
        `failed` is told when that request could not be made; without it the long poll ends empty.
        Waiters of a queue are served in the order they came.
        """
        try:
            messages = self.receive(queue, request)
        except LimitExceeded:
            if wait_ms <= 0:
                raise
            # AWS, "Amazon SQS message quotas": OverLimit is for short polls; a long poll waits.
            messages = []
        if messages or wait_ms <= 0:
            done(messages)
            return None
        return self.wait_for_messages(queue, request, wait_ms, done, failed)

    def wait_for_messages(
        self,
        queue: QueueMachine,
        request: ReceiveRequest,
        wait_ms: int,
        done: Callable[[list[ReceivedMessage]], None],
        failed: Callable[[EventcoreError], None] | None = None,
    ) -> Waiter:
        """The waiting part of `receive_when_ready`, for a caller that has just received nothing."""
        arn = queue.arn

        def serve() -> bool:
            found = self._machines.get(arn)
            if not isinstance(found, QueueMachine):
                return False
            try:
                self.begin()
                received = self.receive(found, request)
            except LimitExceeded:
                return False  # still too many in flight; a deletion wakes us again
            except EventcoreError as error:
                (failed or _ignore)(error)
                return failed is not None
            if not received:
                return False
            done(received)
            return True

        def expire() -> None:
            self.host.begin_unchecked()
            done([])

        waiter = self._waiters.add(arn, request, wait_ms, serve, expire)
        if queue.has_ready:  # behind more expired and dead-lettered messages than one receive takes
            self.host.wake(queue)
        return waiter

    def delete(self, queue: QueueMachine, handle: str) -> None:
        """Deletes a received message; see QueueMachine.delete."""
        self.host.run(queue, queue.delete(handle, self.host.now_ms))

    def reject(self, queue: QueueMachine, handle: str) -> bool:
        """Dead-letters a received message at once; see QueueMachine.reject."""
        redrive = queue.spec.redrive
        is_reachable = redrive is not None and redrive.target_arn in self._machines
        return self.host.run(queue, queue.reject(handle, is_reachable))

    def change_visibility(self, queue: QueueMachine, handle: str, timeout_ms: int) -> None:
        """See QueueMachine.change_visibility."""
        self.host.run(queue, queue.change_visibility(handle, timeout_ms, self.host.now_ms))

    def purge(self, queue: QueueMachine) -> None:
        """See QueueMachine.purge."""
        self.host.run(queue, queue.purge(self.host.now_ms))

    def statistics(self, queue: QueueMachine) -> QueueStatistics:
        """The queue's counts."""
        self.host.look(queue)
        return queue.statistics(self.host.now_ms)

    def start_move(
        self, source: QueueMachine, destination_arn: str | None, per_second: int | None
    ) -> str:
        """Starts a message move task; returns its handle. Without a destination, messages go back
        to the queues that they came from. `per_second` is messages a second, None for as fast as
        it goes.

        Raises InvalidParameter for a source that is no queue's dead-letter queue, a destination of
        another kind, account or region, a rate out of range, and ("request") when a task of this
        source is running; NotFound for a destination that does not exist;
        LimitExceeded("move_tasks_max").
        """
        return self._mover.start(source, destination_arn, per_second)

    def cancel_move(self, handle: str) -> int:
        """Cancels a message move task; returns how many messages it has moved.

        Raises NotFound("move task") for a handle of none, NotFound("queue") when its queue is gone,
        InvalidParameter("task_handle") when it is not running any more.
        """
        return self._mover.cancel(handle)

    def list_moves(self, source: QueueMachine, tasks_max: int) -> list[MoveTask]:
        """The latest message move tasks of a queue, newest first."""
        self.host.look(source)
        return self._mover.tasks(source, tasks_max)

    def _new_queue(self, arn: str) -> QueueMachine:
        kind = FifoQueue if arn.endswith(FIFO_SUFFIX) else StandardQueue
        return kind(arn, self.ids, self.quotas, self._memory_bytes_max)

    # Buses

    def bus(self, arn: str) -> EventBus:
        """The bus of an ARN; "default" is made at its first use. Raises NotFound("bus", name)."""
        machine = self._machines.get(arn)
        if isinstance(machine, EventBus):
            return machine
        name = _bus_name(arn)
        if name == DEFAULT_BUS:
            return self.create_bus(arn, BusSpec())
        self.host.look(self._directory)  # it may have been deleted just now
        raise NotFound(BUS, name)

    def create_bus(self, arn: str, spec: BusSpec) -> EventBus:
        """Creates a bus. Raises AlreadyExists, InvalidParameter, LimitExceeded."""
        spec.validate()
        if arn in self._machines:
            self.host.look(self._directory)
            raise AlreadyExists(BUS, _bus_name(arn))
        bus = EventBus(arn, self.ids, self.quotas)
        outcome = bus.configure(spec, self.host.now_ms)
        self.add_resource(BUS, arn, bus)
        self.host.run(bus, outcome)
        return bus

    def delete_bus(self, arn: str) -> None:
        """Deletes a bus with its rules; does nothing where there is none, as AWS does."""
        if arn in self._machines:
            self.drop_resource(arn)

    def list_buses(self, account: str, region: str, prefix: str = "") -> list[EventBus]:
        """The buses of an account in a region whose names begin so, by name, "default" included."""
        self.bus(bus_arn(account, region, DEFAULT_BUS))
        return [
            self._machines[arn] for arn in self.arns_with_prefix(bus_arn(account, region, prefix))
        ]

    def replace_rule(
        self, bus: EventBus, name: str, spec: RuleSpec, targets: Sequence[Target]
    ) -> str:
        """Creates or replaces a rule with exactly these targets; returns its ARN."""
        for target in targets:
            self.router.check_target(target.arn)
        return self.host.run(bus, bus.replace_rule(name, spec, targets))

    def remove_rule(self, bus: EventBus, name: str) -> None:
        """Deletes a rule with its targets."""
        self.host.run(bus, bus.remove_rule(name))

    def put_events(
        self, bus: EventBus, entries: Sequence[EventEntry], *, is_atomic: bool = False
    ) -> tuple[EventResult, ...]:
        """Puts events; see EventBus.put_events."""
        return self.host.run(bus, bus.put_events(entries, self.host.now_ms, is_atomic=is_atomic))

    def open_outbox(self, url: str) -> Outbox:
        """The outbox for deliveries to a URL, made if need be."""
        outbox = self._machines.get(url)
        if not isinstance(outbox, Outbox):
            outbox = Outbox(url, self.ids)
            self.add_resource(OUTBOX, url, outbox)
            self.host.watch(outbox, True)
        return outbox

    # What the host asks for

    def _route(self, effect: Effect) -> None:
        self.router.route(effect)

    def _on_loaded(self) -> None:
        self._sweeper.start(self._directory)
        self.streams.loaded(list(self._machines.values()))
        self.groups.wake_all()
        for arn, machine in self._machines.items():
            if isinstance(machine, QueueMachine) and machine.is_moving:
                self._mover.resume(arn)
        machines = list(self._machines.values())
        self.functions.loaded([machine for machine in machines if isinstance(machine, Function)])
        self.mappings.loaded(machines)

    def _new_poller(self, arn: str, is_queue: bool) -> Poller:
        return QueuePoller(self, arn) if is_queue else StreamPoller(self, arn)

    def watch(self, arn: str, is_waited_for: bool) -> None:
        """Notes whether somebody waits for a resource; see Host.watch."""
        machine = self._machines.get(arn)
        if machine is not None:
            self.host.watch(machine, is_waited_for)

    def _serve_waiters(self, seat: Seat) -> None:
        machine = self._machines.get(seat.arn)
        if isinstance(machine, Outbox):
            self._deliverer.wake(seat.arn)
        elif isinstance(machine, Function):
            self.functions.wake(seat.arn)
        elif isinstance(machine, QueueMachine):
            host = self.host
            self._waiters.wake(
                seat.arn, lambda: host.is_ready and machine.has_ready and not host.is_full
            )
            if host.is_full:
                host.wake(machine)
        elif isinstance(machine, Stream):
            self.streams.wake(machine)
        elif isinstance(machine, ConsumerGroup):
            self.groups.wake(seat.arn)

    def _rebuild(self) -> Callable[[int, int, bytes], None]:
        self._machines.clear()
        self.streams.forget()
        self._directory = Directory(self.quotas)
        self.host.seat(Seat(DIRECTORY_COMPONENT, "directory", "", self._directory))
        return self._take_row

    def _take_row(self, component: int, key: int, value: bytes) -> None:
        try:
            self._apply_row(component, key, value)
        except msgspec.DecodeError as error:
            where = f"{self._store.path or 'the store'}: row {key} of component {component}"
            raise StoreCorrupt(f"{where} can not be read ({error})") from error

    def _apply_row(self, component: int, key: int, value: bytes) -> None:
        if component == DIRECTORY_COMPONENT:
            self._directory.apply(Mutation(key, value))
            return
        record = self._directory.record(component)
        if record is None or record.retired_ms:
            return
        machine = self._machines.get(record.arn)
        if machine is None:
            machine = self._new_machine(record.kind, record.arn)
            self._machines[record.arn] = machine
            seat = Seat(component, record.kind, record.arn, machine)
            seat.is_waited_for = self._is_waited_for(record.kind, record.arn)
            self.host.seat(seat)
        machine.apply(Mutation(key, value))

    def _is_waited_for(self, kind: str, arn: str) -> bool:
        if kind == STREAM:
            return self.streams.subscriptions.is_waited_for(arn)
        if kind == CONSUMER_GROUP:
            return self.groups.is_waited_for(arn)
        return kind in (OUTBOX, FUNCTION) or self._waiters.is_waited_for(arn)

    def _new_machine(self, kind: str, arn: str) -> Machine:
        if kind == OUTBOX:
            return Outbox(arn, self.ids)
        if kind == BUS:
            return EventBus(arn, self.ids, self.quotas)
        if kind == STREAM:
            return Stream(arn, self.ids, self.quotas)
        if kind == STREAM_ACCOUNT:
            return StreamAccount()
        if kind == CONSUMER_GROUP:
            return ConsumerGroup(arn)
        if kind == FUNCTION:
            return Function(arn, self.ids)
        if kind == EVENT_SOURCE_MAPPING:
            return EventSourceMapping(arn, self.ids)
        if kind == IAM:
            return IamAccount(arn, self.ids)
        assert kind == QUEUE, f"no machine of kind {kind!r}"
        return self._new_queue(arn)


def _code_directory(store: Store) -> Path | None:
    return None if store.path is None else Path(f"{store.path}.functions")


def _bus_name(arn: str) -> str:
    return arn.partition("/")[2]


def _difference(existing: QueueSpec, wanted: QueueSpec) -> str | None:
    for field in msgspec.structs.fields(QueueSpec):
        if field.name in ("tags", "chaos"):
            continue
        if getattr(existing, field.name) != getattr(wanted, field.name):
            return field.name
    return None


def _ignore(error: EventcoreError) -> None:
    log.warning("long_poll_failed", error=str(error))
