"""`eventcore explain` and `eventcore lint`, on files and against a daemon."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eventcore.codec import decode_json
from eventcore.server.cli import main
from eventcore.server.commands import rule_inputs

Run = Callable[..., tuple[int, str, str]]
EVENT = {
    "version": "0",
    "id": "01234567-89ab-cdef-0123-456789abcdef",
    "detail-type": "Order Placed",
    "source": "shop",
    "account": "123456789012",
    "time": "2026-01-31T23:59:59Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {"state": "New", "amount": 7},
}
RULES = {
    "orders": {"source": ["shop"]},
    "big": {"source": ["shop"], "detail": {"amount": [{"numeric": [">", 100]}]}},
    "text": '{"detail":{"state":["new"]}}',
}


@pytest.fixture
def offline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command: exit status, standard output and error."""

    def command(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        status = main(list(arguments))
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return command


@pytest.fixture
def run(daemon: Any, offline: Run) -> Run:
    """The same, against the daemon."""
    return lambda *arguments, **options: offline(
        *arguments, "--endpoint-url", daemon.url, **options
    )


@pytest.fixture
def event(tmp_path: Path) -> str:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(EVENT))
    return str(path)


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(RULES))
    return str(path)


@pytest.fixture
def bus(clients: Callable[..., Any]) -> tuple[Any, str]:
    """A client and a bus of its own with three rules, one of them disabled."""
    events, name = clients("events"), f"explain-{uuid.uuid4().hex}"
    events.create_event_bus(Name=name)
    for rule, pattern in RULES.items():
        text = pattern if isinstance(pattern, str) else json.dumps(pattern)
        events.put_rule(Name=rule, EventBusName=name, EventPattern=text)
    events.put_rule(
        Name="off", EventBusName=name, EventPattern='{"source":["shop"]}', State="DISABLED"
    )
    return events, name


# -- explain, of a pattern -------------------------------------------------------------------------


def test_a_pattern_is_tried_on_an_event(offline: Run, event: str, tmp_path: Path) -> None:
    matching, failing = '{"source":["shop"]}', '{"source":["shop"],"detail":{"state":["new"]}}'
    assert offline("explain", "--pattern", matching, event) == (0, "matches\n", "")
    status, out, err = offline("explain", "--pattern", failing, event)
    assert (status, err) == (1, "")
    assert out.split("\n")[:3] == [
        "does not match",
        '  detail.state: ["new"] does not accept "New"',
        '    only the case differs: {"equals-ignore-case":"new"} accepts it',
    ]
    status, out, _ = offline("explain", "-v", "--pattern", failing, event)
    assert '  source: ["shop"] accepts "shop"' in out.split("\n")
    file = tmp_path / "pattern.json"
    file.write_text(failing)
    assert offline("explain", "--pattern", f"@{file}", event)[0] == 1
    assert offline("explain", "--pattern", "-", event, stdin=matching)[0] == 0
    assert offline("explain", "--pattern", matching, stdin=json.dumps(EVENT))[0] == 0


def test_json_output_is_the_explanation(offline: Run, event: str) -> None:
    status, out, _ = offline("explain", "--json", "--pattern", '{"source":["x"]}', event)
    told = decode_json(out)
    assert (status, out.count("\n"), told["is_match"]) == (1, 1, False)
    assert told["branches"][0]["conditions"][0]["values"] == ['"shop"']


def test_numbers_of_the_event_are_taken_as_they_are_written(offline: Run) -> None:
    status, out, _ = offline(
        "explain", "--pattern", '{"a":[9007199254740993]}', stdin='{"a":9007199254740992}'
    )
    assert (status, "does not accept 9007199254740992" in out) == (1, True)


def test_a_detail_becomes_an_event(offline: Run) -> None:
    pattern = '{"source":["s"],"detail-type":["t"],"account":[{"exists":true}],"detail":{"a":[1]}}'
    envelope = ("--detail", "--source", "s", "--detail-type", "t", "--resource", "r")
    assert offline("explain", "--pattern", pattern, *envelope, stdin='{"a":1}')[0] == 0
    assert offline("explain", "--pattern", '{"resources":["r"]}', *envelope, stdin="{}")[0] == 0


def test_a_bad_pattern_is_marked_where_aws_s_reason_stands(offline: Run, event: str) -> None:
    status, out, err = offline("explain", "--pattern", '{"a":[1],\n "é": "x"}', event)
    assert (status, out) == (2, "")
    assert err.split("\n") == [
        'eventcore explain: Event pattern is not valid. Reason: "é" must be an object or an array',
        "line 2, column 8:",
        '   "é": "x"}',
        "         ^",
        "",
    ]
    long = '{"a":[' + '"x",' * 400 + '{"no":1}]}'
    _, _, err = offline("explain", "--pattern", long, event)
    lines = err.split("\n")
    assert "Unrecognized match type no" in lines[0]
    assert all(len(line) < 100 for line in lines)
    if len(lines) > 2:  # the reason has all of the text
        assert lines[3].endswith("^")


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (["--pattern", '{"a":[1]}'], "{", "event: Is not JSON"),
        (["--pattern", '{"a":[1]}'], "[1]", "event: Must be a JSON object."),
        (["--pattern", '{"a":[1]}', "no-such-file"], "", "no-such-file"),
        (["--pattern", "@no-such-file"], "{}", "no-such-file"),
        (["--pattern", "-"], "{}", "Only one input can be standard input."),
        (["--pattern", "{}", "--rule", "x"], "{}", "--pattern: Does not go together"),
        (["--detail"], "{}", "--detail: Needs --source and --detail-type."),
        (["--source", "s"], "{}", "--detail: Must be given"),
        (["--rules", "no-such-file"], "{}", "no-such-file"),
        (["--endpoint-url", "http://127.0.0.1:9"], "{}", "127.0.0.1:9"),
    ],
)
def test_bad_input_of_explain_is_status_2(
    offline: Run, arguments: list[str], stdin: str, message: str
) -> None:
    status, out, err = offline("explain", *arguments, stdin=stdin)
    assert (status, out) == (2, "")
    assert err.startswith("eventcore explain: ")
    assert message in err


def test_characters_that_a_terminal_obeys_are_escaped(offline: Run, run: Run, event: str) -> None:
    odd = "\x1b[2J"
    name = json.dumps({"source": [{odd: "x"}]})
    raw = '{"source":["x"],' + odd + "}"
    rules = json.dumps({odd: {odd: ["x"]}, "z": {"source": [{odd: 1}]}})
    shown = [
        offline("explain", "--pattern", name, event),
        offline("explain", "--pattern", raw, event),
        offline("explain", odd),
        offline("explain", "--rules", "-", event, stdin=rules),
        offline("explain", "--rules", "-", "--json", event, stdin=rules),
        offline("explain", "--rules", "-", "--rule", odd + "x", event, stdin=rules),
        offline("lint", "--rules", "-", stdin=rules),
        offline("lint", "--rules", "-", "--json", stdin=rules.replace("\\u001b", "\u009b")),
        offline("lint", "--level", odd),
        offline("lint", odd),
        run("explain", "--rule", odd, event),
        run("lint", "--bus", odd),
    ]
    for status, out, err in shown:
        assert status in (1, 2)
        assert (out + err).replace("\n", "").isprintable()
        assert "[2J" in out + err


# -- explain, of rules -----------------------------------------------------------------------------


def test_all_rules_of_a_file_are_tried(offline: Run, event: str, rules: str) -> None:
    status, out, _ = offline("explain", "--rules", rules, event)
    assert status == 0
    assert out.split("\n") == [
        "1 of 3 rules matches",
        "  orders: matches",
        '  big: does not match: detail.amount: [{"numeric":[">",100]}] does not accept 7',
        '  text: does not match: detail.state: ["new"] does not accept "New"',
        "",
    ]
    status, out, _ = offline("explain", "--rules", rules, event, "-v")
    assert "only the case differs" in out
    status, out, _ = offline("explain", "--rules", rules, "--rule", "big", event)
    assert (status, out.split("\n")[0]) == (1, "does not match")
    status, out, _ = offline("explain", "--rules", rules, "--json", event)
    assert [decode_json(line)["rule"] for line in out.splitlines()] == ["big", "orders", "text"]
    status, _, err = offline("explain", "--rules", rules, "--rule", "none", event)
    assert (status, "rule 'none' does not exist" in err) == (2, True)


def test_rules_as_the_aws_cli_prints_them(
    offline: Run, event: str, bus: Any, tmp_path: Path
) -> None:
    events, name = bus
    path = tmp_path / "listed.json"
    path.write_text(json.dumps(events.list_rules(EventBusName=name)))
    status, out, _ = offline("explain", "--rules", str(path), "--bus", name, event)
    assert (status, out.split("\n")[0]) == (0, "1 of 4 rules matches")
    assert "  off: is disabled, else it would match" in out.split("\n")
    assert offline("explain", "--rules", str(path), "--bus", "other", event)[0] == 1


def test_a_rule_of_several_buses_is_ambiguous(offline: Run, event: str, tmp_path: Path) -> None:
    row = {"Name": "r", "EventPattern": '{"source":["shop"]}'}
    scheduled = {"Name": "s", "ScheduleExpression": "rate(1 minute)"}
    rows = [{**row, "EventBusName": "a"}, {**row, "EventBusName": "b"}, scheduled]
    path = tmp_path / "listed.json"
    path.write_text("\ufeff" + json.dumps({"Rules": rows}), encoding="utf-8")
    rules = ("--rules", str(path))
    assert "give --bus" in offline("explain", *rules, "--rule", "r", event)[2]
    assert offline("explain", *rules, "--rule", "r", "--bus", "b", event)[0] == 0
    assert "0 of 2 rules" not in offline("explain", *rules, event)[1]


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"a":1}', '{"a":["x"]}', '{"Rules":[1]}', '{"Rules":[{"EventPattern":"{}"}]}'],
)
def test_what_is_no_file_of_rules_is_status_2(offline: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(content)
    for command in (("explain", "--rules", str(path)), ("lint", "--rules", str(path))):
        status, out, err = offline(*command, stdin=json.dumps(EVENT))
        assert (status, out) == (2, "")
        assert err.startswith(f"eventcore {command[0]}: ")


def test_an_invalid_pattern_is_a_failure_that_hides_no_other_rule(
    offline: Run, event: str, tmp_path: Path
) -> None:
    path = tmp_path / "rules.json"
    path.write_text('{"good":{"source":["shop"]},"odd":{"source":"x"}}')
    rules = ("--rules", str(path), event)
    status, out, err = offline("explain", *rules)
    assert (status, out) == (2, "1 of 2 rules matches\n  good: matches\n")
    assert err.startswith("eventcore explain: rule odd: Event pattern")
    status, out, err = offline("explain", *rules, "--json")
    told = {row["rule"]: row for row in map(decode_json, out.splitlines())}
    assert (status, told["good"]["is_match"], told["odd"]["is_match"]) == (2, True, None)
    assert '"source" must be an object' in told["odd"]["error"]
    status, out, err = offline("explain", *rules, "--rule", "odd")
    assert (status, out, err.startswith("eventcore explain: rule odd: ")) == (2, "", True)
    assert offline("explain", *rules, "--rule", "good")[0] == 0


@pytest.mark.parametrize(
    ("sources", "line"),
    [
        ([], "0 of 0 rules match"),
        (["shop"], "1 of 1 rule matches"),
        (["x"], "0 of 1 rule matches"),
        (["shop", "x"], "1 of 2 rules matches"),
        (["shop", "shop", "x"], "2 of 3 rules match"),
        (["x", "x"], "0 of 2 rules match"),
    ],
)
def test_the_number_of_rules_that_match_is_told(
    offline: Run, event: str, sources: list[str], line: str
) -> None:
    rules = {f"r{number}": {"source": [source]} for number, source in enumerate(sources)}
    _, out, _ = offline("explain", "--rules", "-", event, stdin=json.dumps(rules))
    assert out.split("\n")[0] == line


def test_the_bus_of_a_rule_is_its_name_in_both_commands(offline: Run, tmp_path: Path) -> None:
    rows = [{"Name": "r", "EventPattern": '{"sauce":["x"]}', "EventBusName": "shop"}]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"Rules": rows}))
    _, explained, _ = offline("explain", "--json", "--rules", str(path), stdin="{}")
    _, linted, _ = offline("lint", "--json", "--rules", str(path))
    assert decode_json(explained)["bus"] == decode_json(linted)["bus"] == "shop"


def test_the_rules_of_a_daemon_are_tried(run: Run, bus: Any, event: str) -> None:
    _, name = bus
    status, out, err = run("explain", "--bus", name, event)
    assert (status, err) == (0, "")
    assert out.split("\n")[:2] == ["1 of 4 rules matches", "  orders: matches"]
    assert "  off: is disabled, else it would match" in out.split("\n")
    assert run("explain", "--bus", name, "--rule", "orders", event)[:2] == (0, "matches\n")
    status, out, _ = run("explain", "--bus", name, "--rule", "off", event)
    assert (status, out) == (1, "matches\nthe rule is disabled: it gets no events\n")
    for missing in (["--bus", name, "--rule", "none"], ["--bus", "none"]):
        status, out, err = run("explain", *missing, event)
        assert (status, out) == (2, "")
        assert "ResourceNotFoundException" in err


# -- failures --------------------------------------------------------------------------------------


def in_a_process(
    *arguments: str | bytes,
    stdin: bytes = b"",
    stdout: int = subprocess.PIPE,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """A command in a process of its own, with changes to its environment."""
    return subprocess.run(
        [sys.executable, "-m", "eventcore", *arguments],
        input=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        check=False,
        timeout=60,
    )


def test_what_the_encoding_of_the_output_does_not_have_is_escaped() -> None:
    pattern, event = '{"source":[{"anything-but":"x"}]}', '{"source":"€😀"}'.encode()
    encoded = {"PYTHONIOENCODING": "latin-1"}
    done = in_a_process("explain", "-v", "--pattern", pattern, stdin=event, environment=encoded)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b'accepts "\\u20ac\\U0001f600"\n')
    done = in_a_process("explain", "--json", "--pattern", pattern, stdin=event, environment=encoded)
    assert done.returncode == 0
    assert decode_json(done.stdout)["branches"][0]["conditions"][0]["accepted"] == '"€😀"'
    rules = '{"r€":{"x€":["a"]}}'.encode()
    done = in_a_process("lint", "--rules", "-", stdin=rules, environment=encoded)
    assert (done.returncode, done.stdout.startswith(b"error: r\\u20ac: x")) == (1, True)


def test_arguments_are_utf8_whatever_the_locale() -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    pattern = '{"source":["é"],"detail-type":["ü"],"resources":["ö"]}'
    envelope = ("--detail", "--source", "é", "--detail-type", "ü", "--resource", "ö")
    arguments = [text.encode() for text in ("explain", "--pattern", pattern, *envelope)]
    done = in_a_process(*arguments, stdin=b"{}", environment=plain)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"matches\n", b"")
    done = in_a_process(
        "explain", "--pattern", b'{"source":["\xe9"]}', stdin=b"{}", environment=plain
    )
    assert done.returncode == 2
    assert b"--pattern: Is not UTF-8: byte 0xe9 at position 12" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.parametrize(
    "command", [("explain", "--pattern", '{"a":[1]}'), ("lint", "--rules", "-", "-v")]
)
def test_output_that_cannot_be_written_is_status_2(command: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = in_a_process(*command, stdin=b'{"a":{"a":["x"]}}', stdout=full.fileno())
    assert done.returncode == 2
    assert b"No space left" in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("name", ["a", "Rules"])
def test_input_that_is_nested_too_deeply_is_status_2(offline: Run, event: str, name: str) -> None:
    deep = f'{{"{name}":' + "[" * 50_000 + "]" * 50_000 + "}"
    for arguments, what in (
        (["explain", "--rules", "-", event], "rules: -"),
        (["explain", "--pattern", '{"a":[1]}'], "event"),
        (["lint", "--rules", "-"], "rules: -"),
    ):
        message = f"eventcore {arguments[0]}: {what}: Is nested too deeply.\n"
        assert offline(*arguments, stdin=deep) == (2, "", message)


def test_a_file_that_is_not_utf8_is_called_so(offline: Run, tmp_path: Path) -> None:
    path = tmp_path / "latin-1.json"
    path.write_bytes(b'{"source":\n"caf\xe9"}')
    fault = "Is not UTF-8: byte 0xe9 at position 15, in line 2.\n"
    assert offline("explain", "--pattern", '{"a":[1]}', str(path))[::2] == (
        2,
        f"eventcore explain: event: {fault}",
    )
    assert offline("explain", "--pattern", f"@{path}", stdin="{}")[::2] == (
        2,
        f"eventcore explain: --pattern: {fault}",
    )
    assert offline("lint", "--rules", str(path))[::2] == (
        2,
        f"eventcore lint: rules: {path}: {fault}",
    )


@pytest.mark.parametrize("command", ["explain", "lint"])
def test_a_fault_of_ours_is_status_2(
    offline: Run, event: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("odd\x1b")

    monkeypatch.setattr(f"eventcore.server.commands.{command}.read_rules", broken)
    arguments = [event] if command == "explain" else []
    assert offline(command, "--rules", "x", *arguments) == (
        2,
        "",
        "eventcore: ZeroDivisionError: odd\\x1b (--traceback shows where)\n",
    )


@pytest.mark.parametrize("command", ["explain", "lint"])
def test_an_endpoint_that_never_answers_is_status_2(
    offline: Run, event: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(rule_inputs, "ANSWER_TIMEOUT_S", 0.25)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        arguments = [event] if command == "explain" else []
        status, out, err = offline(command, *arguments, "--endpoint-url", url)
    assert (status, out) == (2, "")
    assert err == f"eventcore {command}: {url}: no answer within 0.25 s\n"


@pytest.fixture
def pages() -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """An endpoint whose answers are pages by their token, "" for the first; and these."""
    answers: dict[str, dict[str, Any]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps(answers[request.get("NextToken", "")]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing is logged."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", answers
        server.shutdown()
        thread.join()


def page(rule: str, token: str | None) -> dict[str, Any]:
    bus = "arn:aws:events:us-east-1:000000000000:event-bus/default"
    row = {"Name": rule, "EventPattern": '{"source":["shop"]}', "Arn": f"{bus}/{rule}"}
    return {"Rules": [row], "NextToken": token, "Arn": bus}


def test_all_pages_of_a_list_are_read(offline: Run, event: str, pages: Any) -> None:
    url, answers = pages
    answers.update({"": page("a", "2"), "2": page("b", "3"), "3": page("c", None)})
    status, out, _ = offline("explain", event, "--endpoint-url", url)
    assert (status, out.split("\n")[0]) == (0, "3 of 3 rules match")


def test_pages_that_never_end_are_status_2(offline: Run, event: str, pages: Any) -> None:
    url, answers = pages
    answers.update({"": page("a", "2"), "2": page("b", "2")})
    status, out, err = offline("explain", event, "--endpoint-url", url)
    assert (status, out) == (2, "")
    assert "ListRules gives the same NextToken again" in err


def test_a_file_with_the_first_page_only_is_refused(offline: Run) -> None:
    listed = json.dumps(page("a", "2"))
    status, out, err = offline("lint", "--rules", "-", stdin=listed)
    assert (status, out, "has a NextToken: it is not all rules." in err) == (2, "", True)
    assert offline("lint", "--rules", "-", stdin=json.dumps(page("a", None)))[0] == 0


# -- lint ------------------------------------------------------------------------------------------


def test_the_rules_of_a_file_are_linted(offline: Run, tmp_path: Path, rules: str) -> None:
    note = "note: big: Every event that it matches is matched by orders, too.\n"
    hidden = "3 rules: nothing found; 1 note not shown (-v shows all)\n"
    assert offline("lint", "--rules", rules) == (0, "", hidden)
    assert offline("lint", "--rules", rules, "--level", "warning") == (0, "", hidden)
    for option in (["-v"], ["--verbose"], ["--level", "note"]):
        assert offline("lint", "--rules", rules, *option) == (1, note, "3 rules: 1 note\n")
    path = tmp_path / "faulty.json"
    path.write_text('{"a":{"detail":["x"]},"b":"{","c":{"source":["x*"]}}')
    status, out, err = offline("lint", "--rules", str(path), "--json")
    found = [decode_json(line) for line in out.splitlines()]
    assert [(one["rule"], one["code"]) for one in found] == [
        ("a", "dead-rule"),
        ("b", "invalid-pattern"),
        ("c", "literal-star"),
    ]
    assert err == ""
    status, out, err = offline("lint", "--rules", str(path), "--level", "error")
    assert err == "3 rules: 2 errors; 1 warning not shown (--level note shows all)\n"
    status, out, err = offline("lint", "--rules", "-", stdin=path.read_text())
    assert (status, err) == (1, "3 rules: 2 errors, 1 warning\n")
    assert "error: a: detail: No event can match." in out
    assert "  Ask for fields of detail." in out.split("\n")


def test_the_rules_of_a_daemon_are_linted_with_their_targets(
    run: Run, bus: Any, sqs: Any, clients: Callable[..., Any]
) -> None:
    events, name = bus
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    last = f"{name}-last"
    last_arn = events.create_event_bus(Name=last)["EventBusArn"]
    bus_arn = events.describe_event_bus(Name=name)["Arn"]
    for rule in ("orders", "big"):
        events.put_targets(
            Rule=rule, EventBusName=name, Targets=[{"Id": "q", "Arn": attributes["QueueArn"]}]
        )
    events.put_targets(Rule="text", EventBusName=name, Targets=[{"Id": "b", "Arn": last_arn}])
    events.put_rule(Name="back", EventBusName=last, EventPattern='{"source":["shop"]}')
    events.put_targets(Rule="back", EventBusName=last, Targets=[{"Id": "b", "Arn": bus_arn}])

    status, out, _ = run("lint", "--bus", name, "--json")
    found = [decode_json(line) for line in out.splitlines()]
    assert status == 1
    assert [(one["rule"], one["code"]) for one in found] == [("big", "delivered-twice")]
    assert attributes["QueueArn"] in found[0]["message"]

    status, out, _ = run("lint", "--level", "warning")
    assert status == 1
    assert f"warning: {last}/back: Events that come by text of {name} are not sent back" in out
    for one in (name, last):
        for listed in events.list_rules(EventBusName=one)["Rules"]:
            targets = events.list_targets_by_rule(Rule=listed["Name"], EventBusName=one)["Targets"]
            if targets:
                events.remove_targets(
                    Rule=listed["Name"], EventBusName=one, Ids=[target["Id"] for target in targets]
                )


def test_it_is_told_that_not_all_rules_were_compared_though_notes_are_hidden(offline: Run) -> None:
    rules = {f"r{n}": {"detail": {"n": [{"numeric": [">", n]}]}} for n in range(1_500)}
    status, out, err = offline("lint", "--rules", "-", stdin=json.dumps(rules))
    assert (status, out) == (0, "")
    assert err.endswith("notes not shown (-v shows all); not all rules were compared\n")


def test_lint_without_a_daemon_or_a_bus_is_status_2(run: Run, offline: Run) -> None:
    status, out, err = offline("lint", "--endpoint-url", "http://127.0.0.1:9")
    assert (status, out, "127.0.0.1:9" in err) == (2, "", True)
    status, out, err = run("lint", "--bus", "no-such-bus")
    assert (status, out, "ResourceNotFoundException" in err) == (2, "", True)
