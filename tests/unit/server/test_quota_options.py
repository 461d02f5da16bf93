from __future__ import annotations

import msgspec
import pytest

from eventcore.errors import InvalidParameter
from eventcore.limits import AWS_QUOTAS, Quotas
from eventcore.server.cli import main
from eventcore.server.daemon import ServeConfig
from eventcore.server.quota_options import QUOTA_NAMES, quotas_with, read_quotas


def test_every_quota_has_its_name():
    everything = read_quotas(f"{name}={number}" for number, name in enumerate(QUOTA_NAMES, 1))
    assert quotas_with("relaxed", everything) == Quotas(*range(1, len(QUOTA_NAMES) + 1))
    assert quotas_with("aws", read_quotas(f"{name}=off" for name in QUOTA_NAMES)) == Quotas()


def test_what_is_not_named_is_as_the_strictness_says():
    quotas = quotas_with("aws", read_quotas(["in_flight_max=off", "rules_per_bus_max=7"]))
    assert quotas == msgspec.structs.replace(AWS_QUOTAS, in_flight_max=None, rules_per_bus_max=7)
    assert quotas_with("relaxed", {}) == Quotas()


def test_the_last_of_a_name_counts():
    assert read_quotas(["in_flight_max=1", "in_flight_max=2"]) == {"in_flight_max": 2}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("in_flight_max", "must be NAME=VALUE or NAME=off"),
        ("", "must be NAME=VALUE or NAME=off"),
        ("colour=1", "the quotas are in_flight_max, purge_interval_ms, "),
        ("=1", "the quotas are in_flight_max"),
        ("in_flight_max=0", "must be a whole number from 1 on, or off"),
        ("in_flight_max=-1", "must be a whole number from 1 on, or off"),
        ("in_flight_max=1.5", "must be a whole number from 1 on, or off"),
        ("in_flight_max=OFF", "must be a whole number from 1 on, or off"),
        ("in_flight_max=", "must be a whole number from 1 on, or off"),
        ("in_flight_max=" + "9" * 19, "must be a whole number from 1 on, or off"),
        ("in_flight_max=" + "9" * 50, "must be a whole number from 1 on, or off"),
    ],
)
def test_others_are_refused(text, reason):
    with pytest.raises(InvalidParameter, match=reason):
        read_quotas([text])


@pytest.mark.parametrize("quotas", [{"colour": 1}, {"in_flight_max": "1"}, {"in_flight_max": True}])
def test_a_configuration_is_checked_too(quotas):
    with pytest.raises(InvalidParameter, match="quota"):
        ServeConfig(quotas=quotas).check()
    ServeConfig(quotas={"in_flight_max": 5, "move_tasks_max": None}).check()


def test_serve_refuses_a_bad_quota_with_exit_2_and_one_line(capsys):
    assert main(["serve", "--memory", "--quota", "in_flight_max=5", "--quota", "colour=1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("eventcore serve: error: quota: there is no 'colour'; ")
    assert error.count("\n") == 1
