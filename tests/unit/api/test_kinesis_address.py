"""How requests name streams."""

from __future__ import annotations

import pytest

from eventcore.api.kinesis_address import stream_named
from eventcore.api.kinesis_requests import DescribeStreamConsumerRequest, ListShardsRequest

STREAM = "arn:aws:kinesis:us-east-1:111122223333:stream/clicks"


@pytest.mark.parametrize(
    "request_",
    [
        ListShardsRequest(stream_name="clicks"),
        ListShardsRequest(stream_arn=STREAM),
        DescribeStreamConsumerRequest(stream_arn=STREAM, consumer_name="billing"),
        DescribeStreamConsumerRequest(consumer_arn=STREAM + "/consumer/billing:1700000000"),
    ],
)
def test_a_rate_of_a_stream_is_counted_however_it_is_named(request_: object) -> None:
    assert stream_named(request_) == "clicks"


def test_a_request_may_name_no_stream() -> None:
    assert stream_named(ListShardsRequest(next_token="x")) == ""
