"""LocalStack's status paths, which scripts and container checks wait for.

    GET /_localstack/health          services, edition, version; 503 while no requests are taken
    GET /_localstack/info            version, edition, uptime, session
    GET /_localstack/init            the four stages, and that there are no init scripts
    GET /_localstack/init/<stage>    one stage

A service is "running" when it holds a resource (a queue, a role), and "available" before: as with
LocalStack, where it is running from its first use on.
"""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, final

from eventcore import __version__
from eventcore.api.dispatch import AWS_SERVICES, QUERY_SERVICES, REST_ROUTES
from eventcore.ids import format_uuid
from eventcore.runtime.engine import Engine
from eventcore.server.door_answers import DOOR_ERRORS, json_fault_writer, spaced_json_answer
from eventcore.server.door_request import READ_METHODS, DoorRequest
from eventcore.server.looks import Answer, Look, Visit
from eventcore.wire.fault import Fault

__all__ = ["EDITION", "StatusDoor"]

EDITION: Final = "eventcore"
"""Not one of LocalStack's: nothing here pretends to be it."""
RUNNING: Final = "running"
AVAILABLE: Final = "available"
STARTING: Final = "starting"
NAMES: Final = tuple(
    dict.fromkeys(
        service.name
        for service in (
            *AWS_SERVICES,
            *(routes.service for routes in REST_ROUTES),
            *QUERY_SERVICES,  # SQS once more, in its older versions
        )
    )
)


@final
class StatusDoor:
    """Tells of one engine, and of the time since this object was made."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._started_ms = engine.clock.now_ms()
        self._session_id = format_uuid(engine.ids.unique_id())
        self._is_docker = Path("/.dockerenv").exists()
        self._used: set[str] = set()

    def visit(self, request: DoorRequest) -> Visit:
        """See `eventcore.server.doors`."""
        is_health = request.segments[1:] == ["health"]
        write_fault = self._not_ready if is_health else json_fault_writer(READ_METHODS)
        return Visit(self._look(request), DOOR_ERRORS, write_fault, is_long=False)

    def _look(self, request: DoorRequest) -> Look:
        yield from ()
        request.check(READ_METHODS)
        match request.segments[1:]:
            case ["health"]:
                return spaced_json_answer(self._health(self._services()))
            case ["info"]:
                return spaced_json_answer(self._info())
            case ["init"]:
                return spaced_json_answer({"completed": _stages(), "scripts": []})
            case ["init", stage] if stage.upper() in _stages():
                return spaced_json_answer({"completed": _stages()[stage.upper()], "scripts": []})
        raise Fault(
            "NotFound",
            "The paths are /_localstack/health, /_localstack/info, /_localstack/init and "
            "/_localstack/init/<stage>.",
            status=404,
        )

    def _not_ready(self, fault: Fault) -> Answer:
        """503 with the usual content: whoever waits for a 200 or for a service goes on waiting."""
        if fault.status != 503:
            return json_fault_writer(READ_METHODS)(fault)
        return spaced_json_answer(self._health(dict.fromkeys(NAMES, STARTING)), 503)

    def _health(self, services: dict[str, str]) -> dict[str, Any]:
        return {"services": services, "edition": EDITION, "version": __version__}

    def _services(self) -> dict[str, str]:
        for name in NAMES:
            # Asked until it is so: afterwards it would cost the length of the list each time.
            if name not in self._used and self._engine.arns_with_prefix(f"arn:aws:{name}:"):
                self._used.add(name)
        return {name: RUNNING if name in self._used else AVAILABLE for name in NAMES}

    def _info(self) -> dict[str, Any]:
        now_ms = self._engine.now_ms()
        now = datetime.fromtimestamp(now_ms / 1_000, UTC)
        return {
            "version": __version__,
            "edition": EDITION,
            "is_license_activated": False,
            "session_id": self._session_id,
            "system": platform.system().lower(),
            "is_docker": self._is_docker,
            "server_time_utc": now.strftime("%Y-%m-%dT%H:%M:%S"),
            "uptime": (now_ms - self._started_ms) // 1_000,
        }


def _stages() -> dict[str, bool]:
    """Completed stages of the life of a process that answers."""
    return {"BOOT": True, "START": True, "READY": True, "SHUTDOWN": False}
