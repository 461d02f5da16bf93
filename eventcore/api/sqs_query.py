"""Amazon SQS over AWS Query: SDKs from before the end of 2023, and URLs written by hand.

The operations, their request structs, handlers and errors are those of `eventcore.api.sqs`; here is
only what is different: the names of lists and maps, the paths, the versions.

    POST /                          Action=SendMessage&QueueUrl=...&MessageBody=...
    GET  /000000000000/orders?      Action=SendMessage&MessageBody=...

- A path `/<account>/<name>` is the queue, unless the parameter QueueUrl names another. CreateQueue
  and ListQueues are not valid there.
- The names are those of botocore's model while it was one of Query (until 1.31), kept for tests in
  `tests/wire/sqs_query_names.json`. The names of operations that are missing are here already.
- Each version of the API is answered with its own XML namespace, which some clients check. They
  have the same operations here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from eventcore.api.operation import Operation, Service
from eventcore.api.sqs import SQS
from eventcore.wire import aws_query, aws_query_xml
from eventcore.wire.aws_query import Form, ListSpelling, MapSpelling, Spelling, excerpt
from eventcore.wire.aws_query_form import form_decoder
from eventcore.wire.fault import Fault

__all__ = ["SQS_QUERY", "WITHOUT_RESULT", "spelling_of"]

VERSIONS: Final = ("2012-11-05", "2011-10-01", "2009-02-01", "2008-01-01")
"""The newest first: it is meant where none is named."""

WITHOUT_RESULT: Final = frozenset(
    (
        "AddPermission",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "DeleteQueue",
        "PurgeQueue",
        "RemovePermission",
        "SetQueueAttributes",
        "TagQueue",
        "UntagQueue",
    )
)
"""Operations that answer nothing: there is no element for a result."""

_MAPS: Final[Mapping[str, MapSpelling]] = {
    "Attributes": MapSpelling("Attribute", "Name", "Value", is_flat=True),
    "MessageAttributes": MapSpelling("MessageAttribute", "Name", "Value", is_flat=True),
    "MessageSystemAttributes": MapSpelling("MessageSystemAttribute", "Name", "Value", is_flat=True),
    "Tags": MapSpelling("Tag", "Key", "Value", is_flat=True),
    "tags": MapSpelling("Tag", "Key", "Value", is_flat=True),
}
_ELEMENTS: Final[Mapping[str, str]] = {
    "AWSAccountIds": "AWSAccountId",
    "Actions": "ActionName",
    "AttributeNames": "AttributeName",
    "BinaryListValues": "BinaryListValue",
    "Failed": "BatchResultErrorEntry",
    "MessageAttributeNames": "MessageAttributeName",
    "MessageSystemAttributeNames": "MessageSystemAttributeName",
    "Messages": "Message",
    "QueueUrls": "QueueUrl",
    "Results": "ListMessageMoveTasksResultEntry",
    "StringListValues": "StringListValue",
    "TagKeys": "TagKey",
    "queueUrls": "QueueUrl",
}
# These two are called after their operation: SendMessageBatchRequestEntry.
_ELEMENTS_BY_OPERATION: Final[Mapping[str, str]] = {
    "Entries": "RequestEntry",
    "Successful": "ResultEntry",
}

_QUEUE_PATH: Final = re.compile(rb"(?:https?://[^/]+)?(/[0-9]{12}/[^/]+)/?")
_NOT_ON_A_QUEUE: Final = frozenset(("CreateQueue", "ListQueues"))


def spelling_of(operation: str) -> Spelling:
    """How an operation's lists and maps are spelled, in the request and in the answer."""
    elements = dict(_ELEMENTS)
    elements.update({name: operation + end for name, end in _ELEMENTS_BY_OPERATION.items()})
    return Spelling(
        {name: ListSpelling(element, is_flat=True) for name, element in elements.items()}, _MAPS
    )


_SPELLINGS: Final = {name: spelling_of(name) for name in SQS.operations}


def _write_answer(service: Service, action: str, answer: bytes, request_id: str) -> bytes:
    return aws_query_xml.write_result(
        action,
        answer,
        _SPELLINGS[action],
        namespace=service.namespace,
        request_id=request_id,
        has_result=action not in WITHOUT_RESULT,
    )


def _write_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    return b"", aws_query_xml.write_fault(
        fault, namespace=service.namespace, request_id=request_id, has_detail=True
    )


def _admit(service: Service, path: bytes, form: Form) -> None:
    """Takes the queue from the path, and refuses what is not valid there."""
    version = form.get("Version", service.version)
    if version not in VERSIONS:
        raise Fault(
            "NoSuchVersion",
            f"The requested version ({excerpt(version)}) of service AmazonSQS does not exist.",
        )
    action = form["Action"]
    queue = _QUEUE_PATH.fullmatch(path)
    is_known = action in service.operations or action in service.missing_operations
    if not is_known or (queue is not None and action in _NOT_ON_A_QUEUE):
        raise Fault(
            "InvalidAction", f"The action {excerpt(action)} is not valid for this endpoint."
        )
    if queue is not None and not form.get("QueueUrl"):
        form["QueueUrl"] = unquote_to_bytes(queue[1]).decode("utf-8", "replace")


def _operations() -> list[Operation[Any]]:
    """Those of AWS JSON, with readers of parameters."""
    return [
        Operation(
            operation.name,
            operation.request_type,
            operation.handle,
            form_decoder(operation.request_type, _SPELLINGS[operation.name]),
        )
        for operation in SQS.operations.values()
    ]


def _make(version: str, operations: list[Operation[Any]]) -> Service:
    return Service(
        name=SQS.name,
        target_prefix="",
        content_type=aws_query.XML,
        operations=operations,
        errors=SQS.errors,
        missing_operations=SQS.missing_operations,
        namespace=f"http://queue.amazonaws.com/doc/{version}/",
        write_fault=_write_fault,
        write_answer=_write_answer,
        version=version,
        admit=_admit,
    )


_OPERATIONS: Final = _operations()
SQS_QUERY: Final = tuple(_make(version, _OPERATIONS) for version in VERSIONS)
"""SQS as each version of its API, the newest first."""
