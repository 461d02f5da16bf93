"""A seeded world of functions: queues and streams with mappings, handlers that do everything wrong
that handlers do, asynchronous invocations, a clock, and a store that fails and crashes.

Every step is one draw of one random generator, so a seed replays exactly. After each step the
invariants of machines and lanes are checked, at quiet moments what is there is compared with the
ledger, and the machines with their rows. At the end all faults are over: everything must have been
handled, or be where it ends.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final, final

import msgspec

from eventcore.errors import (
    AlreadyExists,
    Conflict,
    EventcoreError,
    InvalidParameter,
    NotFound,
    StoreUnavailable,
)
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function import Function
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig
from eventcore.functions.invocation import FailedInvocation, Invocation, Payload
from eventcore.limits import Quotas
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_rules import AT_TIMESTAMP, LATEST
from eventcore.mappings.mapping_spec import MappingSpec
from eventcore.mappings.shard_lane import lanes_of
from eventcore.queues.message import SendEntry
from eventcore.queues.queue import QueueMachine
from eventcore.runtime.engine import Engine
from eventcore.runtime.stream_poller import StreamPoller
from eventcore.streams.sequence_number import parse_sequence_number
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import Appended, RecordEntry, StreamSpec
from eventcore.testing import ManualClock, SeededIds
from tests.simulation.function_checks import check_end, look_around
from tests.simulation.function_handlers import AUDITOR, BEHAVIOURS, Handler, body_of
from tests.simulation.function_ledger import Call, Item, Ledger, Life, MappingLife
from tests.simulation.function_settings import (
    ACCOUNT,
    FUNCTIONS,
    QUEUES,
    REGION,
    SOURCES,
    STREAMS,
    VISIBILITY_MS,
    config_of,
    function,
    invoke_config,
    new_settings,
    queue,
    settings_of,
    stream,
)
from tests.simulation.pending_store import PendingStore
from tests.simulation.stream_world import Call as Answer

__all__ = ["FunctionWorld"]

WEIGHTS: Final = {
    "send": 22,
    "put": 18,
    "enqueue": 10,
    "invoke": 3,
    "map": 5,
    "update": 4,
    "switch": 3,
    "unmap": 2,
    "make": 3,
    "unmake": 1,
    "configure": 2,
    "reserve": 2,
    "register": 3,
    "unregister": 1,
    "create": 3,
    "drop": 1,
    "split": 2,
    "merge": 1,
    "wait": 20,
    "jump": 3,
    "commit": 40,
    "turn": 20,
    "fail_reads": 1,
    "fail_before": 2,
    "fail_after": 2,
    "crash_before": 1,
    "crash_after": 1,
    "restart": 1,
}
SHARDS_MAX: Final = 8
END_ROUNDS_MAX: Final = 600
ALIAS: Final = "live"


class _Listener(logging.Handler):
    """What should never happen is logged, and the runtime goes on: not so here."""

    def __init__(self, world: FunctionWorld) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "commit_failed" not in text:
            error = RuntimeError(text)
            error.__cause__ = record.exc_info[1] if record.exc_info else None
            self._world.breach = self._world.breach or error


@final
class FunctionWorld:
    """One world. `run` takes it through its steps and to its end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.clock = ManualClock()
        self.store = PendingStore()
        self.ledger = Ledger()
        self.memory_bytes_max = self.chance.choice([0, 600, 1 << 20])
        self.events_bytes_max = self.chance.choice([0, 300, 1 << 20])
        self.drain_ms = self.chance.choice([0, 20_000])
        concurrency_max = self.chance.choice([None, None, 3])
        self.quotas = Quotas(function_concurrency_max=concurrency_max)
        self.trace: list[str] = []
        self.counts = dict.fromkeys(WEIGHTS, 0)
        self.seen: Counter[str] = Counter(dict.fromkeys(BEHAVIOURS, 0))
        self.acknowledged = self.failed = 0
        self.mappings: dict[str, MappingLife] = {}
        self.pairs: dict[tuple[str, str], MappingLife] = {}
        self.configs: dict[Life, list[Any]] = {}
        """All settings of asynchronous invocations that a function ever had."""
        self.documents: list[Any] = []
        """What the function that is a destination was given."""
        self.counter = 0
        self.is_calm = False
        self.breach: BaseException | None = None
        self._others: set[asyncio.Task[Any]] = set()
        self._seen: object = None
        self.engine = self._new_engine()

    def _new_engine(self) -> Engine:
        engine = Engine(
            self.store,
            clock=self.clock,
            ids=SeededIds(self.chance.randrange(1 << 30)),
            quotas=self.quotas,
            memory_bytes_max=self.memory_bytes_max,
            drain_ms=self.drain_ms,
        )
        for name in (*FUNCTIONS, AUDITOR):
            engine.functions.register(function(name), Handler(self, name))
        return engine

    async def run(self, steps: int) -> None:
        """So many random steps, then the end."""
        asyncio.get_running_loop().set_exception_handler(self._note_breach)
        listener, logger = _Listener(self), logging.getLogger("eventcore")
        level, logger.propagate = logger.level, False
        defaults: dict[str, Any] = Function.__init__.__kwdefaults__ or {}
        memory_bytes_max = defaults["memory_bytes_max"]
        defaults["memory_bytes_max"] = self.events_bytes_max
        logger.addHandler(listener)
        logger.setLevel(logging.ERROR)
        try:
            await self._run(steps)
        finally:
            defaults["memory_bytes_max"] = memory_bytes_max
            logger.removeHandler(listener)
            logger.setLevel(level)
            logger.propagate = True
            await self._bury()

    async def _run(self, steps: int) -> None:
        await self.engine.start()
        self.trace.append("begin")
        for name in QUEUES:
            self._create_queue(name)
        for name in STREAMS:
            self._create_stream(name)
        for name in (AUDITOR, *FUNCTIONS):
            self._make_function(name)
        await self._settle()
        for _ in range(4):
            await self._step("map")
        names, weights = list(WEIGHTS), list(WEIGHTS.values())
        for _ in range(steps):
            await self._step(self.chance.choices(names, weights)[0])
        await self._end()

    async def _step(self, name: str) -> None:
        action: Callable[[], object] = getattr(self, f"_{name}")
        self.trace.append(f"{self.clock.now_ms()} {name}")
        self.counts[name] += 1
        try:
            found = action()
            if asyncio.iscoroutine(found):
                await found
        except (StoreUnavailable, NotFound, Conflict, AlreadyExists) as error:
            self._note(type(error).__name__)
        self._check()

    def _note_breach(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """An exception in a callback of the loop: the step that is running ends with it."""
        self.breach = self.breach or context.get("exception") or RuntimeError(context["message"])

    def _note(self, text: object) -> None:
        self.trace[-1] += f" {text}"

    def note_invocation(self, call: Call, behaviour: str) -> None:
        """Has the trace tell of an invocation."""
        numbers = ",".join(str(item.number) for item in call.items)
        self._note(f"[{call.function} {behaviour} {numbers}]")

    def _call(self, items: list[Item] | None = None) -> None:
        """Closes a request; its items are sure when it is answered, if this engine lives on."""
        engine = self.engine

        def commit() -> None:
            if engine is self.engine:
                self.acknowledged += 1
                for item in items or ():
                    item.is_sure = True

        def fail() -> None:
            if engine is self.engine:
                self.failed += 1

        engine.hold(Answer(commit, fail), None)

    def _do(self, action: Callable[[], Awaitable[Any]]) -> None:
        """Has something that waits go on beside the steps."""

        async def act() -> None:
            try:
                await action()
            except (EventcoreError, FailedInvocation) as error:
                self._note(type(error).__name__)

        self._others = {task for task in self._others if not task.done()}
        self._others.add(asyncio.ensure_future(act()))

    async def pause(self, duration_ms: int) -> None:
        """Waits on the clock of this world."""
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        at_ms = self.clock.now_ms() + max(0, duration_ms)

        def wake() -> None:
            if not over.done():
                over.set_result(None)

        timer = self.clock.call_at(at_ms, wake)
        try:
            await over
        finally:
            timer.cancel()

    # Resources

    def life(self, machine: Any) -> Life:
        """Tells a resource from others that have or had its name."""
        component = self.engine.host.seat_of(machine).component
        record = self.engine._directory.record(component)
        assert record is not None
        return machine.name, component, record.created_ms

    def _create(self) -> None:
        missing = [n for n in SOURCES if self.engine.find(queue(n)) is None]
        name = self.chance.choice(missing or STREAMS)
        self._note(name)
        if missing:
            self._create_queue(name)
        else:
            self._create_stream(name)

    def _create_queue(self, name: str) -> None:
        self.engine.begin()
        self.engine.create_queue(queue(name), QUEUES[name])
        self._call()

    def _create_stream(self, name: str) -> None:
        self.engine.begin()
        self.engine.streams.create(stream(name), StreamSpec(), self.chance.randint(1, 2))
        self._call()

    def _drop(self) -> None:
        self.engine.begin()
        if self.chance.random() < 0.5:
            self.engine.delete_queue(queue("spare"))
        else:
            self.engine.streams.delete(self.engine.streams.find(stream("brief")))
        self._call()

    def _open_shards(self, found: Stream) -> list[Any]:
        owners = list(found.ranges.owners)
        if not owners or len(owners) > SHARDS_MAX:
            raise NotFound("shard", "to change")
        return owners

    def _stream(self) -> Stream:
        name = self.chance.choice(STREAMS)
        self._note(name)
        self.engine.begin()
        return self.engine.streams.find(stream(name))

    def _split(self) -> None:
        found = self._stream()
        shard = self.chance.choice(self._open_shards(found))
        at = self.chance.randint(shard.first_hash + 2, shard.last_hash)
        self.engine.streams.split(found, shard.id, str(at))
        self._call()

    def _merge(self) -> None:
        found = self._stream()
        shards = self._open_shards(found)
        at = self.chance.randrange(len(shards))
        if at + 1 < len(shards):
            self.engine.streams.merge(found, shards[at].id, shards[at + 1].id)
        self._call()

    # Functions

    def _make(self) -> None:
        self._make_function(self.chance.choice(FUNCTIONS))

    def _make_function(self, name: str) -> None:
        self._note(name)
        self.engine.begin()
        functions = self.engine.functions
        config = FunctionConfig(kind=KIND_LOCAL) if name == AUDITOR else config_of(name)
        made = functions.create(function(name), config, None, publish=True)
        functions.run(made, made.put_alias(ALIAS, "1", is_new=True))
        settings = [] if name == AUDITOR else [invoke_config(self.chance, name)]
        self.configs[self.life(made)] = settings
        for config_now in settings:
            self._set_invoke_config(made, config_now)
        self._call()

    def _set_invoke_config(self, made: Function, config: Any) -> None:
        for qualifier in ("$LATEST", ALIAS):
            self.engine.functions.run(made, made.set_invoke_config(qualifier, config))

    def _function(self) -> Function:
        name = self.chance.choice(FUNCTIONS)
        self._note(name)
        self.engine.begin()
        return self.engine.functions.find(function(name))

    def _unmake(self) -> None:
        self.engine.functions.delete(self._function())
        self._call()

    def _configure(self) -> None:
        found = self._function()
        config = invoke_config(self.chance, found.name)
        self.configs[self.life(found)].append(config)
        self._set_invoke_config(found, config)
        self._call()

    def _reserve(self) -> None:
        found = self._function()
        reserved = self.chance.choice([None, None, 0, 1, 2])
        self._note(reserved)
        self.engine.functions.run(found, found.set_reserved(reserved))
        self._call()

    def _register(self) -> None:
        for name in FUNCTIONS:
            self.engine.functions.register(function(name), Handler(self, name))

    def _unregister(self) -> None:
        names = self.chance.sample(FUNCTIONS, self.chance.randint(1, 2))
        self._note(names)
        arns = [function(name) for name in names]
        drain_ms = self.chance.choice([0, 1_000, 10_000])
        self._do(lambda: self.engine.functions.unregister(arns, drain_ms))

    def _enqueue(self) -> None:
        found = self._function()
        qualifier = self.chance.choice([None, None, ALIAS])
        item = self._new_item(found)
        event = AsyncEvent(self._text(item), qualifier)
        item.id = self.engine.functions.invoke_later(found, event)
        self._note(item.number)
        self._call([item])

    def _invoke(self) -> None:
        """A caller that waits, and may go away."""
        name = self.chance.choice(FUNCTIONS)
        item = self._item((name, -1, 0), "", 1)
        payload = Payload(self._text(item).encode())
        self._do(lambda: self.engine.functions.invoke(function(name), payload))
        if self.chance.random() < 0.3:
            task = max(self._others, key=id) if len(self._others) == 1 else None
            if task is not None:
                asyncio.get_running_loop().call_soon(task.cancel)

    # What is given to them

    def _item(self, life: Life, key: str, tag: int) -> Item:
        self.counter += 1
        return self.ledger.add(Item(self.counter, life, key, tag, self.clock.now_ms()))

    def _new_item(self, machine: Any) -> Item:
        key, tag = self.chance.choice("abcdef"), int(self.chance.random() < 0.7)
        return self._item(self.life(machine), key, tag)

    def _text(self, item: Item) -> str:
        padding = "x" * self.chance.choice([0, 0, 200])
        return json.dumps({"n": item.number, "t": item.tag, "x": padding})

    def item_of(self, record: dict[str, Any]) -> Item:
        """What a record of an invocation stands for."""
        return self.ledger.items[body_of(record)["n"]]

    def mapping_of(self, event: dict[str, Any], invocation: Invocation) -> MappingLife:
        """The mapping that an invocation comes from."""
        source = event.get("eventSourceARN") or event["Records"][0]["eventSourceARN"]
        return self.pairs[source, invocation.invoked_arn]

    def _send(self) -> None:
        name = self.chance.choice(SOURCES)
        self.engine.begin()
        found = self.engine.queue(queue(name))
        items = []
        for _ in range(self.chance.choice([1, 1, 2, 8])):
            item = self._new_item(found)
            group = item.key if found.is_fifo else None
            entry = SendEntry(
                self._text(item),
                group_id=group,
                deduplication_id=str(item.number) if found.is_fifo else None,
            )
            self.engine.send(found, entry)
            items.append(item)
        self._note(f"{name} ..{self.counter}")
        self._call(items)

    def _put(self) -> None:
        found = self._stream()
        items = [self._new_item(found) for _ in range(self.chance.choice([1, 1, 2, 8]))]
        entries = [RecordEntry(self._text(item).encode(), item.key) for item in items]
        results = self.engine.streams.put_records(found, entries)
        for item, result in zip(items, results, strict=True):
            assert isinstance(result, Appended)
            parsed = parse_sequence_number(result.sequence_number)
            assert parsed is not None
            item.place, item.id = (parsed.ordinal, parsed.number), result.sequence_number
        self._note(f"..{self.counter}")
        self._call(items)

    # Mappings

    def _map(self) -> None:
        arns = [*map(queue, SOURCES), *map(stream, STREAMS)]
        source_arn = self.chance.choice(arns)
        target = function(self.chance.choice(FUNCTIONS)) + self.chance.choice(["", f":{ALIAS}"])
        spec = settings_of(self.chance, source_arn, target)
        now_ms = self.clock.now_ms()
        if spec.starting_position == AT_TIMESTAMP:
            spec = msgspec.structs.replace(
                spec, starting_ms=now_ms - self.chance.choice([0, 9_000])
            )
        self.engine.begin()
        # LATEST is the moment of the making for a mapping that is enabled, else of the enabling.
        is_enabled = spec.starting_position == LATEST or self.chance.random() < 0.9
        made = self.engine.mappings.create(ACCOUNT, REGION, spec, is_enabled)
        begins, life = {}, ("", 0, 0)
        if not spec.is_queue:
            found = self.engine.streams.find(source_arn)
            life = self.life(found)
            if spec.starting_position == LATEST:
                begins = {s.ordinal: s.next_number for s in found._shards.values()}
        self._note(f"{made.uuid[:4]} {source_arn.rpartition(':')[2]} {target[40:]}")
        mapping = MappingLife(made.uuid, [spec], life, begins)
        self.mappings[made.uuid] = self.pairs[source_arn, target] = mapping
        self._call()

    def _mapping(self) -> EventSourceMapping:
        self.engine.begin()
        found = self.engine.mappings.all_of(ACCOUNT, REGION)
        if not found:
            raise NotFound("mapping", "any")
        mapping = self.chance.choice(found)
        self._note(mapping.uuid[:4])
        return mapping

    def _update(self) -> None:
        mapping = self._mapping()
        settings = new_settings(self.chance, mapping.spec.source_arn)
        self._change(mapping, msgspec.structs.replace(mapping.spec, **settings), None)

    def _switch(self) -> None:
        mapping = self._mapping()
        self._change(mapping, mapping.spec, self.chance.random() < 0.6)

    def _change(
        self, mapping: EventSourceMapping, spec: MappingSpec, is_enabled: bool | None
    ) -> None:
        life = self.mappings[mapping.uuid]
        if mapping.is_at_rest:
            if lanes_of(spec) != lanes_of(life.spec):
                life.settled = []  # a shard begins anew at its lowest lane
            life.specs.append(spec)
        try:
            self.engine.mappings.update(mapping, spec, is_enabled)
        except InvalidParameter as error:
            self._note(error)
            raise
        self._call()

    def _unmap(self) -> None:
        self.engine.mappings.delete(self._mapping())
        self._call()

    # Time, store and faults

    async def _wait(self) -> None:
        """Some time in which everything goes on."""
        await self._advance(self.chance.choice([1, 100, 1_000, 5_000, 30_000]))

    async def _jump(self) -> None:
        """Some time in which the process stood still."""
        duration_ms = self.chance.choice([0, 500, 5_000, 5_000, 40_000])
        if duration_ms > VISIBILITY_MS // 2:
            self.ledger.overdue.update(self.ledger.items)
        self.clock.advance(duration_ms)
        await _turn(1)

    async def _turn(self) -> None:
        await _turn(self.chance.randint(1, 6))

    async def _commit(self) -> None:
        await _turn(1)
        if self.store.pending is not None:
            self.store.commit()

    def _fail_reads(self) -> None:
        self.store.scans_failing = self.chance.randint(1, 3)

    def _fail_before(self) -> None:
        if self.store.pending is not None:
            self.store.fail(is_durable=False)

    def _fail_after(self) -> None:
        if self.store.pending is not None:
            self.store.fail(is_durable=True)

    async def _crash_before(self) -> None:
        await self._crash(is_durable=False)

    async def _crash_after(self) -> None:
        await self._crash(is_durable=True)

    async def _crash(self, *, is_durable: bool) -> None:
        """The process dies with everything in it."""
        self.store = self.store.crash(is_durable=is_durable)
        self.clock = ManualClock(self.clock.now_ms())
        self.ledger.running.clear()
        await self._bury()
        await self._open()

    async def _open(self) -> None:
        self.engine = self._new_engine()
        await self.engine.start()

    async def _bury(self) -> None:
        """Ends every task but this one, and lets what the loop was to call begin no others."""
        this = asyncio.current_task()
        self.engine.functions._async._is_draining = True  # what is given back is not taken again
        for _ in range(3):
            while tasks := [task for task in asyncio.all_tasks() if task is not this]:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            await _turn(4)
        self._others.clear()

    async def _restart(self) -> None:
        """The process ends in order, and another one begins."""
        await self._close()
        self.clock = ManualClock(self.clock.now_ms())
        self.store = PendingStore(self.store.rows)
        await self._open()

    async def _close(self) -> None:
        self.store.scans_failing = 0
        for task in self._others:
            task.cancel()
        await self._settle()
        closing = asyncio.ensure_future(self.engine.close())
        for _ in range(2_000):
            await self._settle()
            if closing.done():
                break
            now_ms = self.clock.now_ms()
            next_ms = self.clock.next_deadline() or now_ms
            self.clock.advance_to(max(now_ms, min(next_ms, now_ms + 1_000)))
            await asyncio.sleep(0)
        else:
            raise AssertionError("the engine does not close")
        await closing
        await self._settle()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"left behind: {left}"
        assert not self.ledger.running, f"still running: {self.ledger.running}"
        await self._bury()

    async def _settle(self) -> None:
        """The store answers for as long as there is something to commit."""
        for _ in range(10_000):
            await _turn(8)
            if self.store.pending is None:
                return
            self.store.commit()
        raise AssertionError("it never comes to rest")

    async def _advance(self, duration_ms: int) -> None:
        target_ms = self.clock.now_ms() + duration_ms
        while (next_ms := self.clock.next_deadline()) is not None and next_ms <= target_ms:
            self.clock.advance_to(max(next_ms, self.clock.now_ms()))
            await self._settle()
            if self.breach is not None:
                raise self.breach
        self.clock.advance_to(target_ms)
        await self._settle()

    # Checks

    def machines(self, *kinds: type[Any]) -> list[Any]:
        """All machines of these kinds."""
        return [m for m in self.engine._machines.values() if isinstance(m, kinds)]

    def _check(self) -> None:
        if self.breach is not None:
            raise self.breach
        if not self.engine.is_ready:
            return
        for machine in self.machines(QueueMachine, Stream, Function, EventSourceMapping):
            machine.check()
        for life in self.engine.mappings._lives.values():
            if isinstance(life.poller, StreamPoller):
                for shard in life.poller._shards.values():
                    for slot in shard._slots:
                        slot.lane.check()
        seen = (self.store, self.store.appends, self.store.recoveries)
        if self.is_quiet and seen != self._seen:
            look_around(self)
            self._seen = seen

    @property
    def is_quiet(self) -> bool:
        """Whether what is in memory is durable, all of it."""
        host = self.engine.host
        return host.has_reached(host.mark()) and self.store.pending is None

    # The end

    async def _end(self) -> None:
        """No more faults: everything is there, and everything is enabled."""
        self.trace.append("end")
        self.is_calm = True
        self.store.scans_failing = 0
        await self._advance(20_000)
        self._register()
        for round_ in range(END_ROUNDS_MAX):
            self.trace.append(f"{self.clock.now_ms()} end {round_}")
            await self._mend()
            await self._advance(self.chance.choice([100, 2_000, 30_000, 120_000]))
            self._check()
            if round_ > 2 and check_end(self, is_last=False):
                break
        check_end(self, is_last=True)
        await self._close()

    async def _mend(self) -> None:
        """What was deleted, disabled or reserved stands in nobody's way any more."""
        for name in SOURCES:
            self._create_queue(name)
        for name in STREAMS:
            if self.engine.find(stream(name)) is None:
                self._create_stream(name)
        for name in FUNCTIONS:
            if self.engine.find(function(name)) is None:
                self._make_function(name)
            self.engine.begin()
            found = self.engine.functions.find(function(name))
            if found.record.reserved is not None:
                self.engine.functions.run(found, found.set_reserved(None))
            self._call()
        for mapping in self.machines(EventSourceMapping):
            if mapping.is_at_rest and not mapping.record.is_enabled:
                self.engine.begin()
                self._change(mapping, mapping.spec, True)
        await self._settle()


async def _turn(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
