"""Runs the daemon until Ctrl-C or SIGTERM.

Programs written for AWS use it by setting one variable:

    export AWS_ENDPOINT_URL=http://127.0.0.1:4566

What was acknowledged is on disk, and is there again after the next start.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventcore.errors import InvalidParameter
from eventcore.server.daemon import ServeConfig, run_daemon
from eventcore.server.quota_options import QUOTA_NAMES, read_quotas

if TYPE_CHECKING:
    from eventcore.functions.function_spec import FunctionConfig

__all__ = ["add_arguments", "run"]

EXIT_USAGE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `eventcore serve`."""
    defaults = ServeConfig()
    _add_where(parser, defaults)
    _add_tls(parser)
    _add_functions(parser)
    _add_how(parser, defaults)


def _add_where(parser: argparse.ArgumentParser, defaults: ServeConfig) -> None:
    where = parser.add_argument_group("where")
    where.add_argument(
        "--host",
        default=defaults.host,
        help="address to listen on (default: %(default)s, this machine only)",
    )
    where.add_argument(
        "--port",
        type=int,
        default=defaults.port,
        help="port; 0 takes a free one and prints it (default: %(default)s)",
    )
    where.add_argument(
        "--data",
        metavar="PATH",
        default=defaults.data,
        help="directory, or file ending in .db, that holds everything; made if it is not there "
        "(default: ./%(default)s)",
    )
    where.add_argument(
        "--memory",
        action="store_true",
        help="keep everything in memory only: fast, and gone when the daemon ends",
    )
    where.add_argument(
        "--allow-remote-without-authentication",
        action="store_true",
        dest="allow_remote",
        help="allow a --host that other machines can reach. The daemon checks no keys and no "
        "signatures: whoever reaches the port can read, change and delete everything in it",
    )


def _add_tls(parser: argparse.ArgumentParser) -> None:
    tls = parser.add_argument_group("TLS", "with both, the port speaks TLS and nothing else")
    tls.add_argument(
        "--tls-certificate",
        metavar="FILE",
        help="the certificate, and the chain behind it, in PEM form",
    )
    tls.add_argument("--tls-key", metavar="FILE", help="its key in PEM form, not encrypted")


def _add_functions(parser: argparse.ArgumentParser) -> None:
    functions = parser.add_argument_group(
        "functions", "made or changed at the start; others come by CreateFunction"
    )
    functions.add_argument(
        "--function",
        action="append",
        default=[],
        metavar="NAME=TARGET",
        help="MODULE:FUNCTION, found from the current directory and run in worker processes, or "
        "the URL of an HTTP endpoint; may be given several times",
    )
    functions.add_argument(
        "--functions",
        metavar="FILE",
        help="a TOML file of functions, with their timeouts, memory and environment",
    )


def _add_how(parser: argparse.ArgumentParser, defaults: ServeConfig) -> None:
    how = parser.add_argument_group("how")
    how.add_argument(
        "--durability",
        choices=("full", "relaxed", "memory"),
        default=defaults.durability,
        help="full: an answer means it is on the disk, power cuts included. relaxed: faster; a "
        "crash of the program loses nothing, a power cut the last moments. memory: as --memory "
        "(default: %(default)s)",
    )
    how.add_argument(
        "--strictness",
        choices=("relaxed", "aws"),
        default=defaults.strictness,
        help="aws enforces the quotas of an AWS account too, such as 120,000 messages in flight "
        "and one purge a minute (default: %(default)s)",
    )
    how.add_argument(
        "--quota",
        action="append",
        default=[],
        metavar="NAME=VALUE|off",
        help="one quota, over those of --strictness; may be given several times. The names: "
        + ", ".join(QUOTA_NAMES),
    )
    how.add_argument(
        "--committer",
        choices=("writer", "inline"),
        default=defaults.committer,
        help="who writes to the disk: a process of its own, or the serving one (default: "
        "%(default)s)",
    )
    how.add_argument(
        "--drain-ms",
        type=int,
        default=defaults.drain_ms,
        metavar="MS",
        help="how long running requests may take when the daemon is told to stop (default: "
        "%(default)s)",
    )
    how.add_argument(
        "--log",
        choices=("auto", "json", "console"),
        default="auto",
        help="form of the log on standard error; auto: for people on a terminal, else JSON lines",
    )
    how.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info", help="(info)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Serves until a signal ends it; returns the exit code. Raises as `daemon.serve`."""
    try:
        config = _config(arguments)
        config.check()
    except InvalidParameter as error:
        sys.stderr.write(f"eventcore serve: error: {error}\n")
        return EXIT_USAGE
    with _without("rich"):
        from eventcore.runtime.telemetry import configure_logging  # noqa: PLC0415  (not for --help)

    configure_logging(arguments.log, arguments.log_level)
    try:
        run_daemon(config, _announce)
    except OSError as error:
        raise OSError(_explain(error, config)) from error
    return 0


def _config(arguments: argparse.Namespace) -> ServeConfig:
    """What the command line asks for. Raises InvalidParameter."""
    return ServeConfig(
        host=arguments.host,
        port=arguments.port,
        data=None if arguments.memory else arguments.data,
        durability=arguments.durability,
        strictness=arguments.strictness,
        quotas=read_quotas(arguments.quota),
        committer=arguments.committer,
        drain_ms=arguments.drain_ms,
        allow_remote=arguments.allow_remote,
        tls_certificate=arguments.tls_certificate,
        tls_key=arguments.tls_key,
        functions=_functions(arguments),
    )


def _functions(arguments: argparse.Namespace) -> dict[str, FunctionConfig]:
    if not arguments.function and arguments.functions is None:
        return {}
    from eventcore.server.function_options import read_functions  # noqa: PLC0415  (few need it)

    return read_functions(arguments.function, arguments.functions)


def _announce(url: str) -> None:
    sys.stdout.write(f"eventcore is listening on {url}\n")
    sys.stdout.flush()


def _explain(error: OSError, config: ServeConfig) -> str:
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"cannot serve on {config.host}:{config.port} with data in {config.data}: {reason}"


@contextlib.contextmanager
def _without(package: str) -> Iterator[None]:
    """Has `import` find no such package meanwhile. structlog loads rich where it is installed, for
    tracebacks that the daemon does not write: 5 MB and 50 ms of each start. In this process of
    ours nobody else can miss it.
    """
    hidden = package not in sys.modules
    if hidden:
        sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if hidden:
            del sys.modules[package]
