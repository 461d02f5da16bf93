"""The Query protocol apart from any service, in both spellings of lists and maps."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.wire.aws_query import (
    PARAMETERS_MAX,
    Form,
    ListSpelling,
    MapSpelling,
    Spelling,
    is_form,
    parse_parameters,
)
from eventcore.wire.aws_query_form import form_decoder
from eventcore.wire.aws_query_xml import escape_text, write_fault, write_result
from eventcore.wire.fault import Fault, internal_failure

# Parameters


@given(st.dictionaries(st.text(min_size=1), st.text()), st.dictionaries(st.text(), st.text()))
def test_parameters_are_those_of_the_query_string_and_of_the_body(first, second):
    second = {name: value for name, value in second.items() if name and name not in first}
    query, body = urlencode(first).encode(), urlencode(second, quote_via=quote).encode()
    assert parse_parameters(query, body) == first | second


@given(
    st.lists(st.sampled_from(["%41", "%3d", "%25", "%0A", "=", "&", "+", "a", "=3D", "\n", "é"]))
)
def test_escapes_are_undone_as_the_standard_library_does(parts):
    text = "".join(parts)
    expected = parse_qsl(text, keep_blank_values=True)
    if len(dict(expected)) == len(expected):
        assert list(parse_parameters(text.encode(), b"").items()) == expected


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (b"", {}),
        (b"&&", {}),
        (b"a", {"a": ""}),
        (b"=b", {"": "b"}),
        (b"a=b=c", {"a": "b=c"}),
        (b"a=b&a=b", {"a": "b"}),
        (b"a;b=c", {"a;b": "c"}),
        (b"a=%2541", {"a": "%41"}),
        (b"%61=%c3%A9", {"a": "é"}),
        ("é=é".encode(), {"é": "é"}),
    ],
)
def test_parameters_are_read_as_a_form_is(text: bytes, form: Form):
    assert parse_parameters(text, b"") == form


@pytest.mark.parametrize("text", [b"%", b"a=%4", b"a=%g0", b"\xff", b"a=%FF", b"%%41"])
def test_what_cannot_be_read_is_a_syntax_error(text: bytes):
    with pytest.raises(Fault, match="MalformedQueryString"):
        parse_parameters(b"", text)


def test_the_number_of_parameters_is_bounded():
    assert len(parse_parameters(b"&".join(b"%d" % n for n in range(PARAMETERS_MAX)), b"")) == 2000
    with pytest.raises(Fault, match="MalformedQueryString"):
        parse_parameters(b"&" * PARAMETERS_MAX, b"")


def test_one_parameter_with_two_values_is_a_conflict():
    for query, body in ((b"a=1&a=2", b""), (b"a=1", b"a=2")):
        with pytest.raises(Fault, match="The query parameter a is invalid") as raised:
            parse_parameters(query, body)
        assert raised.value.query_code == "ConflictingQueryParameter"


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (b"application/x-www-form-urlencoded", True),
        (b"Application/X-WWW-Form-URLEncoded ; charset=utf-8", True),
        (b"application/json", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_form_is_known_by_its_content_type(content_type: bytes | None, expected: bool):
    assert is_form(content_type) is expected


# From parameters to structs


class Value(msgspec.Struct, frozen=True):
    """One more level."""

    kind: str | None = None
    data: bytes | None = None


class Request(msgspec.Struct, frozen=True, rename="pascal"):
    """A member of every kind."""

    text: str | None = None
    number: int | None = None
    is_on: bool | None = None
    names: list[str] | None = None
    blobs: list[bytes] | None = None
    values: list[Value] | None = None
    tags: dict[str, str] | None = None
    attributes: dict[str, Value | None] | None = None
    one: Value | None = None


FLAT = Spelling(
    {
        "Names": ListSpelling("Name", is_flat=True),
        "Blobs": ListSpelling("Blob", is_flat=True),
        "Values": ListSpelling("Value", is_flat=True),
    },
    {
        "Tags": MapSpelling("Tag", "Key", "Value", is_flat=True),
        "Attributes": MapSpelling("Attribute", "Name", "Value", is_flat=True),
    },
)
NESTED = Spelling({}, {"Tags": MapSpelling(), "Attributes": MapSpelling("entry", "Name", "Value")})

FULL = Request(
    text="a.b",
    number=-5,
    is_on=True,
    names=["a", ""],
    blobs=[b"\0\1"],
    values=[Value("x", b""), Value("y")],
    tags={"k": "v", "": ""},
    attributes={"a.b": Value(data=b"\xff")},
    one=Value("z"),
)
SCALARS = {"Text": "a.b", "Number": "-5", "IsOn": "true", "One.kind": "z"}
FULL_FLAT = SCALARS | {
    "Name.1": "a", "Name.2": "", "Blob.1": "AAE=",
    "Value.1.kind": "x", "Value.1.data": "", "Value.2.kind": "y",
    "Tag.1.Key": "k", "Tag.1.Value": "v", "Tag.2.Key": "", "Tag.2.Value": "",
    "Attribute.1.Name": "a.b", "Attribute.1.Value.data": "/w==",
}  # fmt: skip
FULL_NESTED = SCALARS | {
    "Names.member.1": "a", "Names.member.2": "", "Blobs.member.1": "AAE=",
    "Values.member.1.kind": "x", "Values.member.1.data": "", "Values.member.2.kind": "y",
    "Tags.entry.1.key": "k", "Tags.entry.1.value": "v",
    "Tags.entry.2.key": "", "Tags.entry.2.value": "",
    "Attributes.entry.1.Name": "a.b", "Attributes.entry.1.Value.data": "/w==",
}  # fmt: skip
BOTH = [pytest.param(FLAT, FULL_FLAT, id="flat"), pytest.param(NESTED, FULL_NESTED, id="nested")]


@pytest.mark.parametrize(("spelling", "form"), BOTH)
def test_a_struct_is_read_in_either_spelling(spelling: Spelling, form: Form):
    decode = form_decoder(Request, spelling)
    assert decode(form) == FULL
    assert decode(dict(reversed(form.items()))) == FULL
    assert decode({}) == Request()
    assert decode({**form, "Unknown": "a", "Unknown.1.x": "b", "": "c"}) == FULL


@pytest.mark.parametrize(("spelling", "form"), BOTH)
def test_the_spelling_of_another_service_is_not_read(spelling: Spelling, form: Form):
    decode = form_decoder(Request, NESTED if spelling is FLAT else FLAT)
    read = decode({name: value for name, value in form.items() if name not in SCALARS})
    assert read == Request()


def test_the_order_of_a_list_is_the_one_of_its_indexes():
    decode = form_decoder(Request, FLAT)
    assert decode({"Name.10": "c", "Name.0": "a", "Name.9": "b"}).names == ["a", "b", "c"]
    decode = form_decoder(Request, NESTED)
    assert decode({"Names.member.7": "b", "Names.member.03": "a"}).names == ["a", "b"]


def test_only_flat_lists_and_maps_of_one_may_be_without_an_index():
    flat, nested = form_decoder(Request, FLAT), form_decoder(Request, NESTED)
    assert flat({"Name": "a"}).names == ["a"]
    assert flat({"Tag.Key": "k", "Tag.Value": "v"}).tags == {"k": "v"}
    assert flat({"Value.kind": "x"}).values == [Value("x")]
    for form in ({"Names": "a"}, {"Names.member": "a"}, {"Tags.entry.key": "k"}, {"Names.1": "a"}):
        with pytest.raises(Fault, match="Unexpected list element termination"):
            nested(form)


def test_a_name_without_a_value_is_the_empty_list():
    assert form_decoder(Request, FLAT)({"Name": "", "Tag": ""}) == Request(names=[], tags={})
    decode = form_decoder(Request, NESTED)
    assert decode({"Names": "", "Tags": ""}) == Request(names=[], tags={})
    assert decode({"Names.member": "", "Tags.entry": ""}) == Request(names=[], tags={})


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"Text.1": "a"}, "Start of list found where not expected"),
        ({"Text.a": "a"}, "Start of structure or map found where not expected"),
        ({"One": "a"}, "Unexpected complex element termination"),
        ({"Value.1": "a"}, "Unexpected complex element termination"),
        ({"Tag.1": "a"}, "Unexpected complex element termination"),
        ({"Value": "a"}, "Unexpected list element termination"),
        ({"Name.x": "a"}, "Unexpected list element termination"),
        ({"Name.1": "a", "Name.x": "b"}, "Unexpected list element termination"),
        ({"Number": "x"}, "The value of the parameter Number must be an integer"),
        ({"IsOn": "yes"}, "boolean must follow xsd1.1 definition"),
        ({"Blob.1": "?"}, "The value of the parameter Blob.1 must be Base64"),
        ({"Value.2.data": "AAE"}, "The value of the parameter Value.2.data must be Base64"),
    ],
)
def test_what_is_not_of_its_type_is_malformed(form: Form, message: str):
    with pytest.raises(Fault) as raised:
        form_decoder(Request, FLAT)(form)
    assert (raised.value.query_code, raised.value.message) == ("MalformedInput", message)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ({"Text": "a", "Text.x": "b"}, "Text.x"),
        ({"Text.x": "b", "Text": "a"}, "Text"),
        ({"Name.1": "a", "Name.01": "b"}, "Name"),
        (
            {"Tag.1.Key": "a", "Tag.1.Value": "", "Tag.2.Key": "a", "Tag.2.Value": ""},
            "Tag.2.Key",
        ),
    ],
)
def test_parameters_that_contradict_each_other_are_told(form: Form, name: str):
    with pytest.raises(Fault, match=f"The query parameter {name} is invalid") as raised:
        form_decoder(Request, FLAT)(form)
    assert raised.value.query_code == "ConflictingQueryParameter"


def test_an_entry_of_a_map_needs_both_halves():
    decode = form_decoder(Request, FLAT)
    for form, name in (({"Tag.1.Key": "a"}, "Tag.1.Value"), ({"Tag.Value": "a"}, "Tag.Key")):
        with pytest.raises(Fault, match=f"must contain the parameter {name}"):
            decode(form)


@pytest.mark.parametrize("text", ["true", "1"])
def test_a_boolean_is_one_of_xml(text: str):
    assert form_decoder(Request, FLAT)({"IsOn": text}).is_on is True
    assert form_decoder(Request, FLAT)({"IsOn": {"true": "false", "1": "0"}[text]}).is_on is False


def test_a_struct_that_query_cannot_say_is_found_when_its_reader_is_made():
    class Odd(msgspec.Struct):
        ratio: float | None = None

    class Either(msgspec.Struct):
        one: int | str | None = None

    for request_type in (Odd, Either, dict):
        with pytest.raises(TypeError):
            form_decoder(request_type, FLAT)


# Answers

ANSWER: dict[str, Any] = {
    "Text": "a",
    "Number": 5,
    "IsOn": False,
    "Nothing": None,
    "Names": ["a", "b"],
    "Values": [{"kind": "x"}, {}],
    "Tags": {"k": "v"},
    "Attributes": {"n": {"kind": "y"}},
    "One": {"kind": "z", "Names": []},
}
START = "<Text>a</Text><Number>5</Number><IsOn>false</IsOn>"


@pytest.mark.parametrize(
    ("spelling", "members"),
    [
        (
            FLAT,
            "<Name>a</Name><Name>b</Name><Value><kind>x</kind></Value><Value/>"
            "<Tag><Key>k</Key><Value>v</Value></Tag>"
            "<Attribute><Name>n</Name><Value><kind>y</kind></Value></Attribute>"
            "<One><kind>z</kind></One>",
        ),
        (
            NESTED,
            "<Names><member>a</member><member>b</member></Names>"
            "<Values><member><kind>x</kind></member><member/></Values>"
            "<Tags><entry><key>k</key><value>v</value></entry></Tags>"
            "<Attributes><entry><Name>n</Name><Value><kind>y</kind></Value></entry></Attributes>"
            "<One><kind>z</kind><Names/></One>",
        ),
    ],
)
def test_an_answer_is_written_in_either_spelling(spelling: Spelling, members: str):
    body = json.dumps(ANSWER).encode()
    assert write_result("Do", body, spelling, namespace="n", request_id="id").decode() == (
        f'<?xml version="1.0"?><DoResponse xmlns="n"><DoResult>{START}{members}</DoResult>'
        "<ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DoResponse>"
    )


def test_a_fault_is_written_with_its_older_code_and_whose_fault_it_was():
    fault = Fault("ns#New", "a < b", query_code="Older.Code")
    assert write_fault(fault, namespace="n", request_id="id", has_detail=True).decode() == (
        '<?xml version="1.0"?><ErrorResponse xmlns="n"><Error><Type>Sender</Type>'
        "<Code>Older.Code</Code><Message>a &lt; b</Message><Detail/></Error>"
        "<RequestId>id</RequestId></ErrorResponse>"
    )
    body = write_fault(internal_failure(), namespace="n", request_id="id")
    assert b"<Type>Receiver</Type><Code>InternalFailure</Code>" in body
    assert b"Detail" not in body


@given(st.text(st.characters(codec="utf-8")))
def test_a_text_is_read_back_as_it_was_as_far_as_xml_can_hold_it(text: str):
    read = ElementTree.fromstring(f"<a>{escape_text(text)}</a>").text or ""
    writable = [c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") for c in text]
    assert read == "".join(c if can else "\ufffd" for c, can in zip(text, writable, strict=True))


def test_markup_and_carriage_returns_are_escaped():
    assert escape_text('<a b="c">&\r\n\t\x00') == ("&lt;a b=&quot;c&quot;&gt;&amp;&#xD;\n\t\ufffd")
