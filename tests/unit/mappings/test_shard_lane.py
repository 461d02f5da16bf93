"""One lane of a shard: batches, positions, retries, discards."""

from __future__ import annotations

from typing import Any

import pytest

from eventcore.mappings.failure_record import RECORD_AGE_EXCEEDED, RETRIES_EXHAUSTED
from eventcore.mappings.mapping_spec import BatchRange, LanePosition, MappingSpec, WindowState
from eventcore.mappings.shard_lane import (
    REFUSED_PAUSE_MS_FIRST,
    REFUSED_PAUSE_MS_MAX,
    RETRY_PAUSE_MS_FIRST,
    RETRY_PAUSE_MS_MAX,
    LaneRules,
    lane_of,
    lanes_of,
)
from tests.unit.mappings.lane_rig import START_MS, LaneRig, numbers

STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"


def test_a_partition_key_has_one_lane_for_ever() -> None:
    # Positions are stored by it: another hash would hand records to lanes that passed them.
    assert [lane_of(key, 10) for key in ("", "a", "b", "customer-1", "ключ")] == [0, 7, 1, 9, 8]
    assert {lane_of(f"key-{at}", 10) for at in range(200)} == set(range(10))
    assert {lane_of(f"key-{at}", 1) for at in range(20)} == {0}


def test_tumbling_windows_are_a_whole_shards() -> None:
    spec = MappingSpec(source_arn=STREAM, function_arn=FUNCTION, parallelization=7)
    windows = MappingSpec(
        source_arn=STREAM, function_arn=FUNCTION, parallelization=7, window_ms=1_000
    )
    assert (lanes_of(spec), lanes_of(windows)) == (7, 1)
    assert LaneRules.of(windows).window_ms == 1_000


def test_batches_follow_each_other_and_move_the_position() -> None:
    rig = LaneRig(batch_size=3)
    rig.offer(7)
    batch = rig.batch()
    assert numbers(batch) == [1, 2, 3]
    assert rig.succeed(batch).position.number == 4
    batch = rig.batch()
    assert numbers(batch) == [4, 5, 6]
    assert rig.succeed(batch).position.number == 7
    batch = rig.batch()
    assert numbers(batch) == [7]
    assert rig.succeed(batch).position.number == 8
    assert rig.wait() is None


def test_the_position_passes_over_what_is_not_the_lanes() -> None:
    rig = LaneRig(batch_size=2)
    rig.offer(3, step=5)  # 1, 6, 11 of 1..15
    assert rig.succeed(rig.batch()).position.number == 11
    assert rig.succeed(rig.batch()).position.number == 16
    rig.lane.passed(500)
    assert rig.lane.idle_position().number == 500


def test_a_running_batch_holds_the_position() -> None:
    rig = LaneRig()
    rig.offer(2)
    rig.batch()
    rig.offer(2)
    assert rig.lane.idle_position().number == 1
    assert rig.lane.is_running


def test_a_restart_leaves_out_what_is_done() -> None:
    rig = LaneRig(LanePosition(0, 0, 2, 5))
    rig.next = 1
    rig.offer(8)  # another lane was behind, so the shard is read from 1 on
    assert numbers(rig.batch()) == [5, 6, 7, 8]


def test_a_batch_is_cut_at_the_size_of_an_invocation() -> None:
    rig = LaneRig(bytes_max=1_000)
    rig.offer(4, size=400)
    batch = rig.batch()
    assert numbers(batch) == [1, 2]
    rig.succeed(batch)
    assert numbers(rig.batch()) == [3, 4]


def test_one_record_is_a_batch_however_large() -> None:
    rig = LaneRig(bytes_max=1_000)
    rig.offer(1, size=5_000)
    rig.offer(1)
    assert numbers(rig.batch()) == [1]


# The batch window


def test_a_batch_window_gathers_records() -> None:
    rig = LaneRig(batch_window_ms=5_000)
    rig.offer(2)
    assert rig.wait() == 5_000
    rig.now_ms += 3_000
    rig.offer(2)
    assert rig.wait() == 2_000
    rig.now_ms += 2_000
    assert numbers(rig.batch()) == [1, 2, 3, 4]


def test_a_full_batch_does_not_wait() -> None:
    rig = LaneRig(batch_window_ms=5_000)
    rig.offer(10)
    assert numbers(rig.batch()) == list(range(1, 11))
    large = LaneRig(batch_window_ms=5_000, bytes_max=1_000)
    large.offer(3, size=400)
    assert numbers(large.batch()) == [1, 2]


def test_a_batch_that_can_not_grow_does_not_wait() -> None:
    rig = LaneRig(batch_window_ms=5_000)
    rig.offer(2)
    assert numbers(rig.batch(is_stalled=True)) == [1, 2]
    closed = LaneRig(batch_window_ms=5_000)
    closed.offer(2)
    closed.lane.end()
    assert numbers(closed.batch()) == [1, 2]


def test_a_batch_that_was_refused_does_not_wait_for_its_window_again() -> None:
    rig = LaneRig(batch_window_ms=5_000)
    rig.offer(1)
    assert rig.wait() == 5_000
    rig.now_ms += 5_000
    rig.lane.refused(rig.batch(), rig.now_ms)
    assert rig.wait() == REFUSED_PAUSE_MS_FIRST
    rig.now_ms += REFUSED_PAUSE_MS_FIRST
    batch = rig.batch()
    rig.succeed(batch)
    rig.offer(1)
    assert rig.wait() == 5_000


# Failures


def test_a_failed_batch_is_tried_again_as_it_is_after_growing_pauses() -> None:
    rig = LaneRig(batch_size=3)
    rig.offer(2)
    pause_ms = RETRY_PAUSE_MS_FIRST
    for failures in range(1, 12):
        change = rig.fail(rig.batch())
        assert change.discard is None
        assert change.position == LanePosition(
            0, 0, 1, 1, (BatchRange(1, 2, failures),), "request", rig.now_ms
        )
        rig.offer(3)  # nothing joins it
        assert rig.wait() == pause_ms
        rig.now_ms += pause_ms
        pause_ms = min(2 * pause_ms, RETRY_PAUSE_MS_MAX)
    batch = rig.batch()
    assert numbers(batch) == [1, 2]
    assert rig.succeed(batch).position.number == 3
    assert numbers(rig.batch()) == [3, 4, 5]


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_a_batch_is_discarded_after_its_retries(retries: int) -> None:
    rig = LaneRig(batch_size=3, retries_max=retries)
    rig.offer(5)
    for _ in range(retries):
        assert rig.fail(rig.batch()).discard is None
        rig.now_ms += RETRY_PAUSE_MS_MAX
    change = rig.fail(rig.batch())
    assert change.discard is not None
    assert change.discard.condition == RETRIES_EXHAUSTED
    assert change.discard.invokes == retries + 1
    assert change.discard.request_id == "request"
    assert (change.discard.first.number, change.discard.last.number) == (1, 3)
    assert change.discard.count == 3
    assert change.position.number == 4
    assert change.position.pending == ()
    assert numbers(rig.batch()) == [4, 5]  # at once


def test_the_rest_of_a_partial_failure_is_a_batch_with_a_count_of_its_own() -> None:
    # Recorded of AWS: with 3 retries a record that fails last in its batch is invoked 5 times.
    rig = LaneRig(batch_size=3, retries_max=3)
    rig.offer(6)
    rig.succeed(rig.batch())
    change = rig.progress(rig.batch(), 2)
    assert change.position.number == 6
    assert change.position.pending == (BatchRange(6, 6),)
    discard = None
    invokes = 1
    while discard is None:
        batch = rig.batch()
        assert numbers(batch) == [6]
        invokes += 1
        discard = rig.fail(batch).discard
        rig.now_ms += RETRY_PAUSE_MS_MAX
    assert (invokes, discard.invokes) == (5, 4)
    assert rig.lane.position.number == 7


def test_bisect_halves_in_order_without_pauses_or_retries() -> None:
    rig = LaneRig(batch_size=8, retries_max=1, is_bisecting=True)
    rig.offer(8)
    seen = []
    while True:
        batch = rig.batch()
        seen.append(numbers(batch))
        if 6 not in numbers(batch):
            rig.succeed(batch)
        elif len(batch.records) > 1:
            assert rig.fail(batch).discard is None
        else:
            break
    assert seen == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4], [5, 6, 7, 8], [5, 6], [5], [6]]
    assert rig.fail(batch).position == LanePosition(
        0, 0, 1, 6, (BatchRange(6, 6, 1), BatchRange(7, 8)), "request", rig.now_ms
    )
    rig.now_ms += RETRY_PAUSE_MS_MAX
    change = rig.fail(rig.batch())
    assert change.discard is not None
    assert (change.discard.count, change.discard.invokes) == (1, 2)
    assert numbers(rig.batch()) == [7, 8]


def test_bisect_and_item_failures_cut_at_the_first_failure() -> None:
    rig = LaneRig(batch_size=8, is_bisecting=True)
    rig.offer(8)
    change = rig.progress(rig.batch(), 2)
    assert change.position.pending == (BatchRange(3, 8),)
    change = rig.fail(rig.batch())  # the first of the rest: no partial success
    assert change.position.pending == (BatchRange(3, 5), BatchRange(6, 8))


def test_half_batches_have_gaps_where_other_lanes_records_are() -> None:
    rig = LaneRig(batch_size=4, is_bisecting=True)
    rig.offer(4, step=3)  # 1, 4, 7, 10
    change = rig.fail(rig.batch())
    assert change.position.pending == (BatchRange(1, 6), BatchRange(7, 10))
    assert numbers(rig.batch()) == [1, 4]


def test_what_is_too_large_is_halved_without_bisect() -> None:
    rig = LaneRig(retries_max=0)
    rig.offer(3)
    assert rig.lane.too_large(rig.batch(), "request", rig.now_ms).position.pending == (
        BatchRange(1, 1),
        BatchRange(2, 3),
    )
    change = rig.lane.too_large(rig.batch(), "request", rig.now_ms)
    assert change.discard is not None
    assert change.discard.count == 1
    assert numbers(rig.batch()) == [2, 3]


def test_what_must_never_be_invoked_is_discarded() -> None:
    rig = LaneRig()
    rig.offer(3)
    change = rig.lane.rejected(rig.batch(), "request", rig.now_ms)
    assert change.discard is not None
    assert (change.discard.count, change.discard.invokes) == (3, 1)
    assert change.position.number == 4


# What could not be invoked


def test_refusals_pause_and_are_not_counted() -> None:
    rig = LaneRig(retries_max=0)
    rig.offer(2)
    pause_ms = REFUSED_PAUSE_MS_FIRST
    for _ in range(10):
        rig.lane.refused(rig.batch(), rig.now_ms)
        assert rig.lane.position == LanePosition(0, 0, 1, 1)
        assert rig.wait() == pause_ms
        rig.now_ms += pause_ms
        pause_ms = min(2 * pause_ms, REFUSED_PAUSE_MS_MAX)
    rig.offer(1)
    assert numbers(rig.batch()) == [1, 2, 3]  # nothing was begun: the batch may grow


def test_a_refused_batch_can_be_woken() -> None:
    rig = LaneRig()
    rig.offer(1)
    rig.lane.refused(rig.batch(), rig.now_ms)
    assert rig.wait() == REFUSED_PAUSE_MS_FIRST
    rig.lane.wake()
    rig.fail(rig.batch())
    rig.lane.wake()  # a failure's pause stays
    assert rig.wait() == RETRY_PAUSE_MS_FIRST


def test_refusals_of_a_batch_that_failed_keep_its_count() -> None:
    rig = LaneRig(retries_max=1)
    rig.offer(1)
    rig.fail(rig.batch())
    rig.now_ms += RETRY_PAUSE_MS_FIRST
    rig.lane.refused(rig.batch(), rig.now_ms)
    assert rig.lane.position.pending == (BatchRange(1, 1, 1),)
    rig.now_ms += REFUSED_PAUSE_MS_FIRST
    assert rig.fail(rig.batch()).discard is not None


# Age and retention


def test_old_records_are_discarded_before_their_first_invocation() -> None:
    rig = LaneRig(age_ms_max=60_000)
    rig.offer(3, arrived_ms=START_MS - 60_001)
    rig.offer(2, arrived_ms=START_MS - 60_000)
    change = rig.change()
    assert change.discard is not None
    assert change.discard.condition == RECORD_AGE_EXCEEDED
    assert (change.discard.first.number, change.discard.count) == (1, 3)
    assert change.discard.invokes == 1  # as AWS tells it
    assert change.discard.request_id == ""
    assert change.position.number == 4
    assert numbers(rig.batch()) == [4, 5]


def test_records_that_become_too_old_between_retries_are_discarded_then() -> None:
    rig = LaneRig(age_ms_max=60_000)
    rig.offer(1, arrived_ms=START_MS - 59_900)
    rig.offer(1, arrived_ms=START_MS)
    rig.fail(rig.batch())
    assert rig.wait() == 101
    rig.now_ms += 101
    change = rig.change()
    assert change.discard is not None
    assert (change.discard.count, change.discard.invokes) == (1, 1)
    assert change.discard.request_id == "request"
    assert change.position.pending == (BatchRange(2, 2, 1),)
    assert rig.wait() == RETRY_PAUSE_MS_FIRST - 101


def test_records_age_while_the_function_is_throttled_and_while_a_batch_gathers() -> None:
    rig = LaneRig(age_ms_max=60_000)
    rig.offer(1, arrived_ms=START_MS - 59_990)
    rig.lane.refused(rig.batch(), rig.now_ms)
    assert rig.wait() == 11
    gathering = LaneRig(age_ms_max=60_000, batch_window_ms=300_000)
    gathering.offer(1)
    assert gathering.wait() == 60_001


def test_only_the_batch_that_is_tried_next_ages_before_others() -> None:
    rig = LaneRig(batch_size=2, age_ms_max=60_000, is_bisecting=True)
    rig.offer(4)
    rig.fail(rig.batch())
    rig.now_ms += 60_001
    found = [rig.change().discard for _ in range(3)]
    assert [(d.first.number, d.count) for d in found if d is not None] == [(1, 1), (2, 1), (3, 2)]
    assert rig.lane.position == LanePosition(0, 0, 1, 5, (), "request", START_MS)


def test_records_out_of_retention_are_passed_over() -> None:
    rig = LaneRig()
    rig.offer(3, arrived_ms=START_MS - 100)
    rig.offer(1)
    rig.fail(rig.batch())
    change = rig.change(horizon_ms=START_MS)
    assert change.expired == 3
    assert change.discard is None
    assert change.position.pending == (BatchRange(1, 4, 1),)
    rig.now_ms += RETRY_PAUSE_MS_FIRST
    batch = rig.batch(horizon_ms=START_MS)
    assert numbers(batch) == [4]
    assert rig.succeed(batch).position.number == 5


def test_a_pending_batch_that_was_trimmed_is_passed_over() -> None:
    position = LanePosition(0, 0, 1, 5, (BatchRange(5, 8, 3), BatchRange(9, 12)), "r", START_MS)
    rig = LaneRig(position)
    assert rig.lane.is_incomplete
    assert rig.wait() is None
    rig.next = 11
    rig.offer(4)
    batch = rig.batch()  # at once: it never failed
    assert numbers(batch) == [11, 12]
    assert batch.range.failures == 0
    rig.succeed(batch)
    assert numbers(rig.batch()) == [13, 14]


# Restart


def test_a_restart_goes_on_with_pending_batches_and_their_pauses() -> None:
    rig = LaneRig(batch_size=8, retries_max=2, is_bisecting=True)
    rig.offer(9)
    rig.fail(rig.batch())
    rig.succeed(rig.batch())
    rig.fail(rig.batch())
    rig.fail(rig.batch())
    stored = rig.fail(rig.batch()).position
    assert stored.pending == (BatchRange(5, 5, 1), BatchRange(6, 6), BatchRange(7, 8))
    again = LaneRig(stored, batch_size=8, retries_max=2, is_bisecting=True)
    again.now_ms = rig.now_ms + 200
    again.offer(5)
    assert again.wait() == RETRY_PAUSE_MS_FIRST - 200
    again.now_ms += RETRY_PAUSE_MS_FIRST - 200
    batch = again.batch()
    assert (numbers(batch), batch.range.failures) == ([5], 1)
    again.succeed(batch)
    assert numbers(again.batch()) == [6]


def test_a_clock_that_was_set_back_does_not_stretch_a_pause() -> None:
    position = LanePosition(0, 0, 1, 5, (BatchRange(5, 5, 1),), "r", START_MS + 10**9)
    rig = LaneRig(position)
    rig.offer(1)
    assert rig.wait() == RETRY_PAUSE_MS_MAX


def test_pending_batches_are_cut_by_new_settings() -> None:
    position = LanePosition(0, 0, 1, 1, (BatchRange(1, 8, 2),), "r", 0)
    rig = LaneRig(position, batch_size=3)
    rig.offer(9)
    seen = []
    for _ in range(4):
        batch = rig.batch()
        seen.append((numbers(batch), batch.range.failures))
        rig.succeed(batch)
    assert seen == [([1, 2, 3], 2), ([4, 5, 6], 0), ([7, 8], 0), ([9], 0)]


def test_a_pending_batch_of_which_the_filter_left_nothing_is_passed_over() -> None:
    position = LanePosition(0, 0, 1, 1, (BatchRange(1, 8, 2),), "r", START_MS)
    rig = LaneRig(position)
    rig.lane.passed(9)
    assert rig.wait() is None
    assert rig.lane.position == LanePosition(0, 0, 1, 9, (), "r", START_MS)


# The end of the shard


def test_a_shard_ends_when_all_of_it_is_done() -> None:
    rig = LaneRig()
    rig.offer(2)
    rig.lane.end()
    rig.fail(rig.batch())
    assert rig.wait() == RETRY_PAUSE_MS_FIRST
    rig.now_ms += RETRY_PAUSE_MS_FIRST
    assert rig.succeed(rig.batch()).position.is_end is False
    assert rig.change().position == LanePosition(0, 0, 1, 3, (), "request", START_MS, None, True)
    assert rig.wait() is None


def test_a_lane_that_has_ended_is_not_hungry_after_a_restart() -> None:
    rig = LaneRig(LanePosition(0, 0, 2, 9, is_end=True))
    assert not rig.lane.is_hungry(rig.now_ms)
    assert rig.wait() is None


# Hunger


def test_a_lane_is_hungry_while_it_could_use_more() -> None:
    rig = LaneRig(batch_size=3)
    assert rig.lane.is_hungry(rig.now_ms)
    rig.offer(2)
    assert rig.lane.is_hungry(rig.now_ms)
    rig.offer(1)
    assert not rig.lane.is_hungry(rig.now_ms)
    batch = rig.batch()
    assert not rig.lane.is_hungry(rig.now_ms)
    rig.fail(batch)
    assert not rig.lane.is_hungry(rig.now_ms), "what is behind a blocked batch can wait"
    rig.now_ms += RETRY_PAUSE_MS_FIRST
    rig.succeed(rig.batch())
    assert rig.lane.is_hungry(rig.now_ms)
    rig.lane.end()
    assert not rig.lane.is_hungry(rig.now_ms)
    assert len(rig.lane) == rig.lane.buffered_bytes == 0


# Tumbling windows


def window_rig(**changes: Any) -> LaneRig:
    rig = LaneRig(window_ms=10_000, **changes)
    assert rig.now_ms % 10_000 == 0
    return rig


def test_a_batch_ends_with_its_window_and_the_final_invocation_follows() -> None:
    rig = window_rig()
    rig.offer(2)
    rig.offer(1, arrived_ms=START_MS + 10_000)
    rig.now_ms += 10_001
    batch = rig.batch()
    assert (numbers(batch), batch.window) == ([1, 2], WindowState(START_MS))
    change = rig.succeed(batch, '{"n":2}')
    assert change.position.window == WindowState(START_MS, '{"n":2}')
    final = rig.batch()
    assert (final.records, final.is_final, final.is_early) == ([], True, False)
    assert final.window == WindowState(START_MS, '{"n":2}')
    assert rig.succeed(final).position.window is None
    batch = rig.batch()
    assert (numbers(batch), batch.window) == ([3], WindowState(START_MS + 10_000))


def test_the_state_goes_from_batch_to_batch() -> None:
    rig = window_rig(batch_size=1)
    rig.offer(3)
    for at in range(3):
        batch = rig.batch()
        assert batch.window is not None
        assert batch.window.state == ("{}" if at == 0 else f'{{"n":{at}}}')
        rig.succeed(batch, f'{{"n":{at + 1}}}')


def test_the_final_invocation_comes_when_nothing_of_the_window_can_come_any_more() -> None:
    rig = window_rig()
    rig.offer(1)
    rig.succeed(rig.batch(), "{}")
    assert rig.wait() == 10_000
    rig.now_ms += 10_000
    assert rig.wait() == 100, "records of the window may be on their way"
    rig.complete_ms = rig.now_ms
    assert rig.batch().is_final


def test_a_final_invocation_that_fails_is_tried_until_it_succeeds() -> None:
    rig = window_rig(retries_max=0, is_bisecting=True)
    rig.offer(1)
    rig.offer(1, arrived_ms=START_MS + 10_000)
    rig.succeed(rig.batch(), '{"n":1}')
    pause_ms = RETRY_PAUSE_MS_FIRST
    for _ in range(3):
        change = rig.fail(rig.batch())
        assert change.discard is None
        assert change.position.window == WindowState(START_MS, '{"n":1}')
        assert rig.wait() == pause_ms
        rig.now_ms += pause_ms
        pause_ms *= 2
    rig.succeed(rig.batch())
    assert numbers(rig.batch()) == [2]


def test_a_state_that_is_too_large_ends_the_window_early_and_it_goes_on() -> None:
    rig = window_rig(batch_size=1)
    rig.offer(2)
    large = '{"n":"' + "x" * 1_048_576 + '"}'
    rig.succeed(rig.batch(), large)
    early = rig.batch()
    assert (early.is_final, early.is_early, early.records) == (True, True, [])
    assert rig.succeed(early).position.window == WindowState(START_MS)
    batch = rig.batch()
    assert (numbers(batch), batch.window) == ([2], WindowState(START_MS))
    rig.succeed(batch, "{}")
    rig.offer(1, arrived_ms=START_MS + 10_000)
    final = rig.batch()
    assert (final.is_final, final.is_early) == (True, False)


def test_a_large_state_of_a_window_that_is_over_ends_it_once() -> None:
    rig = window_rig()
    rig.offer(1)
    rig.offer(1, arrived_ms=START_MS + 10_000)
    rig.succeed(rig.batch(), '{"n":"' + "x" * 1_048_576 + '"}')
    final = rig.batch()
    assert (final.is_final, final.is_early) == (True, False)
    rig.succeed(final)
    assert numbers(rig.batch()) == [2]


def test_a_large_state_ends_the_window_before_the_rest_of_its_batch() -> None:
    rig = window_rig()
    rig.offer(3)
    rig.progress(rig.batch(), 1, '{"n":"' + "x" * 1_048_576 + '"}')
    assert rig.batch().is_early


def test_the_state_has_a_part_in_the_size_of_an_invocation() -> None:
    rig = window_rig(bytes_max=1_000)
    rig.offer(1, size=400)
    rig.succeed(rig.batch(), '{"n":"' + "x" * 500 + '"}')
    rig.offer(3, size=200)
    assert numbers(rig.batch()) == [2, 3]


def test_a_discarded_batch_leaves_the_window_as_it_was() -> None:
    rig = window_rig(batch_size=1, retries_max=0)
    rig.offer(2)
    rig.succeed(rig.batch(), '{"n":1}')
    change = rig.fail(rig.batch())
    assert change.discard is not None
    assert change.position.window == WindowState(START_MS, '{"n":1}')


def test_a_partial_failure_takes_the_state_over() -> None:
    rig = window_rig()
    rig.offer(3)
    rig.progress(rig.batch(), 1, '{"n":1}')
    batch = rig.batch()
    assert (numbers(batch), batch.window) == ([2, 3], WindowState(START_MS, '{"n":1}'))


def test_the_shards_end_ends_the_window() -> None:
    rig = window_rig()
    rig.offer(1)
    rig.lane.end()
    rig.succeed(rig.batch(), '{"n":1}')
    final = rig.batch()
    assert (final.is_final, final.is_early) == (True, False)
    rig.succeed(final)
    assert rig.change().position.is_end


def test_a_batch_window_ends_with_the_tumbling_window() -> None:
    rig = window_rig(batch_window_ms=60_000)
    rig.offer(1)
    assert rig.wait() == 10_000
    rig.now_ms += 10_000
    rig.complete_ms = rig.now_ms
    assert numbers(rig.batch()) == [1]


def test_an_open_window_comes_back_after_a_restart() -> None:
    rig = window_rig(batch_size=1)
    rig.offer(2)
    stored = rig.succeed(rig.batch(), '{"n":1}').position
    again = LaneRig(stored, window_ms=10_000)
    again.offer(1)
    batch = again.batch()
    assert (numbers(batch), batch.window) == ([2], WindowState(START_MS, '{"n":1}'))


def test_without_tumbling_windows_an_open_one_is_forgotten() -> None:
    rig = LaneRig(LanePosition(0, 0, 1, 4, window=WindowState(START_MS, '{"n":1}')))
    rig.offer(1)
    assert rig.batch().window is None
