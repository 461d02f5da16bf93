"""Functions' code on disk: each zip is unpacked once, under its digest.

Rules of this file:

- What a zip says of itself is not believed. No path leads outside, not by "..", not from the root,
  not through a symbolic link; sizes are counted while they are written; devices and encrypted
  entries are refused. A zip is there as a whole or not at all: it is unpacked beside its place and
  then renamed.
- `<digest>-<bytes>` is a directory that is complete; everything else in the store's directory is
  left over and deleted at the first use. So a restart finds what was unpacked before.
- Together they are UNPACKED_BYTES_MAX at the most: beyond that the longest unused ones are deleted
  that no environment runs.
- Disks are touched in threads only, apart from making one directory.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
import hashlib
import io
import os
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final, final

from eventcore import limits
from eventcore.functions.function_spec import FunctionCode
from eventcore.functions.invocation import FailedInvocation

__all__ = ["CodeStore", "InvalidCode", "unpack", "zip_fault"]

UNPACKED_BYTES_MAX: Final = 2 * 1024 * 1024 * 1024
ENTRIES_MAX: Final = 100_000
ENTRIES_LOOKED_AT_MAX: Final = 5_000
"""Beyond which a request does not add up sizes: each entry costs 15 us of the event loop's time."""
LINK_BYTES_MAX: Final = 4_096
_COPY_BYTES: Final = 256 * 1024
_UNZIP_FAILED: Final = "Lambda could not unzip the deployment package."
_TOO_LARGE: Final = f"Unzipped size must be smaller than {limits.UNZIPPED_BYTES_MAX} bytes"
_TOO_MANY: Final = f"{_UNZIP_FAILED} It has more than {ENTRIES_MAX} entries."
_NO_ZIP: Final = "Could not unzip uploaded file. Please check your file, then try to upload again."
_ENTRY_SIGNATURE: Final = b"PK\x01\x02"
_ENCRYPTED: Final = 0x1
_ZIP_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    UnicodeError,
    ValueError,
)


class InvalidCode(Exception):
    """A function's code cannot be used, for a reason that is its own."""


def zip_fault(zip_bytes: bytes) -> str | None:
    """What is wrong with a deployment package as far as its directory tells, in AWS's words; None
    if nothing is. For a request that brings one; it reads no content, and of very many entries the
    number only.
    """
    entries_max = zip_bytes.count(_ENTRY_SIGNATURE)
    if entries_max > ENTRIES_LOOKED_AT_MAX:
        if not zipfile.is_zipfile(io.BytesIO(zip_bytes)):
            return _NO_ZIP
        # A zip inside that is not compressed counts, too: `unpack` has the exact number.
        return _TOO_MANY if entries_max > 2 * ENTRIES_MAX else None
    try:
        with zipfile.ZipFile(io.BytesIO(zip_bytes)) as archive:
            entries = archive.infolist()
    except _ZIP_ERRORS:
        return _NO_ZIP
    if not entries:
        return "Uploaded file must be a non-empty zip"
    if sum(entry.file_size for entry in entries) >= limits.UNZIPPED_BYTES_MAX:
        return _TOO_LARGE
    try:
        for entry in entries:
            _inner_path(entry.filename)
    except InvalidCode as error:
        return str(error)
    return None


@final
class CodeStore:
    """Unpacked code below `root`. `in_use` tells the directories that must stay."""

    def __init__(self, root: Path, in_use: Callable[[], set[Path]]) -> None:
        root = root.absolute()  # processes are told of it, which have other working directories
        self._root = root / "code"
        self._scratch = root / "scratch"
        self._in_use = in_use
        # Complete directories by digest, with their size; the longest unused one first.
        self._known: dict[str, tuple[Path, int]] = {}
        self._running: dict[str, asyncio.Task[Path]] = {}
        self._opening: asyncio.Task[None] | None = None
        self._scratches = 0

    async def unpacked(self, code: FunctionCode, read: Callable[[], bytes | None]) -> Path:
        """The directory of this code. `read` gives its zip, and is called on the loop's thread, if
        at all. Raises InvalidCode, FailedInvocation (it is gone, or cannot be written).
        """
        await self._open()
        if code.location:
            return await asyncio.to_thread(_existing, Path(code.location))
        digest = _hex_digest(code.sha256)
        while digest:
            known = self._known.pop(digest, None)
            if known is not None:
                self._known[digest] = known
                return known[0]
            running = self._running.get(digest)
            if running is None:
                break
            await asyncio.wait([running])
            if not running.cancelled() and running.exception() is not None:
                break
        zip_bytes = read()
        if zip_bytes is None:
            raise FailedInvocation("The function's code is not there.")
        digest = digest or hashlib.sha256(zip_bytes).hexdigest()
        task = self._running.get(digest)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._unpack(digest, zip_bytes))
            self._running[digest] = task
            task.add_done_callback(lambda _: self._running.pop(digest, None))
        # A caller that is cancelled does not undo what others wait for, too.
        return await asyncio.shield(task)

    def scratch(self) -> Path:
        """A new empty directory for an environment's temporary files. Raises FailedInvocation."""
        self._scratches += 1
        path = self._scratch / str(self._scratches)
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            raise FailedInvocation(f"{path}: {error.strerror}") from error
        return path

    async def close(self) -> None:
        """Waits for what is being unpacked, and deletes the temporary files."""
        tasks = [*self._running.values(), *([self._opening] if self._opening else [])]
        if tasks:
            await asyncio.wait(tasks)
        await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def _open(self) -> None:
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.get_running_loop().create_task(self._read_root())
        await asyncio.shield(self._opening)

    async def _read_root(self) -> None:
        try:
            self._known = await asyncio.to_thread(_prepare, self._root, self._scratch)
        except OSError as error:
            raise FailedInvocation(f"{self._root}: {error.strerror}") from error

    async def _unpack(self, digest: str, zip_bytes: bytes) -> Path:
        partial = self._root / f"{digest}.partial"
        try:
            size, path = await asyncio.to_thread(_unpack_aside, zip_bytes, partial, digest)
        except OSError as error:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)
            raise FailedInvocation(f"{self._root}: {error.strerror}") from error
        self._known[digest] = (path, size)
        await self._delete_unused(digest)
        return path

    async def _delete_unused(self, newest: str) -> None:
        total = sum(size for _, size in self._known.values())
        in_use = self._in_use()
        for digest, (path, size) in list(self._known.items()):
            if total <= UNPACKED_BYTES_MAX:
                return
            if digest != newest and path not in in_use:
                del self._known[digest]
                total -= size
                await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


def _existing(location: Path) -> Path:
    if not location.is_dir():
        raise FailedInvocation(f"The function's code is not there: {location} is no directory.")
    return location.resolve()


def _hex_digest(sha256: str) -> str:
    """A digest in base64 as text for a file's name; empty for what is no digest."""
    try:
        digest = base64.b64decode(sha256, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return digest.hex() if len(digest) == hashlib.sha256().digest_size else ""


def _prepare(root: Path, scratch: Path) -> dict[str, tuple[Path, int]]:
    """Makes the directories, deletes what is left over, and tells what is complete."""
    shutil.rmtree(scratch, ignore_errors=True)
    for path in (root, scratch):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    known: dict[str, tuple[Path, int]] = {}
    for path in sorted(root.iterdir(), key=lambda path: path.lstat().st_mtime):
        digest, _, size = path.name.partition("-")
        if len(digest) == 64 and size.isdecimal():
            known[digest] = (path.resolve(), int(size))
        else:
            shutil.rmtree(path, ignore_errors=True)
    return known


def _unpack_aside(zip_bytes: bytes, partial: Path, digest: str) -> tuple[int, Path]:
    shutil.rmtree(partial, ignore_errors=True)
    try:
        size = unpack(zip_bytes, partial)
    except InvalidCode:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    path = partial.with_name(f"{digest}-{size}")
    partial.rename(path)
    return size, path.resolve()


def unpack(zip_bytes: bytes, into: Path) -> int:
    """Unpacks a zip into a new directory, and returns its bytes. Blocks.

    Raises InvalidCode, with a part of it written; OSError.
    """
    into.mkdir(mode=0o755, parents=True)
    left = limits.UNZIPPED_BYTES_MAX
    links: list[tuple[Path, str]] = []
    try:
        with zipfile.ZipFile(io.BytesIO(zip_bytes)) as archive:
            entries = archive.infolist()
            if len(entries) > ENTRIES_MAX:
                raise InvalidCode(_TOO_MANY)
            for entry in entries:
                path = into / _inner_path(entry.filename)
                mode = entry.external_attr >> 16
                if entry.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                if entry.flag_bits & _ENCRYPTED or stat.S_IFMT(mode) not in (
                    0,
                    stat.S_IFREG,
                    stat.S_IFLNK,
                ):
                    raise InvalidCode(f"{_UNZIP_FAILED} {entry.filename!r} is no plain file.")
                if stat.S_ISLNK(mode):
                    links.append((path, _link_target(archive, entry)))
                else:
                    left -= _write(archive, entry, path, left)
    except _ZIP_ERRORS as error:
        raise InvalidCode(_UNZIP_FAILED) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InvalidCode(f"{_UNZIP_FAILED} Two entries have one path.") from error
    except OSError as error:
        if error.errno not in (errno.ENAMETOOLONG, errno.EILSEQ):
            raise
        raise InvalidCode(f"{_UNZIP_FAILED} A path is too long.") from error
    _link(into, links)
    return limits.UNZIPPED_BYTES_MAX - left


def _inner_path(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in name or "\0" in name:
        raise InvalidCode(f"{_UNZIP_FAILED} {name!r} leads outside.")
    return path


def _link_target(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    with archive.open(entry) as source:
        target = source.read(LINK_BYTES_MAX + 1)
    if len(target) > LINK_BYTES_MAX:
        raise InvalidCode(f"{_UNZIP_FAILED} {entry.filename!r} is no link.")
    return target.decode()


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, bytes_max: int) -> int:
    written = 0
    with archive.open(entry) as source, path.open("xb") as target:
        while data := source.read(_COPY_BYTES):
            written += len(data)
            if written > bytes_max:
                raise InvalidCode(_TOO_LARGE)
            target.write(data)
    executable = (entry.external_attr >> 16) & 0o111
    path.chmod(0o755 if executable else 0o644)
    return written


def _link(into: Path, links: list[tuple[Path, str]]) -> None:
    """Makes the links when all files are written, so that none was written through one."""
    root = os.path.realpath(into)
    for path, target in links:
        try:
            path.symlink_to(target)
        except (FileExistsError, ValueError) as error:
            raise InvalidCode(f"{_UNZIP_FAILED} Two entries have one path.") from error
    for path, target in links:
        real = os.path.realpath(path)
        if PurePosixPath(target).is_absolute() or os.path.commonpath([root, real]) != root:
            raise InvalidCode(f"{_UNZIP_FAILED} The link {path.name!r} leads outside.")
