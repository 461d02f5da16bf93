from __future__ import annotations

import msgspec
import pytest

from eventcore.server.commands.stats import render
from eventcore.server.queue_views import MoveView, QueueView

VIEW = QueueView(
    name="orders",
    account="000000000000",
    region="us-east-1",
    arn="arn:aws:sqs:us-east-1:000000000000:orders",
    url="http://h/000000000000/orders",
    is_fifo=False,
    created_ms=1,
    visible=12_345,
    in_flight=2,
    delayed=3,
    oldest_age_ms=0,
    noisy_groups=4,
    quiet_visible=5,
    quiet_in_flight=6,
    quiet_delayed=7,
    quiet_oldest_age_ms=0,
)


def cells(views):
    return [line.split() for line in render(views).splitlines()[1:]]


def test_a_row_has_all_counts():
    assert cells([VIEW]) == [["orders", "12,345", "2", "3", "-", "4", "5", "6", "7", "-"]]


def test_no_queues_are_said_so():
    assert render([]) == "no queues"


@pytest.mark.parametrize(
    ("age_ms", "shown"),
    [
        (0, ["-"]),
        (1, ["1", "ms"]),
        (1_999, ["1999", "ms"]),
        (2_000, ["2", "s"]),
        (119_999, ["119", "s"]),
        (120_000, ["2", "min"]),
        (7_200_000, ["2", "h"]),
        (10 * 86_400_000, ["10", "d"]),
    ],
)
def test_ages_are_in_one_unit(age_ms, shown):
    (row,) = cells([msgspec.structs.replace(VIEW, oldest_age_ms=age_ms)])
    assert row[4 : 4 + len(shown)] == shown


def test_queues_of_several_places_are_told_apart():
    other = msgspec.structs.replace(VIEW, region="eu-west-1", arn="arn:aws:sqs:eu-west-1:0:orders")
    assert [row[0] for row in cells([VIEW, other])] == [VIEW.arn, other.arn]


def test_a_running_move_task_shows_its_progress():
    task = MoveView("handle", None, None, 1, 3, 25)
    assert cells([msgspec.structs.replace(VIEW, move_task=task)])[0][-1] == "3/25"


def test_columns_are_aligned():
    small = msgspec.structs.replace(VIEW, name="q", visible=1)
    lines = render([VIEW, small]).splitlines()
    assert len({len(line) for line in lines}) == 1
