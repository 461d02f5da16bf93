"""SQS operations on queues: create, find, list, attributes, tags, purge, delete."""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore import limits
from eventcore.api.operation import Call
from eventcore.api.sqs_address import (
    is_account,
    is_fifo_name,
    is_queue_name,
    queue_of,
    url_of,
)
from eventcore.api.sqs_chaos import CHAOS_TAG, with_chaos
from eventcore.api.sqs_faults import invalid_address, invalid_parameter, missing_parameter
from eventcore.api.sqs_pages import Page
from eventcore.api.sqs_queue_attributes import (
    FIFO_QUEUE,
    attribute_of_field,
    check_names,
    is_true,
    overlay,
    show,
)
from eventcore.api.sqs_requests import (
    CreateQueueRequest,
    DeleteQueueRequest,
    GetQueueAttributesRequest,
    GetQueueUrlRequest,
    ListDeadLetterSourceQueuesRequest,
    ListQueuesRequest,
    ListQueueTagsRequest,
    PurgeQueueRequest,
    SetQueueAttributesRequest,
    TagQueueRequest,
    UntagQueueRequest,
)
from eventcore.arn import parse_arn, queue_arn
from eventcore.codec import encode_json
from eventcore.errors import AlreadyExists, NotFound
from eventcore.queues.queue_spec import QueueSpec

__all__ = [
    "create_queue",
    "delete_queue",
    "get_queue_attributes",
    "get_queue_url",
    "list_dead_letter_source_queues",
    "list_queue_tags",
    "list_queues",
    "purge_queue",
    "set_queue_attributes",
    "tag_queue",
    "untag_queue",
]

EMPTY: Final = b"{}"
_TAG_KEY_CHARACTERS_MAX: Final = 128
_TAG_VALUE_CHARACTERS_MAX: Final = 256


def create_queue(call: Call, request: CreateQueueRequest) -> bytes:
    """Creates a queue, or gives the URL of one that has every attribute given."""
    name = request.queue_name
    if not name:
        raise missing_parameter("QueueName")
    attributes = request.attributes or {}
    is_fifo = is_true(attributes.get(FIFO_QUEUE))
    _check_name(name, is_fifo=is_fifo)
    arn = queue_arn(call.account, call.region, name)
    existing = _spec_of(call, arn)
    base = existing or _new_spec(request.tags or {}, is_fifo=is_fifo)
    spec = overlay(base, attributes, arn, lambda other: _spec_of(call, other))
    try:
        call.engine.create_queue(arn, spec)
    except AlreadyExists as error:
        field = error.difference or ""
        named = attribute_of_field(field, existing or QueueSpec(), spec)
        raise AlreadyExists(error.kind, error.name, named) from error
    return encode_json({"QueueUrl": url_of(call, name, call.account)})


def _check_name(name: str, *, is_fifo: bool) -> None:
    if not is_fifo and not is_queue_name(name):
        raise invalid_parameter(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to "
            f"{limits.QUEUE_NAME_CHARACTERS_MAX} in length"
        )
    if is_fifo and not is_fifo_name(name):
        raise invalid_parameter(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or "
            "underscores, must end with .fifo suffix and be 1 to "
            f"{limits.QUEUE_NAME_CHARACTERS_MAX} in length"
        )


def _new_spec(tags: dict[str, str], *, is_fifo: bool) -> QueueSpec:
    return with_chaos(QueueSpec(tags=_checked_tags({}, tags), is_fifo=is_fifo), tags)


def _spec_of(call: Call, arn: str) -> QueueSpec | None:
    try:
        return call.engine.queue(arn).spec
    except NotFound:
        return None


def get_queue_url(call: Call, request: GetQueueUrlRequest) -> bytes:
    """The URL of an existing queue."""
    name = request.queue_name
    if not name:
        raise missing_parameter("QueueName")
    account = request.queue_owner_account or call.account
    if not is_account(account):
        raise invalid_address(account)
    queue = call.engine.queue(queue_arn(account, call.region, name))
    call.engine.look(queue)
    return encode_json({"QueueUrl": url_of(call, name, account)})


def delete_queue(call: Call, request: DeleteQueueRequest) -> bytes:
    """Deletes a queue with its messages."""
    call.engine.delete_queue(queue_of(call, request.queue_url).arn)
    return EMPTY


def purge_queue(call: Call, request: PurgeQueueRequest) -> bytes:
    """Deletes a queue's messages, those in flight included."""
    call.engine.purge(queue_of(call, request.queue_url))
    return EMPTY


# Attributes


def get_queue_attributes(call: Call, request: GetQueueAttributesRequest) -> bytes:
    """Settings and counts; nothing is given that was not asked for."""
    queue = queue_of(call, request.queue_url)
    names = request.attribute_names or []
    check_names(names, is_fifo=queue.is_fifo)
    call.engine.look(queue)
    values = show(queue, names, lambda: call.engine.statistics(queue))
    return encode_json({"Attributes": values}) if values else EMPTY


def set_queue_attributes(call: Call, request: SetQueueAttributesRequest) -> bytes:
    """Changes the settings given; they apply to the messages that are there as well."""
    queue = queue_of(call, request.queue_url)
    if request.attributes is None:
        raise missing_parameter("Attributes")
    spec = overlay(queue.spec, request.attributes, queue.arn, lambda other: _spec_of(call, other))
    call.engine.set_queue_spec(queue, spec)
    return EMPTY


# Tags


def tag_queue(call: Call, request: TagQueueRequest) -> bytes:
    """Adds or replaces tags. One of them sets the queue's chaos: see `sqs_chaos`."""
    queue = queue_of(call, request.queue_url)
    if not request.tags:
        raise missing_parameter("Tags")
    tags = _checked_tags(queue.spec.tags, request.tags)
    spec = with_chaos(queue.spec, request.tags)
    call.engine.set_queue_spec(queue, msgspec.structs.replace(spec, tags=tags))
    return EMPTY


def untag_queue(call: Call, request: UntagQueueRequest) -> bytes:
    """Removes tags; those that are not there do not matter."""
    queue = queue_of(call, request.queue_url)
    if not request.tag_keys:
        raise missing_parameter("TagKeys")
    removed = set(request.tag_keys)
    tags = {key: value for key, value in queue.spec.tags.items() if key not in removed}
    chaos = None if CHAOS_TAG in removed else queue.spec.chaos
    call.engine.set_queue_spec(queue, msgspec.structs.replace(queue.spec, tags=tags, chaos=chaos))
    return EMPTY


def list_queue_tags(call: Call, request: ListQueueTagsRequest) -> bytes:
    """The queue's tags."""
    queue = queue_of(call, request.queue_url)
    call.engine.look(queue)
    return encode_json({"Tags": queue.spec.tags}) if queue.spec.tags else EMPTY


def _checked_tags(present: dict[str, str], added: dict[str, str]) -> dict[str, str]:
    for key, value in added.items():
        if not 1 <= len(key) <= _TAG_KEY_CHARACTERS_MAX:
            raise invalid_parameter(
                f"Tag keys must be between 1 and {_TAG_KEY_CHARACTERS_MAX} characters in length."
            )
        if len(value) > _TAG_VALUE_CHARACTERS_MAX:
            raise invalid_parameter(
                f"Tag values must be between 0 and {_TAG_VALUE_CHARACTERS_MAX} characters in "
                "length."
            )
        if key.lower().startswith("aws:"):
            raise invalid_parameter("Tag keys must not start with aws:, which is reserved.")
    tags = {**present, **added}
    if len(tags) > limits.TAGS_MAX:
        raise invalid_parameter(f"Too many tags added for queue. The limit is {limits.TAGS_MAX}.")
    return tags


# Lists


def list_queues(call: Call, request: ListQueuesRequest) -> bytes:
    """The URLs of the caller's queues in the region, sorted by name; MaxResults makes pages."""
    prefix = request.queue_name_prefix or ""
    page = Page("queues " + prefix, request.max_results, request.next_token)
    names = call.engine.list_queues(call.account, call.region, prefix)
    urls, token = page.cut(names, lambda name: url_of(call, name, call.account))
    return encode_json({**({"QueueUrls": urls} if urls else {}), **token})


def list_dead_letter_source_queues(call: Call, request: ListDeadLetterSourceQueuesRequest) -> bytes:
    """The URLs of the queues that dead-letter into this one, sorted by name."""
    queue = queue_of(call, request.queue_url)
    page = Page("sources " + queue.arn, request.max_results, request.next_token)
    names = [arn.rpartition(":")[2] for arn in call.engine.dead_letter_sources(queue.arn)]
    urls, token = page.cut(names, lambda name: url_of(call, name, parse_arn(queue.arn).account))
    return encode_json({"queueUrls": urls, **token})
