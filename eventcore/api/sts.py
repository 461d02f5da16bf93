"""STS, as far as SDKs and the cli ask it who they are: GetCallerIdentity, over the Query protocol.

The caller is the root of the account that its access key names, since users and roles do not exist
here. The same user id is the SenderId of the messages it sends.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.api.operation import Call, Operation, Service
from eventcore.codec import encode_json
from eventcore.wire import aws_query, aws_query_xml
from eventcore.wire.aws_query import Spelling
from eventcore.wire.aws_query_form import form_decoder
from eventcore.wire.fault import Fault

__all__ = ["STS", "GetCallerIdentityRequest", "get_caller_identity"]

_SPELLING: Final = Spelling()

MISSING_OPERATIONS: Final = frozenset(
    (
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "AssumeRoot",
        "DecodeAuthorizationMessage",
        "GetAccessKeyInfo",
        "GetDelegatedAccessToken",
        "GetFederationToken",
        "GetSessionToken",
        "GetWebIdentityToken",
    )
)


class GetCallerIdentityRequest(msgspec.Struct, frozen=True):
    """No members: the credential says it all."""


def get_caller_identity(call: Call, request: GetCallerIdentityRequest) -> bytes:
    """Account, ARN and user id of the caller."""
    account = call.account
    return encode_json(
        {"Arn": f"arn:aws:iam::{account}:root", "UserId": account, "Account": account}
    )


def _write_answer(service: Service, action: str, answer: bytes, request_id: str) -> bytes:
    return aws_query_xml.write_result(
        action, answer, _SPELLING, namespace=service.namespace, request_id=request_id
    )


def _write_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    return b"", aws_query_xml.write_fault(fault, namespace=service.namespace, request_id=request_id)


STS: Final = Service(
    name="sts",
    target_prefix="",
    content_type=aws_query.XML,
    operations=[
        Operation(
            "GetCallerIdentity",
            GetCallerIdentityRequest,
            get_caller_identity,
            form_decoder(GetCallerIdentityRequest, _SPELLING),
        )
    ],
    missing_operations=MISSING_OPERATIONS,
    errors={},
    namespace="https://sts.amazonaws.com/doc/2011-06-15/",
    write_fault=_write_fault,
    write_answer=_write_answer,
    version="2011-06-15",
)
