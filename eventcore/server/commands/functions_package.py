"""Deployment packages: a zip of a directory, or of a file.

Rules of this file:

- The same content is the same zip, byte for byte: names are sorted, times are left out. So an
  endpoint can tell that nothing has changed.
- `__pycache__`, `.git` and compiled Python files are left out. Permissions are kept, for a
  `bootstrap` must be executable. Links to files are followed; a link to a directory is refused,
  since it may lead out of the directory, or back into it.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from eventcore import limits
from eventcore.errors import InvalidParameter, LimitExceeded

__all__ = ["package"]

LEFT_OUT: Final = frozenset(("__pycache__", ".git"))
LEFT_OUT_SUFFIX: Final = ".pyc"
TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The first that a zip can have."""
ANY_MODE: Final = 0o755
FILE_MODE: Final = 0o644


def package(path: Path) -> bytes:
    """The zip of a directory's files, or of one file; a file that is a zip is taken as it is.

    Raises InvalidParameter for what is not there, or empty, or no file, LimitExceeded for more than
    a function's code may be, OSError.
    """
    if path.is_dir():
        content = _zip(list(_files(path)))
    elif not path.is_file():
        raise InvalidParameter("path", f"there is no file and no directory {path}", str(path))
    elif path.suffix == ".zip" and zipfile.is_zipfile(path):
        content = path.read_bytes()
    else:
        content = _zip([(path.name, path)])
    if len(content) > limits.ZIP_BYTES_MAX:
        raise LimitExceeded("zip_bytes_max", limits.ZIP_BYTES_MAX)
    return content


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    found = False
    for place, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for folder in folders:
            link = Path(place, folder)
            if link.is_symlink():
                raise InvalidParameter("path", f"{link} is a link to a directory", str(link))
        for name in sorted(names):
            file = Path(place, name)
            if file.suffix != LEFT_OUT_SUFFIX:
                found = True
                yield file.relative_to(root).as_posix(), file
    if not found:
        raise InvalidParameter("path", f"{root} has no files", str(root))


def _zip(files: list[tuple[str, Path]]) -> bytes:
    content = io.BytesIO()
    size = 0
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in sorted(files):
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise InvalidParameter("path", f"{file} is no regular file", str(file))
            size += status.st_size
            if size > limits.UNZIPPED_BYTES_MAX:
                raise LimitExceeded("unzipped_bytes_max", limits.UNZIPPED_BYTES_MAX)
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            mode = ANY_MODE if status.st_mode & stat.S_IXUSR else FILE_MODE
            entry.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(entry, file.read_bytes())
    return content.getvalue()
