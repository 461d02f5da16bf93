"""botocore's models of the services, and how our requests and answers are compared with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import botocore.loaders
import msgspec
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.validate import ParamValidator

SCALARS = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "double": float,
    "blob": bytes,
    "timestamp": float,  # AWS JSON has epoch seconds
}


def load_model(name: str) -> ServiceModel:
    """The model of a service by botocore's name for it."""
    loader = botocore.loaders.Loader()
    return ServiceModel(loader.load_service_model(name, "service-2"), name)


def differences(given: Any, shape: Shape, path: str) -> Iterator[str]:
    """Where a type of ours differs from a shape of the model.

    A structure that is refused or kept as a whole may be `dict[str, Any]`.
    """
    given = without_none(given)
    if isinstance(shape, StructureShape):
        if given == dict[str, Any]:
            return
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
        assert get_origin(given) is dict
        yield from differences(get_args(given)[1], shape.value, f"{path}{{}}")
    elif given is not SCALARS[shape.type_name]:
        yield f"{path}: {given} and {shape.type_name}"


def without_none(given: Any) -> Any:
    """The type of a member that may be absent."""
    options = [option for option in get_args(given) if option is not type(None)]
    return options[0] if type(None) in get_args(given) else given


def answer_faults(answer: Any, model: OperationModel, absent: frozenset[str] = frozenset()) -> str:
    """What is wrong with an answer, as text; empty for nothing.

    Members of lists that AWS leaves out, though its model requires them, are named in `absent`.
    """
    if model.output_shape is None:
        return "" if answer == {} else f"{model.name} answers nothing, and not {answer}"
    unknown = answer.keys() - model.output_shape.members.keys()
    if unknown:
        return f"{model.name}: {sorted(unknown)} are no members of the answer"
    shown = {**{member: [] for member in absent}, **answer}
    report = ParamValidator().validate(shown, model.output_shape)
    return f"{model.name}: {report.generate_report()}" if report.has_errors() else ""
