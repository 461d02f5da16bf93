"""Which runtimes run here, and by what command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from eventcore.environments import runtimes
from eventcore.environments.runtimes import Interpreters, supported_runtime
from eventcore.environments.variables import variables_of
from eventcore.functions.function_spec import FunctionConfig

ROOT = Path("/code")


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.mark.parametrize("runtime", ["python3.8", "python3.14", "provided", "provided.al2023"])
def test_these_can_be_run(runtime: str) -> None:
    assert supported_runtime(runtime) is None


@pytest.mark.parametrize("runtime", ["java21", "dotnet8", "ruby3.3", "go1.x", "python2.7", ""])
def test_these_cannot_and_the_reason_names_them(runtime: str) -> None:
    reason = supported_runtime(runtime)
    assert reason is not None
    assert (runtime or "(none)") in reason


def test_node_functions_need_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = supported_runtime("nodejs22.x")
    assert reason is not None
    assert "'node'" in reason
    program(tmp_path / "node", "#!/bin/sh\n")
    assert supported_runtime("nodejs22.x") is None


def test_nothing_runs_without_posix(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("eventcore.environments.runtimes.os.name", "nt")
        reason = supported_runtime("python3.12")
    assert reason is not None


async def test_commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path / "node", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    interpreters = Interpreters()
    own = f"python3.{sys.version_info[1]}"
    command = await interpreters.command(FunctionConfig(runtime=own), ROOT)
    assert command == [sys.executable, "-u", str(runtimes.PYTHON_CLIENT)]
    assert runtimes.PYTHON_CLIENT.is_file()
    command = await interpreters.command(
        FunctionConfig(runtime="nodejs20.x", memory_mb=1_000), ROOT
    )
    node = str(tmp_path / "node")
    assert command == [node, "--max-old-space-size=900", str(runtimes.NODE_CLIENT)]
    assert runtimes.NODE_CLIENT.is_file()
    command = await interpreters.command(FunctionConfig(runtime="provided.al2"), ROOT)
    assert command == ["/code/bootstrap"]


@pytest.mark.parametrize(
    ("minor", "script", "is_used"),
    [
        (98, "echo 98 /opt/python3.98", True),
        (98, "echo 97 /opt/python3.97", False),  # another version under this name
        (98, "echo 'no such version' >&2; exit 127", False),  # a launcher that finds nothing
        (98, "echo", False),
        (7, "echo 7 /opt/python3.7", False),  # cannot read the runtime client
    ],
)
async def test_a_python_of_the_path_is_used_if_it_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, minor: int, script: str, is_used: bool
) -> None:
    program(tmp_path / f"python3.{minor}", f"#!/bin/sh\n{script}\n")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    interpreters = Interpreters()
    config = FunctionConfig(runtime=f"python3.{minor}")
    expected = f"/opt/python3.{minor}" if is_used else sys.executable
    for _ in range(2):
        assert (await interpreters.command(config, ROOT))[0] == expected


def test_a_functions_own_variables_win_but_for_reserved_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy")
    monkeypatch.setenv("NO_PROXY", "example.org")
    own = {"AWS_ENDPOINT_URL": "http://own", "AWS_ACCESS_KEY_ID": "key", "_HANDLER": "x"}
    variables = variables_of(
        "arn:aws:lambda:us-east-1:000000000000:function:f",
        "$LATEST",
        FunctionConfig(handler="a.b", environment=own),
        runtime_api="127.0.0.1:1",
        task_root=ROOT,
        scratch=Path("/scratch"),
        endpoint_url="http://ours",
        initialization="on-demand",
    )
    assert variables["AWS_ENDPOINT_URL"] == "http://own"
    assert variables["AWS_ACCESS_KEY_ID"] == "key"
    assert variables["_HANDLER"] == "a.b"
    assert variables["HTTP_PROXY"] == "http://proxy"
    assert variables["NO_PROXY"] == variables["no_proxy"] == "example.org,127.0.0.1"
    assert variables["TMPDIR"] == "/scratch"
