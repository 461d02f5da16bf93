"""Calls, error maps and who calls, apart from any service."""

from __future__ import annotations

from typing import Any, cast

import pytest

from eventcore.api.operation import Call, Service, to_fault
from eventcore.errors import (
    BrokerClosed,
    InvalidParameter,
    InvalidPattern,
    NotFound,
    RequestError,
    StoreUnavailable,
)
from eventcore.runtime.engine import Engine
from eventcore.wire.aws_json import JSON_1_1
from eventcore.wire.credential import ANONYMOUS, CACHED_MAX, Callers
from eventcore.wire.fault import Fault
from eventcore.wire.http import HttpRequest, OnDisconnect, ResponseStream


class HeldEngine:
    """Holds replies until the test lets them go."""

    def __init__(self) -> None:
        self.held: list[tuple[Any, Any]] = []
        self.is_everything_seen = False

    def look_at_everything(self) -> None:
        self.is_everything_seen = True

    def hold(self, reply: Any, payload: Any) -> None:
        self.held.append((reply, payload))

    def release(self) -> None:
        for reply, payload in self.held:
            reply.commit(payload)


class Replies:
    def __init__(self) -> None:
        self.on_disconnect: OnDisconnect | None = None
        self.replies: list[tuple[int, bytes, bytes]] = []

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        self.replies.append((status, head, body))

    def stream(self, status: int, head: bytes) -> ResponseStream:
        raise AssertionError("nothing is streamed here")


class Waiter:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


SERVICE = Service(
    name="plain",
    target_prefix="Plain",
    content_type=JSON_1_1,
    operations=[],
    errors={NotFound: lambda error: Fault("ResourceNotFoundException", error.name)},
)


def make_call(
    service: Service = SERVICE, /, **headers: bytes
) -> tuple[Call, HeldEngine, Replies, list[BaseException]]:
    engine, replies, bugs = HeldEngine(), Replies(), list[BaseException]()
    named = {key.replace("_", "-").encode(): value for key, value in headers.items()}
    request = HttpRequest(b"POST", b"/", named, b"", "peer")
    call = Call(
        cast(Engine, engine),
        service,
        ANONYMOUS,
        request,
        replies,
        b"id",
        lambda bug, request_id: bugs.append(bug),
    )
    return call, engine, replies, bugs


def test_an_answer_leaves_when_the_host_lets_it_go():
    call, engine, replies, _ = make_call()
    call.answer(b'{"a":1}')
    assert not call.is_answered
    engine.release()
    assert call.is_answered
    head = b"content-type: application/x-amz-json-1.1\r\nx-amzn-requestid: id\r\n"
    assert replies.replies == [(200, head, b'{"a":1}')]


def test_an_error_waits_as_an_answer_does_and_has_the_code_of_the_map():
    call, engine, replies, bugs = make_call()
    call.refuse(NotFound("rule", "r"))
    assert not replies.replies
    engine.release()
    ((status, head, body),) = replies.replies
    assert (status, body) == (400, b'{"__type":"ResourceNotFoundException","message":"r"}')
    assert b"x-amzn-query-error" not in head
    assert not bugs


def test_a_call_is_answered_once_even_when_an_answer_is_on_its_way():
    call, engine, replies, _ = make_call()
    call.answer(b"{}")
    call.send_fault(Fault("InternalFailure", "", status=500))
    engine.release()
    assert [reply[0] for reply in replies.replies] == [500]


def test_what_completes_a_waiting_call_may_fail_and_lets_nothing_escape():
    call, engine, replies, bugs = make_call()

    def make() -> bytes:
        raise KeyError("x")

    call.complete(make)
    engine.release()
    assert replies.replies[0][0] == 500
    assert [type(bug) for bug in bugs] == [KeyError]


def test_a_failed_commit_is_unavailable():
    call, _, replies, bugs = make_call()
    call.fail(StoreUnavailable("disk full"))
    assert replies.replies[0][0] == 503
    assert not bugs


def test_an_error_that_the_map_does_not_know_is_a_bug():
    call, engine, replies, bugs = make_call()
    error = InvalidPattern("x")
    call.refuse(error)
    engine.release()
    assert replies.replies[0][0] == 500
    assert bugs == [error]


def test_a_map_is_looked_up_along_the_base_classes():
    errors = {
        RequestError: lambda error: Fault("Any", ""),
        NotFound: lambda error: Fault("One", ""),
    }
    made = [to_fault(errors, e) for e in (NotFound("a", "b"), InvalidParameter("a", "b"))]
    assert [fault.code if fault else None for fault in made] == ["One", "Any"]


@pytest.mark.parametrize("error", [StoreUnavailable("x"), BrokerClosed("x")])
def test_what_the_store_or_a_shutdown_prevents_needs_no_line_in_a_map(error):
    fault = to_fault({}, error)
    assert fault is not None
    assert (fault.code, fault.status, fault.is_sender) == ("ServiceUnavailable", 503, False)


def test_a_client_that_hangs_up_cancels_what_its_call_waits_for():
    call, _, replies, _ = make_call()
    waiter = Waiter()
    call.wait_for(waiter)
    assert replies.on_disconnect is not None
    replies.on_disconnect()
    assert waiter.is_cancelled


def test_a_call_that_was_answered_waits_for_nothing():
    call, engine, replies, _ = make_call()
    call.answer(b"{}")
    engine.release()
    call.wait_for(Waiter())
    assert replies.on_disconnect is None


def test_answers_are_encoded_in_the_protocol_of_the_service():
    answer = {"Data": b"x", "At": 1_700_000_000.5}
    assert make_call()[0].encode(answer) == b'{"Data":"eA==","At":1700000000.5}'
    in_cbor = make_call(SERVICE.in_cbor(frozenset(("At",))))[0].encode(answer)
    assert in_cbor == b"\xa2\x64Data\x41x\x62At\xc1\x1b" + (1_700_000_000_500).to_bytes(8, "big")


def test_a_streamed_answer_has_a_content_type_of_its_own_and_the_requests_id():
    head = b"content-type: text/plain\r\nx-amzn-requestid: id\r\n"
    assert make_call()[0].stream_head(b"text/plain") == head
    extended = Service(
        name="e",
        target_prefix="E",
        content_type=JSON_1_1,
        operations=[],
        errors={},
        has_extended_id=True,
    )
    for service in (extended, extended.in_cbor(frozenset())):
        call = make_call(service)[0]
        assert call.stream_head(b"text/plain") == head + b"x-amz-id-2: aWRpZA==\r\n"


def test_the_base_url_is_where_the_caller_reached_us():
    assert make_call(host=b"h:1")[0].base_url == "http://h:1"
    assert make_call(host=b"h", x_forwarded_proto=b"https")[0].base_url == "https://h"
    assert make_call(host=b"h", x_forwarded_proto=b"javascript")[0].base_url == "http://h"


def test_remembered_credentials_are_bounded():
    callers = Callers()
    text = "Credential=%012d/1/eu-west-1/sqs/aws4_request, x"
    for number in range(CACHED_MAX + 1):
        caller = callers.read((text % number).encode())
        assert (caller.account, caller.region) == (f"{number:012d}", "eu-west-1")
        assert len(callers._known) <= CACHED_MAX


def test_a_credential_is_read_once():
    callers = Callers()
    text = b"AWS4-HMAC-SHA256 Credential=a/b/20231114/us-east-1/sqs/aws4_request, Signature=%d"
    assert callers.read(text % 1) is callers.read(text % 2)
    assert callers.read(text % 1).access_key == "a/b"
