from __future__ import annotations

from itertools import pairwise

import pytest

from eventcore import limits
from eventcore.codec import encode_record
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.streams.block import (
    NUMBER_MAX,
    ORDINAL_MAX,
    Block,
    BlockSlice,
    block_key,
    cut,
    decode_block,
    last_number,
)
from eventcore.streams.sequence_number import parse_sequence_number


@pytest.mark.parametrize("ordinal", [0, 1, ORDINAL_MAX])
@pytest.mark.parametrize("number", [0, 1, NUMBER_MAX])
def test_a_key_names_shard_and_last_record(ordinal, number):
    key = block_key(ordinal, number)
    assert LOG_KEY_FIRST <= key < 1 << 63
    assert last_number(key) == number
    assert (key - LOG_KEY_FIRST) >> 42 == ordinal


def test_a_block_reads_back():
    block = Block(7, 1_700_000_000_123, True, ["a", "ä"], [b"", b"\x00\xff"])
    assert decode_block(encode_record(block)) == block
    assert block.last == 8


def test_a_slice_gives_its_records_with_their_own_sequence_numbers():
    block = Block(10, 1_700_000_000_999, False, list("abcd"), [b"0", b"1", b"2", b"3"])
    records = BlockSlice(block, 1, 3, 5, 1_600_000_000).records()
    assert [(r.partition_key, r.data, r.arrived_ms) for r in records] == [
        ("b", b"1", 1_700_000_000_999),
        ("c", b"2", 1_700_000_000_999),
    ]
    parsed = [parse_sequence_number(r.sequence_number) for r in records]
    assert [(p.number, p.ordinal, p.arrived_s) for p in parsed if p] == [
        (11, 5, 1_700_000_000),
        (12, 5, 1_700_000_000),
    ]


def sizes(keys: list[str], data: list[bytes]) -> list[int]:
    cuts = cut(keys, data)
    assert [at for pair in cuts for at in pair] == sorted(at for pair in cuts for at in pair)
    assert cuts[0][0] == 0 and cuts[-1][1] == len(data)
    assert all(low[1] == high[0] for low, high in pairwise(cuts))
    return [end - begin for begin, end in cuts]


def test_blocks_are_cut_at_500_records():
    for count, wanted in [(1, [1]), (500, [500]), (501, [500, 1]), (1_200, [500, 500, 200])]:
        assert sizes(["k"] * count, [b""] * count) == wanted


def test_blocks_are_cut_at_256_kib_of_data_and_keys():
    quarter = limits.BLOCK_BYTES_MAX // 4
    assert sizes(["k"] * 8, [b"x" * (quarter - 1)] * 8) == [4, 4]
    assert sizes(["k"] * 8, [b"x" * quarter] * 8) == [3, 3, 2]


def test_a_larger_record_is_a_block_alone():
    big = b"x" * (limits.BLOCK_BYTES_MAX + 1)
    assert sizes(["k"] * 5, [b"a", big, b"b", b"c", big]) == [1, 1, 2, 1]
