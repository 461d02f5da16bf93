"""CREATING, ACTIVE, UPDATING, DELETING, and the settings that lead through them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from eventcore.errors import Conflict, InvalidParameter, LimitExceeded, NotFound
from eventcore.limits import Quotas
from eventcore.streams.account import StreamAccount
from eventcore.streams.records import TRANSITIONS
from eventcore.streams.stream_spec import StreamSpec
from tests.unit.streams.stream_rig import DAY_MS, StreamRig, durable_state

SLOW = Quotas(stream_transition_ms=500)


def change(rig: StreamRig, **settings: Any) -> None:
    spec = msgspec.structs.replace(rig.stream.spec, **settings)
    rig.stage(rig.stream.set_spec(spec, rig.now_ms))


def test_without_the_quota_every_status_ends_at_once():
    rig = StreamRig(2)
    assert rig.status == "ACTIVE" and rig.stream.due_ms == 0
    change(rig, retention_ms=2 * DAY_MS)
    rig.count(4)
    assert rig.status == "ACTIVE" and rig.stream.due_ms == 0


def test_creating_takes_its_time_and_survives_a_restart():
    rig = StreamRig(2, SLOW)
    for _ in range(2):
        assert rig.status == "CREATING"
        assert rig.stream.next_deadline() == rig.now_ms + 500
        assert rig.stream.shards(rig.now_ms) == [] and rig.stream.open_shards == 0
        with pytest.raises(NotFound):
            rig.put("k")
        with pytest.raises(Conflict, match="not ACTIVE, instead in state CREATING"):
            rig.count(1)
        rig.restart()
    rig.advance(499)
    assert rig.status == "CREATING"
    rig.advance(1)
    assert rig.status == "ACTIVE" and rig.stream.open_shards == 2


def test_updating_takes_records_and_no_other_change():
    rig = StreamRig(1, SLOW)
    rig.advance(500)
    change(rig, record_bytes_max=2 << 20)
    assert rig.status == "UPDATING"
    rig.put("k")
    with pytest.raises(Conflict):
        change(rig, record_bytes_max=3 << 20)
    spec = msgspec.structs.replace(rig.stream.spec, tags={"a": "b"})
    rig.stage(rig.stream.describe_as(spec))
    rig.restart()
    rig.advance(500)
    assert rig.status == "ACTIVE"
    assert rig.stream.spec == StreamSpec(record_bytes_max=2 << 20, tags={"a": "b"})


@pytest.mark.parametrize("wait_ms", [0, 500, 700])
def test_a_deletion_begins_in_any_status_and_ends_it(wait_ms):
    rig = StreamRig(1, SLOW)
    rig.advance(wait_ms)
    if wait_ms == 700:
        change(rig, record_bytes_max=2 << 20)
    rig.stage(rig.stream.start_deletion(rig.now_ms + 500))
    assert rig.status == "DELETING" and rig.stream.due_ms == rig.now_ms + 500
    with pytest.raises(NotFound):
        rig.put("k")
    with pytest.raises(Conflict):
        rig.stream.require("ACTIVE", "UPDATING")
    rig.advance(5_000)
    assert rig.reloaded().status == "DELETING", "whoever called it drops it"


def test_the_table_of_statuses_leads_nowhere_from_deleting():
    assert all(status != "DELETING" for status, _ in TRANSITIONS)
    assert {"CREATING", "ACTIVE", "UPDATING"} == {status for status, _ in TRANSITIONS}


@pytest.mark.parametrize(
    "settings",
    [
        {"retention_ms": DAY_MS - 1},
        {"retention_ms": 365 * DAY_MS + 1},
        {"record_bytes_max": (1 << 20) - 1},
        {"record_bytes_max": (10 << 20) + 1},
        {"mode": "BEST"},
        {"tags": {str(at): "" for at in range(201)}},
    ],
)
def test_settings_out_of_range_change_nothing(settings):
    rig = StreamRig()
    before = durable_state(rig.stream)
    with pytest.raises(InvalidParameter):
        change(rig, **settings)
    assert durable_state(rig.stream) == before


@pytest.mark.parametrize(
    ("most", "values"),
    [
        (2, [{"mode": "ON_DEMAND"}, {"mode": "PROVISIONED"}]),
        (25, [{"encryption_key": "a"}, {"encryption_key": "b"}]),
    ],
)
def test_changes_of_mode_and_encryption_are_counted_over_a_day(most, values):
    rig = StreamRig(4, Quotas(stream_updates_per_day=10))
    for at in range(most):
        change(rig, **values[at % 2])
        rig.now_ms += 1_000
    with pytest.raises(LimitExceeded):
        change(rig, **values[most % 2])
    rig.restart()
    rig.now_ms += DAY_MS - 1_000 * most
    change(rig, **values[most % 2])
    with pytest.raises(LimitExceeded):
        change(rig, **values[(most + 1) % 2])


def test_without_the_quota_the_times_of_changes_stay_few():
    rig = StreamRig(4)
    for at in range(60):
        change(rig, encryption_key=f"k{at}")
        rig.count(3 + at % 2)
    assert len(rig.stream._record.encryption_updates) <= 25
    assert len(rig.stream._record.count_updates) <= 10


def test_warm_throughput_makes_the_shards_for_it():
    rig = StreamRig(4, spec=StreamSpec(mode="ON_DEMAND"))
    change(rig, warm_mib_per_s=11)
    assert rig.stream.open_shards == 11
    change(rig, warm_mib_per_s=5)
    assert rig.stream.open_shards == 11


def test_an_account_commits_itself_for_a_day_at_least():
    account = StreamAccount()
    outcome = account.set_committed(True, 1_000)
    assert outcome.value.earliest_end_ms == 1_000 + DAY_MS
    assert account.set_committed(True, 2_000).mutations == ()
    ended = account.set_committed(False, 3_000).value
    assert not ended.is_committed and ended.ended_ms == 3_000
    other = StreamAccount()
    for mutation in outcome.mutations:
        other.apply(type(mutation)(mutation.key, mutation.value))
        other.check()
    assert other.record == outcome.value
