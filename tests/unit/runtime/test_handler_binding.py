"""How a handler's signature is filled: events, batches, contexts, dependencies."""

import functools
import threading
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import pydantic
import pytest

from eventcore.errors import InvalidParameter
from eventcore.runtime.handler_binding import Batch, Depends, bind
from eventcore.runtime.local_functions import FunctionContext
from eventcore.testing import call_handler, function_context, queue_event, stream_event


class Order(msgspec.Struct):
    id: int
    note: str = ""


class Invoice(pydantic.BaseModel):
    total: float


@dataclass
class Place:
    city: str


async def test_a_handler_without_annotations_gets_what_aws_would_send():
    async def handle(event, context):
        return {"event": event, "name": context.function_name}

    answer = await call_handler(handle, {"a": [1]}, context=function_context("resize"))
    assert answer == {"event": {"a": [1]}, "name": "resize"}


async def test_a_handler_with_the_aws_signature_is_called_directly():
    async def handle(event, context):
        return event

    assert bind(handle) == (handle, True)


async def test_the_context_may_be_left_out():
    async def handle(event):
        return event

    assert await call_handler(handle, 5) == 5


@pytest.mark.parametrize(
    ("wanted", "event", "seen"),
    [
        (Order, {"id": 3}, Order(3)),
        (Place, {"city": "Ulm"}, Place("Ulm")),
        (Invoice, {"total": 2.5}, Invoice(total=2.5)),
        (int, 7, 7),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (list[Order], [{"id": 1}], [Order(1)]),
        (Order | None, None, None),
        (dict, {"a": 1}, {"a": 1}),
        (Any, [1], [1]),
    ],
)
async def test_the_annotation_says_as_what_an_event_is_read(wanted, event, seen):
    taken = []

    async def handle(event, context):
        taken.append(event)

    handle.__annotations__["event"] = wanted
    await call_handler(handle, event)
    assert taken == [seen]


async def test_an_event_of_another_type_is_the_invocations_error():
    async def handle(order: Order): ...

    with pytest.raises(msgspec.ValidationError, match="id"):
        await call_handler(handle, {"id": "x"})


async def test_a_pydantic_model_as_answer_is_json():
    async def handle(event) -> Invoice:
        return Invoice(total=1.5)

    assert await call_handler(handle, None) == {"total": 1.5}


async def test_a_struct_as_answer_is_json():
    async def handle(event):
        return Order(9)

    assert await call_handler(handle, None) == {"id": 9, "note": ""}


# Handlers that are written for AWS


class LambdaContext:
    """As handlers import it from elsewhere."""


async def test_a_handler_that_names_the_class_of_its_context_is_called_directly():
    async def handle(event: dict[str, Any], context: LambdaContext): ...

    async def other(event: dict[str, Any], context: object): ...

    async def third(event: dict[str, Any], lambda_context: LambdaContext): ...

    handlers: list[Any] = [handle, other, third]
    assert [bind(each) for each in handlers] == [(each, True) for each in handlers]


async def test_a_second_parameter_is_the_context_whatever_its_name():
    async def handle(_event, _):
        return _.function_name

    assert await call_handler(handle, None, context=function_context("f")) == "f"


async def test_a_decorator_that_names_the_event_gets_it_as_it_is():
    def parsed(handler):
        @functools.wraps(handler)
        def wrapper(event, context, **more):
            return handler(Order(**event), context, **more)

        return wrapper

    @parsed
    async def handle(event: Order, context: LambdaContext):
        return event.id

    @parsed
    async def unreadable(event: Order | Place, context: LambdaContext):
        return isinstance(event, Order)

    assert await call_handler(handle, {"id": 4}) == 4
    assert await call_handler(unreadable, {"id": 5}) is True


async def test_a_decorator_that_passes_everything_on_is_looked_through():
    def logged(handler):
        @functools.wraps(handler)
        async def wrapper(*args, **kwargs):
            return await handler(*args, **kwargs)

        return wrapper

    @logged
    async def handle(order: Order):
        return order.id

    assert await call_handler(handle, {"id": 4}) == 4


# Batches


async def test_a_list_is_the_bodies_of_a_mappings_records():
    async def handle(orders: list[Order]):
        return [order.id for order in orders]

    assert await call_handler(handle, queue_event({"id": 1}, {"id": 2})) == [1, 2]
    assert await call_handler(handle, stream_event({"id": 3}, '{"id":4}', b'{"id":5}')) == [3, 4, 5]


async def test_a_batch_reports_what_it_was_told_of_and_what_can_not_be_read():
    seen = []

    async def handle(batch: Batch[Order]):
        for record in batch:
            seen.append((record.value.id, record.raw["eventSource"]))
            if record.value.id == 2:
                batch.fail(record)

    event = queue_event({"id": 1}, {"id": 2}, "no json", {"no": "id"})
    answer = await call_handler(handle, event)
    ids = [record["messageId"] for record in event["Records"]]
    assert seen == [(1, "aws:sqs"), (2, "aws:sqs")]
    failed = [item["itemIdentifier"] for item in answer["batchItemFailures"]]
    assert sorted(failed) == sorted([ids[1], ids[2], ids[3]])


async def test_a_batch_of_a_stream_reports_sequence_numbers():
    async def handle(batch: Batch):
        assert len(batch) == 2
        batch.fail(batch[1])

    event = stream_event("text", b"\xff\xfe")
    answer = await call_handler(handle, event)
    last = event["Records"][1]["kinesis"]["sequenceNumber"]
    assert answer == {"batchItemFailures": [{"itemIdentifier": last}]}


async def test_what_is_neither_json_nor_text_stays_bytes():
    async def handle(batch: Batch[Any]):
        return [repr(record.value) for record in batch]

    assert await call_handler(handle, stream_event(b"\xff", "plain", {"a": 1})) == [
        "b'\\xff'",
        "'plain'",
        "{'a': 1}",
    ]


async def test_a_batch_of_an_event_without_records_is_an_error():
    async def handle(batch: Batch[Order]): ...

    with pytest.raises(TypeError, match="no Records"):
        await call_handler(handle, {"id": 1})


async def test_a_handlers_own_answer_to_a_batch_stands():
    async def handle(batch: Batch[Order]):
        return {"batchItemFailures": []}

    assert await call_handler(handle, queue_event("no json")) == {"batchItemFailures": []}


# Dependencies


class Database:
    def __init__(self, name):
        self.name = name
        self.is_closed = False


async def test_dependencies_are_made_once_and_ended_after_the_handler():
    made = []

    async def connect():
        database = Database("real")
        made.append(database)
        yield database
        database.is_closed = True

    def orders(database: Annotated[Database, Depends(connect)]):
        return f"orders of {database.name}"

    async def handle(
        event,
        table: Annotated[str, Depends(orders)],
        *,
        database: Database = Depends(connect),  # type: ignore[assignment]  # noqa: B008
    ):
        assert database is made[0]
        assert not database.is_closed
        return table

    assert await call_handler(handle, None) == "orders of real"
    assert [database.is_closed for database in made] == [True]


async def test_dependencies_see_the_context():
    def name(context: FunctionContext):
        return context.function_name

    async def handle(event, name: Annotated[str, Depends(name)]):
        return name

    assert await call_handler(handle, None, context=function_context("f")) == "f"


async def test_a_test_overrides_a_dependency():
    def connect():
        raise AssertionError("the real one")

    async def handle(event, database: Annotated[str, Depends(connect)]):
        return database

    assert await call_handler(handle, None, overrides={connect: lambda: "fake"}) == "fake"


async def test_a_dependency_is_ended_when_the_handler_fails():
    ended = []

    def connect():
        try:
            yield 1
        finally:
            ended.append(True)

    async def handle(event, one: Annotated[int, Depends(connect)]):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await call_handler(handle, None)
    assert ended == [True]


async def test_a_plain_handler_with_dependencies_does_not_run_on_the_loop():
    def one():
        return 1

    def handle(event, number: Annotated[int, Depends(one)]):
        return [number, threading.current_thread() is threading.main_thread()]

    assert await call_handler(handle, None) == [1, False]


# What is refused when a handler is registered


def test_dependencies_that_need_each_other_are_refused():
    def one(other: Annotated[int, Depends(lambda: 0)]): ...

    one.__annotations__["other"] = Annotated[int, Depends(one)]

    async def handle(event, number: Annotated[int, Depends(one)]): ...

    with pytest.raises(InvalidParameter, match="depend on each other"):
        bind(handle)


def test_a_parameter_that_nothing_fills_is_refused():
    async def handle(event, context, third): ...

    with pytest.raises(InvalidParameter, match="'third'"):
        bind(handle)


def test_a_second_parameter_of_another_type_is_refused():
    async def handle(event, place: Place): ...

    with pytest.raises(InvalidParameter, match="'place'"):
        bind(handle)


def test_parameters_with_defaults_are_left_alone():
    async def handle(event, retries=3, *, flag=False): ...

    assert bind(handle)[1]


def test_a_type_that_can_not_be_read_is_refused():
    async def handle(event: Order | Place): ...

    with pytest.raises(InvalidParameter, match="handle"):
        bind(handle)


def test_a_generator_is_no_handler():
    async def handle(event):
        yield event

    with pytest.raises(InvalidParameter, match="generator"):
        bind(handle)


def test_an_annotation_that_names_nothing_is_refused():
    async def handle(event: "Nowhere"): ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(InvalidParameter, match="Nowhere"):
        bind(handle)
