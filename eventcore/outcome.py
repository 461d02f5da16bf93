"""What a machine's command returns: the contract that everything stands on.

A command either raises an `EventcoreError` and has changed nothing, or it has already passed every
mutation through its own `apply` and returns an `Outcome`. The host then makes the mutations
durable, and only then lets the value out.

Mutations are absolute: each puts or deletes one row of the machine's component, never a delta;
times and ids are in it. Applying one twice is harmless. `apply` is the only code that changes
durable state, live and in recovery: after a restart the host passes each stored row to `apply` as a
mutation.

A row key is one integer: the row family in the top bits, a number chosen by the machine below
(`row_key`). Rows of one component come back in key order, so a machine numbers its families in the
order in which it wants them back.

Rows with keys of `LOG_KEY_FIRST` and above are *log rows*: bulk that no machine holds in memory,
such as the records of a stream. They are put, deleted, trimmed, read and scanned as any row, but
loading passes over them: no log row ever comes to `apply` after a restart, and however many there
are, they cost a start nothing. What a machine has to know of them it keeps in rows below that key.
"""

from __future__ import annotations

from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from eventcore.codec import encode_record

__all__ = [
    "FAMILY_SHIFT",
    "LOG_KEY_FIRST",
    "NUMBER_MASK",
    "Deliver",
    "Effect",
    "Machine",
    "Mutation",
    "Outcome",
    "Parcel",
    "Transfer",
    "Trim",
    "delete_row",
    "put_row",
    "row_family",
    "row_key",
    "row_number",
]

T_co = TypeVar("T_co", covariant=True)

FAMILY_SHIFT: Final = 48
NUMBER_MASK: Final = (1 << FAMILY_SHIFT) - 1
LOG_KEY_FIRST: Final = 1 << 62
"""The first key of the log rows; the families of `row_key` end below it."""


def row_key(family: int, number: int) -> int:
    """The key of row `number` (0 to 2**48 - 1) of row family `family` (0 to 16,383)."""
    return family << FAMILY_SHIFT | number


def row_family(key: int) -> int:
    """The family in a row key."""
    return key >> FAMILY_SHIFT


def row_number(key: int) -> int:
    """The number in a row key."""
    return key & NUMBER_MASK


class Mutation(msgspec.Struct, gc=False, frozen=True):
    """One row put (value is bytes) or deleted (value is None).

    `record` is the decoded value where the maker has it at hand: `apply` uses it, and decodes
    `value` only in recovery. `is_new` promises that the store holds no row of this key: if the row
    is deleted again within one batch, it costs nothing at all.
    """

    key: int
    value: bytes | None
    record: Any = None
    is_new: bool = False


class Trim(msgspec.Struct, gc=False, frozen=True):
    """All rows with first_key <= key <= last_key go. Only for rows that no machine's state depends
    on any more. Both keys are below `LOG_KEY_FIRST`, or both are log rows' keys.
    """

    first_key: int
    last_key: int


class Parcel(msgspec.Struct, gc=False, frozen=True):
    """What one machine hands to another: a body and what travels with it. The receiver gives it an
    id of its own.

    `attributes` is `eventcore.attributes.encode_attributes(...)`, `attributes_md5` their raw
    digest; both empty for none. A FIFO queue takes it even where it has taken one of the same
    deduplication id, unless `is_deduplicated`.
    """

    body: str
    source_arn: str
    attributes: bytes = b""
    attributes_md5: bytes = b""
    group_id: str | None = None
    deduplication_id: str | None = None
    trace_header: str | None = None
    sender_id: str = ""
    is_deduplicated: bool = True


class Deliver(msgspec.Struct, gc=False, frozen=True):
    """Effect: give `parcel` to the resource `target_arn`.

    A target in the same store takes it in the same transaction. Any other becomes a row of that
    target's outbox in the same transaction, and is delivered at least once from there. If the
    target does not exist, the parcel goes to `dead_letter_arn`, or, with none, is counted and
    dropped, as AWS does.
    """

    target_arn: str
    parcel: Parcel
    dead_letter_arn: str | None = None
    attempts_max: int = 186
    age_ms_max: int = 86_400_000


class Transfer(msgspec.Struct, gc=False, frozen=True):
    """Effect: move a message, with its id, its send time and its receive count, from a queue to
    `target_arn`.

    `record` is the message's encoded row; None when the body was spilled: the host reads row `key`
    of the sender then, before it stages the sender's deletion.
    """

    target_arn: str
    source_arn: str
    key: int
    record: bytes | None
    receives: int
    first_received_ms: int


Effect = Deliver | Transfer


class Outcome(msgspec.Struct, Generic[T_co], gc=False):
    """A command's result. `value` must not be told to anyone before `mutations` are durable."""

    value: T_co
    mutations: tuple[Mutation, ...] = ()
    effects: tuple[Effect, ...] = ()
    trims: tuple[Trim, ...] = ()


def put_row(key: int, record: msgspec.Struct, *, is_new: bool = False) -> Mutation:
    """The mutation that puts `record` at `key`."""
    return Mutation(key, encode_record(record), record, is_new)


def delete_row(key: int) -> Mutation:
    """The mutation that deletes the row at `key`; harmless where there is none."""
    return Mutation(key, None)


class Machine(Protocol):
    """What the host needs of every machine. Commands are the machine's own; they all return an
    `Outcome`.
    """

    def apply(self, mutation: Mutation) -> None:
        """Takes one row in. Total: never raises for a row that a machine of this or an older
        version wrote.
        """
        ...

    def next_deadline(self) -> int | None:
        """When `tick` next has something to do, in epoch ms; None for never. May be early, never
        late. O(1).
        """
        ...

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Does what is due, at most `limit` steps; what is left shows in `next_deadline`."""
        ...

    def check(self) -> None:
        """Asserts every invariant of the state. For tests and simulation; may be slow."""
        ...
