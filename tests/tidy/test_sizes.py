"""Nothing grows past the size at which it can still be read at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.tidy.source_tree import PythonFile, expect_none, python_files

FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 800
LINE_COLUMNS_MAX = 100


def function_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function from `def` to its end, without its docstring."""
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def size_faults(file: PythonFile) -> Iterator[str]:
    """Everything in the file that is too large."""
    lines = file.text.splitlines()
    if len(lines) > FILE_LINES_MAX:
        yield f"{file.name}: {len(lines)} lines, {FILE_LINES_MAX} are allowed"
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_COLUMNS_MAX:
            yield f"{file.name}:{number}: {len(line)} columns, {LINE_COLUMNS_MAX} are allowed"
    for node in ast.walk(file.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = function_lines(node)
            if size > FUNCTION_LINES_MAX:
                yield f"{file.name}:{node.lineno}: {node.name} has {size} lines"


def test_functions_files_and_lines_stay_readable() -> None:
    expect_none(fault for file in python_files() for fault in size_faults(file))


def test_sizes_at_the_limit_pass_and_one_more_is_found() -> None:
    def faults(text: str) -> int:
        return len(list(size_faults(PythonFile.parse("x.py", text))))

    body = "def f():\n" + "    pass\n" * (FUNCTION_LINES_MAX - 1)
    assert faults(body) == 0
    assert faults(body + "    pass\n") == 1
    assert faults("#" * LINE_COLUMNS_MAX) == 0
    assert faults("#" * (LINE_COLUMNS_MAX + 1)) == 1
    assert faults("pass\n" * FILE_LINES_MAX) == 0
    assert faults("pass\n" * (FILE_LINES_MAX + 1)) == 1


def test_a_docstring_does_not_count_as_code() -> None:
    docstring = '    """One.\n' + "\n    More.\n" * 10 + '    """\n'
    body = "def f():\n" + docstring + "    pass\n" * (FUNCTION_LINES_MAX - 1)
    assert list(size_faults(PythonFile.parse("x.py", body))) == []
