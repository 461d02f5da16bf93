r"""EventBridge's InputTransformer: a template with variables, filled in from an event.

Rules of this file (AWS, "Amazon EventBridge input transformation", and answers AWS gave):

- `<name>` stands for the value at the path of that name in InputPathsMap. Predefined, and reserved:
  aws.events.rule-arn, aws.events.rule-name, aws.events.event.ingestion-time, aws.events.event (the
  event without its detail) and aws.events.event.json (all of it); the last two only in a template
  that is a JSON object.
- Outside quotes a value is written as JSON: `{"id": <id>}` gives `{"id": "x"}` or `{"id": [1]}`.
- Inside quotes it becomes part of the string: strings as they are (escaped), anything else as JSON
  without its quotes: `"got <list>"` gives `"got [A,B]"`.
- A variable whose path finds nothing is the empty string, in both places.
- The template's own text, whitespace included, stays as it is.
- A template is one JSON value, or several with a line break between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from eventcore import limits
from eventcore.buses.event import Envelope, iso_seconds
from eventcore.buses.input_path import ABSENT, compile_path, find
from eventcore.codec import decode_json, encode_json
from eventcore.errors import InvalidParameter

__all__ = ["InputTransformer", "Render", "compile_transformer"]

Render = Callable[[Envelope], str]
"""Makes the body for one target from an event."""

_VARIABLE: Final = re.compile(r"<([A-Za-z0-9_.\-]+)>")
_QUOTE_OR_ESCAPE: Final = re.compile(r'\\.|"', re.DOTALL)
_JSON_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_RESERVED: Final = "aws.events."
_RULE_ARN: Final = "aws.events.rule-arn"
_RULE_NAME: Final = "aws.events.rule-name"
_INGESTION_TIME: Final = "aws.events.event.ingestion-time"
_EVENT: Final = "aws.events.event"
_EVENT_JSON: Final = "aws.events.event.json"


class InputTransformer(msgspec.Struct, frozen=True, array_like=True):
    """A target's template and the paths of its variables (botocore, InputTransformer of events)."""

    template: str
    paths: dict[str, str] = {}


_Value = Callable[[Envelope], str]
"""A variable's value as JSON text."""


def compile_transformer(
    transformer: InputTransformer, *, target_id: str, rule_arn: str, rule_name: str
) -> Render:
    """The renderer of a transformer. Raises InvalidParameter, its reason AWS's message."""
    _check_sizes(transformer, target_id)
    values = _path_values(transformer.paths, target_id)
    values.update(_predefined_values(rule_arn, rule_name))
    pieces = _split(transformer.template, values, target_id)
    _check_json(transformer.template, target_id)

    def render(envelope: Envelope) -> str:
        return "".join([piece if isinstance(piece, str) else piece(envelope) for piece in pieces])

    return render


def _check_sizes(transformer: InputTransformer, target_id: str) -> None:
    characters = len(transformer.template)
    if not 1 <= characters <= limits.TARGET_INPUT_CHARACTERS_MAX:
        raise InvalidParameter(
            "InputTemplate",
            f"InputTemplate for target {target_id} must have 1 to "
            f"{limits.TARGET_INPUT_CHARACTERS_MAX} characters.",
            characters,
        )
    if len(transformer.paths) > limits.INPUT_PATHS_MAX:
        raise InvalidParameter(
            "InputPathsMap",
            f"InputPathsMap for target {target_id} has more than {limits.INPUT_PATHS_MAX} entries.",
            len(transformer.paths),
        )


def _path_values(paths: Mapping[str, str], target_id: str) -> dict[str, _Value]:
    values: dict[str, _Value] = {}
    for name, text in paths.items():
        path = compile_path(text)
        if path is None:
            raise InvalidParameter(
                "InputPathsMap", f"InputPath for target {target_id} is invalid.", text
            )
        if name.lower().startswith(_RESERVED):
            raise InvalidParameter(
                "InputPathsMap",
                f"InputPathsMap for target {target_id} contains the reserved name {name}.",
                name,
            )

        def value(envelope: Envelope, path: tuple[str | int, ...] = path) -> str:
            found = find(path, envelope.event)
            return '""' if found is ABSENT else encode_json(found).decode()

        values[name] = value
    return values


def _predefined_values(rule_arn: str, rule_name: str) -> dict[str, _Value]:
    arn, name = encode_json(rule_arn).decode(), encode_json(rule_name).decode()
    return {
        _RULE_ARN: lambda _: arn,
        _RULE_NAME: lambda _: name,
        _INGESTION_TIME: lambda envelope: f'"{iso_seconds(envelope.received_ms // 1000)}"',
        _EVENT: _event_without_detail,
        _EVENT_JSON: lambda envelope: envelope.text,
    }


def _event_without_detail(envelope: Envelope) -> str:
    event = envelope.event
    return encode_json({name: event[name] for name in event if name != "detail"}).decode()


def _split(template: str, values: Mapping[str, _Value], target_id: str) -> tuple[str | _Value, ...]:
    """The template as literal texts and values, each value made for its place."""
    pieces: list[str | _Value] = []
    at = 0
    is_quoted = False
    for variable in _VARIABLE.finditer(template):
        name = variable[1]
        if name not in values:
            raise InvalidParameter(
                "InputTemplate",
                f"InputTemplate for target {target_id} contains invalid placeholder {name}.",
                name,
            )
        if name in {_EVENT, _EVENT_JSON} and not template.lstrip().startswith("{"):
            raise InvalidParameter(
                "InputTemplate",
                f"InputTemplate for target {target_id} contains placeholder {name} valid only for "
                "JSON template.",
                name,
            )
        literal = template[at : variable.start()]
        is_quoted ^= _quotes(literal) % 2 == 1
        pieces += (literal, _within_quotes(values[name]) if is_quoted else values[name])
        at = variable.end()
    pieces.append(template[at:])
    return tuple(pieces)


def _quotes(text: str) -> int:
    return sum(1 for found in _QUOTE_OR_ESCAPE.finditer(text) if found[0] == '"')


def _within_quotes(value: _Value) -> _Value:
    # The text between a JSON string's quotes is escaped already, and what stands outside strings
    # needs no escape: taking the quotes away leaves what may stand inside another string.
    return lambda envelope: _JSON_STRING.sub(r"\1", value(envelope))


def _check_json(template: str, target_id: str) -> None:
    """A template must be JSON, or lines of JSON, whatever its variables hold."""
    filled = "".join(_probe(template))
    try:
        decode_json(filled)
    except ValueError as error:
        try:
            for line in filter(str.strip, filled.splitlines()):
                decode_json(line)
        except ValueError:
            raise InvalidParameter(
                "InputTemplate",
                f"Invalid InputTemplate for target {target_id} : {error}.",
                template,
            ) from error


def _probe(template: str) -> list[str]:
    at = 0
    is_quoted = False
    filled: list[str] = []
    for variable in _VARIABLE.finditer(template):
        literal = template[at : variable.start()]
        is_quoted ^= _quotes(literal) % 2 == 1
        filled += (literal, "" if is_quoted else "0")
        at = variable.end()
    filled.append(template[at:])
    return filled
