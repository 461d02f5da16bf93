"""Frames carry batches and answers unchanged."""

from __future__ import annotations

import pytest

from eventcore.errors import StoreCorrupt, StoreError, StoreUnavailable
from eventcore.stores.frames import (
    HEADER,
    SUCCESS,
    decode_batch,
    decode_error,
    encode_batch,
    encode_error,
)


def test_batch_survives_the_way_to_the_writer() -> None:
    top = (1 << 63) - 1
    rows: dict[tuple[int, int], bytes | None] = {(1, 2): b"a", (top, top): None, (0, 0): b""}
    ranges = [(1, 0, top), (2, 5, 5)]
    assert decode_batch(memoryview(encode_batch(rows, ranges))) == (rows, ranges)


@pytest.mark.parametrize("error", [StoreUnavailable("disk full"), StoreCorrupt("ä")])
def test_error_keeps_its_type_and_text(error: StoreError) -> None:
    answer = encode_error(error)
    (length,) = HEADER.unpack_from(answer)
    assert length == len(answer) - HEADER.size > 0
    decoded = decode_error(answer[HEADER.size :])
    assert type(decoded) is type(error)
    assert str(decoded) == str(error)


def test_success_is_an_answer_of_length_zero() -> None:
    assert HEADER.unpack(SUCCESS) == (0,)
