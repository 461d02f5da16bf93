"""The settings of a queue: their ranges, and what does not go together."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from eventcore.codec import encode_record
from eventcore.errors import InvalidParameter
from eventcore.queues.queue_spec import (
    Chaos,
    QueueSpec,
    RedriveAllow,
    RedrivePolicy,
    check_id,
    decode_queue_spec,
)

ARN = "arn:aws:sqs:us-east-1:000000000000:q"
NOT_INTS: list[Any] = [1.0, "1", None, True]


def fault(**settings: Any) -> str:
    """The parameter that a spec is refused for."""
    with pytest.raises(InvalidParameter) as caught:
        QueueSpec(**settings).validate()
    assert caught.value.reason.endswith(".")
    return caught.value.name


def test_the_defaults_are_awss_and_valid():
    spec = QueueSpec()
    spec.validate()
    QueueSpec(is_fifo=True).validate()
    assert (spec.visibility_timeout_ms, spec.delay_ms, spec.retention_ms) == (
        30_000,
        0,
        345_600_000,
    )
    assert (spec.wait_ms, spec.message_bytes_max, spec.redrive) == (0, 1_048_576, None)


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [
        ("visibility_timeout_ms", 0, 43_200_000),
        ("delay_ms", 0, 900_000),
        ("retention_ms", 60_000, 1_209_600_000),
        ("wait_ms", 0, 20_000),
        ("message_bytes_max", 1_024, 1_048_576),
    ],
)
def test_numbers_have_ranges(name, lowest, highest):
    for value in (lowest, highest):
        QueueSpec(**{name: value}).validate()
    for value in (lowest - 1, highest + 1, *NOT_INTS):
        assert fault(**{name: value}) == name


@pytest.mark.parametrize("name", ["attributes", "tags"])
@pytest.mark.parametrize("value", [None, [], {"a": 1}, {1: "a"}, "x"])
def test_attributes_and_tags_are_texts(name, value):
    assert fault(**{name: value}) == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content_deduplication", True),
        ("deduplication_scope", "messageGroup"),
        ("throughput_limit", "perMessageGroupId"),
    ],
)
def test_settings_of_fifo_queues_are_refused_for_standard_ones(name, value):
    assert fault(**{name: value}) == name


@pytest.mark.parametrize(
    "settings",
    [
        {"content_deduplication": True},
        {"deduplication_scope": "messageGroup"},
        {"deduplication_scope": "messageGroup", "throughput_limit": "perMessageGroupId"},
        {"deduplication_scope": "queue", "throughput_limit": "perQueue"},
    ],
)
def test_settings_of_fifo_queues_go_together(settings):
    QueueSpec(is_fifo=True, **settings).validate()
    assert decode_queue_spec(encode_record(QueueSpec(is_fifo=True, **settings))).is_fifo


def test_a_limit_per_group_needs_deduplication_per_group():
    assert fault(is_fifo=True, throughput_limit="perMessageGroupId") == "throughput_limit"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("is_fifo", 1),
        ("is_fifo", None),
        ("content_deduplication", 1),
        ("content_deduplication", "true"),
        ("deduplication_scope", "group"),
        ("deduplication_scope", None),
        ("deduplication_scope", []),
        ("throughput_limit", "perGroup"),
        ("throughput_limit", 5),
    ],
)
def test_other_values_are_refused(name, value):
    assert fault(**{"is_fifo": True, name: value}) == name


@pytest.mark.parametrize("receives_max", [0, 1_001, *NOT_INTS])
def test_a_redrive_policy_counts_up_to_a_thousand(receives_max):
    assert fault(redrive=RedrivePolicy(ARN, receives_max)) == "receives_max"
    for allowed in (1, 1_000):
        QueueSpec(redrive=RedrivePolicy(ARN, allowed)).validate()


@pytest.mark.parametrize(
    "redrive",
    ["x", ARN, RedrivePolicy(5, 1), RedriveAllow()],  # type: ignore[arg-type]
)
def test_a_redrive_policy_is_one(redrive):
    assert fault(redrive=redrive) == "redrive"


@pytest.mark.parametrize(
    ("allow", "is_allowed"),
    [
        (RedriveAllow(), True),
        (RedriveAllow("denyAll"), True),
        (RedriveAllow("byQueue", (ARN,)), True),
        (RedriveAllow("byQueue", (ARN,) * 10), True),
        (RedriveAllow("byQueue", (ARN,) * 11), False),
        (RedriveAllow("byQueue"), False),
        (RedriveAllow("allowAll", (ARN,)), False),
        (RedriveAllow("denyAll", (ARN,)), False),
        (RedriveAllow("allow"), False),
        (RedriveAllow("byQueue", [ARN]), False),  # type: ignore[arg-type]
        (RedriveAllow("byQueue", (5,)), False),  # type: ignore[arg-type]
        (RedrivePolicy(ARN, 1), False),
        ("allowAll", False),
    ],
)
def test_a_redrive_allow_policy_has_one_of_three_forms(allow, is_allowed):
    if is_allowed:
        QueueSpec(redrive_allow=allow).validate()
    else:
        assert fault(redrive_allow=allow) == "redrive_allow"


def test_a_redrive_allow_policy_says_who_may():
    other = ARN + "2"
    assert RedriveAllow().allows(ARN) and not RedriveAllow("denyAll").allows(ARN)
    named = RedriveAllow("byQueue", (ARN,))
    assert named.allows(ARN) and not named.allows(other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 1 << 63),
        ("seed", -(1 << 63) - 1),
        ("seed", 0.5),
        ("delay_ms_max", -1),
        ("delay_ms_max", 900_001),
        *[(name, v) for name in ("duplicate", "reorder", "delay", "throttle") for v in (-0.1, 1.1)],
        ("duplicate", float("nan")),
        ("duplicate", "0.5"),
        ("duplicate", True),
        ("duplicate", None),
    ],
)
def test_chaos_has_ranges(name, value):
    assert fault(chaos=msgspec.structs.replace(Chaos(), **{name: value})) == name


def test_chaos_of_any_share_is_taken():
    for share in (0, 0.0, 0.5, 1, 1.0):
        QueueSpec(chaos=Chaos(-(1 << 63), share, share, share, 900_000, share)).validate()
    assert fault(chaos={"seed": 1}) == "chaos"


@pytest.mark.parametrize("name", ["group_id", "deduplication_id", "attempt_id"])
def test_an_id_is_told_by_its_name_on_the_wire_and_a_long_one_not_in_full(name):
    with pytest.raises(InvalidParameter) as caught:
        check_id(name, "x" * 10_000)
    assert caught.value.name == name
    assert len(str(caught.value.value)) <= 256
    assert "1 to 128 in length" in caught.value.reason


def test_everything_is_read_back_as_it_was():
    spec = QueueSpec(
        1, 2, 60_000, 3, 2_048, RedrivePolicy(ARN, 4), {"Policy": "{}"}, {"a": "b"},
        is_fifo=True, content_deduplication=True, deduplication_scope="messageGroup",
        throughput_limit="perMessageGroupId", redrive_allow=RedriveAllow("byQueue", (ARN,)),
        chaos=Chaos(5, throttle=0.5),
    )  # fmt: skip
    spec.validate()
    assert decode_queue_spec(encode_record(spec)) == spec
