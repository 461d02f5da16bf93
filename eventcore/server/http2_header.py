"""Headers of HTTP/2 as requests of the server, and answers of the server as headers of HTTP/2.

h2 has checked before what the protocol asks for: the pseudo-headers and their order, lower-case
names, no line ends, one body length that the body keeps to. What is checked here is what HTTP/1.1
refuses as well, with the same status.
"""

from __future__ import annotations

import re
from typing import Final

from hpack.struct import Header, HeaderTuple, NeverIndexedHeaderTuple

from eventcore.server.http_limits import HttpLimits
from eventcore.wire.http import HttpRequest

__all__ = ["Refused", "header_fields", "read_header"]

_REPEATED: Final = b"content-type"
"""The one header that is the same in most answers; others would push it out of the table."""
_NO_TARGET: Final = re.compile(rb"[^\x21-\x7e]")


class Refused(Exception):
    """The request gets this answer; the connection goes on."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def read_header(
    fields: list[Header], most: HttpLimits, *, peer: str, is_secure: bool
) -> HttpRequest:
    """The request, with the host among its headers and without its body. Raises Refused."""
    pseudo: dict[bytes, bytes] = {}
    headers: dict[bytes, bytes] = {}
    header_bytes = 0
    for name, value in fields:
        header_bytes += len(name) + len(value) + 4
        if name[:1] == b":":
            pseudo[name] = value
        elif name not in headers:
            headers[name] = value
        elif name == b"host":
            raise Refused(400, "more than one Host")
        else:
            headers[name] = headers[name] + b", " + value
    if len(fields) - len(pseudo) > most.headers_max:
        raise Refused(431, "too many header lines")
    if header_bytes > most.header_bytes_max:
        raise Refused(431, "header too large")
    if b":authority" in pseudo:
        headers[b"host"] = pseudo[b":authority"]
    elif b"host" not in headers:
        raise Refused(400, "Host is missing")
    length = headers.get(b"content-length")
    if length is not None:
        _check_length(length, most)
    is_secure = is_secure or pseudo.get(b":scheme") == b"https"
    return HttpRequest(pseudo[b":method"], _target(pseudo), headers, b"", peer, is_secure)


def _target(pseudo: dict[bytes, bytes]) -> bytes:
    if pseudo[b":method"] == b"CONNECT":
        raise Refused(501, "CONNECT")
    target = pseudo[b":path"]
    if _NO_TARGET.search(target):
        raise Refused(400, "malformed request: the path has characters that need escaping")
    return target


def _check_length(length: bytes, most: HttpLimits) -> None:
    if not length.isdigit():
        raise Refused(400, "malformed request: Content-Length")
    if int(length) > most.body_bytes_max:
        raise Refused(413, "body too large")


def header_fields(status: int, head: bytes) -> list[HeaderTuple]:
    """The header of an answer, of lines as HTTP/1.1 has them."""
    fields = [HeaderTuple(b":status", b"%d" % status)]
    for line in head.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            name = name.lower()
            make = HeaderTuple if name == _REPEATED else NeverIndexedHeaderTuple
            fields.append(make(name, value.strip()))
    return fields
