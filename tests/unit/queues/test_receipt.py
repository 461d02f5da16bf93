"""Receipt handles: what was made opens again, everything else is refused with one error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore.errors import InvalidReceiptHandle
from eventcore.queues.receipt import make_handle, open_handle, queue_tag

TAG = queue_tag("arn:aws:sqs:us-east-1:000000000000:q", 1)
HANDLE = make_handle(TAG, 7, 99)


@given(st.integers(0, 2**48 - 1), st.integers(1, 2**63 - 1))
def test_a_handle_opens_to_what_it_was_made_of(number, token):
    assert open_handle(TAG, make_handle(TAG, number, token)) == (number, token)


@given(st.text())
def test_any_text_is_refused(text):
    with pytest.raises(InvalidReceiptHandle) as caught:
        open_handle(TAG, text)
    assert caught.value.handle == text


@given(st.integers(0, len(HANDLE) - 1), st.characters())
def test_a_handle_with_one_character_changed_is_refused_or_has_another_content(at, character):
    changed = HANDLE[:at] + character + HANDLE[at + 1 :]
    try:
        number, token = open_handle(TAG, changed)
    except InvalidReceiptHandle:
        return
    assert 0 <= number < 2**64 and 0 < token < 2**64


@pytest.mark.parametrize(
    "handle",
    ["", "=", "====", "A" * 27, "A" * 28, HANDLE[:-1], HANDLE + "A", HANDLE + HANDLE, " " + HANDLE,
     HANDLE + "\n", HANDLE.lower(), "ÿ" * 28, "\ud800", "\x00" * 28, "x" * 1_000_000],
)  # fmt: skip
def test_garbage_is_refused(handle):
    with pytest.raises(InvalidReceiptHandle):
        open_handle(TAG, handle)


def test_another_queues_handle_is_refused():
    with pytest.raises(InvalidReceiptHandle):
        open_handle(queue_tag("arn:aws:sqs:us-east-1:000000000000:q", 2), HANDLE)


def test_token_0_is_refused_because_it_means_never_received():
    with pytest.raises(InvalidReceiptHandle):
        open_handle(TAG, make_handle(TAG, 7, 0))
