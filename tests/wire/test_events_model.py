"""Requests and answers have the members and bounds of botocore's model of EventBridge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import botocore.loaders
import msgspec
import pytest
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

from eventcore import errors, limits
from eventcore.api.events import EVENTS, MISSING_OPERATIONS
from eventcore.api.events_faults import ERRORS
from eventcore.buses import rule
from eventcore.wire.fault import Fault

SCALARS = {"string": str, "integer": int, "boolean": bool, "timestamp": float}
MODEL = ServiceModel(botocore.loaders.Loader().load_service_model("events", "service-2"), "events")
UNMODELLED = {"ValidationException", "UnsupportedOperation"}
"""AWS sends the first without naming it in its model; the second is ours."""


def differences(given: Any, shape: Shape, path: str) -> Iterator[str]:
    """Where a type of ours differs from a shape of the model."""
    options = [option for option in get_args(given) if option is not type(None)]
    given = options[0] if type(None) in get_args(given) else given
    if isinstance(shape, StructureShape):
        if get_origin(given) is dict:
            return  # kept or refused as a whole
        fields = {field.encode_name: field for field in msgspec.structs.fields(given)}
        if fields.keys() != shape.members.keys():
            yield f"{path}: {sorted(fields)} and {sorted(shape.members)}"
            return
        for member, field in fields.items():
            assert not field.required, f"{path}.{member}: the handler says what is missing"
            yield from differences(field.type, shape.members[member], f"{path}.{member}")
    elif isinstance(shape, ListShape):
        yield from differences(get_args(given)[0], shape.member, f"{path}[]")
    elif isinstance(shape, MapShape):
        yield from differences(get_args(given)[1], shape.value, f"{path}{{}}")
    elif given is not SCALARS[shape.type_name]:
        yield f"{path}: {given} and {shape.type_name}"


def test_every_operation_of_the_model_is_served_or_listed_as_missing():
    assert set(MODEL.operation_names) == set(EVENTS.operations) | MISSING_OPERATIONS
    assert not set(EVENTS.operations) & MISSING_OPERATIONS


def test_the_service_is_addressed_as_the_model_says():
    assert EVENTS.target_prefix == MODEL.metadata["targetPrefix"]
    assert EVENTS.content_type.decode().endswith(MODEL.metadata["jsonVersion"])


@pytest.mark.parametrize("name", sorted(EVENTS.operations))
def test_a_request_struct_has_the_members_and_types_of_the_model(name):
    shape = MODEL.operation_model(name).input_shape
    assert shape is not None
    assert list(differences(EVENTS.operations[name].request_type, shape, name)) == []


@pytest.mark.parametrize(
    ("shape", "bound", "value"),
    [
        ("PutEventsRequestEntryList", "max", limits.PUT_EVENTS_ENTRIES_MAX),
        ("EventPattern", "max", limits.PATTERN_CHARACTERS_MAX),
        ("TargetInput", "max", limits.TARGET_INPUT_CHARACTERS_MAX),
        ("TransformerInput", "max", limits.TARGET_INPUT_CHARACTERS_MAX),
        ("TransformerPaths", "max", limits.INPUT_PATHS_MAX),
        ("TargetInputPath", "max", limits.INPUT_PATH_CHARACTERS_MAX),
        ("RuleName", "max", limits.RULE_NAME_CHARACTERS_MAX),
        ("TargetId", "max", limits.TARGET_ID_CHARACTERS_MAX),
        ("TargetArn", "max", limits.ARN_CHARACTERS_MAX),
        ("MessageGroupId", "max", limits.TARGET_GROUP_ID_CHARACTERS_MAX),
        ("EventBusName", "max", limits.BUS_NAME_CHARACTERS_MAX),
        ("EventBusDescription", "max", limits.DESCRIPTION_CHARACTERS_MAX),
        ("RuleDescription", "max", limits.DESCRIPTION_CHARACTERS_MAX),
        ("TagKey", "max", limits.TAG_KEY_CHARACTERS_MAX),
        ("TagValue", "max", limits.TAG_VALUE_CHARACTERS_MAX),
        ("MaximumRetryAttempts", "max", limits.RETRIES_MAX),
        ("MaximumEventAgeInSeconds", "min", limits.EVENT_AGE_MS_MIN // 1000),
        ("MaximumEventAgeInSeconds", "max", limits.EVENT_AGE_MS_MAX // 1000),
    ],
)
def test_a_bound_is_the_one_of_the_model(shape, bound, value):
    assert MODEL.shape_for(shape).metadata[bound] == value


def test_the_states_of_a_rule_are_those_of_the_model():
    assert list(rule.RULE_STATES) == MODEL.shape_for("RuleState").enum  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "error",
    [
        errors.NotFound("rule", "r", "default"),
        errors.NotFound("bus", "b"),
        errors.AlreadyExists("bus", "b"),
        errors.Conflict("rule", "r", "has targets"),
        errors.Conflict("bus", "b", "deleted recently"),
        errors.LimitExceeded("TARGETS_PER_RULE_MAX", 5),
        errors.InvalidPattern("x"),
        errors.InvalidParameter("name", "Member must have length less than or equal to 64", "x"),
        errors.MissingParameter("name"),
        errors.UnsupportedOperation("events", "PutRule", "ScheduleExpression"),
    ],
)
def test_every_error_has_a_code_that_aws_has(error):
    make = next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)
    fault = make(error)
    assert isinstance(fault, Fault)
    assert fault.code in UNMODELLED or fault.code in MODEL.shape_names
