"""Seeded ids repeat for their seed, and are what an IdSource promises."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from eventcore.testing import SeededIds


def test_same_seed_gives_the_same_ids_and_another_seed_others() -> None:
    one, same, other = SeededIds(1), SeededIds(1), SeededIds(2)
    first = [(one.unique_id(), one.token()) for _ in range(50)]
    assert first == [(same.unique_id(), same.token()) for _ in range(50)]
    assert first != [(other.unique_id(), other.token()) for _ in range(50)]


def test_ids_are_distinct_uuids_of_version_4() -> None:
    ids = SeededIds()
    made = [ids.unique_id() for _ in range(1_000)]
    assert len(set(made)) == 1_000
    for raw in made:
        assert UUID(bytes=raw).version == 4
        assert UUID(bytes=raw).variant == RFC_4122


def test_tokens_have_63_bits() -> None:
    ids = SeededIds()
    tokens = [ids.token() for _ in range(1_000)]
    assert min(tokens) >= 0
    assert 1 << 62 < max(tokens) < 1 << 63
