"""Functions that worker processes find by their names."""

from __future__ import annotations

import asyncio
import os

import msgspec

from eventcore import Batch, Depends


def double(event, context):
    """Says who it is, and twice the number."""
    print("doubling", event)
    return {"twice": event["n"] * 2, "pid": os.getpid(), "name": context.function_name}


class Numbered(msgspec.Struct):
    """What `typed` and `batch` read."""

    number: int
    of: str = ""


def one_parameter(event):
    """Takes less than a worker process gives."""
    return event


def typed(event: Numbered, context):
    """Wants an event of its own type, and answers with one."""
    return Numbered(event.number, context.function_name)


async def coroutine(event, context):
    """Needs a loop, which is the same each time."""
    await asyncio.sleep(0)
    return {"event": event, "loop": id(asyncio.get_running_loop())}


def batch(records: Batch[Numbered]):
    """Wants records of its own type; what is none is reported."""
    assert [record.value.number for record in records] == [1]


async def connect():
    """A dependency."""
    yield "database"


def injected(event, database=Depends(connect)):  # noqa: B008  (how a dependency is declared)
    """Is given what `connect` makes."""
    return [event, database]


def crash(event, context):
    """Ends the process."""
    os._exit(3)
