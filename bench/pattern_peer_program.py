"""The matchers of LocalStack and moto behind a pipe. Run by `pattern_peers` in an environment that
has those two; imports nothing of eventcore.

Reads one request per line from stdin and answers each with one line, all JSON:

- `{"do": "versions"}`: the versions of the packages.
- `{"do": "load", "name", "rules", "events"}`: keeps them; answers which rules, by place, an engine
  refuses. Refused rules are left out from then on.
- `{"do": "measure", "name", "engine", "seconds"}`: takes whole events, at least one and
  for at least so long; answers their number and the CPU seconds that they cost. Goes on in the next
  request where it stopped.
- `{"do": "answers", "name", "engine", "events"}`: the places of the rules that match, for each of
  the first so many events.

Each engine is called as its own service calls it for an event that was put: one event, parsed once,
against one rule after the other. `LocalStack, compiled once` spares LocalStack reading each
pattern again for each event, which its service does.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

from localstack.services.events.event_rule_engine import (
    EventPatternCompiler,
    EventRuleEngine,
    InvalidEventPatternException,
)
from localstack.utils.event_matcher import matches_event
from moto.events.exceptions import InvalidEventPatternException as MotoInvalidPattern
from moto.events.models import EventPattern

PACKAGES = ("localstack-core", "moto")

Rules = Iterable[tuple[int, str]]
"""Places and patterns."""
Test = Callable[[Any], bool]
"""Whether a parsed event matches."""
Tests = list[tuple[int, Test]]


def localstack(rules: Rules) -> Iterator[tuple[int, Test]]:
    """The call of LocalStack's PutEvents."""
    compiler = EventPatternCompiler()
    for place, rule in rules:
        compiler.compile_event_pattern(rule)
        yield place, partial(matches_event, rule)


def localstack_compiled(rules: Rules) -> Iterator[tuple[int, Test]]:
    """LocalStack's engine, with patterns that were read beforehand."""
    compiler, evaluate = EventPatternCompiler(), EventRuleEngine().evaluate_pattern_on_event
    for place, rule in rules:
        yield place, partial(evaluate, compiler.compile_event_pattern(rule))


def moto(rules: Rules) -> Iterator[tuple[int, Test]]:
    """The call of moto's PutEvents."""
    for place, rule in rules:
        yield place, EventPattern.load(rule).matches_event


ENGINES = {
    "LocalStack": localstack,
    "LocalStack, compiled once": localstack_compiled,
    "moto": moto,
}


class Loaded:
    """One workload: its events, and per engine the accepted rules."""

    def __init__(self, rules: list[str], events: list[str]) -> None:
        self.events = events
        self.tests: dict[str, Tests] = {}
        self.refused: dict[str, list[int]] = {}
        for engine, load in ENGINES.items():
            tests: Tests = []
            refused: list[int] = []
            for place, rule in enumerate(rules):
                try:
                    tests += load([(place, rule)])
                except (InvalidEventPatternException, MotoInvalidPattern):
                    refused.append(place)
            self.tests[engine], self.refused[engine] = tests, refused
        self.next_events = {engine: itertools.cycle(events) for engine in ENGINES}

    def measure(self, engine: str, seconds: float) -> dict[str, float]:
        """Events taken, and their CPU seconds."""
        tests, following = self.tests[engine], self.next_events[engine]
        events, began = 0, time.process_time()
        while True:
            matching(tests, next(following))
            events += 1
            cpu = time.process_time() - began
            if cpu >= seconds:
                return {"events": events, "cpu_s": cpu}

    def answers(self, engine: str, events: int) -> list[list[int]]:
        """The rules that match, event by event."""
        return [matching(self.tests[engine], event) for event in self.events[:events]]


def matching(tests: Tests, text: str) -> list[int]:
    """The places of the rules that match one event."""
    event = json.loads(text)
    return [place for place, test in tests if test(event)]


def main() -> None:
    """Serves until stdin ends."""
    # What the packages print must not get between the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    loaded: dict[str, Loaded] = {}
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop("do")
        if do == "versions":
            answer: Any = {package: version(package) for package in PACKAGES}
        elif do == "load":
            loaded[request["name"]] = Loaded(request["rules"], request["events"])
            answer = loaded[request["name"]].refused
        else:
            workload = loaded[request.pop("name")]
            answer = getattr(workload, do)(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
