"""Event source mappings: every operation on them, and the life of their pollers.

    settings, states (machine) ──▶ one task per mapping, while there is something to do ──▶ poller

Rules of this file:

- Operations belong into an engine request, like all of the engine's calls. They change the machine,
  and note that its life has to be looked after; that happens later, in requests of its own.
- A mapping has one poller at the most. Whatever changes, its life is the same few steps: look what
  the durable state asks for, end a poller that does not fit, begin one that is missing, and only
  then tell the machine that it is settled. Each change has it looked at again, so none is missed.
- A poller is begun only after the commit of all that it acts on.
- A mapping whose source or function is gone stays as it is, without a poller; its result says why.
  It goes on when that is there again. A stream that was made anew has other records: the mapping
  starts over. A function that nobody can run now (a callable that is not registered) has no poller
  either, so that nothing is taken from its source meanwhile.
- Counts are in memory, one set per mapping.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, final

import msgspec

from eventcore import limits
from eventcore.arn import mapping_arn, split_qualifier
from eventcore.errors import (
    AlreadyExists,
    BrokerClosed,
    InvalidParameter,
    NotFound,
    StoreError,
)
from eventcore.ids import format_uuid
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_counts import MappingCounts
from eventcore.mappings.mapping_rules import check_spec
from eventcore.mappings.mapping_spec import (
    NO_RECORDS_PROCESSED,
    PROBLEM_NO_FUNCTION,
    PROBLEM_NO_QUEUE,
    PROBLEM_NO_STREAM,
    LanePosition,
    MappingSpec,
)
from eventcore.mappings.mapping_states import DELETING
from eventcore.outcome import Effect
from eventcore.queues.queue import QueueMachine
from eventcore.runtime.stream_poller import starting_positions
from eventcore.runtime.telemetry import logger_of
from eventcore.streams.stream import Stream

if TYPE_CHECKING:
    from eventcore.runtime.engine import Engine

__all__ = ["EVENT_SOURCE_MAPPING", "MAPPING", "Mappings", "Poller"]

T = TypeVar("T")
EVENT_SOURCE_MAPPING: Final = "event-source-mapping"
"""Kind of resource, in the directory."""
MAPPING: Final = "mapping"
"""Kind of resource, in errors."""
STOP_MS: Final = limits.FUNCTION_TIMEOUT_MS_MAX
"""For batches that run when a mapping is disabled, updated or deleted: as long as they can take."""
PAUSE_MS: Final = 100
"""Before the next look, after the store was not available."""
FAULT_PAUSE_MS: Final = 1_000
"""The same after something failed that never should."""
_PROBLEMS: Final = (PROBLEM_NO_FUNCTION, PROBLEM_NO_QUEUE, PROBLEM_NO_STREAM)

log = logger_of("eventcore.mappings")


class Poller(Protocol):
    """Reads a mapping's source and invokes its function. It has its settings from the mapping, as
    they were when it began: a change of them ends it, and another one begins, unless it follows.
    """

    def start(self) -> None:
        """Begins. Called within no request; returns at once."""
        ...

    def follow(self) -> bool:
        """Goes on with the settings that the mapping has now; what runs keeps those that it began
        with. Called within no request. False: it can not, and has to be ended.
        """
        ...

    async def stop(self, drain_ms: int) -> None:
        """Begins no more batches; returns when those that run have ended and are settled. What
        still runs after `drain_ms` is cancelled and stays unsettled. Does not raise. A call that
        was cancelled is followed by another one, which is the one that counts.
        """
        ...


@final
class _Life:
    """What runs of one mapping. `key` is what its poller was begun with."""

    __slots__ = ("arn", "is_due", "is_halting", "key", "poller", "task")

    def __init__(self, arn: str) -> None:
        self.arn = arn
        self.is_due = False
        self.is_halting = False
        self.poller: Poller | None = None
        self.key: _Key | None = None
        self.task: asyncio.Task[None] | None = None


_Key = tuple[MappingSpec, tuple[int, int]]
_NO_STREAM: Final = (0, 0)


@final
class Mappings:
    """The event source mappings of one engine."""

    def __init__(self, engine: Engine, make_poller: Callable[[str, bool], Poller]) -> None:
        """`make_poller` makes the poller of a mapping's ARN; it is told whether the source is a
        queue.
        """
        self._engine = engine
        self._make_poller = make_poller
        self._lives: dict[str, _Life] = {}
        self._arns: dict[str, str] = {}
        """By UUID."""
        self._by_resource: dict[str, dict[str, None]] = {}
        """Mappings by the ARNs of their sources and of their functions."""
        self._counts: dict[str, MappingCounts] = {}
        self._paused: set[str] = set()
        """Functions whose mappings have no pollers for now."""
        self._is_closing = False

    # In a request: looking

    def find(self, uuid: str) -> EventSourceMapping:
        """The mapping of a UUID. Raises NotFound("mapping", uuid)."""
        machine = self._engine.find(self._arns.get(uuid, ""))
        if not isinstance(machine, EventSourceMapping):
            self._engine.look_at_everything()  # it may have been deleted just now
            raise NotFound(MAPPING, uuid)
        self._engine.look(machine)
        return machine

    def all_of(self, account: str, region: str) -> list[EventSourceMapping]:
        """The mappings of an account in a region, by UUID."""
        found = []
        for arn in self._engine.arns_with_prefix(mapping_arn(account, region, "")):
            machine = self._engine.find(arn)
            if isinstance(machine, EventSourceMapping):
                self._engine.look(machine)
                found.append(machine)
        return found

    def counts(self, arn: str) -> MappingCounts:
        """What the mapping of an ARN has counted since the start of this process."""
        counts = self._counts.get(arn)
        if counts is None:
            counts = self._counts[arn] = MappingCounts()
        return counts

    # In a request: changing

    def create(
        self, account: str, region: str, spec: MappingSpec, is_enabled: bool = True
    ) -> EventSourceMapping:
        """Creates a mapping; its poller begins when that is durable. Where an enabled mapping
        begins in its stream is settled now: what is put from now on is never passed over.

        Raises StoreError, InvalidParameter, InvalidPattern, NotFound for the function, the queue or
        the stream, AlreadyExists("mapping", uuid) for the same source and function.
        """
        engine = self._engine
        now_ms = engine.now_ms()
        check_spec(spec, now_ms)
        self._check_function(spec)
        stream = self._check_source(spec)
        self._check_new(spec, None)
        positions: list[LanePosition] = []
        if stream is not None and is_enabled:
            positions = starting_positions(engine.streams, stream, spec)
        uuid = format_uuid(engine.ids.unique_id())
        mapping = EventSourceMapping(mapping_arn(account, region, uuid), engine.ids)
        identity = _NO_STREAM if stream is None else engine.streams.identity(stream)
        outcome = mapping.create(spec, is_enabled, now_ms, identity)
        engine.add_resource(EVENT_SOURCE_MAPPING, mapping.arn, mapping)
        engine.run(mapping, outcome)
        engine.run(mapping, mapping.settle(positions))
        self._index(mapping)
        self._look_after(mapping.arn)
        return mapping

    def update(
        self, mapping: EventSourceMapping, spec: MappingSpec, is_enabled: bool | None
    ) -> None:
        """Changes settings, and, unless None, whether it is enabled. Its source stays.

        Raises what `create` raises, but takes a source and a function that are gone, if it had them
        before; and Conflict, reason "in use", while an earlier change is under way.
        """
        engine = self._engine
        if spec.source_arn != mapping.spec.source_arn:
            raise InvalidParameter("EventSourceArn", "Can not be changed.", spec.source_arn)
        check_spec(spec, engine.now_ms())
        if spec.function_arn != mapping.spec.function_arn:
            self._check_function(spec)
        self._check_new(spec, mapping)
        self._unindex(mapping)
        try:
            engine.run(mapping, mapping.update(spec, is_enabled, engine.now_ms()))
        finally:
            self._index(mapping)
        self._look_after(mapping.arn)

    def delete(self, mapping: EventSourceMapping) -> None:
        """Begins a mapping's end: it is Deleting until its poller has ended, and then gone. Raises
        Conflict, reason "in use", while an earlier change is under way.
        """
        self._engine.run(mapping, mapping.begin_delete(self._engine.now_ms()))
        self._look_after(mapping.arn)

    def set_tags(self, mapping: EventSourceMapping, tags: Mapping[str, str]) -> None:
        """Replaces the tags."""
        self._engine.run(mapping, mapping.set_tags(tags))

    def settle(
        self,
        arn: str,
        positions: Sequence[LanePosition],
        effects: tuple[Effect, ...] = (),
        result: str | None = None,
    ) -> None:
        """Stores positions of a stream's lanes; see EventSourceMapping.settle. Raises
        NotFound("mapping") for one that is gone.
        """
        mapping = self._of(arn)
        self._engine.run(mapping, mapping.settle(positions, effects, result))

    def note_result(self, arn: str, text: str) -> None:
        """Notes LastProcessingResult; writes only what is new. Does nothing for a mapping that is
        gone.
        """
        machine = self._engine.find(arn)
        if isinstance(machine, EventSourceMapping) and machine.record.result != text:
            self._engine.run(machine, machine.note_result(text))

    def _of(self, arn: str) -> EventSourceMapping:
        machine = self._engine.find(arn)
        if not isinstance(machine, EventSourceMapping):
            raise NotFound(MAPPING, arn.rpartition(":")[2])
        return machine

    # In a request: what one mapping can not know of its settings

    def _check_function(self, spec: MappingSpec) -> None:
        arn, qualifier = split_qualifier(spec.function_arn)
        function = self._engine.functions.find(arn)
        timeout_ms = function.resolve(qualifier, 0.0).version.config.timeout_ms
        self._engine.look(function)
        source = self._engine.find(spec.resource_arn)
        if not isinstance(source, QueueMachine):
            return
        self._engine.look(source)
        visibility_ms = source.spec.visibility_timeout_ms
        if visibility_ms < timeout_ms:
            raise InvalidParameter(
                "EventSourceArn",
                f"Queue visibility timeout: {visibility_ms // 1000} seconds is less than "
                f"Function timeout: {timeout_ms // 1000} seconds",
                spec.source_arn,
            )

    def _check_source(self, spec: MappingSpec) -> Stream | None:
        """The stream of a source, None for a queue. Raises NotFound."""
        if spec.is_queue:
            self._engine.look(self._engine.queue(spec.source_arn))
            return None
        stream = self._engine.streams.find(spec.resource_arn)
        if spec.source_arn != spec.resource_arn:
            stream.fan_out.find_arn(spec.source_arn)
        return stream

    def _check_new(self, spec: MappingSpec, present: EventSourceMapping | None) -> None:
        for arn in self._by_resource.get(spec.resource_arn, ()):
            other = self._engine.find(arn)
            if not isinstance(other, EventSourceMapping) or other is present:
                continue
            pair = (other.spec.source_arn, other.spec.function_arn)
            if pair == (spec.source_arn, spec.function_arn):
                self._engine.look(other)
                raise AlreadyExists(MAPPING, other.uuid)

    # What the engine calls

    def noticed(self, arn: str) -> None:
        """A resource was added or deleted, or a function can be run from now on: mappings of it go
        on, or pause. In a request or not.
        """
        self._paused.discard(arn)
        for mapping in self._by_resource.get(arn, ()):
            self._look_after(mapping)

    def loaded(self, machines: Iterable[object]) -> None:
        """Everything was loaded anew, at the start or after a failed commit: pollers that run stay
        if they still fit.
        """
        self._arns.clear()
        self._by_resource.clear()
        for machine in machines:
            if isinstance(machine, EventSourceMapping):
                self._index(machine)
                self._look_after(machine.arn)

    async def close(self, drain_ms: int) -> None:
        """Ends all pollers: what runs has `drain_ms` to end in."""
        self._is_closing = True
        await self._halt(list(self._lives.values()), drain_ms)
        self._lives.clear()

    async def pause_functions(self, arns: Iterable[str], drain_ms: int) -> None:
        """Ends the pollers of these functions (ARNs without qualifier), and begins none until the
        function is noticed again. What runs has `drain_ms` to end in.
        """
        arns = list(arns)
        self._paused.update(arns)
        mappings = {mapping for arn in arns for mapping in self._by_resource.get(arn, ())}
        lives = [life for life in self._lives.values() if life.arn in mappings]
        await self._halt(lives, drain_ms)
        for life in lives:
            self._look_after(life.arn)

    async def _halt(self, lives: list[_Life], drain_ms: int) -> None:
        """Ends pollers without asking the store, which may be out of order for long."""
        for life in lives:
            life.is_halting = True
            if life.task is not None:
                life.task.cancel()
        tasks = [life.task for life in lives if life.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(_stop(life, drain_ms) for life in lives))
        for life in lives:
            life.task = None  # one that was cancelled before it began did not say so
            life.is_halting = False

    async def at_rest(self, arn: str | None = None) -> None:
        """Waits until nothing is left to do for a mapping, or for all: its poller runs or has ended
        as its settings ask for, and its state says so; or it is gone.
        """
        while tasks := [
            life.task
            for life in self._lives.values()
            if life.task is not None and arn in (None, life.arn)
        ]:
            await asyncio.wait(tasks)

    def _index(self, mapping: EventSourceMapping) -> None:
        spec = mapping.spec
        self._arns[mapping.uuid] = mapping.arn
        for arn in (spec.resource_arn, split_qualifier(spec.function_arn)[0]):
            self._by_resource.setdefault(arn, {})[mapping.arn] = None

    def _unindex(self, mapping: EventSourceMapping) -> None:
        spec = mapping.spec
        del self._arns[mapping.uuid]
        for arn in (spec.resource_arn, split_qualifier(spec.function_arn)[0]):
            mappings = self._by_resource[arn]
            mappings.pop(mapping.arn, None)
            if not mappings:
                del self._by_resource[arn]

    # Lives

    def _look_after(self, arn: str) -> None:
        """Has a task look at the mapping, soon and not within this request."""
        if self._is_closing:
            return
        life = self._lives.get(arn)
        if life is None:
            life = self._lives[arn] = _Life(arn)
        life.is_due = True
        if life.task is None and not life.is_halting:
            life.task = asyncio.get_running_loop().create_task(self._live(life))

    async def _live(self, life: _Life) -> None:
        try:
            while life.is_due:
                life.is_due = False
                try:
                    await self._step(life)
                except BrokerClosed:
                    return
                except StoreError:
                    life.is_due = True
                    await self._engine.sleep(PAUSE_MS)
                except Exception:
                    log.exception("mapping_failed", mapping=life.arn)
                    life.is_due = True
                    await self._engine.sleep(FAULT_PAUSE_MS)
        finally:
            life.task = None
            if life.poller is None and self._lives.get(life.arn) is life:
                del self._lives[life.arn]

    async def _step(self, life: _Life) -> None:
        key = await self._wanted(life.arn)
        if life.is_due:
            return  # what is wanted may be another by now
        if life.poller is not None and life.key != key:
            if key is None or not life.poller.follow():
                await _stop(life, STOP_MS)
                life.is_due = True
                return
            life.key = key
        if life.poller is None and key is not None:
            poller = self._make_poller(life.arn, key[0].is_queue)
            poller.start()
            life.poller, life.key = poller, key
        await self._settled(life)

    async def _wanted(self, arn: str) -> _Key | None:
        """With which settings a poller is to run, None for none: as durable facts say."""
        engine = self._engine
        engine.begin()
        mapping = engine.find(arn)
        key = None
        if isinstance(mapping, EventSourceMapping):
            engine.look(mapping)
            if mapping.is_running:
                key = self._key_of(mapping)
        await self._durable()
        return key

    def _key_of(self, mapping: EventSourceMapping) -> _Key | None:
        engine = self._engine
        spec = mapping.spec
        problem = self._problem_of(spec)
        if problem is not None:
            engine.run(mapping, mapping.note_result(problem))
            return None
        if mapping.record.result in _PROBLEMS:
            engine.run(mapping, mapping.note_result(NO_RECORDS_PROCESSED))
        arn = split_qualifier(spec.function_arn)[0]
        functions = engine.functions
        if arn in self._paused or not functions.is_runnable(functions.find(arn)):
            return None
        identity = _NO_STREAM
        stream = engine.find(spec.resource_arn)
        if isinstance(stream, Stream):
            identity = engine.streams.identity(stream)
            if not mapping.record.is_of_stream(identity):
                engine.run(mapping, mapping.start_over(identity))
        return msgspec.structs.replace(spec, tags={}, echoed={}, metrics=()), identity

    def _problem_of(self, spec: MappingSpec) -> str | None:
        engine = self._engine
        engine.look_at_everything()  # what is missing may have been deleted just now
        source = engine.find(spec.resource_arn)
        if spec.is_queue and not isinstance(source, QueueMachine):
            return PROBLEM_NO_QUEUE
        if not spec.is_queue and not isinstance(source, Stream):
            return PROBLEM_NO_STREAM
        if engine.find(split_qualifier(spec.function_arn)[0]) is None:
            return PROBLEM_NO_FUNCTION
        return None

    async def _settled(self, life: _Life) -> None:
        """Tells the machine that its poller runs, or has ended."""
        engine = self._engine
        engine.begin()
        mapping = engine.find(life.arn)
        if not isinstance(mapping, EventSourceMapping):
            pass
        elif mapping.state == DELETING:
            engine.drop_resource(life.arn)
            self._unindex(mapping)
            self._counts.pop(life.arn, None)
        else:
            engine.run(mapping, mapping.settled(engine.now_ms()))
        await self._durable()

    async def _durable(self) -> None:
        barrier = self._engine.barrier()
        if barrier is not None:
            await barrier


async def _stop(life: _Life, drain_ms: int) -> None:
    """Ends a life's poller, if it has one."""
    if life.poller is None:
        return
    try:
        await life.poller.stop(drain_ms)
    except Exception:
        log.exception("poller_failed", mapping=life.arn)
    life.poller = life.key = None
