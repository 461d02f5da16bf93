"""Calls of Lambda through boto3, and the errors that they may end with."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::000000000000:role/worker"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
LATEST = "$LATEST"
NAME_PATTERN = (
    r"(arn:(aws[a-zA-Z-]*)?:lambda:)?((eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:)?"
    r"(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
NAMESPACED_PATTERN = NAME_PATTERN.replace(
    "_]+)(:(\\$LATEST|", "_\\.]+)(:(\\$LATEST(\\.PUBLISHED)?|"
)


def zipped(
    text: str = "def handler(event, context): return event", name: str = "index.py"
) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), text)
    return content.getvalue()


def create(functions: Any, name: str = "f", **members: Any) -> Any:
    given = {
        "Role": ROLE,
        "Runtime": "python3.12",
        "Handler": "index.handler",
        "Code": {"ZipFile": zipped()},
    }
    said = {key: value for key, value in {**given, **members}.items() if value is not None}
    return functions.create_function(FunctionName=name, **said)


def refused(call: Callable[..., Any], **members: Any) -> tuple[str, str, int]:
    """(code, text, status) of a call that fails."""
    with pytest.raises(ClientError) as caught:
        call(**members)
    answer = caught.value.response
    error = answer["Error"]
    return error["Code"], error["Message"], answer["ResponseMetadata"]["HTTPStatusCode"]


def invalid(text: str) -> tuple[str, str, int]:
    return "InvalidParameterValueException", text, 400


def absent(text: str) -> tuple[str, str, int]:
    return "ResourceNotFoundException", text, 404


def broken(value: str, place: str, reason: str) -> tuple[str, str, int]:
    text = f"Value '{value}' at '{place}' failed to satisfy constraint: {reason}"
    return "ValidationException", f"1 validation error detected: {text}", 400


def like(pattern: str) -> str:
    return f"Member must satisfy regular expression pattern: {pattern}"
