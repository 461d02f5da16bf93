"""The runtime client of Python functions: asks the Runtime API for events, calls the handler.

Run as a script, by file, in a process of its own:

    python -u python_client.py

Rules of this file:

- The standard library only, of Python 3.8 and later, and little of it: its imports are most of a
  cold start. HTTP is spoken on a plain socket, with one connection that is kept.
- What a handler sees is as on AWS: module search path, context object, log format of the root
  logger, shapes and texts of errors. Decimals are written as numbers, those with a fraction with
  the precision of a float.
- An error of the handler is posted, and the next event is asked for. An error of the
  initialisation is posted, and the process ends. When the Runtime API is gone, so is the process.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import socket
import sys
import time

TYPE_CHECKING = False  # as `typing` has it, whose import a cold start need not pay for
if TYPE_CHECKING:
    from typing import Any

__all__ = ["LambdaContext", "main"]

API = "/2018-06-01/runtime/"
RECEIVE_BYTES = 262144
_INDENT = "\u00a0"
# Until 3.11, AWS's answers are ASCII.
_IS_ASCII = os.environ.get("AWS_EXECUTION_ENV", "")[-4:] in ("n3.8", "n3.9", "3.10", "3.11")


class Fault(Exception):
    """An error that the runtime finds, with the type that AWS gives it."""

    def __init__(self, error_type: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.trace = trace or []


class RuntimeGone(Exception):
    """The Runtime API has ended the connection."""


class CognitoIdentity:
    """The identity that an invocation came with; both are None here."""

    def __init__(self) -> None:
        self.cognito_identity_id: str | None = None
        self.cognito_identity_pool_id: str | None = None


class Client:
    """What a mobile client tells of itself."""

    def __init__(self, told: dict[str, Any]) -> None:
        for name in (
            "installation_id",
            "app_title",
            "app_version_name",
            "app_version_code",
            "app_package_name",
        ):
            setattr(self, name, told.get(name))


class ClientContext:
    """What the caller has sent along with the invocation."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.custom = told.get("custom")
        self.env = told.get("env")
        client = told.get("client")
        self.client = Client(client) if isinstance(client, dict) else None


class LambdaContext:
    """The second argument of a handler, as on AWS."""

    def __init__(self, headers: dict[str, str]) -> None:
        variables = os.environ
        self.function_name = variables.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = variables.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = variables.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = variables.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = variables.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.aws_request_id = headers["lambda-runtime-aws-request-id"]
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = None
        self.identity = CognitoIdentity()
        self.client_context = _client_context(headers.get("lambda-runtime-client-context"))
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", "0"))

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation is out of time; never less than 0."""
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message: object) -> None:
        """Writes a text to the log."""
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        names = ("aws_request_id", "function_name", "function_version", "invoked_function_arn")
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"LambdaContext([{shown}])"


def _client_context(text: str | None) -> ClientContext | None:
    if not text:
        return None
    try:
        told = json.loads(text)
    except ValueError as error:
        raise Fault(
            "Runtime.LambdaContextUnmarshalError", f"Unable to parse Client Context JSON: {error}"
        ) from None
    return ClientContext(told) if isinstance(told, dict) else None


class Connection:
    """A kept connection to the Runtime API. One request at a time."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = address
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._next = (f"GET {API}invocation/next HTTP/1.1\r\nHost: {address}\r\n\r\n").encode()

    def next_event(self) -> tuple[dict[str, str], bytes]:
        """Waits for an event; returns its headers (lower case names) and its bytes."""
        _, headers, body = self._call(self._next)
        return headers, body

    def post(self, path: str, body: bytes, headers: str = "") -> int:
        """Posts a body; returns the status."""
        head = (
            f"POST {API}{path} HTTP/1.1\r\nHost: {self._address}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        )
        return self._call(head.encode() + body)[0]

    def _call(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        try:
            self._socket.sendall(request)
            data = b""
            while True:
                data += self._receive()
                end = data.find(b"\r\n\r\n")
                if end >= 0:
                    break
            status, *lines = data[:end].decode("utf-8", "replace").split("\r\n")
            headers = {}
            for line in lines:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            body = data[end + 4 :]
            missing = int(headers.get("content-length", "0")) - len(body)
            if missing > 0:
                parts = [body]
                while missing > 0:
                    part = self._receive()
                    parts.append(part)
                    missing -= len(part)
                body = b"".join(parts)
        except OSError as error:
            raise RuntimeGone(str(error)) from None
        return int(status.split(" ")[1]), headers, body

    def _receive(self) -> bytes:
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise RuntimeGone("closed")
        return data


class LogHandler(logging.Handler):
    """Writes records of the root logger in AWS's form; a record is one event with all its lines."""

    request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one record."""
        record.aws_request_id = LogHandler.request_id
        try:
            text = self.format(record)
            sys.stdout.write(text.replace("\n", "\r") + "\n")
        except Exception:  # noqa: BLE001  # as logging's own handlers do
            self.handleError(record)


def _set_up_logging() -> None:
    logging.Formatter.converter = time.gmtime
    handler = LogHandler()
    text = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
    handler.setFormatter(logging.Formatter(text, "%Y-%m-%dT%H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level in ("DEBUG", "INFO", "WARN", "WARNING", "ERROR", "CRITICAL", "FATAL"):
        root.setLevel(level)


def _load_handler(name: str) -> Any:
    """The handler that is called `name`. Raises Fault, and what the module raises."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        reason = "not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", f"Bad handler '{name}': {reason}")
    if module_name.split(".")[0] in sys.builtin_module_names:
        text = f"Cannot use built-in module {module_name} as a handler module"
        raise Fault("Runtime.BuiltInModuleConflict", text)
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        text = f"Unable to import module '{module_name}': {error}"
        raise Fault("Runtime.ImportModuleError", text) from error
    except SyntaxError as error:
        text = f"Syntax error in module '{module_name}': {error}"
        trace = [f'  File "{error.filename}" Line {error.lineno}\n    {error.text}']
        raise Fault("Runtime.UserCodeSyntaxError", text, trace) from error
    try:
        return getattr(module, function_name)
    except AttributeError:
        text = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault("Runtime.HandlerNotFound", text) from None


def _error_document(error: Exception, request_id: str) -> dict[str, Any]:
    """An error in the shape that AWS gives it."""
    if isinstance(error, Fault):
        message, error_type, trace = str(error), error.error_type, error.trace
    else:
        import traceback  # noqa: PLC0415  # most handlers never need it

        frames = traceback.extract_tb(error.__traceback__)
        while frames and frames[0].filename == __file__:
            del frames[0]
        try:
            message = str(error)
        except Exception:  # noqa: BLE001  # an error that cannot tell its text is one, too
            message = ""
        error_type = type(error).__name__
        # Without columns, so that no line has marks below it.
        plain = [(frame.filename, frame.lineno or 0, frame.name, frame.line) for frame in frames]
        trace = traceback.format_list(plain)
    return {
        "errorMessage": message,
        "errorType": error_type,
        "requestId": request_id,
        "stackTrace": trace,
    }


def _log_error(document: dict[str, Any]) -> None:
    """Writes an error as one event."""
    head = "[ERROR] " + document["errorType"]
    if document["errorMessage"]:
        head += ": " + document["errorMessage"]
    lines = [head, "Traceback (most recent call last):"]
    for element in document["stackTrace"]:
        for line in element.splitlines() or [""]:
            text = line.lstrip(" ")
            lines.append(_INDENT * (len(line) - len(text)) + text)
    sys.stdout.write("\r".join(lines).replace("\n", "\r") + "\n")


def _encode_other(value: object) -> int | float:
    import decimal  # noqa: PLC0415  # only where json knows no form

    if isinstance(value, decimal.Decimal):
        if value.is_finite() and value == value.to_integral_value():
            return int(value)
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _to_json(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=_IS_ASCII, default=_encode_other)
    return text.encode("utf-8", "surrogatepass")


def _call_handler(handler: Any, headers: dict[str, str], body: bytes) -> bytes:
    """The bytes of a handler's answer. Raises what it raises, and Fault."""
    context = LambdaContext(headers)
    try:
        event = json.loads(body)
    except ValueError as error:
        text = f"Unable to unmarshal input: {error}"
        raise Fault("Runtime.UnmarshalError", text) from None
    result = handler(event, context)
    if isinstance(result, bytes):
        return result
    try:
        return _to_json(result)
    except (TypeError, ValueError, RecursionError) as error:
        text = f"Unable to marshal response: {error}"
        raise Fault("Runtime.MarshalError", text) from None


def _post_error(connection: Connection, path: str, document: dict[str, Any]) -> None:
    _log_error(document)
    header = "Lambda-Runtime-Function-Error-Type: {}\r\n".format(
        document["errorType"].encode("ascii", "replace").decode()
    )
    connection.post(path, json.dumps(document).encode(), header)


def _serve(connection: Connection, handler: Any) -> None:
    while True:
        headers, body = connection.next_event()
        request_id = headers["lambda-runtime-aws-request-id"]
        LogHandler.request_id = request_id
        trace = headers.get("lambda-runtime-trace-id")
        if trace:
            os.environ["_X_AMZN_TRACE_ID"] = trace
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        try:
            answer = _call_handler(handler, headers, body)
        except Exception as error:  # noqa: BLE001  # whatever a handler raises is its result
            path = f"invocation/{request_id}/error"
            _post_error(connection, path, _error_document(error, request_id))
        else:
            connection.post(f"invocation/{request_id}/response", answer)


def main() -> None:
    """Loads the handler and serves events until the Runtime API is gone."""
    # In the place of this file's directory, which is none of the function's.
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    _set_up_logging()
    try:
        connection = Connection(os.environ["AWS_LAMBDA_RUNTIME_API"])
        try:
            handler = _load_handler(os.environ["_HANDLER"])
        except Exception as error:  # noqa: BLE001  # the module's own, whatever it is
            _post_error(connection, "init/error", _error_document(error, ""))
            sys.exit(1)
        _serve(connection, handler)
    except (OSError, RuntimeGone):
        sys.exit(1)


if __name__ == "__main__":
    main()
