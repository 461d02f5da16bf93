"""Creating and changing a function, its versions, its code as rows, revisions."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import msgspec
import pytest

from eventcore import limits
from eventcore.errors import (
    AlreadyExists,
    Conflict,
    InvalidParameter,
    LimitExceeded,
    NotFound,
    PreconditionFailed,
)
from eventcore.functions.code import PART_BYTES
from eventcore.functions.function import Function
from eventcore.functions.function_spec import (
    FunctionCode,
    FunctionConfig,
    InvokeConfig,
    PolicyStatement,
)
from eventcore.outcome import LOG_KEY_FIRST
from eventcore.testing import SeededIds
from tests.unit.functions.function_rig import ARN, CONFIG, NOW_MS, FunctionRig, state_of


@pytest.fixture
def rig():
    return FunctionRig()


def code_of(rig, version="$LATEST"):
    keys = rig.function.code_keys(rig.function.version(version).config.code)
    return b"".join(rig.rows[key] for key in keys)


def code_rows(rig):
    return sum(key >= LOG_KEY_FIRST for key in rig.rows)


def update_code(rig, zip_bytes, **options):
    return rig.keep(rig.function.update_code(zip_bytes, "", NOW_MS + 1, **options))


def test_a_function_is_known_by_its_arn(rig):
    function = rig.function
    assert (function.account, function.region, function.name) == (
        "000000000000",
        "us-east-1",
        "resize",
    )
    assert function.arn == ARN
    assert function.record.created_ms == NOW_MS


def test_a_new_function_has_latest_only(rig):
    assert rig.function.versions() == [rig.function.latest]
    latest = rig.function.latest
    assert (latest.version, latest.modified_ms, latest.config.handler) == (
        "$LATEST",
        NOW_MS,
        "resize.main",
    )


def test_a_function_is_created_once(rig):
    with pytest.raises(AlreadyExists) as caught:
        rig.function.create(CONFIG, b"zip", NOW_MS)
    assert (caught.value.kind, caught.value.name) == ("function", "resize")


def test_tags_and_reserved_concurrency_can_come_with_the_creation():
    function = Function(ARN, SeededIds(1))
    function.create(CONFIG, None, NOW_MS, tags={"team": "a"}, reserved=5)
    assert (function.record.tags, function.record.reserved) == ({"team": "a"}, 5)


@pytest.mark.parametrize(
    ("config", "options"),
    [
        (FunctionConfig(timeout_ms=0), {}),
        (FunctionConfig(timeout_ms=900_001), {}),
        (FunctionConfig(memory_mb=0), {}),
        (FunctionConfig(memory_mb=10_241), {}),
        (CONFIG, {"reserved": -1}),
        (CONFIG, {"tags": {"": "x"}}),
        (CONFIG, {"tags": {"k" * 129: "x"}}),
        (CONFIG, {"tags": {"k": "v" * 257}}),
    ],
)
def test_what_is_not_allowed_is_refused_and_makes_nothing(config, options):
    function = Function(ARN, SeededIds(1))
    with pytest.raises(InvalidParameter):
        function.create(config, b"zip", NOW_MS, **options)
    assert state_of(function) is None
    assert function.create(CONFIG, b"zip", NOW_MS).value.version == "$LATEST"


def test_tags_and_code_are_bounded():
    function = Function(ARN, SeededIds(1))
    with pytest.raises(LimitExceeded) as caught:
        function.create(CONFIG, None, NOW_MS, tags={str(n): "" for n in range(51)})
    assert (caught.value.limit, caught.value.value) == ("tags_max", 50)
    assert caught.value.detail == "Number of tags exceeds resource tag limit."
    with pytest.raises(LimitExceeded) as caught:
        function.create(CONFIG, bytes(limits.ZIP_BYTES_MAX + 1), NOW_MS)
    assert caught.value.limit == "zip_bytes_max"


# Code


def test_a_zip_is_kept_in_parts_that_give_it_back():
    zip_bytes = bytes(range(256)) * (PART_BYTES // 256) * 2 + b"end"
    rig = FunctionRig(zip_bytes=zip_bytes)
    code = rig.function.latest.config.code
    assert code.size_bytes == len(zip_bytes)
    assert code.sha256 == b64encode(sha256(zip_bytes).digest()).decode()
    assert len(rig.function.code_keys(code)) == code_rows(rig) == 3
    assert code_of(rig) == zip_bytes
    assert max(len(value) for value in rig.rows.values()) == PART_BYTES


def test_code_in_a_directory_has_no_rows():
    rig = FunctionRig(FunctionConfig(code=FunctionCode(location="/srv/app")), None)
    code = rig.function.latest.config.code
    assert (code.location, rig.function.code_keys(code), code_rows(rig)) == ("/srv/app", [], 0)


def test_new_code_takes_the_place_of_the_old(rig):
    before = rig.function.latest
    version = update_code(rig, b"zip two", architecture="arm64")
    assert version == rig.function.latest
    assert code_of(rig) == b"zip two"
    assert code_rows(rig) == 1
    assert version.config.architecture == "arm64"
    assert version.modified_ms == NOW_MS + 1
    assert version.revision_id != before.revision_id


def test_code_that_a_version_has_stays_until_that_version_goes(rig):
    rig.keep(rig.function.publish(NOW_MS))
    update_code(rig, b"zip two")
    assert (code_of(rig, "1"), code_of(rig)) == (b"zip", b"zip two")
    rig.keep(rig.function.delete_version("1"))
    assert code_rows(rig) == 1
    assert code_of(rig) == b"zip two"


def test_the_same_code_is_stored_once(rig):
    rig.keep(rig.function.publish(NOW_MS))
    update_code(rig, b"zip two")
    version = update_code(rig, b"zip")
    assert version.config.code == rig.function.version("1").config.code
    assert code_rows(rig) == 1
    unchanged = update_code(rig, b"zip")
    assert unchanged.config.code == version.config.code
    assert unchanged.revision_id != version.revision_id


def test_a_zip_can_make_room_for_a_directory_and_come_back(rig):
    rig.keep(rig.function.update_code(None, "/srv/app", NOW_MS))
    assert rig.function.latest.config.code == FunctionCode(location="/srv/app")
    assert code_rows(rig) == 0
    update_code(rig, b"zip")
    assert code_of(rig) == b"zip"


def test_an_update_without_code_is_refused(rig):
    with pytest.raises(InvalidParameter) as caught:
        rig.function.update_code(None, "", NOW_MS)
    assert caught.value.name == "code"


def test_a_blob_number_is_never_given_again(rig):
    first = rig.function.latest.config.code.blob
    second = update_code(rig, b"two").config.code.blob
    assert rig.restarted().function.record.next_blob == 3
    assert update_code(rig, b"three").config.code.blob == 3
    assert (first, second) == (1, 2)


# Configuration


def test_a_configuration_is_replaced_without_its_code(rig):
    code = rig.function.latest.config.code
    version = rig.keep(
        rig.function.update_config(FunctionConfig(handler="other.main", timeout_ms=9_000), 5)
    )
    assert (version.config.handler, version.config.timeout_ms, version.modified_ms) == (
        "other.main",
        9_000,
        5,
    )
    assert version.config.code == code
    assert code_of(rig) == b"zip"


@pytest.mark.parametrize("command", ["update_config", "update_code", "publish"])
def test_a_revision_that_is_not_the_latest_is_refused(rig, command):
    def call(revision_id):
        function = rig.function
        if command == "update_config":
            return function.update_config(CONFIG, NOW_MS, revision_id=revision_id)
        if command == "update_code":
            return function.update_code(b"x", "", NOW_MS, revision_id=revision_id)
        return function.publish(NOW_MS, revision_id=revision_id)

    stale = rig.function.latest.revision_id
    rig.keep(rig.function.update_config(CONFIG, NOW_MS))
    before = state_of(rig.function)
    with pytest.raises(PreconditionFailed):
        call(stale)
    assert state_of(rig.function) == before
    assert rig.keep(call(rig.function.latest.revision_id)) is not None


def test_an_invalid_configuration_changes_nothing(rig):
    before = state_of(rig.function)
    with pytest.raises(InvalidParameter):
        rig.function.update_config(FunctionConfig(memory_mb=-1), NOW_MS)
    assert state_of(rig.function) == before


# Versions


def test_a_version_is_latest_as_it_was(rig):
    latest = rig.function.latest
    version = rig.keep(rig.function.publish(NOW_MS + 5, description="first"))
    assert (version.version, version.config, version.modified_ms) == (
        "1",
        latest.config,
        NOW_MS + 5,
    )
    assert version.shown_description == "first"
    rig.keep(rig.function.update_config(FunctionConfig(handler="new.main"), NOW_MS))
    assert rig.function.version("1") == version


def test_publishing_gives_latest_a_new_revision_and_no_new_time(rig):
    before = rig.function.latest
    version = rig.keep(rig.function.publish(NOW_MS + 5))
    after = rig.function.latest
    assert len({before.revision_id, version.revision_id, after.revision_id}) == 3
    assert after.modified_ms == before.modified_ms


def test_nothing_is_published_twice(rig):
    first = rig.keep(rig.function.publish(NOW_MS, description="first"))
    log = len(rig.log)
    assert rig.keep(rig.function.publish(NOW_MS + 9, description="again")) == first
    assert len(rig.log) == log
    rig.keep(rig.function.update_config(FunctionConfig(handler="b"), NOW_MS))
    assert rig.keep(rig.function.publish(NOW_MS)).version == "2"


def test_a_deleted_version_is_published_anew_under_a_new_number(rig):
    rig.keep(rig.function.publish(NOW_MS))
    rig.keep(rig.function.delete_version("1"))
    assert rig.keep(rig.function.publish(NOW_MS)).version == "2"


def test_versions_come_in_the_order_of_their_numbers(rig):
    for number in range(1, 12):
        rig.keep(rig.function.update_config(FunctionConfig(handler=f"h{number}"), NOW_MS))
        rig.keep(rig.function.publish(NOW_MS))
    names = [version.version for version in rig.function.versions()]
    assert names == ["$LATEST", *(str(number) for number in range(1, 12))]


def test_a_digest_that_is_not_that_of_latest_is_refused(rig):
    current = rig.function.latest.config.code.sha256
    with pytest.raises(InvalidParameter) as caught:
        rig.function.publish(NOW_MS, sha256="other")
    assert caught.value.reason == (
        f"CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ({current}). "
        "Please try again with the CodeSHA256 in $LATEST."
    )
    assert rig.keep(rig.function.publish(NOW_MS, sha256=current)).version == "1"


@pytest.mark.parametrize("name", ["1", "0", "01", "x", "", "9" * 30, "\u0661", "$latest"])
def test_a_version_that_is_not_there_is_not_found(rig, name):
    with pytest.raises(NotFound) as caught:
        rig.function.version(name)
    assert (caught.value.kind, caught.value.name) == ("function version", name)
    with pytest.raises(NotFound):
        rig.function.delete_version(name)


def test_latest_can_not_be_deleted(rig):
    with pytest.raises(InvalidParameter) as caught:
        rig.function.delete_version("$LATEST")
    assert "$LATEST version cannot be deleted" in caught.value.reason


def test_a_version_that_an_alias_names_can_not_be_deleted(rig):
    rig.keep(rig.function.publish(NOW_MS))
    update_code(rig, b"two")
    rig.keep(rig.function.publish(NOW_MS))
    rig.keep(rig.function.put_alias("live", "1", weights={"2": 0.5}, is_new=True))
    for version in "12":
        with pytest.raises(Conflict) as caught:
            rig.function.delete_version(version)
        assert "live" in caught.value.reason
    rig.keep(rig.function.delete_alias("live"))
    rig.keep(rig.function.delete_version("1"))
    assert [version.version for version in rig.function.versions()] == ["$LATEST", "2"]


def test_a_versions_settings_and_policy_go_with_it(rig):
    rig.keep(rig.function.publish(NOW_MS))
    rig.keep(rig.function.set_invoke_config("1", InvokeConfig(NOW_MS, 0)))
    rig.keep(rig.function.set_provisioned("1", 2, NOW_MS))
    rig.keep(rig.function.add_statement("1", PolicyStatement("s", "{}")))
    rig.keep(rig.function.delete_version("1"))
    assert rig.function.invoke_configs() == {}
    assert rig.function.all_provisioned() == {}
    assert rig.function.policy("1") is None


def test_rows_written_before_a_field_was_added_are_read():
    rig = FunctionRig(zip_bytes=None)
    key = next(key for key in rig.rows if key >> 48 == 1)
    raw = msgspec.msgpack.decode(rig.rows[key])
    raw[1] = raw[1][:2]
    rig.rows[key] = msgspec.msgpack.encode(raw)
    config = rig.restarted().function.latest.config
    assert (config.handler, config.timeout_ms) == ("resize.main", 3_000)


def test_a_text_that_no_row_can_hold_changes_nothing(rig):
    bad = "\ud800"
    function = rig.function
    rig.keep(function.publish(NOW_MS))
    rig.keep(function.update_config(FunctionConfig(handler="new"), NOW_MS))
    before = state_of(function)
    for command in (
        lambda: function.publish(NOW_MS, description=bad),
        lambda: function.update_config(FunctionConfig(description=bad), NOW_MS),
        lambda: function.update_code(b"new", "", NOW_MS, architecture=bad),
        lambda: function.put_alias("a", "1", description=bad, is_new=True),
        lambda: function.set_tags({"a": bad}),
        lambda: function.add_statement(None, PolicyStatement("a", bad)),
        lambda: Function(ARN, SeededIds(1)).create(FunctionConfig(handler=bad), b"zip", NOW_MS),
    ):
        with pytest.raises((UnicodeEncodeError, InvalidParameter)):
            command()
        assert state_of(function) == before
        function.check()
    unmade = Function(ARN, SeededIds(1))
    with pytest.raises(UnicodeEncodeError):
        unmade.create(CONFIG, b"zip", NOW_MS, tags={"a": bad})
    assert state_of(unmade) is None
