"""The queues of a simulated world: how they begin, and what is changed about them at random."""

from __future__ import annotations

import random
from typing import Final

import msgspec

from eventcore.queues.queue_spec import Chaos, QueueSpec, RedriveAllow, RedrivePolicy

__all__ = ["DEAD_NAMES", "HOURS_12_MS", "NAMES", "PREFIX", "SPECS", "USE", "changed_spec"]

PREFIX: Final = "arn:aws:sqs:us-east-1:000000000000:"
HOURS_12_MS: Final = 43_200_000
LONG_MS: Final = 1_209_600_000
SHORT_MS: Final = 60_000
SPECS: Final = {
    "main": QueueSpec(
        visibility_timeout_ms=5_000,
        retention_ms=LONG_MS,
        redrive=RedrivePolicy(PREFIX + "dead", 3),
    ),
    "dead": QueueSpec(visibility_timeout_ms=2_000, retention_ms=LONG_MS),
    "short": QueueSpec(visibility_timeout_ms=1_000, retention_ms=SHORT_MS, delay_ms=500),
    "brief": QueueSpec(retention_ms=LONG_MS),
    "wild": QueueSpec(
        visibility_timeout_ms=3_000,
        retention_ms=LONG_MS,
        chaos=Chaos(1, duplicate=0.2, reorder=0.3, delay=0.3, delay_ms_max=3_000, throttle=0.1),
    ),
    "line.fifo": QueueSpec(
        visibility_timeout_ms=5_000,
        retention_ms=LONG_MS,
        is_fifo=True,
        redrive=RedrivePolicy(PREFIX + "ended.fifo", 3),
    ),
    "ended.fifo": QueueSpec(visibility_timeout_ms=2_000, retention_ms=LONG_MS, is_fifo=True),
}
NAMES: Final = tuple(SPECS)
DEAD_NAMES: Final = ("dead", "ended.fifo")
USE: Final = (8, 3, 3, 2, 3, 9, 3)
"""How often each of NAMES is used."""


def changed_spec(chance: random.Random, name: str) -> QueueSpec:
    """The settings of a queue, some of them changed."""
    spec = SPECS[name]
    if name in DEAD_NAMES:
        source = PREFIX + ("main" if name == "dead" else "line.fifo")
        allows = [None, RedriveAllow(), RedriveAllow("denyAll"), RedriveAllow("byQueue", (source,))]
        return msgspec.structs.replace(spec, redrive_allow=chance.choice(allows))
    delay_ms = chance.choice([spec.delay_ms, 0, 700, 4_000])
    redrive = spec.redrive
    if redrive is not None:
        redrive = chance.choice([None, RedrivePolicy(redrive.target_arn, chance.randint(1, 4))])
    chaos = spec.chaos
    if chaos is not None:
        chaos = msgspec.structs.replace(chaos, seed=chance.randrange(1_000))
    return msgspec.structs.replace(spec, delay_ms=delay_ms, redrive=redrive, chaos=chaos)
