"""Chaos by a tag: what parses, what does not, and that nothing else of the tags matters."""

from __future__ import annotations

import pytest

from eventcore.api.sqs_chaos import CHAOS_TAG, read_chaos, with_chaos
from eventcore.queues.queue_spec import Chaos, QueueSpec
from eventcore.wire.fault import Fault


@pytest.mark.parametrize(
    ("text", "chaos"),
    [
        (
            "seed=7,duplicate=0.1,reorder=0.05,delay=0.2,delay_ms_max=500,throttle=0.01",
            Chaos(7, 0.1, 0.05, 0.2, 500, 0.01),
        ),
        ("duplicate=1", Chaos(duplicate=1.0)),
        ("throttle=1e-3", Chaos(throttle=0.001)),
        ("delay=.5 seed=-3", Chaos(seed=-3, delay=0.5)),
        (" seed=1 , reorder=0. ", Chaos(seed=1)),
    ],
)
def test_a_tag_is_read(text: str, chaos: Chaos):
    assert read_chaos(text, is_fifo=False) == chaos


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "It must be a list such as"),
        (" , ", "It must be a list such as"),
        ("colour=1", "'colour' is none of seed, duplicate"),
        ("duplicate", "duplicate must be a number, and is ''"),
        ("duplicate=often", "duplicate must be a number, and is 'often'"),
        ("duplicate=nan", "duplicate must be a number, and is 'nan'"),
        ("duplicate=1_0", "duplicate must be a number"),
        ("duplicate=٣", "duplicate must be a number"),
        ("duplicate=1e999", "duplicate: Must be a probability from 0 to 1."),
        ("duplicate=-0.1", "duplicate: Must be a probability from 0 to 1."),
        ("duplicate=0.1,duplicate=0.2", "duplicate is given twice."),
        ("seed=1.5", "seed must be a whole number, and is '1.5'"),
        ("seed=99999999999999999999", "seed: Must be of 64 bits."),
        ("delay_ms_max=900001", "delay_ms_max: Must be >= 0 and <= 900000."),
        ("=1", "'' is none of"),
        ("x" * 5000, "'" + "x" * 64 + "' is none of"),
    ],
)
def test_what_does_not_parse_is_refused_with_the_reason(text: str, reason: str):
    with pytest.raises(Fault) as caught:
        read_chaos(text, is_fifo=False)
    assert caught.value.query_code == "InvalidParameterValue"
    assert reason in caught.value.message
    assert len(caught.value.message) < 300


def test_a_fifo_queue_is_throttled_and_nothing_else():
    assert read_chaos("throttle=1", is_fifo=True) == Chaos(throttle=1.0)
    for text in ("duplicate=0.1", "reorder=0.1", "delay=0.1"):
        with pytest.raises(Fault, match="A FIFO queue takes throttle only"):
            read_chaos(text, is_fifo=True)


def test_other_tags_change_nothing():
    spec = QueueSpec(chaos=Chaos(seed=1))
    assert with_chaos(spec, {"team": "a", "chaos": "seed=2"}) is spec
    assert with_chaos(spec, {"team": "a", CHAOS_TAG: "seed=2"}).chaos == Chaos(seed=2)
