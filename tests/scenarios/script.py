"""A small language for scripts of what an engine does over time, and the runner that plays them.

A script is lines. `#` begins a comment. A command stands at the margin, behind the time that passes
before it, if any; what it answers and changes stands below it, indented:

    +5s receive orders timeout=30s
        hello (receive 1)
        orders: 0 visible, 1 in flight, 0 delayed

Times are 500ms, 5s, 3min, 12h, 4d. Commands:

    create QUEUE [SETTING=VALUE...]      settings: visibility delay retention dead receives; a FIFO
                                         queue's: scope=queue|messageGroup
    configure QUEUE [SETTING=VALUE...]   all settings anew
    send QUEUE BODY... [delay=TIME] [group=GROUP] [id=ID]
    receive QUEUE [count=N] [timeout=TIME] [attempt=ID]
    poll QUEUE [wait=TIME] [count=N] [timeout=TIME]
    delete QUEUE BODY#N                  with the handle of the message's receive N
    change QUEUE BODY#N TIME
    reject QUEUE BODY#N
    purge QUEUE
    drop QUEUE                           deletes the queue
    move QUEUE [to=QUEUE] [rate=N]       starts a message move task
    stop QUEUE                           cancels the queue's latest move task
    tasks QUEUE                          lists its move tasks, newest first
    rule NAME PATTERN QUEUE...           on the default bus; targets get the event's detail
    event SOURCE DETAIL                  puts an event
    hold                                 commits wait from now on
    commit                               the waiting commit gets through, and later ones do
    fail before|after                    the waiting commit fails, lost or durable all the same
    crash [before|after]                 the process dies; a new one opens the store
    wait                                 nothing; time passes

An answer that comes later than its command stands below the command during which it came, with the
command it answers in front. `(waits)` is an answer that is held back for its commit. Of the queues
those are shown whose counts have changed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, Final, final

from eventcore.arn import bus_arn
from eventcore.buses.bus import RuleSpec
from eventcore.buses.bus_spec import BusSpec
from eventcore.buses.event import EventEntry
from eventcore.buses.rule import Target
from eventcore.errors import EventcoreError
from eventcore.queues.message import SendEntry
from eventcore.queues.queue import QueueMachine
from eventcore.queues.queue_spec import QueueSpec, ReceiveRequest, RedrivePolicy
from eventcore.runtime.engine import Engine, ReceivedMessage
from tests.unit.runtime.rig import PREFIX, EngineRig, turn

__all__ = ["play"]

INDENT: Final = "    "
UNITS_MS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
SETTINGS: Final = {
    "visibility": "visibility_timeout_ms",
    "delay": "delay_ms",
    "retention": "retention_ms",
}
BUS: Final = bus_arn("000000000000", "us-east-1", "default")


async def play(text: str) -> str:
    """The script, with the answers that the engine gives in place of those it has."""
    player = _Player(await EngineRig().start())
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith((" ", "\t")):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += [INDENT + answer for answer in await player.run(line)]
    return "\n".join(lines) + "\n"


@final
class _Answer:
    """The reply of one command."""

    def __init__(self, player: _Player, command: str, show: Callable[[Any], list[str]]) -> None:
        self._player = player
        self._rig = player.rig
        self.command = command
        self._show = show
        self.is_open = True

    def commit(self, payload: Any) -> None:
        if self._rig is self._player.rig:
            self._tell(self._show(payload))

    def fail(self, error: EventcoreError) -> None:
        if self._rig is self._player.rig:
            self._tell([type(error).__name__])

    def _tell(self, lines: list[str]) -> None:
        self.is_open = False
        is_late = self._player.command != self.command
        front = f"[{self.command}] " if is_late else ""
        self._player.answers += [front + line for line in lines]


@final
class _Player:
    """The engine of one script, and what was seen of it last."""

    def __init__(self, rig: EngineRig) -> None:
        self.rig = rig
        self.answers: list[str] = []
        self.command = ""
        self._handles: dict[str, str] = {}
        self._counts: dict[str, tuple[int, int, int]] = {}
        self._tasks_of: dict[str, str] = {}
        self._is_holding = False

    async def run(self, line: str) -> list[str]:
        """Plays one command; the lines below it."""
        words = shlex.split(line)
        self.answers = []
        self.command = ""
        if words[0].startswith("+"):
            await self._pass(_ms(words.pop(0)[1:]))
        self.command = " ".join(words)
        options = dict(word.split("=", 1) for word in words[1:] if _is_option(word))
        arguments = [word for word in words[1:] if not _is_option(word)]
        before = len(self.answers)
        await getattr(self, f"_{words[0]}")(*arguments, **options)
        await self._settle()
        is_silent = len(self.answers) == before
        if is_silent and words[0] not in ("wait", "hold", "commit", "fail", "crash", "poll"):
            self.answers.append("(waits)")
        return self.answers + self._changes()

    async def _pass(self, duration_ms: int) -> None:
        if self._is_holding:
            self.rig.clock.advance(duration_ms)
            await turn()
        else:
            await self.rig.run_for(duration_ms)

    async def _settle(self) -> None:
        await (turn() if self._is_holding else self.rig.settle())

    def _changes(self) -> list[str]:
        """The counts of the queues that changed. Looking is no request and waits for nothing."""
        if not self.rig.engine.is_ready:
            return ["(no requests are taken)"]
        counts = {}
        for arn, machine in sorted(self.rig.engine._machines.items()):
            if isinstance(machine, QueueMachine):
                machine.check()
                found = machine.statistics(self.rig.clock.now_ms())
                counts[arn.removeprefix(PREFIX)] = found.visible, found.in_flight, found.delayed
        lines = [f"{name}: gone" for name in self._counts if name not in counts]
        for name, (visible, in_flight, delayed) in counts.items():
            if self._counts.get(name) != counts[name]:
                lines.append(f"{name}: {visible} visible, {in_flight} in flight, {delayed} delayed")
        self._counts = counts
        return lines

    def _request(
        self, call: Callable[[Engine], Any], show: Callable[[Any], list[str]] = lambda _: ["ok"]
    ) -> None:
        engine = self.rig.engine
        answer = _Answer(self, self.command, show)
        try:
            engine.begin()
            result = call(engine)
        except EventcoreError as error:
            answer.fail(error)
        else:
            engine.hold(answer, result)

    def _show_messages(self, messages: list[ReceivedMessage]) -> list[str]:
        for message in messages:
            self._handles[f"{message.record.body}#{message.receives}"] = message.receipt_handle
        return [f"{m.record.body} (receive {m.receives})" for m in messages] or ["(nothing)"]

    # Commands

    async def _create(self, name: str, **settings: str) -> None:
        self._request(lambda e: e.create_queue(PREFIX + name, _spec(name, settings)))

    async def _configure(self, name: str, **settings: str) -> None:
        self._request(lambda e: e.set_queue_spec(e.queue(PREFIX + name), _spec(name, settings)))

    async def _send(
        self,
        name: str,
        *bodies: str,
        delay: str | None = None,
        group: str | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:
        def call(engine: Engine) -> None:
            queue = engine.queue(PREFIX + name)
            for body in bodies:
                key = id or (body if queue.is_fifo else None)
                delay_ms = None if delay is None else _ms(delay)
                entry = SendEntry(body, delay_ms, group_id=group, deduplication_id=key)
                engine.send(queue, entry)

        self._request(call)

    async def _move(self, name: str, to: str | None = None, rate: str | None = None) -> None:
        arn = None if to is None else PREFIX + to
        per_second = None if rate is None else int(rate)

        def show(handle: str) -> list[str]:
            self._tasks_of[name] = handle
            return ["ok"]

        self._request(lambda e: e.start_move(e.queue(PREFIX + name), arn, per_second), show)

    async def _stop(self, name: str) -> None:
        handle = self._tasks_of.get(name, "")
        self._request(lambda e: e.cancel_move(handle), lambda moved: [f"after {moved}"])

    async def _tasks(self, name: str) -> None:
        self._request(
            lambda e: e.list_moves(e.queue(PREFIX + name), 10),
            lambda tasks: (
                [f"{t.status} {t.moved} of {t.to_move} {t.failure}".strip() for t in tasks]
                or ["(nothing)"]
            ),
        )

    async def _receive(self, name: str, count: str = "10", **options: str) -> None:
        request = _receive_request(count, **options)
        self._request(lambda e: e.receive(e.queue(PREFIX + name), request), self._show_messages)

    async def _poll(self, name: str, wait: str = "20s", count: str = "10", **options: str) -> None:
        engine = self.rig.engine
        answer = _Answer(self, self.command, self._show_messages)
        try:
            engine.begin()
            engine.receive_when_ready(
                engine.queue(PREFIX + name),
                _receive_request(count, **options),
                _ms(wait),
                lambda messages: engine.hold(answer, messages),
                answer.fail,
            )
        except EventcoreError as error:
            answer.fail(error)

    async def _delete(self, name: str, handle: str) -> None:
        self._request(lambda e: e.delete(e.queue(PREFIX + name), self._handles[handle]))

    async def _change(self, name: str, handle: str, duration: str) -> None:
        def call(engine: Engine) -> None:
            queue = engine.queue(PREFIX + name)
            engine.change_visibility(queue, self._handles[handle], _ms(duration))

        self._request(call)

    async def _reject(self, name: str, handle: str) -> None:
        self._request(lambda e: e.reject(e.queue(PREFIX + name), self._handles[handle]))

    async def _purge(self, name: str) -> None:
        self._request(lambda e: e.purge(e.queue(PREFIX + name)))

    async def _drop(self, name: str) -> None:
        self._request(lambda e: e.delete_queue(PREFIX + name))

    async def _rule(self, name: str, pattern: str, *queues: str) -> None:
        targets = [Target(id=queue, arn=PREFIX + queue, input_path="$.detail") for queue in queues]

        def call(engine: Engine) -> None:
            bus = engine.find(BUS) or engine.create_bus(BUS, BusSpec())
            engine.replace_rule(bus, name, RuleSpec(pattern=pattern), targets)

        self._request(call)

    async def _event(self, source: str, detail: str) -> None:
        entry = EventEntry(source=source, detail_type="test", detail=detail)
        self._request(lambda e: e.put_events(e.bus(BUS), [entry]))

    async def _wait(self) -> None:
        return

    async def _hold(self) -> None:
        self._is_holding = True

    async def _commit(self) -> None:
        self._is_holding = False

    async def _fail(self, when: str) -> None:
        self.rig.store.fail(is_durable=when == "after")
        self._is_holding = False

    async def _crash(self, when: str = "before") -> None:
        self.rig = await self.rig.crash(is_durable=when == "after")
        self._is_holding = False


def _is_option(word: str) -> bool:
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isalpha()


def _ms(text: str) -> int:
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    return int(number) * UNITS_MS[text[len(number) :] or "ms"]


def _spec(name: str, settings: dict[str, str]) -> QueueSpec:
    given = {SETTINGS[name]: _ms(text) for name, text in settings.items() if name in SETTINGS}
    redrive = None
    if "dead" in settings:
        redrive = RedrivePolicy(PREFIX + settings["dead"], int(settings.get("receives", "1")))
    return QueueSpec(
        **given,  # type: ignore[arg-type]
        redrive=redrive,
        is_fifo=name.endswith(".fifo"),
        deduplication_scope=settings.get("scope", "queue"),
    )


def _receive_request(
    count: str, timeout: str | None = None, attempt: str | None = None
) -> ReceiveRequest:
    timeout_ms = None if timeout is None else _ms(timeout)
    return ReceiveRequest(int(count), timeout_ms, attempt_id=attempt)
