"""A program whose process functions handle a queue, a stream and asynchronous events.

    python function_client.py PATH CODE FIRST ITEMS KINDS

It sends `ITEMS` items of each of the kinds ("queue,stream,event"), numbered from `FIRST` on, and
prints each number when it is acknowledged; then it runs on until it is killed. `CODE` is a
directory with `handler.py`, which `write_handler` puts there. The handler writes to the file
`ledger` beside it when a batch begins and when it is done; some records it fails on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

from eventcore.arn import function_arn, queue_arn, stream_arn
from eventcore.errors import AlreadyExists
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function_spec import FunctionCode, FunctionConfig
from eventcore.mappings.mapping_spec import MappingSpec
from eventcore.queues.message import SendEntry
from eventcore.queues.queue_spec import QueueSpec
from eventcore.runtime.engine import Engine
from eventcore.stores.sqlite import InlineSqliteStore
from eventcore.streams.stream_spec import RecordEntry, StreamSpec

__all__ = ["FAILURES", "FUNCTION", "QUEUE", "STREAM", "is_poison", "main", "write_handler"]

ACCOUNT: Final = "000000000000"
REGION: Final = "us-east-1"
QUEUE: Final = queue_arn(ACCOUNT, REGION, "work")
FAILURES: Final = queue_arn(ACCOUNT, REGION, "failures")
STREAM: Final = stream_arn(ACCOUNT, REGION, "events")
FUNCTION: Final = function_arn(ACCOUNT, REGION, "handle")
KEYS: Final = "abc"
VISIBILITY_MS: Final = 3_000
HANDLER: Final = """
import base64, json, os, time

LEDGER = os.open(os.path.join(os.path.dirname(__file__), "ledger"), os.O_WRONLY | os.O_APPEND)

def main(event, context):
    records = event.get("Records", [{"body": json.dumps(event)}])
    texts = [r["body"] if "body" in r else base64.b64decode(r["kinesis"]["data"]) for r in records]
    items = [json.loads(text) for text in texts]
    kind = items[0]["kind"]
    places = [r["kinesis"]["sequenceNumber"] for r in records] if kind == "stream" else []
    tell("begin", kind, items, places)
    time.sleep(0.02)
    if kind == "stream" and any(item["n"] % 7 == 3 for item in items):
        raise ValueError("poison")
    tell("done", kind, items, places)

def tell(what, kind, items, places):
    line = {"what": what, "kind": kind, "pid": os.getpid(), "items": items, "places": places}
    os.write(LEDGER, json.dumps(line).encode() + b"\\n")
"""


def is_poison(number: int) -> bool:
    """Whether a stream's record with this number never succeeds."""
    return number % 7 == 3


def write_handler(code: Path) -> Path:
    """Puts the handler into a new directory; gives its ledger."""
    code.mkdir()
    (code / "handler.py").write_text(HANDLER)
    ledger = code / "ledger"
    ledger.touch()
    return ledger


async def set_up(engine: Engine, code: str) -> None:
    """Makes all resources, in one commit."""
    engine.begin()
    engine.create_queue(QUEUE, QueueSpec(visibility_timeout_ms=VISIBILITY_MS))
    engine.create_queue(FAILURES, QueueSpec())
    try:
        stream = engine.streams.create(STREAM, StreamSpec(), 1)
    except AlreadyExists:
        return
    config = FunctionConfig(
        handler="handler.main",
        runtime="python3.11",
        timeout_ms=VISIBILITY_MS,
        code=FunctionCode(location=code),
    )
    engine.functions.create(FUNCTION, config, None)
    assert stream.open_shards == 1
    await _durable(engine)
    engine.begin()
    create = engine.mappings.create
    create(
        ACCOUNT, REGION, MappingSpec(source_arn=QUEUE, function_arn=FUNCTION, batch_size=4), True
    )
    spec = MappingSpec(
        source_arn=STREAM,
        function_arn=FUNCTION,
        batch_size=8,
        starting_position="TRIM_HORIZON",
        is_bisecting=True,
        retries_max=2,
        on_failure_arn=FAILURES,
    )
    create(ACCOUNT, REGION, spec, True)
    await _durable(engine)


def send(engine: Engine, number: int, kinds: str) -> None:
    """One item of each of the kinds."""
    engine.begin()
    key = KEYS[number % len(KEYS)]

    def text(kind: str) -> str:
        return json.dumps({"kind": kind, "n": number, "key": key})

    if "queue" in kinds:
        engine.send(engine.queue(QUEUE), SendEntry(text("queue")))
    if "stream" in kinds:
        stream = engine.streams.find(STREAM)
        engine.streams.put_records(stream, [RecordEntry(text("stream").encode(), key)])
    if "event" in kinds:
        function = engine.functions.find(FUNCTION)
        engine.functions.invoke_later(function, AsyncEvent(text("event")))


async def main(path: str, code: str, first: int, items: int, kinds: str) -> None:
    """Sends, and runs until killed."""
    async with Engine.open(InlineSqliteStore(path)) as engine:
        await set_up(engine, code)
        for number in range(first, first + items):
            send(engine, number, kinds)
            await _durable(engine)
            os.write(1, b"%d\n" % number)
        os.write(1, b"end\n")
        await asyncio.Event().wait()


async def _durable(engine: Engine) -> Any:
    barrier = engine.barrier()
    if barrier is not None:
        await barrier


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
