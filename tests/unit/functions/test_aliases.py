"""Aliases: their versions and weights, what they resolve to, their revisions."""

from __future__ import annotations

import pytest

from eventcore.errors import AlreadyExists, InvalidParameter, NotFound, PreconditionFailed
from eventcore.functions.function_spec import FunctionConfig, InvokeConfig, PolicyStatement
from tests.unit.functions.function_rig import NOW_MS, FunctionRig, state_of


@pytest.fixture
def rig():
    """A function with the versions 1 and 2."""
    rig = FunctionRig()
    rig.keep(rig.function.publish(NOW_MS))
    rig.keep(rig.function.update_config(FunctionConfig(handler="two"), NOW_MS))
    rig.keep(rig.function.publish(NOW_MS))
    return rig


def put(rig, name="live", version="1", *, is_new=True, **options):
    return rig.keep(rig.function.put_alias(name, version, is_new=is_new, **options))


def test_an_alias_names_a_version(rig):
    alias = put(rig, description="what is live")
    assert rig.function.alias("live") == alias
    assert (alias.version, alias.description, alias.weights) == ("1", "what is live", {})
    resolved = rig.function.resolve("live", 0.0)
    assert (resolved.version, resolved.alias) == (rig.function.version("1"), "live")


def test_an_alias_can_name_latest(rig):
    put(rig, version="$LATEST")
    assert rig.function.resolve("live", 0.99).version == rig.function.latest


def test_no_qualifier_latest_and_digits_are_versions(rig):
    for qualifier, version in ((None, "$LATEST"), ("$LATEST", "$LATEST"), ("2", "2")):
        resolved = rig.function.resolve(qualifier, 0.5)
        assert (resolved.version.version, resolved.alias) == (version, None)


@pytest.mark.parametrize(
    ("qualifier", "kind"),
    [("3", "function version"), ("live", "alias"), ("$LATES", "alias"), ("", "alias")],
)
def test_a_qualifier_that_means_nothing_is_not_found(rig, qualifier, kind):
    with pytest.raises(NotFound) as caught:
        rig.function.resolve(qualifier, 0.0)
    assert (caught.value.kind, caught.value.name) == (kind, qualifier)


@pytest.mark.parametrize(
    ("draw", "version"), [(0.0, "2"), (0.0999, "2"), (0.1, "1"), (0.5, "1"), (0.9999, "1")]
)
def test_a_weight_sends_its_share_to_the_other_version(rig, draw, version):
    put(rig, weights={"2": 0.1})
    assert rig.function.resolve("live", draw).version.version == version


def test_weights_of_nothing_and_of_all(rig):
    put(rig, weights={"2": 0.0})
    assert rig.function.resolve("live", 0.0).version.version == "1"
    put(rig, is_new=False, weights={"2": 1.0})
    assert rig.function.resolve("live", 0.9999).version.version == "2"


def test_aliases_come_by_name_and_can_be_asked_for_by_version(rig):
    put(rig, "b", "1")
    put(rig, "a", "2")
    put(rig, "c", "1", weights={"2": 0.5})
    assert [alias.name for alias in rig.function.aliases()] == ["a", "b", "c"]
    assert [alias.name for alias in rig.function.aliases("1")] == ["b", "c"]
    assert [alias.name for alias in rig.function.aliases("2")] == ["a", "c"]
    assert rig.function.aliases("$LATEST") == []


def test_an_update_replaces_everything_and_gives_a_new_revision(rig):
    old = put(rig, description="one", weights={"2": 0.5})
    new = put(rig, version="2", is_new=False)
    assert (new.version, new.description, new.weights) == ("2", "", {})
    assert new.revision_id != old.revision_id
    assert rig.function.aliases() == [new]


def test_an_alias_does_not_touch_the_revisions_of_versions(rig):
    before = [version.revision_id for version in rig.function.versions()]
    put(rig)
    assert [version.revision_id for version in rig.function.versions()] == before


def test_an_alias_is_created_once_and_updated_where_it_is(rig):
    put(rig)
    with pytest.raises(AlreadyExists) as caught:
        rig.function.put_alias("live", "1", is_new=True)
    assert (caught.value.kind, caught.value.name) == ("alias", "live")
    with pytest.raises(NotFound) as not_found:
        rig.function.put_alias("other", "1", is_new=False)
    assert (not_found.value.kind, not_found.value.name) == ("alias", "other")


def test_a_stale_revision_is_refused(rig):
    stale = put(rig).revision_id
    latest = put(rig, is_new=False, revision_id=stale).revision_id
    before = state_of(rig.function)
    with pytest.raises(PreconditionFailed) as caught:
        rig.function.put_alias("live", "2", is_new=False, revision_id=stale)
    assert (caught.value.kind, caught.value.name) == ("alias", "live")
    assert state_of(rig.function) == before
    assert put(rig, version="2", is_new=False, revision_id=latest).version == "2"


@pytest.mark.parametrize("name", ["", "2024", "a b", "$LATEST", "é", "x" * 129, "a\n", "\u0661a"])
def test_a_name_that_is_none_is_refused(rig, name):
    with pytest.raises(InvalidParameter) as caught:
        rig.function.put_alias(name, "1", is_new=True)
    assert caught.value.name == "name"
    assert rig.function.aliases() == []


@pytest.mark.parametrize("name", ["v1", "1a", "-", "x" * 128])
def test_names_that_are_allowed(rig, name):
    assert put(rig, name).name == name


@pytest.mark.parametrize(
    ("version", "weights", "reason"),
    [
        (
            "1",
            {"1": 0.1, "2": 0.1},
            "Number of items in AdditionalVersionWeights cannot be greater than 1",
        ),
        (
            "$LATEST",
            {"1": 0.1},
            "$LATEST is not supported for an alias pointing to more than 1 version",
        ),
        (
            "1",
            {"1": 0.1},
            "Invalid function version 1. Function version 1 is already included in routing "
            "configuration.",
        ),
        ("1", {"2": 1.1}, "A weight must be from 0.0 to 1.0."),
        ("1", {"2": float("nan")}, "A weight must be from 0.0 to 1.0."),
    ],
)
def test_a_routing_that_is_none_is_refused(rig, version, weights, reason):
    with pytest.raises(InvalidParameter) as caught:
        rig.function.put_alias("live", version, weights=weights, is_new=True)
    assert caught.value.reason == reason
    assert rig.function.aliases() == []


@pytest.mark.parametrize(("version", "weights"), [("10", {}), ("1", {"10": 0.5})])
def test_versions_of_an_alias_must_be_there(rig, version, weights):
    with pytest.raises(NotFound) as caught:
        rig.function.put_alias("live", version, weights=weights, is_new=True)
    assert (caught.value.kind, caught.value.name) == ("function version", "10")
    assert rig.function.aliases() == []


def test_a_deleted_alias_takes_its_settings_and_policy_along(rig):
    put(rig)
    rig.keep(rig.function.set_invoke_config("live", InvokeConfig(NOW_MS, 0)))
    rig.keep(rig.function.set_provisioned("live", 1, NOW_MS))
    rig.keep(rig.function.add_statement("live", PolicyStatement("s", "{}")))
    rows = len(rig.rows)
    rig.keep(rig.function.delete_alias("live"))
    assert len(rig.rows) == rows - 4
    with pytest.raises(NotFound):
        rig.function.alias("live")
    with pytest.raises(NotFound):
        rig.function.delete_alias("live")
    put(rig)
    assert rig.function.invoke_config("live") is None
    assert rig.function.policy("live") is None
