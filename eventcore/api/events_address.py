"""How EventBridge's requests name a bus, and a resource that has tags.

Rules of this file:

- A bus is named by its name or its ARN; without either, the default bus of the caller's account and
  region is meant. It is always there: it is made at its first use.
- An ARN may name a bus of another account or region, since policies are not evaluated.
- A name with a slash is that of a partner's bus, of which there are none here.
"""

from __future__ import annotations

import re
from typing import Final

from eventcore import limits
from eventcore.api.events_constraints import (
    check_bus_address,
    check_length,
    required,
    validation,
)
from eventcore.api.operation import Call
from eventcore.arn import bus_arn
from eventcore.buses.bus import EventBus
from eventcore.errors import NotFound

__all__ = ["DEFAULT_BUS", "arn_of_bus", "bus_named", "bus_of_arn", "tagged_resource"]

DEFAULT_BUS: Final = "default"
_TAGGED: Final = re.compile(
    r"arn:aws[\w-]*:events:([a-z0-9-]+):([0-9]{12}):(event-bus|rule)/(.+)", re.ASCII
)


def arn_of_bus(call: Call, address: str | None) -> str:
    """The ARN that a bus's name or ARN means; its form is not checked."""
    if address is None:
        return bus_arn(call.account, call.region, DEFAULT_BUS)
    return address if address.startswith("arn:") else bus_arn(call.account, call.region, address)


def bus_named(call: Call, address: str | None, member: str = "eventBusName") -> EventBus:
    """The bus of a name or ARN, given in `member`. Raises NotFound, or the fault for a text that
    is neither.
    """
    check_bus_address(member, address)
    return bus_of_arn(call, arn_of_bus(call, address))


def bus_of_arn(call: Call, arn: str) -> EventBus:
    """The bus of an ARN. Raises NotFound."""
    name = arn.partition("/")[2]
    if "/" in name:
        raise NotFound("bus", name)
    bus = call.engine.bus(arn)
    call.engine.look(bus)
    return bus


def tagged_resource(call: Call, arn: str | None) -> tuple[EventBus, str | None]:
    """The bus that an ARN names, and the rule if it names one. Raises NotFound."""
    arn = required("resourceARN", arn)
    check_length("resourceARN", arn, 1, limits.ARN_CHARACTERS_MAX)
    found = _TAGGED.fullmatch(arn)
    if found is None:
        raise validation(
            f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
        )
    region, account, kind, path = found.groups()
    if kind == "event-bus":
        return bus_of_arn(call, arn), None
    bus_name, _, rule = path.rpartition("/")
    bus_name = bus_name or DEFAULT_BUS
    arn = bus_arn(account, region, bus_name)
    if bus_name == DEFAULT_BUS and call.engine.find(arn) is None:
        raise NotFound("rule", rule, bus_name)  # a bus that nobody has used has no rules
    bus = bus_of_arn(call, arn)
    bus.rule(rule)
    return bus, rule
