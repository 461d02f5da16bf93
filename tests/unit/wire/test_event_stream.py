"""Event stream messages, compared with botocore's reader both ways."""

from __future__ import annotations

from binascii import crc32
from contextlib import suppress
from struct import pack
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer, EventStreamMessage
from hypothesis import given
from hypothesis import strategies as st

from eventcore.wire.event_stream import (
    HEADERS_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    EventMessage,
    MalformedMessage,
    decode_messages,
    encode_headers,
    encode_message,
    event_headers,
    exception_headers,
)


def read_by_botocore(data: bytes) -> list[EventStreamMessage]:
    buffer = EventStreamBuffer()
    buffer.add_data(data)
    return list(buffer)


def read(data: bytes) -> list[EventMessage]:
    buffer = bytearray(data)
    messages = list(decode_messages(buffer))
    assert not buffer
    return messages


def frame(headers: bytes, payload: bytes = b"") -> bytes:
    """A message whose headers need not be any."""
    start = pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = start + pack(">I", crc32(start)) + headers + payload
    return message + pack(">I", crc32(message))


names = st.text(min_size=1, max_size=20)
messages = st.tuples(
    st.dictionaries(names, st.text(max_size=300), max_size=5), st.binary(max_size=2_000)
)


@given(st.lists(messages, max_size=4))
def test_botocore_and_we_read_what_we_write(given_messages):
    data = b"".join(encode_message(*message) for message in given_messages)
    assert [(m.headers, m.payload) for m in read_by_botocore(data)] == given_messages
    assert [(m.headers, m.payload) for m in read(data)] == given_messages


HEADERS: list[tuple[bytes, Any]] = [
    (b"\x00", True),
    (b"\x01", False),
    (b"\x02\xff", -1),
    (b"\x03\xff\xfe", -2),
    (b"\x04\x7f\xff\xff\xff", 2**31 - 1),
    (b"\x05" + b"\x80" + bytes(7), -(2**63)),
    (b"\x06\x00\x02\xff\x00", b"\xff\x00"),
    (b"\x07\x00\x02\xc3\xbc", "ü"),
    (b"\x08" + (1_787_036_486_712).to_bytes(8, "big"), 1_787_036_486_712),
    (b"\x09" + bytes(range(16)), bytes(range(16))),
]


@given(st.lists(st.sampled_from(HEADERS), max_size=12), st.binary(max_size=50))
def test_all_types_of_values_are_read_as_botocore_reads_them(chosen, payload):
    block = b"".join(b"\x02%02d%b" % (n, value) for n, (value, _) in enumerate(chosen))
    data = frame(block, payload)
    expected = {f"{n:02d}": value for n, (_, value) in enumerate(chosen)}
    assert read(data) == [EventMessage(expected, payload)]
    assert read_by_botocore(data)[0].headers == expected


@given(st.lists(messages, min_size=1, max_size=3), st.data())
def test_messages_may_arrive_in_any_pieces(given_messages, data):
    stream = b"".join(encode_message(*message) for message in given_messages)
    buffer, at = bytearray(), 0
    found: list[EventMessage] = []
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        buffer += stream[at : at + size]
        at += size
        found += decode_messages(buffer)
    assert not buffer
    assert [(m.headers, m.payload) for m in found] == given_messages


def test_headers_that_were_made_once_serve_many_messages():
    headers = event_headers("SubscribeToShardEvent", "application/x-amz-cbor-1.1")
    for payload in (b"one", b"two"):
        (message,) = read(encode_message(headers, payload))
        assert message.payload == payload
        assert message.headers == {
            ":event-type": "SubscribeToShardEvent",
            ":content-type": "application/x-amz-cbor-1.1",
            ":message-type": "event",
        }


def test_an_exception_is_one_to_botocore():
    data = encode_message(
        exception_headers("ResourceInUseException", "application/x-amz-json-1.1"), b"{}"
    )
    (message,) = read_by_botocore(data)
    response = message.to_response_dict()
    assert response["status_code"] == 400
    assert response["headers"][":exception-type"] == "ResourceInUseException"


@pytest.mark.parametrize("at", range(32))
def test_every_byte_is_covered_by_a_checksum(at):
    data = bytearray(encode_message({"name": "value"}, b"abc"))
    assert len(data) == 32
    data[at] ^= 0x40
    with pytest.raises(MalformedMessage, match="checksum"):
        list(decode_messages(data))


@pytest.mark.parametrize(
    ("total", "headers_bytes"),
    [
        (15, 0),
        (0, 0),
        (20, 5),
        (2**32 - 1, 2**32 - 1),
        (2**31, HEADERS_BYTES_MAX + 1),
        (16 + PAYLOAD_BYTES_MAX + 1, 0),
    ],
)
def test_a_length_that_cannot_be_is_refused_as_soon_as_it_is_read(total, headers_bytes):
    start = pack(">II", total, headers_bytes)
    with pytest.raises(MalformedMessage, match="bytes"):
        list(decode_messages(bytearray(start + pack(">I", crc32(start)))))


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\x05", id="no name"),
        pytest.param(b"\x00\x00", id="an empty name"),
        pytest.param(b"\x01a", id="no type"),
        pytest.param(b"\x01a\x0a", id="an unknown type"),
        pytest.param(b"\x01a\x05\x00", id="a short number"),
        pytest.param(b"\x01a\x09\x00", id="a short uuid"),
        pytest.param(b"\x01a\x07\x00", id="no length"),
        pytest.param(b"\x01a\x07\x00\x02x", id="a short text"),
        pytest.param(b"\x01a\x07\x00\x01\xff", id="no utf-8"),
        pytest.param(b"\x01\xff\x00", id="a name that is no utf-8"),
        pytest.param(b"\x01a\x00\x01a\x01", id="a name twice"),
    ],
)
def test_headers_that_are_none_are_refused(block):
    with pytest.raises(MalformedMessage, match="header"):
        list(decode_messages(bytearray(frame(block, b"payload"))))


def test_the_messages_before_a_malformed_one_are_read():
    buffer = bytearray(encode_message({"a": "b"}, b"1") + b"\x00" * 12)
    found = decode_messages(buffer)
    assert next(found).payload == b"1"
    with pytest.raises(MalformedMessage):
        next(found)


@given(st.binary(max_size=100))
def test_any_bytes_are_messages_or_malformed(data):
    for given_data in (data, frame(data)):
        with suppress(MalformedMessage):
            assert len(list(decode_messages(bytearray(given_data)))) <= 1


@pytest.mark.parametrize(
    "headers",
    [
        {"": "x"},
        {"n" * 256: "x"},
        {"n": "x" * 32_768},
        {str(n): "x" * 32_767 for n in range(5)},
    ],
)
def test_headers_that_the_format_cannot_hold_are_refused(headers):
    with pytest.raises(ValueError, match="bytes"):
        encode_headers(headers)


def test_a_payload_has_a_bound():
    assert len(encode_message(b"", bytes(PAYLOAD_BYTES_MAX))) == PAYLOAD_BYTES_MAX + 16
    with pytest.raises(ValueError, match="payload"):
        encode_message(b"", bytes(PAYLOAD_BYTES_MAX + 1))
