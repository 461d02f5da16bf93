"""FIFO queues and their neighbours in an engine: settings, long polls, restarts, deliveries."""

from __future__ import annotations

from typing import Any

import pytest

from eventcore.attributes import decode_attributes
from eventcore.errors import InvalidParameter, LimitExceeded, StoreUnavailable
from eventcore.limits import Quotas
from eventcore.outboxes.dead_letter import SDK_CLIENT_ERROR
from eventcore.outcome import Deliver, Parcel
from eventcore.queues.fifo import FifoQueue
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import (
    Chaos,
    QueueSpec,
    ReceiveRequest,
    RedriveAllow,
    RedrivePolicy,
)
from eventcore.queues.standard import StandardQueue
from eventcore.runtime.engine import ReceivedMessage
from tests.unit.runtime.rig import PREFIX, Answer, EngineRig, turn

RULE = "arn:aws:events:us-east-1:000000000000:rule/r"


async def started(**spec: Any) -> EngineRig:
    rig = await EngineRig().start()
    rig.create("q.fifo", is_fifo=True, **spec)
    await rig.settle()
    return rig


def send(rig: EngineRig, body: str, group: str = "g", key: str | None = None) -> Answer:
    entry = SendEntry(body, group_id=group, deduplication_id=key or body)
    return rig.request(lambda e: e.send(e.queue(PREFIX + "q.fifo"), entry))


def received(rig: EngineRig, name: str = "q.fifo", **request: Any) -> list[ReceivedMessage]:
    rig.engine.begin()
    return rig.engine.receive(rig.engine.queue(PREFIX + name), ReceiveRequest(10, **request))


def redrive(name: str, receives_max: int = 1) -> RedrivePolicy:
    return RedrivePolicy(PREFIX + name, receives_max)


# Settings


async def test_a_queue_is_fifo_if_its_name_says_so():
    rig = await started()
    rig.create("q")
    assert isinstance(rig.engine.find(PREFIX + "q.fifo"), FifoQueue)
    assert isinstance(rig.engine.find(PREFIX + "q"), StandardQueue)
    await rig.settle()
    again = await rig.crash()
    assert isinstance(again.engine.find(PREFIX + "q.fifo"), FifoQueue)
    assert isinstance(again.engine.find(PREFIX + "q"), StandardQueue)


@pytest.mark.parametrize(("name", "is_fifo"), [("x.fifo", False), ("x", True), ("fifo", True)])
async def test_name_and_kind_must_agree(name, is_fifo):
    rig = await started()
    with pytest.raises(InvalidParameter) as caught:
        rig.create(name, is_fifo=is_fifo)
    assert caught.value.name == "is_fifo"
    assert rig.engine.find(PREFIX + name) is None
    await rig.settle()
    assert (await rig.crash()).engine.find(PREFIX + name) is None


async def test_the_kind_never_changes():
    rig = await started()
    rig.engine.begin()
    queue = rig.engine.queue(PREFIX + "q.fifo")
    with pytest.raises(InvalidParameter) as caught:
        rig.engine.set_queue_spec(queue, QueueSpec())
    assert caught.value.name == "is_fifo"
    assert queue.spec.is_fifo


@pytest.mark.parametrize(("source", "target"), [("a.fifo", "dead"), ("a", "dead.fifo")])
@pytest.mark.parametrize("is_there", [False, True])
async def test_a_dead_letter_queue_is_of_the_same_kind(source, target, is_there):
    rig = await started()
    if is_there:
        rig.create(target, is_fifo=target.endswith("fifo"))
    with pytest.raises(InvalidParameter) as caught:
        rig.create(source, is_fifo=source.endswith("fifo"), redrive=redrive(target))
    assert caught.value.name == "redrive"
    assert "same type" in caught.value.reason
    assert rig.engine.find(PREFIX + source) is None


@pytest.mark.parametrize(
    ("allow", "is_allowed"),
    [
        (None, True),
        (RedriveAllow(), True),
        (RedriveAllow("denyAll"), False),
        (RedriveAllow("byQueue", (PREFIX + "a",)), True),
        (RedriveAllow("byQueue", (PREFIX + "b",)), False),
    ],
)
async def test_a_dead_letter_queue_says_whom_it_serves(allow, is_allowed):
    rig = await started()
    rig.create("dead", redrive_allow=allow)
    if is_allowed:
        rig.create("a", redrive=redrive("dead"))
        assert rig.engine.find(PREFIX + "a") is not None
        return
    with pytest.raises(InvalidParameter) as caught:
        rig.create("a", redrive=redrive("dead"))
    assert caught.value.name == "redrive"
    assert "does not allow" in caught.value.reason


async def test_a_dead_letter_queue_is_asked_when_it_is_named_and_not_later():
    rig = await started()
    rig.create("a", redrive=redrive("dead"))  # before it exists
    rig.create("dead", redrive_allow=RedriveAllow("denyAll"))
    rig.engine.begin()
    queue = rig.engine.queue(PREFIX + "a")
    rig.engine.set_queue_spec(queue, QueueSpec(redrive=redrive("dead"), delay_ms=1_000))
    with pytest.raises(InvalidParameter):
        rig.engine.set_queue_spec(queue, QueueSpec(redrive=redrive("dead", 2)))
    assert queue.spec.redrive == redrive("dead")


# Sends and receives


async def test_a_duplicate_is_answered_with_the_first_when_that_is_durable():
    rig = await started()
    first = send(rig, "x", key="1")
    second = send(rig, "y", key="1")
    assert first.is_waiting and second.is_waiting
    await rig.settle()
    assert second.value.id == first.value.id
    assert second.value.sequence == first.value.sequence > 0
    assert [m.record.body for m in received(rig)] == ["x"]


@pytest.mark.parametrize("is_durable", [False, True])
async def test_after_a_failed_commit_an_id_is_taken_if_its_message_is_there(is_durable):
    rig = await started()
    lost = send(rig, "x", key="1")
    await turn()
    rig.store.fail(is_durable=is_durable)
    await rig.settle()
    assert isinstance(lost.value, StoreUnavailable)
    send(rig, "y", key="1")
    await rig.settle()
    assert [m.record.body for m in received(rig)] == (["x"] if is_durable else ["y"])


async def test_received_messages_have_their_sequence_numbers():
    rig = await started()
    answers = [send(rig, f"{n}") for n in range(3)]
    await rig.settle()
    found = received(rig)
    assert [m.sequence for m in found] == [answer.value.sequence for answer in answers]
    rig.create("q")
    rig.send("q", "x")
    assert [m.sequence for m in received(rig, "q")] == [0]


async def test_locks_and_sequence_numbers_survive_a_crash():
    rig = await started(visibility_timeout_ms=10_000)
    first = send(rig, "a0")
    send(rig, "a1")
    await rig.settle()
    rig.receive("q.fifo", 1)
    await rig.settle()
    rig = await rig.crash()
    assert received(rig) == []
    await rig.run_for(10_000)
    found = received(rig)
    assert [(m.record.body, m.receives) for m in found] == [("a0", 2), ("a1", 1)]
    later = send(rig, "a2")
    await rig.settle()
    assert later.value.sequence > first.value.sequence


async def test_a_repeated_receive_survives_a_crash():
    rig = await started(visibility_timeout_ms=10_000)
    send(rig, "x")
    await rig.settle()
    (first,) = received(rig, attempt_id="a")
    await rig.settle()
    rig = await rig.crash()
    (again,) = received(rig, attempt_id="a")
    assert again.receipt_handle == first.receipt_handle
    assert again.receives == 1


async def test_a_dead_letter_is_in_exactly_one_queue_after_a_crash():
    for is_durable in (False, True):
        rig = await started(visibility_timeout_ms=0, redrive=redrive("dead.fifo"))
        rig.create("dead.fifo", is_fifo=True)
        send(rig, "x")
        rig.receive("q.fifo")
        await rig.settle()
        rig.receive("q.fifo")
        await turn()
        rig = await rig.crash(is_durable=is_durable)
        there = rig.counts("q.fifo")[0], rig.counts("dead.fifo")[0]
        assert there == ((0, 1) if is_durable else (1, 0))


# Long polls


async def test_a_message_of_a_locked_group_does_not_serve_a_long_poll():
    rig = await started()
    send(rig, "a0")
    await rig.settle()
    (message,) = received(rig)
    poll = rig.poll("q.fifo")
    send(rig, "a1")
    await rig.settle()
    assert poll.is_waiting
    rig.delete("q.fifo", message.receipt_handle)
    await rig.settle()
    assert poll.value == ["a1"]


async def test_another_group_serves_a_long_poll():
    rig = await started()
    send(rig, "a0")
    await rig.settle()
    received(rig)
    poll = rig.poll("q.fifo")
    send(rig, "b0", group="b")
    await rig.settle()
    assert poll.value == ["b0"]


async def test_the_end_of_a_visibility_timeout_serves_a_long_poll_with_the_whole_group():
    rig = await started(visibility_timeout_ms=1_000)
    send(rig, "a0")
    await rig.settle()
    received(rig)
    send(rig, "a1")
    poll = rig.poll("q.fifo")
    await rig.run_for(999)
    assert poll.is_waiting
    await rig.run_for(1)
    assert poll.value == ["a0", "a1"]


async def test_giving_a_message_back_serves_a_long_poll():
    rig = await started()
    send(rig, "a0")
    await rig.settle()
    (message,) = received(rig)
    poll = rig.poll("q.fifo")
    rig.change("q.fifo", message.receipt_handle, 0)
    await rig.settle()
    assert poll.value == ["a0"]


@pytest.mark.parametrize("later_ms", [0, 2_000])
async def test_the_end_of_the_queues_delay_serves_a_long_poll(later_ms):
    rig = await started(delay_ms=5_000)
    send(rig, "a0")
    poll = rig.poll("q.fifo")
    await rig.run_for(1_000)
    rig.engine.begin()
    queue = rig.engine.queue(PREFIX + "q.fifo")
    rig.engine.set_queue_spec(queue, QueueSpec(is_fifo=True, delay_ms=later_ms))
    await rig.settle()
    await rig.run_for(max(later_ms - 1_000, 0))
    assert poll.value == ["a0"]


async def test_deleting_the_front_message_serves_a_long_poll_on_a_queue_with_a_delay():
    rig = await started(delay_ms=1_000)
    send(rig, "a0")
    send(rig, "a1")
    await rig.run_for(1_000)
    rig.engine.begin()
    (message,) = rig.engine.receive(rig.engine.queue(PREFIX + "q.fifo"), ReceiveRequest(1))
    poll = rig.poll("q.fifo")
    rig.delete("q.fifo", message.receipt_handle)
    await rig.run_for(0)
    assert poll.value == ["a1"]


async def test_over_the_quota_of_messages_in_flight_a_receive_is_empty_and_a_long_poll_waits():
    rig = await EngineRig(quotas=Quotas(in_flight_max=1)).start()
    rig.create("q.fifo", is_fifo=True)
    send(rig, "a0")
    send(rig, "b0", group="b")
    await rig.settle()
    (message,) = received(rig)
    assert received(rig) == []
    poll = rig.poll("q.fifo")
    await rig.settle()
    assert poll.is_waiting
    rig.delete("q.fifo", message.receipt_handle)
    await rig.settle()
    assert poll.value == ["b0"]


# Calls, looks


async def test_calls_are_admitted_up_to_the_quota():
    rig = await EngineRig(quotas=Quotas(fifo_calls_per_s=2)).start()
    rig.create("q.fifo", is_fifo=True)
    rig.create("q")
    await rig.settle()
    rig.engine.begin()
    fifo, standard = rig.engine.queue(PREFIX + "q.fifo"), rig.engine.queue(PREFIX + "q")
    for _ in range(2):
        rig.engine.admit(fifo, "send")
        rig.engine.admit(fifo, "receive")
    with pytest.raises(LimitExceeded):
        rig.engine.admit(fifo, "send")
    for _ in range(10):
        rig.engine.admit(standard, "send")
    rig.clock.advance(1_000)
    rig.engine.begin()
    rig.engine.admit(fifo, "send")


async def test_chaos_refuses_calls_of_a_standard_queue():
    rig = await started()
    rig.create("q", chaos=Chaos(throttle=1.0))
    rig.engine.begin()
    with pytest.raises(LimitExceeded) as caught:
        rig.engine.admit(rig.engine.queue(PREFIX + "q"), "send")
    assert caught.value.limit == "chaos_throttle"


@pytest.mark.parametrize("memory_bytes_max", [0, 1 << 20])
async def test_a_look_shows_bodies_and_waits_for_what_it_tells(memory_bytes_max):
    rig = await EngineRig(memory_bytes_max=memory_bytes_max).start()
    rig.create("q.fifo", is_fifo=True)
    await rig.settle()
    send(rig, "a0")
    send(rig, "a1")
    look = rig.request(lambda e: e.browse(e.queue(PREFIX + "q.fifo"), -1, 10))
    assert look.is_waiting
    await rig.settle()
    found, after = look.value
    assert [(m.record.body, m.state, m.receives) for m in found] == [
        ("a0", "visible", 0),
        ("a1", "visible", 0),
    ]
    assert after == found[-1].number
    assert rig.request(lambda e: e.browse(e.queue(PREFIX + "q.fifo"), after, 10)).value[0] == []


# Deliveries of others


def deliver(rig: EngineRig, dead_letter: str | None = None, **parcel: Any) -> None:
    rig.engine.begin()
    dead_letter_arn = None if dead_letter is None else PREFIX + dead_letter
    effect = Deliver(PREFIX + "q.fifo", Parcel("event", RULE, **parcel), dead_letter_arn)
    rig.engine.router.route(effect)


async def test_a_delivery_with_a_group_and_an_id_arrives_once():
    rig = await started()
    for _ in range(2):
        deliver(rig, group_id="g", deduplication_id="1")
    await rig.settle()
    assert [m.record.body for m in received(rig)] == ["event"]
    assert rig.engine.router.dropped == 0


async def test_a_delivery_with_a_group_is_deduplicated_by_its_content_where_that_counts():
    rig = await started(content_deduplication=True)
    for _ in range(2):
        deliver(rig, group_id="g")
    await rig.settle()
    assert [m.record.body for m in received(await rig.crash())] == ["event"]


@pytest.mark.parametrize(
    ("parcel", "text"),
    [
        ({}, "The request must contain the parameter MessageGroupId."),
        ({"group_id": "g"}, "ContentBasedDeduplication"),
    ],
)
async def test_what_a_fifo_queue_could_not_take_goes_to_the_dead_letter_queue(parcel, text):
    rig = await started()
    rig.create("dead")
    deliver(rig, "dead", **parcel)
    await rig.settle()
    assert received(rig) == []
    (message,) = received(await rig.crash(), "dead")
    facts = decode_attributes(message.record.attributes)
    assert message.record.body == "event"
    assert facts["ERROR_CODE"].string == SDK_CLIENT_ERROR
    assert text in str(facts["ERROR_MESSAGE"].string)
    assert facts["TARGET_ARN"].string == PREFIX + "q.fifo"
    assert facts["RULE_ARN"].string == RULE


@pytest.mark.parametrize("dead_letter", [None, "gone", "q.fifo", "other.fifo"])
async def test_what_nobody_could_take_is_dropped_and_counted(dead_letter):
    """A FIFO queue can not take what a rule dead-letters either: it has no group there."""
    rig = await started()
    rig.create("other.fifo", is_fifo=True)
    deliver(rig, dead_letter)
    await rig.settle()
    assert rig.engine.router.dropped == 1
    assert rig.counts("q.fifo") == rig.counts("other.fifo") == (0, 0, 0)
    assert rig.engine.is_ready
