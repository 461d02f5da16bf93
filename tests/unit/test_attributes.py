from __future__ import annotations

from hashlib import md5

from hypothesis import given
from hypothesis import strategies as st

from eventcore.attributes import (
    AttributeValue,
    decode_attributes,
    encode_attributes,
    md5_of_attributes,
)

values = st.builds(
    AttributeValue, st.sampled_from(["String", "Number.int"]), st.text()
) | st.builds(AttributeValue, st.just("Binary"), st.none(), st.binary())


@given(st.dictionaries(st.text(min_size=1), values, max_size=5))
def test_attributes_come_back_as_they_were(attributes):
    assert decode_attributes(encode_attributes(attributes)) == attributes


def test_no_attributes_are_no_bytes():
    assert encode_attributes({}) == b""
    assert decode_attributes(b"") == {}


def test_the_digest_is_the_one_that_aws_gives():
    """Recorded from AWS: one String attribute MyAttribute with the value foobar."""
    digest = md5_of_attributes({"MyAttribute": AttributeValue("String", "foobar")})
    assert digest.hex() == "adb59cd4678ea5a855436b949cd07ab6"


@given(st.dictionaries(st.text(min_size=1), values, min_size=2, max_size=5))
def test_the_digest_does_not_depend_on_the_order(attributes):
    turned = dict(reversed(list(attributes.items())))
    assert md5_of_attributes(turned) == md5_of_attributes(attributes)


def test_the_digest_tells_types_and_values_apart():
    given_out = {
        md5_of_attributes({"a": value})
        for value in (
            AttributeValue("String", "1"),
            AttributeValue("Number", "1"),
            AttributeValue("String.label", "1"),
            AttributeValue("Binary", None, b"1"),
            AttributeValue("String", "2"),
        )
    }
    assert len(given_out) == 5


def test_the_digest_counts_bytes_not_characters():
    """The layout, written out: each part behind its length in bytes; 1 is the type of a string."""

    layout = b"\0\0\0\x02" + "ü".encode() + b"\0\0\0\x06String" + b"\x01\0\0\0\x03" + "€".encode()
    assert md5_of_attributes({"ü": AttributeValue("String", "€")}) == md5(layout).digest()


def test_a_binary_value_has_its_own_transport_type():

    layout = b"\0\0\0\x01b" + b"\0\0\0\x06Binary" + b"\x02\0\0\0\x02\xff\x00"
    assert (
        md5_of_attributes({"b": AttributeValue("Binary", None, b"\xff\x00")})
        == md5(layout).digest()
    )
