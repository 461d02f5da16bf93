"""Bodies in AWS CBOR 1.1: what clients send, and what nobody should."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.wire.cbor import (
    CBOR_1_1,
    DEPTH_MAX,
    ITEMS_MAX,
    MILLISECONDS_MIN,
    UNCOUNTED_BYTES_MAX,
    cbor_decoder,
    is_cbor,
    parse_cbor,
    write_fault,
)
from eventcore.wire.fault import Fault


class Entry(msgspec.Struct, frozen=True, rename="pascal"):
    data: bytes | None = None
    partition_key: str | None = None


class Filter(msgspec.Struct, frozen=True, rename="pascal"):
    type: str | None = None
    timestamp: float | None = None


class Request(msgspec.Struct, frozen=True, rename="pascal"):
    stream_name: str | None = None
    limit: int | None = None
    records: list[Entry] | None = None
    tags: dict[str, str] | None = None
    timestamp: float | None = None
    filter: Filter | None = None


decode = cbor_decoder(Request)


def refusal(body: bytes) -> Fault:
    with pytest.raises(Fault) as caught:
        decode(body)
    return caught.value


# What clients send


@pytest.mark.parametrize(
    ("content_type", "is_ours"),
    [
        (CBOR_1_1, True),
        (b"Application/X-AMZ-CBOR-1.1; charset=utf-8", True),
        (b"application/cbor", False),
        (b"application/x-amz-json-1.1", False),
        (None, False),
    ],
)
def test_the_content_type_names_the_protocol(content_type, is_ours):
    assert is_cbor(content_type) is is_ours


@pytest.mark.parametrize("with_ends", [False, True])
def test_a_request_becomes_the_struct_that_it_is_in_json(with_ends):
    entries = [{"Data": b"\x00\xff", "PartitionKey": "ü"}, {"Data": b"", "PartitionKey": ""}]
    members = {"StreamName": "orders", "Limit": 7, "Records": entries, "Tags": {"a": "b"}}
    body = cbor2.dumps(members, indefinite_containers=with_ends)
    assert decode(body) == Request(
        stream_name="orders",
        limit=7,
        records=[Entry(b"\x00\xff", "ü"), Entry(b"", "")],
        tags={"a": "b"},
    )


def test_strings_may_come_in_pieces():
    body = b"\xbf\x6aStreamName\x7f\x62or\x64ders\xff\x67Records\x9f\xbf\x64Data\x5f\x41a\x41b\xff"
    assert decode(body + b"\xff\xff\xff") == Request("orders", records=[Entry(b"ab")])


def test_members_that_the_operation_lacks_are_ignored():
    assert decode(cbor2.dumps({"Colour": ["red"], "StreamName": "s"})) == Request("s")


@pytest.mark.parametrize(
    ("encoded", "seconds"),
    [
        ("c11b000001a013accc38", 1_787_036_486.712),  # the Java SDKs: tag 1 and milliseconds
        ("c11a6a8401c6", 1_787_036_102.0),  # RFC 8949: tag 1 and seconds
        ("c1fb41daa10071800000", 1_787_036_102.0),
        ("1a6a8401c6", 1_787_036_102.0),  # no tag: as in JSON
        ("c100", 0.0),
        ("c120", -1.0),
    ],
)
def test_timestamps_are_seconds_whoever_sends_them(encoded, seconds):
    body = b"\xa1\x69Timestamp" + bytes.fromhex(encoded)
    assert decode(body).timestamp == seconds
    nested = b"\xa1\x66Filter" + body
    assert decode(nested).filter == Filter(timestamp=seconds)


def test_a_tagged_number_is_milliseconds_from_the_bound_on():
    tagged = [cbor2.dumps(cbor2.CBORTag(1, MILLISECONDS_MIN - less)) for less in (0, 1)]
    assert [parse_cbor(body) for body in tagged] == [1e8, 1e11 - 1]


# What is refused


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        ({"StreamName": 7}, "str"),
        ({"StreamName": b"orders"}, "str"),
        ({"Records": [{"Data": "dGV4dA=="}]}, "bytes"),
        ({"Records": {"Data": b""}}, "array"),
        ({"Limit": "7"}, "int"),
        ({"Limit": 1.5}, "int"),
        ({"Timestamp": "now"}, "float"),
        ({"StreamName": cbor2.CBORTag(1, 5)}, "str"),
        ({"StreamName": cbor2.undefined}, "str"),
        ({"StreamName": cbor2.CBORSimpleValue(99)}, "str"),
        ({"Tags": {b"a": "b"}}, "str"),
        ([], "object"),
        (None, "object"),
    ],
)
def test_a_member_of_a_wrong_type_is_the_decoders_error_as_in_json(members, wanted):
    with pytest.raises(msgspec.ValidationError, match=wanted):
        decode(cbor2.dumps(members))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="json"),
        pytest.param(b"\xa1\x61", id="cut short"),
        pytest.param(b"\xbf\x61a\xff", id="a key without a value"),
        pytest.param(b"\xff", id="an end of nothing"),
        pytest.param(b"\x1c", id="reserved"),
        pytest.param(b"\xa1\x61a\x61\xff", id="no utf-8"),
        pytest.param(b"\xa1\x61a\x63\xed\xa0\x80", id="a surrogate"),
        pytest.param(b"\x7f\x41a\xff", id="bytes in a text"),
        pytest.param(b"\xa2\x61a\x01\x61a\x02", id="a key twice"),
        pytest.param(b"\xa1\x01\x02", id="a number as key"),
        pytest.param(b"\xa1\x80\x02", id="an array as key"),
        pytest.param(b"\xa1\xa0\x02", id="a map as key"),
        pytest.param(b"\xa0\x00", id="bytes after the end"),
        pytest.param(b"\xa1\x61a\xc1\x61x", id="a text as timestamp"),
        pytest.param(b"\xa1\x61a\xc1\xf5", id="a boolean as timestamp"),
        pytest.param(b"\xa1\x61a\xc1\xf9\x7e\x00", id="no number as timestamp"),
        pytest.param(b"\xa1\x61a" + b"\x81" * DEPTH_MAX + b"\x00", id="deep"),
        pytest.param(b"\x9f" * 100_000, id="deeper"),
        pytest.param(b"\xc1" * 100_000 + b"\x00", id="tags in tags"),
    ],
)
def test_what_is_no_cbor_of_the_protocol_is_a_serialization_exception(body):
    fault = refusal(body)
    assert (fault.bare_code, fault.status) == ("SerializationException", 400)
    assert fault.message.endswith(".")


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_does_not_have_are_refused(number):
    assert refusal(cbor2.dumps({"Timestamp": number})).message == "A number is not finite."
    assert refusal(cbor2.dumps({"Filter": {"Timestamp": number}})).bare_code.startswith("Serial")


def test_the_deepest_nesting_allowed_is_read():
    value = parse_cbor(b"\x81" * DEPTH_MAX + b"\x00")
    for _ in range(DEPTH_MAX):
        (value,) = value
    assert value == 0


def test_every_tag_but_that_of_timestamps_is_refused():
    numbers = [n for n in range(70_000) if n != 1] + [2**32, 2**64 - 1]
    for number in numbers:
        body = b"\xdb" + number.to_bytes(8, "big") + b"\x41a"
        with pytest.raises(Fault, match="CBOR"):
            parse_cbor(body)


@pytest.mark.parametrize("head", ["9b", "bb", "5b", "7b"])
@pytest.mark.parametrize("length", [2**63, 2**63 - 1, 2**40, 2**31 - 1, 2**24])
def test_a_length_is_a_claim_for_which_nothing_is_reserved(head, length):
    body = bytes.fromhex(head) + length.to_bytes(8, "big") + b"\x00" * 64
    tracemalloc.start()
    try:
        with pytest.raises(Fault):
            parse_cbor(body)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("item", [b"\xa0", b"\x80", b"\x00", b"\x40", b"\xf8\xff", b"\xc1\x00"])
def test_a_large_body_of_small_items_is_refused_before_it_is_parsed(item):
    body = b"\x9f" + item * UNCOUNTED_BYTES_MAX + b"\xff"
    tracemalloc.start()
    try:
        fault = refusal(body)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()
    assert fault.message == f"The body has more than {ITEMS_MAX} items."


def test_a_large_body_may_have_as_many_items_as_are_allowed():
    count = ITEMS_MAX - 1  # and the array
    for item, value in (
        (b"\x58\x20" + b"d" * 32, b"d" * 32),
        (b"\x79\x00\x20" + b"t" * 32, "t" * 32),
    ):
        body = b"\x99" + count.to_bytes(2, "big") + item * count
        assert len(body) > UNCOUNTED_BYTES_MAX
        assert parse_cbor(body) == [value] * count
        with pytest.raises(Fault, match="items"):
            parse_cbor(b"\x99" + (count + 1).to_bytes(2, "big") + item * (count + 1))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(plain, st.booleans())
def test_counted_and_uncounted_bodies_read_the_same(value, with_ends):
    filler = b"f" * UNCOUNTED_BYTES_MAX
    body = cbor2.dumps([value, filler], indefinite_containers=with_ends)
    assert parse_cbor(body) == [value, filler]
    assert parse_cbor(cbor2.dumps(value, indefinite_containers=with_ends)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body):
    for given_body in (body, b"\x82\x5a" + (2**18).to_bytes(4, "big") + bytes(2**18) + body):
        with suppress(Fault, msgspec.ValidationError):
            assert isinstance(decode(given_body), Request)


# Errors


def test_an_error_has_its_bare_code_and_its_message():
    body = write_fault(Fault("com.amazon.coral.service#SerializationException", "No."))
    assert cbor2.loads(body) == {"__type": "SerializationException", "message": "No."}
