"""What Kinesis's model allows of the members of requests, and the check of a request against it.

Rules of this file (botocore, service-2.json of kinesis):

- A member of one name is of one shape in all requests, but for those in `_OF_ONE`.
- A request is checked as a whole before anything else is done with it, and all that it breaks is
  told, as AWS does. What needs more than the request to be told from good is not checked here.
- `check` costs some microseconds a member. The operations on records look for the good case
  themselves, in one pass, and come here only to have told what is wrong.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Final, get_args, get_origin, get_type_hints

import msgspec

from eventcore import limits
from eventcore.api import kinesis_requests as requests
from eventcore.api.constraints import (
    Blob,
    Choice,
    Entries,
    Member,
    Members,
    Number,
    Pairs,
    Rule,
    Text,
    broken_constraints,
    broken_member,
    member_name,
    validation_errors,
)
from eventcore.wire.fault import Fault

__all__ = [
    "METRICS",
    "STREAM_MODES",
    "check",
    "record_too_large",
    "shape_of",
]

STREAM_MODES: Final = ("PROVISIONED", "ON_DEMAND")
METRICS: Final = (
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
    "ALL",
)
_POSITIONS: Final = (
    "AT_SEQUENCE_NUMBER",
    "AFTER_SEQUENCE_NUMBER",
    "TRIM_HORIZON",
    "LATEST",
    "AT_TIMESTAMP",
)
_SHARD_FILTERS: Final = (
    "AFTER_SHARD_ID",
    "AT_TRIM_HORIZON",
    "FROM_TRIM_HORIZON",
    "AT_LATEST",
    "AT_TIMESTAMP",
    "FROM_TIMESTAMP",
)
_ARN_CHARACTERS_MAX: Final = 2_048
_NAME: Final = Text(1, limits.STREAM_NAME_CHARACTERS_MAX, "[a-zA-Z0-9_.-]+")
_HASH_KEY: Final = Text(pattern=r"^(0|([1-9]\d{0,38}))$")
_SEQUENCE_NUMBER: Final = Text(pattern=r"^(0|([1-9]\d{0,128}))$")
_PAGE: Final = Number(1, 10_000)
_NATURAL: Final = Number(0)
_POSITIVE: Final = Number(1)
_TAG_KEY: Final = Text(1, limits.TAG_KEY_CHARACTERS_MAX)

_RULES: Final[dict[str, Rule]] = {
    "AdjacentShardToMerge": _NAME,
    "ConsumerARN": Text(
        1,
        _ARN_CHARACTERS_MAX,
        r"^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/"
        r"[a-zA-Z0-9_.-]+:[0-9]+",
    ),
    "ConsumerName": _NAME,
    "Data": Blob(limits.RECORD_BYTES_MAX_HIGHEST),
    "EncryptionType": Choice(("NONE", "KMS")),
    "ExclusiveStartShardId": _NAME,
    "ExclusiveStartStreamName": _NAME,
    "ExclusiveStartTagKey": _TAG_KEY,
    "ExplicitHashKey": _HASH_KEY,
    "KeyId": Text(1, limits.KMS_KEY_CHARACTERS_MAX),
    "Limit": _PAGE,
    "MaxRecordSizeInKiB": Number(
        limits.RECORD_BYTES_MAX_LOWEST // 1024, limits.RECORD_BYTES_MAX_HIGHEST // 1024
    ),
    "MaxResults": _PAGE,
    "NewStartingHashKey": _HASH_KEY,
    "NextToken": Text(1, 1_048_576),
    "PartitionKey": Text(1, limits.PARTITION_KEY_CHARACTERS_MAX),
    "RecordDistributionStrategy": Choice(("AUTO", "USER_PARTITION_KEY")),
    "ResourceARN": Text(
        1, _ARN_CHARACTERS_MAX, r"arn:aws.*:kinesis:.*:\d{12}:.*(stream|channel)/\S+"
    ),
    "ScalingType": Choice(("UNIFORM_SCALING",)),
    "SequenceNumber": _SEQUENCE_NUMBER,
    "SequenceNumberForOrdering": _SEQUENCE_NUMBER,
    "ShardCount": _POSITIVE,
    "ShardId": _NAME,
    "ShardIterator": Text(1, 512),
    "ShardIteratorType": Choice(_POSITIONS),
    "ShardLevelMetrics": Entries(Choice(METRICS), 1, 7),
    "ShardToMerge": _NAME,
    "ShardToSplit": _NAME,
    "StartingSequenceNumber": _SEQUENCE_NUMBER,
    "Status": Choice(("ENABLED", "DISABLED")),
    "StreamARN": Text(1, _ARN_CHARACTERS_MAX, r"arn:aws.*:kinesis:.*:\d{12}:stream/\S+"),
    "StreamId": Text(1, 24, "[a-z0-9]{20}-[a-z0-9]{3}"),
    "StreamMode": Choice(STREAM_MODES),
    "StreamName": _NAME,
    "TagKeys": Entries(_TAG_KEY, 1, 50),
    "Tags": Pairs(_TAG_KEY, Text(0, limits.TAG_VALUE_CHARACTERS_MAX), 1, 200),
    "TargetShardCount": _POSITIVE,
    "WarmThroughputMiBps": _NATURAL,
}
"""By the member's name on the wire."""

_OF_ONE: Final[dict[tuple[type, str], Rule]] = {
    (requests.ListTagsForStreamRequest, "Limit"): Number(1, 50),
    (requests.ShardFilterShape, "Type"): Choice(_SHARD_FILTERS),
    (requests.StartingPositionShape, "Type"): Choice(_POSITIONS),
}

_COUNTS: Final = {"Records": (1, limits.PUT_RECORDS_ENTRIES_MAX)}
"""Bounds of lists of structures."""

_REQUIRED: Final[dict[type, frozenset[str]]] = {
    of: frozenset(names.split())
    for of, names in (
        (requests.AddTagsToStreamRequest, "Tags"),
        (requests.CommitmentShape, "Status"),
        (requests.CreateStreamRequest, "StreamName"),
        (requests.DecreaseStreamRetentionPeriodRequest, "RetentionPeriodHours"),
        (requests.DeleteResourcePolicyRequest, "ResourceARN"),
        (requests.DisableEnhancedMonitoringRequest, "ShardLevelMetrics"),
        (requests.EnableEnhancedMonitoringRequest, "ShardLevelMetrics"),
        (requests.GetRecordsRequest, "ShardIterator"),
        (requests.GetResourcePolicyRequest, "ResourceARN"),
        (requests.GetShardIteratorRequest, "ShardId ShardIteratorType"),
        (requests.IncreaseStreamRetentionPeriodRequest, "RetentionPeriodHours"),
        (requests.ListStreamConsumersRequest, "StreamARN"),
        (requests.ListTagsForResourceRequest, "ResourceARN"),
        (requests.MergeShardsRequest, "ShardToMerge AdjacentShardToMerge"),
        (requests.PutRecordRequest, "Data"),
        (requests.PutRecordsRequest, "Records"),
        (requests.PutRecordsRequestEntry, "Data"),
        (requests.PutResourcePolicyRequest, "ResourceARN Policy"),
        (requests.RegisterStreamConsumerRequest, "StreamARN ConsumerName"),
        (requests.RemoveTagsFromStreamRequest, "TagKeys"),
        (requests.ShardFilterShape, "Type"),
        (requests.SplitShardRequest, "ShardToSplit NewStartingHashKey"),
        (requests.StartStreamEncryptionRequest, "EncryptionType KeyId"),
        (requests.StartingPositionShape, "Type"),
        (requests.StopStreamEncryptionRequest, "EncryptionType KeyId"),
        (requests.StreamModeShape, "StreamMode"),
        (requests.SubscribeToShardRequest, "ConsumerARN ShardId StartingPosition"),
        (requests.TagResourceRequest, "Tags ResourceARN"),
        (requests.UntagResourceRequest, "TagKeys ResourceARN"),
        (requests.UpdateAccountSettingsRequest, "MinimumThroughputBillingCommitment"),
        (requests.UpdateMaxRecordSizeRequest, "MaxRecordSizeInKiB"),
        (requests.UpdateShardCountRequest, "TargetShardCount ScalingType"),
        (requests.UpdateStreamModeRequest, "StreamARN StreamModeDetails"),
        (requests.UpdateStreamWarmThroughputRequest, "WarmThroughputMiBps"),
    )
}

_ALSO_REQUIRED: Final[dict[type, str]] = {
    requests.PutRecordRequest: "PartitionKey",
    requests.PutRecordsRequestEntry: "PartitionKey",
}
"""Optional in the model for the sake of streams that distribute records by themselves, which there
are none of here.
"""


_shapes: Final[dict[type, Members]] = {}


def shape_of(struct_type: type) -> Members:
    """The constraints of a request struct, or of a structure in one; made when first asked for."""
    shape = _shapes.get(struct_type)
    if shape is None:
        shape = _shapes[struct_type] = _make_shape(struct_type)
    return shape


def _make_shape(struct_type: type) -> Members:
    required = _REQUIRED.get(struct_type, frozenset())
    also = _ALSO_REQUIRED.get(struct_type)
    hints = get_type_hints(struct_type)
    members = []
    for field in msgspec.structs.fields(struct_type):
        name = field.encode_name
        rule = _OF_ONE.get((struct_type, name)) or _RULES.get(name)
        if rule is None:
            rule = _rule_of_type(name, hints[field.name])
        is_required = name in required or name == also
        members.append(Member(field.name, member_name(name), rule, is_required))
    return Members(tuple(members))


def _rule_of_type(name: str, hint: Any) -> Rule | None:
    """The rule of a member that is a structure or a list of structures."""
    (kind,) = (option for option in get_args(hint) if option is not NoneType)
    if get_origin(kind) is list:
        return Entries(shape_of(get_args(kind)[0]), *_COUNTS[name])
    return shape_of(kind) if issubclass(kind, msgspec.Struct) else None


def check(request: msgspec.Struct) -> None:
    """Raises Fault ValidationException with all that the request breaks."""
    broken = broken_constraints(shape_of(type(request)), request)
    if broken:
        raise validation_errors(broken)


def record_too_large(place: str, highest: int) -> Fault:
    """ValidationException for data that the model allows and the stream does not."""
    reason = f"Member must have length less than or equal to {highest}"
    return validation_errors([broken_member(place, b"", reason)])
