"""boto3 against a daemon with AWS's quotas: what Kinesis refuses for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.acceptance.conftest import Daemon

SHARD = "shardId-000000000000"
SOON = {"Delay": 1, "MaxAttempts": 30}
CALLS_MAX = 1_000


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with AWS's quotas, for the tests of this file."""
    running = Daemon(tmp_path_factory.mktemp("strict") / "data", "--strictness", "aws")
    running.start()
    yield running
    assert running.stop() == 0, running.log.read_text()[-4000:]


@pytest.fixture
def kinesis(strict: Daemon, connect: Callable[..., Any], queue_name: str) -> Any:
    """A client of an account of its own, so that tests do not share a rate."""
    number = sum(map(ord, queue_name)) % 1_000_000
    return connect(strict.url, "kinesis", aws_access_key_id=f"{number:012d}")


def create(kinesis: Any, name: str, shards: int = 1) -> str:
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig=SOON)
    described = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    arn: str = described["StreamARN"]
    return arn


def code_of(call: Callable[[], Any]) -> str:
    """The code of the error of a call; empty for none."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""


def test_a_stream_takes_a_while_to_be_made_and_to_go(kinesis, queue_name):
    create(kinesis, queue_name)
    kinesis.put_record(StreamName=queue_name, Data=b"x", PartitionKey="k")
    kinesis.delete_stream(StreamName=queue_name)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=queue_name, WaiterConfig=SOON)
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.put_record(StreamName=queue_name, Data=b"x", PartitionKey="k")


def test_a_shard_takes_what_it_has_room_for(kinesis, queue_name):
    create(kinesis, queue_name)
    large = [{"Data": b"x" * 1_000_000, "PartitionKey": "k"} for _ in range(5)]
    answer = kinesis.put_records(StreamName=queue_name, Records=large)
    codes = [record.get("ErrorCode") for record in answer["Records"]]
    assert codes[0] is None
    assert "ProvisionedThroughputExceededException" in codes
    assert answer["FailedRecordCount"] == sum(code is not None for code in codes)
    token = kinesis.get_shard_iterator(
        StreamName=queue_name, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON"
    )
    page = kinesis.get_records(ShardIterator=token["ShardIterator"])
    assert len(page["Records"]) == codes.count(None)


def test_a_shard_is_read_five_times_a_second(kinesis, queue_name):
    create(kinesis, queue_name)
    token = kinesis.get_shard_iterator(
        StreamName=queue_name, ShardId=SHARD, ShardIteratorType="LATEST"
    )["ShardIterator"]

    def read() -> None:
        kinesis.get_records(ShardIterator=token)

    codes = {code_of(read) for _ in range(CALLS_MAX // 10)}
    assert codes == {"", "ProvisionedThroughputExceededException"}


def test_an_account_has_five_hundred_shards(kinesis, queue_name):
    with pytest.raises(kinesis.exceptions.LimitExceededException) as caught:
        kinesis.create_stream(StreamName=queue_name, ShardCount=501)
    message = caught.value.response["Error"]["Message"]
    assert message.startswith("This request would exceed the shard limit for the account")
    assert "Limit: 500" in message
    limits = kinesis.describe_limits()
    assert (limits["ShardLimit"], limits["OpenShardCount"]) == (500, 0)


def test_a_control_operation_has_a_rate(kinesis):
    for _ in range(CALLS_MAX):
        if code_of(kinesis.describe_account_settings) == "LimitExceededException":
            break
    else:
        pytest.fail("more than five a second were served")


def test_a_consumer_that_is_being_made_can_not_subscribe_yet(kinesis, queue_name):
    arn = create(kinesis, queue_name)
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="audit")
    assert made["Consumer"]["ConsumerStatus"] == "CREATING"

    def subscribe() -> None:
        kinesis.subscribe_to_shard(
            ConsumerARN=made["Consumer"]["ConsumerARN"],
            ShardId=SHARD,
            StartingPosition={"Type": "LATEST"},
        )["EventStream"].close()

    for _ in range(CALLS_MAX):
        code = code_of(subscribe)
        if code != "ResourceInUseException":
            break
    assert code == ""
