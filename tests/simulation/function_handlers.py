"""The functions of a simulated world: handlers that succeed, fail, time out, crash, answer garbage,
report partial failures, or can not be run for a moment.

What an answer means is told here, by the plain words of AWS's documentation, and not looked up in
the code that is tested.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, Final, final

from eventcore.functions.invocation import (
    UNHANDLED,
    FailedInvocation,
    Invocation,
    InvocationResult,
    Payload,
    error_payload,
    timed_out,
)
from tests.simulation.function_ledger import Call, Item

if TYPE_CHECKING:
    from tests.simulation.function_world import FunctionWorld

__all__ = ["AUDITOR", "BEHAVIOURS", "Handler", "body_of"]

AUDITOR: Final = "auditor"
"""The function that is a destination: it never loses anything."""
BEHAVIOURS: Final = {
    "ok": 50,
    "slow": 12,
    "error": 7,
    "timeout": 3,
    "crash": 3,
    "refuse": 4,
    "partial": 13,
    "garbage": 6,
    "poison": 20,
}
_DONE_ANSWERS: Final[tuple[Any, ...]] = (
    None,
    {},
    {"batchItemFailures": []},
    {"batchItemFailures": None},
    "fine",
    17,
    [{"itemIdentifier": "x"}],
)
_BAD_ANSWERS: Final = (
    {"batchItemFailures": [{"itemIdentifier": ""}]},
    {"batchItemFailures": [{"itemIdentifier": None}]},
    {"batchItemFailures": [{"wrong": "x"}]},
    {"batchItemFailures": [{"itemIdentifier": "of nothing in the batch"}]},
    {"batchItemFailures": "all of it"},
    {"batchItemFailures": ["x"]},
)
_POISON: Final = 13
"""Items whose number it divides are poisonous."""


@final
class Handler:
    """One function's callable; an `Invoker`."""

    def __init__(self, world: FunctionWorld, name: str) -> None:
        self._world = world
        self._name = name

    async def close(self) -> None:
        """Holds nothing."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """See environments.invoker.Invoker. A breach of a promise ends the world."""
        try:
            return await self._invoke(invocation)
        except AssertionError as error:
            self._world.breach = self._world.breach or error
            raise

    async def _invoke(self, invocation: Invocation) -> InvocationResult:
        world, event = self._world, invocation.payload.value
        assert invocation.deadline_ms - world.clock.now_ms() <= invocation.config.timeout_ms
        if self._name == AUDITOR:
            return await self._audit(invocation, event)
        if "Records" not in event:
            item = world.ledger.items[event["n"]]
            call = Call(self._name, self._name, [item])
            return await _Run(world, invocation, call, {}).run()
        mapping = world.mapping_of(event, invocation)
        items = [world.item_of(record) for record in event["Records"]]
        consumer = mapping.uuid
        if mapping.spec.is_queue:
            consumer = mapping.spec.source_arn
        return await _Run(
            world, invocation, Call(self._name, consumer, items, mapping), event
        ).run()

    async def _audit(self, invocation: Invocation, event: Any) -> InvocationResult:
        world = self._world
        if not world.is_calm and world.chance.random() < 0.2:
            raise FailedInvocation("for a moment")
        if world.chance.random() < 0.3:
            await world.pause(world.chance.choice([1, 700]))
        world.documents.append(event)
        return InvocationResult(Payload.of(None), None, invocation.version)


@final
class _Run:
    """One invocation."""

    def __init__(
        self, world: FunctionWorld, invocation: Invocation, call: Call, event: dict[str, Any]
    ) -> None:
        self._world = world
        self._invocation = invocation
        self._call = call
        self._event = event
        self._window = event.get("window")

    async def run(self) -> InvocationResult:
        world, call = self._world, self._call
        behaviour = self._behaviour()
        world.note_invocation(call, behaviour)
        world.seen[behaviour] += 1
        if behaviour == "refuse":
            raise FailedInvocation("for a moment")
        world.ledger.begin(call)
        if self._window is not None:
            self._check_window()
        try:
            if behaviour == "slow":
                await world.pause(world.chance.choice([1, 400, 2_900]))
            elif behaviour == "timeout":
                await world.pause(self._invocation.deadline_ms - world.clock.now_ms())
            else:
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            world.ledger.stop(call)
            raise
        return self._answered(behaviour)

    def _behaviour(self) -> str:
        world = self._world
        if world.is_calm:
            return world.chance.choice(["ok", "ok", "slow"])
        (behaviour,) = world.chance.choices(list(BEHAVIOURS), list(BEHAVIOURS.values()))
        if behaviour == "poison" and not any(i.number % _POISON == 0 for i in self._call.items):
            return "ok"
        return str(behaviour)

    def _answered(self, behaviour: str) -> InvocationResult:
        world = self._world
        if behaviour in ("ok", "slow"):
            return self._done(self._call.items, world.chance.choice(_DONE_ANSWERS))
        if behaviour in ("error", "timeout", "crash"):
            return self._error(behaviour)
        if behaviour == "garbage":
            return self._garbage()
        failed = [i for i in self._call.items if i.number % _POISON == 0]
        if behaviour == "partial":
            failed = [i for i in self._call.items if world.chance.random() < 0.3]
        if self._reports and failed:
            return self._partial(failed)
        if behaviour == "poison":
            return self._error(behaviour)
        return self._done(self._call.items, None)

    @property
    def _reports(self) -> bool:
        """Whether item failures are looked at: a mapping of this world never changes that."""
        mapping = self._call.mapping
        return mapping is not None and mapping.spec.reports_item_failures

    def _error(self, behaviour: str) -> InvocationResult:
        self._world.ledger.end(self._call, [], has_failed=True)
        if behaviour == "timeout":
            return timed_out(self._invocation)
        kind = "Runtime.ExitError" if behaviour == "crash" else "ValueError"
        payload = error_payload(kind, f"a {behaviour} of the handler")
        return InvocationResult(payload, UNHANDLED, self._invocation.version)

    def _garbage(self) -> InvocationResult:
        """Bytes that are no JSON, or an answer that is not what a mapping understands."""
        world = self._world
        is_unreadable = world.chance.random() < 0.5
        is_final = self._window is not None and not self._call.items
        is_failure = self._reports or self._window is not None
        is_failure = is_failure and not is_final
        done = [] if is_failure else self._call.items
        world.ledger.end(self._call, done, has_failed=is_failure)
        if is_unreadable:
            return self._result(Payload(b"{ no JSON"))
        return self._result(Payload.of(world.chance.choice(_BAD_ANSWERS)))

    def _partial(self, failed: list[Item]) -> InvocationResult:
        items, mapping = self._call.items, self._call.mapping
        assert mapping is not None
        if mapping.spec.source_arn.endswith(".fifo"):
            blocked: set[str] = set()
            done = []
            for item in items:
                if item in failed:
                    blocked.add(item.key)
                if item.key not in blocked:
                    done.append(item)
        elif mapping.spec.is_queue:
            done = [item for item in items if item not in failed]
        else:
            done = items[: items.index(failed[0])]
        records = self._event["Records"]
        reported = [
            {"itemIdentifier": _identifier(record)}
            for record, item in zip(records, items, strict=True)
            if item in failed
        ]
        return self._done(done, {"batchItemFailures": reported}, has_failed=not done)

    def _done(self, done: list[Item], answer: Any, *, has_failed: bool = False) -> InvocationResult:
        if self._window is not None and self._call.items:
            state = {"ids": self._event["state"].get("ids", []) + [i.number for i in done]}
            members = answer if isinstance(answer, dict) else {}
            answer = {**members, "state": state}
        self._world.ledger.end(self._call, done, has_failed=has_failed)
        return self._result(Payload.of(answer))

    def _result(self, payload: Payload) -> InvocationResult:
        if self._world.chance.random() < 0.5 and payload._bytes is None:
            payload = Payload(payload.raw)  # as from a process
        return InvocationResult(payload, None, self._invocation.version)

    def _check_window(self) -> None:
        """A window's state is what was done in it, once each and in order."""
        event = self._event
        ids = event["state"].get("ids", [])
        numbers = [item.number for item in self._call.items]
        keys = {self._world.ledger.items[number].key for number in ids}
        for key in keys:
            own = [n for n in ids if self._world.ledger.items[n].key == key]
            assert own == sorted(own), f"a window's state is out of order: {own}"
        assert len(set(ids)) == len(ids), f"a window's state has items twice: {ids}"
        assert not set(ids) & set(numbers), f"{ids} are in the state, and came again: {numbers}"
        assert numbers or event["isFinalInvokeForWindow"]
        assert not event["isWindowTerminatedEarly"]


def _identifier(record: dict[str, Any]) -> str:
    if "messageId" in record:
        return str(record["messageId"])
    return str(record["kinesis"]["sequenceNumber"])


def body_of(record: dict[str, Any]) -> dict[str, Any]:
    """What the world put into a message or a record."""
    text = record["body"] if "body" in record else base64.b64decode(record["kinesis"]["data"])
    found = json.loads(text)
    assert isinstance(found, dict)
    return found
