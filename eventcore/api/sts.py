"""STS, as far as SDKs and the cli ask it who they are: GetCallerIdentity, over the Query protocol.

The caller is the root of the account that its access key names, since users and roles do not exist
here. The same user id is the SenderId of the messages it sends.
"""

from __future__ import annotations

from typing import Final

from eventcore.api.operation import Call, Operation, Service
from eventcore.wire import aws_query
from eventcore.wire.fault import Fault

__all__ = ["STS", "STS_VERSION", "get_caller_identity"]

STS_VERSION: Final = "2011-06-15"
_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"

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


def get_caller_identity(call: Call, form: dict[str, str]) -> bytes:
    """Account, ARN and user id of the caller."""
    account = call.account
    members = {
        "Arn": f"arn:aws:iam::{account}:root",
        "UserId": account,
        "Account": account,
    }
    return aws_query.write_result(
        "GetCallerIdentity",
        members,
        namespace=_NAMESPACE,
        request_id=call.request_id.decode("ascii"),
    )


def _write_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    return b"", aws_query.write_fault(fault, namespace=_NAMESPACE, request_id=request_id)


STS: Final = Service(
    name="sts",
    target_prefix="",
    content_type=aws_query.XML,
    operations=[Operation("GetCallerIdentity", dict, get_caller_identity, aws_query.parse_form)],
    missing_operations=MISSING_OPERATIONS,
    errors={},
    write_fault=_write_fault,
)
