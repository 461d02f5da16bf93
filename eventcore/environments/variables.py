"""The environment variables of a function's process: AWS's, and what a machine needs.

Rules of this file:

- Nothing of this process's own variables is passed on, which may be secrets, but what names the
  machine: where programs, libraries and certificates are, and its proxies.
- AWS's variables are as on AWS. The function's own follow and win, so that AWS_ENDPOINT_URL and
  credentials can be set; those that AWS reserves are ours (AWS refuses a function that has them).
- Credentials are the account as access key, which is how this daemon knows who calls.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import Final

from eventcore.arn import parse_arn
from eventcore.functions.function_spec import FunctionConfig

__all__ = ["variables_of"]

INHERITED: Final = (
    "PATH",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
_LOOPBACK: Final = "127.0.0.1"


def variables_of(
    function_arn: str,
    version: str,
    config: FunctionConfig,
    *,
    runtime_api: str,
    task_root: Path,
    scratch: Path,
    endpoint_url: str | None,
    initialization: str,
) -> dict[str, str]:
    """All variables of one environment's process. `runtime_api` is host and port."""
    arn = parse_arn(function_arn)
    name = function_arn.rpartition(":")[2]
    variables = {name: os.environ[name] for name in INHERITED if name in os.environ}
    variables |= {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "PYTHONIOENCODING": "utf-8",
        "AWS_ACCESS_KEY_ID": arn.account,
        "AWS_SECRET_ACCESS_KEY": "eventcore",
    }
    if endpoint_url is not None:
        variables["AWS_ENDPOINT_URL"] = endpoint_url
    variables |= config.environment
    variables |= {
        "_HANDLER": config.handler,
        "AWS_REGION": arn.region,
        "AWS_DEFAULT_REGION": arn.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.memory_mb),
        "AWS_LAMBDA_FUNCTION_VERSION": version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": initialization,
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": _log_stream_name(version),
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": str(task_root),
        "LAMBDA_RUNTIME_DIR": str(Path(__file__).resolve().parent / "clients"),
    }
    variables["NO_PROXY"] = variables["no_proxy"] = _without_proxy(variables)
    return variables


def _log_stream_name(version: str) -> str:
    day = time.strftime("%Y/%m/%d", time.gmtime())
    return f"{day}/[{version}]{secrets.token_hex(16)}"


def _without_proxy(variables: dict[str, str]) -> str:
    """The Runtime API is on loopback, and no proxy leads there."""
    hosts = variables.get("NO_PROXY") or variables.get("no_proxy") or ""
    return f"{hosts},{_LOOPBACK}" if hosts else _LOOPBACK
