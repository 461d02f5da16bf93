"""What a mapping has counted since the program started: AWS's EventCount metrics of mappings.

Counts are in memory only. They are counted whether the mapping's MetricsConfig names EventCount or
not; the setting is kept and shown.
"""

from __future__ import annotations

from typing import Final, final

__all__ = ["METRIC_NAMES", "MappingCounts"]

METRIC_NAMES: Final = {
    "polled": "PolledEventCount",
    "filtered_out": "FilteredOutEventCount",
    "invoked": "InvokedEventCount",
    "failed": "FailedInvokeEventCount",
    "dropped": "DroppedEventCount",
    "delivered_on_failure": "OnFailureDestinationDeliveredEventCount",
    "deleted": "DeletedEventCount",
}
"""AWS's names ("Using event-driven metrics with Lambda") of the counts, which are all events:
messages or records.
"""


@final
class MappingCounts:
    """The counts of one mapping. Its poller adds to them as it goes.

    `polled` were read of the source; `filtered_out` were not wanted; `invoked` were in an
    invocation, once for each; `failed` were in one that failed or that reported them; `dropped`
    were given up, for their age or after their last retry; `delivered_on_failure` of these went to
    the destination; `deleted` messages were deleted of the queue after they were handled.
    """

    __slots__ = (
        "deleted",
        "delivered_on_failure",
        "dropped",
        "failed",
        "filtered_out",
        "invoked",
        "polled",
    )

    def __init__(self) -> None:
        self.polled = 0
        self.filtered_out = 0
        self.invoked = 0
        self.failed = 0
        self.dropped = 0
        self.delivered_on_failure = 0
        self.deleted = 0

    def as_metrics(self) -> dict[str, int]:
        """The counts by AWS's names."""
        return {metric: getattr(self, name) for name, metric in METRIC_NAMES.items()}
