"""How many invocations run at a time: of a function, and of an account in a region.

Rules of this file:

- A function with reserved concurrency runs at most so many, and nobody else uses them. All others
  share what the account's quota leaves; without a quota they are not bounded here.
- What runs is counted in memory. After a restart nothing runs.
- An invocation beyond the bound is refused at once; whoever made it decides what becomes of it.
"""

from __future__ import annotations

from typing import Final, final

from eventcore.errors import Throttled

__all__ = ["ACCOUNT_REASON", "FUNCTION_REASON", "Concurrency"]

FUNCTION_REASON: Final = "ReservedFunctionConcurrentInvocationLimitExceeded"
ACCOUNT_REASON: Final = "ConcurrentInvocationLimitExceeded"


@final
class Concurrency:
    """The invocations that run now. `account_max` is the quota, None for none."""

    def __init__(self, account_max: int | None) -> None:
        self._account_max = account_max
        self._of_function: dict[str, int] = {}
        self._unreserved: dict[str, int] = {}

    def enter(self, arn: str, reserved: int | None, reserved_by_all: int) -> bool:
        """Counts an invocation of a function in. The value tells `leave` whose share it uses.

        `reserved` is the function's own, `reserved_by_all` the sum of its account's in its region.
        Raises Throttled.
        """
        running = self._of_function.get(arn, 0)
        if reserved is not None:
            if running >= reserved:
                raise Throttled(_name(arn), FUNCTION_REASON)
        else:
            account = _account(arn)
            shared = self._unreserved.get(account, 0)
            if self._account_max is not None and shared >= self._account_max - reserved_by_all:
                raise Throttled(_name(arn), ACCOUNT_REASON)
            self._unreserved[account] = shared + 1
        self._of_function[arn] = running + 1
        return reserved is None

    def leave(self, arn: str, is_unreserved: bool) -> None:
        """Counts an invocation out."""
        running = self._of_function[arn] - 1
        if running:
            self._of_function[arn] = running
        else:
            del self._of_function[arn]
        if is_unreserved:
            account = _account(arn)
            shared = self._unreserved[account] - 1
            if shared:
                self._unreserved[account] = shared
            else:
                del self._unreserved[account]

    def running(self, arn: str) -> int:
        """Invocations of a function that run now."""
        return self._of_function.get(arn, 0)

    @property
    def total(self) -> int:
        """Invocations of all functions that run now."""
        return sum(self._of_function.values())


def _account(arn: str) -> str:
    return arn.rpartition(":function:")[0]


def _name(arn: str) -> str:
    return arn.rpartition(":")[2]
