"""Kinesis operations on enhanced fan-out consumers."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

import msgspec

from eventcore.api.kinesis_address import consumer_of, require_settled, stream_of_arn
from eventcore.api.kinesis_answers import (
    NOTHING,
    ConsumerDescriptionShape,
    ConsumerShape,
    DescribeStreamConsumerAnswer,
    ListStreamConsumersAnswer,
    RegisterStreamConsumerAnswer,
    encode,
    seconds,
)
from eventcore.api.kinesis_faults import invalid_argument
from eventcore.api.kinesis_pages import PageToken, check_created, read_token, write_token
from eventcore.api.kinesis_requests import (
    DeregisterStreamConsumerRequest,
    DescribeStreamConsumerRequest,
    ListStreamConsumersRequest,
    RegisterStreamConsumerRequest,
)
from eventcore.api.kinesis_tags import check_tags
from eventcore.api.kinesis_times import time_ms
from eventcore.api.operation import Call
from eventcore.streams.stream_spec import FanOutConsumer

__all__ = [
    "deregister_stream_consumer",
    "describe_stream_consumer",
    "list_stream_consumers",
    "register_stream_consumer",
]

LIST_CONSUMERS: Final = "ListStreamConsumers"
PAGE_DEFAULT: Final = 100


def register_stream_consumer(call: Call, request: RegisterStreamConsumerRequest) -> bytes:
    """Registers a consumer."""
    assert request.stream_arn is not None
    assert request.consumer_name is not None
    tags = request.tags or {}
    check_tags(tags)
    stream = stream_of_arn(call, request.stream_arn)
    consumer = call.engine.streams.register_consumer(stream, request.consumer_name, tags)
    # AWS always answers CREATING, even where it takes no time.
    shape = msgspec.structs.replace(_shape(call, consumer), consumer_status="CREATING")
    return encode(call, RegisterStreamConsumerAnswer(shape))


def deregister_stream_consumer(call: Call, request: DeregisterStreamConsumerRequest) -> bytes:
    """Ends a consumer, and its subscriptions with it."""
    stream, consumer = consumer_of(
        call, request.consumer_arn, request.consumer_name, request.stream_arn
    )
    call.engine.streams.deregister_consumer(stream, consumer.name)
    return NOTHING


def describe_stream_consumer(call: Call, request: DescribeStreamConsumerRequest) -> bytes:
    """A consumer and its stream."""
    stream, consumer = consumer_of(
        call, request.consumer_arn, request.consumer_name, request.stream_arn
    )
    answer = ConsumerDescriptionShape(
        consumer.name,
        consumer.arn,
        consumer.status(call.engine.now_ms()),
        seconds(consumer.created_ms),
        stream.arn,
    )
    return encode(call, DescribeStreamConsumerAnswer(answer))


def list_stream_consumers(call: Call, request: ListStreamConsumersRequest) -> bytes:
    """A page of a stream's consumers, by name."""
    assert request.stream_arn is not None
    now_ms = call.engine.now_ms()
    stream = stream_of_arn(call, request.stream_arn)
    require_settled(stream)
    asked = PageToken(LIST_CONSUMERS, now_ms, "", stream.arn, stream.created_ms)
    if request.next_token is not None:
        if request.stream_creation_timestamp is not None:
            raise invalid_argument(
                "NextToken and StreamCreationTimestamp cannot be provided together."
            )
        asked = read_token(LIST_CONSUMERS, request.next_token, now_ms)
        if asked.stream_arn != stream.arn:
            raise invalid_argument("NextToken is of a list of the consumers of another stream.")
        check_created(stream, asked.stream_created_ms)
    elif request.stream_creation_timestamp is not None:
        check_created(stream, time_ms(request.stream_creation_timestamp))
    consumers = stream.fan_out.list()
    start = bisect_right(consumers, asked.after, key=lambda consumer: consumer.name)
    page = consumers[start : start + (request.max_results or PAGE_DEFAULT)]
    token = None
    if start + len(page) < len(consumers):
        token = write_token(msgspec.structs.replace(asked, made_ms=now_ms, after=page[-1].name))
    answer = ListStreamConsumersAnswer([_shape(call, consumer) for consumer in page], token)
    return encode(call, answer)


def _shape(call: Call, consumer: FanOutConsumer) -> ConsumerShape:
    return ConsumerShape(
        consumer.name,
        consumer.arn,
        consumer.status(call.engine.now_ms()),
        seconds(consumer.created_ms),
    )
