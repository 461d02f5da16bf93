"""Every quota and bound, by name. AWS's figures where AWS has one; our own bounds where something
could grow.

Two kinds: what a request may hold is always enforced (a program that passes here must pass on AWS);
what an *account* may use at a time (`Quotas`) is enforced only under `--strictness aws`, since
nobody wants to be throttled by his own broker.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["AWS_QUOTAS", "RELAXED_QUOTAS", "Quotas", "quotas_for"]

# SQS (botocore service-2.json of sqs, AWS "Amazon SQS message quotas")
MESSAGE_BYTES_MAX: Final = 1_048_576
MESSAGE_BYTES_MAX_LOWEST: Final = 1_024
BATCH_BYTES_MAX: Final = 1_048_576
BATCH_ENTRIES_MAX: Final = 10
BATCH_ENTRY_ID_CHARACTERS_MAX: Final = 80
MESSAGE_ATTRIBUTES_MAX: Final = 10
MESSAGE_ATTRIBUTE_NAME_CHARACTERS_MAX: Final = 256
RECEIVE_MESSAGES_MAX: Final = 10
VISIBILITY_TIMEOUT_MS_MAX: Final = 43_200_000
VISIBILITY_TIMEOUT_MS_DEFAULT: Final = 30_000
RETENTION_MS_MIN: Final = 60_000
RETENTION_MS_MAX: Final = 1_209_600_000
RETENTION_MS_DEFAULT: Final = 345_600_000
DELAY_MS_MAX: Final = 900_000
WAIT_MS_MAX: Final = 20_000
RECEIVES_MAX_DEFAULT: Final = 10
RECEIVES_MAX_LOWEST: Final = 1
RECEIVES_MAX_HIGHEST: Final = 1_000
REDRIVE_SOURCES_MAX: Final = 10
"""Queues that a RedriveAllowPolicy can name."""
DEDUPLICATION_MS: Final = 300_000
"""For which a FIFO queue remembers a deduplication id, and the id of a receive attempt."""
GROUP_ID_CHARACTERS_MAX: Final = 128
"""Of a message group id, a deduplication id, and the id of a receive attempt."""
NOISY_IN_FLIGHT_MIN: Final = 30
"""Messages in flight from which on a message group of a fair queue can be a noisy neighbour."""
NOISY_SHARE: Final = 0.1
"""Of the messages in flight, or of the consumers' time, above which a message group is noisy."""
FIFO_CALLS_PER_S: Final = 300
"""Calls of each action on a FIFO queue a second, and per message group in high-throughput mode."""
MOVE_TASK_MESSAGES_PER_S_MAX: Final = 500
MOVE_SLICE_BYTES: Final = 1_048_576
"""Bodies that a move task moves in one transaction, one message more than that at the most."""
MOVE_TASKS_LISTED_MAX: Final = 10
MOVE_TASKS_RUNNING_MAX: Final = 100
"""Message move tasks running at a time in an account (quota)."""
POLICY_BYTES_MAX: Final = 8_192
POLICY_STATEMENTS_MAX: Final = 20
POLICY_PRINCIPALS_MAX: Final = 50
POLICY_CONDITIONS_MAX: Final = 10
PERMISSION_ACTIONS_MAX: Final = 7
QUEUE_NAME_CHARACTERS_MAX: Final = 80
PURGE_INTERVAL_MS: Final = 60_000
RECREATE_INTERVAL_MS: Final = 60_000
LIST_QUEUES_MAX: Final = 1_000
TAGS_MAX: Final = 50

# EventBridge (botocore service-2.json of events, AWS "Amazon EventBridge quotas")
PUT_EVENTS_ENTRIES_MAX: Final = 10
PUT_EVENTS_BYTES_MAX: Final = 1_048_576
DETAIL_TYPE_CHARACTERS_MAX: Final = 128
PATTERN_CHARACTERS_MAX: Final = 4_096
TARGETS_PER_RULE_MAX: Final = 5
TARGET_INPUT_CHARACTERS_MAX: Final = 8_192
INPUT_PATH_CHARACTERS_MAX: Final = 256
INPUT_PATHS_MAX: Final = 100
RETRIES_MAX: Final = 185
EVENT_AGE_MS_MIN: Final = 60_000
EVENT_AGE_MS_MAX: Final = 86_400_000
TARGET_ID_CHARACTERS_MAX: Final = 64
TARGET_GROUP_ID_CHARACTERS_MAX: Final = 100
DESCRIPTION_CHARACTERS_MAX: Final = 512
ARN_CHARACTERS_MAX: Final = 1_600
TAG_KEY_CHARACTERS_MAX: Final = 128
TAG_VALUE_CHARACTERS_MAX: Final = 256
RULE_NAME_CHARACTERS_MAX: Final = 64
BUS_NAME_CHARACTERS_MAX: Final = 256
KMS_KEY_CHARACTERS_MAX: Final = 2_048
INPUT_PATH_NAME_CHARACTERS_MAX: Final = 256
TRACE_HEADER_CHARACTERS_MAX: Final = 500
NEXT_TOKEN_CHARACTERS_MAX: Final = 2_048
LIST_ENTRIES_MAX: Final = 100
"""Entries of a page (LimitMax100), and targets or target ids of a request."""

# Kinesis (botocore service-2.json of kinesis, AWS "Quotas and limits" of Kinesis Data Streams)
STREAM_NAME_CHARACTERS_MAX: Final = 128
SHARDS_PER_STREAM_MAX: Final = 10_000
PUT_RECORDS_ENTRIES_MAX: Final = 500
PUT_RECORDS_BYTES_MAX: Final = 10_485_760
"""Of a PutRecords request: data and partition keys."""
PARTITION_KEY_CHARACTERS_MAX: Final = 256
RECORD_BYTES_MAX_LOWEST: Final = 1_048_576
RECORD_BYTES_MAX_DEFAULT: Final = 1_048_576
RECORD_BYTES_MAX_HIGHEST: Final = 10_485_760
"""Of a record: data and partition key. What a stream takes is a setting between the two."""
GET_RECORDS_MAX: Final = 10_000
GET_RECORDS_BYTES_MAX: Final = 10_485_760
ITERATOR_MS_MAX: Final = 300_000
"""For which a shard iterator can be used, and the token of a list's next page."""
STREAM_RETENTION_MS_MIN: Final = 86_400_000
STREAM_RETENTION_MS_MAX: Final = 31_536_000_000
STREAM_RETENTION_MS_DEFAULT: Final = 86_400_000
STREAM_CONSUMERS_MAX: Final = 20
"""Enhanced fan-out consumers of a stream."""
STREAM_CONSUMERS_MAX_ADVANTAGE: Final = 50
"""The same of an on-demand stream whose account has a minimum throughput billing commitment."""
STREAM_CONSUMERS_CREATING_MAX: Final = 5
"""Of them in the state CREATING, in which they are only with the quota `stream_transition_ms`."""
SUBSCRIPTION_MS_MAX: Final = 300_000
SUBSCRIPTION_TAKE_OVER_MS: Final = 5_000
"""After which a second SubscribeToShard of the same consumer and shard ends the first."""
SUBSCRIPTION_HEARTBEAT_MS: Final = 5_000
"""How often a subscription without records is told that there are none."""
ON_DEMAND_SHARDS_DEFAULT: Final = 4
ON_DEMAND_WINDOW_MS: Final = 60_000
"""Over which the load of an on-demand stream is measured."""
ON_DEMAND_PAUSE_MS: Final = 900_000
"""Between two steps in which an on-demand stream at most doubles."""
SHARD_COUNT_UPDATES_MAX: Final = 10
STREAM_MODE_UPDATES_MAX: Final = 2
ENCRYPTION_UPDATES_MAX: Final = 25
"""Of a stream in 24 hours, like the two before it (quotas)."""
SHARD_WRITE_BYTES_PER_S: Final = 1_048_576
SHARD_WRITE_RECORDS_PER_S: Final = 1_000
SHARD_READ_BYTES_PER_S: Final = 2_097_152
SHARD_READ_CALLS_PER_S: Final = 5
WARM_MIB_PER_S_MAX: Final = 10_240
KINESIS_POLICY_BYTES_MAX: Final = 20_480

# Lambda (botocore service-2.json of lambda, AWS "Lambda quotas")
FUNCTION_NAME_CHARACTERS_MAX: Final = 64
FUNCTION_TIMEOUT_MS_DEFAULT: Final = 3_000
FUNCTION_TIMEOUT_MS_MAX: Final = 900_000
FUNCTION_MEMORY_MB_DEFAULT: Final = 128
FUNCTION_MEMORY_MB_MAX: Final = 10_240
FUNCTION_ENVIRONMENT_BYTES_MAX: Final = 4_096
INVOKE_BYTES_MAX: Final = 6_291_556
"""Of a synchronous invocation's payload and of its answer: 6 MB and a little, as AWS tells it."""
INVOKE_LATER_BYTES_MAX: Final = 1_048_576
"""Of an asynchronous invocation's payload."""
INVOKE_RETRIES_MAX: Final = 2
INVOKE_RETRY_PAUSES_MS: Final = (60_000, 120_000)
"""Before the first and the second retry of an asynchronous invocation."""
INVOKE_AGE_MS_MIN: Final = 60_000
INVOKE_AGE_MS_MAX: Final = 21_600_000
THROTTLE_PAUSE_MS_FIRST: Final = 1_000
THROTTLE_PAUSE_MS_MAX: Final = 300_000
"""Between attempts of an asynchronous invocation that is throttled: it doubles from one to the
other."""
RECURSION_INVOCATIONS_MAX: Final = 16
"""Invocations of a function in one chain of requests, from which on it is a recursive loop."""
LOG_TAIL_BYTES: Final = 4_096
FUNCTION_CONCURRENCY_MAX: Final = 1_000
"""Invocations that an account runs at a time in a region (quota)."""
UNRESERVED_CONCURRENCY_MIN: Final = 100
ZIP_BYTES_MAX: Final = 52_428_800
"""Of code that is sent with a request."""
UNZIPPED_BYTES_MAX: Final = 262_144_000
MAPPING_FILTER_CHARACTERS_MAX: Final = 4_096
MAPPING_STATE_BYTES_MAX: Final = 1_048_576
"""Of a tumbling window's state."""

# IAM (botocore service-2.json of iam, AWS "IAM and AWS STS quotas": the highest that AWS raises to)
TRUST_POLICY_CHARACTERS_MAX: Final = 8_192
"""Of a role's trust policy, like the two below without white space."""
INLINE_POLICIES_CHARACTERS_MAX: Final = 10_240
"""Of all inline policies of a role together."""
MANAGED_POLICY_CHARACTERS_MAX: Final = 6_144
MANAGED_POLICY_VERSIONS_MAX: Final = 5
ROLE_POLICIES_MAX: Final = 25
"""Managed policies attached to a role."""
ROLES_MAX: Final = 10_000
"""Roles of an account, and managed policies of it."""

# Our own bounds
ASYNC_EVENTS_MAX: Final = 1_000_000
"""Asynchronous invocations of a function that wait."""
ASYNC_MEMORY_BYTES_MAX: Final = 64 * 1024 * 1024
"""Their payloads that are kept in memory; others are read back from the store."""
ENVIRONMENTS_MAX: Final = 64
"""Processes that run functions' code; an invocation beyond that waits for a free one."""
QUEUE_MAPPING_CONCURRENCY_MAX: Final = 1_000
"""Invocations at a time of a queue's mapping that has no bound of its own."""
BLOCK_RECORDS_MAX: Final = 500
BLOCK_BYTES_MAX: Final = 256 * 1024
"""Data and partition keys of a block of a stream's log; a larger record is a block alone."""
TIME_MARKS_MAX: Final = 128
"""Points of a shard's log whose time is remembered; trimming goes from one to the next."""
TRIM_SLICE_BYTES: Final = 2 * 1024 * 1024
"""Of records that one step of trimming takes out of the store, at their mean size."""
TRIM_SLICE_RECORDS: Final = 10_000
"""The same in records, which are as many rows at the most."""
TRIM_PAUSE_MS: Final = 20
"""Between two steps of trimming a stream."""
TAIL_CACHE_BYTES_DEFAULT: Final = 64 * 1024 * 1024
"""Blocks of all streams that are kept in memory for those who read at the tip."""
READ_SLICE_BYTES: Final = 1024 * 1024
"""Read from the store at a time."""
SUBSCRIPTIONS_MAX: Final = 100_000
"""Readers that wait at the tip of a shard at a time, over all streams."""
BODY_MEMORY_BYTES_DEFAULT: Final = 512 * 1024 * 1024
"""Bodies of a queue beyond this many bytes stay in the store and are read back on receive."""
TICK_STEPS_MAX: Final = 1_000
"""Steps of one machine's tick before the event loop has its turn."""
BROWSE_STEPS_MAX: Final = 10_000
"""Message numbers that one look into a queue passes."""
WAITERS_MAX: Final = 100_000
"""Long polls waiting at a time, over all queues."""
BATCH_ROWS_MAX: Final = 50_000
"""Rows in the open batch beyond which new commands are refused until a commit has returned."""
BATCH_VALUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of their values beyond which it is so, too: one command more than that at the most."""
DELIVERY_LANES_MAX: Final = 1_000
"""Foreign targets with open connections at a time."""
OUTBOX_ERROR_CHARACTERS_MAX: Final = 256
"""Characters of the latest error kept of a delivery."""
OUTBOX_DELIVERIES_MAX: Final = 100_000
"""Undelivered rows of one outbox beyond which the oldest goes to its dead-letter queue."""
HTTP_BODY_BYTES_MAX: Final = 16 * 1024 * 1024
"""A PutRecords of 10 MiB is 14 in base64."""
HTTP_CODE_BYTES_MAX: Final = 70_167_211
"""Bodies of requests that bring a function's code, over HTTP/1.1: as large as AWS takes them."""
HTTP_HEADER_BYTES_MAX: Final = 64 * 1024
HTTP_HEADERS_MAX: Final = 128
"""Header lines of one request."""
HTTP_CONNECTIONS_MAX: Final = 16_384
HTTP_BACKLOG_MAX: Final = 1_024
"""Connections that the system holds for us before we accept them."""
HTTP_PIPELINED_MAX: Final = 64
"""Requests of one connection that run at a time; more are not read until some are answered."""
HTTP_HEADER_MS_MAX: Final = 10_000
"""From the first byte of a request to the end of its header."""
HTTP_BODY_MS_MAX: Final = 20_000
"""For the body of a request, apart from the time that it has at the lowest rate."""
HTTP_BODY_BYTES_PER_S_MIN: Final = 16_384
"""The lowest rate of a body: each second of it is added to the time allowed."""
HTTP_IDLE_MS_MAX: Final = 120_000
"""Between two requests. Longer than the pools of the SDKs keep a connection."""
HTTP_UNREAD_MS_MAX: Final = 30_000
"""Without the client taking one byte of the answers that wait for it."""
HTTP_LINGER_MS_MAX: Final = 2_000
"""For which what a refused client still sends is thrown away, so that it gets to see the reason."""
HTTP_UNREAD_BYTES_MAX: Final = 256 * 1024
"""Unsent answers of one connection beyond which no more of its requests are read."""
HTTP_SWEEP_MS: Final = 500
"""How often connections are looked through for those that are too slow."""
DOOR_BODY_BYTES_MAX: Final = 64 * 1024
"""Of a request at a side door."""
DOOR_SLICE: Final = 50
"""Messages, or queues, that a side door looks at before the event loop has its turn."""
DOOR_SLICE_BYTES: Final = 256 * 1024
"""Bytes of messages that it writes before that; the message that passes it is the last."""
DOOR_SLICES_MAX: Final = 1_000
"""Turns of the event loop that one look may take, beyond which its answer is cut."""
DOORS_RUNNING_MAX: Final = 16
"""Looks through side doors that run at a time; others wait for their turn."""
DOORS_WAITING_MAX: Final = 1_000
"""Looks that wait for their turn, beyond which they are refused."""
DOOR_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of an answer about messages, beyond which it is cut: the message that passes it is the last."""
PEEK_MESSAGES_MAX: Final = 10_000
"""Messages that a peek of a whole queue looks at (LocalStack's door, which knows no pages)."""
BROWSE_MESSAGES_MAX: Final = 1_000
"""Messages on a page of our own door."""
BROWSE_QUEUES_MAX: Final = 1_000
"""Queues on a page of our own door."""
BROWSE_PAGE_DEFAULT: Final = 100
"""Messages, or queues, on a page of our own door when the caller does not say."""
GROUP_NAME_CHARACTERS_MAX: Final = 128
"""Of the name of a consumer group."""
GROUP_WORKERS_MAX: Final = 1_000
"""Live workers of one consumer group."""
GROUP_LEASES_MAX: Final = 100_000
"""Shards of which one consumer group keeps a lease, those that are consumed to their end too."""
GROUP_POLLS_MAX: Final = 10_000
"""Workers waiting at a time for a change of what they own, over all consumer groups."""
WORKER_ID_CHARACTERS_MAX: Final = 256
SHARD_ID_CHARACTERS_MAX: Final = 128
SHARD_PARENTS_MAX: Final = 2
SEQUENCE_NUMBER_DIGITS_MAX: Final = 129
LEASE_MS_MIN: Final = 100
LEASE_MS_MAX: Final = 3_600_000
LEASE_MS_DEFAULT: Final = 10_000
"""Without a heartbeat, after which a worker's leases are free."""
HANDOVER_MS_MAX: Final = 3_600_000
"""For which the owner of a lease may go on after it was asked to hand it over."""
AGGREGATED_RECORDS_MAX: Final = 100_000
"""User records of one aggregated record; more are read as one record that is none."""
DRAIN_MS_DEFAULT: Final = 10_000
"""For the requests that run when the daemon is told to stop."""
WARNING_INTERVAL_MS: Final = 5_000
"""At most one warning of a kind is written in this time; the next one tells how many were not."""
WARNING_KINDS_MAX: Final = 256
"""Kinds of warnings that are told apart."""


class Quotas(msgspec.Struct, frozen=True):
    """What an account may use at a time. None switches one off. Each has a name, so each can be
    switched alone.
    """

    in_flight_max: int | None = None
    purge_interval_ms: int | None = None
    recreate_interval_ms: int | None = None
    rules_per_bus_max: int | None = None
    fifo_calls_per_s: int | None = None
    move_tasks_max: int | None = None
    shards_max: int | None = None
    """Open shards of an account's provisioned streams in a region."""
    on_demand_streams_max: int | None = None
    shard_write_bytes_per_s: int | None = None
    shard_write_records_per_s: int | None = None
    shard_read_bytes_per_s: int | None = None
    shard_read_calls_per_s: int | None = None
    stream_updates_per_day: int | None = None
    """Calls of UpdateShardCount on a stream; mode switches and encryption have a share of it."""
    stream_control_rate_percent: int | None = None
    """The rates at which Kinesis takes its control operations, in percent of AWS's."""
    stream_transition_ms: int | None = None
    """How long a stream is CREATING, UPDATING or DELETING."""
    function_concurrency_max: int | None = None
    """Invocations that an account runs at a time in a region, reserved ones included."""


RELAXED_QUOTAS: Final = Quotas()
AWS_QUOTAS: Final = Quotas(
    in_flight_max=120_000,
    purge_interval_ms=PURGE_INTERVAL_MS,
    recreate_interval_ms=RECREATE_INTERVAL_MS,
    rules_per_bus_max=300,
    fifo_calls_per_s=FIFO_CALLS_PER_S,
    move_tasks_max=MOVE_TASKS_RUNNING_MAX,
    shards_max=500,
    on_demand_streams_max=50,
    shard_write_bytes_per_s=SHARD_WRITE_BYTES_PER_S,
    shard_write_records_per_s=SHARD_WRITE_RECORDS_PER_S,
    shard_read_bytes_per_s=SHARD_READ_BYTES_PER_S,
    shard_read_calls_per_s=SHARD_READ_CALLS_PER_S,
    stream_updates_per_day=SHARD_COUNT_UPDATES_MAX,
    stream_control_rate_percent=100,
    stream_transition_ms=500,
    function_concurrency_max=FUNCTION_CONCURRENCY_MAX,
)


def quotas_for(strictness: str) -> Quotas:
    """The quotas of a strictness by name: "relaxed" or "aws"."""
    return {"relaxed": RELAXED_QUOTAS, "aws": AWS_QUOTAS}[strictness]
