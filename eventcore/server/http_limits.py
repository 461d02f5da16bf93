"""The bounds of the HTTP server as one record, so that a program or a test can set its own."""

from __future__ import annotations

from typing import final

import msgspec

from eventcore import limits

__all__ = ["HttpLimits"]


@final
class HttpLimits(msgspec.Struct, frozen=True):
    """Every bound of a connection; see `eventcore.limits` for what each one means."""

    body_bytes_max: int = limits.HTTP_BODY_BYTES_MAX
    header_bytes_max: int = limits.HTTP_HEADER_BYTES_MAX
    headers_max: int = limits.HTTP_HEADERS_MAX
    connections_max: int = limits.HTTP_CONNECTIONS_MAX
    pipelined_max: int = limits.HTTP_PIPELINED_MAX
    unread_bytes_max: int = limits.HTTP_UNREAD_BYTES_MAX
    header_ms_max: int = limits.HTTP_HEADER_MS_MAX
    body_ms_max: int = limits.HTTP_BODY_MS_MAX
    body_bytes_per_s_min: int = limits.HTTP_BODY_BYTES_PER_S_MIN
    idle_ms_max: int = limits.HTTP_IDLE_MS_MAX
    unread_ms_max: int = limits.HTTP_UNREAD_MS_MAX
    linger_ms_max: int = limits.HTTP_LINGER_MS_MAX
    sweep_ms: int = limits.HTTP_SWEEP_MS
