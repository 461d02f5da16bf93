"""A request at a side door, taken apart: path, parameters, who calls, from where."""

from __future__ import annotations

import re
from typing import Final, final
from urllib.parse import unquote

from eventcore import limits
from eventcore.wire.aws_query import Form, is_form, parse_parameters
from eventcore.wire.credential import Caller
from eventcore.wire.fault import Fault
from eventcore.wire.http import HttpRequest

__all__ = ["READ_METHODS", "DoorRequest"]

READ_METHODS: Final = (b"GET", b"HEAD")
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")


@final
class DoorRequest:
    """One request. `segments` are the parts of the path, decoded, without empty ones at its end."""

    def __init__(self, request: HttpRequest, caller: Caller, request_id: str) -> None:
        self.method = request.method
        self.headers = request.headers
        self.body = request.body
        self.is_secure = request.is_secure
        self.caller = caller
        self.request_id = request_id
        path, _, self._query = request.target.partition(b"?")
        self.segments = [unquote(part) for part in path.decode("latin-1").strip("/").split("/")]

    @property
    def accept(self) -> bytes:
        """The types of answers that the client asks for."""
        return self.headers.get(b"accept", b"").lower()

    @property
    def base_url(self) -> str:
        """Where the caller reached us: URLs given out begin with it."""
        is_secure = self.is_secure or self.headers.get(b"x-forwarded-proto") == b"https"
        scheme = "https" if is_secure else "http"
        return f"{scheme}://{self.headers.get(b'host', b'localhost').decode('latin-1')}"

    def check(self, methods: tuple[bytes, ...]) -> None:
        """Raises Fault for another method, and for a body that is too large."""
        if self.method not in methods:
            allowed = ", ".join(method.decode() for method in methods)
            raise Fault("MethodNotAllowed", f"The methods of this path are {allowed}.", status=405)
        if len(self.body) > limits.DOOR_BODY_BYTES_MAX:
            raise Fault(
                "RequestEntityTooLarge",
                f"A body may have {limits.DOOR_BODY_BYTES_MAX} bytes here.",
                status=413,
            )

    def parameters(self) -> Form:
        """Those of the query string, and of a body that is a form. Raises Fault."""
        is_posted = is_form(self.headers.get(b"content-type"))
        return parse_parameters(self._query, self.body if is_posted else b"")

    def number(self, name: str, default: int, lowest: int, highest: int) -> int:
        """A parameter that is a whole number. Raises Fault for one that is not, or out of range."""
        text = self.parameters().get(name)
        if text is None:
            return default
        value = int(text) if _NUMBER.fullmatch(text) else None
        if value is None or not lowest <= value <= highest:
            raise Fault(
                "InvalidParameterValue",
                f"{name} must be a whole number from {lowest} to {highest}, and is {text[:64]!r}.",
            )
        return value
