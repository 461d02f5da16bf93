"""The leases of a group that a daemon keeps, for a worker in another process.

It needs aiohttp, which comes with aiobotocore: `pip install 'eventcore[kinesis]'`.

Rules of this file:

- A request that gets no sound answer raises SourceUnavailable: what it asked for may have happened.
  Nothing is tried again here; the worker does, as long as its leases last.
- Every request has a time-out: a daemon that hangs must not keep a worker from seeing that its
  leases are over.
"""

from __future__ import annotations

from ssl import SSLContext
from typing import Any, Final, TypeVar, final

import msgspec

from eventcore import limits
from eventcore.codec import encode_json, json_decoder
from eventcore.consumers.checkpoint import Checkpoint
from eventcore.consumers.records import Assignment, GroupDescription, Heartbeat, StartAt
from eventcore.errors import (
    InvalidParameter,
    LeaseLost,
    LimitExceeded,
    NotFound,
    SourceUnavailable,
)
from eventcore.runtime.lease_groups import group_arn
from eventcore.runtime.lease_shapes import (
    TARGET_PREFIX,
    AssignmentShape,
    CheckpointShape,
    GroupShape,
)

__all__ = ["DaemonLeases"]

T = TypeVar("T")
CONTENT_TYPE: Final = "application/x-amz-json-1.1"
TIMEOUT_MS_DEFAULT: Final = 3_000
ANSWER_BYTES_MAX: Final = 64 * 1024 * 1024


class _CheckpointAnswer(msgspec.Struct, frozen=True):
    checkpoint: CheckpointShape = msgspec.field(name="Checkpoint")


class _Empty(msgspec.Struct, frozen=True):
    pass


class _FaultShape(msgspec.Struct, frozen=True):
    code: str = msgspec.field(name="__type", default="")
    message: str = ""


_read_fault: Final = json_decoder(_FaultShape)


@final
class DaemonLeases:
    """A group that a daemon keeps."""

    def __init__(
        self,
        endpoint_url: str,
        stream_arn: str,
        group: str,
        start: StartAt | None = None,
        *,
        timeout_ms: int = TIMEOUT_MS_DEFAULT,
        tls: SSLContext | None = None,
    ) -> None:
        """`endpoint_url` is the daemon's ("http://127.0.0.1:4566"); `start` is for a group that is
        not there yet; `timeout_ms` is for each request; `tls` says whom to trust for an https URL,
        by default those that the machine trusts. Raises InvalidParameter.
        """
        group_arn(stream_arn, group)  # refuses bad names before anything is sent
        if not endpoint_url.startswith(("http://", "https://")):
            raise InvalidParameter("endpoint_url", "Must be an http or https URL.", endpoint_url)
        self._url = endpoint_url
        self._names = {"StreamARN": stream_arn, "GroupName": group}
        self._start = start or StartAt()
        self._timeout_ms = timeout_ms
        self._tls = tls
        self._session: Any = None

    async def heartbeat(self, beat: Heartbeat) -> Assignment:
        """See LeaseSource."""
        request: dict[str, Any] = {
            "WorkerId": beat.worker_id,
            "LeaseMillis": beat.lease_ms,
            "HandoverMillis": beat.handover_ms,
            "IsLeaving": beat.is_leaving,
            "Start": {"Type": self._start.kind, "TimestampMillis": self._start.timestamp_ms},
        }
        if beat.lineage is not None:
            request["Lineage"] = [
                {"ShardId": n.shard_id, "ParentShardIds": n.parents, "IsClosed": n.is_closed}
                for n in beat.lineage
            ]
        return (await self._call("Heartbeat", request, AssignmentShape)).read()

    async def wait(self, change: int, wait_ms: int) -> None:
        """See LeaseSource."""
        wait_ms = min(wait_ms, limits.WAIT_MS_MAX)
        request = {"Change": change, "WaitMillis": wait_ms}
        await self._call("WaitForChange", request, _Empty, timeout_ms=wait_ms + self._timeout_ms)

    async def checkpoint(
        self, shard_id: str, worker_id: str, counter: int, to: Checkpoint
    ) -> Checkpoint:
        """See LeaseSource."""
        request = {
            "ShardId": shard_id,
            "WorkerId": worker_id,
            "Counter": counter,
            "Checkpoint": CheckpointShape.of(to),
        }
        return (await self._call("Checkpoint", request, _CheckpointAnswer)).checkpoint.read()

    async def release(self, shard_id: str, worker_id: str, counter: int) -> None:
        """See LeaseSource."""
        request = {"ShardId": shard_id, "WorkerId": worker_id, "Counter": counter}
        await self._call("Release", request, _Empty)

    async def leave(self, worker_id: str) -> None:
        """See LeaseSource."""
        await self._call("Leave", {"WorkerId": worker_id}, _Empty)

    async def describe(self) -> GroupDescription:
        """See LeaseSource."""
        return (await self._call("DescribeGroup", {}, GroupShape)).read()

    async def close(self) -> None:
        """Closes the connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(
        self,
        operation: str,
        request: dict[str, Any],
        answer_type: type[T],
        *,
        timeout_ms: int | None = None,
    ) -> T:
        status, body = await self._post(
            operation,
            encode_json({**self._names, **request}),
            (timeout_ms or self._timeout_ms) / 1000,
        )
        if status != 200:
            raise self._error(status, body, request)
        try:
            return msgspec.json.decode(body, type=answer_type)
        except msgspec.DecodeError as error:
            raise SourceUnavailable(self._url, f"{operation}: {error}") from error

    async def _post(self, operation: str, body: bytes, seconds: float) -> tuple[int, bytes]:
        aiohttp = _aiohttp()
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {"Content-Type": CONTENT_TYPE, "X-Amz-Target": f"{TARGET_PREFIX}.{operation}"}
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.post(
                self._url,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                ssl=True if self._tls is None else self._tls,
            ) as answer:
                found = await answer.content.read(ANSWER_BYTES_MAX)
                while not answer.content.at_eof() and len(found) < ANSWER_BYTES_MAX:
                    found += await answer.content.read(ANSWER_BYTES_MAX - len(found))
                return answer.status, found
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # A time-out has no text of its own.
            reason = str(error) or repr(error)
            raise SourceUnavailable(self._url, f"{operation}: {reason}") from error

    def _error(self, status: int, body: bytes, request: dict[str, Any]) -> Exception:
        try:
            fault = _read_fault(body)
        except msgspec.DecodeError:
            return SourceUnavailable(self._url, f"status {status}")
        code, message = fault.code.rpartition("#")[2], fault.message
        if code == "LeaseLostException":
            return LeaseLost(request.get("ShardId", ""), request.get("WorkerId", ""))
        if code == "ResourceNotFoundException":
            return NotFound("consumer group", self._names["GroupName"])
        if code == "LimitExceededException":
            limit, _, rest = message.partition(" is ")
            value = rest.partition(":")[0]
            return LimitExceeded(limit, int(value) if value.isdecimal() else 0, message)
        if code == "ValidationException":
            name, _, reason = message.partition(": ")
            return InvalidParameter(name, reason)
        return SourceUnavailable(self._url, f"status {status} {code} {message}".strip())


def _aiohttp() -> Any:
    try:
        import aiohttp  # noqa: PLC0415  (an extra, which few have)
    except ImportError as error:
        raise InvalidParameter(
            "leases", "DaemonLeases needs aiohttp: pip install 'eventcore[kinesis]'."
        ) from error
    return aiohttp
