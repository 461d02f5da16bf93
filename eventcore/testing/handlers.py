"""For tests of handlers, without a broker: events as a mapping makes them, a context, and a call
that binds the handler as the broker does.

    event = queue_event({"id": 1}, {"id": 2})
    answer = await call_handler(bill, event, overrides={connect: fake_connect})

What `call_handler` returns went through JSON, as every answer of a function does. Errors of the
handler are raised as they are.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from hashlib import md5
from typing import Any, Final

from eventcore.arn import DEFAULT_ACCOUNT, DEFAULT_REGION, function_arn, queue_arn, stream_arn
from eventcore.clock import Clock, SystemClock
from eventcore.codec import decode_json, encode_json
from eventcore.functions.function_spec import KIND_LOCAL, LATEST, FunctionConfig
from eventcore.functions.invocation import Invocation, Payload
from eventcore.ids import format_uuid
from eventcore.mappings.source_events import QueueEvents, StreamEvents, batch_event
from eventcore.queues.message import MessageRecord
from eventcore.runtime.handler_binding import bind
from eventcore.runtime.local_functions import FunctionContext, plain_answer

__all__ = ["call_handler", "function_context", "queue_event", "stream_event"]

ARRIVED_MS: Final = 1_700_000_000_000
FIRST_SEQUENCE_NUMBER: Final = (
    49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
)
ROLE: Final = "arn:aws:iam::000000000000:role/function"


def queue_event(
    *bodies: Any, queue: str = "queue", receives: int = 1, group_id: str | None = None
) -> dict[str, Any]:
    """The event of a batch of messages: texts as they are, all else as JSON. Ids count up."""
    events = QueueEvents(queue_arn(DEFAULT_ACCOUNT, DEFAULT_REGION, queue))
    records = []
    for number, body in enumerate(bodies, start=1):
        text = body if isinstance(body, str) else encode_json(body).decode()
        digest = md5(text.encode(), usedforsecurity=False).digest()
        message = MessageRecord(
            ARRIVED_MS, ARRIVED_MS, number.to_bytes(16, "big"), text, digest, group_id=group_id
        )
        sequence = None if group_id is None else str(number)
        records.append(events.record(message, f"handle-{number}", receives, ARRIVED_MS, sequence))
    return batch_event(records)


def stream_event(
    *contents: Any, stream: str = "stream", partition_key: str = "key", shard: int = 0
) -> dict[str, Any]:
    """The event of a batch of records: bytes and texts as they are, all else as JSON. Sequence
    numbers count up.
    """
    events = StreamEvents(stream_arn(DEFAULT_ACCOUNT, DEFAULT_REGION, stream), ROLE)
    records = []
    for number, content in enumerate(contents):
        data = content if isinstance(content, bytes) else b""
        if isinstance(content, str):
            data = content.encode()
        elif not isinstance(content, bytes):
            data = encode_json(content)
        sequence = str(FIRST_SEQUENCE_NUMBER + number)
        shard_id = f"shardId-{shard:012d}"
        records.append(events.record(shard_id, sequence, partition_key, data, ARRIVED_MS))
    return batch_event(records)


def function_context(
    name: str = "function", *, timeout_ms: int = 3_000, clock: Clock | None = None
) -> FunctionContext:
    """The context of an invocation that begins now."""
    clock = clock or SystemClock()
    arn = function_arn(DEFAULT_ACCOUNT, DEFAULT_REGION, name)
    invocation = Invocation(
        request_id=format_uuid(bytes(15) + b"\1"),
        function_arn=arn,
        invoked_arn=arn,
        version=LATEST,
        config=FunctionConfig(kind=KIND_LOCAL, timeout_ms=timeout_ms),
        payload=Payload.of(None),
        deadline_ms=clock.now_ms() + timeout_ms,
    )
    return FunctionContext(invocation, clock)


async def call_handler(
    handler: Callable[..., Any],
    event: Any,
    *,
    context: FunctionContext | None = None,
    overrides: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
) -> Any:
    """Calls a handler as the broker would, with its typed event, context and dependencies, and
    returns what its caller would get. `overrides` take the place of makers of dependencies.

    Raises what the handler raises; InvalidParameter for one that the broker would not take, and
    TypeError for an answer that JSON can not say.
    """
    call, _ = bind(handler, overrides)
    plain = decode_json(encode_json(event))
    answer = call(plain, context or function_context())
    if inspect.isawaitable(answer):
        answer = await answer
    return decode_json(encode_json(plain_answer(answer)))
