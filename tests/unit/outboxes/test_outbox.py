"""The outbox: attempts, backoff, exhaustion, dead letters, restarts. Time is a number."""

from __future__ import annotations

import pytest

from eventcore.attributes import decode_attributes, md5_of_attributes
from eventcore.outboxes.dead_letter import DeliveryFailure
from eventcore.outboxes.outbox import BACKOFF_MS_MAX, Outbox
from eventcore.outcome import Deliver, Mutation, Parcel
from eventcore.testing import SeededIds

TARGET = "https://example.com/hook"
RULE = "arn:aws:events:us-east-1:000000000000:rule/placed"
DEAD = "arn:aws:sqs:us-east-1:000000000000:dead"
NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000
DOWN = DeliveryFailure("INTERNAL_ERROR", "refused")


class World:
    """An outbox, its rows and the effects it caused."""

    def __init__(self, **bounds):
        self.bounds = bounds
        self.outbox = Outbox(TARGET, SeededIds(1), **bounds)
        self.rows: dict[int, bytes] = {}
        self.effects: list[Deliver] = []

    def keep(self, outcome):
        for mutation in outcome.mutations:
            assert not (mutation.is_new and mutation.key in self.rows)
            if mutation.value is None:
                self.rows.pop(mutation.key, None)
            else:
                self.rows[mutation.key] = mutation.value
        self.effects += outcome.effects
        self.outbox.check()
        return outcome.value

    def accept(self, body="{}", now_ms=NOW_MS, dead_letter_arn=DEAD, **limits):
        deliver = Deliver(TARGET, Parcel(body, RULE), dead_letter_arn, **limits)
        return self.keep(self.outbox.accept(deliver, now_ms))

    def due(self, now_ms=NOW_MS, limit=100):
        return self.keep(self.outbox.due(now_ms, limit))

    def retry(self, attempt, now_ms=NOW_MS, **options):
        self.keep(self.outbox.retry(attempt, DOWN, now_ms, **options))

    def tick(self, now_ms, limit=1_000):
        self.keep(self.outbox.tick(now_ms, limit))

    def restarted(self):
        again = World(**self.bounds)
        again.rows = dict(self.rows)
        for key in sorted(self.rows):
            again.outbox.apply(Mutation(key, self.rows[key]))
            again.outbox.apply(Mutation(key, self.rows[key]))
        again.outbox.check()
        return again

    def dead_letter(self):
        (effect,) = self.effects
        assert effect.target_arn == DEAD
        attributes = decode_attributes(effect.parcel.attributes)
        assert effect.parcel.attributes_md5 == md5_of_attributes(attributes)
        assert {value.data_type for value in attributes.values()} == {"String"}
        return {name: value.string for name, value in attributes.items()}


@pytest.fixture
def world():
    return World()


def test_deliveries_are_handed_out_once_in_the_order_they_came(world):
    for body in "abc":
        world.accept(body)
    assert [a.delivery.body for a in world.due(limit=2)] == ["a", "b"]
    assert [a.delivery.body for a in world.due()] == ["c"]
    assert world.due() == ()


def test_a_settled_delivery_leaves_no_row(world):
    world.accept()
    (attempt,) = world.due()
    world.keep(world.outbox.settle(attempt))
    assert world.rows == {}
    assert world.outbox.statistics(NOW_MS).settled == 1
    world.keep(world.outbox.settle(attempt))
    assert world.outbox.statistics(NOW_MS).settled == 1


def test_a_delivery_has_one_id_over_all_attempts_and_counts_them(world):
    world.accept()
    ids, counts, now_ms = set(), [], NOW_MS
    for _ in range(4):
        (attempt,) = world.due(now_ms)
        ids.add(attempt.delivery.id)
        counts.append(attempt.delivery.attempt)
        world.retry(attempt, now_ms)
        now_ms = world.outbox.next_deadline()
    assert len(ids) == 1
    assert counts == [1, 2, 3, 4]


def test_the_backoff_doubles_within_its_jitter_up_to_its_cap(world):
    world.accept()
    now_ms = NOW_MS
    for attempts in range(1, 20):
        (attempt,) = world.due(now_ms)
        world.retry(attempt, now_ms)
        whole = min(1_000 * 2 ** (attempts - 1), BACKOFF_MS_MAX)
        next_ms = world.outbox.next_deadline()
        assert whole // 2 <= next_ms - now_ms <= whole
        assert world.due(next_ms - 1) == ()
        now_ms = next_ms


def test_a_targets_own_wish_makes_the_pause_longer_and_never_shorter(world):
    world.accept("a")
    world.accept("b")
    a, b = world.due()
    world.retry(a, retry_after_ms=90_000)
    assert world.outbox.next_deadline() == NOW_MS + 90_000
    world.retry(b, retry_after_ms=1)
    assert world.outbox.next_deadline() >= NOW_MS + 500


def test_a_wish_beyond_the_age_ends_at_the_age(world):
    world.accept(age_ms_max=60_000)
    (attempt,) = world.due()
    world.retry(attempt, retry_after_ms=10**15)
    assert world.outbox.next_deadline() == NOW_MS + 60_000
    world.tick(NOW_MS + 60_000)
    assert world.dead_letter()["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"


def test_the_last_attempt_dead_letters_with_awss_attributes(world):
    world.accept('{"a":1}', attempts_max=2)
    (attempt,) = world.due()
    world.retry(attempt)
    (attempt,) = world.due(NOW_MS + 1_000)
    assert world.effects == []
    world.retry(attempt, NOW_MS + 1_000)
    assert world.dead_letter() == {
        "RULE_ARN": RULE,
        "TARGET_ARN": TARGET,
        "ERROR_CODE": "INTERNAL_ERROR",
        "ERROR_MESSAGE": "refused",
        "RETRY_ATTEMPTS": "1",
        "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
    }
    assert world.effects[0].parcel.body == '{"a":1}'
    assert world.rows == {}


def test_a_permanent_failure_dead_letters_at_once(world):
    world.accept()
    (attempt,) = world.due()
    world.keep(world.outbox.fail(attempt, DeliveryFailure("SDK_CLIENT_ERROR", "404")))
    attributes = world.dead_letter()
    assert attributes["ERROR_CODE"] == "SDK_CLIENT_ERROR"
    assert attributes["RETRY_ATTEMPTS"] == "0"
    assert "EXHAUSTED_RETRY_CONDITION" not in attributes


def test_without_a_dead_letter_queue_a_delivery_is_dropped_and_counted(world):
    world.accept(dead_letter_arn=None, attempts_max=1)
    (attempt,) = world.due()
    world.retry(attempt)
    assert world.effects == []
    assert world.rows == {}
    assert world.outbox.statistics(NOW_MS).dropped == 1


def test_a_delivery_that_is_too_old_is_not_attempted(world):
    world.accept(age_ms_max=60_000)
    assert world.due(NOW_MS + 60_000) == ()
    world.tick(NOW_MS + 60_000)
    assert world.dead_letter()["RETRY_ATTEMPTS"] == "0"


def test_the_error_of_the_last_attempt_explains_an_expiry(world):
    world.accept(age_ms_max=60_000)
    (attempt,) = world.due()
    world.retry(attempt, retry_after_ms=60_000)
    world.tick(NOW_MS + 60_000)
    assert world.dead_letter()["ERROR_MESSAGE"] == "refused"


def test_an_expiry_during_an_attempt_waits_for_its_end(world):
    world.accept("fails", age_ms_max=60_000)
    world.accept("succeeds", age_ms_max=60_000)
    fails, succeeds = world.due()
    world.tick(NOW_MS + 70_000)
    assert world.effects == []
    world.keep(world.outbox.settle(succeeds))
    world.retry(fails, NOW_MS + 70_000)
    assert world.dead_letter()["EXHAUSTED_RETRY_CONDITION"] == "MaximumEventAgeInSeconds"


def test_a_released_attempt_does_not_count_and_still_expires(world):
    world.accept(age_ms_max=60_000)
    (attempt,) = world.due()
    world.tick(NOW_MS + 1)
    assert world.outbox.next_deadline() is None
    world.keep(world.outbox.release(attempt))
    (attempt,) = world.due(NOW_MS + 1)
    assert attempt.delivery.attempt == 1
    world.keep(world.outbox.release(attempt))
    world.tick(NOW_MS + 60_000)
    assert len(world.effects) == 1


def test_after_a_restart_an_attempted_delivery_is_attempted_again(world):
    world.accept("first")
    world.accept("second")
    first, _ = world.due()
    world.retry(first)
    again = world.restarted()
    assert [a.delivery.body for a in again.due(NOW_MS)] == ["second"]
    (attempt,) = again.due(NOW_MS + 1_000)
    assert (attempt.delivery.id, attempt.delivery.attempt) == (first.delivery.id, 2)


def test_an_answer_for_a_delivery_of_an_earlier_life_touches_no_other(world):
    world.accept("old")
    (old,) = world.due()
    world.keep(world.outbox.settle(old))
    again = world.restarted()
    again.outbox._ids = SeededIds(2)
    assert again.accept("new") == old.number
    again.keep(again.outbox.settle(old))
    again.retry(old)
    again.keep(again.outbox.fail(old, DOWN))
    assert [a.delivery.body for a in again.due()] == ["new"]


def test_a_full_outbox_dead_letters_its_oldest():
    world = World(deliveries_max=2)
    for body in "abc":
        world.accept(body)
    assert world.dead_letter()["ERROR_CODE"] == "OUTBOX_FULL"
    assert world.effects[0].parcel.body == "a"
    assert [a.delivery.body for a in world.due()] == ["b", "c"]


def test_the_bytes_of_bodies_are_bounded_too():
    world = World(body_bytes_max=10)
    world.accept("x" * 6)
    world.accept("y" * 6)
    assert [effect.parcel.body for effect in world.effects] == ["x" * 6]
    world.accept("z" * 60)
    assert len(world.outbox) == 1


def test_the_deadline_is_the_earliest_of_readiness_and_age(world):
    assert world.outbox.next_deadline() is None
    world.accept()
    assert world.outbox.next_deadline() == NOW_MS
    world.tick(NOW_MS)
    assert world.outbox.has_ready
    assert world.outbox.next_deadline() == NOW_MS + DAY_MS
    (attempt,) = world.due()
    assert not world.outbox.has_ready
    world.keep(world.outbox.settle(attempt))
    assert world.outbox.next_deadline() is None


def test_a_tick_does_no_more_steps_than_it_may(world):
    for _ in range(5):
        world.accept(age_ms_max=60_000)
    world.tick(NOW_MS, limit=2)
    assert world.outbox.statistics(NOW_MS).ready == 2
    assert world.outbox.next_deadline() == NOW_MS
    world.tick(NOW_MS + 60_000, limit=5)
    assert len(world.effects) == 2
    world.tick(NOW_MS + 60_000, limit=5)
    assert len(world.effects) == 5


def test_heaps_do_not_outgrow_the_deliveries(world):
    world.accept()
    for _ in range(1_000):
        (attempt,) = world.due()
        world.keep(world.outbox.release(attempt))
    assert len(world.outbox._schedule) < 100
    assert len(world.outbox._expiries) < 100


def test_statistics_count_each_delivery_in_its_phase(world):
    for _ in range(3):
        world.accept("xy")
    world.tick(NOW_MS, limit=2)
    world.due(limit=1)
    statistics = world.outbox.statistics(NOW_MS + 7)
    assert statistics.attempting == 1
    assert statistics.waiting + statistics.ready == 2
    assert (statistics.oldest_age_ms, statistics.body_bytes) == (7, 6)
