"""Which members of Kinesis's answers are timestamps, compared with botocore's model."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.model import Shape

from eventcore.api.kinesis import KINESIS
from eventcore.api.kinesis_cbor import KINESIS_CBOR, TIMESTAMPS
from tests.wire.service_model import load_model

MODEL = load_model("kinesis")


def members_of(shape: Shape | None) -> Iterator[tuple[str, str]]:
    """All members of a shape and of the shapes in it, with the names of their types."""
    if shape is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield name, member.type_name
            yield from members_of(member)
    elif shape.type_name == "list":
        yield from members_of(shape.member)
    elif shape.type_name == "map":
        yield from members_of(shape.value)


@pytest.mark.parametrize("name", sorted(KINESIS.operations))
def test_the_timestamps_of_an_answer_are_those_of_the_model(name):
    members = list(members_of(MODEL.operation_model(name).output_shape))
    timestamps = {member for member, kind in members if kind == "timestamp"}
    assert timestamps <= TIMESTAMPS
    assert not TIMESTAMPS & {member for member, kind in members if kind != "timestamp"}


def test_every_timestamp_is_one_of_some_answer():
    of_model: set[str] = set()
    for name in KINESIS.operations:
        shape = MODEL.operation_model(name).output_shape
        of_model |= {member for member, kind in members_of(shape) if kind == "timestamp"}
    assert of_model == TIMESTAMPS


def test_the_service_has_the_same_operations_in_both_protocols():
    assert KINESIS_CBOR.operations.keys() == KINESIS.operations.keys()
    assert KINESIS_CBOR.missing_operations == KINESIS.missing_operations
    assert KINESIS_CBOR.target_prefix == KINESIS.target_prefix
    assert KINESIS_CBOR.has_extended_id
