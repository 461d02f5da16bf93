"""How `peek` and `tail` show a message: one line for people, or one of JSON."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Final

from eventcore.codec import encode_json
from eventcore.server.queue_views import MessageView

__all__ = ["write_message"]

BODY_SHOWN_CHARACTERS: Final = 120


def write_message(message: MessageView, *, as_json: bool) -> None:
    """Writes it to standard output, whole as JSON; for people, with the first 120 characters of its
    body.
    """
    shown = encode_json(message).decode() if as_json else _line(message)
    sys.stdout.write(shown + "\n")


def _line(message: MessageView) -> str:
    sent = datetime.fromtimestamp(message.sent_ms / 1_000, UTC).isoformat(timespec="milliseconds")
    body = message.body.replace("\n", " ")
    if len(body) > BODY_SHOWN_CHARACTERS:
        body = body[: BODY_SHOWN_CHARACTERS - 1] + "…"
    return f"{sent}  {message.message_id}  {message.state:<9}  {message.receives:>3}  {body}"
