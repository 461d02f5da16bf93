"""The embedded API of functions and mappings, as a program uses it."""

import asyncio
import json
import os
from typing import Annotated, Any

import msgspec
import pytest
from aiohttp import web

import eventcore
from eventcore import Batch, Depends, FunctionError, OutgoingRecord
from eventcore.errors import InvalidParameter, LimitExceeded, NotFound, Throttled
from eventcore.testing import queue_event
from tests.acceptance import functions_module


class Order(msgspec.Struct):
    id: int


async def until(is_so):
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.005)


async def test_a_function_is_invoked_now_and_later():
    seen = []
    async with eventcore.open() as broker:

        @broker.function()
        async def place(order: Order, context: eventcore.FunctionContext):
            seen.append((order.id, context.function_name))
            return {"placed": order.id}

        async with broker.running():
            assert await broker.functions.invoke("place", {"id": 1}) == {"placed": 1}
            await broker.functions.invoke_later("place", Order(2))
            await until(lambda: len(seen) == 2)
            assert await broker.functions.list() == ["place"]
    assert seen == [(1, "place"), (2, "place")]


async def test_what_a_function_does_wrong_is_a_function_error():
    async with eventcore.open() as broker:

        @broker.function("f")
        async def fails(event):
            raise ValueError("no such order")

        async with broker.running():
            with pytest.raises(FunctionError, match="ValueError: no such order") as raised:
                await broker.functions.invoke("f")
            result = await broker.functions.run("f")
    assert raised.value.payload["errorType"] == "ValueError"
    assert result.error == "Unhandled"


async def test_bad_payloads_and_names_are_refused():
    async with eventcore.open() as broker:

        @broker.function("f")
        async def f(event): ...

        async with broker.running():
            with pytest.raises(NotFound):
                await broker.functions.invoke("g")
            with pytest.raises(InvalidParameter, match="payload"):
                await broker.functions.invoke("f", object())
            with pytest.raises(LimitExceeded, match="invoke_bytes_max"):
                await broker.functions.invoke("f", "x" * 7_000_000)
            with pytest.raises(LimitExceeded, match="invoke_later_bytes_max"):
                await broker.functions.invoke_later("f", "x" * 1_100_000)


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout_ms": 0},
        {"timeout_ms": 900_001},
        {"name": "no spaces"},
        {"name": "x" * 65},
        {"retries_max": 3},
        {"age_ms_max": 1},
    ],
)
async def test_settings_out_of_range_are_refused_at_once(settings):
    async with eventcore.open() as broker:
        with pytest.raises(InvalidParameter):

            @broker.function(**settings)
            async def f(event): ...


async def test_names_are_given_once_and_unknown_settings_are_told():
    async with eventcore.open() as broker:

        @broker.function("f")
        async def first(event): ...

        with pytest.raises(InvalidParameter, match="Another handler"):

            @broker.function("f")
            async def second(event): ...

        with pytest.raises(InvalidParameter, match="batchsize"):
            broker.map("orders", batchsize=1)
        with pytest.raises(InvalidParameter, match="event patterns"):
            broker.map("orders", filters='{"a":[1]}')


async def test_concurrency_is_reserved():
    async with eventcore.open() as broker:
        gate = asyncio.Event()

        @broker.function("f", concurrency=1)
        async def f(event):
            await gate.wait()

        async with broker.running():
            first = asyncio.ensure_future(broker.functions.invoke("f"))
            await asyncio.sleep(0)
            with pytest.raises(Throttled):
                await broker.functions.invoke("f")
            gate.set()
            await first


# Mappings


async def test_a_mapping_gives_typed_batches_and_tries_again_what_failed():
    seen: list[list[int]] = []
    async with eventcore.open() as broker:
        await broker.create_queue("orders", visibility_timeout_ms=200)

        @broker.map("orders", batch_size=10, report_failures=True)
        async def bill(batch: Batch[Order]):
            seen.append([record.value.id for record in batch])
            for record in batch:
                if record.value.id == 3 and len(seen) == 1:
                    batch.fail(record)

        queue = await broker.get_queue("orders")
        await queue.send_many([json.dumps({"id": n}) for n in range(5)])
        async with broker.running():
            await until(lambda: len(seen) == 2)
            await asyncio.sleep(0.05)
            statistics = await queue.statistics()
    assert seen == [[0, 1, 2, 3, 4], [3]]
    assert (statistics.visible, statistics.in_flight) == (0, 0)


async def test_filters_drop_what_is_not_wanted():
    seen = []
    async with eventcore.open() as broker:

        @broker.map("orders", filters=[{"body": {"kind": ["big"]}}])
        async def bill(orders: list[dict]):
            seen.extend(orders)

        async with broker.running():
            queue = await broker.get_queue("orders")
            await queue.send_many(['{"kind":"small"}', '{"kind":"big"}', "text"])
            await until(lambda: seen == [{"kind": "big"}])
            await asyncio.sleep(0.05)
            assert (await queue.statistics()).visible == 0


async def test_a_poison_record_of_a_stream_goes_to_its_destination_and_the_rest_is_handled():
    seen: list[int] = []
    async with eventcore.open() as broker:
        failed = await broker.create_queue("failed")
        stream = await broker.streams.create("clicks")
        await stream.put_many([OutgoingRecord(b'{"id":%d}' % n, "one") for n in range(64)])

        @broker.map(
            "stream/clicks",
            batch_size=64,
            start="TRIM_HORIZON",
            bisect_on_error=True,
            retries_max=0,
            on_failure=failed,
        )
        async def count(orders: list[Order]):
            if any(order.id == 37 for order in orders):
                raise ValueError("poison")
            seen.extend(order.id for order in orders)

        async with broker.running():
            await until(lambda: len(seen) == 63)
            (message,) = await failed.receive(wait_ms=2_000)
    assert seen == [n for n in range(64) if n != 37]
    assert json.loads(message.body)["KinesisBatchInfo"]["batchSize"] == 1


async def test_a_mapping_goes_on_where_it_was_after_a_restart(tmp_path):
    path = str(tmp_path / "events.db")
    seen: list[int] = []

    async def run(count):
        async with eventcore.open(path) as broker:

            @broker.map("stream/clicks", batch_size=10, start="TRIM_HORIZON")
            async def collect(orders: list[Order]):
                seen.extend(order.id for order in orders)

            async with broker.running():
                stream = await broker.streams.get("clicks")
                await stream.put_many([OutgoingRecord(b'{"id":%d}' % n, "one") for n in count])
                await until(lambda: seen and seen[-1] == count[-1])

    await run(range(25))
    await run(range(25, 40))
    assert seen == list(range(40))


async def test_settings_of_a_mapping_change_with_the_program(tmp_path):
    path = str(tmp_path / "events.db")
    sizes: list[int] = []
    for batch_size, handled in ((2, 10), (5, 20)):
        async with eventcore.open(path) as broker:

            @broker.map("orders", batch_size=batch_size)
            async def bill(orders: list[int]):
                sizes.append(len(orders))

            queue = await broker.create_queue("orders")
            await queue.send_many([str(n) for n in range(10)])
            async with broker.running():
                await until(lambda: sum(sizes) == handled)  # noqa: B023  (awaited here)
                broker.engine.begin()
                mappings = broker.engine.mappings.all_of(broker.account, broker.region)
    assert sizes == [2] * 5 + [5] * 2
    assert len(mappings) == 1


async def test_without_its_program_a_mapping_leaves_the_messages_alone(tmp_path):
    path = str(tmp_path / "events.db")
    async with eventcore.open(path) as broker:

        @broker.map("orders")
        async def bill(event): ...

        async with broker.running():
            pass
        queue = await broker.get_queue("orders")
        await queue.send("1")
    async with eventcore.open(path) as broker:
        queue = await broker.get_queue("orders")
        await asyncio.sleep(0.1)
        statistics = await queue.statistics()
    assert (statistics.visible, statistics.in_flight) == (1, 0)


async def test_a_rule_invokes_a_function():
    seen = []
    async with eventcore.open() as broker:

        @broker.function()
        async def shipped(event):
            seen.append(event["detail"])

        async with broker.running():
            arn = broker.functions.arn("shipped")
            await broker.put_rule("r", {"source": ["shop"]}, [arn])
            await broker.put_events([eventcore.Event("shop", "shipped", {"id": 7})])
            await until(lambda: seen)
    assert seen == [{"id": 7}]


async def test_dependencies_are_injected_and_ended():
    ended = []

    async def connect():
        yield "database"
        ended.append(True)

    async with eventcore.open() as broker:

        @broker.function()
        async def f(event, database: Annotated[str, Depends(connect)]):
            return database

        async with broker.running():
            assert await broker.functions.invoke("f") == "database"
    assert ended == [True]


# Worker processes and endpoints


async def test_a_function_of_a_module_runs_in_a_worker_process(tmp_path):
    async with eventcore.open(str(tmp_path / "events.db")) as broker:
        broker.function("double", in_process=True, timeout_ms=20_000)(functions_module.double)
        broker.function("crash", in_process=True, timeout_ms=20_000)(functions_module.crash)
        async with broker.running():
            first = await broker.functions.invoke("double", {"n": 4})
            second = await broker.functions.invoke("double", {"n": 5})
            with pytest.raises(FunctionError, match="ExitError"):
                await broker.functions.invoke("crash")
            logs = [line.text for line in broker.functions.logs("double")]
    assert (first["twice"], first["name"], second["twice"]) == (8, "double", 10)
    assert first["pid"] == second["pid"] != os.getpid()
    assert any("doubling {'n': 4}" in line for line in logs)
    assert any(line.startswith("REPORT RequestId") for line in logs)


async def test_a_lambda_or_a_method_can_not_run_in_a_worker_process():
    async with eventcore.open() as broker:
        with pytest.raises(InvalidParameter, match="top of a module"):
            broker.function("f", in_process=True)(lambda event: None)


async def test_an_http_endpoint_is_a_function():
    asked = []

    async def answer(request):
        asked.append(await request.json())
        return web.json_response({"sum": sum(asked[-1])})

    app = web.Application()
    app.router.add_post("/sum", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    url = f"http://127.0.0.1:{port}/sum"
    options = {"http://127.0.0.1": {"allow_private": "true"}}
    async with eventcore.open(connector_options=options) as broker:
        await broker.functions.create_endpoint("sum", url)
        assert await broker.functions.invoke("sum", [1, 2, 3]) == {"sum": 6}
        await broker.functions.delete("sum")
        with pytest.raises(NotFound):
            await broker.functions.invoke("sum", [])
    await runner.cleanup()
    assert asked == [[1, 2, 3]]


async def run_once(broker, register, *arguments, **settings):
    async def handler(event): ...

    register(*arguments, **settings)(handler)
    async with broker.running():
        pass


@pytest.mark.parametrize(
    "settings",
    [
        {"environment": {"A": 1}},
        {"environment": {1: "a"}},
        {"concurrency": 1.5},
        {"concurrency": True},
        {"memory_mb": 128.5},
        {"memory_mb": "128"},
        {"retries_max": 1.0},
        {"age_ms_max": 60_000.5},
        {"on_failure": 5},
        {"on_success": "arn:aws:sqs:us-east-1:000000000000:\ud800"},
    ],
)
async def test_a_setting_of_another_type_is_refused_and_never_stored(tmp_path, settings):
    async with eventcore.open(tmp_path / "events.db") as broker:
        with pytest.raises(InvalidParameter):
            await run_once(broker, broker.function, **settings)
    async with eventcore.open(tmp_path / "events.db") as broker:
        await broker.functions.list()  # it can be opened again


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        (5, {}),
        ("q", {"batch_size": 2.0}),
        ("q", {"batch_size": "5"}),
        ("q", {"batch_window_ms": 1_000.0}),
        ("q", {"report_failures": 1}),
        ("q", {"concurrency": 2.0}),
        ("q", {"on_failure": 5}),
        ("stream/s", {"parallelization": True}),
        ("stream/s", {"bisect_on_error": 1}),
        ("stream/s", {"window_ms": 1_000.0}),
        ("stream/s", {"start": 5}),
    ],
)
async def test_a_mapping_of_another_type_is_refused_and_never_stored(tmp_path, source, settings):
    async with eventcore.open(tmp_path / "events.db") as broker:
        with pytest.raises(InvalidParameter):
            await run_once(broker, broker.map, source, **settings)
    async with eventcore.open(tmp_path / "events.db") as broker:
        await broker.functions.list()  # it can be opened again


async def test_arguments_of_another_type_are_refused():
    number: Any = 1.5
    async with eventcore.open() as broker:

        @broker.function("f")
        async def f(event): ...

        async with broker.running():
            with pytest.raises(InvalidParameter, match="qualifier"):
                await broker.functions.invoke("f", qualifier=number)
            with pytest.raises(InvalidParameter, match="qualifier"):
                await broker.functions.invoke_later("f", qualifier=number)
            with pytest.raises(InvalidParameter, match="url"):
                await broker.functions.create_endpoint("e", number)
            with pytest.raises(InvalidParameter, match="timeout_ms"):
                await broker.functions.create_endpoint("e", "http://a.example", timeout_ms=number)


async def test_a_variable_that_no_process_takes_is_the_functions_error():
    async with eventcore.open() as broker:
        broker.function("f", in_process=True, environment={"A": "x\0y"})(functions_module.double)
        async with broker.running():
            with pytest.raises(FunctionError, match=r"Runtime\.InvalidEntrypoint.*null byte"):
                await broker.functions.invoke("f")


async def test_worker_processes_bind_handlers_as_the_program_does():
    async with eventcore.open() as broker:
        for name in ("one_parameter", "typed", "coroutine", "batch", "injected"):
            broker.function(in_process=True, timeout_ms=20_000)(getattr(functions_module, name))
        async with broker.running():
            run = broker.functions.invoke
            assert await run("one_parameter", {"n": 1}) == {"n": 1}
            assert await run("typed", {"number": 2}) == {"number": 2, "of": "typed"}
            first, second = await run("coroutine", 3), await run("coroutine", 4)
            assert (first["event"], second["event"]) == (3, 4)
            assert first["loop"] == second["loop"]
            event = queue_event({"number": 1}, "no json")
            answer = await run("batch", event)
            failed = event["Records"][1]["messageId"]
            assert answer == {"batchItemFailures": [{"itemIdentifier": failed}]}
            assert await run("injected", 5) == [5, "database"]
            with pytest.raises(FunctionError, match="ValidationError"):
                await run("typed", {"number": "x"})


async def test_a_destination_that_is_named_is_created():
    async with eventcore.open() as broker:

        @broker.function("f", retries_max=0, on_failure="failed")
        async def f(event):
            raise ValueError("no")

        @broker.map("stream/clicks", retries_max=0, start="TRIM_HORIZON", on_failure="lost")
        async def count(event):
            raise ValueError("no")

        async with broker.running():
            await broker.functions.invoke_later("f", 1)
            stream = await broker.streams.get("clicks")
            await stream.put_many([OutgoingRecord(b"1", "one")])
            failed, lost = await broker.get_queue("failed"), await broker.get_queue("lost")
            (event,) = await failed.receive(wait_ms=10_000)
            (batch,) = await lost.receive(wait_ms=10_000)
    assert json.loads(event.body)["requestPayload"] == 1
    assert json.loads(batch.body)["KinesisBatchInfo"]["batchSize"] == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"environment": "abc"},
        {"on_failure": "arn:bad"},
        {"on_success": "arn:aws:s3:::bucket"},
    ],
)
async def test_what_can_be_no_destination_or_environment_is_refused(settings):
    async with eventcore.open() as broker:
        with pytest.raises(InvalidParameter):
            broker.function("f", **settings)(functions_module.double)
