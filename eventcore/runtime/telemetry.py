"""What the daemon writes to its log, and in what form.

Rules of this file:

- Logged are the life cycle, errors with their cause, slow commits, dropped connections. Never a
  line per message or per request, never a body, never a secret: fields with such names are withheld
  whoever passes them, and long texts are cut.
- Names of events are constants, so that they can be searched for and alarmed on.
- A warning that repeats is written once per interval; the next line tells how many were not.
- In an embedding program, lines go to the standard library's loggers "eventcore.*", as a library's
  should; the program's own configuration of structlog is neither read nor changed. The daemon calls
  `configure_logging` and writes them itself.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Any, Final, Literal, NoReturn, TextIO, cast, final

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from eventcore.limits import WARNING_INTERVAL_MS, WARNING_KINDS_MAX

__all__ = [
    "COMMIT_FAILED",
    "COMMIT_SLOW",
    "CONNECTION_DROPPED",
    "DAEMON_DRAINING",
    "DAEMON_STARTED",
    "DAEMON_STOPPED",
    "DELIVERY_DROPPED",
    "REQUEST_FAILED_BY_A_BUG",
    "SLOW_COMMIT_MS",
    "LogLevel",
    "LogStyle",
    "WarningLimiter",
    "configure_logging",
    "logger_of",
    "use_standard_logging",
]

LogStyle = Literal["auto", "json", "console"]
"""auto: console where a person reads (a terminal), JSON lines everywhere else."""
LogLevel = Literal["debug", "info", "warning", "error"]

DAEMON_STARTED: Final = "daemon_started"
DAEMON_DRAINING: Final = "daemon_draining"
DAEMON_STOPPED: Final = "daemon_stopped"
CONNECTION_DROPPED: Final = "connection_dropped"
COMMIT_SLOW: Final = "commit_slow"
COMMIT_FAILED: Final = "commit_failed"
DELIVERY_DROPPED: Final = "delivery_dropped"
REQUEST_FAILED_BY_A_BUG: Final = "request_failed_by_a_bug"

SLOW_COMMIT_MS: Final = 250
"""A commit that takes longer than this is worth a warning."""

TEXT_CHARACTERS_MAX: Final = 500
WITHHELD: Final = "<withheld>"
_SECRET_FIELDS: Final = frozenset(
    {
        "authorization",
        "body",
        "credential",
        "detail",
        "message_body",
        "password",
        "receipt_handle",
        "secret",
        "secret_key",
        "session_token",
        "signature",
        "token",
    }
)
_LEVELS: Final[dict[LogLevel, int]] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(
    style: LogStyle = "auto", level: LogLevel = "info", stream: TextIO | None = None
) -> None:
    """Has all lines of this process written by us: one per event on `stream` (standard error)."""
    out = sys.stderr if stream is None else stream
    is_terminal = out.isatty()
    is_console = style == "console" or (style == "auto" and is_terminal)
    _pipeline[:] = [
        _keep_from(_LEVELS[level]),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        withhold_secrets,
        *(_console_renderer(is_terminal) if is_console else _json_renderer()),
        _write_to(out),
    ]
    logging.getLogger(_ROOT).addHandler(_below)


def use_standard_logging() -> None:
    """Has all lines go to the standard library's loggers: the state at the start."""
    logging.getLogger(_ROOT).removeHandler(_below)
    _pipeline[:] = [_keep_if_anybody_listens, withhold_secrets, _hand_to_standard_logging]


def logger_of(component: str) -> FilteringBoundLogger:
    """The logger of a part of eventcore, by its dotted name. May be made at import: where its lines
    go is decided when they are written.
    """
    logger = structlog.wrap_logger(
        None,
        processors=_pipeline,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        component=component,
    )
    return cast("FilteringBoundLogger", logger)


_pipeline: list[Processor] = []
"""Shared by all loggers, and replaced in place."""


@final
class _FromStandardLogging(logging.Handler):
    """Takes the lines of parts that stand below this one and know the standard library only."""

    def emit(self, record: logging.LogRecord) -> None:
        cause = {"exc_info": record.exc_info} if record.exc_info else {}
        logger_of(record.name).log(record.levelno, record.getMessage(), **cause)


_ROOT: Final = "eventcore"
_below: Final = _FromStandardLogging()


def _keep_from(lowest: int) -> Processor:
    def keep(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
        if _level_of(method) < lowest:
            raise structlog.DropEvent
        event["level"] = method
        return event

    return keep


def _level_of(method: str) -> int:
    return (
        logging.ERROR if method == "exception" else logging.getLevelNamesMapping()[method.upper()]
    )


def _write_to(stream: TextIO) -> Processor:
    def write(_: WrappedLogger, __: str, line: Any) -> NoReturn:
        try:
            stream.write(f"{line}\n")
            stream.flush()
        except (OSError, ValueError):
            pass  # a log that nobody can read any more must not stop the service
        raise structlog.DropEvent

    return write


def _keep_if_anybody_listens(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if not logging.getLogger(event["component"]).isEnabledFor(_level_of(method)):
        raise structlog.DropEvent
    return event


def _hand_to_standard_logging(_: WrappedLogger, method: str, event: EventDict) -> NoReturn:
    logger = logging.getLogger(event.pop("component"))
    cause = event.pop("exc_info", None) or (True if method == "exception" else None)
    facts = " ".join(f"{name}={value!r}" for name, value in event.items() if name != "event")
    text = f"{event['event']} {facts}".rstrip()
    logger.log(_level_of(method), "%s", text, exc_info=cause)
    raise structlog.DropEvent


def withhold_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Processor: hides fields that could hold a body or a secret, and cuts long texts."""
    for name, value in event.items():
        if name in _SECRET_FIELDS:
            event[name] = WITHHELD
        elif isinstance(value, (str, bytes)) and len(value) > TEXT_CHARACTERS_MAX:
            event[name] = f"{value[:TEXT_CHARACTERS_MAX]!s}... ({len(value)} in all)"
    return event


@final
class WarningLimiter:
    """Tells which repetitions of a warning may be written. `now_ms` is any clock that goes up."""

    def __init__(self, now_ms: Callable[[], int], interval_ms: int = WARNING_INTERVAL_MS) -> None:
        self._now_ms = now_ms
        self._interval_ms = interval_ms
        self._written_ms: dict[str, int] = {}
        self._suppressed: dict[str, int] = {}

    def admit(self, kind: str) -> int | None:
        """None when this one must not be written; else how many of its kind were not since."""
        now_ms = self._now_ms()
        written_ms = self._written_ms.get(kind)
        if written_ms is not None and now_ms - written_ms < self._interval_ms:
            self._suppressed[kind] = self._suppressed.get(kind, 0) + 1
            return None
        if written_ms is None and len(self._written_ms) >= WARNING_KINDS_MAX:
            oldest = next(iter(self._written_ms))
            del self._written_ms[oldest]
            self._suppressed.pop(oldest, None)
        self._written_ms[kind] = now_ms
        return self._suppressed.pop(kind, 0)


def _json_renderer() -> list[Processor]:
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_to_json),
    ]


def _to_json(event: dict[str, Any], **_: object) -> str:
    return orjson.dumps(event, default=repr).decode()


def _console_renderer(has_colors: bool) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=has_colors, exception_formatter=structlog.dev.plain_traceback
    )
    return [renderer]


use_standard_logging()
