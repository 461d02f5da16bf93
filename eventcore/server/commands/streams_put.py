"""Puts records into a stream: those of the command line, or every line of a file or of standard
input.

    eventcore streams put clicks '{"user": 7}' --key 7
    eventcore streams put clicks --key-field user < clicks.jsonl
    eventcore streams put clicks --file photo.jpg --whole

Records with the same partition key go to the same shard. The key is the one of --key, a member of
each record's JSON with --key-field, and random otherwise. Empty lines are left out.

Every record that is stored is printed with its shard and sequence number. A record that a shard or
the endpoint refuses for its rate is put again, with growing pauses; it comes behind what was taken
meanwhile. When the connection is lost, whether the last records are stored is not known.

Exit status: 0 when all are stored, 2 when not, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final, final

import msgspec

from eventcore import limits
from eventcore.bench.client import AwsJsonClient, CallFailed, EndpointUnreachable
from eventcore.errors import EventcoreError
from eventcore.patterns.describe import escape_text
from eventcore.server.commands.endpoint_options import (
    add_endpoint_arguments,
    run_against_endpoint,
    write_json,
    write_line,
)
from eventcore.server.commands.streams_calls import (
    INTERNAL,
    Backoff,
    PutResult,
    StreamClient,
    add_stream_arguments,
    is_passing,
    take_region,
)
from eventcore.server.commands.streams_input import (
    KEY_CHARACTERS_MAX,
    Keys,
    Numbered,
    Refusal,
    lines_of_file,
    lines_of_stdin,
    whole,
    write_entry,
)

__all__ = ["add_arguments", "run"]

BATCH_RECORDS: Final = limits.PUT_RECORDS_ENTRIES_MAX
BATCH_BYTES: Final = 4 * 1024 * 1024
"""Of the records of a request, unless one alone is larger: less than any endpoint takes."""
RETRIES_DEFAULT: Final = 10
REASONS_SHOWN: Final = 10
STDIN: Final = Path("-")
TOO_LARGE: Final = "TooLarge"
NO_RECORD: Final = "InvalidInput"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add_stream_arguments(parser)
    add("data", nargs="*", metavar="DATA", help='a record; standard input without, or with "-"')
    add("--file", type=Path, metavar="PATH", help="every line of a file is a record")
    add("--whole", action="store_true", help="the file, or standard input, is one record")
    add("--key", metavar="KEY", help="partition key of all records")
    add("--key-field", metavar="NAME", help="member of each record's JSON that is its key")
    add("--base64", action="store_true", help="each record is given as base64")
    add(
        "--retries",
        type=int,
        default=RETRIES_DEFAULT,
        metavar="N",
        help=f"how often a record that was refused is put again (default {RETRIES_DEFAULT})",
    )
    add("--quiet", action="store_true", help="only count what is stored")
    add_endpoint_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; returns its exit status."""
    if problem := _problem(arguments):
        sys.stderr.write(f"eventcore streams put: {problem}\n")
        return 2
    take_region(arguments)
    refused = run_against_endpoint(arguments, lambda client: _put_all(client, arguments))
    return 2 if refused else 0


def _problem(arguments: argparse.Namespace) -> str | None:
    """What is wrong with the command line."""
    is_input = arguments.data in ([], ["-"])
    if arguments.key is not None and arguments.key_field is not None:
        return "--key and --key-field exclude each other"
    if arguments.key is not None and not 1 <= len(arguments.key) <= KEY_CHARACTERS_MAX:
        return f"--key must have 1 to {KEY_CHARACTERS_MAX} characters"
    if arguments.file is not None and arguments.data:
        return "records are given as arguments or by --file, not both"
    if arguments.whole and not is_input:
        return "--whole is for --file and standard input"
    if arguments.retries < 0:
        return "--retries must not be negative"
    return None


async def _put_all(client: AwsJsonClient, arguments: argparse.Namespace) -> int:
    """Puts the whole input; returns how many records were refused."""
    putting = Putting(StreamClient(client, arguments.stream), arguments)
    try:
        async for group in _records(arguments):
            for batch in _batches(group):
                await putting.put(batch)
                sys.stdout.flush()
    except (EventcoreError, OSError, asyncio.CancelledError):
        if putting.has_begun:
            putting.tell_counts()
        raise
    putting.tell_counts()
    return putting.refused


async def _records(arguments: argparse.Namespace) -> AsyncIterator[list[Numbered | Refusal]]:
    """The input in groups, as it comes."""
    keys = Keys(arguments.key, arguments.key_field)
    number = 0
    async for group in _inputs(arguments):
        yield [
            write_entry(at, raw, keys, is_base64=arguments.base64)
            for at, raw in enumerate(group, start=number + 1)
        ]
        number += len(group)


async def _inputs(arguments: argparse.Namespace) -> AsyncIterator[list[bytes]]:
    path = None if arguments.file == STDIN else arguments.file
    if arguments.whole:
        yield [await whole(path)]
    elif path is not None:
        async for group in lines_of_file(path):
            yield group
    elif arguments.data in ([], ["-"]):
        async for group in lines_of_stdin():
            yield group
    else:
        # As the bytes that they were, whatever encoding the arguments are taken to have.
        yield [os.fsencode(text) for text in arguments.data]


def _batches(group: Sequence[Numbered | Refusal]) -> Iterator[list[Numbered | Refusal]]:
    """The input in parts that fit into one request each."""
    batch: list[Numbered | Refusal] = []
    size = 0
    for one in group:
        more = one.entry.size if isinstance(one, Numbered) else 0
        if batch and (len(batch) == BATCH_RECORDS or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += more
    if batch:
        yield batch


@final
class Putting:
    """Puts batches, one after the other, and tells what became of every record, in their order."""

    def __init__(self, stream: StreamClient, arguments: argparse.Namespace) -> None:
        self.stored = 0
        self.refused = 0
        self._stream = stream
        self._arguments = arguments
        self._record_bytes_max: int | None = None
        self._in_doubt = 0

    @property
    def has_begun(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.stored or self.refused or self._in_doubt)

    async def put(self, batch: Sequence[Numbered | Refusal]) -> None:
        """Puts the records of a part of the input. Raises CallFailed, EndpointUnreachable."""
        results: dict[int, PutResult] = {}
        waiting: list[Numbered] = []
        for one in batch:
            if isinstance(one, Refusal):
                results[one.number] = PutResult(error_code=NO_RECORD, error_message=one.reason)
            elif (problem := await self._size_problem(one)) is not None:
                results[one.number] = PutResult(error_code=TOO_LARGE, error_message=problem)
            else:
                waiting.append(one)
        try:
            await self._put_patiently(waiting, results)
        finally:
            for one in batch:
                if one.number in results:
                    self._tell(one.number, results[one.number])

    async def _put_patiently(
        self, waiting: Sequence[Numbered], results: dict[int, PutResult]
    ) -> None:
        """Puts records until each is stored, refused for good, or was tried often enough."""
        backoff = Backoff()
        for tries_left in range(self._arguments.retries, -1, -1):
            if not waiting:
                return
            found = await self._try(waiting, is_last=not tries_left)
            results.update(zip((one.number for one in waiting), found, strict=True))
            waiting = [one for one in waiting if results[one.number].is_passing]
            if waiting and tries_left:
                await backoff.pause()

    async def _size_problem(self, one: Numbered) -> str | None:
        """One record that is too large would have its whole request refused."""
        if one.entry.size <= limits.RECORD_BYTES_MAX_LOWEST:
            return None
        if self._record_bytes_max is None:
            self._record_bytes_max = (await self._stream.describe()).record_bytes_max
        if one.entry.size <= self._record_bytes_max:
            return None
        return f"has {one.entry.size:,} bytes; the stream takes {self._record_bytes_max:,}"

    async def _try(self, waiting: Sequence[Numbered], *, is_last: bool) -> Sequence[PutResult]:
        """What became of each record in one request."""
        self._in_doubt = len(waiting)
        try:
            results = await self._stream.put_records([one.entry for one in waiting])
        except CallFailed as error:
            self._in_doubt = 0
            if is_last or not is_passing(error):
                raise
            results = [PutResult(error_code=INTERNAL, error_message=str(error))] * len(waiting)
        except EndpointUnreachable as error:
            if not isinstance(error.__cause__, EndpointUnreachable):
                self._in_doubt = 0  # there was no connection at all
            raise
        self._in_doubt = 0
        return results

    def _tell(self, number: int, result: PutResult) -> None:
        if result.error_code is None:
            self.stored += 1
            if not self._arguments.json and not self._arguments.quiet:
                write_line(f"{result.shard_id}  {result.sequence_number}")
        else:
            self.refused += 1
            if self.refused <= REASONS_SHOWN:
                reason = result.error_message or "refused"
                shown = f"record {number}: {result.error_code}: {reason}"
                sys.stderr.write(f"eventcore streams put: {escape_text(shown)}\n")
        if self._arguments.json and not (self._arguments.quiet and result.error_code is None):
            write_json({"record": number, **msgspec.structs.asdict(result)})

    def tell_counts(self) -> None:
        """Says how many were stored, how many not, and of how many it is not known."""
        if self._in_doubt:
            sys.stderr.write(
                "eventcore streams put: it is not known whether the next "
                f"{self._in_doubt:,} are stored\n"
            )
        if not self._arguments.json:
            sys.stderr.write(f"{self.stored:,} put, {self.refused:,} refused\n")
