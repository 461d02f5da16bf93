"""How IAM shows roles and policies, and pages of lists.

Rules of this file:

- Policy documents are percent-encoded (RFC 3986), as AWS sends them; SDKs undo it.
- Lists are in the order of names. A marker names the last entry of the page before, so nothing is
  kept of a list between two requests.
"""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from operator import itemgetter
from typing import Any, Final, TypeVar
from urllib.parse import quote

from eventcore.api.query_constraints import validation_error
from eventcore.codec import encode_json
from eventcore.roles.iam_account import IamAccount
from eventcore.roles.policy_arn import POLICY_ID_PREFIX, made_up_id, read_policy_arn
from eventcore.roles.records import PolicyRecord, PolicyVersion, RoleRecord

__all__ = [
    "NOTHING",
    "shown_aws_policy",
    "shown_document",
    "shown_policy",
    "shown_role",
    "shown_tags",
    "shown_time",
    "shown_version",
    "write_page",
]

T = TypeVar("T")
NOTHING: Final = b"{}"
PAGE_DEFAULT: Final = 100
RANK_BYTES: Final = 200
DIGEST_BYTES: Final = 16


def shown_time(time_ms: int) -> str:
    """A time as Query has it, in seconds."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_document(text: str) -> str:
    """A policy document on its way out."""
    return quote(text, safe="")


def shown_tags(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags, by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def shown_role(iam: IamAccount, role: RoleRecord, *, is_whole: bool = True) -> dict[str, Any]:
    """A role; lists show it without its tags, boundary and last use."""
    shown: dict[str, Any] = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": iam.role_arn(role),
        "CreateDate": shown_time(role.created_ms),
        "AssumeRolePolicyDocument": shown_document(role.trust_policy),
    }
    if role.description is not None:
        shown["Description"] = role.description
    shown["MaxSessionDuration"] = role.session_s_max
    if not is_whole:
        return shown
    if role.boundary_arn is not None:
        shown["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "PermissionsBoundaryPolicy",
            "PermissionsBoundaryArn": role.boundary_arn,
        }
    if role.tags:
        shown["Tags"] = shown_tags(role.tags)
    shown["RoleLastUsed"] = {}
    return shown


def shown_policy(iam: IamAccount, policy: PolicyRecord, *, is_whole: bool = True) -> dict[str, Any]:
    """A customer managed policy; lists show it without its description and tags."""
    arn = iam.policy_arn(policy)
    shown: dict[str, Any] = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default}",
        "AttachmentCount": iam.attachments(arn),
        "PermissionsBoundaryUsageCount": iam.boundaries(arn),
        "IsAttachable": True,
        "CreateDate": shown_time(policy.created_ms),
        "UpdateDate": shown_time(policy.modified_ms),
    }
    if is_whole:
        if policy.description is not None:
            shown["Description"] = policy.description
        shown["Tags"] = shown_tags(policy.tags)
    return shown


def shown_aws_policy(iam: IamAccount, arn: str) -> dict[str, Any]:
    """One of AWS's own policies, as far as it is known: its dates and its document are not."""
    _, path, name = read_policy_arn(arn)
    return {
        "PolicyName": name,
        "PolicyId": made_up_id(POLICY_ID_PREFIX, arn),
        "Arn": arn,
        "Path": path,
        "DefaultVersionId": "v1",
        "AttachmentCount": iam.attachments(arn),
        "PermissionsBoundaryUsageCount": iam.boundaries(arn),
        "IsAttachable": True,
    }


def shown_version(
    policy: PolicyRecord, version: PolicyVersion, *, has_document: bool
) -> dict[str, Any]:
    """A version of a managed policy."""
    shown: dict[str, Any] = {"Document": shown_document(version.document)} if has_document else {}
    return shown | {
        "VersionId": version.id,
        "IsDefaultVersion": version.number == policy.default,
        "CreateDate": shown_time(version.created_ms),
    }


def write_page(
    member: str,
    entries: Sequence[T],
    key: Callable[[T], str],
    show: Callable[[T], Any],
    marker: str | None,
    items_max: int | None,
) -> bytes:
    """The answer with one page of a list. `key` is what the list is sorted by here. Raises Fault
    for a marker that is none of ours.
    """
    after = b"" if marker is None else _read_marker(marker)
    ranked = sorted(((_rank(key(entry)), entry) for entry in entries), key=itemgetter(0))
    rest = [(rank, entry) for rank, entry in ranked if rank > after]
    page = rest[: items_max or PAGE_DEFAULT]
    is_cut = len(page) < len(rest)
    answer: dict[str, Any] = {member: [show(entry) for _, entry in page], "IsTruncated": is_cut}
    if is_cut:
        answer["Marker"] = urlsafe_b64encode(page[-1][0]).decode("ascii")
    return encode_json(answer)


def _rank(key: str) -> bytes:
    """The place of an entry in its list, short enough for a marker, of which AWS takes 320
    characters.
    """
    raw = key.encode()
    if len(raw) <= RANK_BYTES:
        return raw
    return raw[:RANK_BYTES] + blake2b(raw, digest_size=DIGEST_BYTES).digest()


def _read_marker(marker: str) -> bytes:
    try:
        return b64decode(marker.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError as error:
        raise validation_error("Invalid Marker.") from error
