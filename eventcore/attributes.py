"""Message attributes: typed name-value pairs that travel beside a body, through queues, topics and
dead letters.

Every machine carries them as bytes (`encode_attributes`) and never looks inside; only the edges do.
"""

from __future__ import annotations

from hashlib import md5
from typing import Final

import msgspec

from eventcore.codec import encode_record, record_decoder

__all__ = [
    "AttributeValue",
    "AttributesRecord",
    "decode_attributes",
    "encode_attributes",
    "md5_of_attributes",
]


class AttributeValue(msgspec.Struct, frozen=True, array_like=True):
    """One message attribute. `data_type` is String, Number or Binary, with an optional custom label
    after a dot.

    `string` is None for Binary, else the value's text (botocore shape MessageAttributeValue of
    sqs).
    """

    data_type: str
    string: str | None = None
    binary: bytes | None = None


AttributesRecord = dict[str, AttributeValue]
_decode: Final = record_decoder(AttributesRecord)
_STRING: Final = b"\x01"
_BINARY: Final = b"\x02"


def encode_attributes(attributes: AttributesRecord) -> bytes:
    """Message attributes as bytes; empty bytes for none."""
    return encode_record(attributes) if attributes else b""


def decode_attributes(encoded: bytes) -> AttributesRecord:
    """The reverse of `encode_attributes`."""
    return _decode(encoded) if encoded else {}


def md5_of_attributes(attributes: AttributesRecord) -> bytes:
    """The digest (16 bytes) that AWS answers with and SDKs verify.

    AWS, "Amazon SQS message metadata", "Calculating the MD5 message digest for message attributes":
    sorted by name; name, data type and value each behind their length in four bytes, the value
    behind a byte for its transport type.
    """
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        digest.update(_behind_length(name.encode()))
        digest.update(_behind_length(attribute.data_type.encode()))
        if attribute.string is not None:
            digest.update(_STRING + _behind_length(attribute.string.encode()))
        else:
            digest.update(_BINARY + _behind_length(attribute.binary or b""))
    return digest.digest()


def _behind_length(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value
