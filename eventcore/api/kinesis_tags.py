"""Kinesis operations on tags, of streams by their names and of streams and consumers by their ARNs.

A resource has 50 tags at the most. Their characters are Unicode letters, digits, white space and
`_ . / = + - @ :`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from eventcore import limits
from eventcore.api.kinesis_address import require_settled, resource_of, stream_of
from eventcore.api.kinesis_answers import (
    NOTHING,
    ListTagsForResourceAnswer,
    ListTagsForStreamAnswer,
    TagShape,
    encode,
)
from eventcore.api.kinesis_faults import invalid_argument
from eventcore.api.kinesis_requests import (
    AddTagsToStreamRequest,
    ListTagsForResourceRequest,
    ListTagsForStreamRequest,
    RemoveTagsFromStreamRequest,
    TagResourceRequest,
    UntagResourceRequest,
)
from eventcore.api.operation import Call
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import FanOutConsumer

__all__ = [
    "add_tags_to_stream",
    "check_tags",
    "list_tags_for_resource",
    "list_tags_for_stream",
    "remove_tags_from_stream",
    "tag_resource",
    "untag_resource",
]

PAGE_DEFAULT: Final = 50
_TEXT: Final = re.compile(r"[\w\s./=+\-@:]*")


def check_tags(tags: Mapping[str, str]) -> None:
    """Raises the fault for more tags than a resource may have, or characters that they may not."""
    _check_texts(tags.keys())
    _check_texts(tags.values())
    if len(tags) > limits.TAGS_MAX:
        raise invalid_argument(
            f"A resource cannot have more than {limits.TAGS_MAX} tags associated with it."
        )


def _check_texts(texts: Iterable[str]) -> None:
    if any(_TEXT.fullmatch(text) is None for text in texts):
        raise invalid_argument(
            "Some tags contain invalid characters. Valid characters: "
            "Unicode letters, digits, white space, _ . / = + - @ :."
        )


def add_tags_to_stream(call: Call, request: AddTagsToStreamRequest) -> bytes:
    """Adds tags to a stream, or replaces their values."""
    assert request.tags is not None
    stream = stream_of(call, request.stream_name, request.stream_arn)
    tags = _with(stream.spec.tags, request.tags, stream)
    _set(call, stream, None, tags)
    return NOTHING


def remove_tags_from_stream(call: Call, request: RemoveTagsFromStreamRequest) -> bytes:
    """Removes tags from a stream; those it does not have do not matter."""
    assert request.tag_keys is not None
    stream = stream_of(call, request.stream_name, request.stream_arn)
    _set(call, stream, None, _without(stream.spec.tags, request.tag_keys))
    return NOTHING


def list_tags_for_stream(call: Call, request: ListTagsForStreamRequest) -> bytes:
    """A page of a stream's tags, by key."""
    stream = stream_of(call, request.stream_name, request.stream_arn)
    pairs = sorted(stream.spec.tags.items())
    after = request.exclusive_start_tag_key
    start = 0 if after is None else bisect_right(pairs, after, key=lambda pair: pair[0])
    end = start + (request.limit or PAGE_DEFAULT)
    tags = [TagShape(key, value) for key, value in pairs[start:end]]
    return encode(call, ListTagsForStreamAnswer(tags, end < len(pairs)))


def tag_resource(call: Call, request: TagResourceRequest) -> bytes:
    """Adds tags to a stream or a consumer, or replaces their values."""
    assert request.tags is not None
    assert request.resource_arn is not None
    stream, consumer = resource_of(call, request.resource_arn)
    tags = _with(_tags_of(stream, consumer), request.tags, stream)
    _set(call, stream, consumer, tags)
    return NOTHING


def untag_resource(call: Call, request: UntagResourceRequest) -> bytes:
    """Removes tags from a stream or a consumer; those it does not have do not matter."""
    assert request.tag_keys is not None
    assert request.resource_arn is not None
    stream, consumer = resource_of(call, request.resource_arn)
    tags = _without(_tags_of(stream, consumer), request.tag_keys)
    _set(call, stream, consumer, tags)
    return NOTHING


def list_tags_for_resource(call: Call, request: ListTagsForResourceRequest) -> bytes:
    """All tags of a stream or a consumer, by key."""
    assert request.resource_arn is not None
    tags = _tags_of(*resource_of(call, request.resource_arn))
    shown = [TagShape(key, value) for key, value in sorted(tags.items())]
    return encode(call, ListTagsForResourceAnswer(shown))


def _tags_of(stream: Stream, consumer: FanOutConsumer | None) -> Mapping[str, str]:
    return stream.spec.tags if consumer is None else consumer.tags


def _set(call: Call, stream: Stream, consumer: FanOutConsumer | None, tags: dict[str, str]) -> None:
    require_settled(stream)
    streams = call.engine.streams
    if consumer is None:
        streams.describe_as(stream, msgspec.structs.replace(stream.spec, tags=tags))
    else:
        streams.change_consumer(stream, msgspec.structs.replace(consumer, tags=tags))


def _with(tags: Mapping[str, str], more: Mapping[str, str], stream: Stream) -> dict[str, str]:
    check_tags(more)
    found = {**tags, **more}
    if len(found) > limits.TAGS_MAX:
        raise invalid_argument(
            f"Failed to add tags to stream {stream.name} under account {stream.account} because a "
            f"given stream cannot have more than {limits.TAGS_MAX} tags associated with it."
        )
    return found


def _without(tags: Mapping[str, str], keys: Iterable[str]) -> dict[str, str]:
    _check_texts(keys)
    gone = frozenset(keys)
    return {key: value for key, value in tags.items() if key not in gone}
