"""How requests name functions: by name, by partial ARN, by ARN, each with or without a qualifier.

    my-function  my-function:live  123456789012:function:my-function  function:my-function:1
    arn:aws:lambda:us-east-1:123456789012:function:my-function:$LATEST

Rules of this file (AWS's answers):

- What the patterns do not allow never comes here: the constraints are checked before.
- The qualifier is a member of its own or a part of the name; both together must be the same.
- A function of another region is never found. One of another account is, as nothing here asks
  policies: whoever may call may name it.
- A function that is not found is told by its ARN, with the qualifier if there is one.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from eventcore.api.functions_faults import function_not_found, invalid_value, not_found
from eventcore.api.operation import Call
from eventcore.arn import function_arn
from eventcore.errors import NotFound
from eventcore.functions.function import Function
from eventcore.functions.function_spec import LATEST, VersionRecord

__all__ = [
    "FUNCTION_PATTERN",
    "NAMESPACED_PATTERN",
    "QUALIFIER_PATTERN",
    "REGION_PATTERN",
    "FunctionAddress",
    "find_function",
    "function_at",
    "is_version",
    "read_address",
    "read_unqualified",
    "version_at",
]

REGION_PATTERN: Final = r"(eusc-)?[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}"
_BEFORE_NAME: Final = (
    rf"(arn:(aws[a-zA-Z-]*)?:lambda:)?({REGION_PATTERN}:)?(\d{{12}}:)?(function:)?"
)
FUNCTION_PATTERN: Final = _BEFORE_NAME + r"([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?"
"""Of operations that change a function."""
NAMESPACED_PATTERN: Final = (
    _BEFORE_NAME + r"([a-zA-Z0-9-_\.]+)(:(\$LATEST(\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)
"""Of the other operations."""
QUALIFIER_PATTERN: Final = r"\$(LATEST(\.PUBLISHED)?)|[a-zA-Z0-9-_$]+"

_PARTS: Final = re.compile(
    rf"(?:arn:[a-zA-Z-]*:lambda:)?(?:(?P<region>{REGION_PATTERN}):)?(?:(?P<account>\d{{12}}):)?"
    r"(?:function:)?(?P<name>[a-zA-Z0-9-_.]+)(?::(?P<qualifier>[a-zA-Z0-9-_$.]+))?",
    re.ASCII,
)


class FunctionAddress(msgspec.Struct, frozen=True):
    """A function, and the version or the alias of it that is meant; None for neither."""

    account: str
    region: str
    name: str
    qualifier: str | None = None

    @property
    def arn(self) -> str:
        """The ARN without a qualifier: the machine's."""
        return function_arn(self.account, self.region, self.name)

    @property
    def qualified_arn(self) -> str:
        """The ARN as it was asked for."""
        return self.arn if self.qualifier is None else f"{self.arn}:{self.qualifier}"


def read_address(
    call: Call, name: str, qualifier: str | None = None, *, is_of_any_region: bool = False
) -> FunctionAddress:
    """What a request means by FunctionName and Qualifier. Raises the fault for two qualifiers that
    differ, and for another region than the caller's.
    """
    parts = _PARTS.fullmatch(name)
    assert parts is not None, "names are checked before"
    region, account = parts["region"] or call.region, parts["account"] or call.account
    derived = parts["qualifier"]
    if derived is not None and qualifier is not None and derived != qualifier:
        raise invalid_value(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    if region != call.region and not is_of_any_region:
        raise not_found(
            f"Functions from '{region}' are not reachable in this region ('{call.region}')"
        )
    return FunctionAddress(account, region, parts["name"], derived or qualifier)


def read_unqualified(call: Call, name: str) -> FunctionAddress:
    """The same for an operation on the function as a whole, which no alias or version can stand
    for. "$LATEST" may be said, and means nothing.
    """
    address = read_address(call, name)
    if address.qualifier not in (None, LATEST):
        raise invalid_value(
            "This operation is permitted on Lambda functions only. Aliases and versions do not "
            "support this operation. Please specify either a function name or an unqualified "
            "function ARN."
        )
    return msgspec.structs.replace(address, qualifier=None)


def function_at(call: Call, address: FunctionAddress) -> Function:
    """The function of an address, whether its qualifier exists or not. Raises
    ResourceNotFoundException.
    """
    try:
        function = call.engine.functions.find(address.arn)
    except NotFound as error:
        raise function_not_found(address.qualified_arn) from error
    call.engine.look(function)
    return function


def find_function(call: Call, name: str | None) -> Function:
    """The function that a request means as a whole."""
    assert name is not None
    return function_at(call, read_unqualified(call, name))


def version_at(call: Call, address: FunctionAddress) -> tuple[Function, VersionRecord]:
    """The function, and the version that the address means; an alias means its first version.

    Raises ResourceNotFoundException.
    """
    function = function_at(call, address)
    qualifier = address.qualifier
    try:
        if qualifier is None:
            return function, function.latest
        if is_version(qualifier):
            return function, function.version(qualifier)
        return function, function.version(function.alias(qualifier).version)
    except NotFound as error:
        raise function_not_found(address.qualified_arn) from error


def is_version(qualifier: str) -> bool:
    """Whether a qualifier is a version's, and not an alias's."""
    return qualifier == LATEST or qualifier.isdigit()
