from __future__ import annotations

import pytest

from eventcore.arn import Arn, bus_arn, parse_arn, queue_arn, rule_arn
from eventcore.errors import InvalidParameter


def test_an_arn_is_taken_apart():
    found = parse_arn("arn:aws:sqs:us-east-1:000000000000:orders")
    assert found == Arn("aws", "sqs", "us-east-1", "000000000000", "orders")


def test_a_resource_may_hold_colons_and_slashes():
    found = parse_arn("arn:aws:logs:eu-west-1:1:log-group:/aws/events:*")
    assert found.resource == "log-group:/aws/events:*"


def test_region_and_account_may_be_empty():
    assert parse_arn("arn:aws:s3:::bucket") == Arn("aws", "s3", "", "", "bucket")


@pytest.mark.parametrize(
    "text",
    ["", "orders", "arn", "arn:aws:sqs:r:a", "arn:aws:sqs:r:a:", "ARN:aws:sqs:r:a:q",
     "arn::sqs:r:a:q", "arn:aws::r:a:q", " arn:aws:sqs:r:a:q", "http://host/q"],
)  # fmt: skip
def test_what_is_no_arn_is_refused(text):
    for _ in range(2):
        with pytest.raises(InvalidParameter) as caught:
            parse_arn(text)
        assert (caught.value.name, caught.value.value) == ("arn", text)


def test_arns_that_are_made_can_be_taken_apart():
    assert parse_arn(queue_arn("1", "r", "q")) == Arn("aws", "sqs", "r", "1", "q")
    assert parse_arn(bus_arn("1", "r", "b")) == Arn("aws", "events", "r", "1", "event-bus/b")


def test_a_rule_of_the_default_bus_leaves_the_bus_out():
    assert rule_arn("1", "r", "default", "n") == "arn:aws:events:r:1:rule/n"
    assert rule_arn("1", "r", "b", "n") == "arn:aws:events:r:1:rule/b/n"
