"""Functions: every operation on them, and their invocation, whoever runs them.

    invoke ──▶ version (alias, weights) ──▶ loop? ──▶ concurrency ──▶ invoker of its kind ──▶ result

Rules of this file:

- What changes a function belongs into an engine request, like all of the engine's calls, and goes
  through `run`: environments of the old code or configuration end then.
- `invoke` stands outside of requests: it waits. It refuses (NotFound, Throttled,
  RecursiveInvocation) before anything runs; whatever the function does afterwards is a result.
- An asynchronous invocation is a row from `invoke_later` on; `async_invoker` takes it from there.
- Code runs with the rights of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, final

import msgspec

from eventcore import limits
from eventcore.arn import function_arn, parse_arn, split_qualifier
from eventcore.environments.invoker import Invoker
from eventcore.errors import AlreadyExists, InvalidParameter, NotFound, RecursiveInvocation
from eventcore.functions import lineage
from eventcore.functions.async_events import AsyncEvent
from eventcore.functions.function import Function
from eventcore.functions.function_spec import (
    KIND_HTTP,
    KIND_LOCAL,
    KIND_PROCESS,
    LATEST,
    FunctionCode,
    FunctionConfig,
    VersionRecord,
)
from eventcore.functions.invocation import (
    FailedInvocation,
    Invocation,
    InvocationResult,
    Payload,
)
from eventcore.ids import format_uuid
from eventcore.outcome import Outcome
from eventcore.runtime.async_invoker import AsyncInvoker
from eventcore.runtime.concurrency import Concurrency
from eventcore.runtime.connectors import Connectors
from eventcore.runtime.endpoint_functions import EndpointFunctions
from eventcore.runtime.function_logs import FunctionLogs
from eventcore.runtime.telemetry import logger_of

if TYPE_CHECKING:
    from eventcore.environments.pool import Environments
    from eventcore.runtime.engine import Engine

__all__ = ["FUNCTION", "FunctionCounts", "Functions"]

T = TypeVar("T")
FUNCTION: Final = "function"
DRAW_BITS: Final = 1 << 32

log = logger_of("eventcore.functions")


@final
class FunctionCounts:
    """What a function did since the start of this process."""

    __slots__ = ("errors", "invocations", "loops", "throttles")

    def __init__(self) -> None:
        self.invocations = 0
        self.errors = 0
        self.throttles = 0
        self.loops = 0


@final
class Functions:
    """The functions of one engine."""

    def __init__(self, engine: Engine, connectors: Connectors, directory: Path | None) -> None:
        """`directory` is where code is unpacked, None for a temporary one."""
        self._engine = engine
        self._directory = directory
        self.logs = FunctionLogs()
        """The latest lines that functions wrote."""
        self.endpoint_url: str | None = None
        """Where functions' own clients reach this broker; None where they can not."""
        self._concurrency = Concurrency(engine.quotas.function_concurrency_max)
        self._reserved: dict[tuple[str, str], int] = {}
        self._local: dict[str, Invoker] = {}
        self._pausing: set[str] = set()
        self._environments: Environments | None = None
        self._endpoints = EndpointFunctions(connectors)
        self._async = AsyncInvoker(engine, self)
        self._counts: dict[str, FunctionCounts] = {}
        self._configs: dict[str, FunctionConfig] = {}
        """Of functions with environments: what those of $LATEST were begun with."""
        self._is_idle = asyncio.Event()
        self._provisioned: dict[str, dict[str, FunctionConfig]] = {}
        """Versions by function for which environments are kept."""
        self._provisioning: set[asyncio.Task[None]] = set()
        self._is_ending = self._is_closing = False

    # In a request: looking

    def find(self, arn: str) -> Function:
        """The function of an ARN without qualifier. Raises NotFound("function", name)."""
        machine = self._engine.find(arn)
        if not isinstance(machine, Function):
            self._engine.look_at_directory()  # it may have been deleted just now
            raise NotFound(FUNCTION, arn.rpartition(":")[2])
        return machine

    def all_of(self, account: str, region: str) -> list[Function]:
        """The functions of an account in a region, by name."""
        found = []
        for arn in self._engine.arns_with_prefix(function_arn(account, region, "")):
            machine = self._engine.find(arn)
            if isinstance(machine, Function):
                self._engine.look(machine)
                found.append(machine)
        return found

    def read_code(self, function: Function, code: FunctionCode) -> bytes | None:
        """The zip of a version; None for code that is elsewhere. A short blocking read; raises
        StoreError.
        """
        keys = function.code_keys(code)
        if not keys:
            return None
        host = self._engine.host
        rows = host.read(host.seat_of(function), keys)
        assert all(row is not None for row in rows), "a version's code has no rows"
        return b"".join(row for row in rows if row is not None)

    def unreserved(self, account: str, region: str) -> int:
        """The concurrency that functions without a reservation share."""
        most = self._engine.quotas.function_concurrency_max or limits.FUNCTION_CONCURRENCY_MAX
        return most - self._reserved_by_all(account, region)

    def concurrency(self, function: Function) -> int:
        """Its invocations that run now."""
        return self._concurrency.running(function.arn)

    def counts(self, arn: str) -> FunctionCounts:
        """What a function did since the start of this process."""
        counts = self._counts.get(arn)
        if counts is None:
            counts = self._counts[arn] = FunctionCounts()
        return counts

    def provisioned_ready(self, function: Function, qualifier: str) -> int:
        """Environments of provisioned concurrency that are initialised now."""
        version = function.resolve(qualifier, 0.0).version
        if version.config.kind != KIND_PROCESS:
            record = function.provisioned(qualifier)
            return 0 if record is None else record.requested
        if self._environments is None:
            return 0
        return self._environments.provisioned_ready(function.arn, version.version)

    def provisioning_failed(self, function: Function, qualifier: str) -> bool:
        """Whether such environments could not be initialised when that was tried last."""
        if self._environments is None:
            return False
        version = function.resolve(qualifier, 0.0).version
        return self._environments.provisioning_failed(function.arn, version.version)

    # In a request: changing

    def create(
        self,
        arn: str,
        config: FunctionConfig,
        zip_bytes: bytes | None,
        *,
        tags: Mapping[str, str] | None = None,
        publish: bool = False,
        description: str = "",
    ) -> Function:
        """Creates a function, and version 1 of it if it is to be published.

        Raises AlreadyExists("function"), InvalidParameter, UnsupportedOperation for a URL that
        nothing here can call.
        """
        engine = self._engine
        if engine.find(arn) is not None:
            engine.look_at_directory()
            raise AlreadyExists(FUNCTION, arn.rpartition(":")[2])
        self.check(config)
        function = Function(arn, engine.ids)
        outcome = function.create(config, zip_bytes, engine.now_ms(), tags=dict(tags or {}))
        engine.add_resource(FUNCTION, arn, function)
        engine.watch(arn, True)
        self.run(function, outcome)
        if publish:
            self.run(function, function.publish(engine.now_ms(), description=description))
        return function

    def ensure(self, arn: str, config: FunctionConfig) -> Function:
        """Has a function be so configured that a program's or a daemon's own settings name; creates
        it if need be. What else was set for it stays. Raises as `create` does.
        """
        function = self._engine.find(arn)
        if not isinstance(function, Function):
            return self.create(arn, config, None)
        self.check(config)
        now_ms, existing = self._engine.now_ms(), function.latest.config
        wanted = msgspec.structs.replace(
            config,
            role=existing.role,
            description=existing.description,
            dead_letter_arn=existing.dead_letter_arn,
            tracing=existing.tracing,
            architecture=existing.architecture,
            storage_mb=existing.storage_mb,
            echoed=existing.echoed,
        )
        if config.kind == KIND_PROCESS and config.code != existing.code:
            self.run(function, function.update_code(None, config.code.location, now_ms))
        # What needs no code keeps that of the function's earlier kind.
        wanted = msgspec.structs.replace(wanted, code=function.latest.config.code)
        if wanted != function.latest.config:
            self.run(function, function.update_config(wanted, now_ms))
        return function

    def check(self, config: FunctionConfig) -> None:
        """Raises for a configuration that could never be run here, as `create` does."""
        if config.kind == KIND_HTTP:
            self._endpoints.check(config.handler)
        elif config.kind not in (KIND_LOCAL, KIND_PROCESS):
            raise InvalidParameter("kind", "Must be process, local or http.", config.kind)

    def delete(self, function: Function) -> None:
        """Deletes a function with its versions, and what waits to be invoked."""
        self._engine.drop_resource(function.arn)
        self._reserved.pop(_account_of(function.arn), None)
        self._configs.pop(function.arn, None)
        self._provisioned.pop(function.arn, None)
        if self._environments is not None:
            self._environments.retire(function.arn)
        self._counts.pop(function.arn, None)
        self.logs.forget(function.arn)

    def run(self, function: Function, outcome: Outcome[T]) -> T:
        """Takes the outcome of a function's command that changes it."""
        value = self._engine.run(function, outcome)
        self._changed(function)
        return value

    def _changed(self, function: Function) -> None:
        """What follows from a change, whatever it was. Only another configuration or other code
        costs the environments that run.
        """
        arn, config = function.arn, function.latest.config
        self._reserved.pop(_account_of(arn), None)
        known = self._configs.get(arn)
        if self._environments is not None and known is not None and known != config:
            self._environments.retire(arn, LATEST)
            del self._configs[arn]
        if arn in self._provisioned or function.all_provisioned():
            self._provision_soon(arn)

    def invoke_later(self, function: Function, event: AsyncEvent) -> str:
        """Puts an event into the function's queue; returns its request id. Raises
        LimitExceeded("async_events_max").
        """
        return self._engine.run(function, function.enqueue(event, self._engine.now_ms()))

    # Registrations

    def register(self, arn: str, invoker: Invoker) -> None:
        """Has a function of kind "local" run by `invoker`, from now on in this process. Not in a
        request.
        """
        self._local[arn] = invoker
        self._pausing.discard(arn)
        self._async.wake(arn)
        self._engine.mappings.noticed(arn)

    async def unregister(self, arns: Sequence[str], drain_ms: int) -> None:
        """Nobody runs them any more. What waits for them waits on; batches and events that run have
        `drain_ms` to end in.
        """
        self._pausing.update(arns)
        await asyncio.gather(
            self._engine.mappings.pause_functions(arns, drain_ms),
            *(self._async.pause(arn, drain_ms) for arn in arns),
        )
        for arn in self._pausing.intersection(arns):
            self._pausing.discard(arn)
            self._local.pop(arn, None)

    def is_runnable(self, function: Function) -> bool:
        """Whether an invocation could be begun at all."""
        if function.latest.config.kind == KIND_LOCAL:
            return function.arn in self._local and function.arn not in self._pausing
        return True

    # Invoking

    async def invoke(
        self,
        arn: str,
        payload: Payload,
        *,
        qualifier: str | None = None,
        trace_header: str = "",
        client_context: str = "",
        wants_log_tail: bool = False,
        request_id: str | None = None,
    ) -> InvocationResult:
        """Invokes a function (its ARN without qualifier) and waits for its result.

        Raises NotFound("function", "function version", "alias"), Throttled, RecursiveInvocation,
        FailedInvocation, StoreUnavailable, BrokerClosed. When the caller is cancelled, the function
        is stopped. At most once: nothing is tried again here.
        """
        engine = self._engine
        engine.begin()
        function = self.find(arn)
        draw = (engine.ids.token() % DRAW_BITS) / DRAW_BITS if qualifier else 0.0
        version = function.resolve(qualifier, draw).version
        engine.look(function)
        trace_header = self._extended(function, trace_header)
        is_unreserved = self._enter(function)
        try:
            barrier = engine.barrier()
            if barrier is not None:
                await barrier  # no code runs that is not durable
            invocation = Invocation(
                request_id=request_id or format_uuid(engine.ids.unique_id()),
                function_arn=arn,
                invoked_arn=f"{arn}:{qualifier}" if qualifier else arn,
                version=version.version,
                config=version.config,
                payload=payload,
                deadline_ms=engine.clock.now_ms() + version.config.timeout_ms,
                trace_header=trace_header,
                client_context=client_context,
                wants_log_tail=wants_log_tail,
            )
            return await self._invoke(arn, version, invocation)
        finally:
            self._concurrency.leave(arn, is_unreserved)
            if self._is_ending and not self._concurrency.total:
                self._is_idle.set()

    async def _invoke(
        self, arn: str, version: VersionRecord, invocation: Invocation
    ) -> InvocationResult:
        counts = self.counts(arn)
        counts.invocations += 1
        if version.config.kind == KIND_PROCESS and version.version == LATEST:
            self._configs[arn] = version.config
        result = await self._invoker(arn, version.config.kind).invoke(invocation)
        if result.error is not None:
            counts.errors += 1
        return result

    def _invoker(self, arn: str, kind: str) -> Invoker:
        if kind == KIND_LOCAL:
            invoker = self._local.get(arn)
            if invoker is None:
                raise FailedInvocation(f"no callable is registered for {arn}")
            return invoker
        return self._endpoints if kind == KIND_HTTP else self._pool()

    def _pool(self) -> Environments:
        if self._is_closing:
            raise FailedInvocation("the broker is closing")
        if self._environments is None:
            from eventcore.environments.pool import Environments  # noqa: PLC0415  (few need it)

            self._environments = Environments(
                self._read_code,
                self._directory,
                endpoint_url=lambda: self.endpoint_url,
                log=self.logs,
            )
        return self._environments

    def _read_code(self, arn: str, code: FunctionCode) -> bytes | None:
        self._engine.begin()
        function = self.find(arn)
        if all(version.config.code != code for version in function.versions()):
            return None  # the invocation has waited, and the code was changed meanwhile
        return self.read_code(function, code)

    def _extended(self, function: Function, trace_header: str) -> str:
        """The trace header to pass on. Raises RecursiveInvocation for a chain that is a loop."""
        if not trace_header:  # callables of this program get none made up: it would cost them most
            is_local = function.latest.config.kind == KIND_LOCAL
            return "" if is_local else lineage.extend("", function.arn, *self._new_root())
        if function.record.recursive_loop != "Allow":
            invocations = lineage.count(trace_header, function.arn)
            if invocations >= limits.RECURSION_INVOCATIONS_MAX:
                self.counts(function.arn).loops += 1
                raise RecursiveInvocation(function.name, invocations)
        return lineage.extend(trace_header, function.arn, *self._new_root())

    def _new_root(self) -> tuple[int, bytes]:
        return self._engine.clock.now_ms(), self._engine.ids.unique_id()

    def _enter(self, function: Function) -> bool:
        """Counts an invocation in. Raises Throttled."""
        reserved = function.record.reserved
        by_all = 0
        if reserved is None and self._engine.quotas.function_concurrency_max is not None:
            by_all = self._reserved_by_all(*_account_of(function.arn))
        try:
            return self._concurrency.enter(function.arn, reserved, by_all)
        except Exception:
            self.counts(function.arn).throttles += 1
            raise

    def _reserved_by_all(self, account: str, region: str) -> int:
        total = self._reserved.get((account, region))
        if total is None:
            functions = self.all_of(account, region)
            total = sum(function.record.reserved or 0 for function in functions)
            if functions:  # who asks for accounts without any costs no memory
                self._reserved[account, region] = total
        return total

    # What the engine calls

    def wake(self, arn: str) -> None:
        """A function has events that are due: called after its commits and ticks."""
        self._async.wake(arn)

    def loaded(self, functions: list[Function]) -> None:
        """Everything was loaded anew."""
        self._reserved.clear()
        provisioned = set(self._provisioned)  # what was asked for may have come to nothing
        for function in functions:
            if function.has_ready:
                self._async.wake(function.arn)
            if function.all_provisioned():
                provisioned.add(function.arn)
        for arn in sorted(provisioned):
            self._provision_soon(arn)

    async def close(self, drain_ms: int) -> None:
        """Ends: hands out no more events, lets what runs end within `drain_ms`, stops the rest."""
        self._is_ending = True
        if not self._concurrency.total:
            self._is_idle.set()
        await asyncio.gather(
            self._async.drain(drain_ms),
            asyncio.wait([asyncio.ensure_future(self._is_idle.wait())], timeout=drain_ms / 1000),
        )
        self._is_idle.set()
        self._is_closing = True
        for task in self._provisioning:
            task.cancel()
        environments, self._environments = self._environments, None
        if environments is not None:
            await environments.close()
        await self._endpoints.close()

    # Provisioned concurrency

    def _provision_soon(self, arn: str) -> None:
        if self._is_closing:
            return
        task = asyncio.get_running_loop().create_task(self._provision(arn))
        self._provisioning.add(task)
        task.add_done_callback(self._provisioning.discard)

    async def _provision(self, arn: str) -> None:
        """Has as many environments as are asked for, version by version, and no others."""
        wanted: dict[str, tuple[int, FunctionConfig]] = {}
        function = self._engine.find(arn)
        if isinstance(function, Function):
            for qualifier, record in function.all_provisioned().items():
                version = function.resolve(qualifier, 0.0).version
                if version.config.kind == KIND_PROCESS:
                    before, _ = wanted.get(version.version, (0, None))
                    wanted[version.version] = before + record.requested, version.config
        for name, config in self._provisioned.pop(arn, {}).items():
            wanted.setdefault(name, (0, config))
        kept = {name: config for name, (count, config) in wanted.items() if count}
        if kept:
            self._provisioned[arn] = kept
        # What ends comes first, and without a pause: nobody else looks after it.
        for name, (count, config) in sorted(wanted.items(), key=lambda item: item[1][0]):
            if count and self._provisioned.get(arn) is not kept:
                return  # another change came while those before it were started
            try:
                await self._pool().provision(arn, name, config, count)
            except FailedInvocation as error:
                log.warning("not_provisioned", function=arn, version=name, error=str(error))


def _account_of(arn: str) -> tuple[str, str]:
    parts = parse_arn(split_qualifier(arn)[0])
    return parts.account, parts.region
