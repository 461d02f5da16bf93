"""Where records of invocations may go: the destinations of asynchronous invocations and of streams.

Rules of this file (AWS's answers; botocore's documentation of OnSuccess and OnFailure):

- A destination exists when it is named. What becomes of it later is seen when it is sent to.
- Asynchronous invocations have queues, functions and event buses as destinations, streams have
  queues. Topics and buckets, which AWS has too, are refused in words of ours.
- FIFO queues are no destinations on AWS, and none here.
- A function is no destination of its own.
"""

from __future__ import annotations

from typing import Final

from eventcore.api.functions_faults import invalid_value
from eventcore.api.mappings_constraints import unsupported
from eventcore.api.mappings_requests import DestinationConfigShape, DestinationShape
from eventcore.api.operation import Call
from eventcore.arn import parse_arn, split_qualifier
from eventcore.errors import InvalidParameter, NotFound
from eventcore.wire.fault import Fault

__all__ = ["check_async_destinations", "check_stream_destination", "destination_of"]

_FIFO: Final = ".fifo"
_BUS: Final = "event-bus/"


def destination_of(shape: DestinationShape | None) -> str | None:
    """The ARN of a destination; None for none, which an empty text is as well."""
    return (shape.destination or None) if shape is not None else None


def check_async_destinations(call: Call, function_arn: str, config: DestinationConfigShape) -> None:
    """Raises the fault for destinations that the asynchronous invocations of a function (its ARN
    without a qualifier) can not have.
    """
    for shape, is_success in ((config.on_success, True), (config.on_failure, False)):
        arn = destination_of(shape)
        if arn is None:
            continue
        service = _service_of(arn)
        if service == "s3" and not is_success:
            raise unsupported("S3 buckets as destinations")
        if service == "sns":
            raise unsupported("SNS topics as destinations")
        if service == "lambda" and split_qualifier(arn)[0] == function_arn:
            raise invalid_value("You can't specify the function as a destination for itself.")
        if service not in ("sqs", "lambda", "events"):
            raise _invalid_config(config)
        if not _exists(call, service, arn):
            raise _invalid_destination(arn)


def check_stream_destination(call: Call, arn: str) -> None:
    """Raises the fault for what can not take the records that a stream's mapping gives up."""
    service = _service_of(arn)
    if service == "s3":
        raise unsupported("S3 buckets as destinations")
    if service == "sns":
        raise unsupported("SNS topics as destinations")
    if service == "kafka":
        raise unsupported("Kafka topics as destinations")
    if service != "sqs" or not _exists(call, service, arn):
        raise _invalid_destination(arn)


def _service_of(arn: str) -> str:
    """The service of an ARN; "kafka" for a Kafka topic, "" for what is neither."""
    if arn.startswith("kafka://"):
        return "kafka"
    try:
        return parse_arn(arn).service
    except InvalidParameter:
        return ""


def _exists(call: Call, service: str, arn: str) -> bool:
    engine = call.engine
    try:
        if service == "sqs":
            engine.look(engine.queue(arn))
            return not arn.endswith(_FIFO)
        if service == "events":
            parts = parse_arn(arn)
            # Asked for, the default bus of an account is made: not of what is none.
            if not (parts.resource.startswith(_BUS) and parts.account and parts.region):
                return False
            engine.look(engine.bus(arn))
            return True
        function_arn, qualifier = split_qualifier(arn)
        function = engine.functions.find(function_arn)
        engine.look(function)
        function.resolve(qualifier, 0.0)
    except NotFound:
        return False
    return True


def _invalid_destination(arn: str) -> Fault:
    return invalid_value(f"The destination ARN {arn} is invalid.")


def _invalid_config(config: DestinationConfigShape) -> Fault:
    success = _told("OnSuccess", config.on_success)
    failure = _told("OnFailure", config.on_failure)
    return invalid_value(
        f"The provided destination config DestinationConfig(onSuccess={success}, "
        f"onFailure={failure}) is invalid."
    )


def _told(name: str, shape: DestinationShape | None) -> str:
    """A destination as AWS writes it in its errors."""
    if shape is None:
        return "null"
    destination = "null" if shape.destination is None else shape.destination
    return f"{name}(destination={destination})"
