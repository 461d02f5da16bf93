"""EventBridge operations on rules and their targets."""

from __future__ import annotations

from typing import Any, Final

from eventcore import limits
from eventcore.api.events_address import bus_named
from eventcore.api.events_constraints import (
    check_arn,
    check_count,
    check_length,
    check_limit,
    check_name,
    check_path_name,
    required,
    unsupported,
)
from eventcore.api.events_pages import read_token, write_token
from eventcore.api.events_requests import (
    DeadLetterConfig,
    DeleteRuleRequest,
    DescribeRuleRequest,
    DisableRuleRequest,
    EnableRuleRequest,
    InputTransformerShape,
    KinesisParameters,
    ListRuleNamesByTargetRequest,
    ListRulesRequest,
    ListTargetsByRuleRequest,
    PutRuleRequest,
    PutTargetsRequest,
    RemoveTargetsRequest,
    TargetShape,
)
from eventcore.api.events_tags import tags_of
from eventcore.api.operation import Call
from eventcore.arn import parse_arn
from eventcore.buses.bus import EventBus, RuleSpec, TargetFailure
from eventcore.buses.rule import ENABLED, RuleRecord, Target, check_target
from eventcore.buses.transformer import InputTransformer
from eventcore.codec import encode_json
from eventcore.errors import InvalidParameter

__all__ = [
    "delete_rule",
    "describe_rule",
    "disable_rule",
    "enable_rule",
    "list_rule_names_by_target",
    "list_rules",
    "list_targets_by_rule",
    "put_rule",
    "put_targets",
    "remove_targets",
]

EMPTY: Final = b"{}"
_UNSUPPORTED_PARAMETERS: Final = {
    "run_command_parameters": "RunCommandParameters",
    "ecs_parameters": "EcsParameters",
    "batch_parameters": "BatchParameters",
    "http_parameters": "HttpParameters",
    "redshift_data_parameters": "RedshiftDataParameters",
    "sage_maker_pipeline_parameters": "SageMakerPipelineParameters",
    "app_sync_parameters": "AppSyncParameters",
}


def put_rule(call: Call, request: PutRuleRequest) -> bytes:
    """Creates a rule or replaces its settings; its targets stay."""
    name = _rule_name("name", request.name)
    spec = RuleSpec(
        pattern=request.event_pattern,
        schedule=request.schedule_expression,
        state=ENABLED if request.state is None else request.state,
        description=request.description,
        role_arn=request.role_arn,
        tags=tags_of(request.tags),
    )
    bus = bus_named(call, request.event_bus_name)
    arn = call.engine.run(bus, bus.put_rule(name, spec))
    return encode_json({"RuleArn": arn})


def delete_rule(call: Call, request: DeleteRuleRequest) -> bytes:
    """Deletes a rule that has no targets."""
    name = _rule_name("name", request.name)
    bus = bus_named(call, request.event_bus_name)
    call.engine.run(bus, bus.delete_rule(name))
    return EMPTY


def enable_rule(call: Call, request: EnableRuleRequest) -> bytes:
    """Lets events reach a rule again."""
    name = _rule_name("name", request.name)
    bus = bus_named(call, request.event_bus_name)
    call.engine.run(bus, bus.enable_rule(name))
    return EMPTY


def disable_rule(call: Call, request: DisableRuleRequest) -> bytes:
    """Keeps events from a rule."""
    name = _rule_name("name", request.name)
    bus = bus_named(call, request.event_bus_name)
    call.engine.run(bus, bus.disable_rule(name))
    return EMPTY


def describe_rule(call: Call, request: DescribeRuleRequest) -> bytes:
    """A rule's settings."""
    name = _rule_name("name", request.name)
    bus = bus_named(call, request.event_bus_name)
    record = bus.rule(name)
    return encode_json(_shown(bus, record) | {"CreatedBy": call.account})


def list_rules(call: Call, request: ListRulesRequest) -> bytes:
    """A page of a bus's rules, by name."""
    check_name("namePrefix", request.name_prefix, limits.RULE_NAME_CHARACTERS_MAX)
    limit = check_limit(request.limit)
    after = read_token(request.next_token)
    bus = bus_named(call, request.event_bus_name)
    page = bus.list_rules(request.name_prefix or "", after=after, limit=limit + 1)
    answer: dict[str, Any] = {"Rules": [_shown(bus, record) for record in page[:limit]]}
    if len(page) > limit:
        answer["NextToken"] = write_token(page[limit - 1].name)
    return encode_json(answer)


def list_rule_names_by_target(call: Call, request: ListRuleNamesByTargetRequest) -> bytes:
    """A page of the names of the rules with a target."""
    target_arn = required("targetArn", request.target_arn)
    check_length("targetArn", target_arn, 1, limits.ARN_CHARACTERS_MAX)
    limit = check_limit(request.limit)
    after = read_token(request.next_token)
    bus = bus_named(call, request.event_bus_name)
    names = bus.rule_names_by_target(target_arn, after=after, limit=limit + 1)
    answer: dict[str, Any] = {"RuleNames": names[:limit]}
    if len(names) > limit:
        answer["NextToken"] = write_token(names[limit - 1])
    return encode_json(answer)


def _rule_name(member: str, name: str | None) -> str:
    """The name of a rule, given in `member`. Raises the fault for what is none."""
    name = required(member, name)
    check_name(member, name, limits.RULE_NAME_CHARACTERS_MAX)
    return name


def _shown(bus: EventBus, record: RuleRecord) -> dict[str, Any]:
    shown = {
        "Name": record.name,
        "Arn": bus.rule_arn(record.name),
        "EventPattern": record.pattern,
        "State": record.state,
    }
    if record.description is not None:
        shown["Description"] = record.description
    if record.role_arn is not None:
        shown["RoleArn"] = record.role_arn
    shown["EventBusName"] = bus.name
    return shown


# Targets


def put_targets(call: Call, request: PutTargetsRequest) -> bytes:
    """Adds targets to a rule, or replaces those of the same id."""
    rule = _rule_name("rule", request.rule)
    shapes = required("targets", request.targets)
    check_count("targets", shapes, 1, limits.LIST_ENTRIES_MAX)
    bus = bus_named(call, request.event_bus_name)
    bus.rule(rule)
    region = parse_arn(bus.arn).region
    targets = [_target(number, shape, region) for number, shape in enumerate(shapes, 1)]
    for target in targets:
        call.engine.router.check_target(target.arn)
    failures = call.engine.run(bus, bus.put_targets(rule, targets))
    return _answer(failures)


def remove_targets(call: Call, request: RemoveTargetsRequest) -> bytes:
    """Removes targets from a rule; an id that it does not have is a failed entry."""
    rule = _rule_name("rule", request.rule)
    ids = required("ids", request.ids)
    check_count("ids", ids, 1, limits.LIST_ENTRIES_MAX)
    for number, target_id in enumerate(ids, 1):
        check_name(f"ids.{number}.member", target_id, limits.TARGET_ID_CHARACTERS_MAX)
    bus = bus_named(call, request.event_bus_name)
    return _answer(call.engine.run(bus, bus.remove_targets(rule, ids)))


def list_targets_by_rule(call: Call, request: ListTargetsByRuleRequest) -> bytes:
    """A page of a rule's targets, by id."""
    rule = _rule_name("rule", request.rule)
    limit = check_limit(request.limit)
    after = read_token(request.next_token)
    bus = bus_named(call, request.event_bus_name)
    record = bus.rule(rule)
    targets = sorted((t for t in record.targets if t.id > after), key=lambda target: target.id)
    answer: dict[str, Any] = {"Targets": [_shown_target(target) for target in targets[:limit]]}
    if len(targets) > limit:
        answer["NextToken"] = write_token(targets[limit - 1].id)
    return encode_json(answer)


def _answer(failures: tuple[TargetFailure, ...]) -> bytes:
    entries = [
        {"TargetId": f.target_id, "ErrorCode": f.error_code, "ErrorMessage": f.error_message}
        for f in failures
    ]
    return encode_json({"FailedEntryCount": len(entries), "FailedEntries": entries})


def _target(number: int, shape: TargetShape, region: str) -> Target:
    """The target of a request's entry; a fault names the entry by its number, as AWS does."""
    for parameter, member in _UNSUPPORTED_PARAMETERS.items():
        if getattr(shape, parameter) is not None:
            raise unsupported(f"targets with {member}")
    place = f"targets.{number}.member"
    check_length(f"{place}.roleArn", shape.role_arn, 1, limits.ARN_CHARACTERS_MAX)
    retry = shape.retry_policy
    age_seconds = retry.maximum_event_age_in_seconds if retry else None
    target = Target(
        id=required(f"{place}.id", shape.id),
        arn=required(f"{place}.arn", shape.arn),
        input=shape.input,
        input_path=shape.input_path,
        transformer=_transformer(place, shape.input_transformer),
        role_arn=shape.role_arn,
        group_id=shape.sqs_parameters.message_group_id if shape.sqs_parameters else None,
        dead_letter_arn=_dead_letter(place, shape.dead_letter_config),
        retries_max=retry.maximum_retry_attempts if retry else None,
        age_ms_max=None if age_seconds is None else age_seconds * 1000,
        partition_key_path=_partition_key_path(place, shape.kinesis_parameters),
    )
    try:
        check_target(target, region)
    except InvalidParameter as error:
        name = error.name.replace("targets.member", place)
        raise InvalidParameter(name, error.reason, error.value) from error
    return target


def _partition_key_path(place: str, shape: KinesisParameters | None) -> str | None:
    if shape is None:
        return None
    return required(f"{place}.kinesisParameters.partitionKeyPath", shape.partition_key_path)


def _transformer(place: str, shape: InputTransformerShape | None) -> InputTransformer | None:
    if shape is None:
        return None
    place = f"{place}.inputTransformer"
    template = required(f"{place}.inputTemplate", shape.input_template)
    paths = shape.input_paths_map or {}
    for name in paths:
        check_path_name(f"{place}.inputPathsMap", name)
    return InputTransformer(template, paths)


def _dead_letter(place: str, config: DeadLetterConfig | None) -> str | None:
    if config is None:
        return None
    check_arn(f"{place}.deadLetterConfig.arn", config.arn)
    return config.arn


def _shown_target(target: Target) -> dict[str, Any]:
    shown: dict[str, Any] = {"Id": target.id, "Arn": target.arn}
    optional = {
        "RoleArn": target.role_arn,
        "Input": target.input,
        "InputPath": target.input_path,
    }
    shown |= {name: value for name, value in optional.items() if value is not None}
    if target.transformer is not None:
        shown["InputTransformer"] = {
            "InputPathsMap": target.transformer.paths,
            "InputTemplate": target.transformer.template,
        }
    if target.group_id is not None:
        shown["SqsParameters"] = {"MessageGroupId": target.group_id}
    if target.partition_key_path is not None:
        shown["KinesisParameters"] = {"PartitionKeyPath": target.partition_key_path}
    if target.dead_letter_arn is not None:
        shown["DeadLetterConfig"] = {"Arn": target.dead_letter_arn}
    retry: dict[str, int] = {}
    if target.retries_max is not None:
        retry["MaximumRetryAttempts"] = target.retries_max
    if target.age_ms_max is not None:
        retry["MaximumEventAgeInSeconds"] = target.age_ms_max // 1000
    if retry:
        shown["RetryPolicy"] = retry
    return shown
