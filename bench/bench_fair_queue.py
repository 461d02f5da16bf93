"""Fair queues: how long messages of quiet tenants wait while one tenant floods the queue.

    python -m bench.bench_fair_queue

Virtual time (see `fair_queue`): the figures are the same on every machine and in every run.
"""

from __future__ import annotations

from bench.fair_queue import QUIET_GROUPS, Load, Result, simulate

__all__ = ["main"]

SLOW = {"flood": 5_000, "noisy_service_ms": 2_000}
LOADS = (
    ("flood of 100,000, no groups", Load(has_groups=False)),
    ("flood of 100,000, groups", Load(has_groups=True)),
    ("5,000 messages of 2 s each, no groups", Load(has_groups=False, **SLOW)),
    ("5,000 messages of 2 s each, groups", Load(has_groups=True, **SLOW)),
)


def main() -> None:
    """Prints the table."""
    print(f"dwell times of {QUIET_GROUPS} quiet groups in ms, one message a second each, 60 s")
    print(f"{'':38} {'median':>9} {'p99':>9} {'longest':>9}")
    for title, load in LOADS:
        print(f"{title:38} {_row(simulate(load))}")


def _row(result: Result) -> str:
    quiet = result.quiet
    return f"{quiet.at(0.5):>9,} {quiet.at(0.99):>9,} {quiet.longest:>9,}"


if __name__ == "__main__":
    main()
