"""The resources of the world of functions, and the settings that are drawn for them."""

from __future__ import annotations

import random
from typing import Any, Final

from eventcore.arn import function_arn, queue_arn, stream_arn
from eventcore.functions.function_spec import KIND_LOCAL, FunctionConfig, InvokeConfig
from eventcore.mappings.mapping_rules import AT_TIMESTAMP
from eventcore.mappings.mapping_spec import FOR_EVER, MappingSpec, PollerConfig
from eventcore.queues.queue_spec import QueueSpec, RedrivePolicy
from tests.simulation.function_handlers import AUDITOR

__all__ = [
    "ACCOUNT",
    "DEAD",
    "DESTINATIONS",
    "FUNCTIONS",
    "LOST",
    "QUEUES",
    "REGION",
    "SOURCES",
    "STREAMS",
    "VISIBILITY_MS",
    "config_of",
    "function",
    "invoke_config",
    "new_settings",
    "queue",
    "settings_of",
    "stream",
]

ACCOUNT: Final = "000000000000"
REGION: Final = "us-east-1"
TIMEOUT_MS: Final = 3_000
VISIBILITY_MS: Final = 6 * TIMEOUT_MS
RETENTION_MS: Final = 1_209_600_000


def queue(name: str) -> str:
    """A queue's ARN."""
    return queue_arn(ACCOUNT, REGION, name)


def stream(name: str) -> str:
    """A stream's ARN."""
    return stream_arn(ACCOUNT, REGION, name)


def function(name: str) -> str:
    """A function's ARN."""
    return function_arn(ACCOUNT, REGION, name)


def _spec(dead: str | None = None, *, is_fifo: bool = False) -> QueueSpec:
    redrive = None if dead is None else RedrivePolicy(queue(dead), 4)
    return QueueSpec(VISIBILITY_MS, retention_ms=RETENTION_MS, redrive=redrive, is_fifo=is_fifo)


DEAD: Final = {"work": "dead", "line.fifo": "dead.fifo"}
"""The dead-letter queue of each queue that has one."""
SUCCESSES: Final = "successes"
FAILURES: Final = "failures"
LOST: Final = "lost"
DESTINATIONS: Final = (SUCCESSES, FAILURES)
QUEUES: Final = {
    "dead": _spec(),
    "dead.fifo": _spec(is_fifo=True),
    SUCCESSES: _spec(),
    FAILURES: _spec(),
    LOST: _spec(),
    "work": _spec("dead"),
    "line.fifo": _spec("dead.fifo", is_fifo=True),
    "spare": _spec(),
}
SOURCES: Final = ("work", "line.fifo", "spare")
STREAMS: Final = ("events", "brief")
FUNCTIONS: Final = ("f0", "f1", "f2")
_WHERE: Final = {
    "f0": (queue(SUCCESSES), queue(FAILURES)),
    "f2": (function(AUDITOR), function(AUDITOR)),
}
"""OnSuccess and OnFailure that a function has from its making on."""


def config_of(name: str) -> FunctionConfig:
    """How a function is made. One has a dead-letter queue."""
    lost = queue(LOST) if name == "f1" else None
    return FunctionConfig(kind=KIND_LOCAL, timeout_ms=TIMEOUT_MS, dead_letter_arn=lost)


def invoke_config(chance: random.Random, name: str) -> InvokeConfig:
    """Retries and age at random, destinations where they are not a function's own."""
    choices = (queue(SUCCESSES), None), (None, queue(FAILURES)), (None, None)
    on_success, on_failure = _WHERE.get(name) or chance.choice(choices)
    return InvokeConfig(
        0,
        chance.choice([None, 0, 1, 2]),
        chance.choice([None, 60_000, 200_000]),
        on_success,
        on_failure,
    )


def settings_of(chance: random.Random, source_arn: str, function_arn: str) -> MappingSpec:
    """The settings of a new mapping."""
    settings = new_settings(chance, source_arn)
    settings["reports_item_failures"] = chance.random() < 0.5
    if ":kinesis:" in source_arn:
        settings["starting_position"] = chance.choice(["TRIM_HORIZON", "LATEST", AT_TIMESTAMP])
    return MappingSpec(source_arn=source_arn, function_arn=function_arn, **settings)


def new_settings(chance: random.Random, source_arn: str) -> dict[str, Any]:
    """What an update may change."""
    if source_arn.endswith(".fifo"):
        return {
            "batch_size": chance.choice([1, 3, 10]),
            "filters": chance.choice([(), (), ('{"body":{"t":[1]}}',)]),
            "concurrency_max": chance.choice([None, None, 2, 5]),
        }
    if ":sqs:" in source_arn:
        window_ms = chance.choice([0, 0, 300, 2_000])
        pollers = chance.choice([None, None, PollerConfig(1, 2)])
        return {
            "batch_size": chance.choice([1, 3, 10, 25] if window_ms else [1, 3, 10]),
            "batch_window_ms": window_ms,
            "filters": chance.choice([(), (), ('{"body":{"t":[1]}}',)]),
            "concurrency_max": None if pollers else chance.choice([None, None, 2, 5]),
            "pollers": pollers,
        }
    return {
        "batch_size": chance.choice([1, 2, 5, 100]),
        "batch_window_ms": chance.choice([0, 0, 500]),
        "filters": chance.choice([(), (), ('{"data":{"t":[1]}}',)]),
        "parallelization": chance.choice([1, 1, 2, 5]),
        "is_bisecting": chance.random() < 0.5,
        "retries_max": chance.choice([FOR_EVER, 0, 1, 3]),
        "age_ms_max": chance.choice([FOR_EVER, FOR_EVER, 60_000, 120_000]),
        "window_ms": chance.choice([0, 0, 0, 5_000, 60_000]),
        "on_failure_arn": chance.choice([None, queue(FAILURES), queue(FAILURES)]),
    }
