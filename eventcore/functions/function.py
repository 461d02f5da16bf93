"""A function: its versions and aliases, its settings, and the events that wait to be invoked.

Rules of this file:

- $LATEST can be changed; a published version never. Version numbers are given once, those of
  deleted versions too. A version that equals the one published last is not published again.
- Each change of a version, an alias or a policy gives it a new revision id. Publishing gives
  $LATEST one too, as on AWS, and a change of a policy gives the resource that it is on one.
- Code is log rows, once per digest, however many versions share it. A blob that no version names
  any more is trimmed in the outcome that lets go of it.
- A qualifier is a version ($LATEST or digits) or an alias (all else). A version that an alias names
  can not be deleted, so every alias resolves. Settings and policy of a version or alias go with it.
- Concurrency of an account, roles, destinations that do not exist: not known here.
- Every reading method returns frozen records; versions come in ascending order, all else by name.

What is executed, and when, is the runtime's: the machine only keeps what waits
(`async_events.py`).
"""

from __future__ import annotations

from typing import Final, TypeVar, final

import msgspec

from eventcore import limits
from eventcore.arn import parse_arn
from eventcore.codec import decode_json
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    PreconditionFailed,
)
from eventcore.functions.async_events import (
    AsyncAttempt,
    AsyncEvent,
    AsyncEvents,
    AsyncStatistics,
)
from eventcore.functions.code import blob_keys, blob_rows, blob_trim, code_sha256
from eventcore.functions.function_spec import (
    LATEST,
    AliasRecord,
    FunctionCode,
    FunctionConfig,
    FunctionRecord,
    InvokeConfig,
    PolicyRecord,
    PolicyStatement,
    ProvisionedRecord,
    Resolved,
    VersionRecord,
)
from eventcore.functions.invocation import InvocationResult
from eventcore.functions.invoke_records import json_text
from eventcore.functions.named_rows import NamedRows
from eventcore.functions.records import (
    ALIAS,
    FUNCTION,
    INVOKE_CONFIG,
    POLICY,
    PROVISIONED,
    VERSION,
    InvokeConfigRow,
    PolicyRow,
    ProvisionedRow,
    decode_alias,
    decode_function,
    decode_invoke_config,
    decode_policy,
    decode_provisioned,
    decode_version,
)
from eventcore.functions.validation import (
    check_alias_name,
    check_config,
    check_invoke_config,
    check_recursive_loop,
    check_reserved,
    check_tags,
    check_weights,
    check_zip,
    is_version,
)
from eventcore.ids import IdSource, format_uuid
from eventcore.outcome import (
    LOG_KEY_FIRST,
    Mutation,
    Outcome,
    Parcel,
    Trim,
    delete_row,
    put_row,
    row_family,
    row_key,
    row_number,
)

__all__ = ["Function"]

T = TypeVar("T")
POLICY_BYTES_MAX: Final = 20_480
"""Of the statements of one policy."""
_FUNCTION_KEY: Final = row_key(FUNCTION, 0)
_LATEST_NUMBER: Final = 0
_WHOLE: Final = ""
"""The policy's name for the function itself."""


@final
class Function:
    """One function. See the module's text for its rules."""

    def __init__(
        self,
        arn: str,
        ids: IdSource,
        *,
        events_max: int = limits.ASYNC_EVENTS_MAX,
        memory_bytes_max: int = limits.ASYNC_MEMORY_BYTES_MAX,
    ) -> None:
        parts = parse_arn(arn)
        self.arn = arn
        self.account = parts.account
        self.region = parts.region
        self.name = arn.rpartition(":")[2]
        self._ids = ids
        self._record: FunctionRecord | None = None
        self._versions: dict[int, VersionRecord] = {}
        self._aliases = NamedRows(ALIAS, decode_alias, lambda row: row.name)
        self._invoke_configs = NamedRows(
            INVOKE_CONFIG, decode_invoke_config, lambda row: row.qualifier
        )
        self._provisioned = NamedRows(PROVISIONED, decode_provisioned, lambda row: row.qualifier)
        self._policies = NamedRows(POLICY, decode_policy, lambda row: row.qualifier)
        self._events = AsyncEvents(
            arn, ids, self, events_max=events_max, memory_bytes_max=memory_bytes_max
        )

    # Reading

    @property
    def record(self) -> FunctionRecord:
        """What the function has beside its versions."""
        assert self._record is not None, "the function was not created"
        return self._record

    @property
    def latest(self) -> VersionRecord:
        """The version that can be changed."""
        return self._versions[_LATEST_NUMBER]

    def version(self, qualifier: str) -> VersionRecord:
        """A version by its name. Raises NotFound("function version")."""
        version = self._versions.get(_number_of(qualifier))
        if version is None or version.version != qualifier:
            raise NotFound("function version", qualifier, self.name)
        return version

    def versions(self) -> list[VersionRecord]:
        """$LATEST, then the published ones in ascending order."""
        return [self._versions[number] for number in sorted(self._versions)]

    def alias(self, name: str) -> AliasRecord:
        """An alias by its name. Raises NotFound("alias")."""
        alias = self._aliases.get(name)
        if alias is None:
            raise NotFound("alias", name, self.name)
        return alias

    def aliases(self, version: str | None = None) -> list[AliasRecord]:
        """The aliases by name; with a version, those that name it first or by a weight."""
        return [
            alias
            for alias in self._aliases
            if version is None or version == alias.version or version in alias.weights
        ]

    def resolve(self, qualifier: str | None, draw: float) -> Resolved:
        """What a qualifier means for one invocation; None is $LATEST. `draw`, from 0.0 to below
        1.0, decides among the weights of an alias. Raises NotFound("function version", "alias").
        """
        if qualifier is None:
            return Resolved(self.latest)
        if is_version(qualifier):
            return Resolved(self.version(qualifier))
        alias = self.alias(qualifier)
        version = alias.version
        for other, weight in alias.weights.items():  # one at the most
            if draw < weight:
                version = other
        return Resolved(self.version(version), alias.name)

    def invoke_config(self, qualifier: str) -> InvokeConfig | None:
        """The settings of asynchronous invocations of "$LATEST", a version or an alias."""
        row = self._invoke_configs.get(qualifier)
        return None if row is None else row.record

    def invoke_configs(self) -> dict[str, InvokeConfig]:
        """The same of all qualifiers that have any, by qualifier."""
        return {row.qualifier: row.record for row in self._invoke_configs}

    def provisioned(self, qualifier: str) -> ProvisionedRecord | None:
        """The provisioned concurrency of a version or an alias."""
        row = self._provisioned.get(qualifier)
        return None if row is None else row.record

    def all_provisioned(self) -> dict[str, ProvisionedRecord]:
        """The same of all qualifiers that have any, by qualifier."""
        return {row.qualifier: row.record for row in self._provisioned}

    def policy(self, qualifier: str | None) -> PolicyRecord | None:
        """The policy of a version or an alias, or of the function itself (None)."""
        row = self._policies.get(qualifier or _WHOLE)
        return None if row is None else row.record

    def code_keys(self, code: FunctionCode) -> list[int]:
        """The row keys of a zip; their values, joined in this order, are the zip. Empty for code
        that is elsewhere.
        """
        return blob_keys(code)

    def dead_letter_arn(self, qualifier: str | None, executed_version: str) -> str | None:
        """The dead-letter queue of the version that was invoked; where none was, or it is gone, of
        the one that the qualifier means, else of $LATEST.
        """
        version = self._versions.get(_number_of(executed_version))
        if version is None:
            try:
                version = self.resolve(qualifier, 0.0).version
            except NotFound:
                version = self.latest
        return version.config.dead_letter_arn

    # Versions

    def create(
        self,
        config: FunctionConfig,
        zip_bytes: bytes | None,
        now_ms: int,
        *,
        tags: dict[str, str] | None = None,
        reserved: int | None = None,
    ) -> Outcome[VersionRecord]:
        """Makes the function; the value is $LATEST. Without a zip, `config.code` says where the
        code is. Raises AlreadyExists, InvalidParameter, LimitExceeded("zip_bytes_max", "tags_max").
        """
        if self._record is not None:
            raise AlreadyExists("function", self.name)
        check_config(config)
        check_zip(zip_bytes)
        check_tags(tags or {})
        check_reserved(reserved)
        mutations: list[Mutation] = []
        record = FunctionRecord(now_ms, dict(tags or {}), reserved)
        if zip_bytes is not None:
            code = FunctionCode(record.next_blob, code_sha256(zip_bytes), len(zip_bytes))
            mutations += blob_rows(code.blob, zip_bytes)
            record = msgspec.structs.replace(record, next_blob=code.blob + 1)
            config = msgspec.structs.replace(config, code=code)
        else:
            assert not config.code.blob, "a blob is numbered here"
        version = VersionRecord(LATEST, config, now_ms, self._new_revision())
        mutations.append(put_row(_FUNCTION_KEY, record, is_new=True))
        mutations.append(self._version_row(_LATEST_NUMBER, version))
        return self._done(version, mutations)

    def update_config(
        self, config: FunctionConfig, now_ms: int, *, revision_id: str | None = None
    ) -> Outcome[VersionRecord]:
        """Sets the whole configuration of $LATEST, apart from its code. Raises PreconditionFailed,
        InvalidParameter.
        """
        self._check_revision(revision_id)
        check_config(config)
        config = msgspec.structs.replace(config, code=self.latest.config.code)
        version = VersionRecord(LATEST, config, now_ms, self._new_revision())
        return self._done(version, [self._version_row(_LATEST_NUMBER, version)])

    def update_code(
        self,
        zip_bytes: bytes | None,
        location: str,
        now_ms: int,
        *,
        revision_id: str | None = None,
        architecture: str | None = None,
    ) -> Outcome[VersionRecord]:
        """Gives $LATEST other code: a zip, or a directory that is used as it is. A zip that is
        stored already is not stored again.

        Raises PreconditionFailed, InvalidParameter, LimitExceeded("zip_bytes_max").
        """
        self._check_revision(revision_id)
        check_zip(zip_bytes)
        if zip_bytes is None and not location:
            raise InvalidParameter("code", "Please provide a source for function code.")
        mutations: list[Mutation] = []
        old = self.latest.config
        if zip_bytes is None:
            code = FunctionCode(location=location)
        else:
            code = self._stored(zip_bytes, mutations)
        config = msgspec.structs.replace(
            old, code=code, architecture=architecture or old.architecture
        )
        version = VersionRecord(LATEST, config, now_ms, self._new_revision())
        mutations.append(self._version_row(_LATEST_NUMBER, version))
        self._done(version, mutations)
        return Outcome(version, tuple(mutations), trims=self._trims(old.code))

    def _stored(self, zip_bytes: bytes, mutations: list[Mutation]) -> FunctionCode:
        sha256 = code_sha256(zip_bytes)
        for version in self._versions.values():
            if version.config.code.blob and version.config.code.sha256 == sha256:
                return version.config.code
        record = self.record
        code = FunctionCode(record.next_blob, sha256, len(zip_bytes))
        mutations += blob_rows(code.blob, zip_bytes)
        record = msgspec.structs.replace(record, next_blob=code.blob + 1)
        mutations.append(put_row(_FUNCTION_KEY, record))
        return code

    def _trims(self, code: FunctionCode) -> tuple[Trim, ...]:
        """The trim of a blob that was let go, unless a version still names it."""
        blobs = {version.config.code.blob for version in self._versions.values()}
        return () if not code.blob or code.blob in blobs else (blob_trim(code.blob),)

    def publish(
        self,
        now_ms: int,
        *,
        description: str = "",
        sha256: str | None = None,
        revision_id: str | None = None,
    ) -> Outcome[VersionRecord]:
        """Makes a version of $LATEST as it is. When nothing has changed since the last one, the
        value is that one, and nothing changes.

        Raises PreconditionFailed, InvalidParameter (`sha256` is not that of the code).
        """
        self._check_revision(revision_id)
        latest, record = self.latest, self.record
        current = latest.config.code.sha256
        if sha256 is not None and sha256 != current:
            raise InvalidParameter(
                "code_sha256",
                f"CodeSHA256 ({sha256}) is different from current CodeSHA256 in $LATEST "
                f"({current}). Please try again with the CodeSHA256 in $LATEST.",
                sha256,
            )
        last = self._versions.get(record.next_version - 1) if record.next_version > 1 else None
        if last is not None and last.config == latest.config:
            return Outcome(last)
        number = record.next_version
        version = VersionRecord(
            str(number), latest.config, now_ms, self._new_revision(), description
        )
        revised = msgspec.structs.replace(latest, revision_id=self._new_revision())
        record = msgspec.structs.replace(record, next_version=number + 1)
        return self._done(
            version,
            [
                put_row(_FUNCTION_KEY, record),
                self._version_row(number, version),
                self._version_row(_LATEST_NUMBER, revised),
            ],
        )

    def delete_version(self, version: str) -> Outcome[None]:
        """Deletes a published version with its settings and its policy. Raises NotFound, Conflict
        while an alias names it, InvalidParameter for $LATEST.
        """
        if version == LATEST:
            raise InvalidParameter(
                "qualifier",
                "$LATEST version cannot be deleted without deleting the function.",
                version,
            )
        found = self.version(version)
        aliases = self.aliases(version)
        if aliases:
            raise Conflict(
                "function version",
                version,
                f"Version {version} of the function is named by the alias {aliases[0].name}.",
            )
        mutations: list[Mutation] = []
        self._do(delete_row(row_key(VERSION, _number_of(version))), mutations)
        self._delete_settings(version, mutations)
        return Outcome(None, tuple(mutations), trims=self._trims(found.config.code))

    def _delete_settings(self, qualifier: str, mutations: list[Mutation]) -> None:
        for rows in (self._invoke_configs, self._provisioned, self._policies):
            for mutation in rows.delete(qualifier):
                self._do(mutation, mutations)

    # Aliases

    def put_alias(
        self,
        name: str,
        version: str,
        *,
        description: str = "",
        weights: dict[str, float] | None = None,
        is_new: bool,
        revision_id: str | None = None,
    ) -> Outcome[AliasRecord]:
        """Makes an alias (`is_new`), or replaces all there is of one.

        Raises AlreadyExists("alias"), NotFound("alias", "function version"), PreconditionFailed,
        InvalidParameter.
        """
        weights = dict(weights or {})
        old = self._aliases.get(name)
        if is_new:
            check_alias_name(name)
        check_weights(version, weights)
        if is_new and old is not None:
            raise AlreadyExists("alias", name)
        if not is_new:
            old = self.alias(name)
            _check_precondition("alias", name, revision_id, old.revision_id)
        for named in (version, *weights):
            self.version(named)
        alias = AliasRecord(name, version, self._new_revision(), description, weights)
        return self._done(alias, [self._aliases.put(alias)])

    def delete_alias(self, name: str) -> Outcome[None]:
        """Deletes an alias with its settings and its policy. Raises NotFound."""
        self.alias(name)
        mutations: list[Mutation] = []
        for mutation in self._aliases.delete(name):
            self._do(mutation, mutations)
        self._delete_settings(name, mutations)
        return Outcome(None, tuple(mutations))

    # Settings

    def set_reserved(self, reserved: int | None) -> Outcome[None]:
        """Sets the reserved concurrency; None for none. Raises InvalidParameter."""
        check_reserved(reserved)
        return self._change_record(msgspec.structs.replace(self.record, reserved=reserved))

    def set_tags(self, tags: dict[str, str]) -> Outcome[None]:
        """Sets all tags. Raises InvalidParameter, LimitExceeded("tags_max")."""
        check_tags(tags)
        return self._change_record(msgspec.structs.replace(self.record, tags=dict(tags)))

    def set_recursive_loop(self, recursive_loop: str) -> Outcome[None]:
        """Says what happens to a recursive loop: "Terminate" or "Allow". Raises
        InvalidParameter.
        """
        check_recursive_loop(recursive_loop)
        return self._change_record(
            msgspec.structs.replace(self.record, recursive_loop=recursive_loop)
        )

    def set_provisioned(self, qualifier: str, requested: int | None, now_ms: int) -> Outcome[None]:
        """Sets the provisioned concurrency of a version or an alias; None for none, which changes
        nothing where there is none.

        Raises NotFound, InvalidParameter, Conflict where a version and an alias of it would both
        have some.
        """
        if qualifier == LATEST:
            raise InvalidParameter(
                "qualifier",
                "Provisioned Concurrency Configs cannot be applied to unpublished function "
                "versions.",
                qualifier,
            )
        version = self.resolve(qualifier, 0.0)
        mutations: list[Mutation] = []
        if requested is None:
            mutations = self._provisioned.delete(qualifier)
        else:
            if requested < 1:
                raise InvalidParameter(
                    "provisioned_concurrent_executions", "Must be 1 or more.", requested
                )
            self._check_one_provisioned(version)
            row = ProvisionedRow(qualifier, ProvisionedRecord(requested, now_ms))
            mutations = [self._provisioned.put(row)]
        return self._done(None, mutations)

    def _check_one_provisioned(self, resolved: Resolved) -> None:
        version = resolved.version.version
        if resolved.alias is not None:
            if version in self._provisioned:
                raise Conflict(
                    "alias",
                    resolved.alias,
                    "Alias can't be used for Provisioned Concurrency configuration on an already "
                    "Provisioned version",
                )
        elif any(alias.name in self._provisioned for alias in self.aliases(version)):
            raise Conflict(
                "function version",
                version,
                "Version is pointed by a Provisioned Concurrency alias",
            )

    def set_invoke_config(self, qualifier: str, config: InvokeConfig | None) -> Outcome[None]:
        """Sets how asynchronous invocations of "$LATEST", a version or an alias are tried and where
        they end; None for AWS's defaults. It holds for events that wait already.

        Raises NotFound, InvalidParameter.
        """
        mutations: list[Mutation] = []
        if config is None:
            mutations = self._invoke_configs.delete(qualifier)
        else:
            self.resolve(qualifier, 0.0)
            check_invoke_config(config, self.arn)
            mutations = [self._invoke_configs.put(InvokeConfigRow(qualifier, config))]
        return self._done(None, mutations)

    # Policies

    def add_statement(
        self, qualifier: str | None, statement: PolicyStatement, revision_id: str | None = None
    ) -> Outcome[PolicyRecord]:
        """Adds a permission to the policy of a version or an alias, or of the function (None).

        Raises NotFound, AlreadyExists("statement"), PreconditionFailed, InvalidParameter for
        $LATEST, LimitExceeded("policy_bytes_max").
        """
        if qualifier == LATEST:
            raise InvalidParameter(
                "qualifier", "We currently do not support adding policies for $LATEST.", qualifier
            )
        revised = self._policed(qualifier)
        policy = self.policy(qualifier)
        statements = () if policy is None else policy.statements
        self._check_policy_revision(policy, revised, revision_id)
        if any(other.sid == statement.sid for other in statements):
            raise AlreadyExists("statement", statement.sid)
        statements = (*statements, statement)
        if sum(len(other.text.encode()) for other in statements) > POLICY_BYTES_MAX:
            raise LimitExceeded("policy_bytes_max", POLICY_BYTES_MAX)
        mutations: list[Mutation] = []
        revision = self._new_revision()
        record = PolicyRecord(statements, revision)
        self._do(self._policies.put(PolicyRow(qualifier or _WHOLE, record)), mutations)
        self._revise(qualifier, revision, mutations)
        return Outcome(record, tuple(mutations))

    def remove_statement(
        self, qualifier: str | None, sid: str, revision_id: str | None = None
    ) -> Outcome[None]:
        """Removes a permission; a policy without any is gone. Raises NotFound("function version",
        "alias", "policy", "statement"), PreconditionFailed.
        """
        revised = self._policed(qualifier)
        policy = self.policy(qualifier)
        if policy is None:
            raise NotFound("policy", qualifier or self.name, self.name)
        statements = tuple(other for other in policy.statements if other.sid != sid)
        if len(statements) == len(policy.statements):
            raise NotFound("statement", sid, self.name)
        self._check_policy_revision(policy, revised, revision_id)
        mutations: list[Mutation] = []
        revision = self._new_revision()
        name = qualifier or _WHOLE
        if statements:
            row = PolicyRow(name, PolicyRecord(statements, revision))
            self._do(self._policies.put(row), mutations)
        else:
            for mutation in self._policies.delete(name):
                self._do(mutation, mutations)
        self._revise(qualifier, revision, mutations)
        return Outcome(None, tuple(mutations))

    def _policed(self, qualifier: str | None) -> str:
        """The revision of what a policy is on. Raises NotFound."""
        if qualifier is None or is_version(qualifier):
            return self.version(qualifier or LATEST).revision_id
        return self.alias(qualifier).revision_id

    def _check_policy_revision(
        self, policy: PolicyRecord | None, revised: str, revision_id: str | None
    ) -> None:
        """A caller may know the policy's revision, or that of what it is on."""
        if policy is None or revision_id != policy.revision_id:
            _check_precondition("policy", self.name, revision_id, revised)

    # Revisions

    def _new_revision(self) -> str:
        return format_uuid(self._ids.unique_id())

    def _check_revision(self, revision_id: str | None) -> None:
        _check_precondition("function", self.name, revision_id, self.latest.revision_id)

    def _revise(self, qualifier: str | None, revision: str, mutations: list[Mutation]) -> None:
        """Gives a version or an alias a new revision id and changes nothing else of it."""
        if qualifier is None or is_version(qualifier):
            version = self.version(qualifier or LATEST)
            revised = msgspec.structs.replace(version, revision_id=revision)
            self._do(self._version_row(_number_of(version.version), revised), mutations)
        else:
            alias = msgspec.structs.replace(self.alias(qualifier), revision_id=revision)
            self._do(self._aliases.put(alias), mutations)

    # Asynchronous invocations: see `AsyncEvents`

    def enqueue(self, event: AsyncEvent, now_ms: int) -> Outcome[str]:
        """Takes an event in, to be invoked later; the value is its request id, a UUID.

        Raises LimitExceeded("async_events_max", "invoke_later_bytes_max"), NotFound for its
        qualifier, InvalidParameter for a payload that is not JSON.
        """
        self.resolve(event.qualifier, 0.0)
        try:
            size = len(event.payload.encode())
            decode_json(event.payload)
            (event.trace_header + event.client_context).encode()
        except (ValueError, RecursionError) as error:
            reason = "Could not parse request body into json: the payload is not JSON."
            raise InvalidParameter("payload", reason) from error
        if size > limits.INVOKE_LATER_BYTES_MAX:
            raise LimitExceeded("invoke_later_bytes_max", limits.INVOKE_LATER_BYTES_MAX)
        return self._events.enqueue(event, now_ms)

    def accept(self, parcel: Parcel, now_ms: int, qualifier: str | None = None) -> Outcome[None]:
        """Takes an event that another machine delivers to this qualifier. Never refuses: a body
        that is not JSON becomes a JSON string, and a full queue gives up its oldest event.
        """
        event = AsyncEvent(json_text(parcel.body), qualifier, parcel.trace_header or "")
        return self._events.accept(event, now_ms)

    def due(self, now_ms: int, limit: int) -> Outcome[tuple[AsyncAttempt, ...]]:
        """Hands out at most `limit` events to be invoked, or discarded, now."""
        return self._events.due(now_ms, limit)

    def succeed(
        self, attempt: AsyncAttempt, event: AsyncEvent, result: InvocationResult, now_ms: int
    ) -> Outcome[None]:
        """The function has done it: the event goes, with a record to its OnSuccess destination."""
        return self._events.succeed(attempt, event, result, now_ms)

    def fail(
        self, attempt: AsyncAttempt, event: AsyncEvent, result: InvocationResult, now_ms: int
    ) -> Outcome[None]:
        """The function failed: the event is tried again after its pause, or ends."""
        return self._events.fail(attempt, event, result, now_ms)

    def throttle(self, attempt: AsyncAttempt, now_ms: int) -> Outcome[None]:
        """The function could not be invoked for now: the event waits, and the attempt does not
        count.
        """
        return self._events.throttle(attempt, now_ms)

    def release(self, attempt: AsyncAttempt) -> Outcome[None]:
        """The attempt was broken off and does not count; the event is ready again."""
        return self._events.release(attempt)

    def discard(
        self, attempt: AsyncAttempt, event: AsyncEvent, condition: str, now_ms: int
    ) -> Outcome[None]:
        """The event ends without being invoked; `condition` says why in its record."""
        return self._events.discard(attempt, event, condition, now_ms)

    @property
    def has_ready(self) -> bool:
        """Whether `due` would hand something out without waiting."""
        return self._events.has_ready

    def statistics(self, now_ms: int) -> AsyncStatistics:
        """Counts of asynchronous invocations at this moment."""
        return self._events.statistics(now_ms)

    # As a machine

    def next_deadline(self) -> int | None:
        """When the next event becomes ready or too old."""
        return self._events.next_deadline()

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Ends events that are too old and makes ready those that are due."""
        return self._events.tick(now_ms, limit)

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes the function's durable state."""
        if mutation.key >= LOG_KEY_FIRST:
            return
        family = row_family(mutation.key)
        if family > POLICY:
            self._events.apply(mutation)
        elif family == FUNCTION:
            if mutation.value is not None:
                self._record = mutation.record or decode_function(mutation.value)
        elif family == VERSION:
            self._take_version(row_number(mutation.key), mutation)
        elif family == ALIAS:
            self._aliases.apply(mutation)
        elif family == INVOKE_CONFIG:
            self._invoke_configs.apply(mutation)
        elif family == PROVISIONED:
            self._provisioned.apply(mutation)
        else:
            self._policies.apply(mutation)

    def _take_version(self, number: int, mutation: Mutation) -> None:
        if mutation.value is None:
            self._versions.pop(number, None)
        else:
            self._versions[number] = mutation.record or decode_version(mutation.value)

    def _version_row(self, number: int, version: VersionRecord) -> Mutation:
        return put_row(row_key(VERSION, number), version, is_new=number not in self._versions)

    def _change_record(self, record: FunctionRecord) -> Outcome[None]:
        return self._done(None, [put_row(_FUNCTION_KEY, record)])

    def _done(self, value: T, mutations: list[Mutation]) -> Outcome[T]:
        """Applies what was made as a whole: text that no row can hold has raised before."""
        for mutation in mutations:
            self.apply(mutation)
        return Outcome(value, tuple(mutations))

    def _do(self, mutation: Mutation, mutations: list[Mutation]) -> None:
        self.apply(mutation)
        mutations.append(mutation)

    def check(self) -> None:
        """Asserts every invariant of the state."""
        self._events.check()
        for rows in (self._aliases, self._invoke_configs, self._provisioned, self._policies):
            rows.check()
        if self._record is None:
            assert not self._versions
            return
        assert _LATEST_NUMBER in self._versions
        for number, version in self._versions.items():
            assert number == _number_of(version.version) < self._record.next_version
            assert version.config.code.blob < self._record.next_blob
        for alias in self._aliases:
            for named in (alias.version, *alias.weights):
                assert _number_of(named) in self._versions
        for row in (*self._invoke_configs, *self._provisioned, *self._policies):
            assert self.resolve(row.qualifier or None, 0.0) is not None


def _number_of(version: str) -> int:
    """The number of a version's row; one that no version has for what names none."""
    if version == LATEST:
        return _LATEST_NUMBER
    return int(version) if is_version(version) and len(version) <= 15 and version != "0" else -1


def _check_precondition(kind: str, name: str, given: str | None, latest: str) -> None:
    if given is not None and given != latest:
        raise PreconditionFailed(kind, name)
