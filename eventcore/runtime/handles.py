"""What the embedding program holds in its hands: queues and messages. Thin: each method is one
engine request.

A handle names its queue by ARN and stays good over a reload; using one of a deleted queue raises
NotFound. Every method that changes something returns when the change is durable (as the broker's
durability promises), and raises StoreUnavailable when its fate is unknown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar, final

import msgspec

from eventcore.attributes import (
    AttributeValue,
    decode_attributes,
    encode_attributes,
    md5_of_attributes,
)
from eventcore.codec import encode_json, json_decoder
from eventcore.errors import EventcoreError, InvalidParameter, LimitExceeded
from eventcore.ids import format_uuid
from eventcore.limits import (
    MESSAGE_ATTRIBUTES_MAX,
    MOVE_TASKS_LISTED_MAX,
    RECEIVES_MAX_DEFAULT,
    WAIT_MS_MAX,
)
from eventcore.queues.message import SendEntry, sequence_text
from eventcore.queues.move_task import MoveTask
from eventcore.queues.queue_spec import (
    QueueSpec,
    QueueStatistics,
    ReceiveRequest,
    RedrivePolicy,
)
from eventcore.runtime.engine import FIFO_SUFFIX, BrowsedMessage, Engine, ReceivedMessage

__all__ = ["Attributes", "Message", "OutgoingMessage", "Queue"]

T = TypeVar("T")
Attributes = Mapping[str, str | int | float | bytes]
BROWSE_SLICE_MESSAGES: Final = 100


class OutgoingMessage(msgspec.Struct, frozen=True):
    """A message for `Queue.send_many`, with the arguments of `Queue.send`."""

    body: str
    delay_ms: int | None = None
    attributes: Attributes | None = None
    group_id: str | None = None
    deduplication_id: str | None = None


@final
class Message:
    """A received message. It is yours until its visibility timeout is over: delete it, extend it or
    release it.
    """

    __slots__ = ("_queue", "_received")

    def __init__(self, queue: Queue, received: ReceivedMessage) -> None:
        self._queue = queue
        self._received = received

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self._queue.name!r}, received {self.receives} times>"

    @property
    def id(self) -> str:
        """The message's id, a UUID; the same at every receive."""
        return format_uuid(self._received.record.id)

    @property
    def body(self) -> str:
        """The body as it was sent."""
        return self._received.record.body

    @property
    def attributes(self) -> dict[str, str | bytes]:
        """The message attributes; numbers as their text."""
        values = decode_attributes(self._received.record.attributes)
        return {
            name: (value.binary or b"") if value.string is None else value.string
            for name, value in values.items()
        }

    @property
    def sent_ms(self) -> int:
        """When it was sent, epoch ms."""
        return self._received.record.sent_ms

    @property
    def receives(self) -> int:
        """How often it was received, this time included."""
        return self._received.receives

    @property
    def group_id(self) -> str | None:
        """The message group, if it was sent with one."""
        return self._received.record.group_id

    @property
    def deduplication_id(self) -> str | None:
        """The deduplication id, in a FIFO queue."""
        return self._received.record.deduplication_id

    @property
    def sequence_number(self) -> str | None:
        """Where it stands among the messages of its FIFO queue: 20 digits that rise with the sends.
        None in a standard queue.
        """
        sequence = self._received.sequence
        return sequence_text(sequence) if sequence else None

    @property
    def dead_letter_source(self) -> str | None:
        """The ARN of the queue that dead-lettered it, if one did."""
        return self._received.record.dead_letter_source

    @property
    def receipt_handle(self) -> str:
        """What identifies this receive."""
        return self._received.receipt_handle

    @property
    def queue(self) -> Queue:
        """The queue it was received from."""
        return self._queue

    def json(self, content_type: type[T] | None = None) -> T | Any:
        """The body decoded from JSON, checked against `content_type` if given. Raises
        msgspec.ValidationError.
        """
        return json_decoder(Any if content_type is None else content_type)(self.body)

    async def delete(self) -> None:
        """Done with it: deletes it for good."""
        await self._queue.delete(self.receipt_handle)

    async def extend(self, timeout_ms: int) -> None:
        """Keeps it invisible to others for `timeout_ms` from now; 12 hours from the receive at the
        most.
        """
        await self._queue.change_visibility(self.receipt_handle, timeout_ms)

    async def release(self, delay_ms: int = 0) -> None:
        """Gives it back: visible again after `delay_ms`."""
        await self._queue.change_visibility(self.receipt_handle, delay_ms)

    async def reject(self) -> bool:
        """Sends it to the dead-letter queue now (True), or deletes it where the queue has none
        (False).
        """
        return await self._queue.reject(self.receipt_handle)


@final
class Queue:
    """A queue of this broker."""

    __slots__ = ("_engine", "arn", "name")

    def __init__(self, engine: Engine, arn: str) -> None:
        self._engine = engine
        self.arn = arn
        self.name = arn.rpartition(":")[2]

    def __repr__(self) -> str:
        return f"<Queue {self.arn}>"

    @property
    def is_fifo(self) -> bool:
        """Whether it is a FIFO queue, by its name."""
        return self.name.endswith(FIFO_SUFFIX)

    @property
    def spec(self) -> QueueSpec:
        """The queue's settings. Raises NotFound when it was deleted."""
        return self._engine.queue(self.arn).spec

    @property
    def visibility_timeout_ms(self) -> int:
        """How long a received message stays invisible."""
        return self.spec.visibility_timeout_ms

    async def send(
        self,
        body: str,
        *,
        delay_ms: int | None = None,
        attributes: Attributes | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> str:
        """Sends a message and returns its id when it is durable.

        `group_id` is the message group: in a FIFO queue what is in order, and required; in a
        standard queue a tenant that is treated fairly. `deduplication_id` is for FIFO queues: a
        second message of the same id within five minutes goes nowhere, and gets the id of the
        first.

        Raises MissingParameter for an empty body and for no group, InvalidParameter for one over
        the queue's size, a bad delay or id.
        """
        engine = self._engine
        engine.begin()
        entry = (
            SendEntry(body, delay_ms)
            if not attributes and group_id is None and deduplication_id is None
            else _entry(body, delay_ms, attributes, group_id, deduplication_id)
        )
        queue = engine.queue(self.arn)
        if queue.is_limited:
            engine.admit(queue, "send")
            engine.admit_group(queue, group_id)
        result = engine.send(queue, entry)
        barrier = engine.barrier()
        if barrier is not None:
            await barrier
        return format_uuid(result.id)

    async def send_json(
        self,
        content: Any,
        *,
        delay_ms: int | None = None,
        attributes: Attributes | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> str:
        """Sends anything msgspec can encode, as JSON. See `send`."""
        return await self.send(
            encode_json(content).decode(),
            delay_ms=delay_ms,
            attributes=attributes,
            group_id=group_id,
            deduplication_id=deduplication_id,
        )

    async def send_many(
        self,
        bodies: Iterable[str | OutgoingMessage],
        *,
        delay_ms: int | None = None,
        group_id: str | None = None,
    ) -> list[str]:
        """Sends several messages in one transaction: all or, if it raises, none. Returns their ids
        in order.

        Each is a body, for which `delay_ms` and `group_id` count, or an OutgoingMessage with its
        own. Raises what `send` raises, for the first that is not allowed.
        """
        engine = self._engine
        entries = [
            SendEntry(body, delay_ms, group_id=group_id)
            if isinstance(body, str)
            else _entry(
                body.body, body.delay_ms, body.attributes, body.group_id, body.deduplication_id
            )
            for body in bodies
        ]
        engine.begin()
        queue = engine.queue(self.arn)
        for entry in entries:
            queue.check_send(entry)
        engine.admit(queue, "send")
        for sent_to in dict.fromkeys(entry.group_id for entry in entries):
            engine.admit_group(queue, sent_to)
        results = [engine.send(queue, entry) for entry in entries]
        await self._durable()
        return [format_uuid(result.id) for result in results]

    async def receive(
        self,
        *,
        messages_max: int = 1,
        wait_ms: int | None = None,
        visibility_timeout_ms: int | None = None,
        attempt_id: str | None = None,
    ) -> list[Message]:
        """Receives up to `messages_max` (1 to 10) messages, waiting up to `wait_ms` (default: the
        queue's) for the first.

        `attempt_id` is for FIFO queues: a receive with the id of one in the last five minutes gives
        the same messages again, as long as nothing was done to them. If the waiting task is
        cancelled, what it may just have been given becomes visible again at once.
        """
        if wait_ms is not None and not 0 <= wait_ms <= WAIT_MS_MAX:
            raise InvalidParameter("wait_ms", f"Must be >= 0 and <= {WAIT_MS_MAX}.", wait_ms)
        engine = self._engine
        engine.begin()
        queue = engine.queue(self.arn)
        request = ReceiveRequest(messages_max, visibility_timeout_ms, attempt_id=attempt_id)
        engine.admit(queue, "receive")
        wait_ms = queue.spec.wait_ms if wait_ms is None else wait_ms
        try:
            received = engine.receive(queue, request)
        except LimitExceeded:
            if not wait_ms:
                raise
            received = []  # too many are in flight: a long poll waits, as on AWS
        if not received and wait_ms:
            received = await self._wait(request, wait_ms)
        elif (barrier := engine.barrier()) is not None:
            try:
                await barrier
            except asyncio.CancelledError:
                self._give_back(received)
                raise
        return [Message(self, message) for message in received]

    async def _wait(self, request: ReceiveRequest, wait_ms: int) -> list[ReceivedMessage]:
        arrived: asyncio.Future[list[ReceivedMessage]] = asyncio.get_running_loop().create_future()
        reply = _Arrival(arrived)
        engine = self._engine
        given: list[ReceivedMessage] = []

        def done(messages: list[ReceivedMessage]) -> None:
            given.extend(messages)
            engine.hold(reply, messages)

        waiter = engine.wait_for_messages(engine.queue(self.arn), request, wait_ms, done)
        try:
            return await arrived
        except asyncio.CancelledError:
            waiter.cancel()
            self._give_back(given)
            raise

    def _give_back(self, messages: list[ReceivedMessage]) -> None:
        try:
            self._engine.begin()
            queue = self._engine.queue(self.arn)
            for message in messages:
                with contextlib.suppress(InvalidParameter):  # it is somebody else's already
                    self._engine.change_visibility(queue, message.receipt_handle, 0)
        except EventcoreError:
            return  # They come back by themselves when their visibility timeout is over.

    async def delete(self, receipt_handle: str) -> None:
        """Deletes a received message. An older handle of a message received again since does
        nothing.
        """
        engine = self._engine
        engine.begin()
        queue = engine.queue(self.arn)
        engine.admit(queue, "delete")
        engine.delete(queue, receipt_handle)
        barrier = engine.barrier()
        if barrier is not None:
            await barrier

    async def change_visibility(self, receipt_handle: str, timeout_ms: int) -> None:
        """See Message.extend."""
        self._engine.begin()
        queue = self._engine.queue(self.arn)
        self._engine.admit(queue, "change")
        self._engine.change_visibility(queue, receipt_handle, timeout_ms)
        await self._durable()

    async def extend_many(
        self, receipt_handles: Iterable[str], timeout_ms: int
    ) -> list[InvalidParameter]:
        """`Message.extend` for several messages in one transaction. What could not be extended
        (gone, received again, 12 hours over) is in the answer; the others were.
        """
        self._engine.begin()
        queue = self._engine.queue(self.arn)
        failures = []
        for receipt_handle in receipt_handles:
            try:
                self._engine.change_visibility(queue, receipt_handle, timeout_ms)
            except InvalidParameter as error:
                failures.append(error)
        await self._durable()
        return failures

    async def reject(self, receipt_handle: str) -> bool:
        """See Message.reject."""
        self._engine.begin()
        is_dead_lettered = self._engine.reject(self._engine.queue(self.arn), receipt_handle)
        await self._durable()
        return is_dead_lettered

    async def purge(self) -> None:
        """Deletes all messages sent until now, those in flight and delayed included."""
        self._engine.begin()
        self._engine.purge(self._engine.queue(self.arn))
        await self._durable()

    async def statistics(self) -> QueueStatistics:
        """Counts of messages by state."""
        self._engine.begin()
        statistics = self._engine.statistics(self._engine.queue(self.arn))
        await self._durable()
        return statistics

    async def browse(self, *, after: int = -1, messages_max: int = 100) -> list[BrowsedMessage]:
        """Messages as they are, in the order of their sends, without receiving them: those with a
        `number` above `after`.
        """
        found: list[BrowsedMessage] = []
        while len(found) < messages_max:
            self._engine.begin()
            queue = self._engine.queue(self.arn)
            more, last = self._engine.browse(
                queue, after, min(messages_max - len(found), BROWSE_SLICE_MESSAGES)
            )
            await self._durable()
            found += more
            if last == after:
                break
            after = last
        return found

    async def dead_letter_sources(self) -> list[str]:
        """The ARNs of the queues that dead-letter into this one, sorted."""
        self._engine.begin()
        self._engine.queue(self.arn)
        sources = self._engine.dead_letter_sources(self.arn)
        await self._durable()
        return sources

    async def start_move(
        self, destination: Queue | None = None, *, per_second: int | None = None
    ) -> str:
        """Starts to move this dead-letter queue's messages back to the queues that they came from,
        or to `destination`; returns the task's handle. It goes on after a restart.

        Raises InvalidParameter when this is no dead-letter queue, when a task is running, for a
        destination of the other kind and a rate out of range (1 to 500 a second).
        """
        self._engine.begin()
        source = self._engine.queue(self.arn)
        handle = self._engine.start_move(
            source, None if destination is None else destination.arn, per_second
        )
        await self._durable()
        return handle

    async def cancel_move(self, handle: str) -> int:
        """Cancels a move task; returns how many messages it has moved. Raises NotFound,
        InvalidParameter when it is not running.
        """
        self._engine.begin()
        moved = self._engine.cancel_move(handle)
        await self._durable()
        return moved

    async def moves(self, tasks_max: int = MOVE_TASKS_LISTED_MAX) -> list[MoveTask]:
        """The latest move tasks of this queue, newest first."""
        self._engine.begin()
        tasks = self._engine.list_moves(self._engine.queue(self.arn), tasks_max)
        await self._durable()
        return tasks

    async def configure(self, **changes: Any) -> None:
        """Changes settings, by the names of `Broker.create_queue` (and `attributes`).

        `dead_letter` is a Queue or None; `receives_max` goes with it. Raises InvalidParameter.
        """
        if "dead_letter" in changes:
            changes["redrive"] = _redrive(
                changes.pop("dead_letter"), changes.pop("receives_max", RECEIVES_MAX_DEFAULT)
            )
        for name in ("attributes", "tags"):
            if isinstance(changes.get(name), dict):
                changes[name] = dict(changes[name])  # the caller may change his own
        self._engine.begin()
        queue = self._engine.queue(self.arn)
        try:
            spec = msgspec.structs.replace(queue.spec, **changes)
        except TypeError as error:
            raise InvalidParameter("changes", str(error)) from error
        self._engine.set_queue_spec(queue, spec)
        await self._durable()

    async def sleep(self, duration_ms: int) -> None:
        """Waits on the broker's clock."""
        await self._engine.sleep(duration_ms)

    async def _durable(self) -> None:
        barrier = self._engine.barrier()
        if barrier is not None:
            await barrier


def _redrive(dead_letter: Queue | None, receives_max: int) -> RedrivePolicy | None:
    if dead_letter is None:
        return None
    if not isinstance(dead_letter, Queue):
        raise InvalidParameter("dead_letter", "Must be a Queue or None.", dead_letter)
    return RedrivePolicy(dead_letter.arn, receives_max)


@final
class _Arrival:
    """The reply of a long poll made by the embedding program."""

    __slots__ = ("_future",)

    def __init__(self, future: asyncio.Future[list[ReceivedMessage]]) -> None:
        self._future = future

    def commit(self, payload: list[ReceivedMessage]) -> None:
        if not self._future.done():
            self._future.set_result(payload)

    def fail(self, error: EventcoreError) -> None:
        if not self._future.done():
            self._future.set_exception(error)


def _entry(
    body: str,
    delay_ms: int | None,
    attributes: Attributes | None,
    group_id: str | None,
    deduplication_id: str | None,
) -> SendEntry:
    try:
        return _encoded_entry(body, delay_ms, attributes, group_id, deduplication_id)
    except UnicodeEncodeError as error:
        raise InvalidParameter(
            "attributes", "Invalid characters found: lone surrogates."
        ) from error


def _encoded_entry(
    body: str,
    delay_ms: int | None,
    attributes: Attributes | None,
    group_id: str | None,
    deduplication_id: str | None,
) -> SendEntry:
    if not attributes:
        return SendEntry(body, delay_ms, group_id=group_id, deduplication_id=deduplication_id)
    values = {name: _attribute(name, value) for name, value in (attributes or {}).items()}
    if len(values) > MESSAGE_ATTRIBUTES_MAX:
        raise InvalidParameter(
            "attributes", f"At most {MESSAGE_ATTRIBUTES_MAX} message attributes are allowed."
        )
    encoded = encode_attributes(values)
    size_bytes = len(body.encode()) + sum(
        len(name.encode())
        + len(v.data_type)
        + len((v.string or "").encode())
        + len(v.binary or b"")
        for name, v in values.items()
    )
    return SendEntry(
        body,
        delay_ms,
        encoded,
        md5_of_attributes(values) if values else b"",
        group_id=group_id,
        deduplication_id=deduplication_id,
        size_bytes=size_bytes,
    )


def _attribute(name: str, value: str | int | float | bytes) -> AttributeValue:
    if isinstance(value, str):
        return AttributeValue("String", value)
    if isinstance(value, bytes):
        return AttributeValue("Binary", None, value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidParameter("attributes", f"{name!r} must be str, int, float or bytes.", value)
    return AttributeValue("Number", repr(value))
