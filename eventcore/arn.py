"""Amazon Resource Names, the only way one machine names another."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from eventcore.errors import InvalidParameter

__all__ = [
    "DEFAULT_ACCOUNT",
    "DEFAULT_REGION",
    "Arn",
    "bus_arn",
    "function_arn",
    "mapping_arn",
    "parse_arn",
    "queue_arn",
    "rule_arn",
    "split_qualifier",
    "stream_arn",
    "stream_consumer_arn",
]

DEFAULT_ACCOUNT: Final = "000000000000"
DEFAULT_REGION: Final = "us-east-1"


class Arn(msgspec.Struct, frozen=True):
    """`arn:partition:service:region:account:resource`, taken apart."""

    partition: str
    service: str
    region: str
    account: str
    resource: str


@lru_cache(maxsize=4096)
def parse_arn(text: str) -> Arn:
    """Takes an ARN apart. Raises InvalidParameter("arn")."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
        raise InvalidParameter(
            "arn", f"{text!r} is not an ARN (arn:partition:service:region:account:resource).", text
        )
    return Arn(*parts[1:])


def queue_arn(account: str, region: str, name: str) -> str:
    """The ARN of a queue."""
    return f"arn:aws:sqs:{region}:{account}:{name}"


def bus_arn(account: str, region: str, name: str) -> str:
    """The ARN of an event bus."""
    return f"arn:aws:events:{region}:{account}:event-bus/{name}"


def rule_arn(account: str, region: str, bus: str, name: str) -> str:
    """The ARN of a rule. Rules of the default bus leave the bus out, as on AWS."""
    path = name if bus == "default" else f"{bus}/{name}"
    return f"arn:aws:events:{region}:{account}:rule/{path}"


def stream_arn(account: str, region: str, name: str) -> str:
    """The ARN of a stream."""
    return f"arn:aws:kinesis:{region}:{account}:stream/{name}"


def stream_consumer_arn(stream: str, name: str, created_ms: int) -> str:
    """The ARN of an enhanced fan-out consumer of the stream with the ARN `stream`."""
    return f"{stream}/consumer/{name}:{created_ms // 1000}"


def function_arn(account: str, region: str, name: str) -> str:
    """The ARN of a function, without a qualifier."""
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


def mapping_arn(account: str, region: str, uuid: str) -> str:
    """The ARN of an event source mapping."""
    return f"arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}"


def split_qualifier(arn: str) -> tuple[str, str | None]:
    """A function's ARN without its qualifier, and the qualifier (a version or an alias), if any."""
    parts = arn.split(":", 7)
    return ":".join(parts[:7]), parts[7] if len(parts) == 8 else None
