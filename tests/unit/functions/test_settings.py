"""Concurrency, settings of asynchronous invocations, tags, policies."""

from __future__ import annotations

import pytest

from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    PreconditionFailed,
)
from eventcore.functions.function import POLICY_BYTES_MAX
from eventcore.functions.function_spec import InvokeConfig, PolicyStatement
from tests.unit.functions.function_rig import (
    ARN,
    CONFIG,
    HOUR_MS,
    MINUTE_MS,
    NOW_MS,
    QUEUE,
    FunctionRig,
    state_of,
)

ONE = PolicyStatement("one", '{"Sid":"one"}')
TWO = PolicyStatement("two", '{"Sid":"two"}')


@pytest.fixture
def rig():
    """A function with the version 1, and the alias "live" of it."""
    rig = FunctionRig()
    rig.keep(rig.function.publish(NOW_MS))
    rig.keep(rig.function.put_alias("live", "1", is_new=True))
    return rig


# Of the function


def test_reserved_concurrency_is_set_and_taken_back(rig):
    rig.keep(rig.function.set_reserved(0))
    assert rig.function.record.reserved == 0
    rig.keep(rig.function.set_reserved(None))
    assert rig.function.record.reserved is None
    with pytest.raises(InvalidParameter):
        rig.function.set_reserved(-1)


def test_tags_are_set_as_a_whole(rig):
    rig.keep(rig.function.set_tags({"a": "1"}))
    rig.keep(rig.function.set_tags({"b": "2"}))
    assert rig.function.record.tags == {"b": "2"}
    with pytest.raises(LimitExceeded):
        rig.function.set_tags({str(n): "" for n in range(51)})
    with pytest.raises(InvalidParameter):
        rig.function.set_tags({"": ""})
    assert rig.function.record.tags == {"b": "2"}


def test_recursive_loops_are_ended_unless_they_are_allowed(rig):
    assert rig.function.record.recursive_loop == "Terminate"
    rig.keep(rig.function.set_recursive_loop("Allow"))
    assert rig.function.record.recursive_loop == "Allow"
    with pytest.raises(InvalidParameter):
        rig.function.set_recursive_loop("allow")


# Provisioned concurrency


@pytest.mark.parametrize("qualifier", ["1", "live"])
def test_provisioned_concurrency_of_a_version_or_an_alias(rig, qualifier):
    rig.keep(rig.function.set_provisioned(qualifier, 3, NOW_MS))
    rig.keep(rig.function.set_provisioned(qualifier, 4, NOW_MS + 1))
    record = rig.function.provisioned(qualifier)
    assert (record.requested, record.modified_ms) == (4, NOW_MS + 1)
    assert rig.function.all_provisioned() == {qualifier: record}
    rig.keep(rig.function.set_provisioned(qualifier, None, NOW_MS))
    rig.keep(rig.function.set_provisioned(qualifier, None, NOW_MS))
    assert rig.function.provisioned(qualifier) is None


@pytest.mark.parametrize(
    ("qualifier", "requested", "error"),
    [
        ("$LATEST", 1, InvalidParameter),
        ("$LATEST", None, InvalidParameter),
        ("1", 0, InvalidParameter),
        ("2", 1, NotFound),
        ("other", None, NotFound),
    ],
)
def test_provisioned_concurrency_that_can_not_be(rig, qualifier, requested, error):
    before = state_of(rig.function)
    with pytest.raises(error):
        rig.function.set_provisioned(qualifier, requested, NOW_MS)
    assert state_of(rig.function) == before


def test_a_version_and_its_alias_are_not_both_provisioned(rig):
    rig.keep(rig.function.set_provisioned("1", 1, NOW_MS))
    with pytest.raises(Conflict) as caught:
        rig.function.set_provisioned("live", 1, NOW_MS)
    assert caught.value.reason == (
        "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned "
        "version"
    )
    rig.keep(rig.function.set_provisioned("1", None, NOW_MS))
    rig.keep(rig.function.set_provisioned("live", 1, NOW_MS))
    with pytest.raises(Conflict) as caught:
        rig.function.set_provisioned("1", 1, NOW_MS)
    assert caught.value.reason == "Version is pointed by a Provisioned Concurrency alias"


# Asynchronous invocations


@pytest.mark.parametrize("qualifier", ["$LATEST", "1", "live"])
def test_each_qualifier_has_settings_of_its_own(rig, qualifier):
    config = InvokeConfig(NOW_MS, 1, HOUR_MS, None, QUEUE)
    rig.keep(rig.function.set_invoke_config(qualifier, config))
    assert rig.function.invoke_config(qualifier) == config
    assert rig.function.invoke_configs() == {qualifier: config}
    rig.keep(rig.function.set_invoke_config(qualifier, None))
    rig.keep(rig.function.set_invoke_config(qualifier, None))
    assert rig.function.invoke_config(qualifier) is None


@pytest.mark.parametrize(
    "config",
    [
        InvokeConfig(NOW_MS, -1),
        InvokeConfig(NOW_MS, 3),
        InvokeConfig(NOW_MS, None, MINUTE_MS - 1),
        InvokeConfig(NOW_MS, None, 6 * HOUR_MS + 1),
        InvokeConfig(NOW_MS, on_failure=ARN),
        InvokeConfig(NOW_MS, on_success=f"{ARN}:live"),
    ],
)
def test_settings_that_are_not_allowed(rig, config):
    with pytest.raises(InvalidParameter):
        rig.function.set_invoke_config("$LATEST", config)
    assert rig.function.invoke_configs() == {}


def test_a_function_whose_name_only_begins_alike_is_another(rig):
    config = InvokeConfig(NOW_MS, on_failure=f"{ARN}-more")
    rig.keep(rig.function.set_invoke_config("$LATEST", config))
    assert rig.function.invoke_config("$LATEST") == config


def test_settings_of_a_qualifier_that_is_not_there(rig):
    with pytest.raises(NotFound):
        rig.function.set_invoke_config("2", InvokeConfig(NOW_MS))
    with pytest.raises(NotFound):
        rig.function.set_invoke_config("other", InvokeConfig(NOW_MS))


# Policies


@pytest.mark.parametrize("qualifier", [None, "1", "live"])
def test_statements_are_added_and_removed(rig, qualifier):
    first = rig.keep(rig.function.add_statement(qualifier, ONE))
    second = rig.keep(rig.function.add_statement(qualifier, TWO))
    assert second.statements == (ONE, TWO)
    assert second.revision_id != first.revision_id
    assert rig.function.policy(qualifier) == second
    rig.keep(rig.function.remove_statement(qualifier, "one"))
    assert rig.function.policy(qualifier).statements == (TWO,)
    rig.keep(rig.function.remove_statement(qualifier, "two"))
    assert rig.function.policy(qualifier) is None


def test_policies_of_the_function_its_versions_and_aliases_are_apart(rig):
    rig.keep(rig.function.add_statement(None, ONE))
    assert rig.function.policy("1") is None
    assert rig.function.policy("live") is None
    rig.keep(rig.function.add_statement("live", TWO))
    assert rig.function.policy(None).statements == (ONE,)


def test_a_policy_and_what_it_is_on_have_one_revision(rig):
    policy = rig.keep(rig.function.add_statement(None, ONE))
    assert rig.function.latest.revision_id == policy.revision_id
    policy = rig.keep(rig.function.add_statement("1", ONE))
    assert rig.function.version("1").revision_id == policy.revision_id
    policy = rig.keep(rig.function.add_statement("live", ONE))
    assert rig.function.alias("live").revision_id == policy.revision_id
    rig.keep(rig.function.remove_statement("live", "one"))
    assert rig.function.alias("live").revision_id != policy.revision_id


def test_a_statement_id_is_taken_once(rig):
    rig.keep(rig.function.add_statement(None, ONE))
    with pytest.raises(AlreadyExists) as caught:
        rig.function.add_statement(None, PolicyStatement("one", "{}"))
    assert (caught.value.kind, caught.value.name) == ("statement", "one")


def test_a_policy_has_a_revision_that_must_be_the_latest(rig):
    stale = rig.function.latest.revision_id
    rig.keep(rig.function.add_statement(None, ONE, stale))
    before = state_of(rig.function)
    with pytest.raises(PreconditionFailed) as caught:
        rig.function.add_statement(None, TWO, stale)
    assert caught.value.kind == "policy"
    with pytest.raises(PreconditionFailed):
        rig.function.remove_statement(None, "one", stale)
    assert state_of(rig.function) == before
    of_policy = rig.function.policy(None).revision_id
    rig.keep(rig.function.update_config(CONFIG, NOW_MS))
    rig.keep(rig.function.add_statement(None, TWO, of_policy))
    rig.keep(rig.function.remove_statement(None, "one", rig.function.latest.revision_id))
    assert rig.function.policy(None).statements == (TWO,)


def test_latest_has_no_policy_under_its_name(rig):
    with pytest.raises(InvalidParameter) as caught:
        rig.function.add_statement("$LATEST", ONE)
    assert caught.value.reason == "We currently do not support adding policies for $LATEST."


@pytest.mark.parametrize(
    ("qualifier", "sid", "kind"),
    [
        (None, "two", "statement"),
        ("1", "one", "policy"),
        ("2", "one", "function version"),
        ("other", "one", "alias"),
    ],
)
def test_what_is_not_there_can_not_be_removed(rig, qualifier, sid, kind):
    rig.keep(rig.function.add_statement(None, ONE))
    with pytest.raises(NotFound) as caught:
        rig.function.remove_statement(qualifier, sid)
    assert caught.value.kind == kind


def test_a_policy_on_nothing_is_refused(rig):
    for qualifier in ("2", "other"):
        with pytest.raises(NotFound):
            rig.function.add_statement(qualifier, ONE)


def test_a_policy_is_bounded(rig):
    rig.keep(rig.function.add_statement(None, PolicyStatement("big", "x" * POLICY_BYTES_MAX)))
    with pytest.raises(LimitExceeded) as caught:
        rig.function.add_statement(None, ONE)
    assert caught.value.limit == "policy_bytes_max"
    assert len(rig.function.policy(None).statements) == 1
