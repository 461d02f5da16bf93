"""The trace header of HTTP, X-Amzn-Trace-Id: SDKs send it from within a function.

It stands for all messages or events of a request that name no trace header of their own: SQS's
AWSTraceHeader and EventBridge's TraceHeader go before it, as on AWS. A function's chain of requests
is known by it, and so a loop of functions is.

Some SDKs write it percent-encoded (botocore does, which makes "%7C" of the bars in a lineage) and
others as it is. Nothing in a trace header contains a percent sign, so it is always decoded.

Who calls looks for the header itself, so that a request without one costs a look into a dict.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_to_bytes

from eventcore import limits

__all__ = ["TRACE_ID", "read_trace_id"]

TRACE_ID: Final = b"x-amzn-trace-id"
"""The name of the header as `HttpRequest.headers` has it."""

_ENCODED_CHARACTERS_MAX: Final = 3 * limits.TRACE_HEADER_CHARACTERS_MAX


def read_trace_id(value: bytes) -> str | None:
    """The trace header in a header's value, decoded. None for one that is longer than a trace
    header may be, empty, or no printable ASCII: proxies send the header too, and nobody is refused
    for it.
    """
    if b"%" in value and len(value) <= _ENCODED_CHARACTERS_MAX:
        value = unquote_to_bytes(value)
    if not 0 < len(value) <= limits.TRACE_HEADER_CHARACTERS_MAX or not value.isascii():
        return None
    text = value.decode("ascii")
    return text if text.isprintable() else None
