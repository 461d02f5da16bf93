"""Events and rules to measure the matching of event patterns with.

Everything is drawn from fixed seeds, so that each run and each engine gets the same. Events are
JSON texts of one line, EVENTS_COUNT different ones each: more than a memo holds, so that ids and
amounts are not found there.

- `mixed_workload`: EventBridge-shaped orders of some 540 bytes, and rules as buses have them: a
  source, mostly a detail-type, and two conditions, among which all operators are, the usual ones
  more often; every fourth names a unique id.
  The number of sources grows with the bus.
- `shapes_workload`: the same with four shapes of detail; a source has one of them. What is text in
  one may be an object in another.
- `flights_workload`: the flights of the demonstration, one source, and rules about them; the first
  are the demonstration's own.
- `condition_workload`: one condition of the mix per rule and no source, so that many match; to
  compare answers with.
- `family_workload`: rules of one operator alone and no source to tell them apart by, so few of
  them match one event.
"""

from __future__ import annotations

import itertools
import json
import random
import uuid
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from eventcore.demo.flights import Row, detail_json, flight_id, read_slice
from eventcore.demo.rules import DETAIL_TYPE, FLIGHT_RULES, SOURCE

__all__ = [
    "EVENTS_COUNT",
    "FAMILIES",
    "Workload",
    "condition_workload",
    "family_workload",
    "flights_workload",
    "mixed_event",
    "mixed_rule",
    "mixed_sources",
    "mixed_workload",
    "shapes_workload",
]

EVENTS_COUNT: Final = 8_000

Json = dict[str, Any]
Random = random.Random


class Workload(NamedTuple):
    """Rules and events, as JSON texts. A rule's number is its place."""

    rules: list[str]
    events: list[bytes]


# -- orders --------------------------------------------------------------------------------------

TEAMS: Final = (
    "shop",
    "store",
    "market",
    "supply",
    "partner",
    "finance",
    "media",
    "travel",
    "core",
)
SERVICES: Final = (
    *("orders", "stock", "billing", "users", "search", "mail"),
    *("carts", "returns", "prices", "reviews", "labels", "routes"),
)
VERBS: Final = ("Created", "Changed", "Closed", "Failed")
STATES: Final = ("new", "paid", "packed", "sent", "returned", "lost", "test", "draft")
COUNTRIES: Final = ("DE", "FR", "US", "GB", "JP", "BR", "IN", "ZA", "PL", "SE", "MX", "AU")
DEPARTMENTS: Final = ("invoices", "images", "exports", "labels", "scans", "logs")
EXTENSIONS: Final = (".pdf", ".png", ".csv", ".json", ".jpeg", ".txt")
CENTS_MAX: Final = 1_000_000
SKUS: Final = 100_000


def mixed_sources(count: int) -> list[str]:
    """The sources of a bus of `count` rules: 6 of 100 rules, 38 of 10,000, 95 of 100,000."""
    names = [f"com.{team}.{service}" for team, service in itertools.product(TEAMS, SERVICES)]
    random.Random(1).shuffle(names)
    return names[: max(6, round(6 * (count / 100) ** 0.4))]


def _source(draw: Random, sources: list[str]) -> str:
    """One of them; the first have more events and more rules than the last."""
    return draw.choices(sources, [(place + 1) ** -0.5 for place in range(len(sources))])[0]


def _detail_type(draw: Random, source: str) -> str:
    return f"{source.rpartition('.')[2].capitalize()} {draw.choice(VERBS)}"


def mixed_event(draw: Random, sources: list[str]) -> bytes:
    """One order, as the bus would have it."""
    source = _source(draw, sources)
    country = draw.choice(COUNTRIES)
    detail: Json = {
        "id": f"order-{draw.randrange(10**6):06d}",
        "state": draw.choice(STATES),
        "customer": f"c-{draw.randrange(10**8):08d}",
        "country": draw.choice((country, country.lower())),
        "priority": draw.randrange(10),
        "amount": draw.randrange(CENTS_MAX) / 100,
        "ip": f"10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(256)}",
        "file": f"{draw.choice(DEPARTMENTS)}/2026/{draw.getrandbits(32):08x}"
        f"{draw.choice(EXTENSIONS)}",
        "lines": [_order_line(draw) for _ in range(draw.choice((2, 3, 3, 4)))],
    }
    if draw.random() < 0.3:
        detail["coupon"] = f"SPRING-{draw.randrange(100)}"
    if draw.random() < 0.1:
        detail["vip"] = True
    return _envelope(draw, source, _detail_type(draw, source), detail)


def _order_line(draw: Random) -> Json:
    return {
        "sku": f"sku-{draw.randrange(SKUS):05d}",
        "quantity": draw.randrange(1, 10),
        "price": draw.randrange(100, 20_000) / 100,
    }


def _envelope(draw: Random, source: str, detail_type: str, detail: Json) -> bytes:
    second = draw.randrange(86_400)
    event = {
        "version": "0",
        "id": str(uuid.UUID(int=draw.getrandbits(128), version=4)),
        "detail-type": detail_type,
        "source": source,
        "account": "123456789012",
        "time": f"2026-01-{draw.randrange(1, 29):02d}T"
        f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z",
        "region": "us-east-1",
        "resources": [],
        "detail": detail,
    }
    return _compact(event).encode()


def _compact(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"))


def _range(draw: Random, width: int) -> Json:
    low = draw.randrange(CENTS_MAX // 100 - width)
    return {"numeric": [">", low, "<=", low + width]}


Part = tuple[int, tuple[str, ...], Callable[[Random], Json]]
"""One condition of a rule: its share, the names that it takes, and how it is drawn."""

MIXED_PARTS: Final[tuple[Part, ...]] = (
    (5, ("state",), lambda draw: {"state": draw.sample(STATES, 2)}),
    (3, ("customer",), lambda draw: {"customer": [{"prefix": f"c-{draw.randrange(100):02d}"}]}),
    (2, ("file",), lambda draw: {"file": [{"suffix": draw.choice(EXTENSIONS)}]}),
    (2, ("amount",), lambda draw: {"amount": [_range(draw, 1_500)]}),
    (2, ("amount",), lambda draw: {"amount": [{"numeric": [">=", draw.randrange(7_000, 10_000)]}]}),
    (3, ("state",), lambda draw: {"state": [{"anything-but": draw.sample(STATES, 3)}]}),
    (
        1,
        ("customer",),
        lambda draw: {"customer": [{"anything-but": {"prefix": f"c-{draw.randrange(10)}"}}]},
    ),
    (
        1,
        ("file",),
        lambda draw: {
            "file": [
                {
                    "wildcard": f"{draw.choice(DEPARTMENTS)}/*/{draw.randrange(16):x}*"
                    f"{draw.choice(EXTENSIONS)}"
                }
            ]
        },
    ),
    (1, ("country",), lambda draw: {"country": [{"equals-ignore-case": draw.choice(COUNTRIES)}]}),
    (1, ("ip",), lambda draw: {"ip": [{"cidr": f"10.{16 * draw.randrange(16)}.0.0/12"}]}),
    (2, ("coupon",), lambda draw: {"coupon": [{"exists": draw.random() < 0.5}]}),
    (
        1,
        ("priority", "vip"),
        lambda draw: {
            "$or": [
                {"priority": [{"numeric": [">=", draw.randrange(6, 10)]}]},
                {"vip": [True]},
            ]
        },
    ),
    (
        2,
        ("lines",),
        lambda draw: {
            "lines": {
                "sku": [{"prefix": f"sku-{draw.randrange(100):02d}"}],
                "quantity": [{"numeric": [">=", draw.randrange(2, 9)]}],
            }
        },
    ),
    (3, ("priority",), lambda draw: {"priority": [draw.randrange(10)]}),
)


def _parts(draw: Random, parts: tuple[Part, ...], count: int) -> Json:
    """So many conditions, all on different fields."""
    weights = [weight for weight, _, _ in parts]
    while True:
        chosen = draw.sample(parts, count, counts=weights)
        names = [name for _, names, _ in chosen for name in names]
        if len(set(names)) == len(names):
            return {name: tests for _, _, part in chosen for name, tests in part(draw).items()}


def mixed_rule(draw: Random, number: int, sources: list[str]) -> str:
    """The text of rule `number` of a bus with these sources."""
    source = _source(draw, sources)
    if number % 4 == 3:
        return _compact({"source": [source], "detail": {"id": [f"order-{draw.randrange(10**6)}"]}})
    rule: Json = {"source": [source]}
    if draw.random() < 0.75:
        rule["detail-type"] = [_detail_type(draw, source)]
    return _compact(rule | {"detail": _parts(draw, MIXED_PARTS, 2)})


def mixed_workload(count: int) -> Workload:
    """`count` rules of all operators, and orders."""
    sources = mixed_sources(count)
    draw = random.Random(7)
    rules = [mixed_rule(draw, number, sources) for number in range(count)]
    draw = random.Random(8)
    return Workload(rules, [mixed_event(draw, sources) for _ in range(EVENTS_COUNT)])


def shapes_workload(count: int) -> Workload:
    """As `mixed_workload`, but each source has one of four shapes of detail."""
    mixed = mixed_workload(count)
    rules = [_compact(_reshaped(json.loads(rule))) for rule in mixed.rules]
    return Workload(
        rules, [_compact(_reshaped(json.loads(each))).encode() for each in mixed.events]
    )


def _reshaped(document: Json) -> Json:
    """An event or a rule, with the detail in the shape that its source has."""
    source = document["source"]
    detail: Json = document["detail"]
    number = zlib.crc32((source if isinstance(source, str) else source[0]).encode()) % 4
    if number == 0:
        return document
    if number == 1:
        return document | {"detail": {"data": detail}}
    for name, inner in (
        (("state", "code"),) if number == 2 else (("amount", "eur"), ("lines", "of"))
    ):
        if name in detail:
            detail[name] = {inner: detail[name]}
    return document


def condition_workload(count: int) -> Workload:
    """`count` rules of one condition each, all operators in turn, and orders."""
    draw, sources = random.Random(13), mixed_sources(1_000)
    rules = [
        _compact({"detail": MIXED_PARTS[number % len(MIXED_PARTS)][2](draw)})
        for number in range(count)
    ]
    return Workload(rules, [mixed_event(draw, sources) for _ in range(EVENTS_COUNT)])


# -- flights -------------------------------------------------------------------------------------


def flights_workload(count: int) -> Workload:
    """`count` rules about flights, and flights of 2013."""
    draw = random.Random(9)
    rows = draw.sample(list(read_slice()), EVENTS_COUNT)
    events = [_envelope(draw, SOURCE, DETAIL_TYPE, json.loads(detail_json(row))) for row in rows]
    rules = [rule.pattern for rule in FLIGHT_RULES][:count]
    rules += [_flight_rule(draw, number, rows) for number in range(len(rules), count)]
    return Workload(rules, events)


def _flight_parts(row: Row) -> tuple[Part, ...]:
    """Conditions that the flight of `row` satisfies, most of them."""
    date = f"{row['year']}-{int(row['month']):02d}"
    distance = int(row["distance"])
    return (
        (4, ("dest",), lambda _: {"dest": [row["dest"]]}),
        (1, ("dest",), lambda _: {"dest": [{"equals-ignore-case": row["dest"].lower()}]}),
        (2, ("origin",), lambda _: {"origin": [{"anything-but": row["origin"]}]}),
        (2, ("tailnum",), lambda _: {"tailnum": [{"prefix": row["tailnum"][:3]}]}),
        (1, ("tailnum",), lambda _: {"tailnum": [{"suffix": row["tailnum"][-2:]}]}),
        (
            3,
            ("dep_delay",),
            lambda draw: {"dep_delay": [{"numeric": [">", draw.randrange(15, 180)]}]},
        ),
        (
            2,
            ("distance",),
            lambda _: {"distance": [{"numeric": [">=", distance, "<", 2 * distance]}]},
        ),
        (1, ("dep_time",), lambda draw: {"dep_time": [{"exists": draw.random() < 0.3}]}),
        (1, ("flight",), lambda draw: {"flight": [int(row["flight"]), draw.randrange(1, 6_000)]}),
        (2, ("date",), lambda _: {"date": [{"prefix": date}]}),
        (1, ("flight_id",), lambda _: {"flight_id": [{"wildcard": f"{date}-*-{row['carrier']}*"}]}),
    )


def _flight_rule(draw: Random, number: int, rows: list[Row]) -> str:
    row = draw.choice(rows)
    if number % 4 == 3:
        return _compact({"source": [SOURCE], "detail": {"flight_id": [flight_id(row)]}})
    detail: Json = {"carrier": [row["carrier"]]} if draw.random() < 0.75 else {}
    return _compact({"source": [SOURCE], "detail": detail | _parts(draw, _flight_parts(row), 3)})


# -- one operator alone --------------------------------------------------------------------------


def _exact_rule(draw: Random, number: int) -> Json:
    del draw
    return {"id": [f"order-{number * 7919 % 10**6:06d}"]}


def _prefix_rule(draw: Random, number: int) -> Json:
    length = 5 + number % 3
    return {"customer": [{"prefix": f"c-{draw.randrange(10**length):0{length}d}"}]}


def _suffix_rule(draw: Random, number: int) -> Json:
    length = 3 + number % 3
    ending = f"{draw.getrandbits(4 * length):0{length}x}"
    return {"file": [{"suffix": f"{ending}{draw.choice(EXTENSIONS)}"}]}


def _numeric_rule(draw: Random, number: int) -> Json:
    del number
    low = draw.randrange(CENTS_MAX) / 100
    return {"amount": [{"numeric": [">", low, "<=", round(low + draw.uniform(0.5, 1.5), 2)]}]}


def _wildcard_rule(draw: Random, number: int) -> Json:
    """In turn: told apart by the text before, between and behind the `*`."""
    text = f"{draw.getrandbits(12):03x}"
    wildcard = (
        f"{draw.choice(DEPARTMENTS)}/2026/{text}*{draw.choice(EXTENSIONS)}",
        f"*/{text}*.*",
        f"{draw.choice(DEPARTMENTS)}/*{text}{draw.choice(EXTENSIONS)}",
    )[number % 3]
    return {"file": [{"wildcard": wildcard}]}


def _anything_but_rule(draw: Random, number: int) -> Json:
    """Refuses all but one value of three fields, and one value that is this rule's own."""
    codes = [*COUNTRIES, *(code.lower() for code in COUNTRIES)]
    own = f"none-{number}"
    return {
        "state": [{"anything-but": [*draw.sample(STATES, len(STATES) - 1), own]}],
        "country": [{"anything-but": [*draw.sample(codes, len(codes) - 1), own]}],
        "priority": [{"anything-but": draw.sample(range(10), 9)}],
    }


def _objects_rule(draw: Random, number: int) -> Json:
    del number
    return {
        "lines": {
            "sku": [f"sku-{draw.randrange(SKUS):05d}"],
            "quantity": [{"numeric": [">=", draw.randrange(2, 9)]}],
        }
    }


FAMILIES: Final[dict[str, Callable[[Random, int], Json]]] = {
    "exact": _exact_rule,
    "prefix": _prefix_rule,
    "suffix": _suffix_rule,
    "numeric": _numeric_rule,
    "wildcard": _wildcard_rule,
    "anything-but": _anything_but_rule,
    "arrays of objects": _objects_rule,
}


def family_workload(family: str, count: int) -> Workload:
    """`count` rules of this family, and orders."""
    draw, rule = random.Random(10), FAMILIES[family]
    rules = [_compact({"detail": rule(draw, number)}) for number in range(count)]
    draw, sources = random.Random(11), mixed_sources(1_000)
    return Workload(rules, [mixed_event(draw, sources) for _ in range(EVENTS_COUNT)])
