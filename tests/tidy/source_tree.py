"""The project's files, as the tidy tests read them: by walking the tree, without git.

Nothing is imported here: a file is judged by its text and its syntax tree.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["ROOT", "PythonFile", "expect_none", "is_public", "project_files", "python_files"]

ROOT = Path(__file__).resolve().parents[2]

# Caches, environments and build results: everything that .gitignore names as a folder.
FOLDERS_SKIPPED = {
    ".benchmarks",
    ".git",
    ".hypothesis",
    ".mypy_cache",
    "node_modules",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    "__pycache__",
    "build",
    "dist",
}


class PythonFile(NamedTuple):
    """One parsed file; `name` is its path from the project's root, with "/"."""

    name: str
    text: str
    tree: ast.Module

    @classmethod
    def parse(cls, name: str, text: str) -> PythonFile:
        """Makes one from a text; the tests' samples come this way too."""
        return cls(name, text, ast.parse(text, filename=name))

    @property
    def module(self) -> str:
        """The dotted name under which the file is imported."""
        parts = self.name.removeprefix("connectors/").removesuffix(".py").split("/")
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def project_files(folder: Path = ROOT) -> Iterator[Path]:
    """Every file of the project, in a stable order."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in FOLDERS_SKIPPED and not path.name.endswith(".egg-info"):
                yield from project_files(path)
        elif path.is_file():
            yield path


def python_files(*folders: str) -> list[PythonFile]:
    """The parsed Python files of these folders (all of the project's without any)."""
    roots = [ROOT / folder for folder in folders] or [ROOT]
    return [
        PythonFile.parse(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
        for root in roots
        if root.is_dir()
        for path in project_files(root)
        if path.suffix == ".py"
    ]


def is_public(name: str) -> bool:
    """Whether a name is meant for others, by the usual underscore."""
    return not name.startswith("_")


def expect_none(faults: Iterable[str]) -> None:
    """Fails with one line per fault, however many there are."""
    lines = list(faults)
    assert not lines, "\n".join([f"{len(lines)} faults:", *lines])
