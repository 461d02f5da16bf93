from __future__ import annotations

import pytest

from eventcore.wire.http import JSON_HEAD, format_response


def test_a_response_has_its_length_and_its_lines_in_order():
    assert format_response(200, JSON_HEAD, b"{}", b"connection: close\r\n") == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n"
        b"content-length: 2\r\n\r\n{}"
    )


def test_a_response_to_head_has_the_length_but_not_the_body():
    response = format_response(200, b"", b"body", is_head=True)
    assert response == b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


@pytest.mark.parametrize("status", [100, 204, 304])
def test_statuses_without_a_body_have_no_length(status):
    response = format_response(status, b"x: y\r\n", b"dropped")
    assert response.endswith(b"\r\nx: y\r\n\r\n")
    assert b"content-length" not in response


def test_an_unknown_status_needs_no_phrase():
    assert format_response(599, b"", b"").startswith(b"HTTP/1.1 599 \r\n")
