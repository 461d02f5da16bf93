from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from eventcore.ids import SystemIds, format_uuid


def test_ids_are_version_4_uuids():
    ids = SystemIds()
    for _ in range(2_000):
        found = uuid.UUID(bytes=ids.unique_id())
        assert found.version == 4 and found.variant == uuid.RFC_4122


def test_ids_are_never_given_twice_over_many_pools():
    ids = SystemIds()
    assert len({ids.unique_id() for _ in range(5_000)}) == 5_000


def test_two_sources_share_nothing():
    one, two = SystemIds(), SystemIds()
    assert not {one.unique_id() for _ in range(600)} & {two.unique_id() for _ in range(600)}


def test_tokens_are_63_bits_and_differ():
    ids = SystemIds()
    tokens = [ids.token() for _ in range(2_000)]
    assert all(0 <= token < 1 << 63 for token in tokens)
    assert len(set(tokens)) == 2_000
    assert max(token.bit_length() for token in tokens) == 63


def test_a_token_tells_nothing_of_an_id():
    ids = SystemIds()
    given_out = b"".join(ids.unique_id() for _ in range(200))
    tokens = [ids.token() for _ in range(200)]
    assert not any(token.to_bytes(8, "big") in given_out for token in tokens)


@given(st.binary(min_size=16, max_size=16))
def test_the_text_of_an_id_is_the_uuids(raw):
    assert format_uuid(raw) == str(uuid.UUID(bytes=raw))
