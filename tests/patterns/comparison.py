"""The engines against the oracle, over a script: rules come and go, events are matched in between.

Each event is asked of everything that can be asked: `matches` per rule, `Matcher.match` with the
event's values, `Matcher.match_json` with its text. A script is plain data, so it can be replayed,
cut down and printed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from eventcore.errors import InvalidPattern
from eventcore.patterns import Matcher, Pattern, compile_pattern, matches
from eventcore.patterns.numbers import decode_event
from tests.patterns.pattern_oracle import OracleEvent, OraclePattern, oracle_matches

__all__ = [
    "ENGINES",
    "Add",
    "Comparison",
    "Difference",
    "Match",
    "Remove",
    "Step",
    "answer",
    "compare",
]

ENGINES: Final = ("matches", "match", "match_json")


class Add(NamedTuple):
    """A rule comes, unless its number is in use."""

    rule: int
    pattern: str


class Remove(NamedTuple):
    """A rule goes, if it is there."""

    rule: int


class Match(NamedTuple):
    """An event is matched against the rules that are there."""

    event: str


Step: TypeAlias = Add | Remove | Match


class Difference(NamedTuple):
    """An engine said something else than the oracle. `kind` is the engine's name, or "refused" for
    a pattern that did not compile. `rule` is one of the rules concerned, -1 if none is known.
    """

    kind: str
    step: int
    rule: int
    text: str


class Comparison:
    """One Matcher and the same rules in the oracle."""

    def __init__(self, engines: Sequence[str] = ENGINES) -> None:
        self.pairs = 0
        """How often one pattern was asked of one event."""
        self.matched = 0
        """How many of the pairs matched."""
        self._engines = engines
        self._matcher = Matcher() if {"match", "match_json"} & {*engines} else None
        self._rules: dict[int, tuple[Pattern, OraclePattern]] = {}
        self._known: dict[str, tuple[Pattern, OraclePattern]] = {}

    def take(self, number: int, step: Step) -> Difference | None:
        """Takes the step with this number; what went wrong in it."""
        rule = step.rule if isinstance(step, (Add, Remove)) else -1
        try:
            if isinstance(step, Match):
                return self._match(number, step.event)
            if isinstance(step, Remove):
                self._remove(step.rule)
            else:
                self._add(step)
        except InvalidPattern as error:
            return Difference("refused", number, rule, error.reason)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a difference
            return Difference(type(error).__name__, number, rule, repr(error))
        return None

    def _add(self, step: Add) -> None:
        if step.rule in self._rules:
            return
        if step.pattern not in self._known:
            compiled = compile_pattern(step.pattern)
            self._known[step.pattern] = compiled, OraclePattern(step.pattern)
        both = self._rules[step.rule] = self._known[step.pattern]
        if self._matcher is not None:
            self._matcher.add(step.rule, both[0])

    def _remove(self, rule: int) -> None:
        if rule in self._rules:
            del self._rules[rule]
            if self._matcher is not None:
                self._matcher.remove(rule)

    def _match(self, number: int, text: str) -> Difference | None:
        event, values = OracleEvent(text), decode_event(text)
        expected = sorted(
            rule for rule, (_, oracle) in self._rules.items() if oracle.matches(event)
        )
        self.pairs += len(self._rules)
        self.matched += len(expected)
        for engine in self._engines:
            if self._matcher is None or engine == "matches":
                rules = self._rules.items()
                found = sorted(rule for rule, (pattern, _) in rules if matches(pattern, values))
            elif engine == "match":
                found = self._matcher.match(values)
            else:
                found = self._matcher.match_json(text.encode())
            if found != expected:
                return _difference(engine, number, expected, found)
        return None


def _difference(engine: str, number: int, expected: list[int], found: list[int]) -> Difference:
    missing = sorted(set(expected) - set(found))
    surplus = sorted(set(found) - set(expected))
    told = f"missing {missing[:9]}, surplus {surplus[:9]}"
    if not missing and not surplus:
        told = f"not ascending, or not once each: {found[:9]}"
    return Difference(engine, number, next(iter(missing + surplus), -1), told)


def compare(script: Sequence[Step], engines: Sequence[str] = ENGINES) -> Difference | None:
    """The first difference of a script, or None."""
    comparison = Comparison(engines)
    for number, step in enumerate(script):
        difference = comparison.take(number, step)
        if difference is not None:
            return difference
    return None


def answer(pattern: str, event: str, *, with_oracle: bool = True) -> bool:
    """Whether the event matches, if all who can be asked agree on it.

    The oracle can be left out for events that are too deep or too big for it.
    """
    compiled, values = compile_pattern(pattern), decode_event(event)
    exact = matches(compiled, values)
    matcher = Matcher()
    matcher.add(7, compile_pattern('{"never":["asked for"]}'))
    matcher.add(5, compiled)
    assert matcher.match(values) == ([5] if exact else []), "match and matches differ"
    assert matcher.match_json(event.encode()) == ([5] if exact else []), "match_json differs"
    if with_oracle:
        assert oracle_matches(pattern, event) is exact, "the oracle differs"
    return exact
