"""The demo finds its counts equal on a daemon, through kills and embedded, and unequal on a bad
broker.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from eventcore.bench.progress import Progress
from eventcore.codec import decode_json, encode_json
from eventcore.demo.broker_access import Delivered
from eventcore.demo.flights import read_slice
from eventcore.demo.flow import DemoOutcome, FlightFlow
from eventcore.demo.rules import FLIGHT_RULES, SOURCE, FlightRule
from eventcore.patterns import compile_pattern, matches
from eventcore.server.cli import main

FLIGHTS = 300


class ListBroker:
    """A broker of lists, right but for the faults it is given: copies[n] of the n-th delivery."""

    def __init__(self, copies: dict[int, int], *, refusals: int = 0) -> None:
        self.retries = 0
        self._copies = copies
        self._refusals = refusals
        self._deliveries = 0
        self._queues: dict[str, list[str]] = {rule.name: [] for rule in FLIGHT_RULES}
        self._patterns = {rule.name: compile_pattern(rule.pattern) for rule in FLIGHT_RULES}

    async def prepare(self, rules: Sequence[FlightRule], visibility_timeout_s: int) -> None:
        pass

    async def put(self, details: Sequence[str]) -> list[int]:
        if self._refusals:
            self._refusals -= 1
            return list(range(len(details)))
        for detail in details:
            event: dict[str, object] = {"source": SOURCE, "detail": decode_json(detail)}
            for name, pattern in self._patterns.items():
                if matches(pattern, event):
                    self._deliveries += 1
                    times = self._copies.get(self._deliveries, 1)
                    self._queues[name] += [encode_json(event).decode()] * times
        return []

    async def receive(self, rule: FlightRule) -> list[Delivered]:
        await asyncio.sleep(0)
        queue = self._queues[rule.name]
        given, self._queues[rule.name] = queue[:10], queue[10:]
        return [Delivered(body, "handle") for body in given]

    async def delete(self, rule: FlightRule, messages: Sequence[Delivered]) -> None:
        pass

    async def is_drained(self, rule: FlightRule) -> bool:
        return not self._queues[rule.name]

    async def clean_up(self, rules: Sequence[FlightRule]) -> None:
        pass


async def run_over(broker: ListBroker) -> DemoOutcome:
    rows = islice(read_slice(), FLIGHTS)
    flow = FlightFlow(broker, rows, Progress("", FLIGHTS, silent=True))
    return await flow.run(timeout_s=30)


async def test_a_right_broker_is_found_equal() -> None:
    outcome = await run_over(ListBroker({}))
    assert outcome.is_equal
    assert outcome.events == FLIGHTS
    assert outcome.deliveries == sum(rule.expected for rule in outcome.rules) > 100


async def test_one_lost_delivery_is_found() -> None:
    outcome = await run_over(ListBroker({50: 0}))
    assert sum(rule.lost for rule in outcome.rules) == 1
    assert not outcome.is_equal


async def test_one_repeated_delivery_is_found() -> None:
    outcome = await run_over(ListBroker({50: 2}))
    assert sum(rule.repeats for rule in outcome.rules) == 1
    assert not outcome.is_equal


async def test_refused_events_are_put_again() -> None:
    outcome = await run_over(ListBroker({}, refusals=3))
    assert outcome.is_equal
    assert outcome.events == FLIGHTS


def test_the_demo_on_a_daemon_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--sample", "1000"]) == 0
    shown = capsys.readouterr().out
    assert "1,000 events put" in shown
    assert "counts are equal: nothing lost, nothing twice." in shown


def test_the_demo_goes_on_through_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--sample", "2000", "--kill", "--kills", "2", "--data", str(tmp_path), "--json"]
    assert main(["demo", *options]) == 0
    outcome = decode_json(capsys.readouterr().out)
    assert outcome["is_equal"]
    assert outcome["kills"] == 2
    assert outcome["retries"] > 0


def test_the_demo_twice_on_the_same_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for sample in ("300", "200"):
        assert main(["demo", "--sample", sample, "--data", str(tmp_path)]) == 0
    assert "counts are equal" in capsys.readouterr().out


@pytest.mark.parametrize("durability", ["full", "memory"])
def test_the_demo_embedded(durability: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--embedded", "--sample", "1000", "--durability", durability, "--json"]
    assert main(["demo", *options]) == 0
    outcome = decode_json(capsys.readouterr().out)
    assert outcome["is_equal"]
    assert outcome["events"] == 1000


@pytest.mark.parametrize(
    "options",
    [
        ["--embedded", "--kill"],
        ["--endpoint-url", "http://127.0.0.1:1", "--kill"],
        ["--kill", "--durability", "memory"],
        ["--sample", "0"],
    ],
)
def test_arguments_that_do_not_go_together_are_a_usage_error(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", *options]) == 2
    assert "eventcore demo" in capsys.readouterr().err
