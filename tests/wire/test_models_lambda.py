"""Requests, answers, constraints and paths are those of botocore's model of Lambda."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from eventcore import limits
from eventcore.api import functions_answers as answers
from eventcore.api import functions_constraints, functions_faults
from eventcore.api.constraints import Choice, Member, Members, Number, Rule, Text, member_name
from eventcore.api.functions import GET_CODE, LAMBDA
from eventcore.api.functions_constraints import shape_of
from eventcore.api.functions_missing import MISSING_ROUTES
from eventcore.api.functions_settings_requests import GetAccountSettingsRequest
from eventcore.api.rest import RestOperation
from tests.wire.service_model import SCALARS, differences, load_model, without_none

MODEL = load_model("lambda")
OURS = [name for name in sorted(LAMBDA.operations) if name != GET_CODE]
OF_FUNCTIONS = [
    name
    for name in OURS
    if LAMBDA.operations[name].request_type.__module__ == "eventcore.api.functions_requests"
]
"""Invocations, settings and mappings have structs and constraints of their own."""

STATUSES = {"DeleteFunction": 204}
"""AWS answers with them, and the model says otherwise."""
LOWER = {
    "MemorySize": limits.FUNCTION_MEMORY_MB_MAX,
    "Size": limits.FUNCTION_MEMORY_MB_MAX,
    "Timeout": limits.FUNCTION_TIMEOUT_MS_MAX // 1000,
}
"""Quotas that are below the model's bounds."""
TOLD_APART = {
    "architectures",
    "runtime",
    "tagKeys",
    "tags",
    "variables",
    "additionalVersionWeights",
}
"""Members that are checked and told in a way of their own, or after the constraints."""
AS_A_WHOLE = {"subnetIds", "securityGroupIds", "layers"}
"""Lists that are kept, or refused, as they come."""
ALTERNATIVES = {"RuntimeVersionArn"}
"""Patterns of the model with alternatives that nothing here has."""
NOT_SHOWN = {
    "CapacityProviderConfig",
    "ConfigSha256",
    "DurableConfig",
    "Error",
    "FileSystemConfigs",
    "ImageConfigResponse",
    "ImageUri",
    "Layers",
    "MasterArn",
    "ResolvedImageUri",
    "ResolvedS3Object",
    "SigningJobArn",
    "SigningProfileVersionArn",
    "SourceKMSKeyArn",
    "TagsError",
    "TenancyConfig",
}
"""Members of answers about what there is none of here."""

SENT = {"InvalidParameterValueException", "PolicyLengthExceededException"}
"""Codes of errors whose status is 400."""

ANSWERS: dict[str, Any] = {
    "AddPermission": answers.AddPermissionAnswer,
    "CreateAlias": answers.AliasAnswer,
    "CreateFunction": answers.ConfigurationAnswer,
    "GetAlias": answers.AliasAnswer,
    "GetFunction": answers.GetFunctionAnswer,
    "GetFunctionConfiguration": answers.ConfigurationAnswer,
    "GetPolicy": answers.GetPolicyAnswer,
    "GetRuntimeManagementConfig": answers.RuntimeManagementAnswer,
    "ListAliases": answers.ListAliasesAnswer,
    "ListFunctions": answers.ListFunctionsAnswer,
    "ListTags": answers.ListTagsAnswer,
    "ListVersionsByFunction": answers.ListVersionsAnswer,
    "PublishVersion": answers.ConfigurationAnswer,
    "PutRuntimeManagementConfig": answers.RuntimeManagementAnswer,
    "UpdateAlias": answers.AliasAnswer,
    "UpdateFunctionCode": answers.ConfigurationAnswer,
    "UpdateFunctionConfiguration": answers.ConfigurationAnswer,
}
"""The others answer nothing, or an empty object."""


def test_every_operation_of_the_model_is_served_or_listed_as_missing():
    assert set(MODEL.operation_names) == set(OURS) | LAMBDA.missing_operations
    assert not set(OURS) & LAMBDA.missing_operations
    assert len(OURS) + len(MISSING_ROUTES) == len(MODEL.operation_names)


@pytest.mark.parametrize("name", OURS)
def test_an_operation_has_the_method_path_and_status_of_the_model(name):
    operation = LAMBDA.operations[name]
    assert isinstance(operation, RestOperation)
    http = MODEL.operation_model(name).http
    path = "".join(
        f"/{{{part.label}}}" if part.label else f"/{part.text.decode()}" for part in operation.parts
    )
    query = "&".join(f"{key}={value}" for key, value in operation.fixed_query)
    assert operation.method.decode() == http["method"]
    assert path + ("?" + query if query else "") == http["requestUri"]
    assert operation.status == STATUSES.get(name, http["responseCode"])


def test_a_missing_operation_has_the_method_and_path_of_the_model():
    told = {route.name: (route.method, route.path) for route in MISSING_ROUTES}
    model = {name: MODEL.operation_model(name).http for name in told}
    assert told == {name: (http["method"], http["requestUri"]) for name, http in model.items()}


@pytest.mark.parametrize("name", OURS)
def test_a_member_comes_from_where_the_model_says(name):
    operation = LAMBDA.operations[name]
    shape = MODEL.operation_model(name).input_shape
    places = {
        (member, of_model.serialization.get("location"))
        for member, of_model in shape.members.items()
    }
    labels = {member for member, place in places if place == "uri"}
    assert set(operation.labels) == labels  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", OF_FUNCTIONS)
def test_a_request_struct_has_the_members_and_types_of_the_model(name):
    shape = MODEL.operation_model(name).input_shape
    assert list(differences(LAMBDA.operations[name].request_type, shape, name)) == []


@pytest.mark.parametrize("name", OF_FUNCTIONS)
def test_the_constraints_of_a_request_are_those_of_the_model(name):
    shape = MODEL.operation_model(name).input_shape
    rule = shape_of(LAMBDA.operations[name].request_type)
    assert list(rule_differences(rule, shape, name, "")) == []


def rule_differences(rule: Rule | None, shape: Shape, path: str, name: str) -> Iterator[str]:
    """Where a rule of ours differs from a shape of the model."""
    if rule is None and (name in AS_A_WHOLE or name in TOLD_APART):
        return
    if isinstance(shape, StructureShape):
        if rule is not None:
            assert isinstance(rule, Members), path
            yield from member_differences(rule, shape, path)
    elif "enum" in shape.metadata:
        if not isinstance(rule, Choice) or list(rule.values) != shape.metadata["enum"]:
            yield f"{path}: {rule}"
    elif isinstance(rule, (Number, Text)):
        highest = LOWER.get(path.rpartition(".")[2], shape.metadata.get("max"))
        bounds = (shape.metadata.get("min", 0), highest)
        if (rule.lowest or 0, rule.highest) != bounds:
            yield f"{path}: {rule} and {bounds}"
        pattern = shape.metadata.get("pattern")
        is_partial = path.rpartition(".")[2] in ALTERNATIVES
        # ".*" allows all of one line; SDKs do not check it, and nothing here depends on it.
        if getattr(rule, "pattern", None) != pattern and pattern != ".*" and not is_partial:
            yield f"{path}: {rule} and {pattern}"
    elif not isinstance(shape, (ListShape, MapShape)) and shape.metadata.keys() & {"min", "max"}:
        yield f"{path}: no rule for {dict(shape.metadata)}"


def member_differences(rule: Members, shape: StructureShape, path: str) -> Iterator[str]:
    members: dict[str, Member] = {member.name: member for member in rule.members}
    assert members.keys() == set(map(member_name, shape.members)), path
    for name, of_model in shape.members.items():
        member = members[member_name(name)]
        if member.is_required != (name in shape.required_members):
            yield f"{path}.{name}: required {member.is_required}"
        yield from rule_differences(member.rule, of_model, f"{path}.{name}", member.name)


@pytest.mark.parametrize("name", OF_FUNCTIONS)
def test_an_answer_struct_has_the_members_and_types_of_the_model(name):
    shape = MODEL.operation_model(name).output_shape
    answer = ANSWERS.get(name)
    if answer is None:
        assert shape is None or name in ("DeleteFunction", "GetFunctionCodeSigningConfig")
        return
    assert list(answer_differences(answer, shape, name)) == []


def answer_differences(given: Any, shape: Shape, path: str) -> Iterator[str]:
    given = without_none(given)
    if isinstance(shape, StructureShape):
        if get_origin(given) is dict:
            return  # shown as it is kept
        hints = get_type_hints(given)
        fields = {field.encode_name: field for field in msgspec.structs.fields(given)}
        if fields.keys() != shape.members.keys() - NOT_SHOWN:
            yield f"{path}: {sorted(fields)} and {sorted(shape.members)}"
            return
        for name, field in fields.items():
            assert field.required or field.default is None, "what is left out is None"
            assert field.required or name not in shape.required_members, f"{path}.{name}"
            yield from answer_differences(hints[field.name], shape.members[name], f"{path}.{name}")
    elif isinstance(shape, ListShape):
        assert get_origin(given) is list
        yield from answer_differences(get_args(given)[0], shape.member, path + "[]")
    elif isinstance(shape, MapShape):
        assert get_origin(given) is dict
    elif given is not {**SCALARS, "long": int}[shape.type_name]:
        yield f"{path}: {given} and {shape.type_name}"


def test_the_statuses_of_errors_are_those_of_the_model():
    for code, status in functions_faults.STATUSES.items():
        if code in MODEL.shape_names:
            assert MODEL.shape_for(code).metadata["error"]["httpStatusCode"] == status, code
    for code in SENT:
        assert MODEL.shape_for(code).metadata["error"]["httpStatusCode"] == 400
        assert code not in functions_faults.STATUSES


def test_the_text_of_an_error_is_in_the_member_of_the_model():
    codes = SENT | functions_faults.STATUSES.keys() | functions_faults.CAPITAL_MESSAGE
    of_model = codes & set(MODEL.shape_names)
    assert len(of_model) > 10
    for code in of_model:
        is_capital = "Message" in MODEL.shape_for(code).members
        assert is_capital == (code in functions_faults.CAPITAL_MESSAGE), code


def test_the_choices_are_those_of_the_model():
    assert list(functions_constraints.ARCHITECTURES) == MODEL.shape_for("Architecture").enum
    assert MODEL.shape_for("Timestamp").type_name == "string", "LastModified is a text"


def test_the_patterns_of_the_model_are_ours_to_compile():
    patterns = {
        member.rule.pattern
        for name in OF_FUNCTIONS
        for member in shape_of(LAMBDA.operations[name].request_type).members
        if isinstance(member.rule, Text) and member.rule.pattern
    }
    assert all(re.compile(pattern, re.ASCII) for pattern in patterns)
    assert len(patterns) >= 10


def test_an_operation_without_members_reads_nothing():
    assert msgspec.structs.fields(GetAccountSettingsRequest) == ()


def test_every_operation_is_on_the_page_of_coverage() -> None:
    page = (Path(__file__).parents[2] / "docs" / "coverage.md").read_text()
    table = page.partition("## Lambda\n")[2].partition("\n### ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    told: dict[bool, set[str]] = {True: set(), False: set()}
    for line in rows:
        is_served = "| missing |" not in line
        told[is_served].update(re.findall(r"\b[A-Z]\w+\b", line.split("|")[1]))
    assert told[True] - {"Operation"} == set(OURS)
    assert told[False] - {"URLs"} == {route.name for route in MISSING_ROUTES}
