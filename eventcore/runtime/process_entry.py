"""The handler of worker processes whose functions ask for more than (event, context): typed events,
batches, dependencies, coroutine functions.

Rules of this file:

- It is imported in the worker process. The function's own handler is named by the variable
  HANDLER_VARIABLE, and is imported and bound once, when the environment is initialised; what is
  wrong with it is an error of the initialisation.
- Coroutines run on one event loop of the process, which stands still between invocations. What a
  dependency keeps beyond an invocation must bear that.
- The context is the one of AWS's Python runtime; it has no `trace_header`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

import msgspec

from eventcore.runtime.handler_binding import bind
from eventcore.runtime.local_functions import plain_answer

__all__ = ["ENTRY", "HANDLER_VARIABLE", "make_handler"]

HANDLER_VARIABLE: Final = "EVENTCORE_HANDLER"
ENTRY: Final = f"{__name__}.handle"
"""What the runtime client is told to call."""


def make_handler(dotted: str) -> Callable[[Any, Any], Any]:
    """A plain function of (event, context) for the handler "module.function".

    Raises ImportError, AttributeError, InvalidParameter.
    """
    module, _, name = dotted.rpartition(".")
    call, is_async = bind(getattr(import_module(module), name))
    runner = asyncio.Runner() if is_async else None

    def handle_event(event: Any, context: Any) -> Any:
        answer = call(event, context)
        if runner is not None:
            answer = runner.run(answer)
        return msgspec.to_builtins(plain_answer(answer))

    return handle_event


if HANDLER_VARIABLE in os.environ:
    handle = make_handler(os.environ[HANDLER_VARIABLE])
