from __future__ import annotations

import sys
from types import ModuleType

import pytest

from eventcore import __version__
from eventcore.errors import NotFound
from eventcore.server import cli


@pytest.fixture
def command(monkeypatch):
    """Puts a command "probe" in place that runs what the test gives it."""

    def install(run):
        module = ModuleType("eventcore.server.commands.probe", "What the probe does.")
        vars(module).update(add_arguments=lambda parser: parser.add_argument("--name"), run=run)
        monkeypatch.setitem(cli.COMMANDS, "probe", ("probe", "probes"))
        monkeypatch.setitem(sys.modules, "eventcore.server.commands.probe", module)

    return install


def failing_with(error):
    def run(arguments):
        raise error

    return run


def test_a_command_gets_its_arguments_and_gives_the_exit_code(command):
    command(lambda arguments: int(arguments.name))
    assert cli.main(["probe", "--name", "7"]) == 7


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotFound("queue", "orders"), "eventcore: queue 'orders' does not exist\n"),
        (OSError("two\nlines"), "eventcore: two lines\n"),
        (ValueError("odd"), "eventcore: ValueError: odd (--traceback shows where)\n"),
    ],
)
def test_an_error_is_one_line_and_exit_1(command, capsys, error, line):
    command(failing_with(error))
    assert cli.main(["probe"]) == 1
    assert capsys.readouterr().err == line


def test_traceback_shows_where_it_failed(command):
    command(failing_with(ValueError("odd")))
    with pytest.raises(ValueError, match="odd"):
        cli.main(["probe", "--traceback"])


def test_an_interrupt_is_exit_130(command):
    command(failing_with(KeyboardInterrupt()))
    assert cli.main(["probe"]) == 130


@pytest.mark.parametrize("arguments", [["unknown"], ["--unknown"], ["probe", "--unknown"]])
def test_a_wrong_command_line_is_exit_2(command, capsys, arguments):
    command(lambda _: 0)
    assert cli.main(arguments) == 2
    assert "usage: eventcore" in capsys.readouterr().err


def test_no_command_shows_all_of_them_and_is_exit_2(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in cli.COMMANDS)


def test_version_is_the_package_s(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"eventcore {__version__}\n"


def test_help_of_a_command_is_its_docstring(command, capsys):
    command(lambda _: 0)
    assert cli.main(["probe", "--help"]) == 0
    assert "What the probe does." in capsys.readouterr().out


def test_a_command_that_is_not_installed_is_told_so(monkeypatch, capsys):
    monkeypatch.setitem(cli.COMMANDS, "probe", ("not_there", "probes"))
    assert cli.main(["probe"]) == 1
    assert "not part of this installation" in capsys.readouterr().err
