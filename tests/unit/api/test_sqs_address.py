"""Queue URLs: what is given out, and every form that is accepted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventcore.api.operation import Call
from eventcore.api.sqs_address import URL_CHARACTERS_MAX, is_fifo_name, is_queue_name, queue_of
from eventcore.wire.credential import Caller
from eventcore.wire.fault import Fault


def arn_of(url: str | None, account: str = "000000000000") -> Any:
    """The ARN that is looked up for a URL."""
    caller = Caller("AKID", account, "us-east-1")
    call = SimpleNamespace(caller=caller, engine=SimpleNamespace(queue=lambda arn: arn))
    return queue_of(cast(Call, call), url)


@pytest.mark.parametrize(
    "url",
    [
        "orders",
        "/000000000000/orders",
        "000000000000/orders",
        "http://localhost:9324/000000000000/orders",
        "http://localhost:9324/000000000000/orders/",
        "https://sqs.eu-west-1.amazonaws.com/000000000000/orders",
        "http://us-east-1.queue.localhost:4566/000000000000/orders",
        "http://localhost:9324/queue/orders",
        "http://localhost/orders",
        "http://[::1]:9324/000000000000/orders",
    ],
)
def test_any_host_a_path_and_a_bare_name_reach_the_queue(url: str):
    assert arn_of(url) == "arn:aws:sqs:us-east-1:000000000000:orders"


def test_the_account_is_that_of_the_url_else_that_of_the_caller():
    assert arn_of("http://h/111122223333/orders").split(":")[4] == "111122223333"
    assert arn_of("http://h/orders", "444455556666").split(":")[4] == "444455556666"
    assert arn_of("orders", "444455556666").split(":")[4] == "444455556666"


@pytest.mark.parametrize("url", ["http://localhost:9324", "http://h/", "/", "x" * 1025 + "/"])
def test_a_url_that_names_no_queue_is_no_address(url: str):
    with pytest.raises(Fault) as caught:
        arn_of(url)
    assert caught.value.code == "InvalidAddress"
    assert len(caught.value.message) < URL_CHARACTERS_MAX


@pytest.mark.parametrize("url", [None, ""])
def test_a_url_that_is_absent_is_a_missing_parameter(url: str | None):
    with pytest.raises(Fault, match="must contain the parameter QueueUrl"):
        arn_of(url)


@pytest.mark.parametrize(
    ("name", "is_name"),
    [("a", True), ("A-z_09", True), ("a" * 80, True), ("", False), ("a" * 81, False)]
    + [(name, False) for name in ("a b", "a.b", "a.fifo", "é", "a/b", "a\n", "٣")],
)
def test_a_queue_name_has_letters_digits_hyphens_and_underscores(name: str, is_name: bool):
    assert is_queue_name(name) is is_name


@pytest.mark.parametrize(
    ("name", "is_name"),
    [("a.fifo", True), ("A-z_09.fifo", True), ("a" * 75 + ".fifo", True)]
    + [("a" * 76 + ".fifo", False)]
    + [(name, False) for name in ("", ".fifo", "a", "a.b.fifo", "a.FIFO", "a.fifo\n", "é.fifo")],
)
def test_the_name_of_a_fifo_queue_ends_in_fifo_which_counts_to_its_length(name: str, is_name: bool):
    assert is_fifo_name(name) is is_name
