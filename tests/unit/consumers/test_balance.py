"""Who gets which lease: even, few moves, no chance."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eventcore.consumers.balance import balance


def never(_: int) -> bool:
    return False


def test_free_leases_go_round():
    assert balance({"b": [], "a": []}, range(5), never) == {0: "a", 1: "b", 2: "a", 3: "b", 4: "a"}


def test_without_workers_nothing_is_given():
    assert balance({}, [1, 2], never) == {}


def test_the_one_with_most_gives_its_latest():
    assert balance({"a": [0, 1, 2, 3], "b": [4]}, [], never) == {3: "b"}
    assert balance({"a": [0, 1, 2], "b": [3, 4]}, [], never) == {}


def test_leases_on_their_way_are_given_first():
    assert balance({"a": [0, 1, 2, 3], "b": []}, [], {0, 1}.__contains__) == {0: "b", 1: "b"}


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=8),
    st.integers(0, 20),
    st.randoms(use_true_random=False),
)
def test_it_is_even_with_the_fewest_moves(loads, free_count, random):
    numbers = iter(random.sample(range(1000), sum(loads) + free_count))
    holdings = {f"w{at}": [next(numbers) for _ in range(load)] for at, load in enumerate(loads)}
    free = list(numbers)
    moves = balance(holdings, free, never)
    after = {worker: set(leases) for worker, leases in holdings.items()}
    for number, worker in moves.items():
        for leases in after.values():
            leases.discard(number)
        after[worker].add(number)
    sizes = [len(leases) for leases in after.values()]
    assert max(sizes) - min(sizes) <= 1
    assert sum(sizes) == sum(loads) + free_count
    least, more = divmod(sum(sizes), len(loads))
    shares = sorted([least + 1] * more + [least] * (len(loads) - more), reverse=True)
    ranked = sorted(loads, reverse=True)
    fewest = sum(max(0, load - share) for load, share in zip(ranked, shares, strict=True))
    assert len(moves) == fewest + len(free)
    shuffled = [(worker, random.sample(leases, len(leases))) for worker, leases in holdings.items()]
    random.shuffle(shuffled)
    assert balance(dict(shuffled), random.sample(free, len(free)), never) == moves
