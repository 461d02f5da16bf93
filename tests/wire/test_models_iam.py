"""Requests and answers of IAM and STS have the members and bounds of botocore's models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from botocore.model import ListShape, ServiceModel, Shape, StringShape, StructureShape

from eventcore.api import iam_constraints
from eventcore.api.constraints import Choice, Entries, Members, Number, Rule, Text
from eventcore.api.iam import IAM, WITHOUT_RESULT
from eventcore.api.iam_faults import ERRORS
from eventcore.api.iam_missing import MISSING_OPERATIONS as IAM_MISSING
from eventcore.api.operation import Service
from eventcore.api.query_constraints import Constraints
from eventcore.api.sts import CONSTRAINTS as STS_CONSTRAINTS
from eventcore.api.sts import MISSING_OPERATIONS as STS_MISSING
from eventcore.api.sts import STS
from eventcore.errors import AlreadyExists, Conflict, InvalidParameter, LimitExceeded, NotFound
from tests.wire.service_model import differences, load_model

IAM_MODEL = load_model("iam")
STS_MODEL = load_model("sts")
SERVED = [
    (service, model, constraints, name)
    for service, model, constraints in (
        (IAM, IAM_MODEL, iam_constraints.CONSTRAINTS),
        (STS, STS_MODEL, STS_CONSTRAINTS),
    )
    for name in sorted(service.operations)
]
each_operation = pytest.mark.parametrize(
    ("service", "model", "constraints", "name"), SERVED, ids=lambda value: str(value)[:40]
)


@pytest.mark.parametrize(
    ("service", "model", "missing"),
    [(IAM, IAM_MODEL, IAM_MISSING), (STS, STS_MODEL, STS_MISSING)],
    ids=["iam", "sts"],
)
def test_every_operation_of_the_model_is_served_or_listed_as_missing(service, model, missing):
    assert set(model.operation_names) == set(service.operations) | missing
    assert not set(service.operations) & missing
    assert service.missing_operations == missing


@pytest.mark.parametrize(
    ("service", "model"), [(IAM, IAM_MODEL), (STS, STS_MODEL)], ids=["iam", "sts"]
)
def test_the_service_is_addressed_as_the_model_says(service: Service, model: ServiceModel):
    assert service.version == model.api_version
    assert service.namespace == model.metadata["xmlNamespace"]
    assert model.metadata["protocol"] == "query"


def test_operations_without_a_result_are_those_of_the_model():
    served = set(IAM.operations)
    without = {name for name in served if IAM_MODEL.operation_model(name).output_shape is None}
    assert without == WITHOUT_RESULT


@each_operation
def test_a_request_struct_has_the_members_and_types_of_the_model(service, model, constraints, name):
    shape = model.operation_model(name).input_shape
    assert list(differences(service.operations[name].request_type, shape, name)) == []


@each_operation
def test_the_constraints_are_those_of_the_model(service, model, constraints: Constraints, name):
    shape = model.operation_model(name).input_shape
    ours = constraints.shape_of(service.operations[name].request_type)
    assert list(unlike(ours, shape, name)) == []


def unlike(rule: Rule | None, shape: Shape, path: str) -> Any:
    """Where a rule of ours is not what the model says of a shape."""
    if isinstance(shape, StructureShape):
        assert isinstance(rule, Members), path
        required = set(shape.required_members)
        for member, (name, inner) in zip(rule.members, shape.members.items(), strict=True):
            if member.name.lower() != name.lower() or member.is_required != (name in required):
                yield f"{path}.{name}: {member.name}, {member.is_required}"
            yield from unlike(member.rule, inner, f"{path}.{name}")
    elif isinstance(shape, ListShape):
        assert isinstance(rule, Entries), path
        yield from bounds(rule.lowest, rule.highest, shape, path)
        yield from unlike(rule.of, shape.member, path + "[]")
    elif isinstance(shape, StringShape) and shape.enum:
        if not isinstance(rule, Choice) or list(rule.values) != shape.enum:
            yield f"{path}: {rule}"
    elif isinstance(rule, Text | Number):
        yield from bounds(rule.lowest, rule.highest, shape, path)
        pattern = shape.metadata.get("pattern")
        # Tags are looked at by `read_tags`: their patterns have classes of Unicode.
        if isinstance(rule, Text) and rule.pattern != pattern and r"\p{L}" not in (pattern or ""):
            yield f"{path}: {rule.pattern} and {pattern}"
    elif rule is not None or shape.metadata:
        yield f"{path}: {rule} and {shape.metadata}"


def bounds(lowest: int | None, highest: int | None, shape: Shape, path: str) -> Any:
    told = (shape.metadata.get("min", 0), shape.metadata.get("max"))
    if (lowest or 0, highest) != told:
        yield f"{path}: {lowest}, {highest} and {told}"


def test_errors_have_the_codes_and_statuses_of_the_model():
    modelled = {
        shape.metadata["error"]["code"]: shape.metadata["error"]["httpStatusCode"]
        for name in IAM.operations
        for shape in IAM_MODEL.operation_model(name).error_shapes
    }
    for error in (
        NotFound("role", "r"),
        NotFound("policy version", "v1", "p"),
        AlreadyExists("policy", "p"),
        Conflict("role", "r", "attached policies"),
        Conflict("role", "r", "protected"),
        LimitExceeded("TAGS_MAX", 50),
        InvalidParameter("policy_document", "x"),
        InvalidParameter("policy_arn", "x"),
    ):
        fault = ERRORS[type(error)](error)
        assert modelled[fault.code] == fault.status, fault


def test_lists_are_spelled_as_nested_ones_everywhere():
    for name in IAM.operations:
        model = IAM_MODEL.operation_model(name)
        for shape in (model.input_shape, model.output_shape):
            for member in lists(shape):
                assert not member.serialization.get("flattened")
                assert member.member.serialization.get("name", "member") == "member"


def lists(shape: Shape | None) -> Any:
    if isinstance(shape, StructureShape):
        for member in shape.members.values():
            yield from lists(member)
    elif isinstance(shape, ListShape):
        yield shape
        yield from lists(shape.member)


COVERAGE = Path(__file__).parents[2] / "docs" / "coverage.md"


@pytest.mark.parametrize(
    ("heading", "service"), [("## STS", STS), ("## IAM", IAM)], ids=["sts", "iam"]
)
def test_every_operation_is_on_the_page_of_coverage(heading: str, service: Service):
    section = COVERAGE.read_text().partition(heading + "\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    served = {
        name
        for line in rows
        if "| missing |" not in line
        for name in re.findall(r"\b[A-Z]\w+\b", line.split("|")[1])
    }
    assert served - {"Operation"} == set(service.operations)
