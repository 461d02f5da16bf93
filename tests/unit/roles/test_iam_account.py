"""One account's roles and managed policies: what changes, what is refused, what a restart knows."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from eventcore import limits
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    RequestError,
)
from eventcore.outcome import Mutation, Outcome
from eventcore.roles.iam_account import IamAccount, version_of
from eventcore.testing import SeededIds

ACCOUNT = "111122223333"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
POLICY_ARN = f"arn:aws:iam::{ACCOUNT}:policy/p"
AWS_ARN = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"},
    }
)
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
)
NOW = 1_700_000_000_000


class Account:
    """An account whose rows are kept, so that it can be read back from them."""

    def __init__(self) -> None:
        self.iam = IamAccount(ROOT, SeededIds(1))
        self.rows: dict[int, bytes] = {}
        self.take(self.iam.open(NOW))

    def take(self, outcome: Outcome[Any]) -> Any:
        for mutation in outcome.mutations:
            if mutation.value is None:
                self.rows.pop(mutation.key, None)
            else:
                self.rows[mutation.key] = mutation.value
        self.iam.check()
        return outcome.value

    def read_back(self) -> IamAccount:
        again = IamAccount(ROOT, SeededIds(2))
        for key in sorted(self.rows):
            again.apply(Mutation(key, self.rows[key]))
        again.check()
        return again

    def expect_refusal(
        self, error: type[RequestError], call: Callable[[], Outcome[Any]]
    ) -> RequestError:
        before = state_of(self.iam)
        with pytest.raises(error) as caught:
            call()
        assert state_of(self.iam) == before, "a refusal changes nothing"
        return caught.value


def state_of(iam: IamAccount) -> Any:
    return iam.record, iam.roles(), iam.policies(), iam.used_policies()


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def with_role(account: Account) -> Account:
    account.take(account.iam.create_role("r", TRUST, NOW))
    return account


@pytest.fixture
def with_both(with_role: Account) -> Account:
    with_role.take(with_role.iam.create_policy("p", POLICY, NOW))
    return with_role


# Roles


def test_a_role_is_told_as_it_was_made(account):
    account.take(
        account.iam.create_role(
            "r",
            TRUST,
            NOW,
            path="/team/",
            description="d",
            session_s_max=7_200,
            boundary_arn=AWS_ARN,
            tags={"a": "1"},
        )
    )
    role = account.read_back().role("r")
    assert role == account.iam.role("r")
    assert (role.path, role.description, role.session_s_max) == ("/team/", "d", 7_200)
    assert (role.boundary_arn, role.tags, role.trust_policy) == (AWS_ARN, {"a": "1"}, TRUST)
    assert role.id.startswith("AROA")
    assert len(role.id) == 21
    assert account.iam.role_arn(role) == f"arn:aws:iam::{ACCOUNT}:role/team/r"
    assert account.iam.boundaries(AWS_ARN) == 1


def test_names_are_unique_without_case_and_looked_up_with_it(with_role):
    iam = with_role.iam
    with_role.expect_refusal(AlreadyExists, lambda: iam.create_role("R", TRUST, NOW))
    with_role.expect_refusal(NotFound, lambda: iam.delete_role("R"))
    with_role.take(iam.delete_role("r"))
    with_role.take(iam.create_role("R", TRUST, NOW))
    assert [role.name for role in iam.roles()] == ["R"]


def test_roles_are_listed_by_name_below_a_path(account):
    for name, path in (("b", "/"), ("a", "/x/y/"), ("c", "/x/")):
        account.take(account.iam.create_role(name, TRUST, NOW, path=path))
    assert [role.name for role in account.iam.roles()] == ["a", "b", "c"]
    assert [role.name for role in account.iam.roles("/x/")] == ["a", "c"]


def test_settings_change_one_by_one(with_role):
    iam = with_role.iam
    with_role.take(iam.update_role("r", description="new"))
    with_role.take(iam.update_role("r", session_s_max=3_601))
    other = TRUST.replace("sts:AssumeRole", "sts:TagSession")
    with_role.take(iam.set_trust_policy("r", other))
    role = with_role.read_back().role("r")
    assert (role.description, role.session_s_max, role.trust_policy) == ("new", 3_601, other)


def test_what_changes_nothing_writes_nothing(with_role):
    iam = with_role.iam
    with_role.take(iam.attach("r", AWS_ARN))
    assert iam.attach("r", AWS_ARN).mutations == ()
    assert iam.set_trust_policy("r", TRUST).mutations == ()
    assert iam.set_role_tags("r", {}, ["none"]).mutations == ()


def test_a_boundary_is_set_and_taken_away(with_both):
    iam = with_both.iam
    error = with_both.expect_refusal(NotFound, lambda: iam.set_boundary("r", None))
    assert isinstance(error, NotFound)
    assert error.kind == "boundary"
    with_both.expect_refusal(NotFound, lambda: iam.set_boundary("r", POLICY_ARN + "x"))
    with_both.take(iam.set_boundary("r", POLICY_ARN))
    with_both.expect_refusal(Conflict, lambda: iam.delete_policy(POLICY_ARN))
    with_both.take(iam.set_boundary("r", None))
    with_both.take(iam.delete_policy(POLICY_ARN))
    assert with_both.read_back().role("r").boundary_arn is None


def test_a_role_with_policies_is_not_deleted(with_role):
    iam = with_role.iam
    with_role.take(iam.attach("r", AWS_ARN))
    with_role.take(iam.put_inline("r", "in", POLICY))
    for reason, undo in (
        ("attached policies", lambda: iam.detach("r", AWS_ARN)),
        ("inline policies", lambda: iam.delete_inline("r", "in")),
    ):
        error = with_role.expect_refusal(Conflict, lambda: iam.delete_role("r"))
        assert isinstance(error, Conflict)
        assert error.reason == reason
        with_role.take(undo())
    with_role.take(iam.delete_role("r"))
    assert with_role.read_back().roles() == []


def test_a_role_of_a_service_is_changed_by_nobody_else(account):
    iam = account.iam
    service = "lambda.amazonaws.com"
    role = account.take(iam.create_service_role(service, "AWSServiceRoleForLambda", NOW))
    assert role.path == f"/aws-service-role/{service}/"
    assert json.loads(role.trust_policy)["Statement"][0]["Principal"] == {"Service": service}
    for call in (
        lambda: iam.delete_role(role.name),
        lambda: iam.attach(role.name, AWS_ARN),
        lambda: iam.put_inline(role.name, "in", POLICY),
        lambda: iam.set_trust_policy(role.name, TRUST),
        lambda: iam.set_boundary(role.name, AWS_ARN),
        lambda: iam.update_role(role.name, session_s_max=7_200),
    ):
        error = account.expect_refusal(Conflict, call)
        assert isinstance(error, Conflict)
        assert error.reason == "protected"
    account.take(iam.update_role(role.name, description="d"))
    account.take(iam.delete_role(role.name, is_by_service=True))
    assert iam.roles() == []


def test_a_tag_replaces_one_of_the_same_key_without_case(with_role):
    iam = with_role.iam
    with_role.take(iam.set_role_tags("r", {"Team": "a", "Cost": "1"}))
    with_role.take(iam.set_role_tags("r", {"team": "b"}, ["COST"]))
    assert with_role.read_back().role("r").tags == {"team": "b"}


def test_a_role_has_fifty_tags_at_the_most(with_role):
    iam = with_role.iam
    with_role.take(iam.set_role_tags("r", {f"k{n}": "" for n in range(limits.TAGS_MAX)}))
    with_role.expect_refusal(LimitExceeded, lambda: iam.set_role_tags("r", {"one": "more"}))
    with_role.take(iam.set_role_tags("r", {"one": "more"}, ["k0"]))
    assert len(iam.role("r").tags) == limits.TAGS_MAX


# Policies of a role


def test_inline_policies_together_have_a_bound_without_white_space(with_role):
    iam = with_role.iam
    half = padded(limits.INLINE_POLICIES_CHARACTERS_MAX // 2)
    with_role.take(iam.put_inline("r", "a", half + " " * 1_000))
    with_role.take(iam.put_inline("r", "b", half))
    error = with_role.expect_refusal(LimitExceeded, lambda: iam.put_inline("r", "c", POLICY))
    assert isinstance(error, LimitExceeded)
    assert error.limit == "INLINE_POLICIES_CHARACTERS_MAX"
    with_role.take(iam.put_inline("r", "b", POLICY))
    assert with_role.read_back().role("r").inline == {"a": half + " " * 1_000, "b": POLICY}


def padded(characters: int) -> str:
    """A policy of that many characters without its white space."""
    empty = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": ""}}
    missing = characters - len(json.dumps(empty).replace(" ", ""))
    empty["Statement"]["Resource"] = "x" * missing
    return json.dumps(empty)


def test_managed_policies_are_attached_once_and_counted(with_both):
    iam = with_both.iam
    with_both.expect_refusal(NotFound, lambda: iam.attach("r", POLICY_ARN + "x"))
    with_both.expect_refusal(
        InvalidParameter, lambda: iam.attach("r", "arn:aws:iam::aws:role/none-such")
    )
    with_both.expect_refusal(NotFound, lambda: iam.detach("r", POLICY_ARN))
    with_both.take(iam.attach("r", POLICY_ARN))
    with_both.take(iam.attach("r", AWS_ARN))
    again = with_both.read_back()
    assert again.role("r").attached == (POLICY_ARN, AWS_ARN)
    assert (again.attachments(POLICY_ARN), again.used_policies()) == (1, [POLICY_ARN, AWS_ARN])


def test_a_role_has_a_bound_of_managed_policies(with_role):
    iam = with_role.iam
    for number in range(limits.ROLE_POLICIES_MAX):
        with_role.take(iam.attach("r", f"arn:aws:iam::aws:policy/P{number}"))
    with_role.expect_refusal(LimitExceeded, lambda: iam.attach("r", AWS_ARN))
    assert iam.attach("r", "arn:aws:iam::aws:policy/P0").mutations == ()


# Managed policies


def test_versions_of_a_policy_come_and_go(with_both):
    iam = with_both.iam
    for number in range(2, limits.MANAGED_POLICY_VERSIONS_MAX + 1):
        version = with_both.take(
            iam.add_version(POLICY_ARN, POLICY, NOW + number, is_default=number == 3)
        )
        assert version.id == f"v{number}"
    more = lambda: iam.add_version(POLICY_ARN, POLICY, NOW, is_default=False)  # noqa: E731
    with_both.expect_refusal(LimitExceeded, more)
    with_both.expect_refusal(Conflict, lambda: iam.delete_version(POLICY_ARN, "v3", NOW))
    with_both.expect_refusal(NotFound, lambda: iam.delete_version(POLICY_ARN, "v9", NOW))
    with_both.expect_refusal(Conflict, lambda: iam.delete_policy(POLICY_ARN))
    with_both.take(iam.delete_version(POLICY_ARN, "v5", NOW))
    assert with_both.take(more()).id == "v6", "a number is given once"
    with_both.take(iam.set_default_version(POLICY_ARN, "v1", NOW + 9))
    policy = with_both.read_back().policy(POLICY_ARN)
    assert (policy.default, policy.modified_ms) == (1, NOW + 9)
    assert [version.id for version in policy.versions] == ["v1", "v2", "v3", "v4", "v6"]
    assert version_of(policy, "v6", POLICY_ARN).document == POLICY


def test_a_policy_is_known_by_the_whole_of_its_arn(account):
    account.take(account.iam.create_policy("p", POLICY, NOW, path="/x/"))
    assert account.iam.policy(f"arn:aws:iam::{ACCOUNT}:policy/x/p").id.startswith("ANPA")
    for arn in (POLICY_ARN, "arn:aws:iam::000000000000:policy/x/p"):
        with pytest.raises(NotFound):
            account.iam.policy(arn)
    account.expect_refusal(AlreadyExists, lambda: account.iam.create_policy("P", POLICY, NOW))


def test_policies_of_aws_are_nobodys_to_change(with_role):
    error = with_role.expect_refusal(Conflict, lambda: with_role.iam.delete_policy(AWS_ARN))
    assert isinstance(error, Conflict)
    assert error.reason == "of AWS"


def test_documents_have_bounds(account):
    iam = account.iam
    long = padded(limits.MANAGED_POLICY_CHARACTERS_MAX + 1)
    account.expect_refusal(LimitExceeded, lambda: iam.create_policy("p", long, NOW))
    trust = TRUST.replace("sts:AssumeRole", "x" * limits.TRUST_POLICY_CHARACTERS_MAX)
    account.expect_refusal(LimitExceeded, lambda: iam.create_role("r", trust, NOW))
    account.expect_refusal(InvalidParameter, lambda: iam.create_role("r", POLICY, NOW))
    account.expect_refusal(InvalidParameter, lambda: iam.create_policy("p", TRUST, NOW))


def test_an_account_has_a_bound_of_roles_and_of_policies(account, monkeypatch):
    monkeypatch.setattr(limits, "ROLES_MAX", 1)
    account.take(account.iam.create_role("a", TRUST, NOW))
    account.take(account.iam.create_policy("a", POLICY, NOW))
    account.expect_refusal(LimitExceeded, lambda: account.iam.create_role("b", TRUST, NOW))
    account.expect_refusal(LimitExceeded, lambda: account.iam.create_policy("b", POLICY, NOW))


# All together


ARNS = [f"arn:aws:iam::{ACCOUNT}:policy/p{number}" for number in range(3)] + [AWS_ARN]


def some_command(iam: IamAccount, chance: random.Random, now: int) -> Callable[[], Outcome[Any]]:
    role, policy = f"r{chance.randrange(3)}", chance.choice(ARNS)
    version = f"v{chance.randrange(1, 8)}"
    return chance.choice(
        [
            lambda: iam.create_role(role, TRUST, now),
            lambda: iam.delete_role(role),
            lambda: iam.put_inline(role, version, POLICY),
            lambda: iam.delete_inline(role, version),
            lambda: iam.attach(role, policy),
            lambda: iam.detach(role, policy),
            lambda: iam.set_boundary(role, policy),
            lambda: iam.set_boundary(role, None),
            lambda: iam.set_role_tags(role, {version: "x"}, ["v1"]),
            lambda: iam.create_policy(policy.rpartition("/")[2], POLICY, now),
            lambda: iam.add_version(policy, POLICY, now, is_default=now % 2 == 0),
            lambda: iam.set_default_version(policy, version, now),
            lambda: iam.delete_version(policy, version, now),
            lambda: iam.delete_policy(policy),
            lambda: iam.set_policy_tags(policy, {version: "x"}),
        ]
    )


@pytest.mark.parametrize("seed", range(10))
def test_whatever_happens_the_rows_tell_all_of_it(account, seed):
    chance = random.Random(seed)
    refused = 0
    for step in range(400):
        try:
            account.take(some_command(account.iam, chance, NOW + step)())
        except RequestError:
            refused += 1
            account.iam.check()
    assert state_of(account.read_back()) == state_of(account.iam)
    assert 0 < refused < 400
