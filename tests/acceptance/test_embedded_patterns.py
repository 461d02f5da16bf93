"""Explaining and linting the rules of an embedded broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

import eventcore
from eventcore.errors import InvalidParameter, InvalidPattern, NotFound


@pytest.fixture
async def broker() -> AsyncIterator[eventcore.Broker]:
    async with eventcore.open() as broker:
        yield broker


async def test_each_enabled_rule_is_explained(broker: eventcore.Broker) -> None:
    queue = await broker.create_queue("orders")
    await broker.put_rule("all", {"source": ["shop"]}, [queue])
    await broker.put_rule("big", {"detail": {"amount": [{"numeric": [">", 100]}]}}, [queue])
    event = eventcore.Event("shop", "Order", {"amount": 7})
    explained = await broker.explain(event)
    assert {name: one.is_match for name, one in explained.items()} == {"all": True, "big": False}
    assert explained["big"].first_failure == (
        'detail.amount: [{"numeric":[">",100]}] does not accept 7'
    )
    assert await queue.receive() == []
    engine = broker.engine
    engine.begin()
    bus = engine.bus(f"arn:aws:events:{broker.region}:{broker.account}:event-bus/default")
    engine.run(bus, bus.disable_rule("all"))
    engine.barrier()
    assert list(await broker.explain(event)) == ["big"]


async def test_an_event_is_seen_as_rules_see_it(broker: eventcore.Broker) -> None:
    pattern: dict[str, Any] = {
        "version": ["0"],
        "account": [broker.account],
        "region": [broker.region],
        "time": [{"prefix": "19"}],
        "id": [{"exists": True}],
        "resources": ["r"],
    }
    await broker.put_rule("envelope", pattern)
    await broker.put_rule("time", {"time": ["2026-01-31T23:59:59Z"]})
    explained = await broker.explain(eventcore.Event("s", "t", {}, ("r",)))
    assert [one.is_match for one in explained.values()] == [True, False]
    given = eventcore.Event("s", "t", {}, ("r",), time="2026-01-31T23:59:59Z")
    explained = await broker.explain(given)
    assert [one.is_match for one in explained.values()] == [False, True]


async def test_a_whole_event_may_be_a_mapping_or_text(broker: eventcore.Broker) -> None:
    await broker.create_bus("other")
    await broker.put_rule("r", {"detail": {"n": [9007199254740993]}}, bus="other")
    assert await broker.explain({"detail": {}}) == {}
    for event, is_match in (
        ({"detail": {"n": 9007199254740993}}, True),
        ('{"detail":{"n":9007199254740993}}', True),
        (b'{"detail":{"n":9007199254740992}}', False),
    ):
        explained = await broker.explain(event, bus="other")  # type: ignore[arg-type]
        assert explained["r"].is_match is is_match


@pytest.mark.parametrize(
    "event",
    [
        None,
        1,
        "[]",
        "{",
        ["x"],
        eventcore.Event("", "t"),
        eventcore.Event("s", "t", {"a": object()}),
    ],
)
async def test_what_is_no_event_is_refused(broker: eventcore.Broker, event: Any) -> None:
    with pytest.raises(InvalidParameter):
        await broker.explain(event)
    with pytest.raises(NotFound):
        await broker.explain({}, bus="none")


@pytest.mark.parametrize("pattern", [None, 5, ["x"], {"a": object()}])
async def test_what_is_no_pattern_is_refused(broker: eventcore.Broker, pattern: Any) -> None:
    with pytest.raises(InvalidParameter):
        await broker.put_rule("r", pattern)
    with pytest.raises(InvalidParameter):
        broker.rule(pattern)


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ({"source": "s"}, '"source" must be an object or an array'),
        ("x", "Unrecognized token 'x'"),
        ({}, "Empty objects are not allowed"),
        ("{}", "Empty objects are not allowed"),
        ({"source": []}, "Empty arrays are not allowed"),
    ],
)
async def test_a_handlers_pattern_is_checked_where_it_stands(
    broker: eventcore.Broker, pattern: Any, reason: str
) -> None:
    with pytest.raises(InvalidPattern) as caught:
        broker.rule(pattern)
    assert caught.value.reason.startswith(reason)
    async with broker.running():
        assert await broker.list_queues() == []


async def test_a_handlers_pattern_is_no_longer_than_that_of_any_rule(
    broker: eventcore.Broker,
) -> None:
    longest = '{"source":["' + "x" * (4_096 - len('{"source":[""]}')) + '"]}'
    with pytest.raises(InvalidParameter, match=r"^pattern: Must have at most 4096 characters"):
        broker.rule(longest + " ")

    @broker.rule(longest, name="longest")
    async def handle(event: eventcore.Event) -> None: ...

    async with broker.running():
        assert await broker.list_queues() == ["longest"]


async def test_the_rules_of_all_buses_or_of_one_are_linted(broker: eventcore.Broker) -> None:
    queue = await broker.create_queue("orders")
    await broker.create_bus("other")
    await broker.put_rule("all", {"source": [{"prefix": "shop"}]}, [queue])
    await broker.put_rule("some", {"source": ["shop.orders"]}, [queue])
    await broker.put_rule("dead", {"detail": ["x"]}, [queue], bus="other")
    found = await broker.lint()
    assert [(f.bus, f.rule, f.code) for f in found] == [
        ("default", "some", "delivered-twice"),
        ("other", "dead", "dead-rule"),
    ]
    assert await broker.lint(bus="other") == found[1:]
    with pytest.raises(NotFound):
        await broker.lint(bus="none")


def test_the_package_offers_them_without_a_broker() -> None:
    assert eventcore.test_event_pattern({"source": ["a"]}, {"source": "a"})
    assert isinstance(eventcore.explain({"source": ["a"]}, {}), eventcore.Explanation)
    (finding,) = eventcore.lint({"r": {"sauce": ["a"]}})
    assert isinstance(finding, eventcore.Finding)
    assert eventcore.lint([eventcore.LintedRule("r", '{"source":["a"]}')]) == ()
