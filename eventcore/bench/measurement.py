"""What one run of one workload came to, and the median of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from eventcore.bench.histogram import LatencySummary
from eventcore.bench.ledger import LedgerSummary

__all__ = ["Measurement", "medians"]


class Measurement(msgspec.Struct, frozen=True):
    """One run. `operation` says what was timed.

    `server_cpu_ms` is CPU of the server's process tree per 1,000 operations, `generator_cpu_ms` the
    load generator's own; `request_cpu_us` and `message_cpu_us` are the server's per HTTP request
    and per message that an operation carried. `server_rss_bytes` is at the end of the measured
    time. None where the server's processes can not be seen, or nothing was carried. `notes` are a
    workload's own figures.
    """

    workload: str
    endpoint: str
    operation: str
    operations: int
    messages: int
    requests: int
    errors: int
    last_error: str
    elapsed_s: float
    operations_per_s: float
    messages_per_s: float
    latency: LatencySummary
    server_cpu_ms: float | None
    request_cpu_us: float | None
    message_cpu_us: float | None
    server_rss_bytes: int | None
    generator_cpu_ms: float
    ledger: LedgerSummary
    notes: dict[str, float] = {}
    runs: int = 1

    @property
    def is_proven(self) -> bool:
        """The ledger is clean and no operation failed."""
        return self.ledger.is_clean and self.errors == 0


def medians(measurements: Sequence[Measurement]) -> list[Measurement]:
    """One per endpoint and workload: medians of rates, times and costs, sums of counts."""
    groups: dict[tuple[str, str], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.endpoint, measurement.workload), []).append(measurement)
    return [_median(group) for group in groups.values()]


def _median(group: list[Measurement]) -> Measurement:
    if len(group) == 1:
        return group[0]
    first = group[0]

    def middle(value: Callable[[Measurement], float | None]) -> float | None:
        values = [found for run in group if (found := value(run)) is not None]
        return median(values) if values else None

    rss_bytes = middle(lambda run: run.server_rss_bytes)
    return msgspec.structs.replace(
        first,
        operations=sum(run.operations for run in group),
        messages=sum(run.messages for run in group),
        requests=sum(run.requests for run in group),
        errors=sum(run.errors for run in group),
        last_error=next((run.last_error for run in group if run.last_error), ""),
        elapsed_s=sum(run.elapsed_s for run in group),
        operations_per_s=median(run.operations_per_s for run in group),
        messages_per_s=median(run.messages_per_s for run in group),
        latency=_median_latency([run.latency for run in group]),
        server_cpu_ms=middle(lambda run: run.server_cpu_ms),
        request_cpu_us=middle(lambda run: run.request_cpu_us),
        message_cpu_us=middle(lambda run: run.message_cpu_us),
        server_rss_bytes=None if rss_bytes is None else int(rss_bytes),
        generator_cpu_ms=median(run.generator_cpu_ms for run in group),
        ledger=_summed([run.ledger for run in group]),
        notes={name: median(run.notes.get(name, 0.0) for run in group) for name in first.notes},
        runs=len(group),
    )


def _median_latency(latencies: list[LatencySummary]) -> LatencySummary:
    return LatencySummary(
        count=sum(latency.count for latency in latencies),
        mean_ms=median(latency.mean_ms for latency in latencies),
        p50_ms=median(latency.p50_ms for latency in latencies),
        p90_ms=median(latency.p90_ms for latency in latencies),
        p99_ms=median(latency.p99_ms for latency in latencies),
        p999_ms=median(latency.p999_ms for latency in latencies),
        max_ms=max(latency.max_ms for latency in latencies),
    )


def _summed(ledgers: list[LedgerSummary]) -> LedgerSummary:
    fields = LedgerSummary.__struct_fields__
    return LedgerSummary(**{name: sum(getattr(one, name) for one in ledgers) for name in fields})
