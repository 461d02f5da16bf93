"""A Celery application as a user writes it; `test_celery.py` runs workers of it.

Everything that differs between the tests comes from the environment: EVENTCORE_BROKER_URL,
EVENTCORE_CELERY_SETTINGS (a literal), and EVENTCORE_RUNS, the file that gets one line of JSON for
each run of a task. There is no result backend.
"""

from __future__ import annotations

import ast
import json
import os
import signal
from pathlib import Path
from typing import Any

from celery import Celery, Task

__all__ = ["app"]

RUNS = Path(os.environ["EVENTCORE_RUNS"])

app = Celery("orders", broker=os.environ["EVENTCORE_BROKER_URL"])
app.conf.update(ast.literal_eval(os.environ["EVENTCORE_CELERY_SETTINGS"]))


def note(task: Task, *arguments: Any) -> int:
    """Writes a run down, and returns how many runs of this task, by its id, there are with it."""
    request = task.request
    line = json.dumps(
        {
            "task": task.name,
            "id": request.id,
            "arguments": arguments,
            "retries": request.retries,
            "eta": request.eta,
        }
    )
    with RUNS.open("a") as file:
        file.write(line + "\n")
    runs = [json.loads(line) for line in RUNS.read_text().splitlines()]
    return sum(run["id"] == request.id for run in runs)


@app.task(bind=True, name="store")
def store(self: Task, *arguments: Any) -> None:
    note(self, *arguments)


@app.task(bind=True, name="retrying", max_retries=3)
def retrying(self: Task) -> None:
    """Asks for another try twice: each try is a new message."""
    note(self)
    if self.request.retries < 2:
        raise self.retry(countdown=0)


@app.task(bind=True, name="failing", acks_late=True, acks_on_failure_or_timeout=False)
def failing(self: Task) -> None:
    """Raises twice: the message stays in the queue, and is received again."""
    if note(self) < 3:
        raise RuntimeError("not yet")


@app.task(bind=True, name="hanging", acks_late=True)
def hanging(self: Task) -> None:
    """Never ends the first time."""
    if note(self) == 1:
        signal.pause()
