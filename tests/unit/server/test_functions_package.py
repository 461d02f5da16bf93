"""Deployment packages of the command line."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path

import pytest

from eventcore import limits
from eventcore.errors import InvalidParameter, LimitExceeded
from eventcore.server.commands.functions_package import package


def entries(content: bytes) -> dict[str, tuple[bytes, int]]:
    """What is in a zip: names, contents, permissions."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {
            one.filename: (archive.read(one), stat.S_IMODE(one.external_attr >> 16))
            for one in archive.infolist()
        }


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    for name, text in {
        "app.py": "a",
        "lib/inner.py": "b",
        "lib/__pycache__/inner.cpython-311.pyc": "no",
        "old.pyc": "no",
        ".git/config": "no",
        ".env": "c",
    }.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return folder


def test_a_directory_is_zipped_without_what_nobody_wants(source: Path) -> None:
    assert {name: one[0] for name, one in entries(package(source)).items()} == {
        ".env": b"c",
        "app.py": b"a",
        "lib/inner.py": b"b",
    }


def test_the_same_content_is_the_same_zip(source: Path) -> None:
    first = package(source)
    (source / "app.py").touch()
    (source / "app.py").chmod(0o600)
    assert package(source) == first
    (source / "app.py").write_text("other")
    assert package(source) != first


def test_a_bootstrap_stays_executable(source: Path) -> None:
    bootstrap = source / "bootstrap"
    bootstrap.write_text("#!/bin/sh\n")
    bootstrap.chmod(0o700)
    packed = entries(package(source))
    assert (packed["bootstrap"][1], packed["app.py"][1]) == (0o755, 0o644)


def test_a_file_is_alone_in_its_zip_and_a_zip_is_taken_as_it_is(source: Path) -> None:
    alone = package(source / "lib" / "inner.py")
    assert entries(alone) == {"inner.py": (b"b", 0o644)}
    ready = source / "ready.zip"
    ready.write_bytes(alone)
    assert package(ready) == alone
    ready.write_bytes(b"no zip")
    assert entries(package(ready))["ready.zip"][0] == b"no zip"


def test_links_to_files_are_followed_and_links_to_directories_refused(source: Path) -> None:
    (source / "linked.py").symlink_to(source / "app.py")
    assert entries(package(source))["linked.py"][0] == b"a"
    (source / "around").symlink_to(source)
    with pytest.raises(InvalidParameter, match="is a link to a directory"):
        package(source)


def test_what_is_not_there_or_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="no file and no directory"):
        package(tmp_path / "nothing")
    (tmp_path / "__pycache__").mkdir()
    with pytest.raises(InvalidParameter, match="has no files"):
        package(tmp_path)


def test_what_is_too_large_is_refused(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "UNZIPPED_BYTES_MAX", 2)
    with pytest.raises(LimitExceeded, match="unzipped_bytes_max"):
        package(source)
    monkeypatch.setattr(limits, "UNZIPPED_BYTES_MAX", 3)
    monkeypatch.setattr(limits, "ZIP_BYTES_MAX", 10)
    with pytest.raises(LimitExceeded, match="zip_bytes_max"):
        package(source)
