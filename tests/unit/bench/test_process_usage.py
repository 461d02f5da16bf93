"""The finer clock of a process tree, where the kernel has one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventcore.bench.process_usage import ProcessTree

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="the kernel does not tell"
)


def test_it_runs_on_while_the_process_works() -> None:
    tree = ProcessTree(os.getpid())
    before_s, own_before_s = tree.running_s(), time.process_time()
    while time.process_time() < own_before_s + 0.02:
        pass
    after_s = tree.running_s()
    assert before_s is not None
    assert after_s is not None
    assert after_s - before_s >= 0.015


def test_it_stands_still_while_the_processes_sleep_and_counts_children() -> None:
    work = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True); input()"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        tree = ProcessTree(parent.pid)
        last_s, now_s = None, tree.running_s()
        while now_s != last_s:
            last_s, now_s = now_s, tree.running_s()
        parent.communicate(b"\n", timeout=30)
    assert now_s is not None
    assert now_s >= 0.2


def test_a_process_that_is_gone_has_no_figure() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tree = ProcessTree(child.pid)
        child.communicate(b"\n", timeout=30)
    assert tree.running_s() is None
