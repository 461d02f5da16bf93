"""Looks at the messages of a queue in a data file, without receiving them: nothing is changed, no
daemon is needed.

    eventcore peek orders --data eventcore-data

Messages are shown in the order of their sends, with their state at this moment: delayed, visible or
in flight. A running daemon does not mind: what it has committed is shown. Exit status: 0, or 1 when
there is no such queue or file.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from eventcore.clock import SystemClock
from eventcore.codec import encode_json, record_decoder
from eventcore.errors import InvalidParameter, NotFound, StoreCorrupt, StoreTooNew
from eventcore.ids import format_uuid
from eventcore.outcome import row_key, row_number
from eventcore.queues.message import decode_delivery, decode_message
from eventcore.queues.standard import DELIVERY, MESSAGE, PURGE, SPEC, PurgeRecord, QueueRecord
from eventcore.resources.directory import DIRECTORY_COMPONENT, ResourceRecord
from eventcore.stores.row_file import connect, store_error
from eventcore.stores.schema import APPLICATION_ID, SCHEMA_VERSION

__all__ = ["Peeked", "add_arguments", "peek", "run"]

DATA_FILE: Final = "events.db"
BODY_SHOWN_CHARACTERS: Final = 120

_decode_resource: Final = record_decoder(ResourceRecord)
_decode_queue: Final = record_decoder(QueueRecord)
_decode_purge: Final = record_decoder(PurgeRecord)


class Peeked(msgspec.Struct, frozen=True):
    """A message as it lies in the file. Times in epoch ms; counts of receives."""

    number: int
    message_id: str
    state: str
    sent_ms: int
    receives: int
    body: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("queue", help="name, or ARN where two accounts or regions have the name")
    add(
        "--data",
        type=Path,
        default=Path("eventcore-data"),
        metavar="PATH",
        help="data directory or file (default: ./eventcore-data)",
    )
    add("--max", type=int, default=10, metavar="N", help="at most N messages (default 10)")
    add("--json", action="store_true", help="one JSON object per line, bodies whole")


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    path = arguments.data / DATA_FILE if arguments.data.is_dir() else arguments.data
    for message in peek(path, arguments.queue, arguments.max, SystemClock().now_ms()):
        shown = encode_json(message).decode() if arguments.json else _line(message)
        sys.stdout.write(shown + "\n")
    return 0


def peek(path: Path, queue: str, messages_max: int, now_ms: int) -> list[Peeked]:
    """The first messages of a queue of a data file, by the order of their sends.

    Expired ones are left out. Raises NotFound (file, queue), InvalidParameter (an ambiguous name)
    and StoreError.
    """
    if not path.is_file():
        raise NotFound("data file", str(path))
    try:
        with contextlib.closing(connect(str(path), "ro")) as connection:
            _check_format(connection, path)
            component = _component(connection, queue)
            return list(_messages(connection, component, messages_max, now_ms))
    except sqlite3.Error as error:
        raise store_error(str(path), error) from error


def _check_format(connection: sqlite3.Connection, path: Path) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if application_id != APPLICATION_ID:
        raise StoreCorrupt(f"{path}: not an eventcore file")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise StoreTooNew(f"{path}: written by a newer eventcore (schema version {version})")


def _component(connection: sqlite3.Connection, queue: str) -> int:
    found = []
    rows = connection.execute(
        "SELECT key, value FROM rows WHERE component = ?", (DIRECTORY_COMPONENT,)
    )
    for key, value in rows:
        record = _decode_resource(value)
        names = (record.arn, record.arn.rpartition(":")[2])
        if record.kind == "queue" and not record.retired_ms and queue in names:
            found.append((row_number(key), record.arn))
    if not found:
        raise NotFound("queue", queue)
    if len(found) > 1:
        arns = ", ".join(arn for _, arn in found)
        raise InvalidParameter("queue", f"Several have this name; give one's ARN: {arns}.", queue)
    return found[0][0]


def _messages(
    connection: sqlite3.Connection, component: int, messages_max: int, now_ms: int
) -> Iterator[Peeked]:
    spec = _row(connection, component, row_key(SPEC, 0))
    retention_ms = _decode_queue(spec).spec.retention_ms if spec is not None else 0
    purge = _row(connection, component, row_key(PURGE, 0))
    first = _decode_purge(purge).below if purge is not None else 0
    rows = connection.execute(
        "SELECT key, value FROM rows WHERE component = ? AND key BETWEEN ? AND ? ORDER BY key",
        (component, row_key(MESSAGE, first), row_key(MESSAGE + 1, 0) - 1),
    )
    shown = 0
    for key, value in rows:
        if shown >= messages_max:
            return
        record = decode_message(value)
        if record.sent_ms + retention_ms <= now_ms:
            continue
        shown += 1
        number = row_number(key)
        delivery = _row(connection, component, row_key(DELIVERY, number))
        state = "delayed" if record.available_ms > now_ms else "visible"
        receives = record.receives
        if delivery is not None:
            delivered = decode_delivery(delivery)
            receives = delivered.receives
            state = "in flight" if delivered.visible_ms > now_ms else "visible"
        identity = format_uuid(record.id)
        yield Peeked(number, identity, state, record.sent_ms, receives, record.body)


def _row(connection: sqlite3.Connection, component: int, key: int) -> bytes | None:
    found = connection.execute(
        "SELECT value FROM rows WHERE component = ? AND key = ?", (component, key)
    ).fetchone()
    return None if found is None else found[0]


def _line(message: Peeked) -> str:
    sent = datetime.fromtimestamp(message.sent_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    body = message.body.replace("\n", " ")
    if len(body) > BODY_SHOWN_CHARACTERS:
        body = body[: BODY_SHOWN_CHARACTERS - 1] + "…"
    return f"{sent}  {message.message_id}  {message.state:<9}  {message.receives:>3}  {body}"
