"""Asynchronous invocations: attempts, retries, throttles, ages, ends, memory, restarts. Time is a
number.
"""

from __future__ import annotations

import msgspec
import pytest

from eventcore import limits
from eventcore.codec import decode_json
from eventcore.errors import InvalidParameter, LimitExceeded, NotFound
from eventcore.functions import async_events
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function_spec import FunctionConfig
from eventcore.functions.invocation import InvocationResult, Payload
from eventcore.outcome import Parcel
from tests.unit.functions.function_rig import (
    CONFIG,
    DEAD,
    FAILED,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    QUEUE,
    FunctionRig,
    attributes_of,
)


@pytest.fixture
def rig():
    return FunctionRig()


@pytest.fixture
def dead_rig():
    """A function with a dead-letter queue."""
    return FunctionRig(msgspec.structs.replace(CONFIG, dead_letter_arn=DEAD))


def accept(rig, body, now_ms=NOW_MS, **options):
    rig.keep(rig.function.accept(Parcel(body, "arn:rule"), now_ms, **options))


def payloads(rig, attempts):
    return [rig.event_of(attempt).payload for attempt in attempts]


def statistics(rig, now_ms=NOW_MS):
    return rig.function.statistics(now_ms)


# In and out


def test_events_are_handed_out_once_in_the_order_they_came(rig):
    assert not rig.function.has_ready
    for payload in "123":
        rig.enqueue(payload)
    assert rig.function.has_ready
    assert payloads(rig, rig.due(limit=2)) == ["1", "2"]
    assert payloads(rig, rig.due()) == ["3"]
    assert rig.due() == ()
    assert not rig.function.has_ready


def test_an_event_is_handed_out_as_it_was_asked_for(rig):
    request_id = rig.enqueue('{"a": 1.0}', trace_header="Root=1", client_context='{"c":1}')
    (attempt,) = rig.due(NOW_MS + 5)
    assert (attempt.request_id, attempt.accepted_ms, attempt.invokes) == (request_id, NOW_MS, 0)
    assert attempt.event == AsyncEvent('{"a": 1.0}', None, "Root=1", '{"c":1}')
    assert attempt.condition is None
    assert len(request_id) == 36


def test_success_leaves_no_row_and_counts(rig):
    rig.enqueue()
    (attempt,) = rig.due()
    rig.succeed(attempt)
    assert rig.event_rows() == 0
    assert rig.effects == []
    assert statistics(rig).succeeded == 1


def test_a_second_report_of_the_same_attempt_does_nothing(rig):
    rig.enqueue()
    (attempt,) = rig.due()
    event = attempt.event
    rig.succeed(attempt)
    function = rig.function
    for outcome in (
        function.succeed(attempt, event, FAILED, NOW_MS),
        function.fail(attempt, event, FAILED, NOW_MS),
        function.throttle(attempt, NOW_MS),
        function.discard(attempt, event, "x", NOW_MS),
        function.release(attempt),
    ):
        assert (outcome.mutations, outcome.effects) == ((), ())
    assert statistics(rig).succeeded == 1


@pytest.mark.parametrize("payload", ["", "{", "nope", "NaN", '"\ud800"', '{"a":1} x'])
def test_a_payload_that_is_not_json_is_refused(rig, payload):
    with pytest.raises(InvalidParameter) as caught:
        rig.function.enqueue(AsyncEvent(payload), NOW_MS)
    assert caught.value.name == "payload"
    assert rig.event_rows() == 0


def test_texts_that_no_row_can_hold_are_refused(rig):
    with pytest.raises(InvalidParameter):
        rig.function.enqueue(AsyncEvent("1", None, "\ud800"), NOW_MS)
    assert not rig.function.has_ready


def test_a_payload_is_bounded(rig):
    most = limits.INVOKE_LATER_BYTES_MAX
    rig.enqueue('"' + "x" * (most - 2) + '"')
    with pytest.raises(LimitExceeded) as caught:
        rig.function.enqueue(AsyncEvent('"' + "é" * (most // 2) + '"'), NOW_MS)
    assert caught.value.limit == "invoke_later_bytes_max"


def test_a_qualifier_must_mean_something(rig):
    with pytest.raises(NotFound):
        rig.function.enqueue(AsyncEvent("1", "live"), NOW_MS)
    assert rig.event_rows() == 0


def test_what_other_machines_deliver_is_taken_whatever_it_is(rig):
    accept(rig, '{"detail":1}')
    accept(rig, "no JSON", qualifier="gone")
    rig.keep(rig.function.accept(Parcel("1", "arn:rule", trace_header="Root=1"), NOW_MS))
    attempts = rig.due()
    assert payloads(rig, attempts) == ['{"detail":1}', '"no JSON"', "1"]
    assert [attempt.event.qualifier for attempt in attempts] == [None, "gone", None]
    assert [attempt.event.trace_header for attempt in attempts] == ["", "", "Root=1"]


# Failures


def test_a_failed_event_is_tried_again_after_one_and_two_minutes(rig):
    rig.enqueue("7")
    (attempt,) = rig.due()
    now_ms = NOW_MS + 500
    for pause_ms, invokes in ((MINUTE_MS, 1), (2 * MINUTE_MS, 2)):
        rig.fail(attempt, now_ms)
        assert rig.function.next_deadline() == now_ms + pause_ms
        assert rig.due(now_ms + pause_ms - 1) == ()
        now_ms += pause_ms
        (attempt,) = rig.due(now_ms)
        assert attempt.invokes == invokes
    rig.fail(attempt, now_ms)
    assert rig.event_rows() == 0
    assert statistics(rig).dropped == 1


def test_the_last_failure_goes_to_the_destination(rig):
    rig.configure(retries_max=0, on_failure=QUEUE)
    request_id = rig.enqueue('{"a": 1.0}')
    (attempt,) = rig.due()
    rig.fail(attempt, NOW_MS + 1)
    document = rig.record()
    assert document["requestContext"]["requestId"] == request_id
    assert document["requestContext"]["condition"] == "RetriesExhausted"
    assert document["requestContext"]["approximateInvokeCount"] == 1
    assert document["responsePayload"] == {"errorMessage": "too small", "errorType": "ValueError"}
    assert rig.event_rows() == 0
    assert (statistics(rig).failed, statistics(rig).dropped) == (1, 0)


def test_success_goes_to_its_destination_with_all_invocations_counted(rig):
    rig.configure(on_success=QUEUE)
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt)
    (attempt,) = rig.due(NOW_MS + MINUTE_MS)
    assert rig.effects == []
    rig.succeed(attempt, NOW_MS + MINUTE_MS)
    document = rig.record()
    assert document["requestContext"]["condition"] == "Success"
    assert document["requestContext"]["approximateInvokeCount"] == 2
    assert document["responsePayload"] == {"ok": True}


def test_the_dead_letter_queue_gets_the_event_and_the_reason(dead_rig):
    rig = dead_rig
    rig.configure(retries_max=0, on_failure=QUEUE)
    request_id = rig.enqueue('{"a": 1.0}')
    (attempt,) = rig.due()
    rig.fail(attempt)
    record, dead = rig.effects
    assert (record.target_arn, dead.target_arn) == (QUEUE, DEAD)
    assert dead.parcel.body == '{"a": 1.0}'
    assert attributes_of(dead) == {
        "RequestID": ("String", request_id),
        "ErrorCode": ("Number", "200"),
        "ErrorMessage": ("String", "too small"),
    }


def test_the_dead_letter_queue_is_that_of_the_version_that_ran(dead_rig):
    rig = dead_rig
    rig.keep(rig.function.publish(NOW_MS))
    rig.keep(rig.function.update_config(FunctionConfig(dead_letter_arn=None), NOW_MS))
    rig.keep(rig.function.put_alias("live", "1", is_new=True))
    for qualifier in ("1", "live"):
        rig.configure(qualifier, retries_max=0)
        rig.enqueue(qualifier=qualifier)
        (attempt,) = rig.due()
        rig.fail(attempt, result=InvocationResult(FAILED.payload, "Unhandled", "1"))
        assert rig.effects.pop().target_arn == DEAD
    rig.configure(retries_max=0)
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt)
    assert rig.effects == []


def test_an_event_for_a_qualifier_that_is_gone_ends_where_latest_says(dead_rig):
    accept(dead_rig, "1", qualifier="gone")
    (attempt,) = dead_rig.due()
    dead_rig.discard(attempt, "ResourceNotFound")
    (dead,) = dead_rig.effects
    assert attributes_of(dead)["ErrorCode"] == ("Number", "404")
    assert dead_rig.event_rows() == 0


def test_settings_are_those_of_the_events_qualifier(rig):
    rig.keep(rig.function.publish(NOW_MS))
    rig.keep(rig.function.put_alias("live", "1", is_new=True))
    rig.configure("live", retries_max=0, on_failure=QUEUE)
    rig.enqueue("1")
    rig.enqueue("2", qualifier="live")
    rig.enqueue("3", qualifier="$LATEST")
    for attempt in rig.due():
        rig.fail(attempt)
    assert rig.record()["requestPayload"] == 2
    assert rig.record()["requestContext"]["functionArn"].endswith(":resize:live")
    assert statistics(rig).waiting == 2


def test_new_settings_hold_for_what_waits_already(rig):
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt)
    rig.configure(retries_max=1, on_failure=QUEUE)
    (attempt,) = rig.due(NOW_MS + MINUTE_MS)
    rig.fail(attempt, NOW_MS + MINUTE_MS)
    assert rig.record()["requestContext"]["approximateInvokeCount"] == 2


@pytest.mark.parametrize(
    "payload",
    [
        Payload(b"\xff\xfe"),
        Payload(b"not json"),
        Payload(b'"a text"'),
        Payload.of(object()),
        Payload.of({1, 2}),
        Payload.of([[[]]]),
    ],
)
def test_a_result_that_is_garbage_ends_like_any_other(dead_rig, payload):
    rig = dead_rig
    rig.configure(retries_max=0, on_failure=QUEUE, on_success=QUEUE)
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt, result=InvocationResult(payload, "Unhandled", "nonsense"))
    assert decode_json(rig.effects[0].parcel.body)["requestPayload"] == {}
    assert attributes_of(rig.effects[1])["ErrorMessage"] == ("String", "Unhandled")
    rig.enqueue()
    (attempt,) = rig.due()
    rig.succeed(attempt, result=InvocationResult(payload))
    assert decode_json(rig.effects[2].parcel.body)["requestContext"]["condition"] == "Success"


def test_an_error_of_any_length_and_any_characters_can_wait(rig):
    rig.enqueue()
    (attempt,) = rig.due()
    payload = Payload.of({"errorMessage": "é" * 100_000, "errorType": "E"})
    rig.fail(attempt, result=InvocationResult(payload, "Unhandled", "$LATEST"))
    assert sum(len(value) for key, value in rig.rows.items() if key >> 48 == 7) < 1_000


# Age


def test_an_event_ends_at_its_age(rig):
    rig.configure(age_ms_max=MINUTE_MS, on_failure=QUEUE)
    rig.enqueue()
    assert rig.function.next_deadline() == NOW_MS + MINUTE_MS
    rig.tick(NOW_MS + MINUTE_MS - 1)
    assert rig.effects == []
    rig.tick(NOW_MS + MINUTE_MS)
    document = rig.record()
    assert document["requestContext"]["condition"] == "EventAgeExceeded"
    assert document["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in document
    assert "responsePayload" not in document
    assert rig.function.next_deadline() is None


def test_without_settings_an_event_ends_after_six_hours(rig):
    rig.enqueue()
    assert rig.function.next_deadline() == NOW_MS + 6 * HOUR_MS
    rig.tick(NOW_MS + 6 * HOUR_MS)
    assert statistics(rig).dropped == 1


def test_an_event_whose_retry_would_be_too_late_ends_at_its_failure(rig):
    rig.configure(age_ms_max=90_000, on_failure=QUEUE)
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt, NOW_MS + 1)
    (attempt,) = rig.due(NOW_MS + MINUTE_MS + 1)
    rig.fail(attempt, NOW_MS + MINUTE_MS + 2)
    document = rig.record()
    assert document["requestContext"]["condition"] == "EventAgeExceeded"
    assert document["requestContext"]["approximateInvokeCount"] == 2
    assert document["responseContext"]["functionError"] == "Unhandled"


def test_a_retry_at_the_age_itself_is_too_late(rig):
    rig.configure(age_ms_max=MINUTE_MS, on_failure=QUEUE)
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt)
    document = rig.record()
    assert document["requestContext"]["condition"] == "EventAgeExceeded"
    assert document["requestContext"]["approximateInvokeCount"] == 1


def test_an_event_that_becomes_too_old_during_its_attempt_waits_for_the_end(rig):
    rig.configure(age_ms_max=MINUTE_MS, on_failure=QUEUE)
    rig.enqueue("1")
    rig.enqueue("2")
    succeeds, fails = rig.due()
    rig.tick(NOW_MS + HOUR_MS)
    assert rig.effects == []
    assert rig.function.next_deadline() is None
    rig.succeed(succeeds, NOW_MS + HOUR_MS)
    rig.fail(fails, NOW_MS + HOUR_MS)
    assert rig.record()["requestPayload"] == 2


def test_an_event_that_is_found_too_old_is_not_handed_out(rig):
    rig.configure(age_ms_max=MINUTE_MS, on_failure=QUEUE)
    rig.enqueue("1")
    rig.enqueue("2", NOW_MS + 1)
    assert payloads(rig, rig.due(NOW_MS + MINUTE_MS)) == ["2"]
    assert rig.record()["requestContext"]["condition"] == "EventAgeExceeded"


def test_a_shorter_age_ends_what_waits(rig):
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt)
    rig.configure(age_ms_max=MINUTE_MS, on_failure=QUEUE)
    assert rig.function.next_deadline() == NOW_MS + MINUTE_MS
    rig.tick(NOW_MS + MINUTE_MS)
    document = rig.record()
    assert document["requestContext"]["approximateInvokeCount"] == 1
    assert document["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert "responsePayload" not in document


def test_each_qualifier_has_an_age_of_its_own(rig):
    rig.keep(rig.function.publish(NOW_MS))
    rig.configure("1", age_ms_max=MINUTE_MS)
    rig.enqueue("1")
    rig.enqueue("2", qualifier="1")
    assert rig.function.next_deadline() == NOW_MS + MINUTE_MS
    rig.tick(NOW_MS + MINUTE_MS)
    assert payloads(rig, rig.due(NOW_MS + MINUTE_MS)) == ["1"]


def test_a_tick_does_no_more_steps_than_it_may(rig):
    rig.configure(age_ms_max=MINUTE_MS)
    for _ in range(5):
        rig.enqueue()
    rig.tick(NOW_MS + MINUTE_MS, limit=2)
    assert statistics(rig).dropped == 2
    assert rig.function.next_deadline() == NOW_MS + MINUTE_MS
    rig.tick(NOW_MS + MINUTE_MS, limit=5)
    assert statistics(rig).dropped == 5


# Throttles


def test_a_throttled_event_waits_longer_each_time_and_does_not_count(rig):
    rig.enqueue()
    now_ms = NOW_MS
    for throttles in range(1, 14):
        (attempt,) = rig.due(now_ms)
        assert attempt.invokes == 0
        outcome = rig.function.throttle(attempt, now_ms)
        assert outcome.mutations == ()
        rig.keep(outcome)
        whole = min(1_000 * 2 ** (throttles - 1), 300_000)
        next_ms = rig.function.next_deadline()
        assert whole // 2 <= next_ms - now_ms <= whole
        assert rig.due(next_ms - 1) == ()
        now_ms = next_ms
    assert statistics(rig).throttled == 13


def test_a_throttled_event_ends_at_its_age(dead_rig):
    rig = dead_rig
    rig.configure(age_ms_max=MINUTE_MS)
    rig.enqueue()
    (attempt,) = rig.due(NOW_MS + MINUTE_MS - 1)
    rig.keep(rig.function.throttle(attempt, NOW_MS + MINUTE_MS - 1))
    assert rig.function.next_deadline() == NOW_MS + MINUTE_MS
    rig.tick(NOW_MS + MINUTE_MS)
    (dead,) = rig.effects
    assert attributes_of(dead)["ErrorCode"] == ("Number", "429")
    assert attributes_of(dead)["ErrorMessage"] == ("String", "EventAgeExceeded")


def test_a_throttle_that_comes_after_the_age_ends_the_event(rig):
    rig.configure(age_ms_max=MINUTE_MS, on_failure=QUEUE)
    rig.enqueue()
    (attempt,) = rig.due()
    rig.keep(rig.function.throttle(attempt, NOW_MS + HOUR_MS))
    assert rig.record()["requestContext"]["condition"] == "EventAgeExceeded"
    assert statistics(rig).attempting == 0


def test_a_failure_starts_the_throttles_anew(rig):
    rig.enqueue()
    now_ms = NOW_MS
    for _ in range(8):
        (attempt,) = rig.due(now_ms)
        rig.keep(rig.function.throttle(attempt, now_ms))
        now_ms = rig.function.next_deadline()
    (attempt,) = rig.due(now_ms)
    rig.fail(attempt, now_ms)
    now_ms += MINUTE_MS
    (attempt,) = rig.due(now_ms)
    rig.keep(rig.function.throttle(attempt, now_ms))
    assert rig.function.next_deadline() - now_ms <= 1_000


def test_a_throttled_retry_stays_a_retry(rig):
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt)
    (attempt,) = rig.due(NOW_MS + MINUTE_MS)
    rig.keep(rig.function.throttle(attempt, NOW_MS + MINUTE_MS))
    (attempt,) = rig.due(NOW_MS + MINUTE_MS + 1_000)
    assert attempt.invokes == 1


# Release and discard


def test_a_released_event_is_the_next_and_its_attempt_does_not_count(rig):
    for payload in "12":
        rig.enqueue(payload)
    (first,) = rig.due(limit=1)
    rig.keep(rig.function.release(first))
    attempts = rig.due()
    assert payloads(rig, attempts) == ["1", "2"]
    assert attempts[0].invokes == 0


def test_a_released_event_ends_at_its_age(rig):
    rig.configure(age_ms_max=MINUTE_MS)
    rig.enqueue()
    (attempt,) = rig.due()
    rig.tick(NOW_MS + 1)
    assert rig.function.next_deadline() is None
    rig.keep(rig.function.release(attempt))
    assert rig.function.next_deadline() == NOW_MS + MINUTE_MS


def test_a_discarded_event_ends_with_its_condition(dead_rig):
    rig = dead_rig
    rig.configure(on_failure=QUEUE)
    rig.enqueue("5")
    (attempt,) = rig.due()
    rig.discard(attempt, "RecursiveInvocation")
    record, dead = rig.effects
    document = decode_json(record.parcel.body)
    assert document["requestContext"]["condition"] == "RecursiveInvocation"
    assert document["requestContext"]["approximateInvokeCount"] == 0
    assert attributes_of(dead)["ErrorCode"] == ("Number", "400")
    assert rig.event_rows() == 0


# Bounds


def test_a_full_queue_refuses_a_caller():
    rig = FunctionRig(events_max=2)
    rig.enqueue()
    rig.enqueue()
    with pytest.raises(LimitExceeded) as caught:
        rig.function.enqueue(AsyncEvent("1"), NOW_MS)
    assert (caught.value.limit, caught.value.value) == ("async_events_max", 2)
    assert rig.event_rows() == 2


def test_a_full_queue_gives_up_its_oldest_for_what_is_delivered():
    rig = FunctionRig(events_max=2)
    rig.configure(on_failure=QUEUE)
    for payload in "123":
        accept(rig, payload)
    document = rig.record()
    assert document["requestPayload"] == 1
    assert document["requestContext"]["condition"] == "QueueFull"
    assert payloads(rig, rig.due()) == ["2", "3"]


def test_a_full_queue_gives_up_none_that_is_being_attempted():
    rig = FunctionRig(events_max=2)
    rig.configure(on_failure=QUEUE)
    for payload in "12":
        accept(rig, payload)
    rig.due(limit=1)
    accept(rig, "3")
    assert rig.record()["requestPayload"] == 2
    rig.effects.clear()
    rig.due()
    accept(rig, "4")
    assert rig.record()["requestPayload"] == 4
    assert rig.event_rows() == 2


def test_the_oldest_is_the_oldest_of_all_qualifiers():
    rig = FunctionRig(events_max=3)
    rig.configure(on_failure=QUEUE)
    accept(rig, "1", qualifier="b")
    accept(rig, "2", qualifier="a")
    accept(rig, "3")
    accept(rig, "4")
    accept(rig, "5")
    accept(rig, "6")
    assert [rig.event_of(attempt).payload for attempt in rig.due()] == ["4", "5", "6"]
    assert rig.record()["requestPayload"] == 3
    assert statistics(rig).dropped == 2


def test_the_oldest_is_found_behind_one_that_is_being_attempted():
    rig = FunctionRig(events_max=3)
    accept(rig, "1", qualifier="b")
    accept(rig, "2", qualifier="a")
    accept(rig, "3", qualifier="b")
    rig.due(limit=1)
    accept(rig, "4")
    assert payloads(rig, rig.due()) == ["3", "4"]


def test_rows_beyond_the_memory_are_read_back():
    rig = FunctionRig(memory_bytes_max=200)
    texts = [f'"{letter * 80}"' for letter in "abc"]
    for text in texts:
        rig.enqueue(text)
    attempts = rig.due()
    assert [attempt.event is None for attempt in attempts] == [False, True, True]
    assert payloads(rig, attempts) == texts
    for attempt in attempts:
        rig.succeed(attempt)
    rig.enqueue(texts[0])
    assert rig.due()[0].event is not None


def test_after_a_restart_the_memory_is_bounded_too():
    rig = FunctionRig(memory_bytes_max=200)
    for _ in range(4):
        rig.enqueue('"' + "x" * 80 + '"')
    attempts = rig.restarted().due()
    assert [attempt.event is None for attempt in attempts] == [False, True, True, True]


def spilled_rig(**bounds):
    rig = FunctionRig(memory_bytes_max=0, **bounds)
    rig.configure(age_ms_max=MINUTE_MS, on_failure=QUEUE)
    return rig


def test_an_event_that_is_not_in_memory_is_handed_out_to_end():
    rig = spilled_rig()
    rig.enqueue("1")
    rig.tick(NOW_MS + MINUTE_MS)
    assert rig.effects == []
    assert rig.function.has_ready
    assert rig.function.next_deadline() is None
    (attempt,) = rig.due(NOW_MS + MINUTE_MS)
    assert (attempt.event, attempt.condition) == (None, "EventAgeExceeded")
    rig.discard(attempt, attempt.condition, NOW_MS + MINUTE_MS)
    assert rig.record()["requestPayload"] == 1
    assert rig.event_rows() == 0


def test_an_event_that_is_not_in_memory_and_ends_nowhere_is_dropped_at_once():
    rig = FunctionRig(memory_bytes_max=0)
    rig.enqueue()
    rig.tick(NOW_MS + 6 * HOUR_MS)
    assert (rig.event_rows(), statistics(rig).dropped) == (0, 1)


def test_a_doomed_event_that_is_given_back_stays_doomed():
    rig = spilled_rig()
    rig.enqueue("1")
    now_ms = NOW_MS + MINUTE_MS
    for give_back in (rig.function.release, lambda a: rig.function.throttle(a, now_ms)):
        (attempt,) = rig.due(now_ms)
        assert attempt.condition == "EventAgeExceeded"
        rig.keep(give_back(attempt))
        assert rig.function.has_ready
    assert len(rig.due(now_ms)) == 1


def test_a_doomed_event_that_was_invoked_all_the_same_ends_as_it_did():
    rig = spilled_rig()
    rig.enqueue("1")
    rig.enqueue("2")
    now_ms = NOW_MS + MINUTE_MS
    rig.tick(now_ms)
    fails, succeeds = rig.due(now_ms)
    rig.fail(fails, now_ms)
    rig.succeed(succeeds, now_ms)
    assert rig.record()["requestContext"]["condition"] == "EventAgeExceeded"
    assert statistics(rig).succeeded == 1
    assert rig.event_rows() == 0


def test_a_full_queue_dooms_an_oldest_that_is_not_in_memory():
    rig = spilled_rig(events_max=1)
    accept(rig, "1")
    accept(rig, "2")
    assert rig.effects == []
    with pytest.raises(LimitExceeded):
        rig.function.enqueue(AsyncEvent("3"), NOW_MS)
    doomed, fresh = rig.due()
    assert (doomed.condition, fresh.condition) == ("QueueFull", None)
    rig.discard(doomed, doomed.condition)
    assert rig.record()["requestPayload"] == 1


def test_a_doomed_event_takes_no_place():
    rig = spilled_rig(events_max=2)
    for payload in "123":
        accept(rig, payload)
    _, second, _ = rig.due()
    rig.succeed(second)
    rig.enqueue("4")
    with pytest.raises(LimitExceeded):
        rig.function.enqueue(AsyncEvent("5"), NOW_MS)
    assert rig.event_rows() == 3


def test_doomed_events_are_bounded(monkeypatch):
    monkeypatch.setattr(async_events, "DOOMED_MAX", 1)
    rig = spilled_rig(events_max=1)
    for payload in "123":
        accept(rig, payload)
    assert rig.record()["requestPayload"] == 3
    assert rig.record()["requestContext"]["condition"] == "QueueFull"
    assert rig.event_rows() == 2


# Restarts


def test_after_a_restart_what_was_attempted_is_ready_again(rig):
    for payload in "123":
        rig.enqueue(payload)
    first, second, _ = rig.due()
    rig.fail(first)
    rig.keep(rig.function.throttle(second, NOW_MS))
    again = rig.restarted()
    assert again.function.has_ready
    assert payloads(again, again.due(NOW_MS)) == ["2", "3"]
    (attempt,) = again.due(NOW_MS + MINUTE_MS)
    assert (attempt.request_id, attempt.invokes) == (first.request_id, 1)


def test_after_a_restart_ages_and_retries_go_on(rig):
    rig.configure(age_ms_max=2 * MINUTE_MS, on_failure=QUEUE)
    rig.enqueue()
    (attempt,) = rig.due()
    rig.fail(attempt)
    again = rig.restarted()
    assert again.function.next_deadline() == NOW_MS + MINUTE_MS
    (attempt,) = again.due(NOW_MS + MINUTE_MS)
    again.fail(attempt, NOW_MS + MINUTE_MS)
    assert again.record()["requestContext"]["approximateInvokeCount"] == 2


def test_a_report_of_an_earlier_life_touches_no_other_event(rig):
    rig.enqueue("1")
    (old,) = rig.due()
    event = old.event
    rig.succeed(old)
    again = rig.restarted()
    again.enqueue("2")
    (new,) = again.due()
    assert new.number == old.number
    again.keep(again.function.fail(old, event, FAILED, NOW_MS))
    again.keep(again.function.release(old))
    assert statistics(again).attempting == 1


# Structures


def test_heaps_do_not_outgrow_the_events(rig):
    rig.enqueue("0")
    (stays,) = rig.due()
    rig.keep(rig.function.throttle(stays, NOW_MS))
    events = rig.function._events
    for number in range(500):
        rig.function.enqueue(AsyncEvent(str(number)), NOW_MS)
        (attempt,) = rig.function.due(NOW_MS, 1).value
        rig.function.throttle(attempt, NOW_MS)
        rig.function.check()
        rig.function.succeed(attempt, attempt.event, FAILED, NOW_MS)
        assert len(events._lanes[None].numbers) < 100
        assert len(events._schedule) < 100
    assert len(events) == 1


def test_statistics_count_each_event_in_its_phase(rig):
    for _ in range(4):
        rig.enqueue()
    fails, _ = rig.due(limit=2)
    rig.fail(fails)
    found = statistics(rig, NOW_MS + 7)
    assert (found.waiting, found.ready, found.attempting, found.oldest_age_ms) == (1, 2, 1, 7)
    assert statistics(FunctionRig()).oldest_age_ms == 0
