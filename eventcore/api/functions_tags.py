"""Lambda operations on tags, of functions and of event source mappings, by their ARNs.

A resource has 50 tags at the most. Versions and aliases have none of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

from eventcore import limits
from eventcore.api.functions_answers import NOTHING, ListTagsAnswer
from eventcore.api.functions_faults import function_not_found, invalid_value, not_found
from eventcore.api.functions_requests import (
    ListTagsRequest,
    TagResourceRequest,
    UntagResourceRequest,
)
from eventcore.api.operation import Call
from eventcore.arn import parse_arn, split_qualifier
from eventcore.errors import NotFound
from eventcore.functions.function import Function
from eventcore.mappings.mapping import EventSourceMapping

__all__ = ["check_tag_count", "list_tags", "tag_resource", "untag_resource"]

_NOUNS = {
    "capacity-provider": "Capacity provider",
    "code-signing-config": "Code signing config",
    "event-source-mapping": "Event source mapping",
    "network-connector": "Network connector",
}


def check_tag_count(tags: Mapping[str, str]) -> None:
    """Raises the fault for more tags than a resource may have."""
    if len(tags) > limits.TAGS_MAX:
        raise invalid_value("Number of tags exceeds resource tag limit.")


def tag_resource(call: Call, request: TagResourceRequest) -> bytes:
    """Adds tags to a function or a mapping, or replaces their values."""
    assert request.resource is not None
    assert request.tags is not None
    resource = _resource_of(call, request.resource)
    tags = {**_tags_of(resource), **request.tags}
    check_tag_count(tags)
    _set(call, resource, tags)
    return NOTHING


def untag_resource(call: Call, request: UntagResourceRequest) -> bytes:
    """Removes tags; those that are not there do not matter."""
    assert request.resource is not None
    assert request.tag_keys is not None
    resource = _resource_of(call, request.resource)
    gone = frozenset(request.tag_keys)
    _set(call, resource, {k: v for k, v in _tags_of(resource).items() if k not in gone})
    return NOTHING


def list_tags(call: Call, request: ListTagsRequest) -> bytes:
    """All tags of a function or a mapping."""
    assert request.resource is not None
    tags = _tags_of(_resource_of(call, request.resource))
    return call.encode(ListTagsAnswer(dict(sorted(tags.items()))))


def _resource_of(call: Call, arn: str) -> Function | EventSourceMapping:
    kind, _, name = parse_arn(arn).resource.partition(":")
    engine = call.engine
    try:
        if kind == "function":
            unqualified, qualifier = split_qualifier(arn)
            if qualifier is not None:
                raise invalid_value(
                    "Tags on function aliases and versions are not supported. Please specify a "
                    "function ARN."
                )
            function = engine.functions.find(unqualified)
            engine.look(function)
            return function
        if kind == "event-source-mapping":
            mapping = engine.mappings.find(name)
            engine.look(mapping)
            if mapping.arn == arn:
                return mapping
    except NotFound as error:
        if kind == "function":
            raise function_not_found(arn) from error
    raise not_found(f"{_NOUNS[kind]} not found: {arn}")


def _tags_of(resource: Function | EventSourceMapping) -> Mapping[str, str]:
    return resource.record.tags if isinstance(resource, Function) else resource.spec.tags


def _set(call: Call, resource: Function | EventSourceMapping, tags: dict[str, str]) -> None:
    if isinstance(resource, Function):
        call.engine.functions.run(resource, resource.set_tags(tags))
    else:
        call.engine.mappings.set_tags(resource, tags)
