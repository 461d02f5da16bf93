"""Tumbling windows: stretches of a shard that follow each other and do not overlap, by arrival.

Rules of this file (AWS, "Implementing stateful Kinesis Data Streams processing in Lambda"):

- A record is of the window in which it arrived. Windows begin at multiples of their length since
  the epoch. A batch holds records of one window.
- The function is handed the window's state ({} at first) with each batch and returns the next one
  as `state`, a JSON object. An answer without it is a failure. What it returned last is durable
  with the position behind the batch.
- The final invocation of a window follows when all its records are done with: when one of a later
  window is there, when its time is over and nothing of it can come any more, or when the shard is
  at its end. It has no records. It is tried until it succeeds: it has nothing to discard. Its
  `state` is not read.
- A state of more than `MAPPING_STATE_BYTES_MAX` terminates the window early: its final invocation
  comes at once, marked so, and the same window goes on with a fresh state.
- A window that was open when the length was changed ends by the new length. One that was open when
  tumbling windows were switched off is forgotten with its state.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.codec import decode_json, encode_json
from eventcore.mappings.batch_response import FunctionAnswer
from eventcore.mappings.mapping_spec import WindowState

__all__ = ["fresh", "has_ended", "is_oversize", "next_state", "state_bytes", "state_value"]

_STATE: Final = "state"
_EMPTY: Final = "{}"


def fresh(arrived_ms: int, window_ms: int) -> WindowState:
    """The window of a record, at its beginning."""
    return WindowState(arrived_ms - arrived_ms % window_ms, _EMPTY)


def has_ended(window: WindowState, window_ms: int, at_ms: int) -> bool:
    """Whether a time is behind the window."""
    return at_ms >= window.start_ms + window_ms


def state_bytes(window: WindowState) -> int:
    """The size of a window's state as JSON."""
    state = window.state
    return len(state) if state.isascii() else len(state.encode())


def is_oversize(window: WindowState) -> bool:
    """Whether the window must be terminated early."""
    return state_bytes(window) > limits.MAPPING_STATE_BYTES_MAX


def state_value(window: WindowState) -> Any:
    """The state as a plain value."""
    return decode_json(window.state)


def next_state(answer: FunctionAnswer) -> str | None:
    """The state that a function returned, as JSON; None for an answer without one, which is a
    failure. Raises nothing, whatever was returned.
    """
    try:
        value = answer.payload.value
        state = value.get(_STATE) if isinstance(value, dict) else None
        if not isinstance(state, dict):
            return None
        text = encode_json(state).decode()
        decode_json(text)  # it must be read back, after a restart too
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return text
