"""What the commands of mappings share: what the daemon's side door tells of them."""

from __future__ import annotations

from urllib.parse import quote

from eventcore.arn import parse_arn, split_qualifier
from eventcore.bench.client import AwsJsonClient
from eventcore.limits import BROWSE_QUEUES_MAX
from eventcore.server.commands.endpoint_options import MAPPINGS_PATH, look_inside
from eventcore.server.function_views import (
    LaneView,
    MappingView,
    decode_mapping_lanes_page,
    decode_mapping_view,
    decode_mappings_page,
)

__all__ = ["function_text", "is_of_stream", "lanes_of_mapping", "mappings", "source_text"]


async def mappings(client: AwsJsonClient, uuids: list[str]) -> list[MappingView]:
    """The mappings of these UUIDs; without any, all, of all accounts and regions."""
    if uuids:
        paths = [f"{MAPPINGS_PATH}/{quote(uuid, safe='')}" for uuid in uuids]
        return [await look_inside(client, path, decode_mapping_view) for path in paths]
    views: list[MappingView] = []
    after: str | None = ""
    while after is not None:
        query = f"?max={BROWSE_QUEUES_MAX}&after={quote(after, safe='')}"
        page = await look_inside(client, MAPPINGS_PATH + query, decode_mappings_page)
        views += page.mappings
        after = page.next
    return views


async def lanes_of_mapping(client: AwsJsonClient, uuid: str) -> list[LaneView]:
    """All lanes of a mapping of a stream, by shard and lane."""
    path = f"{MAPPINGS_PATH}/{quote(uuid, safe='')}/lanes"
    lanes: list[LaneView] = []
    after: str | None = ""
    while after is not None:
        query = f"?max={BROWSE_QUEUES_MAX}&after={quote(after, safe='')}"
        page = await look_inside(client, path + query, decode_mapping_lanes_page)
        lanes += page.lanes
        after = page.next
    return lanes


def is_of_stream(view: MappingView) -> bool:
    """Whether its source is a stream; else it is a queue."""
    return parse_arn(view.source_arn).service == "kinesis"


def source_text(view: MappingView) -> str:
    """Its source, in short: "orders", "stream/clicks"."""
    return parse_arn(view.source_arn).resource


def function_text(view: MappingView) -> str:
    """Its function, in short, with the qualifier if there is one."""
    arn, qualifier = split_qualifier(view.function_arn)
    name = arn.rpartition(":")[2]
    return name if qualifier is None else f"{name}:{qualifier}"
