"""The two sides of the demo's account: what the file says, and what came out of a queue.

Both are sets of flight ids by carrier, so equal counts that hide a swap would still be found. A
flight that comes twice is counted once, and its repeat in `repeats`: with at-least-once delivery,
and a producer that puts again what it had no answer for, repeats are allowed after a kill, and are
not counted twice.
"""

from __future__ import annotations

from typing import final

import msgspec

from eventcore.demo.flights import Row, SeenFlight, flight_id
from eventcore.demo.rules import FlightRule

__all__ = ["CarrierCount", "RuleResult", "Tally", "compare"]


class CarrierCount(msgspec.Struct, frozen=True):
    """One carrier's flights of one rule, counted on both sides."""

    carrier: str
    expected: int
    received: int


class RuleResult(msgspec.Struct, frozen=True):
    """One rule's comparison. `lost` and `foreign` are flights that only the file, or only the
    queue, has.
    """

    rule: str
    title: str
    expected: int
    received: int
    lost: int
    foreign: int
    repeats: int
    carriers: tuple[CarrierCount, ...]

    @property
    def is_equal(self) -> bool:
        """Every flight is on both sides, and every carrier's count is the same."""
        are_equal = all(count.expected == count.received for count in self.carriers)
        return are_equal and self.lost == 0 and self.foreign == 0


@final
class Tally:
    """Flights of one rule by carrier."""

    def __init__(self) -> None:
        self.flights: dict[str, set[str]] = {}
        self.count = 0
        self.repeats = 0

    def add(self, flight: SeenFlight) -> None:
        """Counts a flight; one that is here already counts as a repeat."""
        flights = self.flights.setdefault(flight.carrier, set())
        if flight.flight_id in flights:
            self.repeats += 1
        else:
            flights.add(flight.flight_id)
            self.count += 1

    def add_row(self, row: Row) -> None:
        """Counts a row of the file."""
        self.add(SeenFlight(flight_id(row), row["carrier"]))


def compare(rule: FlightRule, expected: Tally, received: Tally) -> RuleResult:
    """Sets the file's tally and the queue's side by side."""
    carriers = sorted(expected.flights.keys() | received.flights.keys())
    pairs = [
        (carrier, expected.flights.get(carrier, set()), received.flights.get(carrier, set()))
        for carrier in carriers
    ]
    return RuleResult(
        rule=rule.name,
        title=rule.title,
        expected=expected.count,
        received=received.count,
        lost=sum(len(wanted - got) for _, wanted, got in pairs),
        foreign=sum(len(got - wanted) for _, wanted, got in pairs),
        repeats=received.repeats,
        carriers=tuple(CarrierCount(name, len(wanted), len(got)) for name, wanted, got in pairs),
    )
