"""What IAM takes for a policy document, and AWS's text for what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eventcore.errors import InvalidParameter
from eventcore.roles.policy_document import (
    check_identity_policy,
    check_trust_policy,
    counted_characters,
)

TRUST = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:*"}
IDENTITY = {"Effect": "Deny", "Action": ["sqs:*"], "Resource": "*"}


def document(*statements: Any, **members: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **members})


@pytest.mark.parametrize(
    "text",
    [
        document(TRUST),
        document(TRUST, TRUST, Version="2008-10-17"),
        json.dumps({"Statement": TRUST}),
        document({"Effect": "Allow", "NotPrincipal": {"AWS": "*"}, "NotAction": "sts:*"}),
    ],
)
def test_a_trust_policy_names_principals_and_actions(text):
    check_trust_policy(text)
    with pytest.raises(InvalidParameter):
        check_identity_policy(text)


@pytest.mark.parametrize(
    "text",
    [
        document(IDENTITY),
        document({"Effect": "Allow", "NotAction": "a:b", "NotResource": ["*"]}),
        "\n\t" + document({**IDENTITY, "Condition": {"Bool": {"x": "true"}}, "Sid": "One"}),
    ],
)
def test_a_policy_of_an_identity_names_actions_and_resources(text):
    check_identity_policy(text)
    with pytest.raises(InvalidParameter):
        check_trust_policy(text)


NO_ACTION = {"Effect": "Allow", "Resource": "*"}
NO_RESOURCE = {"Effect": "Allow", "Action": "a:b"}


@pytest.mark.parametrize(
    ("check", "text", "reason"),
    [
        (check_identity_policy, "{", "This policy contains invalid Json"),
        (check_identity_policy, "[" * 100_000, "This policy contains invalid Json"),
        (check_identity_policy, "[]", "Syntax errors in policy."),
        (check_identity_policy, "{}", "Syntax errors in policy."),
        (check_identity_policy, document(), "Syntax errors in policy."),
        (check_identity_policy, document(1), "Syntax errors in policy."),
        (check_identity_policy, document({**IDENTITY, "Effect": "x"}), "Syntax errors in policy."),
        (
            check_identity_policy,
            document(IDENTITY, Version="2013-10-17"),
            "The policy must contain a valid version string",
        ),
        (
            check_identity_policy,
            document(IDENTITY, Version=["2012-10-17"]),
            "The policy must contain a valid version string",
        ),
        (check_identity_policy, document(NO_ACTION), "Policy statement must contain actions."),
        (check_identity_policy, document(NO_RESOURCE), "Policy statement must contain resources."),
        (
            check_identity_policy,
            document(IDENTITY, {**IDENTITY, "Principal": "*"}),
            "Policy document should not specify a principal.",
        ),
        (check_trust_policy, document(NO_RESOURCE), "Missing required field Principal"),
        (check_trust_policy, document({**TRUST, "Resource": "*"}), "Has prohibited field Resource"),
        (
            check_trust_policy,
            document({**TRUST, "Action": []}),
            "Policy statement must contain actions.",
        ),
    ],
)
def test_what_is_no_policy_is_refused_in_the_words_of_aws(check, text, reason):
    with pytest.raises(InvalidParameter) as caught:
        check(text)
    assert (caught.value.name, caught.value.reason) == ("policy_document", reason)


def test_white_space_does_not_count():
    assert counted_characters(' {"a" :\n\t1} ') == len('{"a":1}')
