"""boto3 against a real daemon: the language of event patterns, from the rule to the queue."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:"
PREFIX = "Event pattern is not valid. Reason: "
ENTRIES_MAX = 10
ENVELOPE = {
    "id": "7bf73129-1428-4cd3-a780-95db273d1602",
    "account": "123456789012",
    "source": "shop",
    "time": "2026-01-31T23:59:59Z",
    "region": "us-east-1",
    "resources": ["arn:one", "arn:two"],
    "detail-type": "Order",
}

# What detail.v may be, and what each list takes of it. One event each.
VALUES: dict[str, Any] = {
    "text": "shop.orders",
    "upper": "SHOP.ORDERS",
    "star": "shop*orders",
    "lines": "shop.\n\norders",
    "empty": "",
    "sharp": "STRASSE",
    "net": "10.1.2.3",
    "other net": "11.1.2.3",
    "ipv6": "2001:0db8:0:0::1",
    "zero": 0,
    "five": 5.0,
    "five in text": "5",
    "hundred": 100,
    "large": 9007199254740993,
    "large less one": 9007199254740992,
    "true": True,
    "true in text": "true",
    "null": None,
    "array": ["shop.orders", 5],
    "nested arrays": [["x"], [[100]]],
    "no items": [],
    "object": {"below": 1},
}
ABSENT = "absent"
NOTHING_THERE = {"no items", "object", ABSENT}
LEAVES = VALUES.keys() - NOTHING_THERE
TEXTS = {name for name in LEAVES if isinstance(VALUES[name], str)} | {"array", "nested arrays"}

LISTS: dict[str, tuple[list[Any], set[str]]] = {
    "text": (["shop.orders"], {"text", "array"}),
    "several": (["shop.orders", "", 0], {"text", "array", "empty", "zero"}),
    "number": ([5], {"five", "array"}),
    "large-number": ([9007199254740993], {"large"}),
    "literal": ([True, None], {"true", "null"}),
    "address": (["2001:db8::1"], {"ipv6"}),
    "prefix": ([{"prefix": "shop."}], {"text", "lines", "array"}),
    "prefix-empty": ([{"prefix": ""}], TEXTS),
    "prefix-any-case": (
        [{"prefix": {"equals-ignore-case": "Shop"}}],
        {"text", "upper", "star", "lines", "array"},
    ),
    "suffix": ([{"suffix": ".orders"}], {"text", "array"}),
    "suffix-any-case": (
        [{"suffix": {"equals-ignore-case": ".Orders"}}],
        {"text", "upper", "array"},
    ),
    "any-case": ([{"equals-ignore-case": "Shop.Orders"}], {"text", "upper", "array"}),
    "any-case-sharp": ([{"equals-ignore-case": "straße"}], {"sharp"}),
    "wildcard": ([{"wildcard": "s*p*orders"}], {"text", "star", "lines", "array"}),
    "wildcard-star": ([{"wildcard": "shop\\*orders"}], {"star"}),
    "wildcard-all": ([{"wildcard": "*"}], TEXTS),
    "cidr": ([{"cidr": "10.9.9.9/8"}], {"net"}),
    "cidr-v6": ([{"cidr": "2001:db8::/32"}], {"ipv6"}),
    "equal": ([{"numeric": ["=", 5]}], {"five", "array"}),
    "range": ([{"numeric": [">", 0, "<=", 100]}], {"five", "hundred", "array", "nested arrays"}),
    "at-least": ([{"numeric": [">=", 100]}], {"hundred", "large less one", "nested arrays"}),
    "exists": ([{"exists": True}], set(LEAVES)),
    "missing": ([{"exists": False}], NOTHING_THERE),
    "text-or-missing": (["shop.orders", {"exists": False}], {"text", "array"} | NOTHING_THERE),
    "but-text": ([{"anything-but": "shop.orders"}], LEAVES - {"text"}),
    "but-number": ([{"anything-but": [0, 5]}], LEAVES - {"zero", "five"}),
    "but-prefix": (
        [{"anything-but": {"prefix": ["shop", "SHOP"]}}],
        LEAVES - {"text", "upper", "star", "lines"},
    ),
    "but-suffix": (
        [{"anything-but": {"suffix": "orders"}}],
        LEAVES - {"text", "star", "lines"},
    ),
    "but-any-case": (
        [{"anything-but": {"equals-ignore-case": "shop.ORDERS"}}],
        LEAVES - {"text", "upper"},
    ),
    "but-wildcard": (
        [{"anything-but": {"wildcard": ["shop.*", "1*.1.2.3"]}}],
        LEAVES - {"text", "lines", "net", "other net"},
    ),
    "exactly": ([{"exactly": "5"}], {"five in text"}),
}
OTHER_PATTERNS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "or": (
        {"$or": [{"detail": {"v": [{"cidr": "10.0.0.0/8"}]}}, {"detail": {"v": [None]}}]},
        {"net", "null"},
    ),
    "or-below": (
        {"source": ["shop"], "detail": {"$or": [{"v": [""]}, {"v": {"below": [1]}}]}},
        {"empty", "object"},
    ),
    "dotted": ({"detail.v": ["SHOP.ORDERS"]}, {"upper"}),
    "not-this-source": ({"source": ["stock"], "detail": {"v": [{"exists": True}]}}, set()),
}
PATTERNS: dict[str, Any] = {
    name: {"detail": {"v": entries}} for name, (entries, _) in LISTS.items()
}
PATTERNS |= {name: pattern for name, (pattern, _) in OTHER_PATTERNS.items()}
TAKEN = {name: taken for name, (_, taken) in [*LISTS.items(), *OTHER_PATTERNS.items()]}


@pytest.fixture(scope="session")
def events(clients: Callable[..., Any]) -> Any:
    return clients("events")


@pytest.fixture
def bus(events: Any, queue_name: str) -> Iterator[str]:
    """A bus that no other test uses."""
    events.create_event_bus(Name=queue_name)
    yield queue_name
    for rule in events.list_rules(EventBusName=queue_name)["Rules"]:
        delete_rule(events, queue_name, rule["Name"])
    events.delete_event_bus(Name=queue_name)


def delete_rule(events: Any, bus: str, rule: str) -> None:
    of_rule = {"Rule": rule, "EventBusName": bus}
    ids = [target["Id"] for target in events.list_targets_by_rule(**of_rule)["Targets"]]
    if ids:
        events.remove_targets(**of_rule, Ids=ids)
    events.delete_rule(Name=rule, EventBusName=bus)


def put_rule(events: Any, bus: str, rule: str, pattern: Any, queue: str) -> None:
    """A rule that sends its own name and that of the event, so that one queue tells all."""
    text = pattern if isinstance(pattern, str) else json.dumps(pattern)
    events.put_rule(Name=rule, EventBusName=bus, EventPattern=text)
    template = {"rule": rule, "name": "<name>"}
    transformer = {
        "InputPathsMap": {"name": "$.detail.name"},
        "InputTemplate": json.dumps(template),
    }
    target = {"Id": "queue", "Arn": QUEUE_ARN + queue, "InputTransformer": transformer}
    answer = events.put_targets(Rule=rule, EventBusName=bus, Targets=[target])
    assert (answer["FailedEntryCount"], answer["FailedEntries"]) == (0, [])


def put_values(events: Any, bus: str) -> None:
    details = [{"name": name, "v": value} for name, value in VALUES.items()]
    details.append({"name": ABSENT})
    entries = [
        {
            "EventBusName": bus,
            "Source": "shop",
            "DetailType": "Order",
            "Detail": json.dumps(detail),
        }
        for detail in details
    ]
    for start in range(0, len(entries), ENTRIES_MAX):
        answer = events.put_events(Entries=entries[start : start + ENTRIES_MAX])
        assert answer["FailedEntryCount"] == 0


def delivered(sqs: Any, queue: str) -> dict[str, list[str]]:
    """The names of the events that each rule has sent, and each as often as it did; then the queue
    is empty.
    """
    found: dict[str, list[str]] = defaultdict(list)
    while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            body = json.loads(message["Body"])
            found[body["rule"]].append(body["name"])
            sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return {rule: sorted(names) for rule, names in found.items()}


def expected(names: set[str]) -> dict[str, list[str]]:
    return {name: sorted(TAKEN[name]) for name in names if TAKEN[name]}


def refusal(operation: Callable[..., Any], **parameters: Any) -> tuple[int, str, str]:
    """Status, code and message."""
    with pytest.raises(ClientError) as caught:
        operation(**parameters)
    answer = caught.value.response
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status, answer["Error"]["Code"], answer["Error"]["Message"]


def is_match(events: Any, pattern: str, event: dict[str, Any] | str) -> bool:
    text = event if isinstance(event, str) else json.dumps({**ENVELOPE, **event})
    result: bool = events.test_event_pattern(EventPattern=pattern, Event=text)["Result"]
    return result


# -- routing ---------------------------------------------------------------------------------------


def test_each_operator_takes_exactly_its_events(events, sqs, bus, queue_name):
    sqs.create_queue(QueueName=queue_name)
    for rule, pattern in PATTERNS.items():
        put_rule(events, bus, rule, pattern, queue_name)
    put_values(events, bus)
    assert delivered(sqs, queue_name) == expected(set(PATTERNS))


def test_rules_that_change_take_the_next_event_by_their_new_pattern(events, sqs, bus, queue_name):
    sqs.create_queue(QueueName=queue_name)
    for rule in ("wildcard", "but-prefix", "range"):
        put_rule(events, bus, rule, PATTERNS[rule], queue_name)
    put_values(events, bus)
    assert delivered(sqs, queue_name) == expected({"wildcard", "but-prefix", "range"})

    events.put_rule(
        Name="wildcard",
        EventBusName=bus,
        EventPattern=json.dumps(PATTERNS["cidr"]),
        State="ENABLED",
    )
    events.disable_rule(Name="range", EventBusName=bus)
    delete_rule(events, bus, "but-prefix")
    put_rule(events, bus, "or", PATTERNS["or"], queue_name)
    put_values(events, bus)
    taken = delivered(sqs, queue_name)
    assert taken == {"wildcard": sorted(TAKEN["cidr"]), "or": sorted(TAKEN["or"])}


def test_hundreds_of_rules_route_the_same_after_a_kill(own_daemon, connect):
    queue, bus = "taken", "orders"
    events, sqs = connect(own_daemon.url, "events"), connect(own_daemon.url, "sqs")
    events.create_event_bus(Name=bus)
    sqs.create_queue(QueueName=queue)
    for rule, pattern in PATTERNS.items():
        put_rule(events, bus, rule, pattern, queue)
    unused = [{"detail": {"other": [{"wildcard": f"é*{n}"}], "v": [n]}} for n in range(200)]
    for number, pattern in enumerate(unused):
        text = json.dumps(pattern, ensure_ascii=number % 2 == 0)
        put_rule(events, bus, f"unused-{number}", text, queue)
    put_values(events, bus)
    assert delivered(sqs, queue) == expected(set(PATTERNS))

    own_daemon.kill()
    own_daemon.start()
    events, sqs = connect(own_daemon.url, "events"), connect(own_daemon.url, "sqs")
    put_values(events, bus)
    assert delivered(sqs, queue) == expected(set(PATTERNS))
    stored = events.describe_rule(Name="unused-7", EventBusName=bus)["EventPattern"]
    assert stored == json.dumps(unused[7], ensure_ascii=False)


# -- TestEventPattern ------------------------------------------------------------------------------


def test_what_is_asked_for_is_what_is_routed(events):
    for rule, pattern in PATTERNS.items():
        text = json.dumps(pattern)
        taken = {
            name
            for name, value in VALUES.items()
            if is_match(events, text, {"detail": {"name": name, "v": value}})
        }
        if is_match(events, text, {"detail": {"name": ABSENT}}):
            taken.add(ABSENT)
        assert taken == TAKEN[rule], rule


@pytest.mark.parametrize(
    ("pattern", "detail", "matches"),
    [
        ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1, "c": 2}, {"b": 3}]}, True),
        ({"a": {"b": [1], "c": [2]}}, {"a": [{"b": 1}, {"c": 2}]}, False),
        ({"a": {"b": [1], "c": [2]}}, {"a": [[{"b": 1}], [{"b": 1, "c": 2}]]}, True),
        ({"a": {"b": ["1"], "c": [{"exists": False}]}}, {"a": [{"b": "1"}, {"c": 3}]}, True),
        ({"b": {"b": [{"exists": False}], "c": ["1"]}}, {"b": [{"c": "1"}, {"b": 3}]}, False),
        ({"a.b": [1]}, {"a": {"b": 1}}, True),
        ({"a": {"b": [1]}}, {"a.b": 1}, True),
        ({"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}, {"b": 2, "c": 3}, True),
        ({"$or": [{"a": [1]}, {"b": [2]}], "c": [3]}, {"a": 1}, False),
        ({"$or": [{"$or": [{"a": [1]}, {"b": [2]}]}, {"c": {"$or": [{"d": [3]}, {"e": [4]}]}}]},
         {"c": {"e": 4}}, True),
        ({"a": ["z"], "$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"a": "x"}, True),
        ({"a": ["z"], "$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"a": "z"}, False),
    ],
)  # fmt: skip
def test_patterns_with_levels_arrays_and_alternatives(events, pattern, detail, matches):
    assert is_match(events, json.dumps({"detail": pattern}), {"detail": detail}) is matches


def test_the_members_of_the_envelope_are_asked_for_like_the_detail(events):
    for pattern, matches in (
        ({"resources": [{"suffix": ":two"}]}, True),
        ({"resources": [{"anything-but": ["arn:one", "arn:two"]}]}, False),
        ({"account": [{"exists": True}], "time": [{"prefix": "2026-01-31T"}]}, True),
        ({"detail-type": [{"equals-ignore-case": "ORDER"}]}, True),
        ({"detail": [{"exists": False}]}, True),
    ):
        assert is_match(events, json.dumps(pattern), {}) is matches


def test_a_name_given_twice_keeps_the_later_list(events):
    pattern = '{"source": ["first"], "source": ["shop"]}'
    assert is_match(events, pattern, {})
    assert not is_match(events, pattern, {"source": "first"})


@pytest.mark.parametrize(
    "event",
    [
        "",
        "order",
        "5",
        "null",
        "[]",
        "{}",
        '{"source": "shop"}',
        json.dumps(ENVELOPE)[:-1],
        json.dumps(ENVELOPE) + "}",
        '{"a":' * 100_000,
        '{"a":' * 20_000 + "1" + "}" * 20_000,
    ],
)
def test_what_is_no_event_is_refused(events, event):
    refused = refusal(events.test_event_pattern, EventPattern='{"a": [1]}', Event=event)
    assert refused == (400, "ValidationException", "Parameter Event is not valid.")


# -- patterns that are not valid -------------------------------------------------------------------

# The pattern, the reason, and the column behind which AWS's parser stands (None: no location).
FAULTS: list[tuple[str, str, int | None]] = [
    ("[]", "Filter is not an object", 2),
    ('"x"', "Filter is not an object", 2),
    ("{}", "Empty objects are not allowed", 3),
    ('{"a":{}}', "Empty objects are not allowed", 8),
    ('{"a":"x"}', '"a" must be an object or an array', 7),
    ('{"a":[]}', "Empty arrays are not allowed", 8),
    ('{"a":[[1]]}', "Match value must be String, number, true, false, or null", 8),
    ('{"a":[{"prefix":"x","suffix":"y"}]}', "Only one key allowed in match expression", 31),
    ('{"a":[{}]}', "Match expression name not found", 9),
    ('{"a":[{"start":1}]}', "Unrecognized match type start", 17),
    ('{"a":[{"prefix":["x"]}]}', "prefix match pattern must be a string", 18),
    ('{"a":[{"prefix":{"x":"y"}}]}', "Unsupported prefix pattern: x", 23),
    ('{"a":[{"prefix":{}}]}', "Prefix expression name not found", 19),
    ('{"a":[{"suffix":1}]}', "suffix match pattern must be a string", 18),
    ('{"a":[{"suffix":{"x":"y"}}]}', "Unsupported suffix pattern: x", 23),
    ('{"a":[{"suffix":{}}]}', "Suffix expression name not found", 19),
    ('{"a":[{"equals-ignore-case":["x"]}]}',
     "equals-ignore-case match pattern must be a string", 30),
    ('{"a":[{"wildcard":"a**b"}]}', "Consecutive wildcard characters at pos 2", 25),
    ('{"a":[{"wildcard":"a\\\\b"}]}', "Invalid escape character at pos 2", 25),
    ('{"a":[{"wildcard":1}]}', "wildcard match pattern must be a string", 20),
    ('{"a":[{"anything-but":null}]}',
     "Value of anything-but must be an array or single string/number value.", 27),
    ('{"a":[{"anything-but":{"prefix":{"equals-ignore-case":"x"}}}]}',
     "Value of anything-but must be an array or single string/number value.", 34),
    ('{"a":[{"anything-but":["x",1]}]}',
     "Inside anything but list, either all values are number or string, mixed type is not "
     "supported", 30),
    ('{"a":[{"anything-but":[]}]}',
     "Inside anything but list, either all values are number or string, mixed type is not "
     "supported", 25),
    ('{"a":[{"anything-but":{"x":"y"}}]}', "Unsupported anything-but pattern: x", 29),
    ('{"a":[{"anything-but":{}}]}', "Anything-But expression name not found", 25),
    ('{"a":[{"anything-but":{"prefix":""}}]}', "Null prefix/suffix not allowed", 35),
    ('{"a":[{"anything-but":{"suffix":1}}]}',
     "prefix/suffix match pattern must be a string", 34),
    ('{"a":[{"anything-but":{"prefix":"x","suffix":"y"}}]}',
     "Too many elements in numeric expression", 47),
    ('{"a":[{"numeric":5}]}', "Value of numeric must be an array.", 19),
    ('{"a":[{"numeric":[]}]}', "Invalid member in numeric match: ]", 20),
    ('{"a":[{"numeric":["!",1]}]}', "Unrecognized numeric range operator: !", 24),
    ('{"a":[{"numeric":["=","x"]}]}', "Value of equals must be numeric", 24),
    ('{"a":[{"numeric":["<","x"]}]}', "Value of < must be numeric", 24),
    ('{"a":[{"numeric":["=",1,"<",2]}]}', "Too many elements in numeric expression", 26),
    ('{"a":[{"numeric":[">",1,2]}]}', "Bad value in numeric range: 2", 26),
    ('{"a":[{"numeric":[">",1,">",2]}]}', "Bad numeric range operator: >", 28),
    ('{"a":[{"numeric":[">",1,"<",2,"<",3]}]}',
     "Too many terms in numeric range expression", 32),
    ('{"a":[{"numeric":[">",2,"<",2]}]}', "Bottom must be less than top", 31),
    ('{"a":[{"numeric":["=",1e400]}]}', "Cannot compare number : 1e400", 29),
    ('{"a":[{"numeric":["=",9007199254740993]}]}',
     "Cannot compare number : 9007199254740993", 40),
    ('{"a":[{"exists":"true"}]}', "exists match pattern must be either true or false.", 18),
    ('{"a":[{"cidr":1}]}', "prefix match pattern must be a string", 16),
    ('{"a":[{"cidr":"10.0.0.0"}]}', "Malformed CIDR, one '/' required", None),
    ('{"a":[{"cidr":"10.0.0.0/x"}]}', "Malformed CIDR, mask bits must be an integer", None),
    ('{"a":[{"cidr":"10.0.0.0/-1"}]}', "Malformed CIDR, mask bits must not be negative", None),
    ('{"a":[{"cidr":"10.0.0.0/32"}]}', "IPv4 mask bits must be < 32", None),
    ('{"a":[{"cidr":"::/128"}]}', "IPv6 mask bits must be < 128", None),
    ('{"a":[{"cidr":"10.0.0.300/8"}]}', "Invalid IP address: 10.0.0.300", None),
    ('{"a":[{"cidr":"home/8"}]}', "Nonstandard IP address: home", None),
    ('{"a":[{"exactly":1}]}', "exact match pattern must be a string", 19),
    ('{"$or":[{"a":[1]}]}', "There must have at least 2 Objects in $or relationship.", 19),
    ('{"$or":{"a":[1]}}', "It must be an Array followed with $or.", 9),
    ('{"$or":[{"a":[1]},5]}', "Only JSON object is allowed in array of $or relationship.", 20),
    ('{"$or":[{"date-after":[1]},{"a":[1]}]}',
     "date-after is Ruler reserved fieldName which cannot be used inside $or.", 24),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "reason", "column"), FAULTS)
def test_faults_have_the_reason_and_the_place_of_aws(events, bus, pattern, reason, column):
    message = PREFIX + reason
    if column is not None:
        message += f'\n at [Source: (String)"{pattern}"; line: 1, column: {column}]'
    wanted = (400, "InvalidEventPatternException", message)
    put = refusal(events.put_rule, Name="rule", EventBusName=bus, EventPattern=pattern)
    assert put == wanted
    asked = refusal(events.test_event_pattern, EventPattern=pattern, Event=json.dumps(ENVELOPE))
    assert asked == wanted
    assert events.list_rules(EventBusName=bus)["Rules"] == []


def test_a_fault_in_a_list_of_anything_but_has_its_place_twice(events):
    pattern = '{"a":[{"anything-but":[null]}]}'
    place = f'\n at [Source: (String)"{pattern}"; line: 1, column: 28]'
    reason = "Inside anything but list, start|null|boolean is not supported."
    refused = refusal(events.put_rule, Name="faulty", EventPattern=pattern)
    assert refused == (400, "InvalidEventPatternException", PREFIX + reason + place * 2)


def test_lines_and_columns_are_those_of_the_text(events):
    pattern = '{\n  "source": ["é"],\n  "detail": {"state": "new"}\n}'
    _, _, message = refusal(events.put_rule, Name="faulty", EventPattern=pattern)
    assert message.startswith(f'{PREFIX}"state" must be an object or an array\n at [Source: ')
    assert message.endswith("; line: 3, column: 24]")


def test_a_pattern_that_is_refused_leaves_the_rule_as_it_was(events, sqs, bus, queue_name):
    sqs.create_queue(QueueName=queue_name)
    put_rule(events, bus, "cidr", PATTERNS["cidr"], queue_name)
    with pytest.raises(events.exceptions.InvalidEventPatternException):
        events.put_rule(Name="cidr", EventBusName=bus, EventPattern='{"source": [{"cidr": "/"}]}')
    rule = events.describe_rule(Name="cidr", EventBusName=bus)
    assert json.loads(rule["EventPattern"]) == PATTERNS["cidr"]
    put_values(events, bus)
    assert delivered(sqs, queue_name) == expected({"cidr"})


# -- sizes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", ["x", "é", "漢"])
@pytest.mark.parametrize("length", [2_048, 4_096])
def test_patterns_may_have_4096_characters(events, bus, length, character):
    pattern = '{"source":["%s"]}' % (character * (length - 15))
    assert len(pattern) == length
    events.put_rule(Name="long", EventBusName=bus, EventPattern=pattern)
    assert events.describe_rule(Name="long", EventBusName=bus)["EventPattern"] == pattern
    assert is_match(events, pattern, {"source": character * (length - 15)})


def test_longer_patterns_are_refused(events, bus):
    pattern = '{"source":["%s"]}' % ("x" * 4_082)
    for operation, parameters in (
        (events.put_rule, {"Name": "long", "EventBusName": bus}),
        (events.test_event_pattern, {"Event": json.dumps(ENVELOPE)}),
    ):
        status, code, message = refusal(operation, EventPattern=pattern, **parameters)
        assert (status, code) == (400, "ValidationException")
        assert message.startswith("1 validation error detected: Value ")
        assert message.endswith(
            "at 'eventPattern' failed to satisfy constraint: "
            "Member must have length less than or equal to 4096"
        )
    assert events.list_rules(EventBusName=bus)["Rules"] == []


def test_alternatives_that_multiply_beyond_the_bound_are_refused(events, bus):
    def pattern(count: int) -> str:
        either = {"$or": [{"a": [1]}, {"b": [1]}]}
        return json.dumps({"detail": {f"field{number}": either for number in range(count)}})

    events.put_rule(Name="rule", EventBusName=bus, EventPattern=pattern(9))
    status, code, message = refusal(
        events.put_rule, Name="rule", EventBusName=bus, EventPattern=pattern(10)
    )
    assert (status, code) == (400, "InvalidEventPatternException")
    assert message.startswith(PREFIX + "Rule is too complex")
    assert events.describe_rule(Name="rule", EventBusName=bus)["EventPattern"] == pattern(9)
