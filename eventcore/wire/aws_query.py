"""The AWS Query protocol, sans-I/O: a form as the request, XML as the answer.

A request is a POST of `application/x-www-form-urlencoded` with `Action=<Operation>&Version=...` and
the parameters, or a GET with them in the query string. An answer is `<{Action}Response>` with
`<{Action}Result>` and `<ResponseMetadata>`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from eventcore.wire.fault import Fault

__all__ = ["FORM", "XML", "is_form", "parse_form", "write_fault", "write_result"]

FORM: Final = b"application/x-www-form-urlencoded"
XML: Final = b"text/xml"
PARAMETERS_MAX: Final = 2_000


def is_form(content_type: bytes | None) -> bool:
    """Whether a body of this content type is a form."""
    return content_type is not None and content_type.partition(b";")[0].strip().lower() == FORM


def parse_form(body: bytes) -> dict[str, str]:
    """The parameters of a form, the last of a repeated one. Raises Fault for what is no form."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=PARAMETERS_MAX,
        )
    except ValueError as error:
        raise Fault("MalformedQueryString", "The query string contains a syntax error.") from error
    return dict(pairs)


def write_result(
    action: str, members: Mapping[str, str], *, namespace: str, request_id: str
) -> bytes:
    """The XML of a flat result."""
    result = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in members.items())
    return (
        f'<{action}Response xmlns="{namespace}"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
        f"</{action}Response>"
    ).encode()


def write_fault(fault: Fault, *, namespace: str, request_id: str) -> bytes:
    """The XML of an error."""
    whose = "Sender" if fault.is_sender else "Receiver"
    return (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{whose}</Type>'
        f"<Code>{escape(fault.query_code)}</Code><Message>{escape(fault.message)}</Message></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()
