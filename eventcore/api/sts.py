"""STS over AWS Query: who one is, and temporary credentials for somebody else.

It is a stub, and tells no lies: nothing is enforced. Whoever asks gets the credentials of any role,
whether or not it exists and whatever its trust policy says, and they lead to the role's account.

- The caller is the root of the account that its access key names, since users do not exist here,
  or the session of the role that it assumed.
- Of web identities the token is read and not verified: no identity provider is asked.
- A session's policies, tags and MFA codes are taken and have no effect.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from typing import Any, Final

from eventcore.api import sts_requests as requests
from eventcore.api.constraints import Entries, Member, Members, Number, Rule, Text
from eventcore.api.operation import Call, Operation, Service
from eventcore.api.query_constraints import (
    ARN_CHARACTERS_MAX,
    ARN_CHARACTERS_MIN,
    STUB,
    TAG_KEYS,
    TAGS,
    Constraints,
    read_tags,
    validation_error,
)
from eventcore.api.sts_session import issue, session_of
from eventcore.codec import decode_json, encode_json
from eventcore.errors import NotFound
from eventcore.roles.policy_arn import ROLE_ID_PREFIX, made_up_id
from eventcore.wire import aws_query, aws_query_xml
from eventcore.wire.aws_query import Spelling
from eventcore.wire.aws_query_form import form_decoder
from eventcore.wire.credential import account_of
from eventcore.wire.fault import Fault

__all__ = [
    "CONSTRAINTS",
    "MISSING_OPERATIONS",
    "STS",
    "assume_role",
    "assume_role_with_web_identity",
    "get_access_key_info",
    "get_caller_identity",
    "get_session_token",
]

_SPELLING: Final = Spelling()

MISSING_OPERATIONS: Final = frozenset(
    (
        "AssumeRoleWithSAML",
        "AssumeRoot",
        "DecodeAuthorizationMessage",
        "GetDelegatedAccessToken",
        "GetFederationToken",
        "GetWebIdentityToken",
    )
)
_ROLE: Final = re.compile(
    r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/(?:[!-.0-~]+/)*([\w+=,.@-]{1,64})"
)
_ASSUMED_SECONDS_DEFAULT: Final = 3_600
_SESSION_SECONDS_DEFAULT: Final = 43_200
_ARN: Final = Text(
    ARN_CHARACTERS_MIN,
    ARN_CHARACTERS_MAX,
    r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+",
)
_DOCUMENT: Final = r"[\u0009\u000A\u000D\u0020-\u00FF]+"

_RULES: Final[dict[str, Rule | None]] = {
    "AccessKeyId": Text(16, 128, r"[\w]*"),
    "DurationSeconds": Number(900, 43_200),
    "ExternalId": Text(2, 1_224, r"[\w+=,.@:\/-]*"),
    "MinimumSessionTokenSize": Number(0, 4_096),
    "Policy": Text(1, None, _DOCUMENT),
    "PolicyArns": Entries(Members((Member("arn", "arn", _ARN),))),
    "ProvidedContexts": Entries(
        Members(
            (
                Member("provider_arn", "providerArn", _ARN),
                Member("context_assertion", "contextAssertion", Text(4, 2_048)),
            )
        ),
        1,
        5,
    ),
    "ProviderId": Text(4, 2_048),
    "RoleArn": _ARN,
    "RoleSessionName": Text(2, 64, r"[\w+=,.@-]*"),
    "SerialNumber": Text(9, 256, r"[\w+=/:,.@-]*"),
    "SourceIdentity": Text(2, 64, r"[\w+=,.@-]*"),
    "Tags": TAGS,
    "TokenCode": Text(6, 6, r"[\d]*"),
    "TransitiveTagKeys": TAG_KEYS,
    "WebIdentityToken": Text(4, 20_000),
}
_OF_ONE: Final[dict[tuple[type, str], Rule]] = {
    (requests.AssumeRoleWithWebIdentityRequest, "Policy"): Text(1, 2_048, _DOCUMENT),
    (requests.GetSessionTokenRequest, "DurationSeconds"): Number(900, 129_600),
}
_REQUIRED: Final[dict[type, str]] = {
    requests.AssumeRoleRequest: "RoleArn RoleSessionName",
    requests.AssumeRoleWithWebIdentityRequest: "RoleArn RoleSessionName WebIdentityToken",
    requests.GetAccessKeyInfoRequest: "AccessKeyId",
}
CONSTRAINTS: Final = Constraints(_RULES, _REQUIRED, _OF_ONE)


def get_caller_identity(call: Call, request: requests.GetCallerIdentityRequest) -> bytes:
    """Account, ARN and user id of the caller."""
    account = call.account
    session = session_of(call)
    arn, user_id = f"arn:aws:iam::{account}:root", account
    if session is not None:
        arn, user_id = session.arn, session.user_id
    return encode_json({"Arn": arn, "UserId": user_id, "Account": account})


def get_access_key_info(call: Call, request: requests.GetAccessKeyInfoRequest) -> bytes:
    """The account that an access key means here."""
    assert request.access_key_id is not None
    return encode_json({"Account": account_of(request.access_key_id)})


def get_session_token(call: Call, request: requests.GetSessionTokenRequest) -> bytes:
    """Temporary credentials of the caller. Raises Fault for one who has such already."""
    if session_of(call) is not None:
        raise Fault(
            "AccessDenied", "Cannot call GetSessionToken with session credentials", status=403
        )
    account = call.account
    seconds = request.duration_seconds or _SESSION_SECONDS_DEFAULT
    credentials = issue(call, account, f"arn:aws:iam::{account}:root", account, seconds)
    return encode_json({"Credentials": credentials})


def assume_role(call: Call, request: requests.AssumeRoleRequest) -> bytes:
    """Temporary credentials of a role's session."""
    assert request.role_arn is not None and request.role_session_name is not None
    read_tags(request.tags)
    answer = _assumed(
        call, request.role_arn, request.role_session_name, request.policy, request.duration_seconds
    )
    if request.source_identity is not None:
        answer["SourceIdentity"] = request.source_identity
    return encode_json(answer)


def assume_role_with_web_identity(
    call: Call, request: requests.AssumeRoleWithWebIdentityRequest
) -> bytes:
    """Temporary credentials of a role's session, for the holder of a web identity's token."""
    arn, name, token = request.role_arn, request.role_session_name, request.web_identity_token
    assert arn is not None and name is not None and token is not None
    claims = _claims(token)
    answer = _assumed(call, arn, name, request.policy, request.duration_seconds)
    shown = {
        "SubjectFromWebIdentityToken": claims.get("sub"),
        "Provider": request.provider_id or claims.get("iss"),
        "Audience": claims.get("aud"),
    }
    answer |= {member: value for member, value in shown.items() if isinstance(value, str)}
    return encode_json(answer)


def _assumed(
    call: Call, role_arn: str, session_name: str, policy: str | None, seconds: int | None
) -> dict[str, Any]:
    """The session of a role that may or may not exist."""
    found = _ROLE.fullmatch(role_arn)
    if found is None:
        raise validation_error(f"{role_arn} is invalid")
    partition, account, name = found.groups()
    _check_session_policy(policy)
    seconds = seconds or _ASSUMED_SECONDS_DEFAULT
    iam = call.engine.roles.of(account)
    try:
        role = iam.role(name)
    except NotFound:
        role_id = made_up_id(ROLE_ID_PREFIX, role_arn)
    else:
        role_id = role.id
        if seconds > role.session_s_max:
            raise validation_error(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            )
    arn = f"arn:{partition}:sts::{account}:assumed-role/{name}/{session_name}"
    user_id = f"{role_id}:{session_name}"
    return {
        "Credentials": issue(call, account, arn, user_id, seconds),
        "AssumedRoleUser": {"AssumedRoleId": user_id, "Arn": arn},
    }


def _check_session_policy(policy: str | None) -> None:
    if policy is None:
        return
    try:
        is_object = isinstance(decode_json(policy), dict)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        raise Fault("MalformedPolicyDocument", "This policy contains invalid Json")


def _claims(token: str) -> dict[str, Any]:
    """What a web identity's token claims. Raises Fault for what is no such token."""
    parts = token.split(".")
    claims = None
    if len(parts) == 3:
        try:
            claims = decode_json(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (ValueError, RecursionError, binascii.Error):
            claims = None
    if not isinstance(claims, dict):
        raise Fault("InvalidIdentityToken", "The ID Token provided is not a valid JWT.")
    return claims


def _write_answer(service: Service, action: str, answer: bytes, request_id: str) -> bytes:
    return aws_query_xml.write_result(
        action, answer, _SPELLING, namespace=service.namespace, request_id=request_id
    )


def _write_fault(service: Service, fault: Fault, request_id: str) -> tuple[bytes, bytes]:
    return b"", aws_query_xml.write_fault(fault, namespace=service.namespace, request_id=request_id)


def _operation(name: str, request_type: type[Any], handle: Any) -> Operation[Any]:
    return Operation(
        name, request_type, CONSTRAINTS.checked(handle), form_decoder(request_type, _SPELLING)
    )


STS: Final = Service(
    name="sts",
    target_prefix="",
    content_type=aws_query.XML,
    operations=[
        _operation("AssumeRole", requests.AssumeRoleRequest, assume_role),
        _operation(
            "AssumeRoleWithWebIdentity",
            requests.AssumeRoleWithWebIdentityRequest,
            assume_role_with_web_identity,
        ),
        _operation("GetAccessKeyInfo", requests.GetAccessKeyInfoRequest, get_access_key_info),
        _operation("GetCallerIdentity", requests.GetCallerIdentityRequest, get_caller_identity),
        _operation("GetSessionToken", requests.GetSessionTokenRequest, get_session_token),
    ],
    missing_operations=MISSING_OPERATIONS,
    errors={},
    namespace="https://sts.amazonaws.com/doc/2011-06-15/",
    write_fault=_write_fault,
    write_answer=_write_answer,
    version="2011-06-15",
)
STS.head = STUB + STS.head
