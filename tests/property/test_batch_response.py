"""Partial batch responses against a plain model: whatever a function returns, the answer is that of
AWS's table, read once more and slowly.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eventcore.functions.invocation import InvocationResult, Payload
from eventcore.mappings.batch_response import failed_messages, first_failed_record

NAMES = ["a", "b", "c", "d", "e"]

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3))
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
identifiers = st.one_of(st.sampled_from([*NAMES, *NAMES, "", "z"]), plain)
items = st.one_of(
    st.fixed_dictionaries({"itemIdentifier": st.sampled_from(NAMES)}),
    st.fixed_dictionaries({"itemIdentifier": identifiers}),
    st.fixed_dictionaries({"itemIdentifier": identifiers, "more": scalars}),
    plain,
)
answers = st.one_of(
    st.fixed_dictionaries({"batchItemFailures": st.lists(items, max_size=4)}),
    st.fixed_dictionaries(
        {
            "batchItemFailures": st.lists(
                st.fixed_dictionaries({"itemIdentifier": st.sampled_from(NAMES)}), max_size=4
            )
        }
    ),
    st.fixed_dictionaries({"batchItemFailures": plain}),
    plain,
)
batches = st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True)


def model(value: Any, batch: list[str]) -> list[int]:
    """The positions that failed, by the words of AWS's page."""
    everything = list(range(len(batch)))
    if not isinstance(value, dict) or value.get("batchItemFailures") is None:
        return []
    if not isinstance(value["batchItemFailures"], list):
        return everything
    failed = []
    for item in value["batchItemFailures"]:
        if not isinstance(item, dict) or "itemIdentifier" not in item:
            return everything
        identifier = item["itemIdentifier"]
        if not isinstance(identifier, str) or identifier not in batch:
            return everything
        failed.append(batch.index(identifier))
    return sorted(set(failed))


@given(answers, batches)
def test_a_standard_queue(value: Any, batch: list[str]) -> None:
    result = InvocationResult(Payload.of(value))
    failed = failed_messages(result, batch, reports_item_failures=True)
    assert list(failed) == model(value, batch)


@given(answers, batches, st.data())
def test_a_fifo_queue(value: Any, batch: list[str], data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.sampled_from("gh"), min_size=len(batch), max_size=len(batch)))
    result = InvocationResult(Payload.of(value))
    told = list(failed_messages(result, batch, reports_item_failures=True, groups=groups))
    reported = model(value, batch)
    for at, group in enumerate(groups):
        is_behind = any(groups[other] == group and other <= at for other in reported)
        assert (at in told) == is_behind
    assert told == sorted(set(told))


@given(answers, batches)
def test_a_stream(value: Any, batch: list[str]) -> None:
    result = InvocationResult(Payload.of(value))
    first = first_failed_record(result, batch, reports_item_failures=True)
    assert first == min(model(value, batch), default=None)


@given(answers, batches)
def test_json_and_plain_values_say_the_same(value: Any, batch: list[str]) -> None:
    try:
        text = InvocationResult(Payload(Payload.of(value).raw))
    except UnicodeEncodeError:
        return  # a lone surrogate: there is no JSON of it
    as_value = InvocationResult(Payload.of(value))
    assert list(failed_messages(text, batch, reports_item_failures=True)) == list(
        failed_messages(as_value, batch, reports_item_failures=True)
    )


@given(st.binary(max_size=20), batches)
def test_any_bytes_are_an_answer(raw: bytes, batch: list[str]) -> None:
    result = InvocationResult(Payload(raw))
    failed = list(failed_messages(result, batch, reports_item_failures=True))
    assert failed in ([], list(range(len(batch))))
    assert list(failed_messages(result, batch, reports_item_failures=False)) == []
