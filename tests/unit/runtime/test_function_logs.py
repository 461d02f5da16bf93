"""What functions wrote: bounded in lines, characters and functions."""

from __future__ import annotations

from eventcore.runtime import function_logs
from eventcore.runtime.function_logs import FunctionLogs


def test_lines_are_numbered_and_read_from_a_number_on():
    logs = FunctionLogs()
    for number in range(3):
        logs.write("f", "$LATEST", "r", f"line {number}", 5)
    assert [line.text for line in logs.lines("f")] == ["line 0", "line 1", "line 2"]
    assert [line.number for line in logs.lines("f", after=1)] == [2]
    assert logs.lines("g") == []


def test_the_oldest_lines_go_and_numbers_go_on(monkeypatch):
    logs = FunctionLogs()
    for number in range(function_logs.LINES_MAX + 5):
        logs.write("f", "1", "r", str(number), 0)
    lines = logs.lines("f")
    assert len(lines) == function_logs.LINES_MAX
    assert (lines[0].text, lines[0].number) == ("5", 5)


def test_a_long_line_is_cut():
    logs = FunctionLogs()
    logs.write("f", "1", "r", "x" * 100_000, 0)
    assert len(logs.lines("f")[0].text) == function_logs.LINE_CHARACTERS_MAX


def test_the_function_that_wrote_longest_ago_makes_room(monkeypatch):
    monkeypatch.setattr(function_logs, "FUNCTIONS_MAX", 2)
    logs = FunctionLogs()
    for name in ("a", "b", "a", "c"):
        logs.write(name, "1", "r", "x", 0)
    assert [len(logs.lines(name)) for name in "abc"] == [2, 0, 1]
    logs.forget("a")
    assert logs.lines("a") == []
