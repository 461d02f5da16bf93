"""The operations on event source mappings: create, get, list, change, delete.

Rules of this file:

- A request is checked against the model, then for what its source allows, then for what exists: the
  function, the source, the destination. Whoever refuses has changed nothing.
- What an update does not name stays as it is. An empty FilterCriteria, ScalingConfig or
  ProvisionedPollerConfig takes away what was there.
- A mapping is made, changed and deleted in the background: the answers tell Creating, Updating,
  Deleting. While that goes on, further changes are refused as ResourceInUseException.
- The function is kept as the caller named it, with its qualifier, so that an alias is followed.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from eventcore.api.functions_address import read_address
from eventcore.api.functions_destinations import check_stream_destination, destination_of
from eventcore.api.functions_faults import invalid_value, resource_conflict
from eventcore.api.functions_pages import page_of
from eventcore.api.functions_tags import check_tag_count
from eventcore.api.kinesis_times import time_ms
from eventcore.api.mappings_answers import ListMappingsAnswer, mapping_answer
from eventcore.api.mappings_constraints import (
    POLLERS_MAX_DEFAULT,
    POLLERS_MIN_DEFAULT,
    check,
    check_settings,
    check_source,
    check_spec,
)
from eventcore.api.mappings_requests import (
    CreateEventSourceMappingRequest,
    DeleteEventSourceMappingRequest,
    FilterCriteriaShape,
    GetEventSourceMappingRequest,
    ListEventSourceMappingsRequest,
    MappingSettings,
    PollerConfigShape,
    UpdateEventSourceMappingRequest,
)
from eventcore.api.operation import Call
from eventcore.api.rest import RestOperation
from eventcore.arn import mapping_arn, split_qualifier
from eventcore.errors import AlreadyExists, Conflict, InvalidPattern, NotFound, RequestError
from eventcore.functions.function_spec import LATEST
from eventcore.mappings.mapping import EventSourceMapping
from eventcore.mappings.mapping_spec import FOR_EVER, MappingSpec, PollerConfig
from eventcore.wire.fault import Fault

__all__ = ["MAPPING_OPERATIONS"]

_QUEUE_BATCH_DEFAULT: Final = 10
_STREAM_BATCH_DEFAULT: Final = 100
_PAGE_MAX: Final = 100
"""Mappings on a page; AWS gives no more, whatever is asked for."""


def create_event_source_mapping(call: Call, request: CreateEventSourceMappingRequest) -> bytes:
    """Has a function invoked with what arrives in a queue or a stream."""
    check(request)
    check_tag_count(request.tags or {})
    source_arn = check_source(request)
    spec = MappingSpec(
        source_arn=source_arn,
        function_arn=_function_arn(call, request.function_name),
        batch_size=_STREAM_BATCH_DEFAULT,
        starting_position=request.starting_position or "",
        starting_ms=_starting_ms(call, request.starting_position_timestamp),
        tags=request.tags or {},
    )
    check_settings(request, is_queue=spec.is_queue)
    if spec.is_queue:
        spec = msgspec.structs.replace(spec, batch_size=_QUEUE_BATCH_DEFAULT)
    spec = msgspec.structs.replace(spec, **_changes(spec, request))
    check_spec(spec)
    _check_destination(call, spec)
    mappings = call.engine.mappings
    try:
        mapping = mappings.create(call.account, call.region, spec, request.enabled is not False)
    except RequestError as error:
        raise _refusal(error, spec) from error
    return call.encode(mapping_answer(mapping.arn, mapping.record))


def get_event_source_mapping(call: Call, request: GetEventSourceMappingRequest) -> bytes:
    """Tells of a mapping."""
    check(request)
    assert request.uuid is not None
    mapping = _mapping(call, request.uuid)
    return call.encode(mapping_answer(mapping.arn, mapping.record))


def update_event_source_mapping(call: Call, request: UpdateEventSourceMappingRequest) -> bytes:
    """Changes a mapping's settings, pauses it, or has it go on."""
    check(request)
    assert request.uuid is not None
    mappings = call.engine.mappings
    mapping = _mapping(call, request.uuid)
    check_settings(request, is_queue=mapping.spec.is_queue)
    changes = _changes(mapping.spec, request)
    if request.function_name is not None:
        changes["function_arn"] = _function_arn(call, request.function_name)
    spec = msgspec.structs.replace(mapping.spec, **changes)
    check_spec(spec)
    if "on_failure_arn" in changes:
        _check_destination(call, spec)
    try:
        mappings.update(mapping, spec, request.enabled)
    except Conflict as error:
        raise _in_use("update") from error
    except RequestError as error:
        raise _refusal(error, spec) from error
    return call.encode(mapping_answer(mapping.arn, mapping.record))


def delete_event_source_mapping(call: Call, request: DeleteEventSourceMappingRequest) -> bytes:
    """Ends a mapping. What it is invoking its function with runs to its end."""
    check(request)
    assert request.uuid is not None
    mapping = _mapping(call, request.uuid)
    record = mapping.record
    try:
        call.engine.mappings.delete(mapping)
    except Conflict as error:
        raise _in_use("delete") from error
    record = msgspec.structs.replace(record, modified_ms=call.engine.now_ms())
    return call.encode(mapping_answer(mapping.arn, record, "Deleting"))


def list_event_source_mappings(call: Call, request: ListEventSourceMappingsRequest) -> bytes:
    """A page of the mappings of an account in a region, of a source or a function if one is named.
    They are ordered by their UUIDs, so that a page goes on where the one before ended.
    """
    check(request)
    function_arn = None
    if request.function_name is not None:
        function_arn = _invoked(_function_arn(call, request.function_name))
    found = [
        mapping
        for mapping in call.engine.mappings.all_of(call.account, call.region)
        if request.event_source_arn in (None, mapping.spec.source_arn)
        and function_arn in (None, _invoked(mapping.spec.function_arn))
    ]
    found.sort(key=lambda mapping: mapping.uuid)
    most = min(request.max_items or _PAGE_MAX, _PAGE_MAX)
    page, marker = page_of(found, lambda mapping: mapping.uuid, request.marker, most)
    shown = [mapping_answer(mapping.arn, mapping.record) for mapping in page]
    return call.encode(ListMappingsAnswer(shown, marker))


def _mapping(call: Call, uuid: str) -> EventSourceMapping:
    """The caller's mapping of a UUID. Raises NotFound."""
    mapping = call.engine.mappings.find(uuid)
    if mapping.arn != mapping_arn(call.account, call.region, uuid):
        raise NotFound("mapping", uuid)
    return mapping


# Settings


def _changes(spec: MappingSpec, request: MappingSettings) -> dict[str, Any]:
    """What the request says of a mapping's settings, by `MappingSpec`'s names."""
    changes: dict[str, Any] = {
        attribute: value
        for attribute, value in (
            ("batch_size", request.batch_size),
            ("batch_window_ms", _ms(request.maximum_batching_window_in_seconds)),
            ("parallelization", request.parallelization_factor),
            ("is_bisecting", request.bisect_batch_on_function_error),
            ("retries_max", request.maximum_retry_attempts),
            ("age_ms_max", _ms(request.maximum_record_age_in_seconds)),
            ("window_ms", _ms(request.tumbling_window_in_seconds)),
        )
        if value is not None
    }
    if request.filter_criteria is not None:
        changes["filters"] = _filters(request.filter_criteria)
    if request.function_response_types is not None:
        changes["reports_item_failures"] = bool(request.function_response_types)
    if request.metrics_config is not None:
        changes["metrics"] = tuple(request.metrics_config.metrics or ())
    if request.scaling_config is not None:
        changes["concurrency_max"] = request.scaling_config.maximum_concurrency
    if request.provisioned_poller_config is not None:
        changes["pollers"] = _pollers(request.provisioned_poller_config)
    if request.destination_config is not None:
        changes["on_failure_arn"] = destination_of(request.destination_config.on_failure)
    if request.kms_key_arn is not None:
        rest = {name: value for name, value in spec.echoed.items() if name != "KMSKeyArn"}
        key = {"KMSKeyArn": request.kms_key_arn} if request.kms_key_arn else {}
        changes["echoed"] = rest | key
    return changes


def _ms(seconds: int | None) -> int | None:
    """Seconds in ms; "for ever" stays what it is."""
    return seconds if seconds is None or seconds == FOR_EVER else seconds * 1000


def _filters(criteria: FilterCriteriaShape) -> tuple[str, ...]:
    return tuple(shape.pattern or "" for shape in criteria.filters or ())


def _pollers(shape: PollerConfigShape) -> PollerConfig | None:
    """Provisioned pollers with AWS's defaults; None for an empty configuration."""
    lowest, highest = shape.minimum_pollers, shape.maximum_pollers
    if lowest is None and highest is None:
        return None
    if lowest is None:
        lowest = POLLERS_MIN_DEFAULT
    if highest is None:
        highest = max(lowest, POLLERS_MAX_DEFAULT)
    return PollerConfig(lowest, highest)


def _starting_ms(call: Call, seconds: float | None) -> int | None:
    if seconds is None:
        return None
    at_ms = time_ms(seconds)
    if at_ms > call.engine.now_ms():
        raise invalid_value("StartingPositionTimestamp cannot be in the future.")
    return at_ms


# Resources


def _function_arn(call: Call, name: str | None) -> str:
    """The ARN of the function that is named, with the qualifier that is named, if any."""
    assert name is not None, "the model requires it"
    return read_address(call, name).qualified_arn


def _invoked(function_arn: str) -> str:
    """A function's ARN in the form in which all that invoke the same are equal."""
    arn, qualifier = split_qualifier(function_arn)
    return arn if qualifier == LATEST else function_arn


def _check_destination(call: Call, spec: MappingSpec) -> None:
    if spec.on_failure_arn is not None:
        check_stream_destination(call, spec.on_failure_arn)


# Faults


def _refusal(error: RequestError, spec: MappingSpec) -> Exception:
    """What is told of an error of mappings: in AWS's words where it has some."""
    if isinstance(error, AlreadyExists):
        return _already_exists(spec, error.name)
    if isinstance(error, InvalidPattern):
        return invalid_value("Invalid filter pattern definition.")
    if not isinstance(error, NotFound):
        return error
    if error.kind == "queue":
        return invalid_value(
            "Error occurred while ReceiveMessage. SQS Error Code: "
            "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does "
            "not exist."
        )
    if error.kind in ("stream", "consumer"):
        return invalid_value(f"Stream not found: {spec.source_arn}")
    return invalid_value("Function does not exist")


def _already_exists(spec: MappingSpec, uuid: str) -> Fault:
    """ResourceConflictException for a second mapping of a source to a function."""
    name = spec.function_arn.partition(":function:")[2]
    return resource_conflict(
        f'The event source arn (" {spec.source_arn} ") and function (" {name} ") provided mapping '
        f"already exists. Please update or delete the existing mapping with UUID {uuid}"
    )


def _in_use(verb: str) -> Fault:
    """ResourceInUseException for a mapping that an earlier change is under way of."""
    return Fault(
        "ResourceInUseException",
        f"Cannot {verb} the event source mapping because it is in use.",
    )


_MAPPINGS: Final = "/2015-03-31/event-source-mappings"
_MAPPING: Final = _MAPPINGS + "/{UUID}"

MAPPING_OPERATIONS: Final[tuple[RestOperation[Any], ...]] = (
    RestOperation(
        "CreateEventSourceMapping",
        CreateEventSourceMappingRequest,
        create_event_source_mapping,
        "POST",
        _MAPPINGS,
        status=202,
    ),
    RestOperation(
        "GetEventSourceMapping",
        GetEventSourceMappingRequest,
        get_event_source_mapping,
        "GET",
        _MAPPING,
    ),
    RestOperation(
        "UpdateEventSourceMapping",
        UpdateEventSourceMappingRequest,
        update_event_source_mapping,
        "PUT",
        _MAPPING,
        status=202,
    ),
    RestOperation(
        "DeleteEventSourceMapping",
        DeleteEventSourceMappingRequest,
        delete_event_source_mapping,
        "DELETE",
        _MAPPING,
        status=202,
    ),
    RestOperation(
        "ListEventSourceMappings",
        ListEventSourceMappingsRequest,
        list_event_source_mappings,
        "GET",
        _MAPPINGS,
        query=("EventSourceArn", "FunctionName", "Marker", "MaxItems"),
    ),
)
"""The operations of this file, for `eventcore.api.functions`."""
