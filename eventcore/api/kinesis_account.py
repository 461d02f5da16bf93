"""Kinesis operations on the account: its limits and its settings, in the caller's region."""

from __future__ import annotations

from typing import Final

from eventcore.api.kinesis_answers import (
    AccountSettingsAnswer,
    CommitmentAnswerShape,
    DescribeLimitsAnswer,
    encode,
    seconds,
)
from eventcore.api.kinesis_requests import (
    DescribeAccountSettingsRequest,
    DescribeLimitsRequest,
    UpdateAccountSettingsRequest,
)
from eventcore.api.operation import Call
from eventcore.arn import stream_arn
from eventcore.streams.account import StreamAccountRecord
from eventcore.streams.stream_spec import ON_DEMAND, PROVISIONED

__all__ = ["describe_account_settings", "describe_limits", "update_account_settings"]

UNLIMITED: Final = 1_000_000
"""What is told of a quota that is off: the most that AWS's model knows."""
ENABLED: Final = "ENABLED"


def describe_limits(call: Call, request: DescribeLimitsRequest) -> bytes:
    """How many shards and on-demand streams the account may have, and has."""
    quotas = call.engine.quotas
    streams = call.engine.streams.all_of(_arn(call))
    answer = DescribeLimitsAnswer(
        shard_limit=quotas.shards_max or UNLIMITED,
        open_shard_count=sum(s.open_shards for s in streams if s.spec.mode == PROVISIONED),
        on_demand_stream_count=sum(s.spec.mode == ON_DEMAND for s in streams),
        on_demand_stream_count_limit=quotas.on_demand_streams_max or UNLIMITED,
    )
    return encode(call, answer)


def describe_account_settings(call: Call, request: DescribeAccountSettingsRequest) -> bytes:
    """Whether the account is bound to a least throughput."""
    return _answer(call, call.engine.streams.account(_arn(call)))


def update_account_settings(call: Call, request: UpdateAccountSettingsRequest) -> bytes:
    """Binds the account to a least throughput, or ends that."""
    assert request.minimum_throughput_billing_commitment is not None
    wanted = request.minimum_throughput_billing_commitment.status == ENABLED
    return _answer(call, call.engine.streams.set_account_committed(_arn(call), wanted))


def _arn(call: Call) -> str:
    """An ARN that names the caller's account and region, and no stream."""
    return stream_arn(call.account, call.region, "")


def _answer(call: Call, record: StreamAccountRecord) -> bytes:
    now_ms = call.engine.now_ms()
    if record.is_committed:
        status = ENABLED
    elif record.ended_ms and now_ms < record.earliest_end_ms:
        status = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    else:
        status = "DISABLED"
    shape = CommitmentAnswerShape(
        status,
        seconds(record.started_ms) if record.started_ms else None,
        seconds(record.ended_ms) if record.ended_ms else None,
        seconds(record.earliest_end_ms) if record.earliest_end_ms else None,
    )
    return encode(call, AccountSettingsAnswer(shape))
