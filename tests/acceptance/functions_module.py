"""Functions that worker processes find by their names."""

from __future__ import annotations

import os

import msgspec

from eventcore import Batch


class Order(msgspec.Struct):
    id: int


def double(event, context):
    """Says who it is, and twice the number."""
    print("doubling", event)
    return {"twice": event["n"] * 2, "pid": os.getpid(), "name": context.function_name}


def one_parameter(event):
    """Takes less than a worker process gives."""


def typed(event: Order, context):
    """Wants an event of its own type."""


async def coroutine(event, context):
    """Needs a loop."""


def batch(records: Batch[Order], context):
    """Wants records of its own type."""


def crash(event, context):
    """Ends the process."""
    os._exit(3)
