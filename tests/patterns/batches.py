"""Batches: random scripts of one world, of several shapes.

- "square": 50 rules, 100 events.
- "single": one rule, 60 events.
- "large": some thousand rules, 40 events.
- "long": few rules, some thousand events, half or nearly all of them with values that never come
  again, so that whatever the matcher remembers overflows, or is given up. In most scripts
  the first of them have no arrays, so that these come late.

In half of the scripts rules come and go between the events. A matcher learns from the events while
the rules stay, so in the other half they do.
"""

from __future__ import annotations

from random import Random
from typing import Final

from tests.patterns.comparison import Add, Match, Remove, Step
from tests.patterns.json_text import write_tree
from tests.patterns.pattern_oracle import Members
from tests.patterns.random_worlds import Maker, World

__all__ = ["SHAPES", "batch"]

SHAPES: Final = {"square": 40, "single": 8, "large": 2, "long": 1}
"""The shapes, and how often each comes."""


def batch(world: World, shape: str, random: Random) -> list[Step]:
    """A script."""
    maker = Maker(world, random)
    if shape == "single":
        return _script(maker, random, rules=1, events=60)
    if shape == "large":
        return _script(maker, random, rules=random.choice([2_100, 2_100, 4_500, 9_000]), events=40)
    if shape == "long":
        return _long_script(maker, random)
    return _script(maker, random, rules=50, events=100)


def _script(maker: Maker, random: Random, *, rules: int, events: int) -> list[Step]:
    patterns = [maker.pattern() for _ in range(rules)]
    # Numbers with gaps, not in the order of their size.
    numbers = random.sample(range(3 * rules), rules)
    steps: list[Step] = [
        Add(number, write_tree(pattern)) for number, pattern in zip(numbers, patterns, strict=True)
    ]
    # Some events before the last rules are there, and some while rules come and go.
    change_share = random.choice([0, 0, 0.02, 0.2])
    for _ in range(events):
        if random.random() < change_share:
            steps += _exchange(maker, random, numbers, patterns)
        steps.append(Match(maker.event(random.choice(patterns))))
    early = [Match(maker.event(random.choice(patterns))) for _ in range(events // 10)]
    for step in early:
        steps.insert(random.randrange(rules + 1), step)
    if random.random() < 0.3:
        # Nearly all go, and come again in another order.
        again = [Add(number, write_tree(maker.pattern())) for number in numbers]
        gone = random.sample(numbers, rules * 9 // 10)
        for some in ([Remove(number) for number in gone], random.sample(again, rules)):
            steps += some
            steps += [Match(maker.event(random.choice(patterns))) for _ in range(events // 5)]
    return steps


def _exchange(
    maker: Maker, random: Random, numbers: list[int], patterns: list[Members]
) -> list[Step]:
    """Some rules go, and others with the same numbers come, at once or not."""
    steps: list[Step] = []
    for place in random.sample(range(len(numbers)), 1 + len(numbers) // 20):
        steps.append(Remove(numbers[place]))
        if random.random() < 0.8:
            patterns[place] = maker.pattern()
            steps.append(Add(numbers[place], write_tree(patterns[place])))
    return steps


def _long_script(maker: Maker, random: Random) -> list[Step]:
    patterns = [maker.pattern() for _ in range(12)]
    steps: list[Step] = [
        Add(number, write_tree(pattern)) for number, pattern in enumerate(patterns)
    ]
    maker.is_plain = True
    again = [maker.event(random.choice(patterns)) for _ in range(40)]
    unique_share = random.choice([0.5, 0.97, 0.97])
    plain_events = random.choice([0, 2_000, 2_000])
    for number in range(12_000):
        maker.is_plain = number < plain_events
        if number % 3_000 == 2_999:
            steps += _exchange(maker, random, list(range(12)), patterns)
        if random.random() < unique_share:
            steps.append(Match(maker.unique_event(random.choice(patterns), number)))
        else:
            steps.append(Match(random.choice(again)))
    return steps
