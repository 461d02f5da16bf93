"""SQS operations on queues: create, find, list, attributes, tags, purge, delete."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_right
from typing import Final

import msgspec

from eventcore import limits
from eventcore.api.operation import Call
from eventcore.api.sqs_address import is_account, is_queue_name, queue_of, url_of
from eventcore.api.sqs_faults import invalid_parameter, invalid_value, missing_parameter
from eventcore.api.sqs_queue_attributes import (
    attribute_of_field,
    check_names,
    overlay,
    refuse_fifo,
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
    refuse_fifo(name, attributes)
    if not is_queue_name(name):
        raise invalid_parameter(
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to "
            f"{limits.QUEUE_NAME_CHARACTERS_MAX} in length"
        )
    arn = queue_arn(call.account, call.region, name)
    existing = _spec_of(call, arn)
    base = existing or QueueSpec(tags=_checked_tags({}, request.tags or {}))
    spec = overlay(
        base, attributes, parse_arn(arn), lambda other: _spec_of(call, other) is not None
    )
    try:
        call.engine.create_queue(arn, spec)
    except AlreadyExists as error:
        field = error.difference or ""
        named = attribute_of_field(field, existing or QueueSpec(), spec)
        raise AlreadyExists(error.kind, error.name, named) from error
    return encode_json({"QueueUrl": url_of(call, name, call.account)})


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
        raise invalid_value(account[:64], "QueueOwnerAWSAccountId", "Invalid account id.")
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
    check_names(names)
    call.engine.look(queue)
    values = show(queue, names, lambda: call.engine.statistics(queue))
    return encode_json({"Attributes": values}) if values else EMPTY


def set_queue_attributes(call: Call, request: SetQueueAttributesRequest) -> bytes:
    """Changes the settings given; they apply to the messages that are there as well."""
    queue = queue_of(call, request.queue_url)
    if request.attributes is None:
        raise missing_parameter("Attributes")
    spec = overlay(
        queue.spec,
        request.attributes,
        parse_arn(queue.arn),
        lambda other: _spec_of(call, other) is not None,
    )
    call.engine.set_queue_spec(queue, spec)
    return EMPTY


# Tags


def tag_queue(call: Call, request: TagQueueRequest) -> bytes:
    """Adds or replaces tags."""
    queue = queue_of(call, request.queue_url)
    if not request.tags:
        raise missing_parameter("Tags")
    tags = _checked_tags(queue.spec.tags, request.tags)
    call.engine.set_queue_spec(queue, msgspec.structs.replace(queue.spec, tags=tags))
    return EMPTY


def untag_queue(call: Call, request: UntagQueueRequest) -> bytes:
    """Removes tags; those that are not there do not matter."""
    queue = queue_of(call, request.queue_url)
    if not request.tag_keys:
        raise missing_parameter("TagKeys")
    removed = set(request.tag_keys)
    tags = {key: value for key, value in queue.spec.tags.items() if key not in removed}
    call.engine.set_queue_spec(queue, msgspec.structs.replace(queue.spec, tags=tags))
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
    names = call.engine.list_queues(call.account, call.region, request.queue_name_prefix or "")
    return _page(call, names, request.max_results, request.next_token, "QueueUrls")


def list_dead_letter_source_queues(call: Call, request: ListDeadLetterSourceQueuesRequest) -> bytes:
    """The URLs of the queues that dead-letter into this one, sorted by name."""
    queue = queue_of(call, request.queue_url)
    names = [arn.rpartition(":")[2] for arn in call.engine.dead_letter_sources(queue.arn)]
    return _page(call, names, request.max_results, request.next_token, "queueUrls")


def _page(
    call: Call, names: list[str], max_results: int | None, token: str | None, member: str
) -> bytes:
    """A page of sorted names as URLs. A token is the last name given, so pages survive changes."""
    if max_results is not None and not 1 <= max_results <= limits.LIST_QUEUES_MAX:
        raise invalid_value(
            max_results, "MaxResults", f"Must be >= 1 and <= {limits.LIST_QUEUES_MAX}, if provided."
        )
    start = bisect_right(names, _read_token(token)) if token else 0
    page = names[start : start + (max_results or limits.LIST_QUEUES_MAX)]
    answer: dict[str, object] = {}
    if page:
        answer[member] = [url_of(call, name, call.account) for name in page]
    if max_results is not None and start + len(page) < len(names):
        answer["NextToken"] = urlsafe_b64encode(page[-1].encode()).decode()
    return encode_json(answer)


def _read_token(token: str) -> str:
    try:
        return urlsafe_b64decode(token.encode("ascii")).decode("ascii")
    except ValueError as error:
        raise invalid_parameter("Invalid or expired next token.") from error
