"""Our own door to queues: queues with their counts, and the messages of one, page by page.

    GET /_eventcore/queues?after=<ARN>&max=<n>
    GET /_eventcore/queues/<account>/<region>/<name>
    GET /_eventcore/queues/<account>/<region>/<name>/messages?after=<number>&max=<n>
    GET /_eventcore/queues/<account>/<region>/<name>/messages?last=<n>&max=<n>

The answers are the structs of `queue_views`. Messages come as JSON lines, one message each, to
`Accept: application/jsonl` (or x-ndjson); the number to go on after is in the header
`x-eventcore-next` then, and `x-eventcore-end: true` says that there is nothing behind it.

A page has at most BROWSE_MESSAGES_MAX messages or BROWSE_QUEUES_MAX queues. One of messages ends
early with the slice that brings it over DOOR_ANSWER_BYTES_MAX, or when DOOR_SLICES_MAX slices found
nothing more to show; whoever goes on after it misses nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator
from typing import Final

from eventcore import limits
from eventcore.arn import parse_arn, queue_arn
from eventcore.codec import encode_json
from eventcore.queues.move_task import RUNNING
from eventcore.queues.queue import QueueMachine
from eventcore.runtime.engine import Engine
from eventcore.server.door_answers import json_answer
from eventcore.server.door_request import DoorRequest
from eventcore.server.looks import Answer, Look
from eventcore.server.queue_reader import QueueReader
from eventcore.server.queue_views import MoveView, QueuesPage, QueueView, view_message
from eventcore.wire.http import JSON_HEAD

__all__ = ["look_at_queues"]

QUEUES: Final = "arn:aws:sqs:"
NUMBER_MAX: Final = 1 << 56
LINES_HEAD: Final = b"content-type: application/jsonl\r\n"
_LINE_TYPES: Final = (b"application/jsonl", b"application/x-ndjson")


def look_at_queues(engine: Engine, request: DoorRequest, path: list[str]) -> Look | None:
    """The look that a path behind `/_eventcore/queues` asks for; None for no such path."""
    match path:
        case []:
            return _queues(engine, request)
        case [account, region, name]:
            return _queue(engine, request, queue_arn(account, region, name))
        case [account, region, name, "messages"]:
            return _messages(engine, request, queue_arn(account, region, name))
    return None


# Queues


def _queues(engine: Engine, request: DoorRequest) -> Look:
    after = request.parameters().get("after", "")
    queues_max = request.number("max", limits.BROWSE_PAGE_DEFAULT, 1, limits.BROWSE_QUEUES_MAX)
    arns = engine.arns_with_prefix(QUEUES)
    start = bisect_right(arns, after)
    page = arns[start : start + queues_max]
    is_last = start + len(page) == len(arns)
    views: list[QueueView] = []
    for at in range(0, len(page), limits.DOOR_SLICE):
        if at:
            yield
        for arn in page[at : at + limits.DOOR_SLICE]:
            queue = engine.find(arn)
            if isinstance(queue, QueueMachine):  # not deleted meanwhile
                views.append(_view(engine, request, queue))
    return json_answer(QueuesPage(views, None if is_last else page[-1]))


def _queue(engine: Engine, request: DoorRequest, arn: str) -> Look:
    yield from ()
    return json_answer(_view(engine, request, engine.queue(arn)))


def _view(engine: Engine, request: DoorRequest, queue: QueueMachine) -> QueueView:
    arn = parse_arn(queue.arn)
    counts = engine.statistics(queue)
    return QueueView(
        name=arn.resource,
        account=arn.account,
        region=arn.region,
        arn=queue.arn,
        url=f"{request.base_url}/{arn.account}/{arn.resource}",
        is_fifo=queue.spec.is_fifo,
        created_ms=queue.created_ms,
        visible=counts.visible,
        in_flight=counts.in_flight,
        delayed=counts.delayed,
        oldest_age_ms=counts.oldest_age_ms,
        noisy_groups=counts.noisy_groups,
        quiet_visible=counts.quiet_visible,
        quiet_in_flight=counts.quiet_in_flight,
        quiet_delayed=counts.quiet_delayed,
        quiet_oldest_age_ms=counts.quiet_oldest_age_ms,
        move_task=_running_move(engine, queue),
    )


def _running_move(engine: Engine, queue: QueueMachine) -> MoveView | None:
    """One at a time runs, and it is the newest."""
    for task in engine.list_moves(queue, 1):
        if task.status == RUNNING:
            return MoveView(
                task.handle,
                task.destination_arn,
                task.per_second,
                task.started_ms,
                task.moved,
                task.to_move,
            )
    return None


# Messages


def _messages(engine: Engine, request: DoorRequest, arn: str) -> Look:
    messages_max = request.number("max", limits.BROWSE_PAGE_DEFAULT, 1, limits.BROWSE_MESSAGES_MAX)
    after = request.number("after", -1, -1, NUMBER_MAX)
    last = request.number("last", -1, -1, NUMBER_MAX)
    if last >= 0:
        after = max(-1, (yield from _last_number(engine, arn)) - last)
    reader = QueueReader(engine, arn, after)
    parts: list[bytes] = []
    size = 0
    while len(parts) < messages_max and size < limits.DOOR_ANSWER_BYTES_MAX and not reader.is_over:
        for one in (yield from reader.read(messages_max - len(parts))):
            view = view_message(
                one.number,
                one.record,
                one.state,
                one.receives,
                one.first_received_ms,
                one.visible_ms,
                one.sequence,
            )
            parts.append(encode_json(view))
            size += len(parts[-1])
    if any(line_type in request.accept for line_type in _LINE_TYPES):
        return _lines(parts, reader)
    start = encode_json(
        {
            "arn": arn,
            "created_ms": reader.created_ms,
            "next": reader.next,
            "is_end": reader.is_end,
        }
    )
    return Answer(200, JSON_HEAD, b'%b,"messages":[%b]}' % (start[:-1], b",".join(parts)))


def _last_number(engine: Engine, arn: str) -> Generator[None, None, int]:
    """The number of the message sent last, -1 when there was none: found by halving, since a queue
    tells what is behind a number, and not which is the last.
    """
    low, high = -2, -1  # it is above `low`, and, once nothing is behind `high`, at most that
    while _is_any_behind(engine, arn, high):
        low, high = high, 2 * high + 2
        yield
    while high - low > 1:
        middle = (low + high) // 2
        if _is_any_behind(engine, arn, middle):
            low = middle
        else:
            high = middle
        yield
    return high


def _is_any_behind(engine: Engine, arn: str, number: int) -> bool:
    _, upto = engine.browse(engine.queue(arn), number, 1)
    return upto != number


def _lines(parts: list[bytes], reader: QueueReader) -> Answer:
    head = LINES_HEAD + b"x-eventcore-next: %d\r\n" % reader.next
    if reader.is_end:
        head += b"x-eventcore-end: true\r\n"
    return Answer(200, head, b"".join([part + b"\n" for part in parts]))
