"""Queue names, queue URLs and queue ARNs.

A queue URL is given out as `http://<host the caller used>/<account>/<name>`. It is accepted with
any host, as a path, and as a bare name, since clients in containers reach the same daemon under
other names than their configuration says.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from eventcore import limits
from eventcore.api.operation import Call
from eventcore.api.sqs_faults import invalid_address, missing_parameter
from eventcore.arn import Arn, parse_arn, queue_arn
from eventcore.errors import InvalidParameter
from eventcore.queues.queue import QueueMachine

__all__ = ["is_account", "is_fifo_name", "is_queue_name", "queue_of", "read_arn", "url_of"]

URL_CHARACTERS_MAX: Final = 1_024
FIFO_SUFFIX: Final = ".fifo"
_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_NAME: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.QUEUE_NAME_CHARACTERS_MAX}}}")
_FIFO_NAME: Final = re.compile(
    rf"[A-Za-z0-9_-]{{1,{limits.QUEUE_NAME_CHARACTERS_MAX - len(FIFO_SUFFIX)}}}\.fifo"
)


def is_account(text: str) -> bool:
    """Whether the text is an account id: twelve digits."""
    return _ACCOUNT.fullmatch(text) is not None


def is_queue_name(name: str) -> bool:
    """Whether a standard queue may have this name."""
    return _NAME.fullmatch(name) is not None


def is_fifo_name(name: str) -> bool:
    """Whether a FIFO queue may have this name; ".fifo" counts to its length."""
    return _FIFO_NAME.fullmatch(name) is not None


def read_arn(text: object) -> Arn | None:
    """A given ARN, taken apart; None for what is none. Longer ones than AWS has are none."""
    if not isinstance(text, str) or len(text) > limits.ARN_CHARACTERS_MAX:
        return None
    try:
        return parse_arn(text)
    except InvalidParameter:
        return None


def queue_of(call: Call, url: str | None) -> QueueMachine:
    """The queue of a QueueUrl parameter.

    Raises NotFound; Fault MissingParameter without a URL, InvalidAddress for one that names no
    queue.
    """
    if not url:
        raise missing_parameter("QueueUrl")
    if len(url) > URL_CHARACTERS_MAX:
        raise invalid_address(url)
    caller = call.caller
    return call.engine.queue(_arn_of(url, caller.account, caller.region))


def url_of(call: Call, name: str, account: str) -> str:
    """The URL of a queue, on the host that the caller used."""
    return f"{call.base_url}/{account}/{name}"


@lru_cache(maxsize=4096)
def _arn_of(url: str, account: str, region: str) -> str:
    if "/" not in url:
        return queue_arn(account, region, url)
    _, scheme, rest = url.rpartition("://")
    parts = [part for part in rest.split("/") if part]
    if scheme:
        del parts[:1]  # the host
    if not parts:
        raise invalid_address(url)
    if len(parts) > 1 and is_account(parts[-2]):
        account = parts[-2]
    return queue_arn(account, region, parts[-1])
