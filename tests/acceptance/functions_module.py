"""Functions that worker processes find by their names."""

from __future__ import annotations

import os


def double(event, context):
    """Says who it is, and twice the number."""
    print("doubling", event)
    return {"twice": event["n"] * 2, "pid": os.getpid(), "name": context.function_name}


def crash(event, context):
    """Ends the process."""
    os._exit(3)
