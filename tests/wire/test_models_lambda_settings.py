"""Requests, answers and constraints of invocations, settings and mappings are those of botocore's
model of Lambda.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from eventcore.api import functions_settings_answers as answers
from eventcore.api import mappings_constraints
from eventcore.api.constraints import (
    Choice,
    Entries,
    Members,
    Number,
    Pairs,
    Rule,
    Text,
    member_name,
)
from eventcore.api.functions_invoke import INVOKE_OPERATIONS
from eventcore.api.functions_settings import SETTINGS_OPERATIONS
from eventcore.api.functions_settings_requests import CONSTRAINTS
from eventcore.api.mappings import MAPPING_OPERATIONS
from eventcore.api.mappings_answers import ListMappingsAnswer, MappingAnswer
from eventcore.api.rest import RestInput, RestOperation
from tests.wire.service_model import SCALARS, differences, load_model, without_none

MODEL = load_model("lambda")
OPERATIONS = {
    operation.name: operation
    for operation in (
        *INVOKE_OPERATIONS,
        *MAPPING_OPERATIONS,
        *SETTINGS_OPERATIONS,
    )
}
ANSWERS: dict[str, Any] = {
    "CreateEventSourceMapping": MappingAnswer,
    "DeleteEventSourceMapping": MappingAnswer,
    "GetAccountSettings": answers.AccountSettingsAnswer,
    "GetEventSourceMapping": MappingAnswer,
    "GetFunctionConcurrency": answers.ConcurrencyAnswer,
    "GetFunctionEventInvokeConfig": answers.EventInvokeConfigAnswer,
    "GetFunctionRecursionConfig": answers.RecursionConfigAnswer,
    "GetProvisionedConcurrencyConfig": answers.ProvisionedAnswer,
    "ListEventSourceMappings": ListMappingsAnswer,
    "ListFunctionEventInvokeConfigs": answers.ListEventInvokeConfigsAnswer,
    "ListProvisionedConcurrencyConfigs": answers.ListProvisionedAnswer,
    "PutFunctionConcurrency": answers.ConcurrencyAnswer,
    "PutFunctionEventInvokeConfig": answers.EventInvokeConfigAnswer,
    "PutFunctionRecursionConfig": answers.RecursionConfigAnswer,
    "PutProvisionedConcurrencyConfig": answers.ProvisionedAnswer,
    "UpdateEventSourceMapping": MappingAnswer,
    "UpdateFunctionEventInvokeConfig": answers.EventInvokeConfigAnswer,
}
"""The others answer nothing, or what a function answers."""
NOT_ANSWERED = {
    "AmazonManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "FilterCriteriaError",
    "LoggingConfig",
    "Queues",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfigurations",
    "Topics",
}
"""Members of sources that there are none of here, and of failures that do not occur."""
IN_JAVA = {"Tags"}
"""Their patterns are in a language that `re` does not speak."""


def rule_of(name: str) -> Rule:
    request_type = OPERATIONS[name].request_type
    return CONSTRAINTS.get(request_type) or mappings_constraints.shape_of(request_type)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_is_where_the_model_says(name: str) -> None:
    operation: RestOperation[Any] = OPERATIONS[name]
    http = MODEL.operation_model(name).http
    path = "/" + "/".join(
        f"{{{part.label}}}" if part.label else part.text.decode() for part in operation.parts
    )
    fixed = "&".join(f"{key}={value}" for key, value in sorted(operation.fixed_query))
    assert operation.method.decode() == http["method"]
    assert path + (f"?{fixed}" if fixed else "") == http["requestUri"].rstrip("/")
    expected = http.get("responseCode", 200)
    assert operation.status == expected


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_request_struct_has_the_members_and_types_of_the_model(name: str) -> None:
    shape = MODEL.operation_model(name).input_shape
    request_type = OPERATIONS[name].request_type
    assert list(differences(request_type, shape, name)) == []


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_a_member_is_read_from_the_place_that_the_model_says(name: str) -> None:
    operation = OPERATIONS[name]
    for member, shape in MODEL.operation_model(name).input_shape.members.items():
        given = probe(operation, member, shape)
        (attribute,) = (
            field.name
            for field in msgspec.structs.fields(operation.request_type)
            if field.encode_name == member
        )
        assert getattr(given, attribute) is not None, member


def probe(operation: RestOperation[Any], member: str, shape: Shape) -> Any:
    """The request of an operation that is given one member, where the model places it."""
    labels = {part.label: "x" for part in operation.parts if part.label}
    given = RestInput(labels, [], {}, b"")
    place = shape.serialization.get("location")
    wire_name = shape.serialization.get("name", member)
    text = "1" if shape.type_name == "integer" else "x"
    payload = MODEL.operation_model(operation.name).input_shape.serialization.get("payload")
    if place == "querystring":
        given.query = [(wire_name, text)]
    elif place == "header":
        given.headers = {wire_name.lower().encode(): text.encode()}
    elif member == payload:
        given.body = b"raw"
    elif place is None:
        sample = {"structure": {}, "list": [], "map": {}, "boolean": True, "string": "x"}
        given.body = msgspec.json.encode({member: sample.get(shape.type_name, 1)})
    return operation.decode(given)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_the_constraints_of_a_request_are_those_of_the_model(name: str) -> None:
    shape = MODEL.operation_model(name).input_shape
    assert list(rule_differences(rule_of(name), shape, name)) == []


def rule_differences(rule: Rule | None, shape: Shape, path: str) -> Iterator[str]:
    """Where a rule of ours differs from a shape of the model."""
    if rule is None and is_refused(shape):
        return
    bounds = {bound: shape.metadata.get(bound) for bound in ("min", "max")}
    if isinstance(shape, StructureShape):
        assert isinstance(rule, Members), path
        members = {member.name: member for member in rule.members}
        assert members.keys() == set(map(member_name, shape.members)), path
        for name, of_model in shape.members.items():
            member = members[member_name(name)]
            if member.is_required != (name in shape.required_members):
                yield f"{path}.{name}: required {member.is_required}"
            yield from rule_differences(member.rule, of_model, f"{path}.{name}")
    elif isinstance(shape, ListShape):
        assert isinstance(rule, Entries), path
        yield from told(path, bounds, rule.lowest, rule.highest)
        yield from rule_differences(rule.of, shape.member, path + "[]")
    elif isinstance(shape, MapShape):
        assert isinstance(rule, Pairs), path
        yield from rule_differences(rule.key, shape.key, path + "{key}")
        yield from rule_differences(rule.value, shape.value, path + "{value}")
    elif "enum" in shape.metadata:
        if not isinstance(rule, Choice) or sorted(rule.values) != sorted(shape.metadata["enum"]):
            yield f"{path}: {rule}"
    elif isinstance(rule, (Number, Text)):
        yield from told(path, bounds, rule.lowest, rule.highest)
        of_model = None if path.split(".")[1][:4] in IN_JAVA else shape.metadata.get("pattern")
        if getattr(rule, "pattern", None) != of_model:
            yield f"{path}: {rule} and {of_model}"
    elif any(bound is not None for bound in bounds.values()) or "pattern" in shape.metadata:
        yield f"{path}: no rule for {dict(shape.metadata)}"


def is_refused(shape: Shape) -> bool:
    """Whether a member is of sources that there are none of here, and refused as a whole."""
    if isinstance(shape, ListShape):
        return shape.name == "SourceAccessConfigurations"
    return "Kafka" in shape.name or shape.name in (
        "DocumentDBEventSourceConfig",
        "SelfManagedEventSource",
    )


def told(
    path: str, bounds: dict[str, int | None], lowest: int | None, highest: int | None
) -> Iterator[str]:
    if (bounds["min"] or 0, bounds["max"]) != (lowest or 0, highest):
        yield f"{path}: {lowest} to {highest} and {bounds}"


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_answer_struct_has_the_members_and_types_of_the_model(name: str) -> None:
    shape = MODEL.operation_model(name).output_shape
    answer = ANSWERS.get(name)
    if answer is None:
        assert shape is None or name.startswith("Invoke")
        return
    assert list(answer_differences(answer, shape, name)) == []


def answer_differences(given: Any, shape: Shape, path: str) -> Iterator[str]:
    given = without_none(given)
    if isinstance(shape, StructureShape):
        fields = {field.encode_name: field for field in msgspec.structs.fields(given)}
        hints = get_type_hints(given)
        if fields.keys() != shape.members.keys() - NOT_ANSWERED:
            yield f"{path}: {sorted(fields)} and {sorted(shape.members)}"
        for name in fields.keys() & shape.members.keys():
            field = fields[name]
            assert field.required or field.default is None, "what is left out is None"
            yield from answer_differences(hints[field.name], shape.members[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        assert get_origin(given) is list
        yield from answer_differences(get_args(given)[0], shape.member, path + "[]")
    elif given is not {**SCALARS, "long": int}[shape.type_name]:
        yield f"{path}: {given} and {shape.type_name}"


def test_the_patterns_of_the_model_are_ours_to_compile() -> None:
    patterns = {pattern for name in OPERATIONS for pattern in patterns_of(rule_of(name))}
    assert all(re.compile(pattern, re.ASCII) for pattern in patterns)
    assert len(patterns) >= 10


def patterns_of(rule: Rule | None) -> Iterator[str]:
    if isinstance(rule, Members):
        for member in rule.members:
            yield from patterns_of(member.rule)
    elif isinstance(rule, Entries):
        yield from patterns_of(rule.of)
    elif isinstance(rule, Text) and rule.pattern:
        yield rule.pattern
