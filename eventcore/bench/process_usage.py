"""What a server costs: CPU time and memory of a process and all its children, read from outside
(psutil).

psutil is no dependency of the package: without it, and where the server's process id is unknown,
there are no figures rather than wrong ones.

CPU time comes in the kernel's ticks of (mostly) 10 ms. That is nothing beside a load, and coarse
beside a server that does nothing: `ProcessTree.running_s` is exact, where the kernel tells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import msgspec

__all__ = ["ProcessTree", "Usage"]


class Usage(msgspec.Struct, frozen=True):
    """CPU seconds since the processes began (user and system), and resident bytes at this moment;
    `children_cpu_s` is what of the CPU was the descendants' (of a daemon's, its writer process's).

    Resident bytes are summed over the processes, so memory that they share counts more than once.
    """

    cpu_s: float
    rss_bytes: int
    children_cpu_s: float = 0.0


@final
class ProcessTree:
    """A process and its descendants, found anew at each reading. A child that ended keeps its CPU
    in its parent's.
    """

    def __init__(self, pid: int) -> None:
        import psutil  # noqa: PLC0415  optional, and only where something is measured

        self._psutil = psutil
        self._root = psutil.Process(pid)

    @classmethod
    def of(cls, pid: int | None) -> ProcessTree | None:
        """The tree of a process, or None where there is no process id or no psutil."""
        if pid is None:
            return None
        try:
            return cls(pid)
        except ImportError:
            return None

    def usage(self) -> Usage:
        """The tree's sums now."""
        cpu_s = children_cpu_s = 0.0
        rss_bytes = 0
        for process in [self._root, *self._root.children(recursive=True)]:
            is_root = process is self._root
            try:
                used_s = _cpu_s(process, is_root=is_root)
                cpu_s += used_s
                children_cpu_s += 0.0 if is_root else used_s
                rss_bytes += int(process.memory_info().rss)
            except self._psutil.NoSuchProcess:
                continue
        return Usage(cpu_s, rss_bytes, children_cpu_s)

    def running_s(self) -> float | None:
        """Seconds that the tree's threads have been running, to the nanosecond; None where the
        kernel does not tell (it is Linux's schedstat).

        A thread that ended is not in it: for the difference of two readings over a quiet time.
        """
        running_ns = 0
        try:
            for process in [self._root, *self._root.children(recursive=True)]:
                for path in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
                    running_ns += int(path.read_text(encoding="ascii").split()[0])
        except (OSError, self._psutil.NoSuchProcess):
            return None
        return running_ns / 1e9 if running_ns else None


def _cpu_s(process: Any, *, is_root: bool) -> float:
    times = process.cpu_times()
    own = float(times.user + times.system)
    ended_children = float(times.children_user + times.children_system) if is_root else 0.0
    return own + ended_children
