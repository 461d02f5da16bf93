"""What rules cost beside matching, measured in a process that holds nothing else.

    python -m bench.pattern_cost_program (changes|load|memory) RULES EVENTS [MORE]

RULES, EVENTS and MORE are files with one JSON text per line; MORE are rules to add and remove
again. Prints one record of `pattern_results` as JSON. Times are CPU times.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Final

import msgspec
import psutil

from bench.pattern_results import Changes, Loading, Memory
from eventcore.patterns import Matcher, compile_pattern

__all__ = ["changes", "load", "memory"]

WARM_EVENTS: Final = 2_000
NEW_PATHS: Final = 200


def lines(file: str) -> Iterator[str]:
    """The texts in the file, one at a time, so that none of them is left in memory."""
    with Path(file).open(encoding="utf-8") as texts:
        yield from texts


def load(rules: str, events: str) -> Loading:
    """From texts in memory to the first answer."""
    texts, first = list(lines(rules)), next(lines(events)).encode()
    matcher = Matcher()
    began = time.process_time()
    patterns = [compile_pattern(text) for text in texts]
    compiled = time.process_time()
    for number, pattern in enumerate(patterns):
        matcher.add(number, pattern)
    added = time.process_time()
    matcher.match_json(first)
    ended = time.process_time()
    return Loading(len(texts), compiled - began, added - compiled, ended - added)


def memory(rules: str, events: str) -> Memory:
    """The process before the rules, with them, and after the events."""
    matcher, process = Matcher(), psutil.Process()
    empty = _mb(process)
    for number, text in enumerate(lines(rules)):
        matcher.add(number, compile_pattern(text))
    loaded = _mb(process)
    count = 0
    for count, event in enumerate(lines(events), 1):  # noqa: B007 - read after the loop
        matcher.match_json(event.encode())
    return Memory(len(matcher), empty, loaded, _mb(process), count)


def _mb(process: psutil.Process) -> float:
    gc.collect()
    return float(process.memory_info().rss) / 1e6


def changes(rules: str, events: str, more: str) -> Changes:
    """One rule more, an event, one rule less, an event; and again, with rules on new fields."""
    matcher = Matcher()
    for number, text in enumerate(lines(rules)):
        matcher.add(number, compile_pattern(text))
    count = len(matcher)
    following = cycle([event.encode() for event in lines(events)])

    def match() -> int:
        return _ns(matcher.match_json, next(following))

    for _ in range(WARM_EVENTS):
        match()
    calm = [match() for _ in range(WARM_EVENTS)]
    add, remove, after_add, after_remove, after_new_path = [], [], [], [], []
    for pattern in map(compile_pattern, lines(more)):
        add.append(_ns(matcher.add, count, pattern))
        after_add.append(match())
        remove.append(_ns(matcher.remove, count))
        after_remove.append(match())
    for number in range(NEW_PATHS):
        pattern = compile_pattern(f'{{"detail": {{"new-{number}": ["x"]}}}}')
        add.append(_ns(matcher.add, count, pattern))
        after_new_path.append(match())
        remove.append(_ns(matcher.remove, count))
        after_remove.append(match())
    return Changes(
        rules=count,
        add_us=_spread(add),
        remove_us=_spread(remove),
        match_us=_spread(calm),
        match_after_add_us=_spread(after_add),
        match_after_new_path_us=_spread(after_new_path),
        match_after_remove_us=_spread(after_remove),
    )


def _ns(call: Callable[..., object], *arguments: object) -> int:
    began = time.process_time_ns()
    call(*arguments)
    return time.process_time_ns() - began


def _spread(times_ns: list[int]) -> tuple[float, float, float]:
    """p50, p99 and the longest, in microseconds."""
    ordered = sorted(times_ns)
    ranks = (len(ordered) // 2, len(ordered) * 99 // 100, len(ordered) - 1)
    p50, p99, longest = (ordered[rank] / 1e3 for rank in ranks)
    return p50, p99, longest


def main() -> None:
    """One measurement, as the arguments say."""
    what, *files = sys.argv[1:]
    measurements: dict[str, Callable[..., Changes | Loading | Memory]] = {
        "changes": changes,
        "load": load,
        "memory": memory,
    }
    record = measurements[what](*files)
    print(msgspec.json.encode(record).decode())


if __name__ == "__main__":
    main()
