"""The states of an event source mapping, as a table.

    (none)     create -> Creating
    Creating   started -> Enabled, stopped -> Disabled
    Enabled    update -> Updating, disable -> Disabling, delete -> Deleting
    Disabled   update -> Updating, enable -> Enabling, delete -> Deleting
    Updating   started -> Enabled, stopped -> Disabled
    Enabling   started -> Enabled
    Disabling  stopped -> Disabled
    Deleting   its poller ends, and it is gone

A pair that is not in the table is refused: the mapping is in use, as AWS has it. `started` and
`stopped` are the runtime's: the mapping's poller runs, or has ended.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "AT_REST",
    "CREATE",
    "CREATING",
    "DELETE",
    "DELETING",
    "DISABLE",
    "DISABLED",
    "DISABLING",
    "ENABLE",
    "ENABLED",
    "ENABLING",
    "NO_STATE",
    "STARTED",
    "STOPPED",
    "TRANSITIONS",
    "UPDATE",
    "UPDATING",
]

NO_STATE: Final = ""
CREATING: Final = "Creating"
ENABLING: Final = "Enabling"
ENABLED: Final = "Enabled"
DISABLING: Final = "Disabling"
DISABLED: Final = "Disabled"
UPDATING: Final = "Updating"
DELETING: Final = "Deleting"

CREATE: Final = "create"
ENABLE: Final = "enable"
DISABLE: Final = "disable"
UPDATE: Final = "update"
DELETE: Final = "delete"
STARTED: Final = "started"
STOPPED: Final = "stopped"

AT_REST: Final = frozenset((ENABLED, DISABLED))
"""In all other states the runtime has something to do."""

TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    (NO_STATE, CREATE): CREATING,
    (CREATING, STARTED): ENABLED,
    (CREATING, STOPPED): DISABLED,
    (ENABLING, STARTED): ENABLED,
    (UPDATING, STARTED): ENABLED,
    (UPDATING, STOPPED): DISABLED,
    (DISABLING, STOPPED): DISABLED,
    (ENABLED, UPDATE): UPDATING,
    (ENABLED, DISABLE): DISABLING,
    (ENABLED, DELETE): DELETING,
    (DISABLED, UPDATE): UPDATING,
    (DISABLED, ENABLE): ENABLING,
    (DISABLED, DELETE): DELETING,
}
