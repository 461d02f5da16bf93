"""Every module says what it offers, and offers what it says."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import eventcore
from tests.tidy.source_tree import PythonFile, expect_none, python_files


def defined_names(body: list[ast.stmt]) -> Iterator[str]:
    """The names that a module's own statements bind, in the branches of an `if` or `try` too."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                yield from (n.id for n in ast.walk(target) if isinstance(n, ast.Name))
        elif isinstance(node, ast.If | ast.Try):
            yield from defined_names([*node.body, *node.orelse])
            for handler in getattr(node, "handlers", []):
                yield from defined_names(handler.body)


def exported_names(tree: ast.Module) -> list[str] | None:
    """The literal value of `__all__`; None without one."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets):
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            return list(ast.literal_eval(value)) if value is not None else None
    return None


def export_faults(file: PythonFile) -> Iterator[str]:
    """No `__all__`, or one that is not true."""
    has_code = any(not isinstance(node, ast.Expr) for node in file.tree.body)
    if file.name.endswith("__main__.py") or (file.name.endswith("__init__.py") and not has_code):
        return
    names = exported_names(file.tree)
    if names is None:
        yield f"{file.name}: has no __all__"
        return
    defined = set(defined_names(file.tree.body))
    for name in names:
        if name not in defined:
            yield f"{file.name}: __all__ names {name!r}, which is not there"
    if len(set(names)) < len(names):
        yield f"{file.name}: __all__ names something twice"


def test_every_module_states_its_exports_truly() -> None:
    files = python_files("eventcore", "connectors/eventcore_connectors")
    expect_none(fault for file in files for fault in export_faults(file))


def test_the_package_offers_what_the_readme_shows() -> None:
    shown = {"open", "Event", "Retry", "Reject"}
    assert shown <= set(eventcore.__all__)
    assert all(hasattr(eventcore, name) for name in eventcore.__all__)


def test_false_and_missing_exports_are_found() -> None:
    def faults(text: str, name: str = "x.py") -> int:
        return len(list(export_faults(PythonFile.parse(name, text))))

    assert faults('__all__ = ["f"]\ndef f(): ...') == 0
    assert faults('__all__ = ["f", "g"]\ndef f(): ...') == 1
    assert faults('__all__ = ["f", "f"]\ndef f(): ...') == 1
    assert faults("def f(): ...") == 1
    assert faults('"""Only a docstring."""', "p/__init__.py") == 0
    assert faults('"""Code."""\nx = 1', "p/__init__.py") == 1
    assert faults('__all__ = ["A"]\ntry:\n    A = 1\nexcept ImportError:\n    A = 2') == 0
