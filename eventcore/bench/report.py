"""Measurements as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from eventcore.bench.measurement import Measurement
from eventcore.codec import encode_json

__all__ = ["render_json", "render_table"]

_SPEED_HEAD = ("workload", "endpoint", "ops/s", "msgs/s", "p50 ms", "p90", "p99", "p99.9", "max")
_COST_HEAD = ("CPU µs/op", "/request", "/message", "RSS MB", "gen. CPU")
_PROOF_HEAD = ("workload", "endpoint", "sent", "received", "lost", "twice", "foreign", "unknown")
_PROOF_TAIL = ("out of order", "errors", "proof")


def render_table(measurements: Sequence[Measurement]) -> str:
    """Speed and cost in one table, the ledger in a second, notes and errors below."""
    speed = [_SPEED_HEAD + _COST_HEAD, *(_speed_row(one) for one in measurements)]
    proof = [_PROOF_HEAD + _PROOF_TAIL, *(_proof_row(one) for one in measurements)]
    notes = [line for one in measurements for line in _note_lines(one)]
    return "\n".join([*_aligned(speed), "", *_aligned(proof), *([""] if notes else []), *notes])


def render_json(measurements: Sequence[Measurement]) -> str:
    """All fields of all runs, as a JSON array."""
    return encode_json([msgspec.to_builtins(one) for one in measurements]).decode()


def _speed_row(one: Measurement) -> tuple[str, ...]:
    latency = one.latency
    # ms per 1,000 operations are µs per operation
    costs = (one.server_cpu_ms, one.request_cpu_us, one.message_cpu_us)
    times = (latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms)
    return (
        one.workload,
        one.endpoint,
        f"{one.operations_per_s:,.0f}",
        f"{one.messages_per_s:,.0f}",
        *(f"{value:.2f}" for value in times),
        *("-" if value is None else f"{value:.1f}" for value in costs),
        "-" if one.server_rss_bytes is None else f"{one.server_rss_bytes / 1e6:.0f}",
        f"{one.generator_cpu_ms:.1f}",
    )


def _proof_row(one: Measurement) -> tuple[str, ...]:
    book = one.ledger
    counts = (book.sent, book.received, book.lost, book.duplicated, book.foreign, book.unknown)
    verdict = "ok" if one.is_proven else "FAILED"
    out_of_order = book.out_of_order + book.order_broken
    tail = (f"{out_of_order:,}", f"{one.errors:,}", verdict)
    return (one.workload, one.endpoint, *(f"{count:,}" for count in counts), *tail)


def _note_lines(one: Measurement) -> list[str]:
    lines = [f"{one.workload}: {name} {_digits(name, value)}" for name, value in one.notes.items()]
    if one.last_error:
        lines.append(f"{one.workload}: last error: {one.last_error}")
    return lines


def _digits(name: str, value: float) -> str:
    """Of a percentage enough digits to tell next to nothing from nothing; of a count none behind
    the point.
    """
    return f"{value:,.4f}" if name.endswith("percent") else f"{value:,.2f}".removesuffix(".00")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Two text columns to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
