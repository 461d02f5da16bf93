"""The roles and customer managed policies of one account, as IAM tells of them.

Rules of this file:

- What is made here is kept and told back. Nothing asks whether anybody may do anything.
- Names are unique without regard to case; they are looked up as they were written.
- A role or policy that something depends on is not deleted: Conflict says what is in the way.
- A role that belongs to a service of AWS ("service-linked") is deleted as such only, and of its
  settings only description and tags change: Conflict("protected").
- How often a managed policy is used follows from the roles (`_uses`, `_boundaries`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, final

import msgspec

from eventcore import limits
from eventcore.errors import AlreadyExists, Conflict, LimitExceeded, NotFound
from eventcore.ids import IdSource
from eventcore.outcome import (
    Mutation,
    Outcome,
    delete_row,
    put_row,
    row_family,
    row_key,
    row_number,
)
from eventcore.roles.policy_arn import (
    AWS,
    POLICY_ID_PREFIX,
    ROLE_ID_PREFIX,
    policy_arn,
    read_policy_arn,
    role_arn,
    unique_name,
)
from eventcore.roles.policy_document import (
    check_identity_policy,
    check_trust_policy,
    counted_characters,
)
from eventcore.roles.records import (
    ACCOUNT_FAMILY,
    POLICY_FAMILY,
    ROLE_FAMILY,
    SESSION_S_MAX_DEFAULT,
    AccountRecord,
    PolicyRecord,
    PolicyVersion,
    RoleRecord,
    decode_account,
    decode_policy,
    decode_role,
    trust_of_service,
)

__all__ = ["IamAccount", "version_of"]

ROLE: Final = "role"
POLICY: Final = "policy"
ATTACHABLE: Final = "attachable policy"
_ACCOUNT_ROW: Final = row_key(ACCOUNT_FAMILY, 0)


@final
class _Table:
    """Records of one kind by row number, and the numbers by name without case."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.records: dict[int, Any] = {}
        self.numbers: dict[str, int] = {}
        self.next_number = 0

    def put(self, number: int, record: Any | None) -> Any | None:
        """Takes a row in; returns what was there."""
        self.next_number = max(self.next_number, number + 1)
        old = self.records.pop(number, None)
        if old is not None:
            del self.numbers[old.name.lower()]
        if record is not None:
            self.records[number] = record
            self.numbers[record.name.lower()] = number
        return old

    def find(self, name: str) -> tuple[int, Any] | None:
        """The row of exactly this name."""
        number = self.numbers.get(name.lower())
        if number is None or self.records[number].name != name:
            return None
        return number, self.records[number]

    def sorted(self) -> list[Any]:
        """All records by name."""
        return sorted(self.records.values(), key=lambda record: record.name)


@final
class IamAccount:
    """Roles and managed policies of one account."""

    def __init__(self, arn: str, ids: IdSource) -> None:
        self.arn = arn
        self.account = arn.split(":", 5)[4]
        self.record: AccountRecord | None = None
        self._ids = ids
        self._roles = _Table(ROLE_FAMILY)
        self._policies = _Table(POLICY_FAMILY)
        self._uses: Counter[str] = Counter()
        self._boundaries: Counter[str] = Counter()

    # What there is

    def role(self, name: str) -> RoleRecord:
        """The role of a name. Raises NotFound("role")."""
        return self._role(name)[1]

    def roles(self, path_prefix: str = "/") -> list[RoleRecord]:
        """The roles below a path, by name."""
        return [role for role in self._roles.sorted() if role.path.startswith(path_prefix)]

    def policy(self, arn: str) -> PolicyRecord:
        """The customer managed policy of an ARN. Raises NotFound("policy"), and InvalidParameter
        for what is no ARN of a policy.
        """
        return self._policy(arn)[1]

    def policies(self, path_prefix: str = "/") -> list[PolicyRecord]:
        """The customer managed policies below a path, by name."""
        return [record for record in self._policies.sorted() if record.path.startswith(path_prefix)]

    def attachments(self, arn: str) -> int:
        """How many roles a managed policy is attached to."""
        return self._uses[arn]

    def boundaries(self, arn: str) -> int:
        """Of how many roles a managed policy is the permissions boundary."""
        return self._boundaries[arn]

    def used_policies(self) -> list[str]:
        """The ARNs of all managed policies that a role has, attached or as its boundary, sorted."""
        return sorted({*self._uses, *self._boundaries})

    def role_arn(self, role: RoleRecord) -> str:
        """The role's ARN."""
        return role_arn(self.account, role.path, role.name)

    def policy_arn(self, policy: PolicyRecord) -> str:
        """The policy's ARN."""
        return policy_arn(self.account, policy.path, policy.name)

    # Roles

    def open(self, now_ms: int) -> Outcome[None]:
        """Writes the account's own row, once, with its first role or policy."""
        mutation = put_row(_ACCOUNT_ROW, AccountRecord(now_ms))
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def create_role(
        self,
        name: str,
        trust_policy: str,
        now_ms: int,
        *,
        path: str = "/",
        description: str | None = None,
        session_s_max: int = SESSION_S_MAX_DEFAULT,
        boundary_arn: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Outcome[RoleRecord]:
        """Makes a role. Raises AlreadyExists, InvalidParameter, LimitExceeded, and NotFound for a
        boundary that does not exist.
        """
        self._check_new(self._roles, ROLE, name)
        _check_trust(trust_policy, name)
        if boundary_arn is not None:
            self._check_policy_exists(boundary_arn)
        role = RoleRecord(
            id=unique_name(ROLE_ID_PREFIX, self._ids.unique_id()),
            name=name,
            path=path,
            trust_policy=trust_policy,
            created_ms=now_ms,
            description=description,
            session_s_max=session_s_max,
            boundary_arn=boundary_arn,
            tags=_merged_tags({}, tags or {}),
        )
        return self._put(self._roles, self._roles.next_number, role)

    def create_service_role(
        self, service: str, name: str, now_ms: int, *, description: str | None = None
    ) -> Outcome[RoleRecord]:
        """Makes the role of a service of AWS ("lambda.amazonaws.com"). Raises AlreadyExists,
        LimitExceeded.
        """
        self._check_new(self._roles, ROLE, name)
        role = RoleRecord(
            id=unique_name(ROLE_ID_PREFIX, self._ids.unique_id()),
            name=name,
            path=f"/aws-service-role/{service}/",
            trust_policy=trust_of_service(service),
            created_ms=now_ms,
            description=description,
            service=service,
        )
        return self._put(self._roles, self._roles.next_number, role)

    def update_role(
        self, name: str, *, description: str | None = None, session_s_max: int | None = None
    ) -> Outcome[RoleRecord]:
        """Changes what is given. Raises NotFound, Conflict("protected")."""
        number, role = self._role(name)
        if session_s_max is not None:
            _check_changeable(role)
            role = msgspec.structs.replace(role, session_s_max=session_s_max)
        if description is not None:
            role = msgspec.structs.replace(role, description=description)
        return self._put(self._roles, number, role)

    def set_trust_policy(self, name: str, document: str) -> Outcome[RoleRecord]:
        """Says who may assume a role. Raises NotFound, Conflict, InvalidParameter,
        LimitExceeded.
        """
        number, role = self._changeable(name)
        _check_trust(document, name)
        return self._put(self._roles, number, msgspec.structs.replace(role, trust_policy=document))

    def set_boundary(self, name: str, arn: str | None) -> Outcome[RoleRecord]:
        """Sets or takes away a role's permissions boundary. Raises NotFound("role", "policy"),
        Conflict, InvalidParameter.
        """
        number, role = self._changeable(name)
        if arn is not None:
            self._check_policy_exists(arn)
        elif role.boundary_arn is None:
            raise NotFound("boundary", name)
        return self._put(self._roles, number, msgspec.structs.replace(role, boundary_arn=arn))

    def delete_role(self, name: str, *, is_by_service: bool = False) -> Outcome[None]:
        """Deletes a role. Raises NotFound, Conflict: "attached policies", "inline policies",
        "protected" for a service's role, unless `is_by_service`.
        """
        number, role = self._role(name)
        if not is_by_service:
            _check_changeable(role)
        if role.attached:
            raise Conflict(ROLE, name, "attached policies")
        if role.inline:
            raise Conflict(ROLE, name, "inline policies")
        return self._delete(self._roles, number)

    def set_role_tags(
        self, name: str, added: Mapping[str, str], removed: Iterable[str] = ()
    ) -> Outcome[RoleRecord]:
        """Removes tags by their keys, then adds or replaces others. Keys are equal without regard
        to case. Raises NotFound, LimitExceeded("TAGS_MAX").
        """
        number, role = self._role(name)
        tags = _merged_tags(role.tags, added, removed)
        return self._put(self._roles, number, msgspec.structs.replace(role, tags=tags))

    # The policies of a role

    def put_inline(self, name: str, policy: str, document: str) -> Outcome[RoleRecord]:
        """Gives a role an inline policy, in the place of one of that name. Raises NotFound,
        Conflict, InvalidParameter, LimitExceeded.
        """
        number, role = self._changeable(name)
        check_identity_policy(document)
        inline = {**role.inline, policy: document}
        highest = limits.INLINE_POLICIES_CHARACTERS_MAX
        if sum(map(counted_characters, inline.values())) > highest:
            raise LimitExceeded("INLINE_POLICIES_CHARACTERS_MAX", highest, name)
        return self._put(self._roles, number, msgspec.structs.replace(role, inline=inline))

    def delete_inline(self, name: str, policy: str) -> Outcome[RoleRecord]:
        """Takes an inline policy from a role. Raises NotFound("role", "role policy"), Conflict."""
        number, role = self._changeable(name)
        if policy not in role.inline:
            raise NotFound("role policy", policy, name)
        inline = {other: text for other, text in role.inline.items() if other != policy}
        return self._put(self._roles, number, msgspec.structs.replace(role, inline=inline))

    def attach(self, name: str, arn: str) -> Outcome[RoleRecord]:
        """Attaches a managed policy to a role; one that is attached stays so. Raises
        NotFound("role", "attachable policy"), Conflict, InvalidParameter, LimitExceeded.
        """
        number, role = self._changeable(name)
        self._check_policy_exists(arn)
        if arn in role.attached:
            return Outcome(role)
        if len(role.attached) >= limits.ROLE_POLICIES_MAX:
            raise LimitExceeded("ROLE_POLICIES_MAX", limits.ROLE_POLICIES_MAX, name)
        attached = (*role.attached, arn)
        return self._put(self._roles, number, msgspec.structs.replace(role, attached=attached))

    def detach(self, name: str, arn: str) -> Outcome[RoleRecord]:
        """Detaches a managed policy. Raises NotFound("role", "attached policy"), Conflict,
        InvalidParameter.
        """
        number, role = self._changeable(name)
        read_policy_arn(arn)
        if arn not in role.attached:
            raise NotFound("attached policy", arn, name)
        attached = tuple(other for other in role.attached if other != arn)
        return self._put(self._roles, number, msgspec.structs.replace(role, attached=attached))

    # Managed policies

    def create_policy(
        self,
        name: str,
        document: str,
        now_ms: int,
        *,
        path: str = "/",
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Outcome[PolicyRecord]:
        """Makes a managed policy with this document as its version 1. Raises AlreadyExists,
        InvalidParameter, LimitExceeded.
        """
        self._check_new(self._policies, POLICY, name)
        _check_managed(document, name)
        policy = PolicyRecord(
            id=unique_name(POLICY_ID_PREFIX, self._ids.unique_id()),
            name=name,
            path=path,
            created_ms=now_ms,
            modified_ms=now_ms,
            versions=(PolicyVersion(1, document, now_ms),),
            description=description,
            tags=_merged_tags({}, tags or {}),
        )
        return self._put(self._policies, self._policies.next_number, policy)

    def add_version(
        self, arn: str, document: str, now_ms: int, *, is_default: bool
    ) -> Outcome[PolicyVersion]:
        """Adds a version to a managed policy, in force at once with `is_default`. Raises NotFound,
        InvalidParameter, LimitExceeded.
        """
        number, policy = self._policy(arn)
        _check_managed(document, policy.name)
        highest = limits.MANAGED_POLICY_VERSIONS_MAX
        if len(policy.versions) >= highest:
            raise LimitExceeded("MANAGED_POLICY_VERSIONS_MAX", highest, policy.name)
        version = PolicyVersion(policy.next_version, document, now_ms)
        changed = msgspec.structs.replace(
            policy,
            versions=(*policy.versions, version),
            next_version=version.number + 1,
            default=version.number if is_default else policy.default,
            modified_ms=now_ms,
        )
        return Outcome(version, self._put(self._policies, number, changed).mutations)

    def set_default_version(self, arn: str, version: str, now_ms: int) -> Outcome[PolicyRecord]:
        """Puts a version in force. Raises NotFound("policy", "policy version")."""
        number, policy = self._policy(arn)
        found = version_of(policy, version, arn)
        changed = msgspec.structs.replace(policy, default=found.number, modified_ms=now_ms)
        return self._put(self._policies, number, changed)

    def delete_version(self, arn: str, version: str, now_ms: int) -> Outcome[PolicyRecord]:
        """Deletes a version. Raises NotFound, Conflict("default version")."""
        number, policy = self._policy(arn)
        found = version_of(policy, version, arn)
        if found.number == policy.default:
            raise Conflict(POLICY, policy.name, "default version")
        versions = tuple(other for other in policy.versions if other is not found)
        changed = msgspec.structs.replace(policy, versions=versions, modified_ms=now_ms)
        return self._put(self._policies, number, changed)

    def delete_policy(self, arn: str) -> Outcome[None]:
        """Deletes a managed policy with its only version. Raises NotFound, Conflict: "attached",
        "several versions".
        """
        number, policy = self._policy(arn)
        if self._uses[arn] or self._boundaries[arn]:
            raise Conflict(POLICY, policy.name, "attached")
        if len(policy.versions) > 1:
            raise Conflict(POLICY, policy.name, "several versions")
        return self._delete(self._policies, number)

    def set_policy_tags(
        self, arn: str, added: Mapping[str, str], removed: Iterable[str] = ()
    ) -> Outcome[PolicyRecord]:
        """As `set_role_tags`."""
        number, policy = self._policy(arn)
        tags = _merged_tags(policy.tags, added, removed)
        return self._put(self._policies, number, msgspec.structs.replace(policy, tags=tags))

    # Looking up

    def _role(self, name: str) -> tuple[int, RoleRecord]:
        found = self._roles.find(name)
        if found is None:
            raise NotFound(ROLE, name)
        return found

    def _changeable(self, name: str) -> tuple[int, RoleRecord]:
        number, role = self._role(name)
        _check_changeable(role)
        return number, role

    def _policy(self, arn: str, kind: str = POLICY) -> tuple[int, PolicyRecord]:
        account, path, name = read_policy_arn(arn)
        if account == AWS:
            raise Conflict(POLICY, arn, "of AWS")
        found = self._policies.find(name) if account == self.account else None
        if found is None or found[1].path != path:
            raise NotFound(kind, arn)
        return found

    def _check_policy_exists(self, arn: str) -> None:
        """AWS's own are taken for existing, whatever their names."""
        if read_policy_arn(arn)[0] != AWS:
            self._policy(arn, ATTACHABLE)

    def _check_new(self, table: _Table, kind: str, name: str) -> None:
        if name.lower() in table.numbers:
            raise AlreadyExists(kind, name)
        if len(table.records) >= limits.ROLES_MAX:
            raise LimitExceeded("ROLES_MAX", limits.ROLES_MAX, kind)

    # State

    def _put(self, table: _Table, number: int, record: Any) -> Outcome[Any]:
        if table.records.get(number) == record:
            return Outcome(record)
        mutation = put_row(row_key(table.family, number), record)
        self.apply(mutation)
        return Outcome(record, (mutation,))

    def _delete(self, table: _Table, number: int) -> Outcome[None]:
        mutation = delete_row(row_key(table.family, number))
        self.apply(mutation)
        return Outcome(None, (mutation,))

    def apply(self, mutation: Mutation) -> None:
        """The only code that changes the account."""
        family, value = row_family(mutation.key), mutation.value
        if family == ACCOUNT_FAMILY:
            if value is not None:
                self.record = mutation.record or decode_account(value)
        elif family == POLICY_FAMILY:
            policy = None if value is None else mutation.record or decode_policy(value)
            self._policies.put(row_number(mutation.key), policy)
        elif family == ROLE_FAMILY:
            role = None if value is None else mutation.record or decode_role(value)
            old = self._roles.put(row_number(mutation.key), role)
            self._count(old, -1)
            self._count(role, 1)

    def _count(self, role: RoleRecord | None, by: int) -> None:
        if role is None:
            return
        for arn in role.attached:
            _add(self._uses, arn, by)
        if role.boundary_arn is not None:
            _add(self._boundaries, role.boundary_arn, by)

    def next_deadline(self) -> int | None:
        """Nothing here has to do with time."""
        return None

    def tick(self, now_ms: int, limit: int) -> Outcome[None]:
        """Nothing is ever due."""
        return Outcome(None)

    def check(self) -> None:
        """Asserts that the indexes say what the rows say, and that what is used exists."""
        for table in (self._roles, self._policies):
            named = {record.name.lower(): number for number, record in table.records.items()}
            assert named == table.numbers
            assert all(number < table.next_number for number in table.records)
        roles = list(self._roles.records.values())
        assert self._uses == Counter(arn for role in roles for arn in role.attached)
        bound = Counter(role.boundary_arn for role in roles if role.boundary_arn is not None)
        assert self._boundaries == bound
        for arn in self.used_policies():
            self._check_policy_exists(arn)
        for policy in self._policies.records.values():
            assert policy.default in {version.number for version in policy.versions}
            assert all(version.number < policy.next_version for version in policy.versions)


def version_of(policy: PolicyRecord, version: str, arn: str) -> PolicyVersion:
    """The version of a policy with this id ("v1"). Raises NotFound("policy version")."""
    for found in policy.versions:
        if found.id == version:
            return found
    raise NotFound("policy version", version, arn)


def _check_changeable(role: RoleRecord) -> None:
    if role.service:
        raise Conflict(ROLE, role.name, "protected")


def _check_trust(document: str, name: str) -> None:
    check_trust_policy(document)
    highest = limits.TRUST_POLICY_CHARACTERS_MAX
    if counted_characters(document) > highest:
        raise LimitExceeded("TRUST_POLICY_CHARACTERS_MAX", highest, name)


def _check_managed(document: str, name: str) -> None:
    check_identity_policy(document)
    highest = limits.MANAGED_POLICY_CHARACTERS_MAX
    if counted_characters(document) > highest:
        raise LimitExceeded("MANAGED_POLICY_CHARACTERS_MAX", highest, name)


def _merged_tags(
    present: Mapping[str, str], added: Mapping[str, str], removed: Iterable[str] = ()
) -> dict[str, str]:
    gone = {key.lower() for key in (*removed, *added)}
    tags = {key: value for key, value in present.items() if key.lower() not in gone}
    tags |= added
    if len(tags) > limits.TAGS_MAX:
        raise LimitExceeded("TAGS_MAX", limits.TAGS_MAX)
    return tags


def _add(counts: Counter[str], arn: str, by: int) -> None:
    counts[arn] += by
    if not counts[arn]:
        del counts[arn]
