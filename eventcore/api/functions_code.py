"""The code of functions in requests: what is taken of it, and what of it is refused; and its way
back, to who has the location that GetFunction tells.

Rules of this file (AWS's answers):

- Code comes as a zip in the request. There is no S3 here and there are no container images: who
  names one is told so.
- A zip is looked at as far as its directory tells, so that what can never be unpacked is refused
  before it is stored.
- The location of code is an address of this broker, and needs no signature: nothing here checks
  one.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from eventcore import limits
from eventcore.api.functions_address import read_address, version_at
from eventcore.api.functions_answers import CodeLocationAnswer
from eventcore.api.functions_faults import invalid_value, not_found, too_large
from eventcore.api.functions_requests import CodeShape, OfQualified
from eventcore.api.operation import Call
from eventcore.api.rest import RestAnswer
from eventcore.environments.code_store import zip_fault
from eventcore.functions.function import Function
from eventcore.functions.function_spec import VersionRecord

__all__ = ["CODE_PATH", "GetCodeRequest", "code_location", "get_code", "zip_of"]

CODE_PATH: Final = "/2015-03-31/functions/{FunctionName}/code"
"""AWS has UpdateFunctionCode there, and nothing that is asked with GET."""


class GetCodeRequest(OfQualified, frozen=True):
    """What the location of a version's code asks for: no operation of AWS's."""


def zip_of(code: CodeShape, *, is_update: bool) -> bytes:
    """The zip of a request, which has been looked at. Raises the fault for every other code."""
    if code.image_uri is not None:
        if is_update:
            raise invalid_value(
                "Please don't provide ImageUri when updating a function with packageType Zip."
            )
        raise invalid_value("eventcore does not run container images: send the code as ZipFile.")
    if code.s3_bucket is not None or code.s3_key is not None:
        raise invalid_value("eventcore does not read code from S3: send it as ZipFile.")
    zip_bytes = code.zip_file
    if not zip_bytes:
        raise invalid_value("Please provide a source for function code.")
    if len(zip_bytes) > limits.ZIP_BYTES_MAX:
        raise too_large(
            "RequestEntityTooLargeException",
            f"Zipped size must be smaller than {limits.ZIP_BYTES_MAX} bytes",
        )
    fault = zip_fault(zip_bytes)
    if fault is not None:
        raise invalid_value(fault)
    return zip_bytes


def code_location(call: Call, function: Function, version: VersionRecord) -> CodeLocationAnswer:
    """Where a version's code can be had, as GetFunction tells it."""
    if not function.code_keys(version.config.code):
        return CodeLocationAnswer()
    name = quote(f"{function.arn}:{version.version}", safe="")
    path = CODE_PATH.replace("{FunctionName}", name)
    return CodeLocationAnswer("S3", f"{call.base_url}{path}")


def get_code(call: Call, request: GetCodeRequest) -> RestAnswer:
    """The zip of a version. Who asks needs no credential, so the region is that of the ARN."""
    assert request.function_name is not None
    address = read_address(call, request.function_name, request.qualifier, is_of_any_region=True)
    function, version = version_at(call, address)
    zip_bytes = call.engine.functions.read_code(function, version.config.code)
    if zip_bytes is None:
        raise not_found(f"The code of {address.qualified_arn} is not stored here.")
    return RestAnswer(200, {"content-type": "application/zip"}, zip_bytes)
