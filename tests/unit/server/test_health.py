from __future__ import annotations

import pytest

from eventcore.server.health import with_health
from eventcore.wire.http import HttpRequest, OnDisconnect, ResponseStream


class Answer:
    def __init__(self) -> None:
        self.on_disconnect: OnDisconnect | None = None
        self.status = 0
        self.body = b""

    def reply(self, status: int, head: bytes, body: bytes) -> None:
        assert self.status == 0
        assert head.endswith(b"\r\n")
        self.status, self.body = status, body

    def stream(self, status: int, head: bytes) -> ResponseStream:
        raise AssertionError("nothing here is answered in parts")


def ask(target: bytes, *, method: bytes = b"GET", is_ready: bool = True) -> Answer:
    answer = Answer()
    serve = with_health(
        lambda request, exchange: exchange.reply(299, b"\r\n", b""), lambda: is_ready
    )
    serve(HttpRequest(method, target, {}, b"", "peer"), answer)
    return answer


def test_live_is_answered_whatever_the_engine_does():
    assert ask(b"/health/live", is_ready=False).body == b'{"status":"live"}'


@pytest.mark.parametrize(("is_ready", "status"), [(True, 200), (False, 503)])
def test_ready_tells_whether_the_engine_takes_requests(is_ready, status):
    assert ask(b"/health/ready?probe=1", is_ready=is_ready).status == status


def test_only_reading_is_allowed_and_other_checks_do_not_exist():
    assert ask(b"/health/live", method=b"HEAD").status == 200
    assert ask(b"/health/live", method=b"POST").status == 405
    assert ask(b"/health/else").status == 404


@pytest.mark.parametrize("target", [b"/", b"/health", b"/healthy/live", b"/queue/health/live"])
def test_everything_else_goes_to_the_dispatch(target):
    assert ask(target).status == 299
