"""How an undeliverable event reaches a rule's dead-letter queue.

The body is what the target would have got; why it did not is in message attributes, all of type
String (AWS, "Using dead-letter queues to process undelivered events"): RULE_ARN, TARGET_ARN,
ERROR_CODE, ERROR_MESSAGE, RETRY_ATTEMPTS, and EXHAUSTED_RETRY_CONDITION where retries ran out.
"""

from __future__ import annotations

from typing import Final

import msgspec

from eventcore.attributes import (
    AttributesRecord,
    AttributeValue,
    encode_attributes,
    md5_of_attributes,
)
from eventcore.outcome import Deliver

__all__ = [
    "AGE_EXHAUSTED",
    "ATTEMPTS_EXHAUSTED",
    "NO_RESOURCE",
    "OUTBOX_FULL",
    "SDK_CLIENT_ERROR",
    "DeliveryFailure",
    "to_dead_letter",
]

ATTEMPTS_EXHAUSTED: Final = "MaximumRetryAttempts"
AGE_EXHAUSTED: Final = "MaximumEventAgeInSeconds"
NO_RESOURCE: Final = "NO_RESOURCE"
"""Error code: the target does not exist."""
SDK_CLIENT_ERROR: Final = "SDK_CLIENT_ERROR"
"""Error code: the target refuses this delivery, and always would."""
OUTBOX_FULL: Final = "OUTBOX_FULL"
"""Error code: the oldest delivery made room for a new one. Ours; AWS has none for it."""
MESSAGE_CHARACTERS_MAX: Final = 1_024


class DeliveryFailure(msgspec.Struct, frozen=True):
    """Why an attempt failed: a code in the manner of AWS (TIMEOUT, SDK_CLIENT_ERROR...) and a text
    for people.
    """

    code: str
    message: str


def to_dead_letter(
    delivery: Deliver, failure: DeliveryFailure, *, retries: int = 0, exhausted: str | None = None
) -> Deliver | None:
    """The effect that dead-letters a delivery; None where its rule names no dead-letter queue.

    `retries` is the attempts after the first. `exhausted` is ATTEMPTS_EXHAUSTED or AGE_EXHAUSTED,
    None for a failure that is never tried again.
    """
    if delivery.dead_letter_arn is None:
        return None
    facts = {
        "RULE_ARN": delivery.parcel.source_arn,
        "TARGET_ARN": delivery.target_arn,
        "ERROR_CODE": failure.code,
        "ERROR_MESSAGE": failure.message[:MESSAGE_CHARACTERS_MAX] or failure.code,
        "RETRY_ATTEMPTS": str(retries),
    }
    if exhausted is not None:
        facts["EXHAUSTED_RETRY_CONDITION"] = exhausted
    attributes: AttributesRecord = {
        name: AttributeValue("String", value) for name, value in facts.items()
    }
    parcel = msgspec.structs.replace(
        delivery.parcel,
        attributes=encode_attributes(attributes),
        attributes_md5=md5_of_attributes(attributes),
        group_id=None,
        deduplication_id=None,
    )
    return Deliver(delivery.dead_letter_arn, parcel)
