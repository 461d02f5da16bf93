"""Other projects' matchers, run in an environment and a process of their own.

Nothing of them is imported here: `pattern_peer_program` answers over a pipe. Their environment is
one that exists, or one that is made for the run and removed after it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

import orjson

from bench.pattern_load import Workload

__all__ = ["COMPILED_ONCE", "PEERS", "PEER_PACKAGES", "PeerProcess", "peer_process"]

PEER_PACKAGES: Final = (
    "moto==5.2.5",
    "localstack-core==2026.3.0",
    "rolo==0.8.9",
    "jsonpatch==1.47",
)
"""What their event matchers need; LocalStack's own list has all of its services."""
COMPILED_ONCE: Final = "LocalStack, compiled once"
"""The same matcher as LocalStack's, so its answers are the same, too."""
PEERS: Final = ("LocalStack", COMPILED_ONCE, "moto")

_PROGRAM: Final = Path(__file__).with_name("pattern_peer_program.py")


@final
class PeerProcess:
    """The program behind its pipe. Every call waits for the answer."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.versions: dict[str, str] = self._ask({"do": "versions"})

    def load(self, name: str, workload: Workload) -> dict[str, list[int]]:
        """Keeps the workload under this name. The places of the refused rules, by engine."""
        events = [event.decode() for event in workload.events]
        refused: dict[str, list[int]] = self._ask(
            {"do": "load", "name": name, "rules": workload.rules, "events": events}
        )
        return refused

    def us_per_event(self, name: str, engine: str, seconds: float) -> float:
        """CPU microseconds of an event, over at least one event and so many seconds."""
        answer = self._ask({"do": "measure", "name": name, "engine": engine, "seconds": seconds})
        return float(answer["cpu_s"] / answer["events"] * 1e6)

    def answers(self, name: str, engine: str, events: int) -> list[list[int]]:
        """The places of the rules that match, for each of the first events."""
        found: list[list[int]] = self._ask(
            {"do": "answers", "name": name, "engine": engine, "events": events}
        )
        return found

    def _ask(self, request: dict[str, Any]) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None, "the process was started with pipes"
        assert stdout is not None, "the process was started with pipes"
        stdin.write(orjson.dumps(request) + b"\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            sys.exit("the process of the other matchers ended; its message is above")
        return orjson.loads(answer)


@contextmanager
def peer_process(python: Path | None) -> Iterator[PeerProcess]:
    """The process, with this interpreter, or with one of an environment made for it."""
    with tempfile.TemporaryDirectory(prefix="pattern-peers-") as folder:
        if python is None:
            python = _make_environment(Path(folder))
        command = [str(python), "-W", "ignore", str(_PROGRAM)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            # Leaving the block closes stdin, at which the program ends.
            yield PeerProcess(process)


def _make_environment(folder: Path) -> Path:
    print(f"making an environment with {', '.join(PEER_PACKAGES)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, *PEER_PACKAGES], check=True)
    return python
