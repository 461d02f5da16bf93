from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventcore import limits
from eventcore.errors import Expired, InvalidParameter
from eventcore.streams.iterator import Iterator, read_iterator, write_iterator

NOW_MS = 1_700_000_000_000
ITERATOR = Iterator("arn:aws:kinesis:eu-west-1:1:stream/x", NOW_MS, 4, 3, 9, 0, NOW_MS)
TOKEN = write_iterator(ITERATOR)


def test_an_iterator_reads_back():
    assert read_iterator(TOKEN, NOW_MS) == ITERATOR
    assert len(TOKEN) <= 512, "botocore's maximum of ShardIterator"


def test_an_iterator_is_good_for_five_minutes():
    assert read_iterator(TOKEN, NOW_MS + limits.ITERATOR_MS_MAX) == ITERATOR
    with pytest.raises(Expired) as caught:
        read_iterator(TOKEN, NOW_MS + 300_001)
    assert (caught.value.created_ms, caught.value.now_ms) == (NOW_MS, NOW_MS + 300_001)


def test_every_iterator_that_was_cut_off_is_refused():
    for length in range(len(TOKEN)):
        with pytest.raises(InvalidParameter):
            read_iterator(TOKEN[:length], NOW_MS)


def test_every_flipped_bit_is_noticed():
    raw = b64decode(TOKEN)
    for at in range(len(raw) * 8):
        forged = bytearray(raw)
        forged[at // 8] ^= 1 << at % 8
        with pytest.raises(InvalidParameter):
            read_iterator(b64encode(forged).decode(), NOW_MS)


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: b64encode(raw).decode()))
def test_any_other_text_is_refused(text):
    with pytest.raises(InvalidParameter) as caught:
        read_iterator(text, NOW_MS)
    assert caught.value.name == "iterator"


def test_an_iterator_of_the_longest_name_and_numbers_fits_the_limit():
    arn = "arn:aws-us-gov:kinesis:ap-southeast-99:000000000000:stream/" + "n" * 128
    far = Iterator(arn, NOW_MS, 1 << 47, (1 << 20) - 1, (1 << 42) - 1, NOW_MS, NOW_MS)
    assert len(write_iterator(far)) <= 512
    assert read_iterator(write_iterator(far), NOW_MS) == far
