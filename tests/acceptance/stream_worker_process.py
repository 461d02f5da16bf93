"""A worker of a consumer group in a process of its own: records and leases come from a daemon.

    python stream_worker_process.py <url> <stream arn> <group> <worker id>

Writes a line for each record that it has handled: its worker, its partition key, its data. Ends
gently when its input is closed.
"""

from __future__ import annotations

import asyncio
import sys

from eventcore.runtime.lease_client import DaemonLeases
from eventcore.runtime.stream_kinesis import KinesisSource
from eventcore.runtime.stream_source import StreamRecord
from eventcore.runtime.stream_worker import StreamWorker


async def main(url: str, stream_arn: str, group: str, worker_id: str) -> None:
    async def handler(record: StreamRecord) -> None:
        print(worker_id, record.partition_key, record.text, flush=True)

    worker = StreamWorker(
        source=KinesisSource(
            stream_arn,
            endpoint_url=url,
            poll_ms=200,
            client_options={"aws_access_key_id": "any", "aws_secret_access_key": "any"},
        ),
        leases=DaemonLeases(url, stream_arn, group),
        handler=handler,
        worker_id=worker_id,
        checkpoint="record",
        lease_ms=1_500,
    )
    running = asyncio.create_task(worker.run())
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    worker.stop()
    await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
