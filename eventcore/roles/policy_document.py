"""Policy documents: whether a text is one, as far as IAM looks when it takes it.

Rules of this file:

- A document is a JSON object with one or more statements. Of a statement the members are looked at,
  and not what they say: whether an action exists is nobody's business here.
- A trust policy says who may assume a role, so its statements have a principal and no resource. Any
  other policy belongs to an identity already, so it is the other way round.
- Refusals are InvalidParameter("policy_document") with AWS's text as the reason.
- White space does not count to a document's size.
"""

from __future__ import annotations

import re
from typing import Any, Final

from eventcore.codec import decode_json
from eventcore.errors import InvalidParameter

__all__ = ["check_identity_policy", "check_trust_policy", "counted_characters"]

_VERSIONS: Final = ("2012-10-17", "2008-10-17")
_EFFECTS: Final = ("Allow", "Deny")
_WHITE_SPACE: Final = re.compile(r"\s+")
_SYNTAX: Final = "Syntax errors in policy."


def check_identity_policy(text: str) -> None:
    """Raises InvalidParameter for what is no policy of an identity, inline or managed."""
    for statement in _statements(text):
        if "Principal" in statement or "NotPrincipal" in statement:
            raise _refusal("Policy document should not specify a principal.")
        _check_actions(statement)
        if not _has(statement, "Resource") and not _has(statement, "NotResource"):
            raise _refusal("Policy statement must contain resources.")


def check_trust_policy(text: str) -> None:
    """Raises InvalidParameter for what is no trust policy of a role."""
    for statement in _statements(text):
        for name in ("Resource", "NotResource"):
            if name in statement:
                raise _refusal(f"Has prohibited field {name}")
        if not _has(statement, "Principal") and not _has(statement, "NotPrincipal"):
            raise _refusal("Missing required field Principal")
        _check_actions(statement)


def counted_characters(text: str) -> int:
    """The size of a document as IAM counts it."""
    return len(_WHITE_SPACE.sub("", text))


def _statements(text: str) -> list[dict[str, Any]]:
    try:
        document = decode_json(text)
    except (ValueError, RecursionError) as error:
        raise _refusal("This policy contains invalid Json") from error
    if not isinstance(document, dict):
        raise _refusal(_SYNTAX)
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS:
        raise _refusal("The policy must contain a valid version string")
    statements = document.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise _refusal(_SYNTAX)
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in _EFFECTS:
            raise _refusal(_SYNTAX)
    return statements


def _check_actions(statement: dict[str, Any]) -> None:
    if not _has(statement, "Action") and not _has(statement, "NotAction"):
        raise _refusal("Policy statement must contain actions.")


def _has(statement: dict[str, Any], name: str) -> bool:
    return bool(statement.get(name))


def _refusal(reason: str) -> InvalidParameter:
    return InvalidParameter("policy_document", reason)
