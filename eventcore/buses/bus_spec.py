"""What is stored of an event bus itself, and what is told of it."""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore import limits
from eventcore.buses.rule import check_tags
from eventcore.codec import record_decoder
from eventcore.errors import InvalidParameter

__all__ = ["BusRecord", "BusSpec", "BusStatistics", "decode_bus"]


class BusSpec(msgspec.Struct, frozen=True, array_like=True):
    """All settings of a bus. `attributes` holds what is stored and returned without having an
    effect here (KmsKeyIdentifier, DeadLetterConfig, LogConfig...), as JSON texts.
    """

    description: str | None = None
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}

    def validate(self) -> None:
        """Raises InvalidParameter for the first setting that AWS does not allow."""
        highest = limits.DESCRIPTION_CHARACTERS_MAX
        if self.description is not None and len(self.description) > highest:
            raise InvalidParameter(
                "description",
                f"Member must have length less than or equal to {highest}",
                self.description,
            )
        check_tags(self.tags)


class BusRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of a bus: its settings, when it was made and when they last changed (epoch ms)."""

    spec: BusSpec
    created_ms: int
    modified_ms: int


decode_bus: Final = record_decoder(BusRecord)


class BusStatistics(msgspec.Struct, frozen=True):
    """Counts at one moment. `events`, `deliveries` and `undeliverable` count from the start of the
    process; `undeliverable` are events from other buses that had a third bus as their target, or
    were no events.
    """

    rules: int
    enabled_rules: int
    targets: int
    events: int
    refused: int
    deliveries: int
    undeliverable: int
