"""Handlers as they are written for AWS, with aws-lambda-powertools; nothing here knows eventcore.

They are run twice: as functions of the embedding program, and as the one module of a zip. What a
handler was given is noted, one JSON text a line, in the file that NOTES names.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    AsyncBatchProcessor,
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    async_process_partial_response,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes import (
    KinesisStreamEvent,
    SQSEvent,
    SQSRecord,
    event_source,
)
from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord
from aws_lambda_powertools.utilities.parser import event_parser
from aws_lambda_powertools.utilities.parser.models import (
    KinesisDataStreamModel,
    KinesisDataStreamRecord,
    SqsModel,
    SqsRecordModel,
)
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, Json


class Order(BaseModel):
    id: int


class OrderMessage(SqsRecordModel):
    body: Json[Order]


queue_processor = BatchProcessor(event_type=EventType.SQS)
async_processor = AsyncBatchProcessor(event_type=EventType.SQS)
fifo_processor = SqsFifoPartialProcessor()
group_processor = SqsFifoPartialProcessor(skip_group_on_error=True)
stream_processor = BatchProcessor(event_type=EventType.KinesisDataStreams)
order_processor = BatchProcessor(event_type=EventType.SQS, model=OrderMessage)


logger = Logger(service="shop", level="INFO")


def note(what: Any) -> None:
    with Path(os.environ["NOTES"]).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(what) + "\n")


def take(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """A message that says "bad" fails on its first attempt."""
    attempt = int(record.attributes.approximate_receive_count)
    assert lambda_context.get_remaining_time_in_millis() > 0
    note([record.body, attempt])
    if record.body.startswith("bad") and attempt == 1:
        raise ValueError(record.body)


async def take_async(record: SQSRecord) -> None:
    note([record.body, int(record.attributes.approximate_receive_count)])
    if record.body.startswith("bad") and record.attributes.approximate_receive_count == "1":
        raise ValueError(record.body)


def take_order(record: OrderMessage) -> None:
    note(record.body.id)


seen_records: set[str] = set()


def take_record(record: KinesisStreamRecord) -> None:
    """A record that says "bad" fails the first time that this environment sees it."""
    text = record.kinesis.data_as_text()
    note(text)
    if text.startswith("bad") and text not in seen_records:
        seen_records.add(text)
        raise ValueError(text)


def from_queue(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(
        event=event, record_handler=take, processor=queue_processor, context=context
    )


def from_queue_async(event: dict[str, Any], context: LambdaContext) -> Any:
    return async_process_partial_response(
        event=event, record_handler=take_async, processor=async_processor, context=context
    )


def from_fifo(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(
        event=event, record_handler=take, processor=fifo_processor, context=context
    )


def from_fifo_by_group(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(
        event=event, record_handler=take, processor=group_processor, context=context
    )


def from_stream(event: dict[str, Any], context: LambdaContext) -> Any:
    return process_partial_response(
        event=event, record_handler=take_record, processor=stream_processor, context=context
    )


def orders(event: dict[str, Any], context: LambdaContext) -> Any:
    """Messages whose body is no order fail before any code sees them."""
    return process_partial_response(
        event=event, record_handler=take_order, processor=order_processor, context=context
    )


@event_source(data_class=SQSEvent)
def queue_data_class(event: SQSEvent, context: LambdaContext) -> None:
    """Reads whatever the class of SQS's events can tell."""
    for record in event.records:
        attributes = record.attributes
        note(
            {
                "id": record.message_id,
                "handle": record.receipt_handle,
                "body": record.body,
                "json": record.json_body,
                "md5": [record.md5_of_body, record.get("md5OfMessageAttributes")],
                "source": [record.event_source, record.event_source_arn, record.aws_region],
                "queue": record.queue_url,
                "sent": attributes.sent_timestamp,
                "received": attributes.approximate_first_receive_timestamp,
                "sender": attributes.sender_id,
                "fifo": [
                    attributes.message_group_id,
                    attributes.message_deduplication_id,
                    attributes.sequence_number,
                ],
                "trace": attributes.aws_trace_header,
                "attributes": {
                    name: [
                        value.data_type,
                        value.binary_value if value.data_type == "Binary" else value.string_value,
                    ]
                    for name, value in record.message_attributes.items()
                },
            }
        )


@event_parser(model=SqsModel)
def queue_model(event: SqsModel, context: LambdaContext) -> None:
    for record in event.Records:
        assert isinstance(record, SqsRecordModel)
        note(record.model_dump(mode="json"))


@event_source(data_class=KinesisStreamEvent)
def stream_data_class(event: KinesisStreamEvent, context: LambdaContext) -> None:
    for record in event.records:
        note(
            {
                "id": record.event_id,
                "source": [record.event_source, record.event_source_arn, record.aws_region],
                "name": [record.event_name, record.event_version, record.invoke_identity_arn],
                "data": record.kinesis.data_as_json(),
                "key": record.kinesis.partition_key,
                "number": record.kinesis.sequence_number,
                "arrived": record.kinesis.approximate_arrival_timestamp,
                "schema": record.kinesis.kinesis_schema_version,
            }
        )


@event_parser(model=KinesisDataStreamModel)
def stream_model(event: KinesisDataStreamModel, context: LambdaContext) -> None:
    for record in event.Records:
        assert isinstance(record, KinesisDataStreamRecord)
        note(record.model_dump(mode="json"))


@logger.inject_lambda_context(log_event=True)
def logged(event: dict[str, Any], context: LambdaContext) -> str:
    logger.info("placed", extra={"order": event["id"]})
    return context.function_name
