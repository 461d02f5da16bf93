"""boto3 against the daemon: only `endpoint_url` differs from AWS.

    pip install boto3
    eventcore serve                                          (in another terminal)
    python examples/boto3_client.py
    python examples/boto3_client.py http://127.0.0.1:4566

Exit status: 1 when the answers are not what they should be, or nobody listens.
"""

from __future__ import annotations

import json
import sys

import boto3
from botocore.exceptions import EndpointConnectionError


def main(endpoint_url: str) -> int:
    try:
        return route_late_flights(endpoint_url)
    except EndpointConnectionError:
        print(f"nobody listens on {endpoint_url}: start `eventcore serve` first", file=sys.stderr)
        return 1


def route_late_flights(endpoint_url: str) -> int:
    session = boto3.Session(
        aws_access_key_id="000000000000", aws_secret_access_key="any", region_name="us-east-1"
    )
    sqs = session.client("sqs", endpoint_url=endpoint_url)
    events = session.client("events", endpoint_url=endpoint_url)

    queue_url = sqs.create_queue(QueueName="late-flights")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])[
        "Attributes"
    ]["QueueArn"]
    events.put_rule(
        Name="late",
        EventPattern=json.dumps({"detail": {"delay": [{"numeric": [">", 60]}]}}),
    )
    events.put_targets(Rule="late", Targets=[{"Id": "queue", "Arn": queue_arn}])
    events.put_events(
        Entries=[
            {"Source": "airport", "DetailType": "departed", "Detail": json.dumps({"delay": delay})}
            for delay in (5, 75, 130)
        ]
    )
    delays: list[int] = []
    while len(delays) < 2:
        answer = sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        for message in answer.get("Messages", []):
            delays.append(json.loads(message["Body"])["detail"]["delay"])
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    events.remove_targets(Rule="late", Ids=["queue"])
    events.delete_rule(Name="late")
    sqs.delete_queue(QueueUrl=queue_url)
    print("late by", sorted(delays))
    return 0 if sorted(delays) == [75, 130] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:4566"))
