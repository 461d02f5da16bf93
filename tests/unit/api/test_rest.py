"""AWS REST-JSON: which operation a method and a path name, and what its request says."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from eventcore.api.operation import RestAnswer, Service
from eventcore.api.rest import REST_JSON, MissingRoute, RestInput, RestOperation, RestRoutes
from eventcore.wire.fault import Fault


class Thing(msgspec.Struct, frozen=True, rename="pascal"):
    name: str | None = None
    part: str | None = None
    size: int | None = None
    is_big: bool | None = None
    tag_keys: list[str] | None = None
    kind: str | None = None
    text: str | None = None
    blob: bytes | None = None


class Raw(msgspec.Struct, frozen=True, rename="pascal"):
    name: str | None = None
    payload: bytes = b""


def say(call: Any, request: Any) -> bytes:
    return b"{}"


def operation(name: str, method: str, path: str, **options: Any) -> RestOperation[Any]:
    return RestOperation(name, options.pop("of", Thing), say, method, path, **options)


UPDATE = operation(
    "Update",
    "PUT",
    "/v1/things/{Name}/parts/{Part}",
    query={"Size": "Size", "IsBig": "IsBig", "tagKeys": "TagKeys"},
    headers={"Kind": "X-Amz-Kind"},
)
OPERATIONS = [
    UPDATE,
    operation("Create", "POST", "/v1/things", status=201),
    operation("List", "GET", "/v1/things"),
    operation("Get", "GET", "/v1/things/{Name}"),
    operation("Latest", "GET", "/v1/things/latest"),
    operation("One", "GET", "/v2/configs/{Name}"),
    operation("All", "GET", "/v2/configs/{Name}?List=ALL"),
    operation("Send", "POST", "/v1/things/{Name}/send", of=Raw, payload="Payload"),
]
SERVICE = Service(
    name="things", target_prefix="", content_type=REST_JSON, errors={}, operations=OPERATIONS
)
ROUTES = RestRoutes(SERVICE, [MissingRoute("Fold", "POST", "/v1/things/{Name}/fold")])


def find(method: str, target: str, body: bytes = b"", **headers: str) -> tuple[str, Any]:
    """The operation's name and its request."""
    lines = {name.encode(): value.encode() for name, value in headers.items()}
    name, found, given = ROUTES.find(method.encode(), target.encode(), lines, body)
    return name, None if found is None else found.decode(given)


@pytest.mark.parametrize(
    ("method", "target", "name"),
    [
        ("POST", "/v1/things", "Create"),
        ("GET", "/v1/things", "List"),
        ("GET", "/v1/things/", "List"),
        ("GET", "/v1/things?Size=1", "List"),
        ("GET", "/v1/things/a", "Get"),
        ("GET", "/v1/things/latest", "Latest"),
        ("PUT", "/v1/things/a/parts/b", "Update"),
        ("GET", "/v2/configs/a", "One"),
        ("GET", "/v2/configs/a?Size=1&List=ALL", "All"),
        ("GET", "/v2/configs/a?List=SOME", "One"),
        ("POST", "/v1/things/a/fold", "Fold"),
    ],
)
def test_method_and_path_name_the_operation(method, target, name):
    assert find(method, target)[0] == name


def test_an_operation_that_we_lack_is_found_without_one():
    assert find("POST", "/v1/things/a/fold") == ("Fold", None)


@pytest.mark.parametrize("target", ["/v1", "/v1/", "/v1/other", "/v1/things/a/b", "/", "", "/v1//"])
def test_a_path_of_no_operation_is_unknown(target):
    with pytest.raises(Fault) as caught:
        find("GET", target)
    assert caught.value.bare_code == "UnknownOperationException"
    assert caught.value.status == 404


def test_another_method_is_told_with_those_that_are_allowed():
    with pytest.raises(Fault) as caught:
        find("DELETE", "/v1/things")
    assert caught.value.status == 404
    assert caught.value.message == "This path is called with GET, POST, and not with DELETE."


def test_the_first_parts_of_all_paths_are_the_roots():
    assert ROUTES.roots == {b"v1", b"v2"}


def test_two_operations_of_one_method_and_path_are_a_mistake():
    twins = [operation("A", "GET", "/v1/{Name}"), operation("B", "GET", "/v1/{Part}")]
    service = Service(
        name="twins", target_prefix="", content_type=REST_JSON, errors={}, operations=twins
    )
    with pytest.raises(AssertionError, match="B"):
        RestRoutes(service)


# Requests


def test_members_come_from_labels_query_headers_and_body():
    _, request = find(
        "PUT",
        "/v1/things/a%2Fb/parts/arn%3Aaws%3Ax?Size=12&IsBig=true&tagKeys=k%201&tagKeys=k+2",
        json.dumps({"Text": "t", "Blob": "AAE="}).encode(),
        **{"x-amz-kind": "small"},
    )
    assert request == Thing("a/b", "arn:aws:x", 12, True, ["k 1", "k 2"], "small", "t", b"\x00\x01")


def test_what_is_not_given_is_none():
    assert find("PUT", "/v1/things/a/parts/b")[1] == Thing("a", "b")


def test_members_with_a_place_are_not_read_from_the_body():
    body = json.dumps({"Name": "other", "Size": 3, "Kind": "k", "Text": "t"}).encode()
    assert find("PUT", "/v1/things/a/parts/b", body)[1] == Thing("a", "b", text="t")


def test_the_last_of_several_values_counts():
    assert find("PUT", "/v1/things/a/parts/b?Size=1&Size=-2")[1].size == -2


def test_a_raw_body_is_taken_as_it_is():
    assert find("POST", "/v1/things/a/send", b"\xff no JSON")[1] == Raw("a", b"\xff no JSON")


def test_a_character_beyond_ascii_is_percent_encoded_utf_8():
    assert find("GET", "/v1/things/%C3%BC")[1].name == "ü"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("Size=abc", "'abc' can not be converted to an Integer"),
        ("Size=", "'' can not be converted to an Integer"),
        ("Size=1.5", "'1.5' can not be converted to an Integer"),
        ("Size=" + "9" * 30, f"'{'9' * 30}' can not be converted to an Integer"),
        ("IsBig=maybe", "'maybe' can not be converted to a Boolean"),
    ],
)
def test_a_query_value_of_a_wrong_type_is_a_serialization_error(query, text):
    with pytest.raises(Fault) as caught:
        find("PUT", f"/v1/things/a/parts/b?{query}")
    assert caught.value.bare_code == "SerializationException"
    assert caught.value.message == text


@pytest.mark.parametrize("target", ["/v1/things/%FF", "/v1/things?Name=%FF"])
def test_what_is_no_text_is_a_serialization_error(target):
    with pytest.raises(Fault) as caught:
        find("GET", target)
    assert caught.value.bare_code == "SerializationException"


def test_a_query_of_too_many_parameters_is_refused():
    with pytest.raises(Fault) as caught:
        find("GET", "/v1/things?" + "&".join(["a=b"] * 600))
    assert caught.value.bare_code == "SerializationException"


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"Text": 1}', b"\xff"])
def test_a_body_that_is_not_the_operations_is_the_decoders_error(body):
    with pytest.raises(msgspec.DecodeError):
        find("POST", "/v1/things", body)


def test_a_success_leaves_with_the_operations_status():
    create = SERVICE.operations["Create"]
    given = create.decode(RestInput({}, [], {}, b"{}"))
    answer = create.handle(None, given)  # type: ignore[arg-type]
    assert answer == RestAnswer(201, {}, b"{}")
    assert SERVICE.operations["List"].handle(None, given) == b"{}"  # type: ignore[arg-type]


# Answers


def test_headers_of_an_answer_are_lines():
    answer = RestAnswer(200, {"x-a": "1", "content-type": "application/zip", "x-b": "2"})
    assert answer.lines == b"x-a: 1\r\nx-b: 2\r\n"


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb"])
def test_a_header_never_becomes_two(value):
    with pytest.raises(ValueError, match="line break"):
        assert RestAnswer(200, {"x-a": value}).lines
