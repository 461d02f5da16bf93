"""Rules of message attributes and of texts, at their borders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.api.sqs_message_attributes import (
    attributes_bytes,
    attributes_digest,
    check_text,
    read_attributes,
    read_trace_header,
    selection_of,
)
from eventcore.api.sqs_requests import MessageAttributeValue
from eventcore.attributes import AttributeValue
from eventcore.wire.fault import Fault


def string(value: str = "y", data_type: str | None = "String") -> MessageAttributeValue:
    return MessageAttributeValue(data_type=data_type, string_value=value)


def is_allowed(character: str) -> bool:
    """AWS: #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF."""
    code = ord(character)
    return (
        code in (0x9, 0xA, 0xD)
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or 0x10000 <= code <= 0x10FFFF
    )


def takes(text: str) -> bool:
    try:
        check_text(text)
    except Fault as fault:
        return fault.code != "InvalidMessageContents"
    return True


def test_each_character_is_taken_or_refused_as_documented():
    codes = [*range(0x300), *range(0xD7F0, 0xD800), *range(0xE000, 0xE010)]
    codes += [*range(0xFFF0, 0x10010), 0x1F600, 0x10FFFE, 0x10FFFF]
    for code in codes:
        character = chr(code)
        assert takes(f"a{character}b") == is_allowed(character), hex(code)


@given(st.text())
def test_a_text_is_taken_exactly_when_each_of_its_characters_is(text: str):
    assert takes(text) == all(map(is_allowed, text))


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0xD7FF)))
def test_the_size_of_a_text_is_its_bytes_in_utf_8(text: str):
    assert check_text(text) == len(text.encode())


@pytest.mark.parametrize("name", ["a", "A-z_0.9", "a" * 256, "awsome", "amazonian", "0"])
def test_a_name_in_the_rules_is_taken(name: str):
    assert read_attributes({name: string()}) == {name: AttributeValue("String", string="y")}


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".a",
        "a.",
        "a..b",
        "a b",
        "é",
        "a" * 257,
        "AWS.a",
        "aws.a",
        "Amazon.a",
        "AMAZON.a",
        "a\n",
    ],
)
def test_a_name_against_the_rules_is_refused(name: str):
    with pytest.raises(Fault) as caught:
        read_attributes({name: string()})
    assert caught.value.query_code == "InvalidParameterValue"


@pytest.mark.parametrize(
    "value",
    [
        string(data_type=None),
        string(data_type=""),
        string(data_type="string"),
        string(data_type="Text"),
        string(data_type="String" + "." + "x" * 250),
        string(value=""),
        string(data_type="Binary"),
        MessageAttributeValue("String", binary_value=b"y"),
        MessageAttributeValue("Binary", string_value="y", binary_value=b"y"),
        MessageAttributeValue("Binary", binary_value=b""),
    ],
)
def test_a_value_that_does_not_fit_its_type_is_refused(value: MessageAttributeValue):
    with pytest.raises(Fault) as caught:
        read_attributes({"a": value})
    assert caught.value.query_code == "InvalidParameterValue"


@pytest.mark.parametrize(
    "text", ["0", "-0", "1", "+1.5", "1e126", "1e-128", "9" * 38, ".5", "5.", "0e999"]
)
def test_a_number_in_the_range_of_aws_is_taken(text: str):
    assert read_attributes({"n": string(text, "Number.any")})["n"].string == text


@pytest.mark.parametrize(
    "text", ["one", "1,5", "1e127", "1e-129", "9" * 39, "NaN", "Infinity", "1_000", "0x1", " "]
)
def test_what_is_no_number_in_that_range_is_refused(text: str):
    with pytest.raises(Fault, match="to a number"):
        read_attributes({"n": string(text, "Number")})


def test_control_characters_in_a_value_are_refused():
    with pytest.raises(Fault, match="InvalidMessageContents"):
        read_attributes({"a": string("\0")})


def test_the_trace_header_is_the_only_system_attribute_to_send():
    assert read_trace_header({"AWSTraceHeader": string("Root=1")}) == "Root=1"
    for refused in (
        {"SenderId": string()},
        {"AWSTraceHeader": string("")},
        {"AWSTraceHeader": string("1", "Number")},
    ):
        with pytest.raises(Fault):
            read_trace_header(refused)


def test_the_size_counts_names_types_and_values():
    attributes = {
        "é": AttributeValue("String", string="ab"),
        "b": AttributeValue("Binary.x", binary=b"\0\1\2"),
    }
    assert attributes_bytes(attributes) == (2 + 6 + 2) + (1 + 8 + 3)


def test_there_is_no_digest_of_no_attributes():
    assert attributes_digest({}) == b""


def test_a_selection_of_nothing_is_empty():
    assert selection_of(None, [], None).is_empty
    assert not selection_of(["SenderId"], None, None).is_empty


def test_queue_attributes_among_the_attribute_names_of_a_receive_name_nothing():
    assert selection_of(["Policy", "SenderId"], None, None).system == {"SenderId"}
    with pytest.raises(Fault, match="Unknown Attribute Policy"):
        selection_of(None, ["Policy"], None)


def test_a_selection_with_very_long_names_is_made_and_not_remembered():
    names = ["x" * 2_000]
    assert selection_of(None, None, names) is not selection_of(None, None, names)
    assert selection_of(None, None, ["x"]) is selection_of(None, None, ["x"])
