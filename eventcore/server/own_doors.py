"""Our own side doors, below `/_eventcore`: which look a path asks for.

/_eventcore/queues ...       `queue_doors`
/_eventcore/functions ...    `function_doors`
/_eventcore/mappings ...     `mapping_doors`
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from eventcore.runtime.engine import Engine
from eventcore.server.door_answers import DOOR_ERRORS, json_fault_writer
from eventcore.server.door_request import READ_METHODS, DoorRequest
from eventcore.server.function_doors import look_at_functions
from eventcore.server.looks import Look, Visit
from eventcore.server.mapping_doors import look_at_mappings
from eventcore.server.queue_doors import look_at_queues
from eventcore.wire.fault import Fault

__all__ = ["visit"]

_LOOKS: Final[dict[str, Callable[[Engine, DoorRequest, list[str]], Look | None]]] = {
    "queues": look_at_queues,
    "functions": look_at_functions,
    "mappings": look_at_mappings,
}
_PATHS: Final = (
    "The paths are /_eventcore/queues, /_eventcore/queues/<account>/<region>/<name>, the same with "
    "/messages, /_eventcore/functions, /_eventcore/functions/<name>, the same with /logs, "
    "/_eventcore/mappings, /_eventcore/mappings/<uuid>, and the same with /lanes."
)


def visit(engine: Engine, request: DoorRequest) -> Visit:
    """See `eventcore.server.doors`."""
    look = _look(engine, request)
    return Visit(look, DOOR_ERRORS, json_fault_writer(READ_METHODS), is_long=True)


def _look(engine: Engine, request: DoorRequest) -> Look:
    request.check(READ_METHODS)
    kind, *path = request.segments[1:] or [""]
    begin = _LOOKS.get(kind)
    look = None if begin is None else begin(engine, request, path)
    if look is None:
        raise Fault("NotFound", _PATHS, status=404)
    return (yield from look)
