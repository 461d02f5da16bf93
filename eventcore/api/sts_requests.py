"""Request structs of the STS operations: members and types as in botocore's model of 2011-06-15.

Every member is optional here; the constraints of `eventcore.api.sts` say what is missing.
`tests/wire/test_models_iam.py` compares these structs with the model.
"""

from __future__ import annotations

import msgspec

from eventcore.api.iam_requests import TagShape

__all__ = [
    "AssumeRoleRequest",
    "AssumeRoleWithWebIdentityRequest",
    "GetAccessKeyInfoRequest",
    "GetCallerIdentityRequest",
    "GetSessionTokenRequest",
    "PolicyDescriptor",
    "ProvidedContext",
]


class _Shape(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """Members are snake case here and Pascal case on the wire."""


class GetCallerIdentityRequest(_Shape, frozen=True):
    """No members: the credential says it all."""


class GetAccessKeyInfoRequest(_Shape, frozen=True):
    """GetAccessKeyInfo."""

    access_key_id: str | None = None


class GetSessionTokenRequest(_Shape, frozen=True):
    """GetSessionToken."""

    duration_seconds: int | None = None
    serial_number: str | None = None
    token_code: str | None = None
    minimum_session_token_size: int | None = None


class PolicyDescriptor(msgspec.Struct, frozen=True):
    """Shape PolicyDescriptorType."""

    arn: str | None = None


class ProvidedContext(_Shape, frozen=True):
    """Shape ProvidedContext."""

    provider_arn: str | None = None
    context_assertion: str | None = None


class AssumeRoleRequest(_Shape, frozen=True):
    """AssumeRole."""

    role_arn: str | None = None
    role_session_name: str | None = None
    policy_arns: list[PolicyDescriptor] | None = None
    policy: str | None = None
    duration_seconds: int | None = None
    tags: list[TagShape] | None = None
    transitive_tag_keys: list[str] | None = None
    external_id: str | None = None
    serial_number: str | None = None
    token_code: str | None = None
    source_identity: str | None = None
    provided_contexts: list[ProvidedContext] | None = None
    minimum_session_token_size: int | None = None


class AssumeRoleWithWebIdentityRequest(_Shape, frozen=True):
    """AssumeRoleWithWebIdentity."""

    role_arn: str | None = None
    role_session_name: str | None = None
    web_identity_token: str | None = None
    provider_id: str | None = None
    policy_arns: list[PolicyDescriptor] | None = None
    policy: str | None = None
    duration_seconds: int | None = None
    minimum_session_token_size: int | None = None
