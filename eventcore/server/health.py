"""Health answers, given before anything else sees the request.

    GET /health/live     200 while the process answers at all
    GET /health/ready    200 while the engine takes requests; 503 while it starts, reloads or stops

They never touch the engine's state, so they stay cheap when it is busy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eventcore.wire.http import JSON_HEAD, Dispatch, Exchange, HttpRequest

__all__ = ["with_health"]

PREFIX: Final = b"/health/"
_READ_METHODS: Final = (b"GET", b"HEAD")


def with_health(dispatch: Dispatch, is_ready: Callable[[], bool]) -> Dispatch:
    """`dispatch`, with the health paths answered in front of it."""

    def serve(request: HttpRequest, exchange: Exchange) -> None:
        target = request.target
        if len(target) > 1 and target.startswith(PREFIX):
            _answer(request, exchange, is_ready)
        else:
            dispatch(request, exchange)

    return serve


def _answer(request: HttpRequest, exchange: Exchange, is_ready: Callable[[], bool]) -> None:
    check = request.target.partition(b"?")[0][len(PREFIX) :]
    if check not in (b"live", b"ready"):
        exchange.reply(404, JSON_HEAD, b'{"error":"the checks are /health/live and /health/ready"}')
    elif request.method not in _READ_METHODS:
        exchange.reply(405, JSON_HEAD + b"allow: GET, HEAD\r\n", b'{"error":"use GET"}')
    elif check == b"live":
        exchange.reply(200, JSON_HEAD, b'{"status":"live"}')
    elif is_ready():
        exchange.reply(200, JSON_HEAD, b'{"status":"ready"}')
    else:
        exchange.reply(503, JSON_HEAD, b'{"status":"not ready"}')
