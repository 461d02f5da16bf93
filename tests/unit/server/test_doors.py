"""How side doors look: slice by slice, in turn, answered once; and how their requests are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from eventcore import limits
from eventcore.errors import NotFound, StoreUnavailable
from eventcore.server.door_answers import DOOR_ERRORS, json_answer, json_fault_writer
from eventcore.server.door_request import READ_METHODS, DoorRequest
from eventcore.server.looks import Look, Looks, Visit
from eventcore.wire.credential import ANONYMOUS
from eventcore.wire.fault import Fault
from eventcore.wire.http import HttpRequest, OnDisconnect, ResponseStream


class FakeEngine:
    """Requests are counted; replies leave at once, or when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.closed = 0
        self.looked_at_everything = 0
        self.is_holding = False
        self.held: list[tuple[Any, Any]] = []
        self.refusal: Exception | None = None

    def begin(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.begun += 1

    def look_at_everything(self) -> None:
        self.looked_at_everything += 1

    def hold(self, reply: Any, payload: Any) -> None:
        self.closed += 1
        if self.is_holding:
            self.held.append((reply, payload))
        else:
            reply.commit(payload)


class Answer:
    def __init__(self) -> None:
        self.on_disconnect: OnDisconnect | None = None
        self.replies: list[tuple[int, bytes]] = []

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        assert head.endswith(b"\r\n")
        self.replies.append((status, body))

    def stream(self, status: int, head: bytes) -> ResponseStream:
        raise AssertionError("nothing here is answered in parts")

    @property
    def status(self) -> int:
        ((status, _),) = self.replies
        return status


class Counter:
    """A look of some slices; it notes how far it is, and its end."""

    def __init__(self, slices: int, error: Exception | None = None) -> None:
        self.done = 0
        self.is_closed = False
        self._slices = slices
        self._error = error

    def look(self) -> Look:
        try:
            while self.done < self._slices:
                self.done += 1
                yield
            if self._error is not None:
                raise self._error
            return json_answer(self.done)
        finally:
            self.is_closed = True


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def bugs() -> list[BaseException]:
    return []


@pytest.fixture
def start(engine: FakeEngine, bugs: list[BaseException]) -> Callable[..., Answer]:
    looks = Looks(engine, lambda bug, request_id: bugs.append(bug))  # type: ignore[arg-type]

    def run(counter: Counter, *, is_long: bool = True) -> Answer:
        answer = Answer()
        visit = Visit(counter.look(), DOOR_ERRORS, json_fault_writer(READ_METHODS), is_long)
        looks.start(visit, answer, "request")
        return answer

    return run


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_look_of_one_slice_is_answered_at_once(start, engine):
    answer = start(Counter(0))
    assert (answer.replies, engine.begun, engine.closed) == ([(200, b"0")], 1, 1)


async def test_each_slice_is_a_request_and_a_turn_of_its_own(start, engine):
    counter = Counter(3)
    answer = start(counter)
    for turn in range(1, 4):
        assert (counter.done, engine.begun, answer.replies) == (turn, turn, [])
        await turns(1)
    assert (answer.replies, counter.is_closed) == ([(200, b"3")], True)


async def test_the_next_slice_waits_until_the_last_one_is_durable(start, engine):
    engine.is_holding = True
    counter = Counter(1)
    answer = start(counter)
    await turns(5)
    assert (counter.done, len(engine.held)) == (1, 1)
    reply, payload = engine.held.pop()
    reply.commit(payload)
    await turns(5)
    assert (answer.replies, len(engine.held)) == ([], 1)
    reply, payload = engine.held.pop()
    reply.commit(payload)
    assert answer.status == 200


async def test_a_failed_commit_ends_the_look(start, engine):
    engine.is_holding = True
    counter = Counter(2)
    answer = start(counter)
    engine.held[0][0].fail(StoreUnavailable("gone"))
    await turns(3)
    assert (answer.status, counter.done, counter.is_closed) == (503, 1, True)


@pytest.mark.parametrize("slices", [0, 2])
async def test_an_error_is_told_and_waits_for_what_it_may_tell_of(start, engine, slices):
    answer = start(Counter(slices, NotFound("queue", "q")))
    await turns(slices)
    assert (answer.status, engine.looked_at_everything) == (404, 1)
    assert engine.begun == engine.closed == slices + 1
    assert start(Counter(0, Fault("X", "no", status=418))).status == 418
    assert engine.looked_at_everything == 1


async def test_an_engine_that_refuses_in_between_ends_the_look(start, engine):
    counter = Counter(2)
    answer = start(counter)
    engine.refusal = StoreUnavailable("closing")
    await turns(1)
    assert (answer.status, counter.done, counter.is_closed) == (503, 1, True)


async def test_a_bug_is_a_500_and_reported(start, bugs):
    answer = start(Counter(0, ZeroDivisionError()))
    assert answer.status == 500
    assert [type(bug) for bug in bugs] == [ZeroDivisionError]


async def test_a_client_that_is_gone_is_never_answered(start):
    counter = Counter(2)
    answer = start(counter)
    answer.on_disconnect()
    await turns(5)
    assert (answer.replies, counter.done, counter.is_closed) == ([], 1, True)


async def test_a_client_that_goes_during_a_commit_is_never_answered(start, engine):
    engine.is_holding = True
    answer = start(Counter(0))
    answer.on_disconnect()
    reply, payload = engine.held.pop()
    reply.commit(payload)
    assert answer.replies == []


async def test_so_many_long_looks_run_at_a_time_and_the_others_in_their_order(start, monkeypatch):
    monkeypatch.setattr(limits, "DOORS_RUNNING_MAX", 2)
    counters = [Counter(1) for _ in range(6)]
    answers = [start(counter) for counter in counters]
    assert [counter.done for counter in counters] == [1, 1, 0, 0, 0, 0]
    answers[3].on_disconnect()  # in line
    assert start(Counter(0), is_long=False).status == 200
    order: list[int] = []
    while len(order) < 5:
        await turns(1)
        order += [n for n, answer in enumerate(answers) if answer.replies and n not in order]
    assert order == [0, 1, 2, 4, 5]
    assert start(Counter(0)).status == 200


async def test_more_than_may_wait_are_refused(start, monkeypatch):
    monkeypatch.setattr(limits, "DOORS_RUNNING_MAX", 1)
    monkeypatch.setattr(limits, "DOORS_WAITING_MAX", 1)
    first, second, third = (start(Counter(1)) for _ in range(3))
    assert (first.replies, second.replies, third.status) == ([], [], 503)
    await turns(5)
    assert (first.status, second.status) == (200, 200)
    assert start(Counter(0)).status == 200


def request_for(target: bytes, **headers: str) -> DoorRequest:
    all_headers = {name.replace("_", "-").encode(): v.encode() for name, v in headers.items()}
    return DoorRequest(HttpRequest(b"GET", target, all_headers, b"", "peer"), ANONYMOUS, "id")


@pytest.mark.parametrize(
    ("target", "segments"),
    [
        (b"/_aws/sqs/messages", ["_aws", "sqs", "messages"]),
        (b"/_aws/sqs/messages/?a=/b", ["_aws", "sqs", "messages"]),
        (b"/_a/b%2Fc/%C3%A4", ["_a", "b/c", "ä"]),
        (b"/_a//b", ["_a", "", "b"]),
        (b"/_a/%FF", ["_a", "\ufffd"]),
    ],
)
def test_a_path_is_taken_apart_before_it_is_decoded(target, segments):
    assert request_for(target).segments == segments


def test_the_url_is_the_one_that_the_caller_used():
    assert request_for(b"/_a", host="h:1").base_url == "http://h:1"
    assert request_for(b"/_a", host="h", x_forwarded_proto="https").base_url == "https://h"
    over_tls = HttpRequest(b"GET", b"/_a", {b"host": b"h"}, b"", "peer", is_secure=True)
    assert DoorRequest(over_tls, ANONYMOUS, "id").base_url == "https://h"


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("-1", -1), ("007", 7), ("10", 10)])
def test_numbers_are_read(text, value):
    assert request_for(f"/_a?n={text}".encode()).number("n", 5, -1, 10) == value
    assert request_for(b"/_a").number("n", 5, -1, 10) == 5


@pytest.mark.parametrize("text", ["", "-2", "11", "1.0", "1e3", "+1", "%201", "0x1", "9" * 30])
def test_other_texts_are_refused(text):
    with pytest.raises(Fault, match="n must be a whole number from -1 to 10"):
        request_for(f"/_a?n={text}".encode()).number("n", 5, -1, 10)
