"""The ARNs of roles and managed policies.

    arn:aws:iam::<account>:role/<path><name>
    arn:aws:iam::<account>:policy/<path><name>     a policy of the account
    arn:aws:iam::aws:policy/<path><name>           one of AWS's own

AWS's own policies are known by name only: what they say is AWS's, and is not kept here.
"""

from __future__ import annotations

import re
from base64 import b32encode
from hashlib import blake2b
from typing import Final

from eventcore.errors import InvalidParameter

__all__ = [
    "AWS",
    "POLICY_ID_PREFIX",
    "ROLE_ID_PREFIX",
    "made_up_id",
    "policy_arn",
    "read_policy_arn",
    "role_arn",
    "unique_name",
]

AWS: Final = "aws"
"""Whose AWS's own policies are, where an ARN has an account."""
ROLE_ID_PREFIX: Final = "AROA"
POLICY_ID_PREFIX: Final = "ANPA"
_ID_CHARACTERS: Final = 17
_POLICY: Final = re.compile(
    r"arn:aws:iam::([0-9]{12}|aws):policy(/(?:[!-.0-~]+/)*)([\w+=,.@-]{1,128})"
)


def role_arn(account: str, path: str, name: str) -> str:
    """The ARN of a role. `path` begins and ends with a slash."""
    return f"arn:aws:iam::{account}:role{path}{name}"


def policy_arn(account: str, path: str, name: str) -> str:
    """The ARN of a managed policy. `path` begins and ends with a slash."""
    return f"arn:aws:iam::{account}:policy{path}{name}"


def read_policy_arn(arn: str) -> tuple[str, str, str]:
    """Account (`AWS` for one of AWS's own), path and name of a managed policy. Raises
    InvalidParameter("policy_arn").
    """
    found = _POLICY.fullmatch(arn)
    if found is None:
        raise InvalidParameter("policy_arn", f"ARN {arn} is not valid.", arn)
    account, path, name = found.groups()
    return account, path, name


def unique_name(prefix: str, random: bytes) -> str:
    """The unique id of a role or policy, made of 16 random bytes."""
    return prefix + b32encode(random).decode("ascii")[:_ID_CHARACTERS]


def made_up_id(prefix: str, arn: str) -> str:
    """A unique id for what is known by its ARN only; the same at each call."""
    return unique_name(prefix, blake2b(arn.encode(), digest_size=16).digest())
