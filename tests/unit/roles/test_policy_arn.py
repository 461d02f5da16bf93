"""ARNs of roles and managed policies, and the ids made of them."""

from __future__ import annotations

import pytest

from eventcore.errors import InvalidParameter
from eventcore.roles.policy_arn import made_up_id, policy_arn, read_policy_arn, unique_name


@pytest.mark.parametrize(
    ("account", "path", "name"),
    [
        ("000000000000", "/", "p"),
        ("aws", "/service-role/", "AWSLambda"),
        ("1" * 12, "/a/b/", "+=,"),
    ],
)
def test_an_arn_is_read_as_it_was_made(account, path, name):
    assert read_policy_arn(policy_arn(account, path, name)) == (account, path, name)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "arn:aws:iam::aws:policy/",
        "arn:aws:iam::aws:policy//p",
        "arn:aws:iam::aws:policy/p ",
        "arn:aws:iam::aws:policy/p\n",
        "arn:aws:iam::AWS:policy/p",
        "arn:aws:iam::aws:role/p",
        "arn:aws:iam:us-east-1:aws:policy/p",
        "arn:aws:iam::aws:policy/" + "p" * 129,
    ],
)
def test_what_is_no_arn_of_a_policy_is_refused(arn):
    with pytest.raises(InvalidParameter, match="is not valid"):
        read_policy_arn(arn)


def test_ids_have_the_form_of_aws():
    made = made_up_id("ANPA", "arn:aws:iam::aws:policy/p")
    assert made == made_up_id("ANPA", "arn:aws:iam::aws:policy/p")
    assert made != made_up_id("ANPA", "arn:aws:iam::aws:policy/q")
    assert len(made) == len(unique_name("AROA", bytes(16))) == 21
    assert made.isalnum()
