"""Roles and managed policies of accounts, as plain synchronous calls; `engine.roles`.

The rules of `eventcore.runtime.engine` hold here: calls stand between `engine.begin()` and `hold`
(or `barrier`), raise an EventcoreError and have changed nothing, or have happened. IAM knows no
regions, so there is one machine per account; it is made with the account's first role or policy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar, final

from eventcore.outcome import Outcome
from eventcore.roles.iam_account import IamAccount

if TYPE_CHECKING:
    from eventcore.runtime.engine import Engine

__all__ = ["IAM", "Roles"]

T = TypeVar("T")
IAM: Final = "iam"


@final
class Roles:
    """IAM of one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, account: str) -> IamAccount:
        """What there is in an account, to be read only; empty where nothing was made yet."""
        engine = self._engine
        arn = _arn(account)
        machine = engine.find(arn)
        if machine is None:
            return IamAccount(arn, engine.ids)
        engine.look(machine)
        assert isinstance(machine, IamAccount)
        return machine

    def change(self, account: str, command: Callable[[IamAccount], Outcome[T]]) -> T:
        """Calls a command of an account and takes its outcome; returns its value. Raises what the
        command raises.
        """
        engine = self._engine
        machine = self.of(account)
        outcome = command(machine)  # first: it may refuse
        if machine.record is None:
            engine.add_resource(IAM, machine.arn, machine)
            engine.run(machine, machine.open(engine.now_ms()))
        return engine.run(machine, outcome)


def _arn(account: str) -> str:
    return f"arn:aws:iam::{account}:root"
