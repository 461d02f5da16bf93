"""Imports go down only, and machines do no I/O. The layers are the table below.

Imports are collected from the whole syntax tree, so one inside a function counts like one at the
top of the file.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tidy.source_tree import ROOT, PythonFile, expect_none, python_files

BASE = {"errors", "limits", "arn", "clock", "ids", "outcome", "codec", "connect", "attributes"}
MACHINES = {
    "buses",
    "topics",
    "queues",
    "streams",
    "consumers",
    "functions",
    "mappings",
    "resources",
    "outboxes",
    "roles",
}
# The name of the package itself, which only re-exports: programs import it, the layers never do.
FACADE = "eventcore"
CORE = BASE | {"patterns", "stores", "environments", "runtime"} | MACHINES
PROGRAMS = {"server", "bench", "demo", "testing", "__main__"}

# What each part of eventcore may import of eventcore, apart from itself.
ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(BASE, BASE),
    "patterns": BASE,
    **{machine: (BASE - {"clock"}) | {"patterns"} for machine in MACHINES},
    "stores": BASE,
    "wire": BASE,
    "environments": BASE | {"functions"},
    "runtime": BASE | {"patterns", "stores", "environments"} | MACHINES,
    "api": CORE | {"wire"},
    FACADE: CORE,
    "testing": CORE | {"wire", "api", "server", FACADE},
    "bench": CORE | {"wire", "api", "server", FACADE},
    "demo": CORE | {"wire", "api", "server", "bench", FACADE},
    "server": CORE | {"wire", "api", "bench", "demo", FACADE},
    "__main__": {"server"},
}

# Time, chance and the outside world reach a machine as arguments, or not at all.
FORBIDDEN_IN_MACHINES = {
    "aiosqlite",
    "anyio",
    "asyncio",
    "concurrent",
    "logging",
    "multiprocessing",
    "os",
    "random",
    "secrets",
    "select",
    "signal",
    "socket",
    "sqlite3",
    "structlog",
    "subprocess",
    "threading",
    "time",
    "uuid",
    "uvloop",
}
SANS_IO = MACHINES | {"patterns", "wire"}

CONNECTORS_MAY_IMPORT = {"eventcore", "eventcore.errors", "eventcore.connect"}
CONNECTOR_TESTS_MAY_IMPORT = CONNECTORS_MAY_IMPORT | {"eventcore.testing"}


def modules_of_eventcore() -> set[str]:
    """The names of the parts directly below eventcore."""
    found = {path.stem for path in (ROOT / "eventcore").glob("*.py")} - {"__init__"}
    folders = {path.parent.name for path in (ROOT / "eventcore").glob("*/__init__.py")}
    return found | folders


PARTS = modules_of_eventcore()


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each imported module with its line. `from eventcore import codec` imports eventcore.codec."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            submodules = [a.name for a in node.names if module == "eventcore" and a.name in PARTS]
            for name in submodules:
                yield node.lineno, f"eventcore.{name}"
            if len(submodules) < len(node.names):
                yield node.lineno, module


def part_of(module: str) -> str:
    """ "queues" for eventcore.queues.standard; the facade's name for eventcore itself."""
    return module.split(".")[1] if "." in module else FACADE


def layer_faults(file: PythonFile) -> Iterator[str]:
    """Every import in a file of eventcore that its layer does not allow."""
    own_part = part_of(file.module)
    if own_part not in ALLOWED:
        yield f"{file.name}: {own_part!r} is not in the table of layers"
        return
    for line, module in imports(file.tree):
        where = f"{file.name}:{line}"
        top = module.split(".")[0]
        if top == "eventcore_connectors":
            yield f"{where}: eventcore imports its connectors"
        elif top == "eventcore" and part_of(module) not in ALLOWED[own_part] | {own_part}:
            yield f"{where}: {own_part} imports {module}, which is not below it"
        elif own_part in MACHINES | {"patterns"} and top in FORBIDDEN_IN_MACHINES:
            yield f"{where}: a machine imports {module}"


def coroutine_faults(file: PythonFile) -> Iterator[str]:
    """Every coroutine in a part that must not wait."""
    if part_of(file.module) in SANS_IO:
        for node in ast.walk(file.tree):
            if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
                yield f"{file.name}:{node.lineno}: {part_of(file.module)} must not wait"


def connector_faults(file: PythonFile, allowed: set[str]) -> Iterator[str]:
    """Every import of eventcore that is not public, in a file outside it."""
    for line, module in imports(file.tree):
        if module.split(".")[0] == "eventcore" and module not in allowed:
            yield f"{file.name}:{line}: imports {module}, which is not public"


def sample(name: str, text: str) -> PythonFile:
    return PythonFile.parse(name, text)


def test_imports_in_eventcore_go_down_only() -> None:
    expect_none(fault for file in python_files("eventcore") for fault in layer_faults(file))


def test_machines_patterns_and_wire_never_wait() -> None:
    expect_none(fault for file in python_files("eventcore") for fault in coroutine_faults(file))


def test_connectors_use_only_the_public_interface() -> None:
    files = python_files("connectors/eventcore_connectors")
    faults = [f for file in files for f in connector_faults(file, CONNECTORS_MAY_IMPORT)]
    files = python_files("tests/connectors", "connectors/tests")
    faults += [f for file in files for f in connector_faults(file, CONNECTOR_TESTS_MAY_IMPORT)]
    expect_none(faults)


def test_nothing_below_the_programs_imports_them() -> None:
    below = {part: allowed for part, allowed in ALLOWED.items() if part not in PROGRAMS}
    assert not any(allowed & PROGRAMS for allowed in below.values())
    assert not any("testing" in allowed for allowed in ALLOWED.values())


def test_each_forbidden_import_is_found() -> None:
    for text in (
        "from eventcore.topics.topic import Topic",
        "import eventcore.runtime.host",
        "from eventcore import runtime",
        "from eventcore import open",
        "import asyncio",
        "from os import path",
        "def f():\n    import time",
        "from eventcore.clock import SystemClock",
    ):
        assert len(list(layer_faults(sample("eventcore/queues/x.py", text)))) == 1, text
    for name, text in (
        ("eventcore/wire/x.py", "from eventcore.runtime import host"),
        ("eventcore/stores/x.py", "from eventcore.queues import standard"),
        ("eventcore/errors.py", "from eventcore.patterns import x"),
        ("eventcore/server/x.py", "from eventcore.testing import ManualClock"),
        ("eventcore/server/x.py", "import eventcore_connectors.webhook"),
        ("eventcore/novelty/x.py", ""),
    ):
        assert len(list(layer_faults(sample(name, text)))) == 1, (name, text)


def test_allowed_imports_are_not_faults() -> None:
    for name, text in (
        ("eventcore/queues/x.py", "from eventcore.queues.message import Message\nimport heapq"),
        ("eventcore/buses/x.py", "from eventcore import codec, errors"),
        ("eventcore/runtime/x.py", "import asyncio\nfrom eventcore.queues import standard"),
        ("eventcore/__init__.py", "from eventcore.runtime.broker import Broker"),
        ("eventcore/demo/x.py", "import eventcore"),
    ):
        assert list(layer_faults(sample(name, text))) == [], (name, text)


def test_a_coroutine_is_found_in_sans_io_code_only() -> None:
    text = "async def f():\n    pass"
    assert list(coroutine_faults(sample("eventcore/wire/x.py", text)))
    assert list(coroutine_faults(sample("eventcore/runtime/x.py", text))) == []


def test_a_connector_that_reaches_inside_is_found() -> None:
    inside = sample("connectors/eventcore_connectors/x.py", "from eventcore.codec import x")
    public = sample("connectors/eventcore_connectors/x.py", "from eventcore.connect import Target")
    assert list(connector_faults(inside, CONNECTORS_MAY_IMPORT))
    assert list(connector_faults(public, CONNECTORS_MAY_IMPORT)) == []
