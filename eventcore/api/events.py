"""Amazon EventBridge over AWS JSON 1.1: the table of its operations.

Requests are in `events_requests`, what is checked of them in `events_constraints`; handlers are in
`events_buses`, `events_rules`, `events_tags` and `events_put`, errors in `events_faults`. What is
missing and what has no effect is listed in docs/coverage.md.
"""

from __future__ import annotations

from typing import Final

from eventcore.api import events_buses, events_put, events_requests, events_rules, events_tags
from eventcore.api.events_faults import ERRORS
from eventcore.api.operation import Operation, Service
from eventcore.wire.aws_json import JSON_1_1

__all__ = ["EVENTS", "MISSING_OPERATIONS"]

MISSING_OPERATIONS: Final = frozenset(
    (
        "ActivateEventSource",
        "CancelReplay",
        "CreateApiDestination",
        "CreateArchive",
        "CreateConnection",
        "CreateEndpoint",
        "CreatePartnerEventSource",
        "DeactivateEventSource",
        "DeauthorizeConnection",
        "DeleteApiDestination",
        "DeleteArchive",
        "DeleteConnection",
        "DeleteEndpoint",
        "DeletePartnerEventSource",
        "DescribeApiDestination",
        "DescribeArchive",
        "DescribeConnection",
        "DescribeEndpoint",
        "DescribeEventSource",
        "DescribePartnerEventSource",
        "DescribeReplay",
        "ListApiDestinations",
        "ListArchives",
        "ListConnections",
        "ListEndpoints",
        "ListEventSources",
        "ListPartnerEventSourceAccounts",
        "ListPartnerEventSources",
        "ListReplays",
        "PutPartnerEvents",
        "PutPermission",
        "RemovePermission",
        "StartReplay",
        "UpdateApiDestination",
        "UpdateArchive",
        "UpdateConnection",
        "UpdateEndpoint",
    )
)
"""AWS has them, eventcore not yet."""

EVENTS: Final = Service(
    name="events",
    target_prefix="AWSEvents",
    content_type=JSON_1_1,
    errors=ERRORS,
    missing_operations=MISSING_OPERATIONS,
    operations=[
        Operation(
            "CreateEventBus", events_requests.CreateEventBusRequest, events_buses.create_event_bus
        ),
        Operation(
            "DeleteEventBus", events_requests.DeleteEventBusRequest, events_buses.delete_event_bus
        ),
        Operation("DeleteRule", events_requests.DeleteRuleRequest, events_rules.delete_rule),
        Operation(
            "DescribeEventBus",
            events_requests.DescribeEventBusRequest,
            events_buses.describe_event_bus,
        ),
        Operation("DescribeRule", events_requests.DescribeRuleRequest, events_rules.describe_rule),
        Operation("DisableRule", events_requests.DisableRuleRequest, events_rules.disable_rule),
        Operation("EnableRule", events_requests.EnableRuleRequest, events_rules.enable_rule),
        Operation(
            "ListEventBuses", events_requests.ListEventBusesRequest, events_buses.list_event_buses
        ),
        Operation(
            "ListRuleNamesByTarget",
            events_requests.ListRuleNamesByTargetRequest,
            events_rules.list_rule_names_by_target,
        ),
        Operation("ListRules", events_requests.ListRulesRequest, events_rules.list_rules),
        Operation(
            "ListTagsForResource",
            events_requests.ListTagsForResourceRequest,
            events_tags.list_tags_for_resource,
        ),
        Operation(
            "ListTargetsByRule",
            events_requests.ListTargetsByRuleRequest,
            events_rules.list_targets_by_rule,
        ),
        Operation("PutEvents", events_requests.PutEventsRequest, events_put.put_events),
        Operation("PutRule", events_requests.PutRuleRequest, events_rules.put_rule),
        Operation("PutTargets", events_requests.PutTargetsRequest, events_rules.put_targets),
        Operation(
            "RemoveTargets", events_requests.RemoveTargetsRequest, events_rules.remove_targets
        ),
        Operation("TagResource", events_requests.TagResourceRequest, events_tags.tag_resource),
        Operation(
            "TestEventPattern",
            events_requests.TestEventPatternRequest,
            events_put.test_event_pattern,
        ),
        Operation(
            "UntagResource", events_requests.UntagResourceRequest, events_tags.untag_resource
        ),
        Operation(
            "UpdateEventBus", events_requests.UpdateEventBusRequest, events_buses.update_event_bus
        ),
    ],
)
