from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from eventcore.limits import WARNING_KINDS_MAX
from eventcore.runtime.telemetry import (
    DAEMON_STARTED,
    WITHHELD,
    WarningLimiter,
    configure_logging,
    logger_of,
    use_standard_logging,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _own_configuration():
    yield
    use_standard_logging()


def test_an_embedding_program_gets_lines_through_its_own_logging(caplog):
    with caplog.at_level(logging.WARNING, logger="eventcore.probe"):
        log = logger_of("eventcore.probe")
        log.info("quiet")
        log.warning("loud", reason="a word", body="hush")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("eventcore.probe", "WARNING")
    assert record.getMessage() == f"loud reason='a word' body={WITHHELD!r}"


def test_a_programs_own_structlog_is_left_alone(capsys):
    assert not structlog.is_configured()
    logger_of("eventcore.probe").info("nothing of this on standard output")
    assert not structlog.is_configured()
    assert capsys.readouterr().out == ""


def logged(style, *, stream=None, level="info"):
    out = stream or io.StringIO()
    configure_logging(style, level, out)
    return out, logger_of("eventcore.probe")


def test_json_is_one_object_per_line_with_level_time_and_component():
    out, log = logged("json")
    log.info(DAEMON_STARTED, url="http://x")
    log.warning("second")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["event"] == "daemon_started"
    assert (first["level"], first["component"]) == ("info", "eventcore.probe")
    assert first["timestamp"].endswith("Z")
    assert second["level"] == "warning"


def test_lines_of_the_parts_below_are_written_in_the_same_form():
    out, _ = logged("json")
    below = logging.getLogger("eventcore.environments")
    below.warning("%s is not on the PATH", "python3.13")
    try:
        int("why")
    except ValueError:
        below.exception("failed")
    configure_logging("json", "error", out)  # a second time adds nothing
    below.warning("not written")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert first["event"] == "python3.13 is not on the PATH"
    assert (first["level"], first["component"]) == ("warning", "eventcore.environments")
    assert "ValueError: invalid literal" in second["exception"]
    use_standard_logging()
    below.warning("not written")
    assert len(out.getvalue().splitlines()) == 2


def test_auto_is_json_unless_a_person_reads():
    out, log = logged("auto")
    log.info("machine")
    assert json.loads(out.getvalue())["event"] == "machine"
    out, log = logged("auto", stream=Terminal())
    log.info("person")
    assert "person" in out.getvalue()
    assert not out.getvalue().startswith("{")


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_error_tells_its_cause(style):
    out, log = logged(style)
    log.error("failed", exc_info=ValueError("the cause"))
    assert "ValueError: the cause" in out.getvalue()


@pytest.mark.parametrize("field", ["body", "authorization", "secret_key", "receipt_handle"])
def test_bodies_and_secrets_are_withheld(field):
    out, log = logged("json")
    log.error("failed", **{field: "hush"})
    assert json.loads(out.getvalue())[field] == WITHHELD


def test_long_texts_are_cut():
    out, log = logged("json")
    log.error("failed", reason="x" * 10_000)
    assert len(out.getvalue()) < 1_000


def test_lines_below_the_level_are_not_written():
    out, log = logged("json", level="warning")
    log.info("quiet")
    assert out.getvalue() == ""


def test_a_stream_that_is_gone_does_no_harm():
    out, log = logged("json")
    out.close()
    log.info("unheard")
    assert out.closed


def test_a_repeated_warning_is_written_once_per_interval_and_counted():
    now_ms = 0
    limiter = WarningLimiter(lambda: now_ms, interval_ms=1_000)
    assert [limiter.admit("a") for _ in range(3)] == [0, None, None]
    assert limiter.admit("b") == 0
    now_ms = 1_000
    assert limiter.admit("a") == 2
    assert limiter.admit("a") is None
    now_ms = 2_000
    assert limiter.admit("a") == 1


def test_the_limiter_remembers_a_bounded_number_of_kinds():
    limiter = WarningLimiter(lambda: 0)
    for number in range(WARNING_KINDS_MAX + 1):
        assert limiter.admit(f"kind {number}") == 0
    assert limiter.admit(f"kind {WARNING_KINDS_MAX}") is None
    assert limiter.admit("kind 0") == 0, "the oldest was forgotten"
