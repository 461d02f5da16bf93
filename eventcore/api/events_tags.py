"""EventBridge operations on the tags of buses and rules."""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore import limits
from eventcore.api.events_address import tagged_resource
from eventcore.api.events_constraints import check_length, required
from eventcore.api.events_requests import (
    ListTagsForResourceRequest,
    Tag,
    TagResourceRequest,
    UntagResourceRequest,
)
from eventcore.api.operation import Call
from eventcore.codec import encode_json

__all__ = ["list_tags_for_resource", "tag_resource", "tags_of", "untag_resource"]

EMPTY: Final = b"{}"


def tags_of(tags: list[Tag] | None) -> dict[str, str]:
    """Tags as a mapping. Raises the fault for one without key or value, or out of bounds."""
    found = {}
    for number, tag in enumerate(tags or [], start=1):
        place = f"tags.{number}.member"
        key = required(f"{place}.key", tag.key)
        value = required(f"{place}.value", tag.value)
        check_length(f"{place}.key", key, 1, limits.TAG_KEY_CHARACTERS_MAX)
        check_length(f"{place}.value", value, 0, limits.TAG_VALUE_CHARACTERS_MAX)
        found[key] = value
    return found


def tag_resource(call: Call, request: TagResourceRequest) -> bytes:
    """Adds tags to a bus or rule, or replaces their values."""
    tags = tags_of(required("tags", request.tags))
    bus, rule = tagged_resource(call, request.resource_arn)
    if rule is None:
        spec = msgspec.structs.replace(bus.spec, tags={**bus.spec.tags, **tags})
        call.engine.run(bus, bus.configure(spec, call.engine.now_ms()))
    else:
        call.engine.run(bus, bus.tag_rule(rule, tags))
    return EMPTY


def untag_resource(call: Call, request: UntagResourceRequest) -> bytes:
    """Removes tags from a bus or rule; those it does not have do not matter."""
    keys = frozenset(required("tagKeys", request.tag_keys))
    bus, rule = tagged_resource(call, request.resource_arn)
    if rule is None:
        kept = {key: value for key, value in bus.spec.tags.items() if key not in keys}
        spec = msgspec.structs.replace(bus.spec, tags=kept)
        call.engine.run(bus, bus.configure(spec, call.engine.now_ms()))
    else:
        call.engine.run(bus, bus.untag_rule(rule, keys))
    return EMPTY


def list_tags_for_resource(call: Call, request: ListTagsForResourceRequest) -> bytes:
    """The tags of a bus or rule, by key."""
    bus, rule = tagged_resource(call, request.resource_arn)
    tags = bus.spec.tags if rule is None else bus.rule(rule).tags
    return encode_json({"Tags": [{"Key": k, "Value": v} for k, v in sorted(tags.items())]})
