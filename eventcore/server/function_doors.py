"""Our own door to functions: what there is, what runs and waits, the latest lines of their logs.

    GET /_eventcore/functions?after=<ARN>&max=<n>
    GET /_eventcore/functions/<name>
    GET /_eventcore/functions/<name>/logs?after=<number>&max=<n>
    GET /_eventcore/functions/<account>/<region>/<name>           and .../logs

A bare name is of the caller's account and region: those of a request without credentials are
000000000000 and us-east-1. The answers are the structs of `function_views`.

Logs are the latest lines, in memory, of functions in worker processes; nothing of them is durable.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from eventcore import limits
from eventcore.arn import function_arn, parse_arn
from eventcore.functions.function import Function
from eventcore.runtime.engine import Engine
from eventcore.server.door_answers import json_answer
from eventcore.server.door_request import DoorRequest
from eventcore.server.function_views import (
    FunctionCountsView,
    FunctionEventsView,
    FunctionsPage,
    FunctionView,
    LogLineView,
    LogsPage,
)
from eventcore.server.looks import Look

__all__ = ["look_at_functions"]

LAMBDA: Final = "arn:aws:lambda:"
FUNCTION: Final = ":function:"
NUMBER_MAX: Final = 1 << 56
LINES_DEFAULT: Final = 1_000


def look_at_functions(engine: Engine, request: DoorRequest, path: list[str]) -> Look | None:
    """The look that a path behind `/_eventcore/functions` asks for; None for no such path."""
    match path:
        case []:
            return _functions(engine, request)
        case [name]:
            return _function(engine, _own_arn(request, name))
        case [name, "logs"]:
            return _logs(engine, request, _own_arn(request, name))
        case [account, region, name]:
            return _function(engine, function_arn(account, region, name))
        case [account, region, name, "logs"]:
            return _logs(engine, request, function_arn(account, region, name))
    return None


def _own_arn(request: DoorRequest, name: str) -> str:
    return function_arn(request.caller.account, request.caller.region, name)


def _functions(engine: Engine, request: DoorRequest) -> Look:
    after = request.parameters().get("after", "")
    page_max = request.number("max", limits.BROWSE_PAGE_DEFAULT, 1, limits.BROWSE_QUEUES_MAX)
    arns = [arn for arn in engine.arns_with_prefix(LAMBDA) if FUNCTION in arn]
    start = bisect_right(arns, after)
    page = arns[start : start + page_max]
    is_last = start + len(page) == len(arns)
    views: list[FunctionView] = []
    for at in range(0, len(page), limits.DOOR_SLICE):
        if at:
            yield
        for arn in page[at : at + limits.DOOR_SLICE]:
            function = engine.find(arn)
            if isinstance(function, Function):  # not deleted meanwhile
                views.append(_view(engine, function))
    return json_answer(FunctionsPage(views, None if is_last else page[-1]))


def _function(engine: Engine, arn: str) -> Look:
    yield from ()
    return json_answer(_view(engine, engine.functions.find(arn)))


def _logs(engine: Engine, request: DoorRequest, arn: str) -> Look:
    yield from ()
    after = request.number("after", -1, -1, NUMBER_MAX)
    lines_max = request.number("max", LINES_DEFAULT, 1, LINES_DEFAULT)
    engine.look(engine.functions.find(arn))
    logs = engine.functions.logs
    lines = [
        LogLineView(line.number, line.time_ms, line.version, line.request_id, line.text)
        for line in logs.lines(arn, after)[:lines_max]
    ]
    following = lines[-1].number if lines else _last_number(engine, arn, after)
    return json_answer(LogsPage(arn, following, lines))


def _last_number(engine: Engine, arn: str, after: int) -> int:
    """Where to go on, if there is nothing behind `after`: there, unless the log is another one."""
    lines = engine.functions.logs.lines(arn)
    return min(after, lines[-1].number) if lines else -1


def _view(engine: Engine, function: Function) -> FunctionView:
    engine.look(function)
    functions = engine.functions
    arn = parse_arn(function.arn)
    version = function.latest
    config = version.config
    counts = functions.counts(function.arn)
    events = function.statistics(engine.now_ms())
    return FunctionView(
        name=function.name,
        account=arn.account,
        region=arn.region,
        arn=function.arn,
        kind=config.kind,
        runtime=config.runtime,
        handler=config.handler,
        location=config.code.location,
        timeout_ms=config.timeout_ms,
        memory_mb=config.memory_mb,
        code_bytes=config.code.size_bytes,
        modified_ms=version.modified_ms,
        versions=len(function.versions()) - 1,
        is_runnable=functions.is_runnable(function),
        running=functions.concurrency(function),
        reserved=function.record.reserved,
        provisioned=sum(one.requested for one in function.all_provisioned().values()),
        counts=FunctionCountsView(
            counts.invocations, counts.errors, counts.throttles, counts.loops
        ),
        events=FunctionEventsView(
            waiting=events.waiting,
            ready=events.ready,
            attempting=events.attempting,
            oldest_age_ms=events.oldest_age_ms,
            succeeded=events.succeeded,
            failed=events.failed,
            throttled=events.throttled,
            dropped=events.dropped,
        ),
    )
