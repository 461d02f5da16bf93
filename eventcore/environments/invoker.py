"""Who can run an invocation: the contract of an invoker.

There is one for each kind of function: the environments of this package for processes, others in
the runtime for callables of the program and for HTTP endpoints.
"""

from __future__ import annotations

from typing import Protocol

from eventcore.functions.invocation import Invocation, InvocationResult

__all__ = ["Invoker"]


class Invoker(Protocol):
    """Who runs functions of one kind."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Runs it to its end, or to its deadline, in which case the function is stopped. When
        cancelled, the function is stopped too. Raises FailedInvocation where the function could not
        be run at all for a reason that is not its own and may pass.
        """
        ...

    async def close(self) -> None:
        """Ends everything. Running invocations are stopped."""
        ...
