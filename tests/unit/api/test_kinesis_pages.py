"""Tokens of the pages of Kinesis's lists."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest

from eventcore.api.kinesis_pages import PageToken, check_created, read_token, write_token
from eventcore.errors import Expired, NotFound
from eventcore.limits import ITERATOR_MS_MAX
from eventcore.streams.stream import Stream
from eventcore.streams.stream_spec import StreamSpec
from eventcore.testing import SeededIds
from eventcore.wire.fault import Fault

NOW_MS = 1_700_000_000_123
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
TOKEN = PageToken("ListShards", NOW_MS, "shardId-000000000001", ARN, 5, "AT_TIMESTAMP", 7)


def test_a_token_comes_back_as_it_was_written():
    text = write_token(TOKEN)
    assert text.isascii()
    assert read_token("ListShards", text, NOW_MS) == TOKEN
    assert read_token("ListShards", text, NOW_MS + ITERATOR_MS_MAX) == TOKEN


def test_a_token_is_good_for_five_minutes():
    text = write_token(TOKEN)
    late_ms = NOW_MS + ITERATOR_MS_MAX + 1
    with pytest.raises(Expired) as caught:
        read_token("ListShards", text, late_ms)
    expired = caught.value
    assert (expired.kind, expired.created_ms, expired.now_ms) == ("next token", NOW_MS, late_ms)


def test_a_token_of_before_the_clock_was_set_back_is_expired():
    with pytest.raises(Expired):
        read_token("ListShards", write_token(TOKEN), NOW_MS - 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "=",
        "é",
        "AAAA",
        write_token(TOKEN) + "=",
        write_token(TOKEN) + "\n",
        "!" + write_token(TOKEN),
        write_token(TOKEN)[:-4],
        urlsafe_b64encode(urlsafe_b64decode(write_token(TOKEN))[:-1] + b"\0").decode(),
        urlsafe_b64encode(b"\0" + urlsafe_b64decode(write_token(TOKEN))).decode(),
    ],
)
def test_what_was_not_written_here_is_no_token(text):
    with pytest.raises(Fault, match="InvalidArgumentException: NextToken is invalid"):
        read_token("ListShards", text, NOW_MS)


def test_a_token_is_of_one_list():
    with pytest.raises(Fault, match="NextToken is invalid"):
        read_token("ListStreams", write_token(TOKEN), NOW_MS)


@pytest.mark.parametrize(
    ("created_ms", "is_meant"),
    [(NOW_MS, True), (NOW_MS - 123, True), (NOW_MS - 122, False), (NOW_MS + 1, False), (0, False)],
)
def test_a_stream_is_told_from_others_of_its_name_by_its_second(created_ms, is_meant):
    stream = Stream(ARN, SeededIds(1))
    stream.create(StreamSpec(), 1, NOW_MS)
    if is_meant:
        check_created(stream, created_ms)
        assert stream.created_ms == NOW_MS
    else:
        with pytest.raises(NotFound):
            check_created(stream, created_ms)
