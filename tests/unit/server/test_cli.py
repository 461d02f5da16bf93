from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
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


COMMAND_LINES = {
    "option between": ("send", "q --delay 5 hi", {"queue": "q", "body": "hi", "delay": 5}),
    "flag between": ("send", "q --json hi", {"queue": "q", "body": "hi", "json": True}),
    "options first": ("send", "--json --delay 5 q hi", {"queue": "q", "body": "hi", "delay": 5}),
    "options last": ("send", "q hi --json", {"queue": "q", "body": "hi", "json": True}),
    "no body": ("send", "--json q", {"queue": "q", "body": None}),
    "standard input": ("send", "q --json -", {"queue": "q", "body": "-"}),
    "a body like an option": ("send", "q --json -- --lines", {"body": "--lines", "lines": False}),
    "all behind dashes": ("send", "--json -- q --", {"queue": "q", "body": "--", "json": True}),
    "receive": ("receive", "--max 3 q --delete", {"queue": "q", "max": 3, "delete": True}),
    "put-events": (
        "put-events",
        "--source s {} --detail-type t",
        {"detail": "{}", "source": "s", "detail_type": "t"},
    ),
    "put-events, last": ("put-events", "--source s --json {}", {"detail": "{}", "json": True}),
    "peek": ("peek", "--max 3 q --json", {"queue": "q", "max": 3, "json": True}),
    "peek, of a file": ("peek", "--data d q", {"queue": "q", "data": Path("d")}),
    "tail": ("tail", "-n 3 q --json", {"queue": "q", "last": 3, "json": True}),
    "stats": ("stats", "a --watch 2 b", {"queues": ["a", "b"], "watch": 2.0}),
    "redrive": ("redrive", "d --to q --no-wait", {"queue": "d", "to": "q", "wait": False}),
    "purge": ("purge", "--yes q", {"queue": "q", "yes": True}),
    "group": ("send", "--group g q hi", {"group_id": "g", "body": "hi"}),
    "group's older name": ("send", "q hi --group-id g", {"group_id": "g", "body": "hi"}),
    "explain": ("explain", "--rule r e.json --bus b", {"rule": "r", "event": "e.json", "bus": "b"}),
    "lint": ("lint", "--json --bus b", {"bus": "b", "json": True}),
    "streams put": (
        "streams put",
        "s --key k a --json b",
        {"stream": "s", "data": ["a", "b"], "key": "k", "json": True},
    ),
    "streams tail": (
        "streams tail",
        "--from LATEST s --after 0=1 --shard 3 --after 1=2",
        {"stream": "s", "start": "LATEST", "after": ["0=1", "1=2"], "shard": ["3"]},
    ),
    "streams reshard": ("streams reshard", "--merge 1 2 s", {"stream": "s", "merge": ["1", "2"]}),
    "streams lag": ("streams lag", "s --group g", {"stream": "s", "group": "g"}),
    "functions invoke": (
        "functions invoke",
        "f --later {} --qualifier live",
        {"function": "f", "payload": "{}", "later": True, "qualifier": "live"},
    ),
    "functions logs": ("functions logs", "--follow f", {"function": "f", "follow": True}),
    "functions list": ("functions list", "a --json b", {"functions": ["a", "b"], "json": True}),
    "functions deploy": (
        "functions deploy",
        "f --env A=1 src --handler a.b --env B=2",
        {"function": "f", "path": "src", "env": ["A=1", "B=2"], "handler": "a.b"},
    ),
    "mappings list": ("mappings list", "u --json v", {"uuids": ["u", "v"], "json": True}),
    "mappings lag": ("mappings lag", "--json", {"uuids": [], "json": True}),
    "bench": ("bench", "send --json cycle", {"workloads": ["send", "cycle"], "json": True}),
}


@pytest.mark.parametrize(
    ("name", "line", "expected"), COMMAND_LINES.values(), ids=COMMAND_LINES.keys()
)
def test_options_and_other_arguments_mix(monkeypatch, name, line, expected):
    taken = []

    def run(arguments):
        taken.append(vars(arguments))
        return 0

    module = import_module(f"eventcore.server.commands.{cli.COMMANDS[name][0]}")
    monkeypatch.setattr(module, "run", run)
    assert cli.main([*name.split(), *line.split()]) == 0
    assert {key: taken[0][key] for key in expected} == expected


@pytest.mark.parametrize("line", ["", "--json", "q a b", "q --json a -- --b", "q --nope", "--"])
def test_too_few_too_many_and_unknown_arguments_are_exit_2(monkeypatch, capsys, line):
    module = import_module("eventcore.server.commands.send")
    monkeypatch.setattr(module, "run", lambda _: pytest.fail("was run"))
    assert cli.main(["send", *line.split()]) == 2
    shown = capsys.readouterr().err
    assert "usage: eventcore send [-h]" in shown
    assert "queue [body]" in shown
    assert cli.LITERAL not in shown


def test_no_command_shows_all_of_them_and_is_exit_2(capsys):
    assert cli.main([]) == 2
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in cli.COMMANDS)


@pytest.mark.parametrize(
    ("line", "status"), [([], 2), (["--help"], 0), (["-h"], 0), (["rename"], 2), (["peek"], 2)]
)
def test_the_commands_of_a_group_are_shown(capsys, line, status):
    assert cli.main(["streams", *line]) == status
    shown = "".join(capsys.readouterr())
    assert "usage: eventcore streams COMMAND" in shown
    assert "tail" in shown
    assert "redrive" not in shown


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
