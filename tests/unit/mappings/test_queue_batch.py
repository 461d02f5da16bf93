"""Which message goes into which batch, which batch may run, and how many at a time."""

from __future__ import annotations

from eventcore.mappings.queue_batch import NEVER, QueueBatch, QueueBatches, QueueItem, Slots

NOW_MS = 1_000_000
VISIBLE_MS = NOW_MS + 40_000


def item(
    body: str, group: str | None = None, size_bytes: int = 10, visible_ms: int = VISIBLE_MS
) -> QueueItem:
    record = {"messageId": "id " + body, "receiptHandle": "handle " + body, "body": body}
    return QueueItem(record, size_bytes, visible_ms, group)


def batches_of(size_max: int = 10, window_ms: int = 0, bytes_max: int = 1_000) -> QueueBatches:
    batches = QueueBatches()
    batches.configure(size_max, window_ms, bytes_max)
    return batches


def bodies(batch: QueueBatch | None) -> str | None:
    return None if batch is None else "".join(each.record["body"] for each in batch.items)


def test_a_batch_is_complete_with_its_last_message() -> None:
    batches = batches_of(3)
    batches.add(item("a"), NOW_MS)
    assert batches.room == 2 and batches.start(NOW_MS) is None
    batches.add(item("b"), NOW_MS)
    batches.add(item("c"), NOW_MS)
    assert (batches.room, batches.waiting, batches.running) == (3, 1, 0)
    batch = batches.start(NOW_MS)
    assert bodies(batch) == "abc" and batch is not None
    assert batch.message_ids == ["id a", "id b", "id c"]
    assert batch.receipt_handles == ["handle a", "handle b", "handle c"]
    assert (batches.waiting, batches.running) == (0, 1)
    batches.check()


def test_a_batch_is_complete_before_a_message_that_does_not_fit() -> None:
    batches = batches_of(bytes_max=100)
    for body, size_bytes in [("a", 60), ("b", 40), ("c", 1), ("d", 500), ("e", 1)]:
        batches.add(item(body, size_bytes=size_bytes), NOW_MS)
    batches.close()
    assert [bodies(batches.start(NOW_MS)) for _ in range(5)] == ["ab", "c", "d", "e", None]


def test_a_window_counts_from_the_first_message_and_leaves_a_quarter_of_the_visibility() -> None:
    batches = batches_of(window_ms=5_000)
    assert batches.close_ms == NEVER
    batches.add(item("a"), NOW_MS)
    batches.add(item("b"), NOW_MS + 3_000)
    assert batches.close_ms == NOW_MS + 5_000
    batches.close_due(NOW_MS + 4_999)
    assert batches.waiting == 0
    batches.close_due(NOW_MS + 5_000)
    assert batches.waiting == 1 and batches.close_ms == NEVER
    batches.add(item("c", visible_ms=NOW_MS + 4_000), NOW_MS)
    assert batches.close_ms == NOW_MS + 3_000


def test_an_invocation_may_be_tried_for_half_of_what_is_left_of_the_visibility() -> None:
    batches = batches_of(2)
    batches.add(item("a"), NOW_MS)
    batches.add(item("b", visible_ms=VISIBLE_MS - 10_000), NOW_MS)
    batch = batches.start(NOW_MS + 10_000)
    assert batch is not None and batch.retry_until_ms == NOW_MS + 20_000


def test_messages_that_are_visible_again_are_let_go() -> None:
    batches = batches_of()
    batches.add(item("a", visible_ms=NOW_MS + 1), NOW_MS)
    batches.add(item("b"), NOW_MS)
    batches.close()
    batches.add(item("c", visible_ms=NOW_MS + 1), NOW_MS)
    batches.close()
    batch = batches.start(NOW_MS + 2)
    assert bodies(batch) == "b" and batch is not None and batch.visible_ms == VISIBLE_MS
    assert batches.start(NOW_MS + 2) is None and batches.waiting == 0
    batches.check()


def test_with_a_message_that_is_visible_again_its_group_is_let_go() -> None:
    batches = batches_of(2)
    batches.add(item("a", "g", visible_ms=NOW_MS + 1), NOW_MS)
    batches.add(item("b", "h"), NOW_MS)
    batches.add(item("c", "g"), NOW_MS)
    batches.add(item("d", "i"), NOW_MS)
    assert bodies(batches.start(NOW_MS + 2)) == "b"
    assert bodies(batches.start(NOW_MS + 2)) == "d"
    batches.check()


def test_no_two_batches_that_run_share_a_group_and_none_overtakes() -> None:
    batches = batches_of(2)
    for body, group in [("a", "g"), ("b", "h"), ("c", "h"), ("d", "i"), ("e", "i"), ("f", "k")]:
        batches.add(item(body, group), NOW_MS)
    batches.add(item("x", "y"), NOW_MS)
    batches.add(item("z", "y"), NOW_MS)
    first = batches.start(NOW_MS)
    other = batches.start(NOW_MS)
    assert bodies(first) == "ab" and bodies(other) == "xz" and first is not None
    assert batches.start(NOW_MS) is None and batches.waiting == 2  # "ef" waits for "cd"
    batches.end(first)
    assert bodies(batches.start(NOW_MS)) == "cd"
    assert batches.start(NOW_MS) is None
    batches.check()


def test_behind_a_failure_a_group_is_let_go() -> None:
    batches = batches_of(2)
    for body, group in [("a", "g"), ("b", "g"), ("c", "g"), ("d", "h"), ("e", "g")]:
        batches.add(item(body, group), NOW_MS)
    first = batches.start(NOW_MS)
    assert first is not None
    batches.end(first, {"g"})
    batches.check()
    assert bodies(batches.start(NOW_MS)) == "d"
    batches.close()
    assert batches.waiting == 0 and batches.close_ms == NEVER


def test_what_was_not_started_can_be_forgotten() -> None:
    batches = batches_of(2)
    for body in "abcde":
        batches.add(item(body), NOW_MS)
    first = batches.start(NOW_MS)
    assert [each.record["body"] for each in batches.forget()] == ["c", "d", "e"]
    assert (batches.waiting, batches.running, batches.room) == (0, 1, 2)
    assert first is not None and first.items[0].receipt_handle == "handle a"


def test_a_smaller_size_applies_to_the_batch_that_is_open() -> None:
    batches = batches_of(10)
    for body in "abc":
        batches.add(item(body), NOW_MS)
    batches.configure(2, 0, 1_000)
    assert batches.room == 1
    batches.add(item("d"), NOW_MS)
    assert bodies(batches.start(NOW_MS)) == "abc"


def test_slots_shrink_to_what_gets_through_and_grow_back() -> None:
    slots = Slots(100)
    slots.throttled(7)
    assert slots.width == 7
    slots.throttled(50)
    assert slots.width == 7
    slots.throttled(0)
    assert slots.width == 1
    slots.succeeded()
    assert slots.width == 2
    for _ in range(10_000):
        slots.succeeded()
    assert slots.width == 100


def test_a_bound_that_changes_keeps_a_narrow_width() -> None:
    slots = Slots(100)
    slots.set_bound(20)
    assert slots.width == 20
    slots.set_bound(200)
    assert slots.width == 200
    slots.throttled(5)
    slots.set_bound(300)
    assert slots.width == 5
    slots.set_bound(3)
    assert slots.width == 3
