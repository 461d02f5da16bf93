"""Errors of the core, in Kinesis's codes and words."""

from __future__ import annotations

import pytest

from eventcore import errors
from eventcore.api.kinesis_faults import ERRORS, with_account
from eventcore.api.kinesis_times import past_ms, time_ms
from eventcore.api.operation import to_fault
from eventcore.wire.fault import Fault
from tests.wire.service_model import load_model

ACCOUNT = "111122223333"
UNMODELLED = {"UnsupportedOperation"}
MODEL = load_model("kinesis")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.Conflict("stream", "s", "It is busy."), "ResourceInUseException", "It is busy."),
        (
            errors.InvalidParameter("iterator", "Invalid ShardIterator.", "x"),
            "InvalidArgumentException",
            "Invalid ShardIterator.",
        ),
        (
            errors.InvalidParameter("mode", "Request is invalid.", "ON_DEMAND"),
            "ValidationException",
            "Request is invalid.",
        ),
        (
            errors.InvalidParameter("count", "Too many.", 20_000),
            "LimitExceededException",
            "Too many.",
        ),
        (
            errors.LimitExceeded("stream_consumers_max", 20),
            "LimitExceededException",
            "The limit has been reached: stream_consumers_max is 20.",
        ),
        (errors.LimitExceeded("x", 1, "Slow down."), "LimitExceededException", "Slow down."),
        (
            errors.ThroughputExceeded("shardId-000000000000", "s", ACCOUNT),
            "ProvisionedThroughputExceededException",
            "Rate exceeded for shard shardId-000000000000 in stream s under account 111122223333.",
        ),
        (
            errors.Expired("iterator", 1_421_889_722_000, 1_421_890_022_001, 300_000),
            "ExpiredIteratorException",
            "Iterator expired. The iterator was created at time Thu Jan 22 01:22:02 UTC 2015 while "
            "right now it is Thu Jan 22 01:27:02 UTC 2015 which is further in the future than the "
            "tolerated delay of 300000 milliseconds.",
        ),
        (
            errors.NotFound("stream", "s"),
            "ResourceNotFoundException",
            "Stream s not found.",
        ),
        (
            errors.AlreadyExists("consumer", "c"),
            "ResourceInUseException",
            "Consumer c already exists.",
        ),
        (
            errors.UnsupportedOperation("kinesis", "channels"),
            "UnsupportedOperation",
            "eventcore does not support channels.",
        ),
        (errors.RequestError("no"), "InvalidArgumentException", "no"),
    ],
)
def test_an_error_has_a_code_of_the_model_and_a_text(error, code, text):
    fault = to_fault(ERRORS, error)
    assert isinstance(fault, Fault)
    assert (fault.code, fault.message) == (code, text)
    assert code in UNMODELLED or code in MODEL.shape_names


def test_a_page_token_that_is_too_old_has_a_code_of_its_own():
    fault = to_fault(ERRORS, errors.Expired("next token", 0, 300_001, 300_000))
    assert fault is not None
    assert fault.code == "ExpiredNextTokenException"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.NotFound("stream", "s"), "Stream s under account 111122223333 not found."),
        (
            errors.NotFound("shard", "shardId-000000000007", "s"),
            "Could not find shard shardId-000000000007 in stream s under account 111122223333.",
        ),
        (errors.NotFound("consumer", "c"), "Consumer c, account 111122223333 not found."),
        (
            errors.AlreadyExists("stream", "s"),
            "Stream s under account 111122223333 already exists.",
        ),
    ],
)
def test_what_is_not_found_is_told_with_its_account(error, text):
    fault = with_account(error, ACCOUNT)
    assert fault is not None
    assert fault.message == text


def test_other_errors_do_not_name_the_account():
    assert with_account(errors.LimitExceeded("x", 1), ACCOUNT) is None


@pytest.mark.parametrize("seconds", [-1, 253_402_300_800, 1e308])
def test_a_time_that_no_calendar_has_is_refused(seconds):
    with pytest.raises(Fault, match="SerializationException"):
        time_ms(seconds)


def test_times_are_exact_to_the_millisecond():
    for ms in (0, 1_459_799_926_480, 1_700_000_000_001, 1_700_000_000_999):
        assert time_ms(ms / 1000) == ms


def test_a_time_within_a_millisecond_is_its_beginning():
    assert time_ms(1_700_000_000.000_9) == 1_700_000_000_000
    assert past_ms(1_700_000_000.123_9, 1_700_000_000_123) == 1_700_000_000_123


def test_a_start_is_not_in_the_future():
    assert past_ms(1.5, 1_500) == 1_500
    with pytest.raises(Fault, match="timestampInMillis: 1501, currentTimestampInMillis: 1500"):
        past_ms(1.501, 1_500)
