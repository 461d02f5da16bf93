from __future__ import annotations

import io
import sys

import pytest

from eventcore.server.commands.endpoint_options import write_json, write_line, write_raw_line
from eventcore.server.commands.streams_calls import Shard
from eventcore.server.commands.streams_lines import (
    age_text,
    as_json,
    hash_text,
    record_line,
    share_text,
    table,
    time_text,
)

HEAD = "1970-01-01T00:00:01.500+00:00  s  k  "


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"", ""),
        (b"text", "text"),
        ("ü".encode(), "ü"),
        (b"\xff\x00", "base64:/wA="),
        (b"two\nlines\r\nand\ttab\n", "two lines and tab"),
        (b"x" * 121, "x" * 119 + "…"),
        (b"x" * 120, "x" * 120),
    ],
)
def test_a_record_is_one_line(data, shown):
    assert record_line(1_500, "s", "k", data) == HEAD + shown


def test_json_has_all_of_a_record_as_text_or_as_base64():
    assert as_json(1, "s", "9", None, "k", b"x" * 500)["data"] == "x" * 500
    binary = as_json(1, "s", "9", 4, "k", b"\xff")
    assert (binary["data_base64"], binary["sub_sequence_number"]) == ("/w==", 4)
    assert "data" not in binary


@pytest.mark.parametrize(
    ("age_ms", "shown"),
    [(None, "-"), (0, "0 ms"), (1_999, "1999 ms"), (2_000, "2 s"), (172_800_000, "2 d")],
)
def test_ages_are_in_one_unit(age_ms, shown):
    assert age_text(age_ms) == shown


def test_times_are_utc_and_hash_keys_equally_wide():
    assert time_text(1_500) == "1970-01-01T00:00:01.500+00:00"
    assert len(hash_text(0)) == len(hash_text(2**128 - 1))
    assert share_text(Shard("s", (), 0, 2**127 - 1, is_open=True)) == "50.00 %"


def test_columns_are_aligned():
    lines = table([("a", "b", "c"), ("long", "x", "12345")], 1).splitlines()
    assert lines == ["a     b      c", "long  x  12345"]


@pytest.mark.parametrize(
    ("encoding", "line", "raw", "json"),
    [
        ("utf-8", "ü\\u001b…\n", "ü\x1b…\n", '"ü\\u001b…"\n'),
        ("latin-1", "\\u00fc\\u001b\\u2026\n", "ü\x1b\\u2026\n", '"\\u00fc\\u001b\\u2026"\n'),
        ("ascii", "\\u00fc\\u001b\\u2026\n", "\\xfc\x1b\\u2026\n", '"\\u00fc\\u001b\\u2026"\n'),
    ],
)
def test_lines_suit_the_encoding_of_the_terminal(monkeypatch, encoding, line, raw, json):
    for write, expected in ((write_line, line), (write_raw_line, raw), (write_json, json)):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding))
        write("ü\x1b…")
        sys.stdout.flush()
        assert written.getvalue().decode(encoding) == expected
