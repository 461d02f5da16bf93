"""Who calls, as the parameters of a Query request say it."""

from __future__ import annotations

import pytest

from eventcore.wire.aws_query import Form
from eventcore.wire.credential import (
    ANONYMOUS,
    CACHED_BYTES_MAX,
    CACHED_MAX,
    Callers,
    account_of,
    temporary_key,
)

SCOPE = "111122223333/20150901/eu-west-1/sqs/aws4_request"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"X-Amz-Credential": SCOPE}, ("111122223333", "111122223333", "eu-west-1", "sqs")),
        ({"X-Amz-Credential": "AKID"}, ("AKID", "000000000000", "us-east-1", "")),
        ({"AWSAccessKeyId": "AKID"}, ("AKID", "000000000000", "us-east-1", "")),
        ({"AWSAccessKeyId": "111122223333"}, ("111122223333", "111122223333", "us-east-1", "")),
        (
            {"X-Amz-Credential": SCOPE, "AWSAccessKeyId": "AKID"},
            ("111122223333", "111122223333", "eu-west-1", "sqs"),
        ),
        ({"X-Amz-Credential": "a/b/1/../sns/c"}, ("a/b", "000000000000", "us-east-1", "sns")),
    ],
)
def test_the_parameters_name_the_caller(form: Form, expected: tuple[str, str, str, str]):
    caller = Callers().read_parameters(form)
    assert (caller.access_key, caller.account, caller.region, caller.service) == expected


@pytest.mark.parametrize("form", [{}, {"X-Amz-Credential": ""}, {"AWSAccessKeyId": ""}])
def test_who_names_nobody_is_anonymous(form: Form):
    assert Callers().read_parameters(form) is ANONYMOUS


def test_the_scope_of_a_header_names_the_service():
    header = f"AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0".encode()
    callers = Callers()
    assert callers.read(header).service == "sqs"
    assert callers.read(header) is callers.read_parameters({"X-Amz-Credential": SCOPE})


def test_credentials_are_remembered_up_to_a_number_and_a_size():
    callers = Callers()
    longest, longer = "x" * CACHED_BYTES_MAX, "x" * (CACHED_BYTES_MAX + 1)
    for credential, is_kept in ((longest, True), (longer, False)):
        form = {"AWSAccessKeyId": credential}
        first = callers.read_parameters(form)
        assert first.access_key == credential
        assert (callers.read_parameters(form) is first) is is_kept
    for number in range(CACHED_MAX + 1):
        callers.read_parameters({"AWSAccessKeyId": str(number)})
        assert len(callers._known) <= CACHED_MAX


@pytest.mark.parametrize(
    ("access_key", "account"),
    [
        (temporary_key("111122223333", "ABCDEFGHIJ234567"), "111122223333"),
        ("111122223333", "111122223333"),
        ("ASIA111122223333", "000000000000"),
        ("ASIAY34FZKBOKMUTVV7A", "000000000000"),  # as AWS gives them out
        ("AKIA111122223333ABCDEFGHIJ234567", "000000000000"),
        ("ASIA111122223333ABCDEFGHIJ234561", "000000000000"),
        ("ASIA111122223333ABCDEFGHIJ234567\n", "000000000000"),
        ("", "000000000000"),
    ],
)
def test_a_temporary_key_of_ours_leads_to_its_account(access_key: str, account: str):
    assert account_of(access_key) == account
