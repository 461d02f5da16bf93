"""Times in Kinesis's requests: seconds from 1970 on, with fractions, on the wire; ms here."""

from __future__ import annotations

from typing import Final

from eventcore.api.kinesis_faults import invalid_argument
from eventcore.wire.fault import CORAL, Fault

__all__ = ["past_ms", "time_ms"]

_SECONDS_MAX: Final = 253_402_300_799
"""The last second of the year 9999."""


def time_ms(seconds: float) -> int:
    """A time of the wire; what is below a millisecond is dropped, so that now is not in the future.
    Raises the fault for one that no calendar has, as for any text that is no number.
    """
    if not 0 <= seconds <= _SECONDS_MAX:
        raise Fault(
            CORAL + "SerializationException",
            f"Timestamp must be in seconds from 1970 to the year 9999, and is {seconds}.",
        )
    at_ms = round(seconds * 1000)
    return at_ms - (at_ms / 1000 > seconds)


def past_ms(seconds: float, now_ms: int) -> int:
    """A time at which to begin. Raises the fault also for one that is yet to come."""
    at_ms = time_ms(seconds)
    if at_ms > now_ms:
        raise invalid_argument(
            "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. "
            f"timestampInMillis: {at_ms}, currentTimestampInMillis: {now_ms}"
        )
    return at_ms
