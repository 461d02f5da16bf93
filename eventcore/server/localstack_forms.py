"""The three forms in which LocalStack's door to messages answers.

    AWS JSON      {"Messages": [...]}                                  to a request in AWS JSON
    XML           <ReceiveMessageResponse>...                          by default
    JSON of XML   {"ReceiveMessageResponse": {...}}                    to Accept: application/json

The last has the XML's elements as members: `Message` is a list of one or more messages, attributes
are lists of `Name` and `Value`; a result without messages is null.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol, final

from eventcore.api.sqs import SQS
from eventcore.api.sqs_query import SQS_QUERY
from eventcore.codec import encode_json
from eventcore.server.looks import Answer
from eventcore.wire.fault import Fault
from eventcore.wire.http import JSON_HEAD

__all__ = ["JsonForm", "JsonOfXmlForm", "Message", "MessagesForm", "XmlForm"]

ACTION: Final = "ReceiveMessage"
_RESULT_START: Final = b"<ReceiveMessageResult>"
_RESULT_END: Final = b"</ReceiveMessageResult>"
_NO_RESULT: Final = b"<ReceiveMessageResult/>"
_QUERY: Final = SQS_QUERY[0]

Message = dict[str, Any]
"""A message in the members of AWS JSON."""


class MessagesForm(Protocol):
    """Writes messages, slice by slice, and the answer around them."""

    @property
    def head(self) -> bytes:
        """The header lines of an answer."""
        ...

    def part(self, messages: Sequence[Message]) -> bytes:
        """One or more messages, as a part of the document."""
        ...

    def document(self, parts: Sequence[bytes]) -> bytes:
        """The body made of all parts; there may be none."""
        ...

    def fault(self, fault: Fault) -> Answer:
        """An error."""
        ...


@final
class JsonForm:
    """AWS JSON."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self.head = SQS.head + request_id.encode() + b"\r\n"

    def part(self, messages: Sequence[Message]) -> bytes:
        """See MessagesForm."""
        return encode_json(messages)[1:-1]

    def document(self, parts: Sequence[bytes]) -> bytes:
        """See MessagesForm."""
        return b'{"Messages":[' + b",".join(parts) + b"]}" if parts else b"{}"

    def fault(self, fault: Fault) -> Answer:
        """See MessagesForm."""
        lines, body = SQS.write_fault(SQS, fault, self._request_id)
        return Answer(fault.status, self.head + lines, body)


@final
class XmlForm:
    """Query's XML."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self.head = _QUERY.head + request_id.encode() + b"\r\n"

    def part(self, messages: Sequence[Message]) -> bytes:
        """See MessagesForm."""
        # No text has these tags: there, markup is escaped.
        document = self._write(encode_json({"Messages": messages}))
        return document.partition(_RESULT_START)[2].rpartition(_RESULT_END)[0]

    def document(self, parts: Sequence[bytes]) -> bytes:
        """See MessagesForm."""
        empty = self._write(b"{}")
        if not parts:
            return empty
        before, _, after = empty.partition(_NO_RESULT)
        return b"".join((before, _RESULT_START, *parts, _RESULT_END, after))

    def fault(self, fault: Fault) -> Answer:
        """See MessagesForm."""
        lines, body = _QUERY.write_fault(_QUERY, fault, self._request_id)
        return Answer(fault.status, self.head + lines, body)

    def _write(self, answer: bytes) -> bytes:
        assert _QUERY.write_answer is not None, "Query's answers are XML"
        return _QUERY.write_answer(_QUERY, ACTION, answer, self._request_id)


@final
class JsonOfXmlForm:
    """The XML's elements as JSON."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self.head = JSON_HEAD + b"x-amzn-requestid: " + request_id.encode() + b"\r\n"

    def part(self, messages: Sequence[Message]) -> bytes:
        """See MessagesForm."""
        return encode_json([_with_pairs(message) for message in messages])[1:-1]

    def document(self, parts: Sequence[bytes]) -> bytes:
        """See MessagesForm."""
        result = b'{"Message":[' + b",".join(parts) + b"]}" if parts else b"null"
        metadata = encode_json({"RequestId": self._request_id})
        return b'{"ReceiveMessageResponse":{"ReceiveMessageResult":%b,"ResponseMetadata":%b}}' % (
            result,
            metadata,
        )

    def fault(self, fault: Fault) -> Answer:
        """See MessagesForm."""
        error = {
            "Type": "Sender" if fault.is_sender else "Receiver",
            "Code": fault.query_code,
            "Message": fault.message,
            "Detail": None,
        }
        content = {"ErrorResponse": {"Error": error, "RequestId": self._request_id}}
        return Answer(fault.status, self.head, encode_json(content))


def _with_pairs(message: Message) -> Message:
    """Its maps as lists of names and values, in the elements' names and order."""
    pairs = {
        name: [{"Name": key, "Value": value} for key, value in message[member].items()]
        for name, member in (("Attribute", "Attributes"), ("MessageAttribute", "MessageAttributes"))
        if member in message
    }
    kept = {name: value for name, value in message.items() if not isinstance(value, dict)}
    return {**kept, **pairs}
