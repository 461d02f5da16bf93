"""What must not be in the tree: traces of a build machine, stubs, swallowed errors, empty tests.

The forbidden texts are put together from parts, so that this file does not contain them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.tidy.source_tree import ROOT, PythonFile, expect_none, project_files, python_files

TEXT_BYTES_MAX = 1_000_000

REGISTRY_HOSTS = [
    a + b
    for a, b in (
        ("py", "pi.org"),
        ("files.python", "hosted.org"),
        ("registry.np", "mjs.org"),
        ("deb.deb", "ian.org"),
        ("conda.ana", "conda.org"),
    )
]
MACHINE_PATHS = [
    "/wo" + "rk/",
    "/fa" + "rm/",
    "/opt/py" + "pi",
    "/ro" + "ot/",
    "/tmp/bash" + "_jobs",
]
FORBIDDEN = re.compile("|".join(map(re.escape, REGISTRY_HOSTS + MACHINE_PATHS)))

BLIND = {"Exception", "BaseException"}
# Calls that fail a test by themselves, as pytest.raises does.
ASSERTING_CALL = re.compile(r"assert|raises|warns|check|expect|verify|fail|run_state_machine")


def trace_faults(name: str, text: str) -> Iterator[str]:
    """Every line that names a registry's host, a path of a machine, or where this checkout is."""
    here = f"{ROOT}/" if len(ROOT.parts) > 2 else None
    for number, line in enumerate(text.splitlines(), 1):
        if FORBIDDEN.search(line) or (here and here in line):
            yield f"{name}:{number}: names a registry's host or a path of a machine"


def is_stub(node: ast.AST) -> bool:
    """Whether the statement says that something has yet to be written."""
    return (
        isinstance(node, ast.Raise)
        and node.exc is not None
        and "NotImplementedError" in ast.unparse(node.exc)
    )


def swallows_everything(node: ast.AST) -> bool:
    """Whether any error at all ends here without a trace: `pass`, `...` or suppress(Exception)."""
    if isinstance(node, ast.ExceptHandler):
        is_blind = node.type is None or ast.unparse(node.type) in BLIND
        return is_blind and [ast.unparse(statement) for statement in node.body] in (
            ["pass"],
            ["..."],
        )
    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("suppress"):
        return any(ast.unparse(argument) in BLIND for argument in node.args)
    return False


def code_faults(file: PythonFile) -> Iterator[str]:
    """Stubs and swallowed errors."""
    for node in ast.walk(file.tree):
        where = f"{file.name}:{getattr(node, 'lineno', 0)}"
        if is_stub(node):
            yield f"{where}: a stub; raise UnsupportedOperation, or write it"
        elif swallows_everything(node):
            yield f"{where}: swallows every exception"


def asserts_something(test: ast.AST) -> bool:
    """Whether the test can fail by more than an accident."""
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and ASSERTING_CALL.search(ast.unparse(node.func)))
        for node in ast.walk(test)
    )


def empty_test_faults(file: PythonFile) -> Iterator[str]:
    """Every test that asserts nothing."""
    for node in ast.walk(file.tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_") and not asserts_something(node):
            yield f"{file.name}:{node.lineno}: {node.name} asserts nothing"


def test_no_file_names_a_registry_or_a_machine() -> None:
    faults: list[str] = []
    for path in project_files():
        if path.stat().st_size <= TEXT_BYTES_MAX and path.name != "uv.lock":
            text = path.read_bytes().decode("utf-8", errors="replace")
            faults += trace_faults(path.relative_to(ROOT).as_posix(), text)
    expect_none(faults)


def test_there_are_no_stubs_and_no_swallowed_errors() -> None:
    files = python_files("eventcore", "connectors", "bench", "examples")
    expect_none(fault for file in files for fault in code_faults(file))


def test_every_test_asserts_something() -> None:
    expect_none(fault for file in python_files("tests") for fault in empty_test_faults(file))


def test_traces_are_found() -> None:
    for text in [f"https://{host}/x" for host in REGISTRY_HOSTS] + [f"{p}x" for p in MACHINE_PATHS]:
        assert list(trace_faults("x", text)), text
    assert list(trace_faults("x", "path/to/work and example.org")) == []


def test_stubs_and_swallowed_errors_are_found() -> None:
    def faults(text: str) -> int:
        return len(list(code_faults(PythonFile.parse("x.py", text))))

    assert faults("raise NotImplemented" + "Error") == 1
    assert faults("try:\n    f()\nexcept Exception:\n    pass") == 1
    assert faults("try:\n    f()\nexcept:\n    ...") == 1
    assert faults("with suppress(BaseException):\n    f()") == 1
    assert faults("try:\n    f()\nexcept OSError:\n    pass") == 0
    assert faults("try:\n    f()\nexcept Exception:\n    report()") == 0
    assert faults("with suppress(KeyError):\n    f()") == 0


def test_an_empty_test_is_found() -> None:
    def faults(text: str) -> int:
        return len(list(empty_test_faults(PythonFile.parse("x.py", text))))

    assert faults("def test_x():\n    f()") == 1
    assert faults("def test_x():\n    assert f()") == 0
    assert faults("def test_x():\n    with pytest.raises(E):\n        f()") == 0
    assert faults("def test_x():\n    queue.check()") == 0
