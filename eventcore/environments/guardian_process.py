"""The guardian's own process: kills what is left when its parent has ended.

Run as a script, by file, without site packages. Lines of standard input: "+group", "-group",
"d" and a directory that is deleted at the end, "D" and one that is not, after all. It ends when
standard input ends or, where the system can tell (Linux), when its parent does.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys

__all__ = ["main"]


def _parent(pid: int) -> int:
    """A descriptor that is readable when the parent has ended; -1 where there is none."""
    try:
        descriptor = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1
    # The number may have been given to another process before it was opened.
    return descriptor if os.getppid() == pid else -1


def _watch(parent_pid: int, groups: set[int], directories: set[str]) -> None:
    """Keeps the books until the parent has ended."""
    poll = select.poll()
    poll.register(0, select.POLLIN)
    parent = _parent(parent_pid)
    if parent >= 0:
        poll.register(parent, select.POLLIN)
    rest = b""
    while True:
        ready = dict(poll.poll())
        if 0 in ready:
            data = os.read(0, 65536)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                text = os.fsdecode(line[1:])
                if line[:1] == b"+":
                    groups.add(int(text))
                elif line[:1] == b"-":
                    groups.discard(int(text))
                elif line[:1] == b"d":
                    directories.add(text)
                else:
                    directories.discard(text)
            if not data:
                return
        elif parent in ready:
            return


def main() -> None:
    """Watches, then kills and deletes."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    directories: set[str] = set()
    _watch(int(sys.argv[1]), groups, directories)
    for group in groups:
        try:
            os.killpg(group, signal.SIGKILL)
        except OSError:
            pass  # it has ended by itself
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
