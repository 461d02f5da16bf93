"""Every script of this folder is played, and must say what the engine does. See script.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.script import play

SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
async def test_the_engine_does_what_the_script_says(path, request):
    written = path.read_text(encoding="utf-8")
    played = await play(written)
    if request.config.getoption("--rewrite", default=False) and played != written:
        path.write_text(played, encoding="utf-8")
    else:
        assert played.splitlines() == written.splitlines()


def test_there_are_scripts():
    assert len(SCRIPTS) >= 8
