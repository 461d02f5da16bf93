"""The command `eventcore`: finds the command that was asked for, runs it, turns errors into exits.

Each command is a module of `eventcore.server.commands` with `add_arguments(parser)` and
`run(arguments) -> int`; its docstring is its description. Only the one asked for is imported.
Options may stand before, between and behind the other arguments; what begins with a dash and is no
option stands behind `--`.

    exit 0    done            exit 2      the command line is wrong
    exit 1    failed          exit 130    interrupted

The commands of FAILS_WITH_2 exit with 2 for every failure: `explain` and `lint` have their answer
in 0 and 1.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, NoReturn, final

from eventcore import __version__
from eventcore.errors import EventcoreError

__all__ = ["COMMANDS", "main"]

EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
LITERAL: Final = "\0"

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("serve", "run the daemon: all services on one port, for boto3 and every AWS SDK"),
    "demo": ("demo", "see it work: real data through buses, rules and queues"),
    "send": ("send", "send messages to a queue"),
    "receive": ("receive", "receive messages from a queue"),
    "peek": ("peek", "look at the messages of a queue, without receiving them"),
    "tail": ("tail", "see messages as they arrive in a queue, without receiving them"),
    "stats": ("stats", "see how many messages the queues hold, and how old they are"),
    "redrive": ("redrive", "move the messages of a dead-letter queue back, or elsewhere"),
    "purge": ("purge", "delete all messages of a queue"),
    "put-events": ("put_events", "put events on a bus"),
    "streams put": ("streams_put", "put records into a stream"),
    "streams tail": ("streams_tail", "see records as they arrive, across resharding"),
    "streams reshard": ("streams_reshard", "split and merge shards, or change their number"),
    "streams lag": ("streams_lag", "see how far a consumer group is behind, shard by shard"),
    "functions list": ("functions_list", "see the functions, and what runs and waits"),
    "functions invoke": ("functions_invoke", "invoke a function, and see its answer and its log"),
    "functions logs": ("functions_logs", "see what a function wrote"),
    "functions deploy": ("functions_deploy", "make a function of a directory or a file"),
    "mappings list": ("mappings_list", "see the event source mappings, and how they go"),
    "mappings lag": ("mappings_lag", "see how far the mappings of streams are, lane by lane"),
    "explain": ("explain", "see why an event matches a pattern or a rule, or does not"),
    "lint": ("lint", "find rules that never match, that repeat each other, or mean something else"),
    "bench": ("bench", "measure a server, and check that it loses and repeats nothing"),
}
"""Name -> (module in `eventcore.server.commands`, one line of help). Some names have two words."""
FAILS_WITH_2: Final = frozenset(("explain", "lint", "streams put"))
GROUPS: Final = frozenset(name.split()[0] for name in COMMANDS if " " in name)
"""The first words of those names."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line (`sys.argv` by default); returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    names = {" ".join(given[:1]), " ".join(given[:2])}
    failed = EXIT_USAGE if FAILS_WITH_2.intersection(names) else EXIT_FAILED
    try:
        return _flushed(_run(given))
    except SystemExit as end:  # argparse: help was shown (0), or the usage is wrong (2)
        return end.code if isinstance(end.code, int) else failed
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return _end_quietly(failed)
    except (EventcoreError, OSError) as error:
        return _fail(str(error), failed)
    except Exception as error:  # a user gets one line, and a way to see the rest
        if "--traceback" in given:
            raise
        return _fail(f"{type(error).__name__}: {error} (--traceback shows where)", failed)


def _run(given: list[str]) -> int:
    group = f"{given[0]} " if GROUPS.intersection(given[:1]) else ""
    words = given[1:] if group else given
    parser = _list_of_commands(group)
    if not words:
        parser.print_help()
        return EXIT_USAGE
    chosen = group + parser.parse_args(words[:1]).command
    module = _load(chosen)
    command = _CommandParser(
        prog=f"eventcore {chosen}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--traceback", action="store_true", help=argparse.SUPPRESS)
    module.add_arguments(command)
    code: int = module.run(command.parse(words[1:]))
    return code


@final
class _CommandParser(argparse.ArgumentParser):
    """Takes options anywhere. What stands behind `--` is marked for argparse with a character that
    no argument can hold, since its own reading of `--` among options depends on Python's version.
    """

    def parse(self, given: list[str]) -> argparse.Namespace:
        """The arguments of the command. Raises SystemExit, as argparse does."""
        end = given.index("--") if "--" in given else len(given)
        plain = [LITERAL + text for text in given[end + 1 :]]
        arguments = self.parse_intermixed_args(given[:end] + plain)
        for name, value in vars(arguments).items():
            setattr(arguments, name, _unmarked(value))
        return arguments

    def error(self, message: str) -> NoReturn:
        super().error(_printable(message.replace(LITERAL, "")))


def _unmarked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmarked(one) for one in value]
    return value.removeprefix(LITERAL) if isinstance(value, str) else value


def _list_of_commands(group: str) -> argparse.ArgumentParser:
    """Reads the name of a command. `group` is the first word of those that have two, with a space
    behind it, or nothing.
    """
    width = max(len(name) for name in COMMANDS) + 3
    listed = {name: line for name, (_, line) in COMMANDS.items() if name.startswith(group)}
    lines = [f"  {name:{width}}{summary}" for name, summary in listed.items()]
    parser = argparse.ArgumentParser(
        prog=f"eventcore {group}".strip(),
        usage=f"eventcore {group}COMMAND [options]",
        description="Queues, event buses, streams and functions that lose nothing, as on AWS.",
        epilog="commands:\n"
        + "\n".join(lines)
        + f"\n\n`eventcore {group}COMMAND --help` tells more.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if not group:
        parser.add_argument("--version", action="version", version=f"eventcore {__version__}")
    choices = [name.removeprefix(group) for name in listed]
    parser.add_argument("command", choices=choices, metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


def _load(command: str) -> ModuleType:
    name = f"eventcore.server.commands.{COMMANDS[command][0]}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        message = f"the command {command} is not part of this installation"
        raise EventcoreError(message) from error


def _flushed(code: int) -> int:
    """Writes out what the command printed: where that fails, the command has failed."""
    try:
        sys.stdout.flush()
    except OSError:
        sys.stdout = None  # or the interpreter tries again at its end, and complains
        raise
    return code


def _end_quietly(code: int) -> int:
    """The reader of our output has gone, as in `eventcore peek q | head`: not worth a message."""
    sys.stdout = None  # or the interpreter complains at its end
    return code


def _fail(message: str, code: int) -> int:
    line = " ".join(message.split()) or "failed"
    print(f"eventcore: {_printable(line)}", file=sys.stderr)
    return code


def _printable(text: str) -> str:
    """A message may quote what nobody has checked, and a terminal obeys control characters."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
