"""EventBridge operations on buses."""

from __future__ import annotations

from typing import Any, Final

from eventcore.api.events_address import DEFAULT_BUS, bus_named
from eventcore.api.events_constraints import (
    check_arn,
    check_bus_name,
    check_enum,
    check_kms_key,
    check_limit,
    required,
    unsupported,
    validation,
)
from eventcore.api.events_pages import read_token, write_token
from eventcore.api.events_requests import (
    CreateEventBusRequest,
    DeleteEventBusRequest,
    DescribeEventBusRequest,
    ListEventBusesRequest,
    LogConfig,
    UpdateEventBusRequest,
)
from eventcore.api.events_tags import tags_of
from eventcore.api.operation import Call
from eventcore.arn import bus_arn
from eventcore.buses.bus import EventBus
from eventcore.buses.bus_spec import BusSpec
from eventcore.codec import decode_json, encode_json
from eventcore.errors import AlreadyExists

__all__ = [
    "create_event_bus",
    "delete_event_bus",
    "describe_event_bus",
    "list_event_buses",
    "update_event_bus",
]

EMPTY: Final = b"{}"
LOG_DETAILS: Final = ("NONE", "FULL")
LOG_LEVELS: Final = ("OFF", "ERROR", "INFO", "TRACE")


def create_event_bus(call: Call, request: CreateEventBusRequest) -> bytes:
    """Creates a bus."""
    name = required("name", request.name)
    check_bus_name("name", name)
    if request.event_source_name is not None:
        raise unsupported("partner event sources (EventSourceName)")
    if "/" in name:
        raise validation("Event bus name must not contain '/'.")
    if name == DEFAULT_BUS:
        raise AlreadyExists("bus", name)
    arn = bus_arn(call.account, call.region, name)
    spec = BusSpec(request.description, _attributes(request), tags_of(request.tags))
    bus = call.engine.create_bus(arn, spec)
    return encode_json({"EventBusArn": arn} | _shown_settings(bus.spec))


def update_event_bus(call: Call, request: UpdateEventBusRequest) -> bytes:
    """Replaces the settings of a bus; its tags stay."""
    check_bus_name("name", request.name)
    attributes = _attributes(request)
    bus = bus_named(call, request.name, "name")
    spec = BusSpec(request.description, attributes, bus.spec.tags)
    call.engine.run(bus, bus.configure(spec, call.engine.now_ms()))
    return encode_json({"Arn": bus.arn, "Name": bus.name} | _shown_settings(spec))


def delete_event_bus(call: Call, request: DeleteEventBusRequest) -> bytes:
    """Deletes a bus that has no rules."""
    name = required("name", request.name)
    check_bus_name("name", name)
    if name == DEFAULT_BUS:
        raise validation("Cannot delete event bus default.")
    bus = bus_named(call, name, "name")
    if bus.list_rules(limit=1):
        raise validation("EventBus can't be deleted since it has rules.")
    call.engine.delete_bus(bus.arn)
    return EMPTY


def describe_event_bus(call: Call, request: DescribeEventBusRequest) -> bytes:
    """A bus's settings and times."""
    return encode_json(_shown(bus_named(call, request.name, "name"), with_settings=True))


def list_event_buses(call: Call, request: ListEventBusesRequest) -> bytes:
    """A page of buses, by name."""
    check_bus_name("namePrefix", request.name_prefix)
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


def _attributes(request: CreateEventBusRequest | UpdateEventBusRequest) -> dict[str, str]:
    """Settings that are stored and returned, and have no effect here (docs/coverage.md)."""
    check_kms_key("kmsKeyIdentifier", request.kms_key_identifier)
    dead_letter = request.dead_letter_config
    if dead_letter is not None:
        check_arn("deadLetterConfig.arn", dead_letter.arn)
    given = {
        "KmsKeyIdentifier": request.kms_key_identifier,
        "DeadLetterConfig": None if dead_letter is None else {"Arn": dead_letter.arn},
        "LogConfig": None if request.log_config is None else _logging(request.log_config),
    }
    return {
        name: encode_json(_present(value)).decode()
        for name, value in given.items()
        if value is not None
    }


def _logging(config: LogConfig) -> dict[str, str | None]:
    check_enum("logConfig.includeDetail", config.include_detail, LOG_DETAILS)
    check_enum("logConfig.level", config.level, LOG_LEVELS)
    return {"IncludeDetail": config.include_detail, "Level": config.level}


def _present(value: str | dict[str, Any]) -> str | dict[str, Any]:
    """A structure without its absent members."""
    if isinstance(value, str):
        return value
    return {name: member for name, member in value.items() if member is not None}
