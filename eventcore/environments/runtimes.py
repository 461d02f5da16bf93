"""Which runtimes can be run here, and with what command.

Rules of this file:

- `python*` and `nodejs*` are run by the small runtime clients in `clients/`; `provided*` by the
  file `bootstrap` of the function's own code. Others (java, dotnet, ruby, go1.x) bring a runtime
  client that is AWS's, and are not run.
- A Python function gets `pythonX.Y` of the PATH where its runtime names another minor version than
  this interpreter and that one really runs; else this interpreter, which is written to the log once
  per version. Node.js is the `node` of the PATH, whatever its version.
- Processes are run on POSIX systems only: freezing, process groups and their end with the daemon
  need one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, final

from eventcore.functions.function_spec import FunctionConfig

__all__ = ["Interpreters", "supported_runtime"]

log = logging.getLogger("eventcore.environments")

CLIENTS: Final = Path(__file__).resolve().parent / "clients"
PYTHON_CLIENT: Final = CLIENTS / "python_client.py"
NODE_CLIENT: Final = CLIENTS / "node_client.mjs"
PROBE_S: Final = 10.0
_PYTHON: Final = re.compile(r"python3\.([0-9]{1,2})")
_PYTHON_MINOR_MIN: Final = 8
"""The oldest version that can read our runtime client."""
_HEAP_SHARE: Final = 0.9
"""Of the memory, for the heap of Node.js, so that it collects garbage before it is killed."""


def supported_runtime(runtime: str) -> str | None:
    """Why functions of this runtime cannot be run here; None when they can."""
    if os.name != "posix":
        return "Processes for functions are not run on this operating system."
    if _PYTHON.fullmatch(runtime) or runtime.startswith("provided"):
        return None
    if runtime.startswith("nodejs"):
        if shutil.which("node") is None:
            return f"The runtime {runtime} needs Node.js: there is no 'node' on the PATH."
        return None
    return (
        f"The runtime {runtime or '(none)'} cannot be run here. These can: python3.x, nodejs, and "
        "provided with a bootstrap."
    )


@final
class Interpreters:
    """The commands that run functions. What was found out about the PATH is remembered."""

    def __init__(self) -> None:
        self._pythons: dict[int, str] = {sys.version_info[1]: sys.executable}

    async def command(self, config: FunctionConfig, task_root: Path) -> list[str]:
        """The command for a function of a supported runtime."""
        python = _PYTHON.fullmatch(config.runtime)
        if python is not None:
            return [await self._python(int(python[1])), "-u", str(PYTHON_CLIENT)]
        if config.runtime.startswith("nodejs"):
            heap_mb = int(config.memory_mb * _HEAP_SHARE)
            node = shutil.which("node") or "node"
            return [node, f"--max-old-space-size={heap_mb}", str(NODE_CLIENT)]
        return [str(task_root / "bootstrap")]

    async def _python(self, minor: int) -> str:
        found = self._pythons.get(minor)
        if found is None:
            found = await asyncio.to_thread(_find_python, minor)
            if minor not in self._pythons and found == sys.executable:
                log.warning(
                    "python3.%d is not on the PATH: functions of that runtime are run by %s",
                    minor,
                    sys.executable,
                )
            self._pythons[minor] = found
        return found


def _find_python(minor: int) -> str:
    """The interpreter of this minor version, or our own.

    It is asked for its version, because a name on the PATH may be a launcher that finds nothing.
    """
    launcher = shutil.which(f"python3.{minor}")
    if launcher is None or minor < _PYTHON_MINOR_MIN:
        return sys.executable
    script = "import sys; print(sys.version_info[1], sys.executable)"
    try:
        answer = subprocess.run(  # noqa: S603
            [launcher, "-c", script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return sys.executable
    told, _, path = answer.stdout.strip().partition(" ")
    return path if told == str(minor) and path else sys.executable
