"""Our names of Query are those of botocore's model, and everything goes both ways by them.

Members are generated from the model's shapes; botocore's serializer and parser are the other side.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st

from eventcore import errors
from eventcore.api.sqs import SQS
from eventcore.api.sqs_faults import ERRORS
from eventcore.api.sqs_query import SQS_QUERY, WITHOUT_RESULT, spelling_of
from eventcore.wire.aws_query import ListSpelling, MapSpelling, parse_parameters
from eventcore.wire.aws_query_xml import write_result
from tests.wire.query_client import MODEL, NAMES, NAMESPACE, PARSER, operation_model, parameters_of
from tests.wire.service_model import load_model

NEWEST = SQS_QUERY[0]
JSON_MODEL = load_model("sqs")
JSON_SERIALIZER = create_serializer("json", include_validation=False)


# Names


def test_query_serves_the_operations_of_json_in_every_version():
    for service in SQS_QUERY:
        assert set(service.operations) == set(SQS.operations)
        assert service.missing_operations == SQS.missing_operations
        assert service.errors is SQS.errors
    assert (NEWEST.version, NEWEST.namespace) == (MODEL.api_version, NAMESPACE)


def test_operations_without_a_result_are_those_of_the_model():
    without = {name for name in MODEL.operation_names if operation_model(name).output_shape is None}
    assert without == WITHOUT_RESULT


def spelled(shape: Shape, member: str) -> ListSpelling | MapSpelling:
    """How the model spells a list or map."""
    assert shape.serialization.get("flattened"), "all of SQS's are flat"
    name = shape.serialization.get("name", member)
    if isinstance(shape, MapShape):
        key, value = (part.serialization["name"] for part in (shape.key, shape.value))
        return MapSpelling(name, key, value, is_flat=True)
    assert isinstance(shape, ListShape)
    return ListSpelling(shape.member.serialization["name"], is_flat=True)


def containers(shape: Shape | None) -> list[tuple[str, Shape]]:
    """All lists and maps in a shape with the members that hold them, however deep."""
    found: list[tuple[str, Shape]] = []
    if isinstance(shape, StructureShape):
        for member, inner in shape.members.items():
            if isinstance(inner, ListShape | MapShape):
                found.append((member, inner))
            found += containers(inner)
    elif isinstance(shape, ListShape):
        found += containers(shape.member)
    elif isinstance(shape, MapShape):
        found += containers(shape.value)
    return found


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_lists_and_maps_are_spelled_as_in_the_model(name: str):
    model, spelling = operation_model(name), spelling_of(name)
    for member, shape in containers(model.input_shape) + containers(model.output_shape):
        ours = spelling.maps if isinstance(shape, MapShape) else spelling.lists
        assert ours[member] == spelled(shape, member), member


def test_nothing_is_spelled_that_the_model_does_not_have():
    shapes = [s for n in MODEL.operation_names for s in shapes_of(n)]
    members = {member for shape in shapes for member, _ in containers(shape)}
    spelling = spelling_of("SendMessageBatch")
    assert members == {*spelling.lists, *spelling.maps}


def shapes_of(name: str) -> list[Shape]:
    model = operation_model(name)
    return [shape for shape in (model.input_shape, model.output_shape) if shape is not None]


def test_error_codes_are_those_of_the_model_of_query():
    for error in (
        errors.NotFound("queue", "a"),
        errors.AlreadyExists("queue", "a", "DelaySeconds"),
        errors.Conflict("queue", "a", "deleted recently"),
        errors.LimitExceeded("purge_interval_ms", 60_000, detail="a"),
        errors.UnsupportedOperation("sqs", "x"),
    ):
        fault = ERRORS[type(error)](error)
        assert fault.query_code == NAMES["codes"][fault.bare_code]


# Generated requests and answers

# What XML 1.0 can hold; in requests, too, since SQS lets nothing else into a queue.
TEXT = st.text(
    st.characters(
        codec="utf-8",
        exclude_characters="\ufffe\uffff",
        exclude_categories=["Cc", "Cs"],
        include_characters="\t\n\r",
    ),
    max_size=20,
)


def members_of(shape: Shape) -> st.SearchStrategy[Any]:
    """Members of a shape. Lists, maps and structures are never empty: Query cannot say it."""
    if isinstance(shape, StructureShape):
        members = {name: members_of(inner) for name, inner in shape.members.items()}
        return st.fixed_dictionaries({}, optional=members).filter(bool)
    if isinstance(shape, ListShape):
        return st.lists(members_of(shape.member), min_size=1, max_size=12)
    if isinstance(shape, MapShape):
        return st.dictionaries(TEXT, members_of(shape.value), min_size=1, max_size=12)
    return {
        "string": TEXT,
        "integer": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
        "boolean": st.booleans(),
        "blob": st.binary(max_size=20),
    }[shape.type_name]


@pytest.mark.parametrize("name", sorted(SQS.operations))
@given(data=st.data())
@settings(max_examples=50)
def test_a_request_of_query_is_the_one_of_json(name: str, data: st.DataObject):
    shape = operation_model(name).input_shape
    assert shape is not None
    members: dict[str, Any] = data.draw(members_of(shape) | st.just({}))
    sent = JSON_SERIALIZER.serialize_to_request(members, JSON_MODEL.operation_model(name))
    expected = SQS.operations[name].decode(sent["body"])
    parameters = urlencode(parameters_of(name, members)).encode()
    for query, body in ((parameters, b""), (b"", parameters)):
        assert NEWEST.operations[name].decode(parse_parameters(query, body)) == expected


ANSWERING = sorted(set(MODEL.operation_names) - WITHOUT_RESULT)


@pytest.mark.parametrize("name", ANSWERING)
@given(data=st.data())
@settings(max_examples=50)
def test_an_answer_of_query_says_what_the_one_of_json_says(name: str, data: st.DataObject):
    shape = operation_model(name).output_shape
    assert shape is not None
    members: dict[str, Any] = data.draw(members_of(shape) | st.just({}))
    body = json.dumps(members, default=base64_of).encode()
    xml = write_result(name, body, spelling_of(name), namespace=NAMESPACE, request_id="id")
    parsed = PARSER.parse({"status_code": 200, "headers": {}, "body": xml}, shape)
    assert parsed.pop("ResponseMetadata")["RequestId"] == "id"
    assert parsed == members


def base64_of(blob: bytes) -> str:
    return b64encode(blob).decode()


@pytest.mark.parametrize("name", sorted(WITHOUT_RESULT))
def test_an_operation_that_answers_nothing_has_no_element_for_it(name: str):
    xml = write_result(
        name, b"{}", spelling_of(name), namespace=NAMESPACE, request_id="id", has_result=False
    )
    assert xml.decode() == (
        f'<?xml version="1.0"?><{name}Response xmlns="{NAMESPACE}"><ResponseMetadata><RequestId>id'
        f"</RequestId></ResponseMetadata></{name}Response>"
    )
