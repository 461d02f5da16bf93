"""A pool of execution environments with what tests need around it: zips, log lines, invocations."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import itertools
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eventcore.environments.pool import Environments
from eventcore.functions.function_spec import FunctionCode, FunctionConfig
from eventcore.functions.invocation import Invocation, InvocationResult, Payload

ARN = "arn:aws:lambda:eu-west-1:111122223333:function:greeter"
WAIT_S = 30.0
EXECUTABLE = 0o755


def zip_of(files: Mapping[str, str], mode: int = EXECUTABLE) -> bytes:
    """A deployment package of text files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, text)
    return packed.getvalue()


class LogLine(NamedTuple):
    function_arn: str
    version: str
    request_id: str
    line: str
    time_ms: int


class FunctionPool:
    """`read` counts how often a zip was asked for."""

    def __init__(self, directory: Path | None = None, **options: Any) -> None:
        self.zips: dict[str, bytes] = {}
        self.lines: list[LogLine] = []
        self.reads = 0
        self._numbers = itertools.count(1)
        self.pool = Environments(
            self._read, directory, endpoint_url=lambda: "http://127.0.0.1:4566", log=self, **options
        )

    def _read(self, function_arn: str, code: FunctionCode) -> bytes | None:
        self.reads += 1
        return self.zips.get(code.sha256)

    def write(
        self, function_arn: str, version: str, request_id: str, line: str, time_ms: int
    ) -> None:
        self.lines.append(LogLine(function_arn, version, request_id, line, time_ms))

    def texts(self, request_id: str | None = None) -> list[str]:
        return [x.line for x in self.lines if request_id is None or x.request_id == request_id]

    def code(self, files: Mapping[str, str], mode: int = EXECUTABLE) -> FunctionCode:
        zip_bytes = zip_of(files, mode)
        digest = base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()
        self.zips[digest] = zip_bytes
        return FunctionCode(1, digest, len(zip_bytes))

    def python(self, text: str, **options: Any) -> FunctionConfig:
        """A function whose module is this text, with the handler `main`."""
        # Time enough on a busy machine; a test of timeouts says another one.
        options = {"runtime": "python3.11", "timeout_ms": 30_000, **options}
        return FunctionConfig(handler="app.main", code=self.code({"app.py": text}), **options)

    async def invoke(
        self,
        config: FunctionConfig,
        event: Any = None,
        *,
        version: str = "$LATEST",
        is_settled: bool = True,
        **options: Any,
    ) -> InvocationResult:
        """`is_settled`: waits before until processes that have answered ask for more, which on a
        busy machine may take longer than the pool's patience.
        """
        number = next(self._numbers)
        if is_settled:
            await until(lambda: not any(e.is_settling for e in self.pool._living))
        invocation = Invocation(
            **{
                "request_id": f"00000000-0000-4000-8000-{number:012d}",
                "function_arn": ARN,
                "invoked_arn": f"{ARN}:live",
                "version": version,
                "config": config,
                "payload": Payload.of(event),
                "deadline_ms": 0,
                "wants_log_tail": True,
                **options,
            }
        )
        async with asyncio.timeout(WAIT_S):
            return await self.pool.invoke(invocation)

    async def close(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.pool.close()


async def until(condition: Callable[[], bool]) -> None:
    """Waits for a condition that nobody announces; fails after WAIT_S."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and not reaped does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return state_of(pid) != "Z"


def state_of(pid: int) -> str:
    """The system's letter for what a process does: R, S, T (stopped), Z; "" when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(") ")[2][0]
