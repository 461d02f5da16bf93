"""What a function's answer says about its batch: done, failed, or which of it failed.

Rules of this file (AWS, "Implementing partial batch responses" for Amazon SQS and for Kinesis, and
what AWS was recorded to do):

- Without ReportBatchItemFailures only an error of the function counts; whatever it returns is done.
- With it, these are complete success: no answer, null, anything that is no JSON object, an object
  without `batchItemFailures`, and an empty or null list there.
- These are complete failure: an error, an answer that is no JSON, `batchItemFailures` that is no
  list, and a list with one item that is no object or whose `itemIdentifier` is missing, null, no
  string, empty, or of nothing in the batch.
- All else is partial. In a FIFO queue, all that stands behind the first failure in its message
  group failed too: it must not be done before that is. In a stream it is all that stands behind
  the first failure.

Answers are told by position in the batch. No answer of a function raises here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

__all__ = [
    "AnswerPayload",
    "FunctionAnswer",
    "failed_messages",
    "first_failed_record",
    "reported_failures",
]

_MEMBER: Final = "batchItemFailures"
_IDENTIFIER: Final = "itemIdentifier"


class AnswerPayload(Protocol):
    """What is read of an answer's payload (`functions.invocation.Payload`)."""

    @property
    def raw(self) -> bytes:
        """Its JSON text. Asked for only where it has no value."""
        ...

    @property
    def value(self) -> Any:
        """The plain value. Raises ValueError for what is no JSON."""
        ...


class FunctionAnswer(Protocol):
    """What is read of an invocation's result (`functions.invocation.InvocationResult`)."""

    @property
    def error(self) -> str | None:
        """The kind of its error, None for success."""
        ...

    @property
    def payload(self) -> AnswerPayload:
        """What it returned."""
        ...


def failed_messages(
    answer: FunctionAnswer,
    message_ids: Sequence[str],
    *,
    reports_item_failures: bool,
    groups: Sequence[str | None] | None = None,
) -> Sequence[int]:
    """The positions of the messages that failed, ascending; empty for complete success.

    `message_ids` are the ids in the order of the batch, `groups` the message groups of a FIFO
    queue's batch in the same order, None for a standard queue.
    """
    count = len(message_ids)
    reported = _failures(answer, message_ids, reports_item_failures)
    if reported is None:
        return range(count)
    if not reported or groups is None:
        return sorted(reported)
    blocked = set()
    failed = []
    for at in range(count):
        if at in reported:
            blocked.add(groups[at])
        if groups[at] in blocked:
            failed.append(at)
    return failed


def first_failed_record(
    answer: FunctionAnswer, sequence_numbers: Sequence[str], *, reports_item_failures: bool
) -> int | None:
    """The position of the first record that failed: it and all behind it are to be tried again. 0
    is complete failure, None complete success.

    `sequence_numbers` are in the order of the batch, which is their own.
    """
    if not sequence_numbers:  # a tumbling window's final invocation
        return None if answer.error is None else 0
    reported = _failures(answer, sequence_numbers, reports_item_failures)
    if reported is None:
        return 0
    return min(reported, default=None)


def _failures(
    answer: FunctionAnswer, identifiers: Sequence[str], reports_item_failures: bool
) -> set[int] | None:
    if answer.error is not None:
        return None
    if not reports_item_failures:
        return set()
    try:
        value = answer.payload.value
    except ValueError:
        return None if answer.payload.raw.strip() else set()
    return reported_failures(value, identifiers)


def reported_failures(value: Any, identifiers: Sequence[str]) -> set[int] | None:
    """The positions of the items that an answer's value reports; None for complete failure.

    Of identifiers that occur more than once in the batch, all positions count.
    """
    if not isinstance(value, dict):
        return set()
    items = value.get(_MEMBER)
    if items is None:
        return set()
    if not isinstance(items, list | tuple):
        return None
    if not items:
        return set()
    wanted = set()
    for item in items:
        identifier = item.get(_IDENTIFIER) if isinstance(item, dict) else None
        if not isinstance(identifier, str):
            return None
        wanted.add(identifier)
    failed = {at for at, identifier in enumerate(identifiers) if identifier in wanted}
    if wanted.difference([identifiers[at] for at in failed]):
        return None
    return failed
