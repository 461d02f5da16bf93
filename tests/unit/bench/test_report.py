"""Medians of repeats, the table and the JSON."""

from __future__ import annotations

import msgspec

from eventcore.bench.histogram import Histogram
from eventcore.bench.ledger import LedgerSummary
from eventcore.bench.measurement import Measurement, medians
from eventcore.bench.report import render_json, render_table
from eventcore.codec import decode_json

CLEAN = LedgerSummary(
    sent=10, unknown=0, received=10, lost=0, duplicated=0, out_of_order=1, foreign=0
)


def measurement(endpoint: str, rate: float, cpu_ms: float | None = 20.0) -> Measurement:
    latency = Histogram()
    latency.record(1_000_000)
    return Measurement(
        workload="send",
        endpoint=endpoint,
        operation="SendMessage",
        operations=10,
        messages=20,
        requests=30,
        errors=0,
        last_error="",
        elapsed_s=1.0,
        operations_per_s=rate,
        messages_per_s=rate,
        latency=latency.summary(),
        server_cpu_ms=cpu_ms,
        request_cpu_us=None if cpu_ms is None else cpu_ms / 3,
        message_cpu_us=None if cpu_ms is None else cpu_ms / 2,
        server_rss_bytes=None if cpu_ms is None else 50_000_000,
        generator_cpu_ms=5.0,
        ledger=CLEAN,
    )


def test_repeats_become_medians_of_rates_and_sums_of_counts() -> None:
    runs = [measurement("a", rate) for rate in (100.0, 300.0, 200.0)]
    (middle,) = medians(runs)
    assert (middle.operations_per_s, middle.operations, middle.runs) == (200.0, 30, 3)
    assert (middle.requests, middle.request_cpu_us, middle.message_cpu_us) == (90, 20 / 3, 10.0)
    assert (middle.ledger.sent, middle.ledger.out_of_order) == (30, 3)


def test_endpoints_are_kept_apart_in_the_order_they_came() -> None:
    runs = [measurement("a", 1.0), measurement("b", 2.0), measurement("a", 3.0)]
    assert [(one.endpoint, one.operations_per_s) for one in medians(runs)] == [("a", 2.0), ("b", 2)]


def test_a_cost_that_nobody_saw_stays_unknown() -> None:
    (middle,) = medians([measurement("a", 1.0, None), measurement("a", 2.0, None)])
    assert middle.server_cpu_ms is None
    assert middle.request_cpu_us is None
    assert middle.message_cpu_us is None
    assert middle.server_rss_bytes is None


def test_the_table_has_speed_cost_and_proof_in_aligned_columns() -> None:
    lines = render_table([measurement("a", 12_345.0)]).splitlines()
    assert "12,345" in lines[1]
    for head, figure in (("CPU µs/op", " 20.0"), ("/request", " 6.7"), ("/message", " 10.0")):
        assert lines[1].index(figure) + len(figure) == lines[0].index(head) + len(head)
    assert lines[-1].endswith("ok")


def test_a_loss_or_an_error_shows_as_failed() -> None:
    lossy = msgspec.structs.replace(CLEAN, lost=1)
    lost = msgspec.structs.replace(measurement("a", 1.0), ledger=lossy)
    failed = msgspec.structs.replace(measurement("a", 1.0), errors=1, last_error="refused")
    assert "FAILED" in render_table([lost])
    assert "last error: refused" in render_table([failed])


def test_a_promise_of_order_that_was_broken_shows_as_failed() -> None:
    broken = msgspec.structs.replace(CLEAN, out_of_order=0, order_broken=7)
    row = render_table([msgspec.structs.replace(measurement("a", 1.0), ledger=broken)]).split()
    assert row[-3:] == ["7", "0", "FAILED"]


def test_notes_tell_next_to_nothing_from_nothing_and_counts_from_figures() -> None:
    notes = {"idle_cpu_percent": 0.0012, "bytes_per_message": 581.5, "backlog": 1_000.0}
    shown = render_table([msgspec.structs.replace(measurement("a", 1.0), notes=notes)])
    assert [line.split()[-1] for line in shown.splitlines()[-3:]] == ["0.0012", "581.50", "1,000"]


def test_json_has_every_field_of_every_run() -> None:
    (run,) = decode_json(render_json([measurement("a", 1.0)]))
    assert set(run) == set(Measurement.__struct_fields__)
