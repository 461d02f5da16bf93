"""Progress of something long: a bar on a terminal, a plain line every two seconds elsewhere,
nothing when silent.

It is written to standard error, so that standard output holds the result alone.
"""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final, TextIO, final

__all__ = ["Progress"]

LINE_INTERVAL_S: Final = 2.0


@final
class Progress:
    """One progress display, a context manager. `total` is in any unit; update it as often as you
    like.
    """

    def __init__(
        self, title: str, total: float, *, silent: bool = False, stream: TextIO | None = None
    ) -> None:
        self._title = title
        self._total = total
        self._silent = silent
        self._stream = stream or sys.stderr
        self._bar: Any = None
        self._task: Any = None
        self._last_line_s = time.monotonic()

    def __enter__(self) -> Progress:
        if not self._silent and self._stream.isatty():
            self._open_bar()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: float, detail: str) -> None:
        """Shows how much is done, and one line of figures."""
        if self._bar is not None:
            self._bar.update(self._task, completed=min(done, self._total), detail=detail)
            return
        now_s = time.monotonic()
        if not self._silent and now_s - self._last_line_s >= LINE_INTERVAL_S:
            self._last_line_s = now_s
            self.say(f"{self._title}: {detail}")

    def say(self, line: str) -> None:
        """Writes a line of its own."""
        if self._silent:
            return
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            self._stream.write(line + "\n")
            self._stream.flush()

    def _open_bar(self) -> None:
        from rich import console, progress  # noqa: PLC0415  50 ms, and only terminals need it

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=30),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[detail]}"),
            console=console.Console(file=self._stream),
            refresh_per_second=5,
        )
        self._task = self._bar.add_task(self._title, total=self._total, detail="")
        self._bar.start()
