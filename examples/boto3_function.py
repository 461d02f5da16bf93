"""boto3 against the daemon: a function of a zip, and a mapping that gives it a queue's messages.

    pip install boto3
    eventcore serve                                          (in another terminal)
    python examples/boto3_function.py
    python examples/boto3_function.py http://127.0.0.1:4566

The function runs in a process beside the daemon. What the mapping has handed to it is deleted from
the queue. Exit status: 1 when the answers are not what they should be, or nobody listens.
"""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from typing import Any

import boto3
from botocore.exceptions import EndpointConnectionError

CODE = """
import json


def handler(event, context):
    prices = [json.loads(record["body"])["price"] for record in event["Records"]]
    print("booked", prices)
    return {"sum": sum(prices)}
"""
NAME = "book-orders"
POLL_S = 0.05


def main(endpoint_url: str) -> int:
    try:
        return book_orders(endpoint_url)
    except EndpointConnectionError:
        print(f"nobody listens on {endpoint_url}: start `eventcore serve` first", file=sys.stderr)
        return 1


def book_orders(endpoint_url: str) -> int:
    session = boto3.Session(
        aws_access_key_id="000000000000", aws_secret_access_key="any", region_name="us-east-1"
    )
    sqs = session.client("sqs", endpoint_url=endpoint_url)
    functions = session.client("lambda", endpoint_url=endpoint_url)

    functions.create_function(
        FunctionName=NAME,
        Runtime="python3.12",
        Handler="orders.handler",
        Role="arn:aws:iam::000000000000:role/book-orders",  # any: roles are not enforced
        Code={"ZipFile": zipped("orders.py", CODE)},
        Timeout=10,
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=NAME)
    queue_url = sqs.create_queue(QueueName=NAME)["QueueUrl"]
    queue_arn = arn_of(sqs, queue_url)
    mapping = functions.create_event_source_mapping(
        FunctionName=NAME, EventSourceArn=queue_arn, BatchSize=10
    )
    for price in (1, 2, 3):
        sqs.send_message(QueueUrl=queue_url, MessageBody=json.dumps({"price": price}))
    while not is_empty(sqs, queue_url):
        time.sleep(POLL_S)

    answer = functions.invoke(
        FunctionName=NAME,
        Payload=json.dumps({"Records": [{"body": '{"price": 4}'}, {"body": '{"price": 5}'}]}),
    )
    total = json.load(answer["Payload"])
    functions.delete_event_source_mapping(UUID=mapping["UUID"])
    functions.delete_function(FunctionName=NAME)
    sqs.delete_queue(QueueUrl=queue_url)
    print("the queue is empty, and an invocation answered", total)
    return 0 if total == {"sum": 9} else 1


def zipped(name: str, code: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, code)
    return content.getvalue()


def arn_of(sqs: Any, queue_url: str) -> str:
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    return str(answer["Attributes"]["QueueArn"])


def is_empty(sqs: Any, queue_url: str) -> bool:
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["All"])["Attributes"]
    waiting = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return all(answer[name] == "0" for name in waiting)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4566"))
