"""For tests of eventcore, of programs on it, and of other stores: time, ids, faults on command,
events and contexts for handlers.
"""

from eventcore.testing.clock import ManualClock
from eventcore.testing.conformance import CHECKS, check_store
from eventcore.testing.faults import Fault, FaultyStore
from eventcore.testing.handlers import (
    call_handler,
    function_context,
    queue_event,
    stream_event,
)
from eventcore.testing.ids import SeededIds

__all__ = [
    "CHECKS",
    "Fault",
    "FaultyStore",
    "ManualClock",
    "SeededIds",
    "call_handler",
    "check_store",
    "function_context",
    "queue_event",
    "stream_event",
]
