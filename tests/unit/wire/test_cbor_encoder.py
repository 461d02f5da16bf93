"""Answers in CBOR say what they say in JSON."""

from __future__ import annotations

from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.wire.cbor import cbor_decoder, parse_cbor
from eventcore.wire.cbor_encoder import CborEncoder

TIMESTAMPS = frozenset(("CreatedAt", "EndedAt"))
encode = CborEncoder(TIMESTAMPS).encode


class Child(msgspec.Struct, frozen=True, rename="pascal"):
    name: str
    weight: float


class Everything(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    name: str
    data: bytes
    created_at: float
    count: int
    is_open: bool
    children: list[Child | None]
    ended_at: float | None = None
    note: str | None = None
    level: int = 3
    tags: dict[str, str] = {}
    names: list[str] = msgspec.field(default_factory=list)
    more: Any = msgspec.UNSET


class Verbose(msgspec.Struct, frozen=True, rename="pascal"):
    """Writes its defaults."""

    note: str | None = None
    ended_at: float | None = None
    more: str | msgspec.UnsetType = msgspec.UNSET


texts = st.text(max_size=5) | st.text(min_size=20, max_size=30) | st.just("x" * 300)
blobs = st.binary(max_size=30) | st.sampled_from([b"b" * size for size in (255, 256, 1023, 1024)])
# Milliseconds of the years 1973 to 2255: what a float of seconds holds exactly enough.
moments = st.integers(10**11, 9 * 10**12).map(lambda ms: ms / 1000)
children = st.builds(Child, name=texts, weight=st.floats(allow_nan=False, allow_infinity=False))
structs = st.builds(
    Everything,
    name=texts,
    data=blobs,
    created_at=moments,
    count=st.integers(-(2**64), 2**64 - 1),
    is_open=st.booleans(),
    children=st.lists(st.none() | children, max_size=3),
    ended_at=st.none() | moments,
    note=st.none() | texts,
    level=st.integers(0, 5),
    tags=st.dictionaries(texts, texts, max_size=2),
    names=st.lists(texts, max_size=2),
    more=st.just(msgspec.UNSET) | texts | children | st.dictionaries(texts, children, max_size=2),
) | st.builds(Verbose, note=st.none() | texts, ended_at=st.none() | moments)


@given(structs)
def test_an_answer_has_the_members_that_it_has_in_json(struct):
    assert parse_cbor(encode(struct)) == msgspec.to_builtins(struct, builtin_types=(bytes,))


@given(st.lists(structs, max_size=3))
def test_a_struct_in_a_list_or_a_map_is_the_same_as_alone(values):
    answer = {"Items": values, "Count": len(values)}
    assert parse_cbor(encode(answer)) == msgspec.to_builtins(answer, builtin_types=(bytes,))


@given(structs)
def test_what_is_written_is_read_as_the_same_struct(struct):
    if isinstance(struct, Everything) and isinstance(struct.more, (Child, dict)):
        return  # read as plain values, since its type is open
    assert cbor_decoder(type(struct))(encode(struct)) == struct


def test_timestamps_are_tagged_integers_of_milliseconds():
    stamp = b"\xc1\x1b" + (1_787_036_486_712).to_bytes(8, "big")
    assert stamp in encode(Verbose(ended_at=1_787_036_486.712))
    assert encode({"CreatedAt": 1_787_036_486.712}) == b"\xa1\x69CreatedAt" + stamp
    assert encode({"Other": 1.5}) == b"\xa1\x65Other\xfb" + bytes.fromhex("3ff8000000000000")


def test_a_timestamp_that_is_not_known_is_null():
    decoded = cbor2.loads(encode(Verbose()))
    assert decoded == {"Note": None, "EndedAt": None}
    assert cbor2.loads(encode({"EndedAt": None})) == {"EndedAt": None}


def test_a_key_of_a_map_may_be_named_like_a_timestamp():
    assert cbor2.loads(encode({"Tags": {"EndedAt": "monday"}})) == {"Tags": {"EndedAt": "monday"}}


def test_a_struct_is_a_map_with_an_end_as_aws_writes_it():
    body = encode(Child("c", 1.5))
    assert (body[:1], body[-1:]) == (b"\xbf", b"\xff")


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j, type])
def test_a_type_that_no_answer_has_is_a_bug(value):
    with pytest.raises(TypeError, match="no answer has a"):
        encode({"a": value})


def test_a_struct_that_is_no_map_is_a_bug():
    class Row(msgspec.Struct, array_like=True):
        a: int

    with pytest.raises(TypeError, match="is no map"):
        encode([Row(1)])


@pytest.mark.parametrize("number", [2**64, -(2**64) - 1])
def test_a_number_that_needs_more_than_64_bits_is_a_bug(number):
    with pytest.raises(OverflowError):
        encode(number)


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 1023, 1024, 65_535, 65_536])
def test_lengths_of_all_sizes(size):
    value = ["t" * size, b"b" * size, [None] * size, {str(n): n for n in range(size)}]
    assert cbor2.loads(encode(value)) == value
    assert encode(value[:3]) == cbor2.dumps(value[:3])
