"""Scenarios of JavaScript clients, which run in processes of their own.

A scenario is a function in a file of `javascript/`; it prints what it saw as a line of JSON, and
the tests check that. Without Node.js, or without its packages, tests of such clients are skipped;
`.ci/run` has both and sets EVENTCORE_REQUIRE_NODE=1, and then they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent / "javascript"
# npm writes this file last.
INSTALLED = FOLDER / "node_modules" / ".package-lock.json"
NODE_MAJOR_MIN = 18
IS_REQUIRED = os.environ.get("EVENTCORE_REQUIRE_NODE") == "1"


def why_not() -> str | None:
    """What is missing on this machine, or None."""
    node = shutil.which("node")
    if node is None:
        return "there is no Node.js (node) on the PATH"
    script = "console.log(parseInt(process.versions.node))"
    shown = subprocess.run([node, "-e", script], capture_output=True, text=True)
    if shown.returncode != 0 or int(shown.stdout) < NODE_MAJOR_MIN:
        return f"Node.js is older than {NODE_MAJOR_MIN}, or does not run: {shown.stdout.strip()}"
    if not INSTALLED.exists():
        return "the JavaScript clients are not installed: `make test` does it, with npm"
    return None


def start(
    file: str, scenario: str, url: str, name: str, authority: Path | None = None
) -> subprocess.Popen[str]:
    """The process of a scenario, with pipes to and from it. It trusts the authority's certificates
    beside those that Node.js knows.
    """
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        # The SDK warns of every version of Node.js that is near its end.
        "NODE_NO_WARNINGS": "1",
        **({} if authority is None else {"NODE_EXTRA_CA_CERTS": str(authority)}),
    }
    return subprocess.Popen(
        ["node", str(FOLDER / file), scenario, url, name],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
