"""EventBridge operations on buses, and the tags of buses and rules."""

from __future__ import annotations

import re
from base64 import b64decode, urlsafe_b64encode
from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.api.events_faults import (
    check_length,
    check_limit,
    constraint_failed,
    required,
    unsupported,
    validation,
)
from eventcore.api.events_requests import (
    CreateEventBusRequest,
    DeadLetterConfig,
    DeleteEventBusRequest,
    DescribeEventBusRequest,
    ListEventBusesRequest,
    ListTagsForResourceRequest,
    Tag,
    TagResourceRequest,
    UntagResourceRequest,
    UpdateEventBusRequest,
)
from eventcore.api.operation import Call
from eventcore.arn import bus_arn, parse_arn
from eventcore.buses.bus import EventBus
from eventcore.buses.bus_spec import BusSpec
from eventcore.codec import decode_json, encode_json
from eventcore.errors import AlreadyExists, InvalidParameter, NotFound

__all__ = [
    "arn_of_bus",
    "bus_named",
    "create_event_bus",
    "delete_event_bus",
    "describe_event_bus",
    "list_event_buses",
    "list_tags_for_resource",
    "read_token",
    "tag_resource",
    "tags_of",
    "untag_resource",
    "update_event_bus",
    "write_token",
]

EMPTY: Final = b"{}"
DEFAULT: Final = "default"
_NAME: Final = re.compile(r"[/.\-_A-Za-z0-9]+")
_NAME_TEXT: Final = r"[/\.\-_A-Za-z0-9]+"
_NAME_OR_ARN: Final = re.compile(
    r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus/)?[/.\-_A-Za-z0-9]+"
)
_NAME_OR_ARN_TEXT: Final = (
    r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?[/\.\-_A-Za-z0-9]+"
)


def arn_of_bus(call: Call, name: str | None, member: str = "eventBusName") -> str:
    """The ARN that a bus's name or ARN means; the default bus's for None."""
    if name is None:
        return bus_arn(call.account, call.region, DEFAULT)
    check_length(member, name, 1, limits.ARN_CHARACTERS_MAX)
    if _NAME_OR_ARN.fullmatch(name) is None:
        raise constraint_failed(
            member, name, f"Member must satisfy regular expression pattern: {_NAME_OR_ARN_TEXT}"
        )
    return name if name.startswith("arn:") else bus_arn(call.account, call.region, name)


def bus_named(call: Call, name: str | None, member: str = "eventBusName") -> EventBus:
    """The bus of a name or ARN. Raises NotFound."""
    bus = call.engine.bus(arn_of_bus(call, name, member))
    call.engine.look(bus)
    return bus


def create_event_bus(call: Call, request: CreateEventBusRequest) -> bytes:
    """Creates a bus."""
    name = _checked_name(required("name", request.name))
    if request.event_source_name is not None:
        raise unsupported("partner event sources (EventSourceName)")
    if "/" in name:
        raise validation("Event bus name must not contain '/'.")
    arn = bus_arn(call.account, call.region, name)
    if name == DEFAULT:
        raise AlreadyExists("bus", name)
    attributes = _attributes(
        request.kms_key_identifier, request.dead_letter_config, request.log_config
    )
    spec = BusSpec(request.description, attributes, tags_of(request.tags))
    bus = call.engine.create_bus(arn, spec)
    return encode_json({"EventBusArn": arn} | _shown_settings(bus.spec))


def update_event_bus(call: Call, request: UpdateEventBusRequest) -> bytes:
    """Replaces the settings of a bus; its tags stay."""
    bus = bus_named(call, request.name, "name")
    attributes = _attributes(
        request.kms_key_identifier, request.dead_letter_config, request.log_config
    )
    spec = BusSpec(request.description, attributes, bus.spec.tags)
    call.engine.run(bus, bus.configure(spec, call.engine.now_ms()))
    return encode_json({"Arn": bus.arn, "Name": bus.name} | _shown_settings(spec))


def delete_event_bus(call: Call, request: DeleteEventBusRequest) -> bytes:
    """Deletes a bus with its rules."""
    name = required("name", request.name)
    arn = arn_of_bus(call, name, "name")
    if arn.rpartition("/")[2] == DEFAULT:
        raise validation("Cannot delete event bus default.")
    call.engine.bus(arn)
    call.engine.delete_bus(arn)
    return EMPTY


def describe_event_bus(call: Call, request: DescribeEventBusRequest) -> bytes:
    """A bus's settings and times."""
    return encode_json(_shown(bus_named(call, request.name, "name"), with_settings=True))


def list_event_buses(call: Call, request: ListEventBusesRequest) -> bytes:
    """A page of buses, by name."""
    check_length("namePrefix", request.name_prefix, 1, limits.BUS_NAME_CHARACTERS_MAX)
    limit = check_limit(request.limit)
    after = read_token(request.next_token)
    buses = call.engine.list_buses(call.account, call.region, request.name_prefix or "")
    page = [bus for bus in buses if bus.name > after][: limit + 1]
    for bus in page:
        call.engine.look(bus)
    answer: dict[str, Any] = {"EventBuses": [_shown(bus) for bus in page[:limit]]}
    if len(page) > limit:
        answer["NextToken"] = write_token(page[limit - 1].name)
    return encode_json(answer)


def _shown(bus: EventBus, *, with_settings: bool = False) -> dict[str, Any]:
    shown: dict[str, Any] = {"Name": bus.name, "Arn": bus.arn}
    if bus.spec.description is not None:
        shown["Description"] = bus.spec.description
    if with_settings:
        shown |= _shown_settings(bus.spec)
    shown["CreationTime"] = bus.created_ms / 1000
    shown["LastModifiedTime"] = bus.modified_ms / 1000
    return shown


def _shown_settings(spec: BusSpec) -> dict[str, Any]:
    shown = {name: decode_json(text) for name, text in spec.attributes.items()}
    return shown if spec.description is None else {"Description": spec.description} | shown


def _attributes(
    kms_key: str | None, dead_letter: DeadLetterConfig | None, log: dict[str, Any] | None
) -> dict[str, str]:
    """Settings that are stored and returned, and have no effect here (docs/coverage.md)."""
    given = {
        "KmsKeyIdentifier": kms_key,
        "DeadLetterConfig": dead_letter,
        "LogConfig": log,
    }
    return {name: encode_json(v).decode() for name, v in given.items() if v is not None}


def _checked_name(name: str) -> str:
    check_length("name", name, 1, limits.BUS_NAME_CHARACTERS_MAX)
    if _NAME.fullmatch(name) is None:
        raise constraint_failed(
            "name", name, f"Member must satisfy regular expression pattern: {_NAME_TEXT}"
        )
    return name


# Pages


def write_token(last: str) -> str:
    """The token of the page behind this name."""
    return urlsafe_b64encode(last.encode()).decode()


def read_token(token: str | None) -> str:
    """The name behind which a page begins. Raises the fault for a token that is none of ours."""
    if token is None:
        return ""
    try:
        return b64decode(token.encode("ascii"), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise validation("Parameter NextToken is not valid.") from error


# Tags


def tags_of(tags: list[Tag] | None) -> dict[str, str]:
    """Tags as a mapping. Raises the fault for one without key or value."""
    found = {}
    for number, tag in enumerate(tags or [], start=1):
        key = required(f"tags.{number}.member.key", tag.key)
        found[key] = required(f"tags.{number}.member.value", tag.value)
    return found


def tag_resource(call: Call, request: TagResourceRequest) -> bytes:
    """Adds tags to a bus or rule, or replaces their values."""
    bus, rule = _tagged(call, request.resource_arn)
    tags = tags_of(required("tags", request.tags))
    if rule is None:
        spec = msgspec.structs.replace(bus.spec, tags={**bus.spec.tags, **tags})
        call.engine.run(bus, bus.configure(spec, call.engine.now_ms()))
    else:
        call.engine.run(bus, bus.tag_rule(rule, tags))
    return EMPTY


def untag_resource(call: Call, request: UntagResourceRequest) -> bytes:
    """Removes tags from a bus or rule; those it does not have do not matter."""
    bus, rule = _tagged(call, request.resource_arn)
    keys = required("tagKeys", request.tag_keys)
    if rule is None:
        kept = {key: value for key, value in bus.spec.tags.items() if key not in keys}
        spec = msgspec.structs.replace(bus.spec, tags=kept)
        call.engine.run(bus, bus.configure(spec, call.engine.now_ms()))
    else:
        call.engine.run(bus, bus.untag_rule(rule, keys))
    return EMPTY


def list_tags_for_resource(call: Call, request: ListTagsForResourceRequest) -> bytes:
    """The tags of a bus or rule."""
    bus, rule = _tagged(call, request.resource_arn)
    tags = bus.spec.tags if rule is None else bus.rule(rule).tags
    return encode_json({"Tags": [{"Key": k, "Value": v} for k, v in sorted(tags.items())]})


def _tagged(call: Call, text: str | None) -> tuple[EventBus, str | None]:
    """The bus that an ARN names, and the rule if it names one. Raises NotFound."""
    text = required("resourceARN", text)
    check_length("resourceARN", text, 1, limits.ARN_CHARACTERS_MAX)
    try:
        arn = parse_arn(text)
    except InvalidParameter as error:
        raise validation(f"Parameter {text} is not valid.") from error
    kind, _, path = arn.resource.partition("/")
    if kind == "event-bus":
        return bus_named(call, text), None
    if kind != "rule" or not path:
        raise validation(f"Parameter {text} is not valid.")
    bus_name, _, rule = path.rpartition("/")
    bus = call.engine.bus(bus_arn(arn.account, arn.region, bus_name or DEFAULT))
    call.engine.look(bus)
    if not rule:
        raise NotFound("rule", path, bus.name)
    bus.rule(rule)
    return bus, rule
