"""How `peek` and `tail` show a message: one line for people, or one of JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from eventcore.server.commands.endpoint_options import write_json, write_line
from eventcore.server.queue_views import MessageView

__all__ = ["write_message"]

BODY_SHOWN_CHARACTERS: Final = 120


def write_message(message: MessageView, *, as_json: bool) -> None:
    """Writes it to standard output, whole as JSON; for people, with the first 120 characters of its
    body. What a terminal would obey, and what its encoding does not have, is escaped.
    """
    if as_json:
        write_json(message)
    else:
        write_line(_line(message))


def _line(message: MessageView) -> str:
    sent = datetime.fromtimestamp(message.sent_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    body = message.body.replace("\n", " ")
    if len(body) > BODY_SHOWN_CHARACTERS:
        body = body[: BODY_SHOWN_CHARACTERS - 1] + "…"
    return f"{sent}  {message.message_id}  {message.state:<9}  {message.receives:>3}  {body}"
