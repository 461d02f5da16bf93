"""What functions wrote to their logs: the latest lines, in memory.

A function's log is LINES_MAX lines long, a line LINE_CHARACTERS_MAX; FUNCTIONS_MAX functions have
one, and the one that wrote longest ago makes room. Nothing is durable, nothing goes to the broker's
own log.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, final

import msgspec

__all__ = ["FunctionLogs", "LogLine"]

LINES_MAX: Final = 1_000
LINE_CHARACTERS_MAX: Final = 16_384
FUNCTIONS_MAX: Final = 1_000


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """One line. `time_ms` is when it was taken, epoch ms; `number` counts a function's lines."""

    number: int
    time_ms: int
    version: str
    request_id: str
    text: str


@final
class FunctionLogs:
    """The logs of all functions; a `LogSink` of execution environments."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, deque[LogLine]] = OrderedDict()

    def write(
        self, function_arn: str, version: str, request_id: str, line: str, time_ms: int
    ) -> None:
        """Takes a line in."""
        lines = self._lines.get(function_arn)
        if lines is None:
            if len(self._lines) >= FUNCTIONS_MAX:
                self._lines.popitem(last=False)
            lines = self._lines[function_arn] = deque(maxlen=LINES_MAX)
        else:
            self._lines.move_to_end(function_arn)
        number = lines[-1].number + 1 if lines else 0
        text = line[:LINE_CHARACTERS_MAX]
        lines.append(LogLine(number, time_ms, version, request_id, text))

    def lines(self, function_arn: str, after: int = -1) -> list[LogLine]:
        """The lines of a function whose number is above `after`, oldest first."""
        return [line for line in self._lines.get(function_arn, ()) if line.number > after]

    def forget(self, function_arn: str) -> None:
        """The function is gone."""
        self._lines.pop(function_arn, None)
