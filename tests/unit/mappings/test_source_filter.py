"""Filter criteria on the records of either source."""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidPattern
from eventcore.mappings.source_events import QueueEvents, StreamEvents
from eventcore.mappings.source_filter import SourceFilter
from eventcore.queues.message import MessageRecord

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
SHARD = "shardId-000000000000"


def wants_message(pattern: str, body: str) -> bool:
    record = QueueEvents(QUEUE).record(MessageRecord(1, 1, bytes(16), body, b""), "h", 1, 1)
    chosen = SourceFilter.of((pattern,), is_queue=True)
    assert chosen is not None
    return chosen.wants_message(record)


def wants_record(pattern: str, data: bytes, partition_key: str = "k") -> bool:
    record = StreamEvents(STREAM, "role").record(SHARD, "1", partition_key, data, 1_000)
    chosen = SourceFilter.of((pattern,), is_queue=False)
    assert chosen is not None
    wanted = chosen.wants_record(record, data)
    assert list(record) == list(StreamEvents(STREAM, "role").record(SHARD, "1", "k", b"", 1))
    return wanted


def test_no_filters_are_no_filter():
    assert SourceFilter.of((), is_queue=True) is None


def test_a_bodys_json_is_looked_into():
    assert wants_message('{"body": {"kind": ["order"]}}', '{"kind": "order", "n": 1}')
    assert not wants_message('{"body": {"kind": ["order"]}}', '{"kind": "bill"}')
    assert not wants_message('{"body": {"kind": ["order"]}}', "order")


def test_a_plain_body_is_compared_as_text():
    assert wants_message('{"body": ["order"]}', "order")
    assert not wants_message('{"body": ["order"]}', '{"kind": "order"}')


def test_attributes_of_a_message_are_metadata():
    assert wants_message('{"attributes": {"ApproximateReceiveCount": ["1"]}}', "anything")
    assert not wants_message('{"attributes": {"ApproximateReceiveCount": ["2"]}}', "anything")


def test_data_is_decoded_and_looked_into():
    assert wants_record('{"data": {"event_type": ["function_1"]}}', b'{"event_type": "function_1"}')
    assert not wants_record('{"data": {"event_type": ["function_1"]}}', b'{"event_type": "f"}')
    assert not wants_record('{"data": {"event_type": ["function_1"]}}', b"\xff\xfe")


def test_a_records_metadata_is_flat():
    assert wants_record('{"partitionKey": ["1"]}', b"x", "1")
    assert not wants_record('{"partitionKey": ["1"]}', b"x", "2")
    assert wants_record('{"eventSource": ["aws:kinesis"]}', b"x")
    assert not wants_record('{"kinesis": {"partitionKey": ["1"]}}', b"x", "1")


def test_streams_have_no_patterns_on_plain_data():
    with pytest.raises(InvalidPattern):
        SourceFilter(('{"data": ["x"]}',), is_queue=False)
