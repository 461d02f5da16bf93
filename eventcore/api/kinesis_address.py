"""How Kinesis's requests name a stream and a consumer.

Rules of this file:

- A stream is named by its name, its ARN, or both, which must agree. A name means the caller's
  account and region.
- An ARN may name a stream of another account, since policies are not evaluated. It must be of the
  caller's region: AWS's endpoints know their own only.
- A consumer is named by its ARN, or by its name and its stream's ARN. Its ARN ends in the second of
  its registration, so one that was registered again has another.
"""

from __future__ import annotations

from typing import Final

from eventcore.api.kinesis_faults import invalid_argument, unsupported
from eventcore.api.operation import Call
from eventcore.arn import parse_arn, stream_arn
from eventcore.errors import NotFound
from eventcore.streams.shard import parse_shard_id, shard_id
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import FanOutConsumer

__all__ = [
    "account_named",
    "arn_of_stream",
    "canonical_shard_id",
    "consumer_of",
    "require_settled",
    "resource_of",
    "stream_named",
    "stream_of",
    "stream_of_arn",
]

_STREAM: Final = "stream/"
_CONSUMER: Final = "/consumer/"


def account_named(call: Call, request: object) -> str:
    """The account that a request is about: that of an ARN in it, else the caller's."""
    for member in ("stream_arn", "consumer_arn", "resource_arn"):
        arn = getattr(request, member, None)
        if arn is not None:
            return parse_arn(arn).account
    return call.account


def stream_named(request: object) -> str:
    """The name of the stream that a request is about, as far as it tells; "" for none."""
    name: str | None = getattr(request, "stream_name", None)
    if name is None:
        arn = getattr(request, "stream_arn", None) or getattr(request, "consumer_arn", None) or ""
        name = arn.partition("/")[2].partition(_CONSUMER)[0]
    return name


def canonical_shard_id(text: str) -> str:
    """A shard id as we write it, of one that may be the bare number; other texts as they are."""
    ordinal = parse_shard_id(text)
    return text if ordinal is None else shard_id(ordinal)


def arn_of_stream(call: Call, name: str | None, arn: str | None) -> str:
    """The ARN of the stream that is meant. Raises the fault for none, for two that do not agree,
    and for one of another region.
    """
    if arn is None:
        if name is None:
            raise invalid_argument("Either StreamName or StreamARN must be provided.")
        return stream_arn(call.account, call.region, name)
    parsed = parse_arn(arn)
    named = parsed.resource.removeprefix(_STREAM)
    if name is not None and name != named:
        raise invalid_argument(f"StreamName {name} does not match the stream in StreamARN {arn}.")
    is_stream = parsed.service == "kinesis" and named and "/" not in named
    if not is_stream or parsed.region != call.region:
        raise NotFound("stream", named)
    return arn


def stream_of(call: Call, name: str | None, arn: str | None) -> Stream:
    """The stream that is meant. Raises NotFound, and what `arn_of_stream` raises."""
    return call.engine.streams.find(arn_of_stream(call, name, arn))


def stream_of_arn(call: Call, arn: str) -> Stream:
    """The stream of an ARN. Raises NotFound."""
    return stream_of(call, None, arn)


def consumer_of(
    call: Call, arn: str | None, name: str | None = None, of_stream: str | None = None
) -> tuple[Stream, FanOutConsumer]:
    """A consumer and its stream, by the consumer's ARN, or by its name and its stream's ARN. Raises
    NotFound, and the fault for a request that names none, or two.
    """
    if arn is None:
        if name is None or of_stream is None:
            raise invalid_argument(
                "Either ConsumerARN, or both StreamARN and ConsumerName must be provided."
            )
        stream = stream_of_arn(call, of_stream)
        return stream, stream.fan_out.find(name)
    path, _, _ = arn.partition(_CONSUMER)
    if of_stream not in (None, path):
        raise invalid_argument(f"ConsumerARN {arn} is not of a consumer of StreamARN {of_stream}.")
    try:
        stream = stream_of_arn(call, path)
        consumer = stream.fan_out.find_arn(arn)
    except NotFound:
        raise NotFound("consumer", arn) from None
    if name not in (None, consumer.name):
        raise invalid_argument(f"ConsumerName {name} does not match ConsumerARN {arn}.")
    return stream, consumer


def resource_of(call: Call, arn: str) -> tuple[Stream, FanOutConsumer | None]:
    """The stream of a ResourceARN, and the consumer if it names one. Raises NotFound, and Conflict
    while the stream is being created or deleted.
    """
    if parse_arn(arn).resource.startswith("channel/"):
        raise unsupported("channels")
    stream, consumer = (
        consumer_of(call, arn) if _CONSUMER in arn else (stream_of_arn(call, arn), None)
    )
    require_settled(stream)
    return stream, consumer


def require_settled(stream: Stream) -> None:
    """Raises Conflict while a stream is being created or deleted."""
    if stream.status != "UPDATING":
        stream.require("ACTIVE")
