from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from eventcore.errors import InvalidParameter
from eventcore.server.cli import main
from eventcore.server.commands import serve as serve_command
from eventcore.server.daemon import ServeConfig


def test_the_defaults_serve_this_machine_only_and_durably():
    config = ServeConfig()
    config.check()
    assert (config.host, config.port, config.durability) == ("127.0.0.1", 4566, "full")
    assert config.store_path() == str(Path("eventcore-data/events.db"))


@pytest.mark.parametrize(
    ("data", "durability", "path"),
    [
        ("some/dir", "full", str(Path("some/dir/events.db"))),
        ("some/file.db", "relaxed", str(Path("some/file.db"))),
        ("some/dir", "memory", None),
        (None, "full", None),
    ],
)
def test_data_names_a_directory_or_a_file_or_nothing(data, durability, path):
    assert ServeConfig(data=data, durability=durability).store_path() == path


def test_an_existing_directory_is_a_directory_whatever_its_name(tmp_path):
    directory = tmp_path / "data.db"
    directory.mkdir()
    ServeConfig(data=str(directory)).check()
    assert ServeConfig(data=str(directory)).store_path() == str(directory / "events.db")


@pytest.mark.parametrize("name", ["notes", "notes.txt", "events.sqlite", "events.db.gz"])
def test_an_existing_file_that_does_not_end_in_db_is_refused(tmp_path, name):
    file = tmp_path / name
    file.write_text("x")
    with pytest.raises(InvalidParameter, match=rf"{name} is neither a directory nor a file .*\.db"):
        ServeConfig(data=str(file)).check()
    ServeConfig(data=str(file), durability="memory").check()


def test_serve_refuses_a_file_named_by_mistake_with_exit_2_and_leaves_it_alone(tmp_path, capsys):
    file = tmp_path / "notes.txt"
    file.write_text("x")
    assert main(["serve", "--port", "0", "--data", str(file)]) == 2
    assert capsys.readouterr().err.startswith("eventcore serve: error: data: ")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("notes.txt", "x")]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_addresses_are_allowed(host):
    ServeConfig(host=host).check()
    assert ServeConfig(host=host).allow_remote is False


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "", "example.org", "127.0.0.1.nip"])
def test_other_addresses_are_refused_unless_the_caller_says_so(host):
    with pytest.raises(InvalidParameter, match="does not check who calls"):
        ServeConfig(host=host).check()
    ServeConfig(host=host, allow_remote=True).check()


@pytest.mark.parametrize("wrong", [{"port": -1}, {"port": 65_536}, {"drain_ms": -1}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidParameter):
        ServeConfig(**wrong).check()


def test_the_command_line_s_defaults_are_the_configuration_s(monkeypatch):
    served = []
    monkeypatch.setattr(serve_command, "run_daemon", lambda config, _: served.append(config))
    monkeypatch.setattr("eventcore.runtime.telemetry.configure_logging", lambda *_: None)
    parser = argparse.ArgumentParser()
    serve_command.add_arguments(parser)
    assert serve_command.run(parser.parse_args([])) == 0
    assert serve_command.run(parser.parse_args(["--memory", "--port", "0"])) == 0
    assert served == [ServeConfig(), ServeConfig(data=None, port=0)]
