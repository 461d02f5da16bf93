"""The KPL's aggregated records. Bytes are written out here, not made by what is tested."""

from __future__ import annotations

from hashlib import md5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore import limits
from eventcore.errors import InvalidParameter
from eventcore.streams.aggregation import MAGIC, UserRecord, aggregate, deaggregate
from eventcore.streams.hash_range import hash_key

KEYS = b"\x0a\x01a" + b"\x0a\x02bb"
HASH_KEYS = b"\x12\x0242"
FIRST = b"\x1a\x07" + b"\x08\x00" + b"\x1a\x03one"
SECOND = b"\x1a\x09" + b"\x08\x01" + b"\x10\x00" + b"\x1a\x03two"
RECORDS = [UserRecord("a", b"one"), UserRecord("bb", b"two", "42")]


def sealed(message: bytes) -> bytes:
    return b"\xf3\x89\x9a\xc2" + message + md5(message).digest()


def test_an_aggregate_is_taken_apart():
    assert deaggregate(sealed(KEYS + HASH_KEYS + FIRST + SECOND)) == RECORDS


def test_an_aggregate_is_written_as_the_kpl_writes_it():
    assert aggregate(RECORDS) == sealed(KEYS + HASH_KEYS + FIRST + SECOND)


def test_tables_may_stand_behind_the_records():
    assert deaggregate(sealed(FIRST + SECOND + HASH_KEYS + KEYS)) == RECORDS


def test_keys_are_written_once():
    many = aggregate([UserRecord("k" * 100, b"x")] * 50)
    assert many.count(b"k" * 100) == 1
    assert deaggregate(many) == [UserRecord("k" * 100, b"x")] * 50


def test_tags_and_unknown_fields_are_passed_over():
    tagged = b"\x1a\x10" + b"\x08\x00" + b"\x1a\x03one" + b"\x22\x07\x0a\x01t\x12\x02vv"
    unknown = b"\x28\x05" + b"\x31" + b"8" * 8 + b"\x3d" + b"4" * 4 + b"\x42\x01z"
    assert deaggregate(sealed(KEYS + unknown + tagged)) == [UserRecord("a", b"one")]


def test_an_empty_aggregate_has_no_records():
    assert deaggregate(sealed(b"")) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"plain",
        MAGIC,
        MAGIC + b"only beginning like one, and going on for a while",
        sealed(KEYS + FIRST)[:-1],
        sealed(KEYS + FIRST)[:-1] + b"\x00",
        sealed(FIRST),
        sealed(KEYS + SECOND),
        sealed(KEYS + b"\x1a\x02\x08\x00"),
        sealed(KEYS + b"\x1a\x05\x1a\x03one"),
        sealed(KEYS + b"\x1a\x20\x08\x00"),
        sealed(b"\x08\x01"),
        sealed(KEYS + b"\x1a\x05\x0a\x01a\x1a\x00"),
        sealed(b"\x0a\x01\xff"),
        sealed(b"\x0b"),
        sealed(b"\x02\x00"),
        sealed(b"\xff" * 11),
        sealed(b"\x31888"),
    ],
)
def test_what_is_no_sound_aggregate_is_an_ordinary_record(data: bytes):
    assert deaggregate(data) is None


def test_too_many_user_records_are_none(monkeypatch: pytest.MonkeyPatch):
    data = aggregate(RECORDS * 2)
    monkeypatch.setattr(limits, "AGGREGATED_RECORDS_MAX", 3)
    assert deaggregate(data) is None
    with pytest.raises(InvalidParameter):
        aggregate(RECORDS * 2)
    with pytest.raises(InvalidParameter):
        aggregate([])


def test_where_a_user_record_belongs():
    assert UserRecord("a", b"").hash_key == hash_key("a")
    assert UserRecord("a", b"", "42").hash_key == 42
    assert UserRecord("a", b"", "x").hash_key == hash_key("a")


@given(
    st.lists(
        st.builds(
            UserRecord,
            st.text(max_size=5),
            st.binary(max_size=200),
            st.none() | st.integers(0, 2**128 - 1).map(str),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_what_is_aggregated_comes_back(records):
    assert deaggregate(aggregate(records)) == records


@given(st.binary(max_size=80))
def test_any_message_at_all_is_read_without_an_error(message):
    records = deaggregate(sealed(message))
    assert records is None or all(isinstance(record.data, bytes) for record in records)
