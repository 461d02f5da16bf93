"""Functions in processes: a warm invocation's round trip, a cold start, many at a time.

    python -m bench.bench_environments [--invocations 2000] [--starts 20] [--loop asyncio|uvloop]

A round trip is from the call of the pool until its result is there: to the process, through the
handler (which returns its event) and back. A cold start is the same for a version that has no
environment yet; its zip is unpacked already. A runtime whose program is not there is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import importlib.util
import io
import statistics
import sys
import time
import zipfile
from collections.abc import Mapping

import uvloop

from eventcore.environments.pool import Environments
from eventcore.environments.runtimes import supported_runtime
from eventcore.functions.function_spec import FunctionCode, FunctionConfig
from eventcore.functions.invocation import Invocation, Payload

ARN = "arn:aws:lambda:us-east-1:000000000000:function:bench"
EVENT = {"Records": [{"messageId": str(number), "body": "x" * 256} for number in range(10)]}
PYTHON = "def main(event, context):\n    return event\n"
AT_ONCE = 16
WARM_UP = 50

Functions = Mapping[str, tuple[str, str, Mapping[str, str]]]


def functions() -> Functions:
    """Runtime, handler and files of each function, by its name."""
    own = f"python3.{sys.version_info[1]}"
    node = "exports.main = async (event) => event;"
    found: dict[str, tuple[str, str, Mapping[str, str]]] = {
        "Python": (own, "app.main", {"app.py": PYTHON}),
        "Node.js": ("nodejs20.x", "app.main", {"app.js": node}),
    }
    if importlib.util.find_spec("awslambdaric") is not None:
        start = f"#!/bin/sh\ncd $LAMBDA_TASK_ROOT\nexec {sys.executable} -m awslambdaric app.main\n"
        files = {"bootstrap": start, "app.py": PYTHON}
        found["awslambdaric"] = ("provided.al2023", "app.main", files)
    return {name: entry for name, entry in found.items() if supported_runtime(entry[0]) is None}


def packed(files: Mapping[str, str]) -> bytes:
    """A deployment package."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100755 << 16
            archive.writestr(entry, text)
    return whole.getvalue()


class NoLog:
    """Lines are made and thrown away."""

    def write(
        self, function_arn: str, version: str, request_id: str, line: str, time_ms: int
    ) -> None:
        """See LogSink."""


class Bench:
    """One function in a pool of its own."""

    def __init__(self, runtime: str, handler: str, files: Mapping[str, str]) -> None:
        zip_bytes = packed(files)
        digest = base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()
        self.pool = Environments(
            lambda arn, code: zip_bytes, None, endpoint_url=lambda: None, log=NoLog()
        )
        self.config = FunctionConfig(
            handler=handler,
            runtime=runtime,
            timeout_ms=60_000,
            memory_mb=512,
            code=FunctionCode(1, digest, len(zip_bytes)),
        )

    async def invoke(self, version: str) -> float:
        """Invokes once; milliseconds."""
        invocation = Invocation(
            request_id="5f0c9f3e-0000-4000-8000-000000000000",
            function_arn=ARN,
            invoked_arn=ARN,
            version=version,
            config=self.config,
            payload=Payload.of(EVENT),
            deadline_ms=0,
        )
        began = time.perf_counter()
        result = await self.pool.invoke(invocation)
        elapsed_ms = (time.perf_counter() - began) * 1_000
        if result.error is not None:
            raise SystemExit(f"the function failed: {result.payload.raw.decode()}")
        return elapsed_ms

    async def warm(self, invocations: int) -> list[float]:
        """One after the other, in one environment."""
        for _ in range(WARM_UP):
            await self.invoke("1")
        return [await self.invoke("1") for _ in range(invocations)]

    async def cold(self, starts: int) -> list[float]:
        """Each in an environment of its own, one after the other."""
        times = []
        for number in range(starts):
            times.append(await self.invoke(f"cold-{number}"))
            self.pool.retire(ARN, f"cold-{number}")
        return times

    async def at_once(self, invocations: int) -> float:
        """Invocations a second, of AT_ONCE callers."""

        async def call() -> None:
            for _ in range(invocations // AT_ONCE):
                await self.invoke("many")

        await asyncio.gather(*(self.invoke("many") for _ in range(AT_ONCE)))
        began = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(AT_ONCE)))
        return invocations // AT_ONCE * AT_ONCE / (time.perf_counter() - began)


def percentiles(times: list[float]) -> str:
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return f"p50 {statistics.median(ordered):7.2f} ms  p99 {p99:7.2f} ms"


async def run(invocations: int, starts: int) -> None:
    for name, (runtime, handler, files) in functions().items():
        bench = Bench(runtime, handler, files)
        try:
            await bench.cold(1)  # unpacks the zip, compiles the module
            cold = await bench.cold(starts)
            warm = await bench.warm(invocations)
            rate = await bench.at_once(invocations)
        finally:
            await bench.pool.close()
        print(f"{name:13} warm {percentiles(warm)}   cold {percentiles(cold)}", end="")
        print(f"   {AT_ONCE} at a time: {rate:,.0f}/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--invocations", type=int, default=2_000)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="uvloop")
    arguments = parser.parse_args()
    factory = uvloop.new_event_loop if arguments.loop == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(run(arguments.invocations, arguments.starts))


if __name__ == "__main__":
    main()
