"""The bounds of the HTTP server as one record, so that a program or a test can set its own.

Those that only HTTP/2 has are named here; the others are in `eventcore.limits`.
"""

from __future__ import annotations

from typing import Final, final

import msgspec

from eventcore import limits

__all__ = [
    "HTTP2_ANSWERS_BYTES_MAX",
    "HTTP2_BODIES_BYTES_MAX",
    "HTTP2_CONNECTION_WINDOW_BYTES",
    "HTTP2_RESETS_MAX",
    "HTTP2_RESETS_PER_S",
    "HTTP2_SETTINGS_MAX",
    "HTTP2_SMALL_FRAMES_MAX",
    "HTTP2_SMALL_FRAMES_PER_S",
    "HTTP2_STREAMS_MAX",
    "HTTP2_WINDOW_BYTES",
    "HttpLimits",
]

HTTP2_STREAMS_MAX: Final = 256
"""Requests of one HTTP/2 connection that run at a time. The client is told, and keeps to it."""
HTTP2_WINDOW_BYTES: Final = 1024 * 1024
"""Of one request's body that may be on the way to us."""
HTTP2_CONNECTION_WINDOW_BYTES: Final = 4 * 1024 * 1024
"""Of all bodies of one connection that may be on the way to us."""
HTTP2_BODIES_BYTES_MAX: Final = 128 * 1024 * 1024
"""Of all unfinished bodies of one connection; the one that goes beyond is answered with 503."""
HTTP2_ANSWERS_BYTES_MAX: Final = 16 * 1024 * 1024
"""Whole answers that wait for the client, of one connection; beyond it its next requests wait."""
HTTP2_RESETS_MAX: Final = 512
"""Requests that a client may take back, or spoil, at once."""
HTTP2_RESETS_PER_S: Final = 64
"""Of these, those that are forgiven each second."""
HTTP2_SMALL_FRAMES_MAX: Final = 4_096
"""Frames at once that bring neither a request nor much of a body: pings, settings, windows."""
HTTP2_SMALL_FRAMES_PER_S: Final = 1_024
"""Of these, those that are forgiven each second."""
HTTP2_SETTINGS_MAX: Final = 256
"""Changes of settings in the life of one connection."""


@final
class HttpLimits(msgspec.Struct, frozen=True):
    """Every bound of a connection; see `eventcore.limits` and above for what each one means."""

    body_bytes_max: int = limits.HTTP_BODY_BYTES_MAX
    code_bytes_max: int = limits.HTTP_CODE_BYTES_MAX
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
    streams_max: int = HTTP2_STREAMS_MAX
    window_bytes: int = HTTP2_WINDOW_BYTES
    connection_window_bytes: int = HTTP2_CONNECTION_WINDOW_BYTES
    bodies_bytes_max: int = HTTP2_BODIES_BYTES_MAX
    answers_bytes_max: int = HTTP2_ANSWERS_BYTES_MAX
    resets_max: int = HTTP2_RESETS_MAX
    resets_per_s: int = HTTP2_RESETS_PER_S
    small_frames_max: int = HTTP2_SMALL_FRAMES_MAX
    small_frames_per_s: int = HTTP2_SMALL_FRAMES_PER_S
    settings_max: int = HTTP2_SETTINGS_MAX
