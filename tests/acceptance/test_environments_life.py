"""The life of execution environments: crashes, timeouts, memory, freezing, the pool, the end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvloop

from eventcore.errors import StoreUnavailable
from eventcore.functions.function_spec import FunctionCode, FunctionConfig
from eventcore.functions.invocation import FailedInvocation, InvocationResult
from tests.acceptance.function_pool import ARN, FunctionPool, is_alive, state_of, until

PID = "import os\ndef main(event, context):\n    return os.getpid()\n"
# Writes its process id and then waits for a file to appear, without an end of its own.
BLOCKS = """
import os, pathlib, time
def main(event, context):
    pathlib.Path(event["told"] + ".new").write_text(str(os.getpid()))
    os.rename(event["told"] + ".new", event["told"])
    while not os.path.exists(event["go"]):
        time.sleep(0.005)
    return os.getpid()
"""


@pytest.fixture
async def functions() -> AsyncIterator[FunctionPool]:
    functions = FunctionPool()
    yield functions
    await functions.close()
    assert functions.pool.processes == 0


class Blocked:
    """An invocation that runs until it is let go."""

    def __init__(self, functions: FunctionPool, config: FunctionConfig, folder: Path) -> None:
        self.go = folder / "go"
        self.told = folder / "told"
        folder.mkdir()
        event = {"told": str(self.told), "go": str(self.go)}
        self.task = asyncio.create_task(functions.invoke(config, event))

    async def pid(self) -> int:
        await until(lambda: self.told.exists() or self.task.done())
        return int(self.told.read_text())

    async def let_go(self) -> InvocationResult:
        self.go.touch()
        return await self.task


async def test_a_timeout_kills_the_process_and_its_children(
    functions: FunctionPool, tmp_path: Path
) -> None:
    children = tmp_path / "children"
    source = (
        "import subprocess, pathlib, time\ndef main(event, context):\n"
        "    a = subprocess.Popen(['sleep', '1000'])\n"
        "    b = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "    pathlib.Path(event).write_text(f'{a.pid} {b.pid}')\n    time.sleep(1000)"
    )
    result = await functions.invoke(functions.python(source, timeout_ms=1_500), str(children))
    number = "00000000-0000-4000-8000-000000000001"
    assert (result.error, result.is_timeout) == ("Unhandled", True)
    assert result.payload.value == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {number} Error: Task timed out after 1.50 seconds",
    }
    lines = functions.texts(number)
    assert any(line.endswith(f"Z {number} Task timed out after 1.50 seconds\n") for line in lines)
    assert "\tDuration: 1500.00 ms\t" in lines[-1]
    assert lines[-1].endswith("\tStatus: timeout\t")
    pids = list(map(int, children.read_text().split()))
    assert len(pids) == 2
    await until(lambda: not any(map(is_alive, pids)))
    await until(lambda: functions.pool.processes == 0)


async def test_a_crash_in_an_invocation_is_its_result_and_the_next_has_a_new_process(
    functions: FunctionPool,
) -> None:
    config = functions.python(
        "import os, signal\ndef main(event, context):\n"
        "    if event == 'exit': os._exit(7)\n"
        "    if event == 'quit': os._exit(0)\n"
        "    if event == 'abort': os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    if event == 'leave': raise SystemExit(2)\n"
        "    return os.getpid()"
    )
    told = []
    pids = set()
    for event in ("exit", "quit", "abort", "leave"):
        pids.add((await functions.invoke(config)).payload.value)
        result = await functions.invoke(config, event)
        assert result.error == "Unhandled"
        assert result.payload.value["errorType"] == "Runtime.ExitError"
        told.append(result.payload.value["errorMessage"].partition(" Error: ")[2])
    assert told == [
        "Runtime exited with error: exit status 7",
        "Runtime exited without providing a reason",
        "Runtime exited with error: signal: segmentation fault",
        "Runtime exited with error: exit status 2",
    ]
    assert len(pids) == 4


async def test_a_process_that_died_while_idle_is_not_used(functions: FunctionPool) -> None:
    config = functions.python(PID)
    first = (await functions.invoke(config)).payload.value
    await until(lambda: state_of(first) == "T")
    os.kill(first, signal.SIGKILL)
    while is_alive(first):
        pass  # without a turn of the loop, which would notice
    second = await functions.invoke(config)
    assert second.error is None
    assert second.payload.value != first


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux")
async def test_too_much_memory_kills_the_process(functions: FunctionPool) -> None:
    config = functions.python(
        "import time, subprocess, sys\ndef main(event, context):\n"
        "    if event == 'holds':\n        kept = bytearray(200 << 20)\n        time.sleep(1000)\n"
        "    if event == 'returns':\n        kept = bytearray(60 << 20)\n        del kept\n"
        "    if event == 'child':\n"
        "        code = 'import time; kept = bytearray(200 << 20); time.sleep(1000)'\n"
        "        subprocess.run([sys.executable, '-c', code])\n",
        memory_mb=50,
    )
    for event in ("holds", "returns", "child"):
        result = await functions.invoke(config, event)
        assert result.error == "Unhandled"
        assert result.payload.value["errorType"] == "Runtime.OutOfMemory"
        assert result.payload.value["errorMessage"].endswith(
            " Error: Runtime exited with error: signal: killed"
        )
        assert "Error Type: Runtime.OutOfMemory" in functions.texts()[-1]
        assert (await functions.invoke(config, "")).error is None


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux")
async def test_an_initialisation_is_bounded_in_memory_too(functions: FunctionPool) -> None:
    config = functions.python("import time\nkept = bytearray(200 << 20)\ntime.sleep(1000)")
    result = await functions.invoke(config)
    assert result.payload.value["errorType"] == "Runtime.OutOfMemory"


async def test_an_environment_is_frozen_between_invocations(functions: FunctionPool) -> None:
    config = functions.python(
        "import os, threading, time\nticks = 0\n"
        "def count():\n    global ticks\n    while True:\n        ticks += 1\n"
        "        time.sleep(0.001)\n"
        "threading.Thread(target=count, daemon=True).start()\n"
        "def main(event, context):\n    return os.getpid()\n"
    )
    pid = (await functions.invoke(config)).payload.value
    await until(lambda: state_of(pid) == "T")
    assert (await functions.invoke(config)).payload.value == pid
    await until(lambda: state_of(pid) == "T")
    assert is_alive(pid)


async def test_a_cancelled_invocation_stops_the_process(
    functions: FunctionPool, tmp_path: Path
) -> None:
    config = functions.python(BLOCKS)
    blocked = Blocked(functions, config, tmp_path / "a")
    pid = await blocked.pid()
    blocked.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await blocked.task
    await until(lambda: not is_alive(pid) and functions.pool.processes == 0)


async def test_a_cancelled_start_leaves_no_process(functions: FunctionPool) -> None:
    config = functions.python("import time\ntime.sleep(1000)")
    task = asyncio.create_task(functions.invoke(config))
    await until(lambda: any(e.pid for e in functions.pool._living))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: functions.pool.processes == 0)


async def test_a_crowd_waits_for_its_turn(tmp_path: Path) -> None:
    functions = FunctionPool(processes_max=2)
    config = functions.python(PID)
    results = await asyncio.gather(*(functions.invoke(config) for _ in range(40)))
    pids = {result.payload.value for result in results}
    assert not any(result.error for result in results)
    assert 1 <= len(pids) <= 2
    await functions.close()


async def test_idle_environments_make_room_for_other_functions() -> None:
    functions = FunctionPool(processes_max=2)
    configs = [functions.python(f"{PID}# {number}") for number in range(5)]
    for _ in range(2):
        for number, config in enumerate(configs):
            result = await functions.invoke(config, function_arn=f"{ARN}-{number}")
            assert result.error is None
            assert functions.pool.processes <= 2
    await functions.close()


async def test_an_invocation_that_waits_can_be_cancelled(tmp_path: Path) -> None:
    functions = FunctionPool(processes_max=1)
    config = functions.python(BLOCKS)
    blocked = Blocked(functions, config, tmp_path / "a")
    await blocked.pid()
    waiting = [asyncio.create_task(functions.invoke(functions.python(PID))) for _ in range(3)]
    await until(lambda: len(functions.pool._waiting) == 3)
    waiting[0].cancel()
    waiting[1].cancel()
    assert (await blocked.let_go()).error is None
    assert (await waiting[2]).error is None
    assert [task.cancelled() for task in waiting] == [True, True, False]
    assert not functions.pool._waiting
    assert functions.pool._promised == 0
    await functions.close()


@pytest.mark.parametrize("is_given", ["room", "environment"])
async def test_what_a_cancelled_one_was_given_goes_to_the_next(
    tmp_path: Path, is_given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = FunctionPool(processes_max=1)
    config = functions.python(BLOCKS)
    blocked = Blocked(functions, config, tmp_path / "a")
    await blocked.pid()
    other = config if is_given == "environment" else functions.python(PID)
    event = {"told": str(tmp_path / "b"), "go": str(tmp_path)}
    waiting = [
        asyncio.create_task(functions.invoke(other, event, is_settled=False)) for _ in range(2)
    ]
    await until(lambda: len(functions.pool._waiting) == 2)
    first = functions.pool._waiting[0].future

    def cancelled_after(give: Callable[..., Any]) -> Callable[..., Any]:
        def give_and_cancel(*arguments: Any) -> Any:
            given = give(*arguments)
            if first.done():
                waiting[0].cancel()  # before it gets its turn
            return given

        return give_and_cancel

    (environment,) = functions.pool._living
    owner, name = (
        (environment, "_on_free") if is_given == "environment" else (functions.pool, "_serve_room")
    )
    monkeypatch.setattr(owner, name, cancelled_after(getattr(owner, name)))
    assert (await blocked.let_go()).error is None
    assert (await waiting[1]).error is None
    assert waiting[0].cancelled()
    assert functions.pool._promised == 0
    assert (await functions.invoke(config, event)).error is None
    await functions.close()


async def test_a_process_that_has_just_answered_is_waited_for(
    functions: FunctionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventcore.environments.pool.PATIENCE_S", 30)
    told = []
    for number in range(8):  # the end of the last one's process gives room, which is not taken
        config = functions.python(PID, environment={"N": str(number)})
        results = [await functions.invoke(config, is_settled=False) for _ in range(3)]
        told += [result.payload.value for result in results]
    assert len(set(told)) == 8
    assert told == [pid for pid in told[::3] for _ in range(3)]


async def test_a_changed_configuration_starts_anew_and_retired_ones_end(
    functions: FunctionPool, tmp_path: Path
) -> None:
    config = functions.python(PID)
    first = (await functions.invoke(config)).payload.value
    await until(lambda: state_of(first) == "T")
    changed = msgspec.structs.replace(config, environment={"A": "b"})
    second = (await functions.invoke(changed)).payload.value
    assert second != first
    await until(lambda: not is_alive(first))
    await until(lambda: state_of(second) == "T")
    functions.pool.retire(ARN, "5")
    assert is_alive(second)
    functions.pool.retire(ARN, "$LATEST")
    await until(lambda: not is_alive(second))
    blocked = Blocked(functions, functions.python(BLOCKS), tmp_path / "a")
    busy = await blocked.pid()
    functions.pool.retire(ARN)
    assert (await blocked.let_go()).payload.value == busy
    await until(lambda: not is_alive(busy) and functions.pool.processes == 0)


async def test_idle_environments_end() -> None:
    functions = FunctionPool(idle_ms=1)
    assert (await functions.invoke(functions.python(PID))).error is None
    await until(lambda: functions.pool.processes == 0)
    await functions.close()


async def test_provisioned_environments_are_there_before_they_are_needed(
    functions: FunctionPool,
) -> None:
    source = "import os\nkind = os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"
    config = functions.python(source + "def main(event, context):\n    return os.getpid(), kind\n")
    await functions.pool.provision(ARN, "3", config, 2)
    assert functions.pool.provisioned_ready(ARN, "3") == 2
    assert functions.pool.provisioned_ready(ARN, "4") == 0
    pid, kind = (await functions.invoke(config, version="3")).payload.value
    assert kind == "provisioned-concurrency"
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_alive(pid) and functions.pool.provisioned_ready(ARN, "3") == 2)
    await functions.pool.provision(ARN, "3", config, 0)
    assert functions.pool.provisioned_ready(ARN, "3") == 0
    functions.pool.retire(ARN)
    await until(lambda: functions.pool.processes == 0)


async def test_provisioning_what_cannot_start_returns_and_leaves_room_for_others() -> None:
    functions = FunctionPool(processes_max=2)
    broken = functions.python("1 / 0")
    await functions.pool.provision(ARN, "1", broken, 2)
    assert functions.pool.provisioned_ready(ARN, "1") == 0
    assert functions.pool.provisioning_failed(ARN, "1")
    good = functions.python(PID)
    await functions.pool.provision(f"{ARN}-2", "1", good, 50)
    assert functions.pool.provisioned_ready(f"{ARN}-2", "1") <= 1
    assert not functions.pool.provisioning_failed(f"{ARN}-2", "1")
    assert (await functions.invoke(good, function_arn=f"{ARN}-3")).error is None
    await functions.close()


async def test_what_is_not_the_functions_fault_is_raised(
    functions: FunctionPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = functions.python(PID)
    gone = msgspec.structs.replace(config, code=FunctionCode(9, "A" * 43 + "=", 1))
    with pytest.raises(FailedInvocation, match="not there"):
        await functions.invoke(gone)
    nowhere = msgspec.structs.replace(config, code=FunctionCode(location="/no/such/place"))
    with pytest.raises(FailedInvocation, match="is no directory"):
        await functions.invoke(nowhere)
    with pytest.raises(FailedInvocation, match="java21 cannot be run here"):
        await functions.invoke(msgspec.structs.replace(config, runtime="java21"))

    def fails(function_arn: str, code: FunctionCode) -> bytes | None:
        raise StoreUnavailable("no disk")

    with monkeypatch.context() as patch:
        patch.setattr(functions.pool, "_read_code", fails)
        with pytest.raises(FailedInvocation, match="no disk"):
            await functions.invoke(config)
        await functions.pool.provision(ARN, "1", config, 1)
        assert functions.pool.provisioned_ready(ARN, "1") == 0
        assert not functions.pool.provisioning_failed(ARN, "1")
    assert (await functions.invoke(config)).error is None
    assert functions.pool._promised == 0


async def test_a_zip_that_is_none_is_the_functions_fault(functions: FunctionPool) -> None:
    code = functions.code({"app.py": ""})
    functions.zips[code.sha256] = b"no zip at all"
    result = await functions.invoke(msgspec.structs.replace(functions.python(PID), code=code))
    assert result.payload.value["errorType"] == "InvalidZipFileException"
    assert functions.pool._promised == 0


async def test_code_in_a_directory_is_used_as_it_is(
    functions: FunctionPool, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text("def main(event, context):\n    return __file__")
    config = FunctionConfig(
        handler="app.main", runtime="python3.11", code=FunctionCode(location=str(tmp_path))
    )
    result = await functions.invoke(config)
    assert result.payload.value == str(tmp_path / "app.py")


async def test_what_was_unpacked_is_found_after_a_restart(tmp_path: Path) -> None:
    for reads in (1, 0):
        functions = FunctionPool(tmp_path)
        config = functions.python(
            "import os\ndef main(event, context):\n    return os.listdir(os.environ['TMPDIR'])"
        )
        assert (await functions.invoke(config)).payload.value == []
        assert functions.reads == reads
        await functions.close()


async def test_closing_ends_what_runs_and_what_waits(tmp_path: Path) -> None:
    functions = FunctionPool(processes_max=1)
    blocked = Blocked(functions, functions.python(BLOCKS), tmp_path / "a")
    pid = await blocked.pid()
    waiting = asyncio.create_task(functions.invoke(functions.python(PID)))
    await until(lambda: len(functions.pool._waiting) == 1)
    await functions.close()
    result = await blocked.task
    assert result.payload.value["errorType"] == "Runtime.ExitError"
    with pytest.raises(FailedInvocation):
        await waiting
    with pytest.raises(FailedInvocation):
        await functions.invoke(functions.python(PID))
    assert not is_alive(pid)
    await functions.close()


async def test_closing_while_environments_start(tmp_path: Path) -> None:
    functions = FunctionPool()
    config = functions.python("import time\ntime.sleep(1000)")
    tasks = [asyncio.create_task(functions.invoke(config)) for _ in range(4)]
    provisioning = asyncio.create_task(functions.pool.provision(ARN, "1", config, 2))
    await until(lambda: sum(e.pid is not None for e in functions.pool._living) >= 2)
    await functions.close()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [FailedInvocation] * 4
    await provisioning
    assert functions.pool.processes == 0
    assert functions.pool._promised == 0


def test_it_runs_on_uvloop_and_without_pidfds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def serve() -> None:
        functions = FunctionPool()
        source = (
            "import os\ndef main(event, context):\n    print(event)\n    return os._exit(event)"
        )
        config = functions.python(PID)
        pids = {(await functions.invoke(config)).payload.value for _ in range(20)}
        assert len(pids) == 1
        result = await functions.invoke(functions.python(source), 5)
        assert result.payload.value["errorMessage"].endswith("exit status 5")
        assert "5" in functions.texts()
        await functions.close()
        await until(lambda: not any(map(is_alive, pids)))
        assert functions.pool.processes == 0

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
    monkeypatch.setattr("eventcore.environments.worker.HAS_PIDFD", False)
    with asyncio.Runner() as runner:
        runner.run(serve())


PROGRAM = """
import asyncio, os, sys, time
from tests.acceptance.function_pool import FunctionPool, state_of, until

async def main():
    functions = FunctionPool()
    source = (
        "import os, subprocess, time\\nchild = subprocess.Popen(['sleep', '1000'])\\n"
        "def main(event, context):\\n    print(os.getpid(), child.pid, flush=True)\\n"
        "    if event: time.sleep(1000)\\n    return [os.getpid(), child.pid]"
    )
    config = functions.python(source)
    idle = (await functions.invoke(config, version="1")).payload.value
    await until(lambda: state_of(idle[0]) == "T")
    asyncio.create_task(functions.invoke(config, True, version="2"))
    await until(lambda: any(x.version == "2" and x.line[:1].isdigit() for x in functions.lines))
    busy = [x.line for x in functions.lines if x.version == "2" and x.line[:1].isdigit()]
    if sys.argv[1] == "fork" and os.fork() == 0:
        os.close(1)
        time.sleep(60)
        os._exit(0)
    print(*idle, busy[-1], functions.pool._guardian.pid, functions.pool._temporary.name, flush=True)
    await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["plain", "fork"])
def test_nothing_outlives_a_program_that_is_killed(kind: str) -> None:
    if kind == "fork" and not hasattr(os, "pidfd_open"):
        pytest.skip("a forked copy holds the pipe open, and the system cannot tell of the parent")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as program:
        assert program.stdout is not None
        *numbers, folder = program.stdout.readline().split()
        pids = list(map(int, numbers))
        assert len(pids) == 5
        assert all(map(is_alive, pids))
        assert Path(folder).is_dir()
        program.kill()
        asyncio.run(until(lambda: not any(map(is_alive, pids)) and not Path(folder).exists()))
        try:
            os.killpg(program.pid, signal.SIGKILL)  # the forked copy
        except ProcessLookupError:
            pass


async def test_a_guardian_that_was_killed_is_replaced(functions: FunctionPool) -> None:
    config = functions.python(PID)
    assert (await functions.invoke(config, version="1")).error is None
    first = functions.pool._guardian.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: not is_alive(first))
    assert (await functions.invoke(config, version="2")).error is None
    second = functions.pool._guardian.pid
    assert second not in (None, first)
