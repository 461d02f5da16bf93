"""A FastAPI application with a durable job queue: the broker lives as long as the application.

    uvicorn examples.fastapi_app:app        (pip install fastapi uvicorn)
    curl localhost:8000/orders -H 'content-type: application/json' -d '{"item": "tea"}'

`POST /orders` answers when the job is durable; the handler runs beside the application and drains
at its shutdown.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request

import eventcore

handled: list[str] = []


async def handle_order(message: eventcore.Message) -> None:
    """Called with each order, again after a failure, until it succeeds."""
    handled.append(message.json()["item"])


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Opens the broker before the first request and closes it after the last."""
    async with eventcore.open(os.environ.get("EVENTS_FILE")) as broker:
        broker.queue("orders", concurrency=8)(handle_order)
        async with broker.running():
            yield {"orders": await broker.get_queue("orders")}


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=202)
async def place_order(order: dict[str, str], request: Request) -> dict[str, str]:
    """Takes an order: answered when it is on the disk."""
    queue: eventcore.Queue = request.state.orders
    return {"id": await queue.send_json(order)}


@app.get("/handled")
async def list_handled() -> list[str]:
    """What the handler has done so far."""
    return handled
