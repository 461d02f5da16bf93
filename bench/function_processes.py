"""Functions in processes: a warm invocation's round trip, a cold start, many at a time.

`pool` figures are from the call of the pool of environments until the result is there: to the
process, through the handler (which returns its event) and back. A cold start is the same for a
version that has no environment yet; its zip is unpacked already. `embedded` is a program's
`broker.functions.invoke`, `wire` the Invoke operation of a daemon, over one connection. A runtime
whose program is not there is left out.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import importlib.util
import io
import sys
import tempfile
import time
import zipfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from bench import function_handlers
from bench.function_load import Rounds, opened, spending
from bench.stream_figures import Results
from eventcore.bench.client import AwsJsonClient, Connection
from eventcore.bench.daemon_process import DaemonProcess
from eventcore.bench.histogram import Histogram
from eventcore.codec import decode_json, encode_json
from eventcore.environments.pool import Environments
from eventcore.environments.runtimes import supported_runtime
from eventcore.functions.function_spec import FunctionCode, FunctionConfig
from eventcore.functions.invocation import Invocation, Payload

__all__ = ["measure_processes"]

ARN: Final = "arn:aws:lambda:us-east-1:000000000000:function:bench"
EVENT: Final = {"Records": [{"messageId": str(n), "body": "x" * 256} for n in range(10)]}
PYTHON: Final = "def main(event, context):\n    return event\n"
NODE: Final = "exports.main = async (event) => event;"
BOOTSTRAP: Final = f"""#!{sys.executable} -IS
import os, socket
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
connection = socket.create_connection((host, int(port)))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
API = "/2018-06-01/runtime/invocation/"
def exchange(request):
    connection.sendall(request)
    data = b""
    while b"\\r\\n\\r\\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\\r\\n\\r\\n")
    headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\\r\\n")[1:])
    while len(body) < int(headers["content-length"]):
        body += connection.recv(65536)
    return headers, body
while True:
    headers, event = exchange(f"GET {{API}}next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n".encode())
    name = headers["lambda-runtime-aws-request-id"]
    head = f"POST {{API}}{{name}}/response HTTP/1.1\\r\\nHost: x\\r\\n"
    exchange(f"{{head}}Content-Length: {{len(event)}}\\r\\n\\r\\n".encode() + event)
"""
"""A runtime client without any library: what AWS calls a custom runtime."""
AT_ONCE: Final = 16
WARM_UP: Final = 50
WARM_MS: Final = 1.5
COLD_MS: Final = 150.0

Runtimes = Mapping[str, tuple[str, str, Mapping[str, str]]]


def _runtimes() -> Runtimes:
    """Runtime, handler and files of each function, by its name."""
    own = f"python3.{sys.version_info[1]}"
    found: dict[str, tuple[str, str, Mapping[str, str]]] = {
        "Python": (own, "app.main", {"app.py": PYTHON}),
        "Node.js": ("nodejs20.x", "app.main", {"app.js": NODE}),
        "bootstrap": ("provided.al2023", "app.main", {"bootstrap": BOOTSTRAP}),
    }
    if importlib.util.find_spec("awslambdaric") is not None:
        start = f"#!/bin/sh\ncd $LAMBDA_TASK_ROOT\nexec {sys.executable} -m awslambdaric app.main\n"
        files = {"bootstrap": start, "app.py": PYTHON}
        found["awslambdaric"] = ("provided.al2023", "app.main", files)
    return {name: entry for name, entry in found.items() if supported_runtime(entry[0]) is None}


def _packed(files: Mapping[str, str]) -> bytes:
    """A deployment package."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return whole.getvalue()


class _NoLog:
    """Lines are made and thrown away."""

    def write(
        self, function_arn: str, version: str, request_id: str, line: str, time_ms: int
    ) -> None:
        """A LogSink's."""


class _Pool:
    """One function in a pool of its own."""

    def __init__(self, runtime: str, handler: str, files: Mapping[str, str]) -> None:
        zip_bytes = _packed(files)
        digest = base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()
        self.pool = Environments(
            lambda arn, code: zip_bytes, None, endpoint_url=lambda: None, log=_NoLog()
        )
        self._config = FunctionConfig(
            handler=handler,
            runtime=runtime,
            timeout_ms=60_000,
            memory_mb=512,
            code=FunctionCode(1, digest, len(zip_bytes)),
        )
        self._numbers = iter(range(1_000_000))

    async def warm(self) -> None:
        """Invokes the environment that is there."""
        await self._invoke("1")

    async def cold(self) -> None:
        """Invokes one that is not there yet."""
        await self._invoke(f"cold-{next(self._numbers)}")

    async def _invoke(self, version: str) -> None:
        invocation = Invocation(
            request_id="5f0c9f3e-0000-4000-8000-000000000000",
            function_arn=ARN,
            invoked_arn=ARN,
            version=version,
            config=self._config,
            payload=Payload.of(EVENT),
            deadline_ms=0,
        )
        result = await self.pool.invoke(invocation)
        if result.error is not None:
            raise SystemExit(f"the function failed: {result.payload.raw.decode()}")

    async def end_cold(self) -> None:
        """Ends what `cold` began."""
        for number in range(next(self._numbers)):
            self.pool.retire(ARN, f"cold-{number}")


async def _timed(call: Callable[[], Awaitable[object]], count: int) -> Histogram:
    """One after the other."""
    histogram = Histogram()
    for _ in range(count):
        began_s = time.perf_counter()
        await call()
        histogram.record(int((time.perf_counter() - began_s) * 1e9))
    return histogram


async def measure_processes(results: Results, rounds: int, invocations: int, starts: int) -> None:
    """All runtimes, and all ways to invoke our Python one, taking turns."""
    figures = Rounds("process")
    for _ in range(rounds):
        for name, (runtime, handler, files) in _runtimes().items():
            await _pool_round(figures, name, _Pool(runtime, handler, files), invocations, starts)
        await _embedded_round(figures, invocations)
        await _wire_round(figures, invocations)
    results.figures += figures.figures()


async def _pool_round(
    figures: Rounds, name: str, pool: _Pool, invocations: int, starts: int
) -> None:
    try:
        await _timed(pool.cold, 1)  # unpacks the zip, compiles the module
        cold = await _timed(pool.cold, starts)
        await pool.end_cold()
        await _timed(pool.warm, WARM_UP)
        with spending() as spent:
            warm = await _timed(pool.warm, invocations)
        await asyncio.gather(*(_timed(pool.warm, 1) for _ in range(AT_ONCE)))
        with spending() as together:
            count = invocations // AT_ONCE
            await asyncio.gather(*(_timed(pool.warm, count) for _ in range(AT_ONCE)))
    finally:
        await pool.pool.close()
    is_ours = name != "awslambdaric"
    cold_ms = COLD_MS if is_ours else None
    figures.add(f"cold, {name}, p50", "ms", cold.percentile_ns(0.5) / 1e6, at_most=cold_ms)
    figures.add(f"cold, {name}, p99", "ms", cold.percentile_ns(0.99) / 1e6)
    _add_warm(figures, f"warm, pool, {name}", warm, WARM_MS if is_ours else None)
    figures.add(f"warm, pool, {name}", "CPU ms/1,000 invocations", spent.cpu_s / invocations * 1e6)
    rate = count * AT_ONCE / together.wall_s
    figures.add(f"warm, pool, {name}, {AT_ONCE} at a time", "invocations/s", rate)


def _add_warm(figures: Rounds, name: str, warm: Histogram, p50_ms: float | None) -> None:
    figures.add(f"{name}, p50", "ms", warm.percentile_ns(0.5) / 1e6, at_most=p50_ms)
    figures.add(f"{name}, p99", "ms", warm.percentile_ns(0.99) / 1e6)


async def _embedded_round(figures: Rounds, invocations: int) -> None:
    async with opened("inline") as broker:
        broker.function("echo", in_process=True)(function_handlers.echo)
        async with broker.running():

            async def call() -> None:
                assert await broker.functions.invoke("echo", EVENT) == EVENT

            await _timed(call, WARM_UP)
            with spending() as spent:
                warm = await _timed(call, invocations)
    _add_warm(figures, "warm, embedded, Python", warm, WARM_MS)
    cost = spent.cpu_s / invocations * 1e6
    figures.add("warm, embedded, Python", "CPU ms/1,000 invocations", cost)


async def _wire_round(figures: Rounds, invocations: int) -> None:
    """One connection to a daemon, without signatures, as `eventcore bench` has them."""
    body = encode_json(EVENT)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "functions.toml"
        place = encode_json(str(Path(__file__).parent)).decode()  # a JSON text is one of TOML
        file.write_text(f'[functions.echo]\nhandler = "function_handlers:echo"\npath = {place}\n')
        async with (
            DaemonProcess(Path(folder), arguments=("--functions", str(file))) as daemon,
            AwsJsonClient(daemon.url) as client,
        ):
            connection = await client.connect(Connection)
            request = (
                "POST /2015-03-31/functions/echo/invocations HTTP/1.1\r\n"
                f"Host: {daemon.url.rpartition('/')[2]}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            ).encode() + body

            async def call() -> None:
                reply = await connection.exchange(request)
                if reply.status != 200 or decode_json(reply.body) != EVENT:
                    raise SystemExit(f"HTTP {reply.status}: {reply.body[:500].decode()}")

            await _timed(call, WARM_UP)
            with spending() as spent:
                warm = await _timed(call, invocations)
            connection.close()
    _add_warm(figures, "warm, wire, Python", warm, WARM_MS)
    cost = spent.cpu_s / invocations * 1e6
    figures.add("warm, wire, Python, client too", "CPU ms/1,000 invocations", cost)
