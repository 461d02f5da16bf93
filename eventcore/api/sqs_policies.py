"""A queue's access policy: what AWS takes as one. It is kept and given back, and not evaluated.

A policy is a JSON object of `Version`, `Id` and `Statement`; a statement has an `Effect`, a
`Principal` or `NotPrincipal`, an `Action` or `NotAction`, a `Resource` or `NotResource`, and may
have a `Sid` and a `Condition`. Anything else is refused, as AWS does. What is within these forms
and beyond a quota is OverLimit.
"""

from __future__ import annotations

from typing import Any, Final

from eventcore import limits
from eventcore.api.sqs_faults import invalid_attribute_value, over_limit
from eventcore.codec import decode_json

__all__ = ["check_policy", "check_policy_quotas", "read_json_map", "read_policy", "statements_of"]

POLICY: Final = "Policy"
_VERSIONS: Final = ("2008-10-17", "2012-10-17")
_POLICY_MEMBERS: Final = frozenset(("Version", "Id", "Statement"))
_CHOICES: Final = (
    ("Principal", "NotPrincipal"),
    ("Action", "NotAction"),
    ("Resource", "NotResource"),
)
_STATEMENT_MEMBERS: Final = frozenset(
    ("Sid", "Effect", "Condition", *(member for pair in _CHOICES for member in pair))
)
_PRINCIPALS: Final = frozenset(("AWS", "Service", "Federated", "CanonicalUser"))
_ACTION_PREFIX: Final = "sqs:"


def read_json_map(text: str) -> dict[str, Any] | None:
    """The JSON object of a text; None when it is none."""
    try:
        value = decode_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def check_policy(text: str) -> None:
    """Raises Fault InvalidAttributeValue for what is no policy, OverLimit for what is too much."""
    if len(text.encode()) > limits.POLICY_BYTES_MAX:
        raise invalid_attribute_value(POLICY)
    policy = read_policy(text)
    if policy is None:
        raise invalid_attribute_value(POLICY)
    check_policy_quotas(policy)


def read_policy(text: str) -> dict[str, Any] | None:
    """The policy of a text, whatever its size; None when it is none."""
    policy = read_json_map(text)
    return policy if policy is not None and _is_policy(policy) else None


def check_policy_quotas(policy: dict[str, Any]) -> None:
    """Raises Fault OverLimit for a policy, right in its form, that has more of anything than AWS
    allows.
    """
    statements = statements_of(policy)
    if len(statements) > limits.POLICY_STATEMENTS_MAX:
        raise over_limit(
            f"{len(statements)} statements were found in the submitted policy, max allowed is "
            f"{limits.POLICY_STATEMENTS_MAX}"
        )
    for statement in statements:
        actions = len(_texts(statement.get("Action", statement.get("NotAction"))))
        if actions > limits.PERMISSION_ACTIONS_MAX:
            raise over_limit(
                f"{actions} Actions were found, maximum allowed is {limits.PERMISSION_ACTIONS_MAX}."
            )
    principals = sum(_count_principals(statement) for statement in statements)
    if principals > limits.POLICY_PRINCIPALS_MAX:
        raise over_limit(
            f"{principals} Principals were found, maximum allowed is "
            f"{limits.POLICY_PRINCIPALS_MAX}."
        )
    conditions = sum(_count_conditions(statement) for statement in statements)
    if conditions > limits.POLICY_CONDITIONS_MAX:
        raise over_limit(
            f"{conditions} Conditions were found, maximum allowed is "
            f"{limits.POLICY_CONDITIONS_MAX}."
        )


def statements_of(policy: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy; one alone may stand without a list."""
    statements = policy["Statement"]
    return [statements] if isinstance(statements, dict) else statements


def _is_policy(policy: dict[str, Any]) -> bool:
    if not policy.keys() <= _POLICY_MEMBERS or policy.get("Version", _VERSIONS[0]) not in _VERSIONS:
        return False
    if not isinstance(policy.get("Id", ""), str):
        return False
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        return _is_statement(statements)
    return isinstance(statements, list) and bool(statements) and all(map(_is_statement, statements))


def _is_statement(statement: object) -> bool:
    if not isinstance(statement, dict) or not statement.keys() <= _STATEMENT_MEMBERS:
        return False
    if statement.get("Effect") not in ("Allow", "Deny"):
        return False
    if not isinstance(statement.get("Sid", ""), str):
        return False
    if any((one in statement) == (other in statement) for one, other in _CHOICES):
        return False
    actions = statement.get("Action", statement.get("NotAction"))
    return (
        _is_principal(statement.get("Principal", statement.get("NotPrincipal")))
        and _is_texts(actions)
        and all(action == "*" or _is_ours(action) for action in _texts(actions))
        and _is_texts(statement.get("Resource", statement.get("NotResource")))
        and _is_condition(statement.get("Condition", {}))
    )


def _is_ours(action: str) -> bool:
    return action.lower().startswith(_ACTION_PREFIX) and len(action) > len(_ACTION_PREFIX)


def _is_principal(principal: object) -> bool:
    if principal == "*":
        return True
    return (
        isinstance(principal, dict)
        and bool(principal)
        and principal.keys() <= _PRINCIPALS
        and all(map(_is_texts, principal.values()))
    )


def _is_condition(condition: object) -> bool:
    """Operator -> key -> value or values."""
    return isinstance(condition, dict) and all(
        isinstance(keys, dict) and all(_is_condition_value(value) for value in keys.values())
        for keys in condition.values()
    )


def _is_condition_value(value: object) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(item, str | int | float | bool) for item in values)


def _is_texts(value: object) -> bool:
    texts = value if isinstance(value, list) else [value]
    return bool(texts) and all(isinstance(text, str) and text for text in texts)


def _texts(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _count_principals(statement: dict[str, Any]) -> int:
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    if not isinstance(principal, dict):
        return 1
    return sum(len(_texts(names)) for names in principal.values())


def _count_conditions(statement: dict[str, Any]) -> int:
    return sum(len(keys) for keys in statement.get("Condition", {}).values())
