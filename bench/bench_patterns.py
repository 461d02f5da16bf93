"""Events per second of parsing and matching, by number of rules.

    python bench/bench_patterns.py [--seconds 0.5]

The rules are a mix as buses have it: an exact source, mostly a detail-type, and two conditions on
the detail (exact, prefix, suffix, numeric, anything-but, exists); every fourth names a unique id.
An event is an envelope of about 480 bytes. Prints, per number of rules, the events/s of
`match_json` and of `match` alone, the mean number of rules that match, the time to add a rule, and
the size of the process (events included).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import time
from collections.abc import Callable
from typing import TypeVar

from eventcore.codec import decode_json
from eventcore.patterns import Matcher, compile_pattern

T = TypeVar("T")

SOURCES = [f"com.shop.{name}" for name in ("orders", "stock", "billing", "users", "search", "mail")]
KINDS = [
    f"{noun} {verb}"
    for noun in ("Order", "Item", "Account")
    for verb in ("Placed", "Changed", "Closed")
]
STATES = ["new", "paid", "packed", "sent", "returned", "lost"]
EVENTS_COUNT = 8_000
"""More than a memo holds, so that ids and amounts are not found there."""


def random_rule(number: int, draw: random.Random) -> dict[str, object]:
    """One rule of the mix."""
    if number % 4 == 0:
        return {
            "source": [draw.choice(SOURCES)],
            "detail": {"id": [f"order-{draw.randrange(10**6)}"]},
        }
    detail: dict[str, object] = {}
    extras: list[tuple[str, list[object]]] = [
        ("state", draw.sample(STATES, 2)),
        ("amount", [{"numeric": [">", draw.randrange(9_000), "<=", 9_500]}]),
        ("customer", [{"prefix": f"c-{draw.randrange(1_000)}"}]),
        ("file", [{"suffix": draw.choice([".png", ".jpeg", ".csv", ".json"])}]),
        ("state", [{"anything-but": draw.sample(STATES, 3)}]),
        ("coupon", [{"exists": draw.random() < 0.5}]),
        ("priority", [draw.randrange(10)]),
    ]
    detail.update(draw.sample(extras, 2))
    rule: dict[str, object] = {"source": [draw.choice(SOURCES)], "detail": detail}
    if draw.random() < 0.6:
        rule["detail-type"] = [draw.choice(KINDS)]
    return rule


def random_event(draw: random.Random) -> bytes:
    """One event, as the bus would have it."""
    detail = {
        "id": f"order-{draw.randrange(10**6)}",
        "state": draw.choice(STATES),
        "amount": draw.randrange(1_000_000) / 100,
        "customer": f"c-{draw.randrange(10_000)}",
        "file": f"image{draw.randrange(1_000)}{draw.choice(['.png', '.csv', '.txt'])}",
        "priority": draw.randrange(10),
        "address": {"street": "Long Street 17", "city": "Springfield", "zip": "01234"},
        "tags": ["one", "two", "three"],
    }
    event = {
        "version": "0",
        "id": f"{draw.getrandbits(128):032x}",
        "detail-type": draw.choice(KINDS),
        "source": draw.choice(SOURCES),
        "account": "123456789012",
        "time": "2026-01-01T00:00:00Z",
        "region": "us-east-1",
        "resources": ["arn:aws:s3:::example"],
        "detail": detail,
    }
    return json.dumps(event).encode()


def rate(call: Callable[[T], object], inputs: list[T], seconds: float) -> float:
    """Calls per second, over whole rounds of all inputs, for about `seconds`."""
    for each in inputs:
        call(each)
    calls, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        for each in inputs:
            call(each)
        calls += len(inputs)
    return calls / elapsed


def main() -> None:
    """Measures and prints the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=0.5, help="per figure")
    seconds = arguments.parse_args().seconds
    draw = random.Random(7)
    texts = [random_event(draw) for _ in range(EVENTS_COUNT)]
    events = [decode_json(text) for text in texts]
    print(f"parse alone: {rate(decode_json, texts, seconds):,.0f}/s, {len(texts[0])} bytes")
    print("  rules  parse+match/s   match/s  matches/event  add us/rule  RSS MB")
    for count in (1, 100, 1_000, 10_000):
        patterns = [compile_pattern(json.dumps(random_rule(n, draw))) for n in range(count)]
        started = time.perf_counter()
        matcher = Matcher()
        for number, pattern in enumerate(patterns):
            matcher.add(number, pattern)
        add_us = (time.perf_counter() - started) / count * 1e6
        matches = sum(len(matcher.match(event)) for event in events) / len(events)
        whole = rate(matcher.match_json, texts, seconds)
        alone = rate(matcher.match, events, seconds)
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{count:7,} {whole:14,.0f} {alone:9,.0f} {matches:14.1f} {add_us:12.1f} {rss:7}")


if __name__ == "__main__":
    main()
