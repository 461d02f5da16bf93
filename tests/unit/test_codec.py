from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.codec import (
    check_record,
    compact_json,
    decode_json,
    encode_json,
    encode_record,
    json_decoder,
    record_decoder,
)
from eventcore.errors import InvalidParameter


class Old(msgspec.Struct, array_like=True):
    a: int
    b: bytes


class New(msgspec.Struct, array_like=True):
    a: int
    b: bytes
    c: str = "default"


class Request(msgspec.Struct):
    name: str
    count: int = 1


@given(st.integers(-(2**63), 2**63 - 1), st.binary(max_size=10_000))
def test_a_record_comes_back_as_it_was(a, b):
    assert record_decoder(Old)(encode_record(Old(a, b))) == Old(a, b)


def test_an_old_row_is_read_by_a_newer_version_and_the_other_way_round():
    assert record_decoder(New)(encode_record(Old(1, b"x"))) == New(1, b"x")
    assert record_decoder(Old)(encode_record(New(1, b"x", "new"))) == Old(1, b"x")


def test_a_short_record_after_a_long_one_has_nothing_of_it():
    encode_record(Old(1, b"x" * 1_000_000))
    assert encode_record(Old(1, b"y")) == msgspec.msgpack.encode(Old(1, b"y"))


def test_a_record_that_can_not_be_encoded_spoils_no_later_one():
    with pytest.raises(UnicodeEncodeError):
        encode_record(["a" * 10_000, "\ud800"])
    assert encode_record([1]) == b"\x91\x01"


def test_json_is_compact_utf_8():
    assert encode_json({"a": [1, "ü"], "b": None}) == '{"a":[1,"ü"],"b":null}'.encode()


def test_a_request_ignores_members_that_it_does_not_know():
    assert json_decoder(Request)('{"name": "q", "later": {}}') == Request("q")


@pytest.mark.parametrize("text", ["", "{", '{"name": 1}', "{}", "[]", '{"name":"q"} x'])
def test_a_request_that_does_not_fit_is_refused(text):
    with pytest.raises(msgspec.DecodeError):
        json_decoder(Request)(text)


@pytest.mark.parametrize(
    "text", ["", "NaN", "[1,]", '{"a":1} 2', "'a'", '"\\ud800"', b'"\xff"', "[Infinity]", "01"]
)
def test_json_is_strict(text):
    with pytest.raises(ValueError, match=r"."):
        decode_json(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)
def test_plain_values_survive_json(value):
    assert decode_json(encode_json(value)) == value


def test_compact_json_takes_out_white_space_only():
    assert compact_json('{ "b" : 1.0e5 , "a" : "\\u00fc  x" }\n') == '{"b":1.0e5,"a":"\\u00fc  x"}'
    with pytest.raises(ValueError, match=r"."):
        compact_json("{")


class Member(msgspec.Struct, array_like=True):
    name: str = ""
    count: int | None = None
    variables: dict[str, str] = {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", 1),
        ("name", "\ud800"),
        ("count", 1.0),
        ("count", True),
        ("count", 2**70),
        ("variables", {"a": 1}),
        ("variables", {1: "a"}),
        ("variables", {"a": object()}),
    ],
)
def test_a_record_that_could_not_be_read_back_is_refused(name, value):
    with pytest.raises(InvalidParameter) as raised:
        check_record(Member(**{name: value}))
    assert raised.value.name == name


def test_a_record_that_can_be_read_back_is_taken():
    record = Member("a", 1, {"b": "c"})
    check_record(record)
    assert record_decoder(Member)(encode_record(record)) == record
