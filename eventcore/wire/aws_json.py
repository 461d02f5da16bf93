"""The AWS JSON protocols 1.0 and 1.1, sans-I/O: targets, content types, and how errors are written.

A request is a POST with `X-Amz-Target: <prefix>.<Operation>`, `Content-Type:
application/x-amz-json-1.x` and a JSON object as its body. An error is a JSON object with `__type`
and `message`, the code also as a header for services that are "query compatible" (botocore's
`awsQueryCompatible`).
"""

from __future__ import annotations

import re
from typing import Final

from eventcore.codec import encode_json
from eventcore.wire.fault import CORAL, Fault

__all__ = ["JSON_1_0", "JSON_1_1", "is_json", "serialization_fault", "write_fault"]

JSON_1_0: Final = b"application/x-amz-json-1.0"
JSON_1_1: Final = b"application/x-amz-json-1.1"

_CONTENT_TYPES: Final = frozenset((JSON_1_0, JSON_1_1))
_MISMATCH: Final = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_TOKENS: Final = {
    "str": "STRING_VALUE",
    "int": "NUMBER_VALUE",
    "float": "DECIMAL_VALUE",
    "bool": "BOOLEAN_VALUE",
    "object": "START_OBJECT",
    "array": "START_ARRAY",
}
_WANTED: Final = {"str": "a String", "int": "an Integer", "bool": "a Boolean", "float": "a Double"}


def is_json(content_type: bytes | None) -> bool:
    """Whether a body of this content type is AWS JSON; a charset beside it does not matter."""
    if content_type in _CONTENT_TYPES:
        return True
    if content_type is None:
        return False
    return content_type.partition(b";")[0].strip().lower() in _CONTENT_TYPES


def serialization_fault(error: Exception) -> Fault:
    """What AWS answers to a body that is no JSON, or has a member of a wrong type.

    `error` is the decoder's: msgspec's, UnicodeDecodeError, or RecursionError for absurd nesting.
    """
    message = str(error)
    mismatch = _MISMATCH.search(message)
    if mismatch is not None:
        wanted = _WANTED.get(mismatch[1].split(" | ")[0])
        given = _TOKENS.get(mismatch[2], mismatch[2])
        if given.startswith("START_"):
            kind = "structure or map" if mismatch[2] == "object" else "list"
            message = f"Start of {kind} found where not expected."
        elif wanted is not None:
            message = f"{given} can not be converted to {wanted}"
    return Fault(CORAL + "SerializationException", message)


def write_fault(fault: Fault, namespace: str, *, is_query_compatible: bool) -> tuple[bytes, bytes]:
    """(head lines, body) of an error; `namespace`, with its "#", goes before codes without one."""
    code = fault.code if "#" in fault.code else namespace + fault.code
    body = encode_json({"__type": code, "message": fault.message})
    if not is_query_compatible:
        return b"", body
    whose = "Sender" if fault.is_sender else "Receiver"
    return f"x-amzn-query-error: {fault.query_code};{whose}\r\n".encode("latin-1"), body
