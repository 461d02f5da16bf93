"""eventcore: an event-routing runtime. Queues, buses, rules and streams, durable in one file,
inside your program or as a daemon.

    async with eventcore.open("events.db") as broker:
        orders = await broker.create_queue("orders")
        await orders.send("hello")
        for message in await orders.receive(wait_ms=1_000):
            await message.delete()

The names are loaded at their first use: the writer process and the command line import parts of
this package only, and start in a fraction of the time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from eventcore.consumers.records import StartAt
    from eventcore.errors import EventcoreError
    from eventcore.patterns.explanation import Explanation
    from eventcore.patterns.lint import Finding, LintedRule, lint
    from eventcore.patterns.trial import explain, test_event_pattern
    from eventcore.queues.queue_spec import Chaos, RedriveAllow
    from eventcore.runtime.broker import Broker, Event
    from eventcore.runtime.broker import open_broker as open  # noqa: A004  (as in `eventcore.open`)
    from eventcore.runtime.consumer import Reject, Retry
    from eventcore.runtime.function_handles import FunctionError
    from eventcore.runtime.handler_binding import Batch, BatchRecord, Depends
    from eventcore.runtime.handles import Message, OutgoingMessage, Queue
    from eventcore.runtime.lease_client import DaemonLeases
    from eventcore.runtime.lease_source import BrokerLeases
    from eventcore.runtime.local_functions import FunctionContext
    from eventcore.runtime.stream_broker import BrokerSource
    from eventcore.runtime.stream_handles import OutgoingRecord, Stream
    from eventcore.runtime.stream_handling import RecordBatch
    from eventcore.runtime.stream_kinesis import KinesisSource
    from eventcore.runtime.stream_source import StreamRecord
    from eventcore.runtime.stream_worker import StreamWorker

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "BatchRecord",
    "Broker",
    "BrokerLeases",
    "BrokerSource",
    "Chaos",
    "DaemonLeases",
    "Depends",
    "Event",
    "EventcoreError",
    "Explanation",
    "Finding",
    "FunctionContext",
    "FunctionError",
    "KinesisSource",
    "LintedRule",
    "Message",
    "OutgoingMessage",
    "OutgoingRecord",
    "Queue",
    "RecordBatch",
    "RedriveAllow",
    "Reject",
    "Retry",
    "StartAt",
    "Stream",
    "StreamRecord",
    "StreamWorker",
    "__version__",
    "explain",
    "lint",
    "open",
    "test_event_pattern",
]

_HOMES: Final = {
    "Batch": ("eventcore.runtime.handler_binding", "Batch"),
    "BatchRecord": ("eventcore.runtime.handler_binding", "BatchRecord"),
    "Depends": ("eventcore.runtime.handler_binding", "Depends"),
    "FunctionContext": ("eventcore.runtime.local_functions", "FunctionContext"),
    "FunctionError": ("eventcore.runtime.function_handles", "FunctionError"),
    "StartAt": ("eventcore.consumers.records", "StartAt"),
    "Broker": ("eventcore.runtime.broker", "Broker"),
    "Event": ("eventcore.runtime.broker", "Event"),
    "EventcoreError": ("eventcore.errors", "EventcoreError"),
    "Explanation": ("eventcore.patterns.explanation", "Explanation"),
    "Finding": ("eventcore.patterns.lint", "Finding"),
    "LintedRule": ("eventcore.patterns.lint", "LintedRule"),
    "Chaos": ("eventcore.queues.queue_spec", "Chaos"),
    "Message": ("eventcore.runtime.handles", "Message"),
    "OutgoingMessage": ("eventcore.runtime.handles", "OutgoingMessage"),
    "OutgoingRecord": ("eventcore.runtime.stream_handles", "OutgoingRecord"),
    "Stream": ("eventcore.runtime.stream_handles", "Stream"),
    "StreamRecord": ("eventcore.runtime.stream_source", "StreamRecord"),
    "DaemonLeases": ("eventcore.runtime.lease_client", "DaemonLeases"),
    "BrokerLeases": ("eventcore.runtime.lease_source", "BrokerLeases"),
    "BrokerSource": ("eventcore.runtime.stream_broker", "BrokerSource"),
    "RecordBatch": ("eventcore.runtime.stream_handling", "RecordBatch"),
    "KinesisSource": ("eventcore.runtime.stream_kinesis", "KinesisSource"),
    "StreamWorker": ("eventcore.runtime.stream_worker", "StreamWorker"),
    "Queue": ("eventcore.runtime.handles", "Queue"),
    "RedriveAllow": ("eventcore.queues.queue_spec", "RedriveAllow"),
    "Reject": ("eventcore.runtime.consumer", "Reject"),
    "Retry": ("eventcore.runtime.consumer", "Retry"),
    "explain": ("eventcore.patterns.trial", "explain"),
    "lint": ("eventcore.patterns.lint", "lint"),
    "open": ("eventcore.runtime.broker", "open_broker"),
    "test_event_pattern": ("eventcore.patterns.trial", "test_event_pattern"),
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(home[0]), home[1])
    globals()[name] = value
    return value
