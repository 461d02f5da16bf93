"""What is kept of IAM in an account: roles and customer managed policies.

Row families, in the order in which recovery brings them:

    0  the account: number 0
    1  managed policies
    2  roles

Each row holds all of its policy or role. Times are epoch ms. Fields are only ever added, at the end
and with a default.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.codec import record_decoder

__all__ = [
    "ACCOUNT_FAMILY",
    "POLICY_FAMILY",
    "ROLE_FAMILY",
    "SESSION_S_MAX_DEFAULT",
    "AccountRecord",
    "PolicyRecord",
    "PolicyVersion",
    "RoleRecord",
    "decode_account",
    "decode_policy",
    "decode_role",
    "trust_of_service",
]

ACCOUNT_FAMILY: Final = 0
POLICY_FAMILY: Final = 1
ROLE_FAMILY: Final = 2
SESSION_S_MAX_DEFAULT: Final = 3_600


class AccountRecord(msgspec.Struct, frozen=True, array_like=True):
    """The row of the account: when its first role or policy was made."""

    created_ms: int


class PolicyVersion(msgspec.Struct, frozen=True, array_like=True):
    """One version of a managed policy; its id is "v" and the number."""

    number: int
    document: str
    created_ms: int

    @property
    def id(self) -> str:
        """The id on the wire."""
        return f"v{self.number}"


class PolicyRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A customer managed policy. `default` is the number of the version in force. Numbers of
    versions are given once and never again.
    """

    id: str
    name: str
    path: str
    created_ms: int
    modified_ms: int
    versions: tuple[PolicyVersion, ...]
    default: int = 1
    next_version: int = 2
    description: str | None = None
    tags: dict[str, str] = {}


class RoleRecord(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A role. `inline` are its own policies by name, `attached` the ARNs of managed ones, both in
    the order in which they came. `service` is AWS's name of the service whose role it is, empty for
    one that the account's owner made. `session_s_max` is in seconds.
    """

    id: str
    name: str
    path: str
    trust_policy: str
    created_ms: int
    description: str | None = None
    session_s_max: int = SESSION_S_MAX_DEFAULT
    boundary_arn: str | None = None
    tags: dict[str, str] = {}
    inline: dict[str, str] = {}
    attached: tuple[str, ...] = ()
    service: str = ""


decode_account: Final = record_decoder(AccountRecord)
decode_policy: Final = record_decoder(PolicyRecord)
decode_role: Final = record_decoder(RoleRecord)


def trust_of_service(service: str) -> str:
    """The trust policy of a service-linked role: the service may assume it."""
    return (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"'
        f'{service}"}},"Action":"sts:AssumeRole"}}]}}'
    )
