"""Who should have which lease: even, with as few moves as possible, and always the same answer.

Rules of this file:

- Afterwards no worker has two leases more than another.
- A lease moves only where that is needed for it: those who have most keep most.
- Nothing here depends on chance, or on the order in which things are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

__all__ = ["balance"]


def balance(
    holdings: Mapping[str, Iterable[int]],
    free: Iterable[int],
    is_on_its_way: Callable[[int], bool],
) -> dict[int, str]:
    """The leases that get another worker, each with that worker.

    `holdings` are the leases of each worker that takes any, those on their way to it included;
    `free` are leases of nobody. Leases on their way are the first that are given away, then those
    with the highest numbers. Costs n log n.
    """
    if not holdings:
        return {}
    held = {worker: sorted(leases) for worker, leases in holdings.items()}
    pool = sorted(free)
    count = sum(map(len, held.values())) + len(pool)
    least, more = divmod(count, len(held))
    ranked = sorted(held, key=lambda worker: (-len(held[worker]), worker))
    shares = {worker: least + (at < more) for at, worker in enumerate(ranked)}
    for worker in ranked:
        surplus = len(held[worker]) - shares[worker]
        if surplus > 0:
            held[worker].sort(key=lambda lease: (is_on_its_way(lease), lease))
            pool += held[worker][-surplus:]
            del held[worker][-surplus:]
    pool.sort(reverse=True)
    moves = {}
    # In rounds, so that shards which follow each other go to different workers.
    wanting = [worker for worker in sorted(held) if len(held[worker]) < shares[worker]]
    while pool:
        for worker in wanting:
            if not pool:
                break
            held[worker].append(pool[-1])
            moves[pool.pop()] = worker
        wanting = [worker for worker in wanting if len(held[worker]) < shares[worker]]
    return moves
