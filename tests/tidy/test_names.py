"""Files are named after what they hold, and public names say what they do."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.tidy.source_tree import PythonFile, expect_none, is_public, python_files

# Names that say nothing of the content, or of its role in somebody's framework only.
FILE_NAMES_BANNED = {
    "base_classes",
    "common",
    "constants",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "models",
    "shared",
    "tools",
    "types",
    "util",
    "utils",
}

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def file_name_faults(name: str) -> Iterator[str]:
    """Every part of the path that is banned."""
    for part in PurePosixPath(name).with_suffix("").parts:
        if part in FILE_NAMES_BANNED:
            yield f"{name}: no file or folder is called {part!r} here"


def needs_docstring(node: Definition) -> bool:
    """Public, and not a further face of something documented elsewhere."""
    decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
    is_face = any(
        text in {"overload", "override"} or text.endswith((".overload", ".setter", ".deleter"))
        for text in decorators
    )
    return is_public(node.name) and not is_face


def docstring_faults(file: PythonFile) -> Iterator[str]:
    """The file itself, and every public class, function and method, without a docstring."""
    if ast.get_docstring(file.tree) is None:
        yield f"{file.name}: opens without a docstring that states its rules"
    scopes: list[ast.Module | ast.ClassDef] = [file.tree]
    while scopes:
        for node in scopes.pop().body:
            if not isinstance(node, Definition) or not needs_docstring(node):
                continue
            if ast.get_docstring(node) is None:
                yield f"{file.name}:{node.lineno}: {node.name} has no docstring"
            if isinstance(node, ast.ClassDef):
                scopes.append(node)


def test_no_file_has_a_name_that_says_nothing() -> None:
    expect_none(fault for file in python_files() for fault in file_name_faults(file.name))


def test_public_names_have_docstrings() -> None:
    files = python_files("eventcore", "connectors/eventcore_connectors")
    expect_none(fault for file in files for fault in docstring_faults(file))


def test_banned_names_are_found_as_files_and_as_folders() -> None:
    assert list(file_name_faults("eventcore/queues/utils.py"))
    assert list(file_name_faults("eventcore/common/x.py"))
    assert list(file_name_faults("eventcore/queues/message.py")) == []


def test_a_missing_docstring_is_found() -> None:
    def faults(text: str) -> int:
        return len(list(docstring_faults(PythonFile.parse("x.py", text))))

    documented = (
        '"""File."""\nclass A:\n    """Class."""\n    def f(self):\n        """Method."""\n'
    )
    assert faults(documented) == 0
    assert faults(documented + "    def g(self): ...\n") == 1
    assert faults(documented + "    def _g(self): ...\n") == 0
    assert faults(documented + "    @f.setter\n    def f(self): ...\n") == 0
    assert faults("class A: ...\n") == 2
