"""Constraints of the services that speak AWS Query alone, IAM and STS, and the fault that tells
what is broken.

Rules of this file:

- A service has one rule per member's name, and a few that differ in one request. Which members a
  request must have is said per struct.
- A request is checked as a whole before its handler sees it.
- The patterns of tags name classes of Unicode that the re module does not know, so `check_tag_text`
  has them in another form.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeVar, final

import msgspec

from eventcore import limits
from eventcore.api.constraints import (
    Entries,
    Member,
    Members,
    Rule,
    Text,
    broken_constraints,
    broken_member,
    member_name,
    validation_errors,
)
from eventcore.api.operation import Call, Handler
from eventcore.wire.fault import Fault

__all__ = [
    "ARN_CHARACTERS_MAX",
    "ARN_CHARACTERS_MIN",
    "STUB",
    "TAGS",
    "TAG_KEYS",
    "Constraints",
    "TagLike",
    "read_tags",
    "validation_error",
]

T = TypeVar("T")
STUB: Final = b"x-eventcore-stub: nothing is enforced\r\n"
"""A header line of every answer of these services: they keep and tell, and no more."""
ARN_CHARACTERS_MIN: Final = 20
ARN_CHARACTERS_MAX: Final = 2_048
_TAG_KEY: Final = Text(1, limits.TAG_KEY_CHARACTERS_MAX)
_TAG_VALUE: Final = Text(0, limits.TAG_VALUE_CHARACTERS_MAX)
_TAG: Final = Members(
    (Member("key", "key", _TAG_KEY, True), Member("value", "value", _TAG_VALUE, True))
)
TAGS: Final = Entries(_TAG, 0, limits.TAGS_MAX)
"""A list of tags."""
TAG_KEYS: Final = Entries(_TAG_KEY, 0, limits.TAGS_MAX)
"""A list of tags' keys."""

_TAG_CATEGORIES: Final = ("L", "N", "Z")
_TAG_SIGNS: Final = frozenset("_.:/=+-@")
_KEY_PATTERN: Final = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+"
_VALUE_PATTERN: Final = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*"


class TagLike(Protocol):
    """A tag of a request."""

    @property
    def key(self) -> str | None:
        """Its key."""
        ...

    @property
    def value(self) -> str | None:
        """Its value."""
        ...


def validation_error(message: str) -> Fault:
    """ValidationError, as these services call it."""
    return Fault("ValidationError", message)


def read_tags(tags: Sequence[TagLike] | None) -> dict[str, str]:
    """The tags of a request whose constraints were checked. Raises Fault for characters that AWS
    does not allow, reserved keys, and keys that are there twice but for their case.
    """
    read: dict[str, str] = {}
    for number, tag in enumerate(tags or (), 1):
        assert tag.key is not None and tag.value is not None
        _check_text(f"tags.{number}.member.key", tag.key, _KEY_PATTERN)
        _check_text(f"tags.{number}.member.value", tag.value, _VALUE_PATTERN)
        if tag.key.lower().startswith("aws:"):
            raise Fault("InvalidInput", "Tag keys beginning with aws: are reserved for system use.")
        read[tag.key] = tag.value
    if len({key.lower() for key in read}) < len(tags or ()):
        raise Fault(
            "InvalidInput",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        )
    return read


def _check_text(place: str, text: str, pattern: str) -> None:
    for character in text:
        category = unicodedata.category(character)
        if category[0] not in _TAG_CATEGORIES and character not in _TAG_SIGNS:
            reason = f"Member must satisfy regular expression pattern: {pattern}"
            broken = [broken_member(place, text, reason)]
            raise validation_error(validation_errors(broken).message)


@final
class Constraints:
    """The rules of one service."""

    def __init__(
        self,
        rules: Mapping[str, Rule | None],
        required: Mapping[type, str],
        of_one: Mapping[tuple[type, str], Rule],
    ) -> None:
        """`rules` are by the member's name on the wire, None for a member of any value; `required`
        has the names of a struct's members that must be there, with spaces between.
        """
        self._rules = rules
        self._required: Final = {of: frozenset(names.split()) for of, names in required.items()}
        self._of_one = of_one
        self._shapes: dict[type, Members] = {}

    def shape_of(self, struct_type: type) -> Members:
        """The constraints of a request struct; made when they are first asked for."""
        shape = self._shapes.get(struct_type)
        if shape is None:
            shape = self._shapes[struct_type] = self._make(struct_type)
        return shape

    def checked(self, handle: Handler[T]) -> Handler[T]:
        """The handler behind a check of its request."""

        def check_and_handle(call: Call, request: T) -> bytes | None:
            broken = broken_constraints(self.shape_of(type(request)), request)
            if broken:
                raise validation_error(validation_errors(broken).message)
            return handle(call, request)

        return check_and_handle

    def _make(self, struct_type: type) -> Members:
        required = self._required.get(struct_type, frozenset())
        members = []
        for field in msgspec.structs.fields(struct_type):
            name = field.encode_name
            rule = self._of_one.get((struct_type, name)) or self._rules[name]
            members.append(Member(field.name, member_name(name), rule, name in required))
        return Members(tuple(members))
