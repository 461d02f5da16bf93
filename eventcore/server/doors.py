"""The side doors of the daemon: paths beside AWS's API, for looking inside, for tests and for
scripts that wait for a start.

    /_aws/sqs/messages    LocalStack's: the messages of a queue (`localstack_messages`)
    /_localstack/...      LocalStack's: health, info, init (`localstack_status`)
    /_eventcore/...       our own: queues and their messages (`queue_doors`), functions and their
                          logs (`function_doors`), event source mappings (`mapping_doors`)

Doors only look; `looks` has the rules of how. Other paths go on to the dispatcher.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eventcore.api.dispatch import OnBug
from eventcore.ids import format_uuid
from eventcore.runtime.engine import Engine
from eventcore.runtime.telemetry import REQUEST_FAILED_BY_A_BUG, logger_of
from eventcore.server import localstack_messages, localstack_status, own_doors
from eventcore.server.door_request import DoorRequest
from eventcore.server.looks import Looks, Visit
from eventcore.wire.credential import Callers
from eventcore.wire.http import Dispatch, Exchange, HttpRequest

__all__ = ["with_doors"]

PREFIX: Final = b"/_"

log = logger_of("eventcore.doors")


def with_doors(dispatch: Dispatch, engine: Engine, on_bug: OnBug | None = None) -> Dispatch:
    """`dispatch`, with the side doors of the engine in front of it. `on_bug` is told of errors that
    only a bug can cause; by default they are logged.
    """
    looks = Looks(engine, on_bug or _log_bug)
    callers = Callers()
    status = localstack_status.StatusDoor(engine)
    doors: dict[bytes, Callable[[Engine, DoorRequest], Visit]] = {
        b"_aws": localstack_messages.visit,
        b"_localstack": lambda _, request: status.visit(request),
        b"_eventcore": own_doors.visit,
    }
    # A random prefix and a counter, as the dispatcher's.
    id_prefix = format_uuid(engine.ids.unique_id())[:24]
    count = 0

    def serve(request: HttpRequest, exchange: Exchange) -> None:
        nonlocal count
        target = request.target
        if len(target) < 2 or not target.startswith(PREFIX):
            dispatch(request, exchange)
            return
        door = doors.get(target[1:].partition(b"?")[0].partition(b"/")[0])
        if door is None:
            dispatch(request, exchange)
            return
        count += 1
        request_id = f"{id_prefix}{count:012x}"
        caller = callers.read(request.headers.get(b"authorization"))
        visit = door(engine, DoorRequest(request, caller, request_id))
        looks.start(visit, exchange, request_id)

    return serve


def _log_bug(error: BaseException, request_id: str) -> None:
    log.error(REQUEST_FAILED_BY_A_BUG, request_id=request_id, exc_info=error)
