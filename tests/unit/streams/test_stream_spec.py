"""Settings of a stream: what they may be, and that none is stored that could not be read back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from eventcore.codec import encode_record, record_decoder
from eventcore.errors import InvalidParameter
from eventcore.streams.stream_spec import StreamSpec

HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("mode", "SERVERLESS"),
        ("retention_ms", 24 * HOUR_MS - 1),
        ("retention_ms", 8_760 * HOUR_MS + 1),
        ("retention_ms", 24.5 * HOUR_MS),
        ("retention_ms", "24"),
        ("record_bytes_max", 1_048_575),
        ("record_bytes_max", 10_485_761),
        ("record_bytes_max", 1_048_576.0),
        ("record_bytes_max", True),
        ("tags", {str(number): "" for number in range(51)}),
        ("tags", {1: "one"}),
        ("tags", {"one": 1}),
        ("tags", {"one": None}),
        ("tags", {"\ud800": "lone surrogate"}),
        ("tags", {"lone surrogate": "\udfff"}),
    ],
)
def test_settings_out_of_range_or_of_another_type_are_refused(setting: str, value: Any) -> None:
    spec = msgspec.structs.replace(StreamSpec(), **{setting: value})
    with pytest.raises(InvalidParameter) as caught:
        spec.validate()
    assert caught.value.name == setting


@pytest.mark.parametrize(
    "spec",
    [
        StreamSpec(),
        StreamSpec("ON_DEMAND", 8_760 * HOUR_MS, 10_485_760, "key", ("ALL",), {"ä": "ö"}, "{}", 5),
    ],
)
def test_what_is_allowed_is_read_back(spec: StreamSpec) -> None:
    spec.validate()
    assert record_decoder(StreamSpec)(encode_record(spec)) == spec
