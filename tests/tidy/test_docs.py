"""The pages are true where a test can tell: links, commands, lists, and the syntax of examples."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

from tests.tidy.source_tree import ROOT, expect_none, project_files

LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
MAKE_COMMAND = re.compile(r"\bmake ([a-z][a-z-]*)")
MAKE_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def pages() -> list[Path]:
    """All Markdown files of the project."""
    return [path for path in project_files() if path.suffix == ".md"]


def anchors(text: str) -> set[str]:
    """What the headings of a page are called in a link."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


def link_faults(page: Path) -> Iterator[str]:
    """Every relative link of the page that leads nowhere."""
    text = page.read_text(encoding="utf-8")
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file) if file else page
        if not target.exists():
            yield f"{page.name}: {link} does not exist"
        elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{page.name}: {link} has no such heading"


def commands(text: str) -> set[str]:
    """The make targets that a page shows in a code block or in code."""
    code = [body for _, body in FENCE.findall(text)] + re.findall(r"`(make [^`]+)`", text)
    return {name for block in code for name in MAKE_COMMAND.findall(block)}


def example_faults(page: Path) -> Iterator[str]:
    """Every Python block of the page that is no Python.

    `await` may stand alone, as in a shell, and a block may go on where another one was indented.
    """
    for language, body in FENCE.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            try:
                flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                compile(dedent(body), page.name, "exec", flags)
            except SyntaxError as error:
                yield f"{page.name}: {error.msg} in the example that begins {body[:40]!r}"


def test_relative_links_lead_somewhere() -> None:
    expect_none(fault for page in pages() for fault in link_faults(page))


def test_commands_on_the_pages_exist_in_the_makefile() -> None:
    targets = set(MAKE_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    shown = {name for page in pages() for name in commands(page.read_text(encoding="utf-8"))}
    assert shown <= targets
    assert {"demo", "test"} <= shown


def test_examples_on_the_pages_are_python() -> None:
    expect_none(fault for page in pages() for fault in example_faults(page))


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = LINK.findall((folder / "index.md").read_text(encoding="utf-8"))
    assert {path.name for path in folder.glob("0*.md")} <= set(listed)


def test_every_page_is_listed_in_the_index() -> None:
    folder = ROOT / "docs"
    listed = LINK.findall((folder / "index.md").read_text(encoding="utf-8"))
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*.md")}
    decisions = {name for name in there if name.startswith("decisions/0")}
    assert there - decisions - {"index.md"} <= set(listed)


def test_dead_links_and_broken_examples_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One heading\n[a](#one-heading) [b](page.md) [c](https://example.org)\n")
    assert list(link_faults(page)) == []
    page.write_text("# One heading\n[a](#other) [b](gone.md)\n")
    assert len(list(link_faults(page))) == 2
    page.write_text("```python\nawait f()\n```\n```python\ndef f(:\n```\n```sh\ndef f(:\n```\n")
    assert len(list(example_faults(page))) == 1


def test_commands_are_read_from_code_only() -> None:
    text = "make sure\n```sh\nmake demo ARGS=1\n```\nand `make test`, not make haste"
    assert commands(text) == {"demo", "test"}
