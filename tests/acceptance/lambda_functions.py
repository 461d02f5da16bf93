"""Functions of a test's own, made through boto3, and what they noted of their invocations."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROLE = "arn:aws:iam::000000000000:role/worker"
WAIT_SECONDS_MAX = 30

NOTING = """\
import json, os

def note(what):
    with open(os.environ["NOTES"], "a") as notes:
        notes.write(json.dumps(what) + "\\n")

"""
"""Goes before the code of a function that is to note something."""


def package(code: str) -> bytes:
    """A deployment package with one module, "app"."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", code)
    return packed.getvalue()


def create_function(lambdas: Any, name: str, code: str, **members: Any) -> str:
    """Makes a Python function of this code; returns its ARN."""
    given = {"Runtime": "python3.12", "Handler": "app.handler", "Role": ROLE, "Timeout": 10}
    made = lambdas.create_function(
        FunctionName=name, Code={"ZipFile": package(code)}, **{**given, **members}
    )
    lambdas.get_waiter("function_active_v2").wait(FunctionName=name)
    arn: str = made["FunctionArn"]
    return arn


class Notes:
    """What functions noted, one JSON text a line, in a file that they find by a variable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch()

    @property
    def environment(self) -> dict[str, Any]:
        return {"Variables": {"NOTES": str(self._path)}}

    def read(self) -> list[Any]:
        lines = self._path.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def wait(self, is_enough: Callable[[list[Any]], bool]) -> list[Any]:
        """The notes, as soon as they are enough."""
        return wait_for(self.read, is_enough)


def wait_for(look: Callable[[], Any], is_enough: Callable[[Any], bool]) -> Any:
    """What is seen when it is enough. Fails after a long time."""
    end = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        seen = look()
        if is_enough(seen):
            return seen
        assert time.monotonic() < end, f"not enough: {seen!r:.2000}"
        time.sleep(0.02)


def enabled(lambdas: Any, uuid: str, state: str = "Enabled") -> Any:
    """Waits until a mapping is in this state."""
    return wait_for(
        lambda: lambdas.get_event_source_mapping(UUID=uuid), lambda told: told["State"] == state
    )


def gone(lambdas: Any, uuid: str) -> None:
    """Deletes a mapping, and waits for its end."""
    wait_for(
        lambda: lambdas.get_event_source_mapping(UUID=uuid)["State"],
        lambda state: state in ("Enabled", "Disabled"),
    )
    lambdas.delete_event_source_mapping(UUID=uuid)

    def look() -> bool:
        try:
            lambdas.get_event_source_mapping(UUID=uuid)
        except lambdas.exceptions.ResourceNotFoundException:
            return True
        return False

    wait_for(look, bool)
