"""Random patterns and events, over worlds so small that they meet.

A *world* is what patterns and events are made of: names, texts, numbers, and how often each
operator and each form of a value occurs. All texts come from one random generator, so a seed
replays exactly. Every pattern is valid.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.patterns.json_text import Written, write_tree
from tests.patterns.pattern_oracle import Members, Number

__all__ = ["WORLDS", "Maker", "World"]

_BRANCHES_MAX: Final = 16

_PLAIN: Final = {"text": 6, "number": 3, "literal": 2, "exists": 3, "prefix": 2, "suffix": 2}
_ALL: Final = _PLAIN | {
    "any case": 2,
    "prefix any case": 1,
    "suffix any case": 1,
    "wildcard": 3,
    "but": 4,
    "numeric": 3,
    "cidr": 1,
    "exactly": 1,
}
_FORMS: Final = {"one": 10, "none": 2, "several": 2, "deep": 1, "rows": 2, "noise": 2}
_ROWS: Final = {"one": 4, "none": 3, "several": 1, "deep": 3, "rows": 8, "noise": 1}
_SCALARS: Final = {"one": 12, "none": 1, "several": 1, "noise": 1}
_LITERALS: Final = (True, False, None)
_ADDRESSES: Final = (
    *("10.0.0.1", "10.0.0.2", "10.0.255.1", "10.1.0.0", "11.0.0.0", "192.168.1.7", "0.0.0.0"),
    *("255.255.255.255", "127.0.0.1", "::", "::1", "2001:db8::1", "2001:db8::2", "2001:db9::1"),
    *("fe80::1:0:0:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1:2:3:4:5:6:7:8", "::a00:1"),
)
_NO_ADDRESSES: Final = (
    *("010.0.0.1", "10.0.0", "10.0.0.256", "10.0.0.1.1", "::ffff:10.0.0.1", "1::2::3", ":::", ":"),
    *("fe80::1%0", "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "10.0.0.1 ", "1.2.3.٤", "g::"),
    *("1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "10.0.0.-1", "10.0.0.+1", "a.b.c"),
)


@dataclass(frozen=True)
class World:
    """What patterns and events are made of. Shares are of 1; weights are of their sum."""

    name: str
    names: tuple[str, ...] = ("a", "b", "c", "d")
    texts: tuple[str, ...] = ("", "x", "y", "xy", "yx", "1", "true")
    letters: str = "xy"
    """Texts that are not of `texts` are made of these."""
    length: int = 3
    numbers: tuple[str, ...] = ("0", "1", "-1", "1.0", "1.5", "2", "3", "300", "3.0e2")
    operators: tuple[tuple[str, int], ...] = tuple(_ALL.items())
    forms: tuple[tuple[str, int], ...] = tuple(_FORMS.items())
    depth: int = 2
    members: int = 3
    tests: int = 2
    or_share: float = 0.1
    dotted_share: float = 0.05
    nested_share: float = 0.3


_CASES: Final = "aAbBßẞiIİıſKk\u212aσςΣǆǅǄŉ\u00b5\u03bcéÉ"
_WIDE_NUMBERS: Final = (
    *("0", "-0", "-0.0", "0.0", "1", "1.0", "10e-1", "2", "-1", "0.1", "0.10", "1e-1", "0.3"),
    *("0.30000000000000004", "300", "3.0e2", "3E2", "1e23", "100000000000000000000000"),
    *("9007199254740991", "9007199254740992", "9007199254740993", "9007199254740994"),
    *("9007199254740993.0", "-9007199254740993", "18446744073709551615", "18446744073709551616"),
    *("36893488147419103232", "9223372036854775807", "9223372036854775808", "1e400", "-1e400"),
    *("1E400", "1e-400", "5e-324", "1.7976931348623157e308", "0.10000000000000000555"),
    *("1152921504606846976", "1.152921504606847e18", "1.152921504606846976e18", "1.5", "1.50"),
    *("99999999999999991611392", "1e22", "10000000000000000000000", "123456789.123456789"),
)

WORLDS: Final = (
    World("flat", depth=1, members=4, tests=3),
    World("nested", names=("a", "b", "c"), depth=4, nested_share=0.6),
    World(
        "rows",
        names=("a", "b", "c", "c-"),
        texts=("x", "y"),
        numbers=("1", "2"),
        operators=(("number", 6), ("text", 1), ("exists", 5), ("but", 2)),
        forms=tuple(_ROWS.items()),
        depth=3,
        nested_share=0.6,
        dotted_share=0.1,
    ),
    World(
        "numbers",
        names=("a", "b"),
        numbers=_WIDE_NUMBERS,
        operators=(("number", 4), ("numeric", 8), ("but", 2), ("text", 1), ("literal", 1)),
        forms=tuple(_SCALARS.items()),
        depth=1,
        members=2,
    ),
    World(
        "ranges",
        names=("a",),
        numbers=tuple(str(number / 4) for number in range(-2_000, 6_000)),
        operators=(("numeric", 12), ("number", 1), ("but", 1), ("exists", 1)),
        dotted_share=0.01,
        forms=tuple(_SCALARS.items()),
        depth=1,
        members=2,
    ),
    World(
        "case",
        names=("a", "ä", "A"),
        texts=(
            "straße",
            "STRASSE",
            "strasse",
            "Straße",
            "",
            "ΣΑΣ",
            "σας",
            "ﬁn",
            "FIN",
            "k",
            "Ki",
            "\u212a",
            "\u212aI",
            "s",
            "ſs",
            "İ",
            "i",
        ),
        letters=_CASES,
        operators=(
            *(("any case", 5), ("prefix any case", 4), ("suffix any case", 4), ("but", 4)),
            *(("text", 1), ("prefix", 1), ("suffix", 1), ("wildcard", 1)),
        ),
        forms=tuple(_SCALARS.items()),
        depth=1,
        members=2,
    ),
    World(
        "wildcards",
        names=("a", "b"),
        texts=("", "a", "b", "\n", "*", "\\"),
        letters="aaabbb*\\\n\U0001f600",
        length=7,
        operators=(("wildcard", 10), ("but", 3), ("prefix", 1), ("suffix", 1), ("text", 1)),
        forms=tuple(_SCALARS.items()),
        depth=1,
        members=2,
    ),
    World(
        "addresses",
        names=("a", "b"),
        texts=(*_ADDRESSES, *_NO_ADDRESSES),
        operators=(("text", 4), ("cidr", 8), ("but", 2), ("exactly", 1), ("prefix", 1)),
        forms=tuple(_SCALARS.items()),
        depth=1,
        members=2,
    ),
    World("alternatives", names=("a", "b", "c"), depth=3, or_share=0.6, tests=1),
    World(
        "dotted",
        names=("a", "b", "c", "a.b", "b.c", "a.b.c", "", ".", "a.", ".a"),
        operators=tuple(_PLAIN.items()),
        depth=3,
        dotted_share=0.4,
        nested_share=0.5,
    ),
    World(
        "eventbridge",
        names=("state", "amount", "user", "items", "tags", "ip", "note", "id"),
        texts=("new", "paid", "PAID", "sent", "test-1", "test-2", "order-17", "10.0.0.1", "::1"),
        letters="abcdefghijklmnopqrstuvwxyz0123456789-",
        length=8,
        numbers=("0", "1", "99.95", "100", "250", "1e3", "5000", "-3"),
        or_share=0.15,
        nested_share=0.25,
    ),
    World(
        "names",
        names=('a"', "a\\", "\n", "ü", "\U0001f600", "a b", "a", "A", "field_0", "self", "\x7f"),
        depth=3,
        nested_share=0.5,
    ),
    World("wide", names=tuple(f"n{number}" for number in range(30)), members=6),
    World("mixed", names=("a", "b", "c", "b.c", "a-", "or"), depth=3, members=4, tests=4),
)


class Maker:
    """Makes patterns and events of one world."""

    def __init__(self, world: World, random: Random) -> None:
        self.is_plain = False
        """Whether events have exactly the objects and leaves that patterns ask for."""
        self._world = world
        self._random = random
        self._operators, self._operator_weights = zip(*world.operators, strict=True)
        self._forms, self._form_weights = zip(*world.forms, strict=True)
        self._doubles = [text for text in world.numbers if Number.read(text).double is not None]

    # -- patterns --------------------------------------------------------------------------------

    def pattern(self) -> Members:
        """A valid pattern, as a tree."""
        while True:
            if self._world.name == "eventbridge":
                tree = self._envelope_pattern()
            else:
                tree = self._pattern_object(self._world.depth)
            if _branch_count(tree) <= _BRANCHES_MAX:
                return tree

    def _envelope_pattern(self) -> Members:
        random = self._random
        members: list[tuple[str, Any]] = []
        if random.random() < 0.9:
            # Half of the rules ask for one source, as on a real bus.
            sources: list[Any] = [f"shop.{n}" for n in random.sample(range(8), 2)]
            forms: list[list[Any]] = [["shop.0"], ["shop.0"], sources[:1], sources]
            absent = [Members([("exists", False)])] if random.random() < 0.05 else []
            members.append(("source", [*random.choice(forms), *absent]))
        if random.random() < 0.7:
            members.append(("detail-type", [f"Kind {n}" for n in random.sample(range(9), 2)]))
        if random.random() < 0.1:
            members.append(("resources", [Members([("prefix", "arn:aws:s3")])]))
        if not members or random.random() < 0.8:
            members.append(("detail", self._pattern_object(self._world.depth)))
        return Members(members)

    def _pattern_object(self, depth: int) -> Members:
        random = self._random
        count = random.randint(1, self._world.members)
        members = [(self._name(), self._pattern_value(depth)) for _ in range(count)]
        if depth > 0 and random.random() < self._world.or_share:
            count = random.choice([2, 2, 2, 3])
            either = [self._pattern_object(depth - 1) for _ in range(count)]
            members.insert(random.randint(0, len(members)), ("$or", either))
        return Members(members)

    def _pattern_value(self, depth: int) -> Any:
        if depth > 1 and self._random.random() < self._world.nested_share:
            return self._pattern_object(depth - 1)
        return [self._test() for _ in range(self._random.randint(1, self._world.tests))]

    def _name(self) -> str:
        random, names = self._random, self._world.names
        if random.random() < self._world.dotted_share:
            return f"{random.choice(names)}.{random.choice(names)}"
        return random.choice(names)

    def _test(self) -> Any:
        random = self._random
        operator = random.choices(self._operators, self._operator_weights)[0]
        match operator:
            case "text":
                return self._text()
            case "number":
                return Written(random.choice(self._world.numbers))
            case "literal":
                return random.choice(_LITERALS)
            case "exists":
                return Members([("exists", random.random() < 0.3)])
            case "any case":
                return Members([("equals-ignore-case", self._text())])
            case "prefix any case" | "suffix any case":
                inner = Members([("equals-ignore-case", self._text())])
                return Members([(operator[:6], inner)])
            case "wildcard":
                return Members([("wildcard", self._wildcard())])
            case "but":
                return Members([("anything-but", self._refused())])
            case "numeric":
                return Members([("numeric", self._range())])
            case "cidr":
                return Members([("cidr", self._net())])
        return Members([(operator, self._text())])

    def _text(self) -> str:
        random = self._random
        if random.random() < 0.6:
            return random.choice(self._world.texts)
        return self._word(random.randint(0, self._world.length))

    def _filled_text(self) -> str:
        return self._text() or self._word(1)

    def _word(self, length: int) -> str:
        return "".join(self._random.choices(self._world.letters, k=length))

    def _wildcard(self) -> str:
        """Letters with stars between them, no two side by side; stars and backslashes escaped."""
        pieces = [self._word(self._random.randint(0, 3)) for _ in range(self._random.randint(1, 5))]
        inner = [piece or self._word(1) for piece in pieces[1:-1]]
        pieces = [pieces[0], *inner, *([pieces[-1]] if len(pieces) > 1 else [])]
        if pieces == ["", ""]:
            return "*"
        return "*".join(piece.replace("\\", "\\\\").replace("*", "\\*") for piece in pieces)

    def _filled_wildcard(self) -> str:
        return self._wildcard() or "*"

    def _refused(self) -> Any:
        random = self._random
        form = random.choice(["text", "number", "texts", "numbers", "operator", "operator"])
        match form:
            case "text":
                return self._text()
            case "number":
                return Written(random.choice(self._doubles))
            case "texts":
                return [self._text() for _ in range(random.randint(1, 3))]
            case "numbers":
                return [Written(each) for each in random.choices(self._doubles, k=2)]
        operator = random.choice(["prefix", "suffix", "equals-ignore-case", "wildcard"])
        make = self._filled_wildcard if operator == "wildcard" else self._filled_text
        if random.random() < 0.5:
            return Members([(operator, make())])
        return Members([(operator, [make() for _ in range(random.randint(1, 3))])])

    def _range(self) -> list[Any]:
        random = self._random
        one, other = Written(random.choice(self._doubles)), Written(random.choice(self._doubles))
        if random.random() < 0.5 or float(one) == float(other):
            return [random.choice(["=", "<", "<=", ">", ">="]), one]
        low, high = sorted((one, other), key=float)
        return [random.choice([">", ">="]), low, random.choice(["<", "<="]), high]

    def _net(self) -> str:
        address = self._random.choice(_ADDRESSES)
        if ":" not in address:
            return f"{address}/{self._random.choice([0, 1, 7, 8, 9, 15, 16, 24, 30, 31])}"
        return f"{address}/{self._random.choice([0, 1, 16, 31, 32, 33, 64, 96, 126, 127])}"

    # -- events ----------------------------------------------------------------------------------

    def event(self, pattern: Members) -> str:
        """The text of an event that has much of what the pattern asks for."""
        random = self._random
        tree = self._event_object(pattern)
        if self._world.name == "eventbridge":
            tree = self._envelope(tree)
        return write_tree(tree, random if random.random() < 0.1 else None)

    def unique_event(self, pattern: Members, number: int) -> str:
        """As `event`, with texts and numbers that only this number gives."""
        tree = self._event_object(pattern)
        for place, (name, value) in enumerate(tree):
            if isinstance(value, Written):
                tree[place] = (name, Written(f"{number}.{number}"))
            elif isinstance(value, str):
                texts = [f"{value}{number}", f"{number}{value}", f"{value}{number:0300}{value}"]
                tree[place] = (name, self._random.choice(texts))
        return write_tree(tree)

    def _envelope(self, near: Members) -> Members:
        """The fields that every event of EventBridge has, beside those that are given."""
        random = self._random
        arns = ["arn:aws:s3:::bucket", "arn:aws:sqs:::q"]
        members = [
            *(("version", "0"), ("id", self._word(8)), ("account", "000000000000")),
            *(("source", f"shop.{random.randrange(8)}"), ("region", "eu-west-1")),
            *(("detail-type", f"Kind {random.randrange(9)}"), ("time", "2024-01-01T00:00:00Z")),
            *(("resources", random.sample(arns, random.randrange(3))), ("detail", Members())),
        ]
        given = {name: value for name, value in near if random.random() < 0.9}
        envelope = [(name, given.pop(name, value)) for name, value in members]
        return Members(member for member in envelope if random.random() < 0.97)

    def _event_object(self, pattern: Members) -> Members:
        random = self._random
        members: dict[str, Any] = {}
        for name, inner in self._wishes(pattern):
            before = members.get(name)
            self._grant(members, name, inner)
            if before is not None and not self.is_plain and random.random() < 0.7:
                # The pattern asks for a leaf and an object of one name, or for two leaves.
                members[name] = self._together(before, members[name])
        if random.random() < 0.1 and not self.is_plain:
            members[self._name()] = self._noise(2)
        tree = Members(members.items())
        random.shuffle(tree)
        if tree and random.random() < 0.03 and not self.is_plain:
            tree.insert(0, (random.choice(tree)[0], self._noise(1)))
        return tree

    def _together(self, *values: Any) -> list[Any]:
        """An array of the values, some of them in arrays of their own."""
        return [[value] if self._random.random() < 0.4 else value for value in values]

    def _wishes(self, pattern: Members) -> list[tuple[str, Any]]:
        """The members that would satisfy the pattern, one alternative of each `$or`."""
        wishes: list[tuple[str, Any]] = []
        for name, inner in pattern:
            if name == "$or":
                wishes += self._wishes(self._random.choice(inner))
            else:
                wishes.append((name, inner))
        return wishes

    def _grant(self, members: dict[str, Any], name: str, inner: Any) -> None:
        random = self._random
        (form,) = random.choices(self._forms, self._form_weights)
        if self.is_plain:
            form = "one"
        if form == "none":
            return
        if random.random() < 0.3 and "." in name:
            name, rest = name.split(".", 1)
            inner = Members([(rest, inner)])
        match form:
            case "one":
                members[name] = self._near(inner)
            case "several" | "rows":
                low = 0 if form == "several" else 2
                items = [self._near(inner) for _ in range(random.randint(low, 3))]
                members[name] = [self._noise(1) if random.random() < 0.2 else i for i in items]
            case "deep":
                count = random.randint(1, 2)
                items = [[self._near(inner) for _ in range(random.randint(0, 2))]] * count
                members[name] = [*items, self._near(inner)]
            case _:
                members[name] = self._noise(2)

    def _near(self, inner: Any) -> Any:
        if isinstance(inner, Members):
            return self._event_object(inner)
        return self._accepted(self._random.choice(inner))

    def _noise(self, depth: int) -> Any:
        random = self._random
        form = random.randrange(10)
        if depth and form == 0:
            return [self._noise(depth - 1) for _ in range(random.randrange(4))]
        if depth and form == 1:
            count = random.randrange(3)
            return Members([(self._name(), self._noise(depth - 1)) for _ in range(count)])
        if form < 5:
            return Written(random.choice(self._world.numbers))
        if form == 5:
            return random.choice(_LITERALS)
        return self._text()

    def _accepted(self, test: Any) -> Any:
        """A leaf that the test is likely to accept."""
        if not isinstance(test, Members):
            if test in _ADDRESSES:
                return self._address_near(test)
            return test if self._random.random() < 0.8 else self._noise(0)
        ((operator, argument),) = test
        match operator:
            case "equals-ignore-case" | "exactly":
                return self._in_any_case(argument)
            case "prefix" | "suffix":
                text, more = argument, self._text()
                if isinstance(argument, Members):
                    text = self._in_any_case(argument[0][1])
                return text + more if operator == "prefix" else more + text
            case "wildcard":
                return self._filled_stars(argument)
            case "numeric":
                return Written(self._random.choice([*argument[1::2], *self._world.numbers]))
            case "cidr":
                return self._address_near(argument)
            case "anything-but" if isinstance(argument, Members):
                ((inner, texts),) = argument
                text = self._random.choice(texts) if isinstance(texts, list) else texts
                return self._accepted(Members([(inner, text)]))
        return self._noise(0)

    def _in_any_case(self, text: str) -> str:
        changes: list[Callable[[str], str]] = [str.lower, str.upper, str.swapcase, str.title, str]
        change = self._random.choice(changes)
        each = self._random.random() < 0.5
        return "".join(map(change, text)) if each else change(text)

    def _filled_stars(self, wildcard: str) -> str:
        text = []
        characters = iter(wildcard)
        for character in characters:
            if character == "*":
                text.append(self._word(self._random.randint(0, 3)))
            else:
                text.append(next(characters) if character == "\\" else character)
        return "".join(text)

    def _address_near(self, net: str) -> str:
        random = self._random
        if random.random() < 0.3:
            return random.choice((*_ADDRESSES, *_NO_ADDRESSES))
        network = ipaddress.ip_network(net, strict=False)
        address = network[random.randrange(network.num_addresses)]
        edges = [address, network[0], network[-1]]
        if int(network[-1]) + 1 < 2**network.max_prefixlen:
            edges.append(network[-1] + 1)
        text = str(random.choice(edges))
        return random.choice([text, text.upper(), ipaddress.ip_address(text).exploded])


def _branch_count(tree: Members) -> int:
    """How many combinations the pattern's `$or`s make."""
    count = 1
    for name, inner in tree:
        if name == "$or":
            count *= sum(map(_branch_count, inner))
        elif isinstance(inner, Members):
            count *= _branch_count(inner)
    return count
