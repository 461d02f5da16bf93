"""Looks at the messages of a queue without receiving them: nothing is changed.

    eventcore peek orders
    eventcore peek orders --data eventcore-data

The first asks the daemon at the endpoint. The second reads a data file and needs no daemon; a
running one does not mind, and what it has committed is shown.

Messages are shown in the order of their sends, with their state at this moment: delayed, visible or
in flight. Exit status: 0, or 1 when there is no such queue, daemon or file.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eventcore.bench.client import AwsJsonClient
from eventcore.clock import SystemClock
from eventcore.codec import record_decoder
from eventcore.errors import InvalidParameter, NotFound, StoreCorrupt, StoreTooNew
from eventcore.limits import BROWSE_MESSAGES_MAX
from eventcore.outcome import row_key, row_number
from eventcore.queues.message import MessageRecord, decode_delivery, decode_message
from eventcore.queues.queue_spec import QueueSpec
from eventcore.queues.records import DELIVERY, MESSAGE, PURGE, SPEC, PurgeRecord, QueueRecord
from eventcore.resources.directory import DIRECTORY_COMPONENT, ResourceRecord
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    door_path_of,
    look_inside,
    run_against_endpoint,
)
from eventcore.server.commands.message_lines import write_message
from eventcore.server.queue_views import MessageView, decode_messages_page, view_message
from eventcore.stores.row_file import connect, store_error
from eventcore.stores.schema import APPLICATION_ID, SCHEMA_VERSION

__all__ = ["add_arguments", "peek", "run"]

DATA_FILE: Final = "events.db"

_decode_resource: Final = record_decoder(ResourceRecord)
_decode_queue: Final = record_decoder(QueueRecord)
_decode_purge: Final = record_decoder(PurgeRecord)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("queue", help="name or ARN; of a daemon's queue the URL, too")
    add(
        "--data",
        type=Path,
        metavar="PATH",
        help="data directory or file to read, instead of asking a daemon",
    )
    add("--max", type=int, default=10, metavar="N", help="at most N messages (default 10)")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if arguments.max < 1:
        sys.stderr.write("eventcore peek: --max must be at least 1\n")
        return 2
    if arguments.data is None:
        run_against_endpoint(arguments, lambda client: _ask(client, arguments))
        return 0
    path = arguments.data / DATA_FILE if arguments.data.is_dir() else arguments.data
    for message in peek(path, arguments.queue, arguments.max, SystemClock().now_ms()):
        write_message(message, as_json=arguments.json)
    return 0


# From the daemon


async def _ask(client: AwsJsonClient, arguments: argparse.Namespace) -> None:
    path = await door_path_of(client, arguments.queue)
    left, after, is_end = arguments.max, -1, False
    while left > 0 and not is_end:
        query = f"?after={after}&max={min(left, BROWSE_MESSAGES_MAX)}"
        page = await look_inside(client, f"{path}/messages{query}", decode_messages_page)
        for message in page.messages:
            write_message(message, as_json=arguments.json)
        left -= len(page.messages)
        after, is_end = page.next, page.is_end


# From a file


def peek(path: Path, queue: str, messages_max: int, now_ms: int) -> list[MessageView]:
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
) -> Iterator[MessageView]:
    row = _row(connection, component, row_key(SPEC, 0))
    spec = QueueSpec() if row is None else _decode_queue(row).spec
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
        if record.sent_ms + spec.retention_ms <= now_ms:
            continue
        shown += 1
        number = row_number(key)
        delivery = _row(connection, component, row_key(DELIVERY, number))
        yield _view(number, record, delivery, now_ms, is_fifo=spec.is_fifo)


def _view(
    number: int, record: MessageRecord, delivery: bytes | None, now_ms: int, *, is_fifo: bool
) -> MessageView:
    receives, first_received_ms = record.receives, record.first_received_ms
    visible_ms, hidden = record.available_ms, "delayed"
    if delivery is not None:
        delivered = decode_delivery(delivery)
        receives, first_received_ms = delivered.receives, delivered.first_received_ms
        visible_ms, hidden = delivered.visible_ms, "in flight"
    state = hidden if visible_ms > now_ms else "visible"
    return view_message(
        number,
        record,
        state,
        receives,
        first_received_ms,
        visible_ms if state == hidden else 0,
        number + 1 if is_fifo else 0,
    )


def _row(connection: sqlite3.Connection, component: int, key: int) -> bytes | None:
    found = connection.execute(
        "SELECT value FROM rows WHERE component = ? AND key = ?", (component, key)
    ).fetchone()
    return None if found is None else found[0]
