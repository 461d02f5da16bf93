"""The functions that a daemon is told of at its start: `--function` and `--functions FILE`.

    eventcore serve --function resize=images:resize --function bill=http://127.0.0.1:8000/bill

    # functions.toml
    [functions.resize]
    handler = "images:resize"          # module:function, found from `path`
    path = "src"                       # a directory, from the file's own; default: the file's own
    timeout_ms = 30_000
    memory_mb = 512
    environment = { BUCKET = "thumbnails" }

    [functions.bill]
    url = "http://127.0.0.1:8000/bill"

They are functions of the default account and region, made or changed at the start; what else was
set for them by API stays. Code of a directory is used as it is: environments that start later see
what changed in it meanwhile.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from eventcore import limits
from eventcore.errors import InvalidParameter
from eventcore.functions.function_spec import KIND_HTTP, KIND_PROCESS, FunctionCode, FunctionConfig

__all__ = ["read_functions"]

_NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One function of the file."""

    handler: str | None = None
    url: str | None = None
    path: str = "."
    runtime: str = ""
    timeout_ms: int = limits.FUNCTION_TIMEOUT_MS_DEFAULT
    memory_mb: int = limits.FUNCTION_MEMORY_MB_DEFAULT
    environment: dict[str, str] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    functions: dict[str, _Entry] = {}


def read_functions(texts: Sequence[str], file: str | None) -> dict[str, FunctionConfig]:
    """The functions asked for, by name. Raises InvalidParameter with what is wrong, and where."""
    found: dict[str, FunctionConfig] = {}
    if file is not None:
        path = Path(file)
        for name, entry in _file(path).functions.items():
            found[name] = _config(name, entry, path.resolve().parent, f"functions.{name}")
    for text in texts:
        name, separator, target = text.partition("=")
        if not separator or not target:
            reason = "must be NAME=MODULE:FUNCTION or NAME=URL"
            raise InvalidParameter("function", f"{reason}, and is {text!r}", text)
        entry = _Entry(url=target) if "://" in target else _Entry(handler=target)
        found[name] = _config(name, entry, Path.cwd(), "function")
    return found


def _file(path: Path) -> _File:
    try:
        content: Mapping[str, Any] = tomllib.loads(path.read_text("utf-8"))
        return msgspec.convert(content, _File)
    except OSError as error:
        raise InvalidParameter("functions", f"{path} can not be read: {error.strerror}") from error
    except (ValueError, msgspec.ValidationError) as error:
        raise InvalidParameter("functions", f"{path}: {error}") from error


def _config(name: str, entry: _Entry, base: Path, where: str) -> FunctionConfig:
    if not name or not _NAME.issuperset(name) or len(name) > limits.FUNCTION_NAME_CHARACTERS_MAX:
        reason = "can have letters, digits, hyphens and underscores, 1 to 64 of them"
        raise InvalidParameter(where, f"the name of a function {reason}, and is {name!r}", name)
    if not 1 <= entry.timeout_ms <= limits.FUNCTION_TIMEOUT_MS_MAX:
        reason = f"timeout_ms must be 1 to {limits.FUNCTION_TIMEOUT_MS_MAX}"
        raise InvalidParameter(where, reason, entry.timeout_ms)
    low, high = limits.FUNCTION_MEMORY_MB_DEFAULT, limits.FUNCTION_MEMORY_MB_MAX
    if not low <= entry.memory_mb <= high:
        raise InvalidParameter(where, f"memory_mb must be {low} to {high}", entry.memory_mb)
    if (entry.handler is None) == (entry.url is None):
        raise InvalidParameter(where, "needs either a handler or a url")
    if entry.url is not None:
        return FunctionConfig(kind=KIND_HTTP, handler=entry.url, timeout_ms=entry.timeout_ms)
    return _process(entry, base, where)


def _process(entry: _Entry, base: Path, where: str) -> FunctionConfig:
    module, separator, function = (entry.handler or "").rpartition(":")
    if not separator or not module or not function.isidentifier():
        reason = f"a handler is module:function, and this is {entry.handler!r}"
        raise InvalidParameter(where, reason, entry.handler)
    directory = (base / entry.path).resolve()
    if not directory.is_dir():
        raise InvalidParameter(where, f"{directory} is no directory", entry.path)
    return FunctionConfig(
        kind=KIND_PROCESS,
        handler=f"{module}.{function}",
        runtime=entry.runtime or f"python3.{sys.version_info[1]}",
        timeout_ms=entry.timeout_ms,
        memory_mb=entry.memory_mb,
        environment=entry.environment,
        code=FunctionCode(location=str(directory)),
    )
