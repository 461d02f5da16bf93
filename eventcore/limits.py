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
RECEIVES_MAX_LOWEST: Final = 1
RECEIVES_MAX_HIGHEST: Final = 1_000
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
TARGETS_PER_REQUEST_MAX: Final = 10
TARGET_INPUT_CHARACTERS_MAX: Final = 8_192
INPUT_PATH_CHARACTERS_MAX: Final = 256
RULE_NAME_CHARACTERS_MAX: Final = 64
BUS_NAME_CHARACTERS_MAX: Final = 256

# Our own bounds
BODY_MEMORY_BYTES_DEFAULT: Final = 512 * 1024 * 1024
"""Bodies of a queue beyond this many bytes stay in the store and are read back on receive."""
TICK_STEPS_MAX: Final = 1_000
"""Steps of one machine's tick before the event loop has its turn."""
WAITERS_MAX: Final = 100_000
"""Long polls waiting at a time, over all queues."""
BATCH_ROWS_MAX: Final = 50_000
"""Rows in the open batch beyond which new commands are refused until a commit has returned."""
OUTBOX_DELIVERIES_MAX: Final = 100_000
"""Undelivered rows of one outbox beyond which the oldest goes to its dead-letter queue."""
HTTP_BODY_BYTES_MAX: Final = 12 * 1024 * 1024
HTTP_HEADER_BYTES_MAX: Final = 64 * 1024
HTTP_CONNECTIONS_MAX: Final = 16_384


class Quotas(msgspec.Struct, frozen=True):
    """What an account may use at a time. None switches one off. Each has a name, so each can be
    switched alone.
    """

    in_flight_max: int | None = None
    purge_interval_ms: int | None = None
    recreate_interval_ms: int | None = None
    rules_per_bus_max: int | None = None


RELAXED_QUOTAS: Final = Quotas()
AWS_QUOTAS: Final = Quotas(
    in_flight_max=120_000,
    purge_interval_ms=PURGE_INTERVAL_MS,
    recreate_interval_ms=RECREATE_INTERVAL_MS,
    rules_per_bus_max=300,
)


def quotas_for(strictness: str) -> Quotas:
    """The quotas of a strictness by name: "relaxed" or "aws"."""
    return {"relaxed": RELAXED_QUOTAS, "aws": AWS_QUOTAS}[strictness]
