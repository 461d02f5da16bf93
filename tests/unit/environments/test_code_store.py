"""Zips become directories: safely, once, within bounds."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import os
import stat
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from eventcore import limits
from eventcore.environments import code_store
from eventcore.environments.code_store import CodeStore, InvalidCode, unpack, zip_fault
from eventcore.functions.function_spec import FunctionCode
from eventcore.functions.invocation import FailedInvocation

Entry = tuple[str, int, bytes]
FILE = stat.S_IFREG | 0o644
PROGRAM = stat.S_IFREG | 0o755
LINK = stat.S_IFLNK | 0o777


def packed(entries: Iterable[Entry]) -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, mode, content in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = mode << 16
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a name that comes twice is meant
                archive.writestr(entry, content)
    return whole.getvalue()


def code_of(zip_bytes: bytes) -> FunctionCode:
    digest = base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode()
    return FunctionCode(1, digest, len(zip_bytes))


def test_files_folders_links_and_modes_are_kept(tmp_path: Path) -> None:
    entries = [
        ("folder/", stat.S_IFDIR | 0o755, b""),
        ("folder/deep/file.txt", FILE, b"text"),
        ("bootstrap", PROGRAM, b"#!/bin/sh\n"),
        ("no_mode", 0, b"x"),
        ("link", LINK, b"folder/deep/file.txt"),
        ("folder/up", LINK, b"../bootstrap"),
    ]
    assert unpack(packed(entries), tmp_path / "code") == 4 + 10 + 1
    root = tmp_path / "code"
    assert (root / "link").read_text() == "text"
    assert (root / "folder/up").read_bytes() == b"#!/bin/sh\n"
    modes = {name: (root / name).stat().st_mode & 0o777 for name in ("bootstrap", "no_mode")}
    assert modes == {"bootstrap": 0o755, "no_mode": 0o644}


@pytest.mark.parametrize(
    "entries",
    [
        [("../out", FILE, b"")],
        [("a/../../out", FILE, b"")],
        [("/tmp/out", FILE, b"")],
        [("a\\..\\out", FILE, b"")],
        [("out", LINK, b"/etc/passwd")],
        [("out", LINK, b"..")],
        [("a/out", LINK, b"../../x")],
        [("in", LINK, b"."), ("in/../../out", FILE, b"")],
        [("a", LINK, b"b/.."), ("b", LINK, b"c/d"), ("c/d/e", FILE, b""), ("f", LINK, b"a/../..")],
        [("device", stat.S_IFCHR | 0o644, b"")],
        [("fifo", stat.S_IFIFO | 0o644, b"")],
        [("a", FILE, b"1"), ("a", FILE, b"2")],
        [("a", FILE, b"1"), ("a/b", FILE, b"2")],
        [("link", LINK, b"x" * 5_000)],
    ],
)
def test_what_leads_outside_or_is_no_plain_file_is_refused(
    tmp_path: Path, entries: list[Entry]
) -> None:
    with pytest.raises(InvalidCode, match="Lambda could not unzip the deployment package"):
        unpack(packed(entries), tmp_path / "a" / "code")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["code"]


def test_files_are_not_written_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    entries = [("in", LINK, bytes(outside)), ("in/file", FILE, b"x")]
    with pytest.raises(InvalidCode):
        unpack(packed(entries), tmp_path / "code")
    assert list(outside.iterdir()) == []


def test_sizes_are_counted_and_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "UNZIPPED_BYTES_MAX", 1_000)
    assert unpack(packed([("a", FILE, b"x" * 1_000)]), tmp_path / "fits") == 1_000
    bomb = packed([("a", FILE, b"x" * 500), ("b", FILE, bytes(10_000_000))])
    with pytest.raises(InvalidCode, match="Unzipped size"):
        unpack(bomb, tmp_path / "bomb")
    assert not (tmp_path / "bomb" / "b").stat().st_size > 1_000


@pytest.mark.parametrize("cut", [0, 10, -30])
def test_broken_zips_are_refused(tmp_path: Path, cut: int) -> None:
    with pytest.raises(InvalidCode):
        unpack(packed([("a", FILE, b"content" * 50)])[:cut], tmp_path / "code")


def test_a_changed_content_is_found(tmp_path: Path) -> None:
    zip_bytes = bytearray(packed([("a", FILE, os.urandom(1_000))]))
    zip_bytes[200] ^= 0xFF
    with pytest.raises(InvalidCode):
        unpack(bytes(zip_bytes), tmp_path / "code")


def test_a_request_is_told_what_is_wrong_with_a_zip(monkeypatch: pytest.MonkeyPatch) -> None:
    assert zip_fault(packed([("a", FILE, b"x")])) is None
    assert zip_fault(b"nothing") == (
        "Could not unzip uploaded file. Please check your file, then try to upload again."
    )
    monkeypatch.setattr(limits, "UNZIPPED_BYTES_MAX", 10)
    assert zip_fault(packed([("a", FILE, b"x" * 11)])) is not None


class World:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.used: set[Path] = set()
        self.reads = 0
        self.store = CodeStore(root, lambda: self.used)

    async def unpacked(self, zip_bytes: bytes | None, code: FunctionCode | None = None) -> Path:
        def read() -> bytes | None:
            self.reads += 1
            return zip_bytes

        return await self.store.unpacked(code or code_of(zip_bytes or b""), read)


async def test_a_zip_is_unpacked_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    zip_bytes = packed([("a", FILE, b"x")])
    paths = await asyncio.gather(*(world.unpacked(zip_bytes) for _ in range(5)))
    assert len(set(paths)) == 1
    assert world.reads == 1
    assert (paths[0] / "a").read_text() == "x"
    await world.store.close()
    again = World(tmp_path)
    assert await again.unpacked(zip_bytes) == paths[0]
    assert again.reads == 0
    await again.store.close()


async def test_what_is_left_over_is_deleted(tmp_path: Path) -> None:
    for name in ("code/abc.partial", "code/nonsense", "scratch/7"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "file").touch()
    world = World(tmp_path)
    path = await world.unpacked(packed([("a", FILE, b"x")]))
    assert list((tmp_path / "code").iterdir()) == [path]
    assert list((tmp_path / "scratch").iterdir()) == []
    scratch = world.store.scratch()
    assert scratch.is_dir()
    assert scratch != world.store.scratch()
    await world.store.close()
    assert not scratch.exists()


async def test_the_longest_unused_make_room_unless_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_store, "UNPACKED_BYTES_MAX", 250)
    world = World(tmp_path)
    zips = [packed([("a", FILE, bytes([number]) * 100)]) for number in range(4)]
    first, second = [await world.unpacked(zip_bytes) for zip_bytes in zips[:2]]
    world.used.add(first)
    third = await world.unpacked(zips[2])
    assert [path.exists() for path in (first, second, third)] == [True, False, True]
    world.used.clear()
    assert await world.unpacked(zips[0]) == first  # used just now
    fourth = await world.unpacked(zips[3])
    assert [path.exists() for path in (first, third, fourth)] == [True, False, True]
    assert world.reads == 4
    await world.store.close()


async def test_failures_are_told_and_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path)
    code = code_of(packed([("a", FILE, b"x")]))
    with pytest.raises(FailedInvocation, match="not there"):
        await world.unpacked(None, code)
    with pytest.raises(InvalidCode):
        await world.unpacked(b"no zip", code)
    path = await world.unpacked(packed([("a", FILE, b"x")]), code)
    assert [entry.name for entry in (tmp_path / "code").iterdir()] == [path.name]
    await world.store.close()


async def test_a_root_that_cannot_be_made_is_told_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / "code").touch()
    world = World(tmp_path)
    zip_bytes = packed([("a", FILE, b"x")])
    with pytest.raises(FailedInvocation):
        await world.unpacked(zip_bytes)
    (tmp_path / "code").unlink()
    assert (await world.unpacked(zip_bytes)).is_dir()
    await world.store.close()


async def test_a_digest_that_is_none_is_made_from_the_zip(tmp_path: Path) -> None:
    world = World(tmp_path)
    zip_bytes = packed([("a", FILE, b"x")])
    path = await world.unpacked(zip_bytes, FunctionCode(1, "../../etc", 1))
    assert path.name == f"{hashlib.sha256(zip_bytes).hexdigest()}-1"
    await world.store.close()


def test_a_zip_of_very_many_entries_is_not_read_entry_by_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(code_store, "ENTRIES_LOOKED_AT_MAX", 10)
    monkeypatch.setattr(code_store, "ENTRIES_MAX", 20)
    some, many = (packed((f"{n}", FILE, b"") for n in range(count)) for count in (20, 41))
    monkeypatch.setattr(zipfile, "ZipFile", None)
    assert zip_fault(some) is None
    assert zip_fault(some[:-10]) == code_store._NO_ZIP
    assert zip_fault(many) == code_store._TOO_MANY


def test_a_path_that_is_too_long_is_a_fault_of_the_zip(tmp_path: Path) -> None:
    with pytest.raises(InvalidCode, match="too long"):
        unpack(packed([("x" * 300, FILE, b"")]), tmp_path / "code")


async def test_paths_are_absolute_however_the_store_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of functions have other working directories."""
    monkeypatch.chdir(tmp_path)
    store = CodeStore(Path("data"), set)
    zip_bytes = packed([("a", FILE, b"x")])
    code = FunctionCode(1, base64.b64encode(hashlib.sha256(zip_bytes).digest()).decode(), 1)
    root = await store.unpacked(code, lambda: zip_bytes)
    assert root.is_absolute()
    assert root.parts[-3:-1] == ("data", "code")
    assert store.scratch().parent == tmp_path / "data" / "scratch"
    await store.close()
