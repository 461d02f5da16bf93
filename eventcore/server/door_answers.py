"""Answers of side doors in JSON, and errors in the same form as the AWS JSON API's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from eventcore.api.operation import ErrorMap
from eventcore.codec import encode_json
from eventcore.errors import InvalidParameter, NotFound, RequestError
from eventcore.server.looks import Answer
from eventcore.wire.fault import Fault
from eventcore.wire.http import JSON_HEAD

__all__ = ["DOOR_ERRORS", "json_answer", "json_fault_writer", "spaced_json_answer"]


def json_answer(content: Any) -> Answer:
    """200 with compact JSON."""
    return Answer(200, JSON_HEAD, encode_json(content))


def spaced_json_answer(content: Any, status: int = 200) -> Answer:
    """JSON with a space behind each colon and comma, which scripts that grep for texts rely on."""
    return Answer(status, JSON_HEAD, msgspec.json.format(encode_json(content), indent=0) + b"\n")


def json_fault_writer(methods: tuple[bytes, ...]) -> Callable[[Fault], Answer]:
    """Writes faults of a path with these methods."""

    def write(fault: Fault) -> Answer:
        head = JSON_HEAD
        if fault.status == 405:
            head += b"allow: " + b", ".join(methods) + b"\r\n"
        body = encode_json({"__type": fault.bare_code, "message": fault.message})
        return Answer(fault.status, head, body)

    return write


def _not_found(error: NotFound) -> Fault:
    if error.kind == "queue":
        return Fault("QueueDoesNotExist", f"The queue {error.name!r} does not exist.", status=404)
    if error.kind in ("function", "mapping"):
        reason = f"The {error.kind} {error.name!r} does not exist."
        return Fault("ResourceNotFoundException", reason, status=404)
    return Fault("NotFound", str(error), status=404)


def _invalid(error: RequestError) -> Fault:
    return Fault("InvalidParameterValue", str(error))


DOOR_ERRORS: Final[ErrorMap] = {
    NotFound: _not_found,
    InvalidParameter: _invalid,
    RequestError: _invalid,
}
"""The error map of our own door."""
