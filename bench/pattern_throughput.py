"""Events per second through the matcher, its floor and the other matchers, side by side.

The engines of one workload take turns, a share of a second each, for several rounds; so a slow
minute of the machine hits all of them. Each goes on in the events where it stopped, so it has seen
all the others before one event comes again.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, cycle, islice
from typing import Any, Final, NamedTuple

import orjson

from bench.pattern_load import Workload
from bench.pattern_peers import COMPILED_ONCE, PEERS, PeerProcess
from bench.pattern_results import FLOOR, MATCH_ONLY, OURS, Difference, Figure
from eventcore.patterns import Matcher, compile_pattern, matches

__all__ = ["ONE_BY_ONE", "Effort", "compare_answers", "load_matcher", "measure"]

PEER_RULES_MAX: Final = 10_000
SLICE: Final = 100
"""Events between two looks at the clock."""
MATCHES_SAMPLE: Final = 2_000
EXAMPLES_MAX: Final = 6
ONE_BY_ONE: Final = "eventcore, rule by rule"
"""`patterns.matches`, the plain definition: it must say what the matcher says."""


class Effort(NamedTuple):
    """How long it is measured: rounds, and CPU seconds per engine and round."""

    rounds: int
    seconds: float


class _Engine(NamedTuple):
    name: str
    rules: int
    us_per_event: Callable[[float], float]
    """Takes events for so many CPU seconds."""


def load_matcher(rules: Iterable[str]) -> Matcher:
    """A matcher that knows each rule by its place."""
    matcher = Matcher()
    for number, rule in enumerate(rules):
        matcher.add(number, compile_pattern(rule))
    return matcher


def measure(
    name: str, workloads: dict[int, Workload], effort: Effort, peers: PeerProcess | None
) -> list[Figure]:
    """All figures of one kind of workload, given by number of rules."""
    engines: list[_Engine] = []
    matching: dict[int, float] = {}
    for size, workload in workloads.items():
        matcher = load_matcher(workload.rules)
        sample = workload.events[:MATCHES_SAMPLE]
        matching[size] = statistics.fmean(len(matcher.match_json(event)) for event in sample)
        events = [orjson.loads(event) for event in workload.events]
        engines += [
            _Engine(FLOOR, size, _timed(orjson.loads, workload.events)),
            _Engine(OURS, size, _timed(matcher.match_json, workload.events)),
            _Engine(MATCH_ONLY, size, _timed(matcher.match, events)),
        ]
        if peers is not None and size <= PEER_RULES_MAX:
            engines += _peer_engines(peers, f"{name} {size}", workload)
    rounds = _take_turns(engines, effort)
    return [
        _figure(name, engine, rounds, matching[engine.rules])
        for engine in sorted(engines, key=lambda engine: _ORDER.index(engine.name))
    ]


_ORDER: Final = (OURS, MATCH_ONLY, FLOOR, *PEERS)


def _peer_engines(peers: PeerProcess, name: str, workload: Workload) -> list[_Engine]:
    peers.load(name, workload)
    return [
        _Engine(peer, len(workload.rules), partial(peers.us_per_event, name, peer))
        for peer in PEERS
    ]


def _timed(call: Callable[[Any], object], events: Sequence[Any]) -> Callable[[float], float]:
    following = cycle(events)

    def us_per_event(seconds: float) -> float:
        taken, cpu = 0, 0.0
        while cpu < seconds:
            events = list(islice(following, SLICE))
            began = time.process_time()
            for event in events:
                call(event)
            cpu += time.process_time() - began
            taken += SLICE
        return cpu / taken * 1e6

    return us_per_event


def _take_turns(engines: list[_Engine], effort: Effort) -> dict[tuple[str, int], list[float]]:
    """Microseconds per event of each round, by engine and number of rules."""
    rounds: dict[tuple[str, int], list[float]] = {}
    # One engine's rules are not another one's garbage to look through.
    gc.collect()
    gc.freeze()
    for number in range(effort.rounds + 1):
        for engine in engines:
            us_per_event = engine.us_per_event(effort.seconds)
            if number:  # The first warms up.
                rounds.setdefault((engine.name, engine.rules), []).append(us_per_event)
    gc.unfreeze()
    return rounds


def _figure(
    name: str, engine: _Engine, rounds: dict[tuple[str, int], list[float]], matching: float
) -> Figure:
    own, floor = rounds[engine.name, engine.rules], rounds[FLOOR, engine.rules]
    return Figure(
        workload=name,
        engine=engine.name,
        rules=engine.rules,
        us_per_event=statistics.median(own),
        to_floor=statistics.median(us / us_floor for us, us_floor in zip(own, floor, strict=True)),
        matches_per_event=matching if engine.name == OURS else None,
        rounds_us=tuple(round(us, 3) for us in own),
    )


# -- answers -------------------------------------------------------------------------------------


def compare_answers(
    name: str, workload: Workload, events: int, peers: PeerProcess | None
) -> list[Difference]:
    """What our plain definition and the others say to the first `events` events."""
    matcher = load_matcher(workload.rules)
    texts = workload.events[:events]
    ours = [matcher.match_json(text) for text in texts]
    patterns = [compile_pattern(rule) for rule in workload.rules]
    one_by_one = [
        [number for number, pattern in enumerate(patterns) if matches(pattern, event)]
        for event in map(orjson.loads, texts)
    ]
    found = [_difference(name, ONE_BY_ONE, workload.rules, ours, one_by_one, [])]
    if peers is not None:
        sample = f"{name} {events} events"
        refused = peers.load(sample, workload)
        for peer in (each for each in PEERS if each != COMPILED_ONCE):
            theirs = peers.answers(sample, peer, events)
            found.append(_difference(name, peer, workload.rules, ours, theirs, refused[peer]))
    return found


def _difference(
    name: str,
    engine: str,
    rules: list[str],
    ours: list[list[int]],
    theirs: list[list[int]],
    refused: list[int],
) -> Difference:
    left_out = set(refused)
    pairs = list(zip((set(each) - left_out for each in ours), map(set, theirs), strict=True))
    only_ours = Counter(chain.from_iterable(own - other for own, other in pairs))
    only_theirs = Counter(chain.from_iterable(other - own for own, other in pairs))
    worst = (only_ours + only_theirs).most_common(EXAMPLES_MAX)
    return Difference(
        workload=name,
        engine=engine,
        pairs=len(ours) * (len(rules) - len(left_out)),
        matching=sum(len(own) for own, _ in pairs),
        only_ours=only_ours.total(),
        only_theirs=only_theirs.total(),
        refused=len(refused),
        examples=tuple(f"{count} x {rules[number]}" for number, count in worst),
    )
