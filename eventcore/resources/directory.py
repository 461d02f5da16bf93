"""Which resources exist, and in which component of the store each keeps its rows.

Rules of this file:

- The directory is component 0, so it comes back first in recovery and says what the other
  components are.
- A component number is not given again while its row is here, which is until all rows of the
  component are trimmed: what a deleted resource left behind is never taken for somebody else's.
- A deleted resource stays in the directory as retired until its rows are trimmed (the runtime does
  that in slices) and AWS's cool-down for its name is over.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final, final

import msgspec

from eventcore.codec import record_decoder
from eventcore.errors import AlreadyExists, Conflict, NotFound
from eventcore.limits import RECREATE_INTERVAL_MS, RELAXED_QUOTAS, Quotas
from eventcore.outcome import Mutation, Outcome, delete_row, put_row, row_key, row_number

__all__ = ["DIRECTORY_COMPONENT", "Directory", "ResourceRecord"]

DIRECTORY_COMPONENT: Final = 0
_RESOURCE: Final = 0
_QUEUE: Final = "queue"


class ResourceRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of one resource. `kind` is the runtime's name for the machine ("queue", "stream");
    `retired_ms` is 0 while it exists.
    """

    kind: str
    arn: str
    created_ms: int
    retired_ms: int = 0


_decode_resource: Final = record_decoder(ResourceRecord)


@final
class Directory:
    """The resources of one store."""

    def __init__(self, quotas: Quotas = RELAXED_QUOTAS) -> None:
        self._quotas = quotas
        self._records: dict[int, ResourceRecord] = {}
        self._components: dict[str, int] = {}
        self._arns: list[str] = []
        self._retired: dict[str, int] = {}
        self._retired_components: dict[int, ResourceRecord] = {}
        self._next_component = DIRECTORY_COMPONENT + 1

    def register(self, kind: str, arn: str, now_ms: int) -> Outcome[int]:
        """Adds a resource; the value is its component number.

        Raises AlreadyExists, or Conflict("deleted recently") for a queue within the quota's
        cool-down after a deletion.
        """
        if arn in self._components:
            raise AlreadyExists(kind, arn)
        interval_ms = self._quotas.recreate_interval_ms if kind == _QUEUE else None
        retired_ms = self._retired.get(arn)
        if interval_ms and retired_ms is not None and now_ms < retired_ms + interval_ms:
            raise Conflict(kind, arn, "deleted recently")
        component = self._next_component
        mutation = put_row(
            row_key(_RESOURCE, component), ResourceRecord(kind, arn, now_ms), is_new=True
        )
        self.apply(mutation)
        return Outcome(component, (mutation,))

    def retire(self, arn: str, now_ms: int) -> Outcome[int]:
        """Deletes a resource; the value is its component number, whose rows are to be trimmed.
        Raises NotFound.
        """
        component = self._components.get(arn)
        if component is None:
            raise NotFound("resource", arn)
        record = msgspec.structs.replace(self._records[component], retired_ms=max(now_ms, 1))
        mutation = put_row(row_key(_RESOURCE, component), record)
        self.apply(mutation)
        return Outcome(component, (mutation,))

    def forget(self, component: int) -> Outcome[None]:
        """Drops a retired resource whose rows are all trimmed."""
        mutation = delete_row(row_key(_RESOURCE, component))
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def next_deadline(self) -> int | None:
        """The directory has nothing to do with time."""
        return None

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Nothing is ever due."""
        return Outcome(None)

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes the directory."""
        component = row_number(mutation.key)
        self._next_component = max(self._next_component, component + 1)
        self._drop(component)
        if mutation.value is None:
            return
        record: ResourceRecord = mutation.record or _decode_resource(mutation.value)
        self._records[component] = record
        if record.retired_ms:
            self._retired_components[component] = record
            self._retired[record.arn] = max(record.retired_ms, self._retired.get(record.arn, 0))
        else:
            self._components[record.arn] = component
            insort(self._arns, record.arn)

    def _drop(self, component: int) -> None:
        record = self._records.pop(component, None)
        if record is None:
            return
        if record.retired_ms:
            del self._retired_components[component]
            if self._retired.get(record.arn) == record.retired_ms:
                del self._retired[record.arn]
        else:
            del self._components[record.arn]
            del self._arns[bisect_left(self._arns, record.arn)]

    def component(self, arn: str) -> int | None:
        """The component of an existing resource."""
        return self._components.get(arn)

    def record(self, component: int) -> ResourceRecord | None:
        """What is known of a component, retired ones included."""
        return self._records.get(component)

    def existing(self) -> list[tuple[int, ResourceRecord]]:
        """All resources that exist, with their components."""
        return [(c, r) for c, r in self._records.items() if not r.retired_ms]

    def retired(self) -> list[tuple[int, ResourceRecord]]:
        """All retired resources, with their components."""
        return list(self._retired_components.items())

    def with_prefix(self, arn_prefix: str) -> list[str]:
        """The ARNs that begin so, sorted. Costs the length of the answer."""
        first = bisect_left(self._arns, arn_prefix)
        found = []
        for at in range(first, len(self._arns)):
            if not self._arns[at].startswith(arn_prefix):
                break
            found.append(self._arns[at])
        return found

    def is_forgettable(self, record: ResourceRecord, now_ms: int) -> bool:
        """Whether the cool-down of a retired resource's name is over."""
        return now_ms >= record.retired_ms + (
            RECREATE_INTERVAL_MS if self._quotas.recreate_interval_ms else 0
        )

    def check(self) -> None:
        """Asserts that the indexes say what the rows say."""
        existing = {r.arn: c for c, r in self._records.items() if not r.retired_ms}
        assert existing == self._components
        assert sorted(existing) == self._arns
        assert all(c < self._next_component for c in self._records)
