// SubscribeToShard through the SDK: events over HTTP/2, read by the async iterator. And what the
// daemon's end means to a client that has connections: `restart` says on its first line that it is
// ready, and goes on when it is told to.

import { createInterface } from "node:readline/promises";

import {
  DeleteStreamCommand,
  PutRecordCommand,
  PutRecordsCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  SplitShardCommand,
  UpdateMaxRecordSizeCommand,
} from "@aws-sdk/client-kinesis";

import {
  active,
  arnOf,
  bytes,
  connect,
  create,
  FIRST_SHARD,
  read,
  register,
  sessions,
  SHARED,
  subscribe,
  text,
} from "./kinesis_client.mjs";
import { play, refusal } from "./scenario.mjs";

function put(kinesis, StreamName, data) {
  const record = { StreamName, PartitionKey: "k", Data: bytes(data) };
  return kinesis.send(new PutRecordCommand(record));
}

function split(kinesis, StreamName) {
  const NewStartingHashKey = (1n << 127n).toString();
  const request = { StreamName, ShardToSplit: FIRST_SHARD, NewStartingHashKey };
  return kinesis.send(new SplitShardCommand(request));
}

/** The first records that a new subscription brings. Only an abort ends it early: its connection
 * is no part of what the client destroys, and keeps the process alive.
 */
async function firstRecords(kinesis, consumer, start) {
  const leaving = new AbortController();
  const { signal: abortSignal } = leaving;
  const events = await subscribe(kinesis, consumer, start, { abortSignal });
  for await (const { SubscribeToShardEvent: page } of events) {
    if (page.Records.length > 0) {
      leaving.abort();
      return page.Records.map(text);
    }
  }
  throw new Error("the subscription ended without a record");
}

/** Records are put one by one, each when the one before has come; then the shard is split. */
async function follow(requestHandler, { endpoint, queueName }) {
  const kinesis = connect(endpoint, requestHandler);
  const StreamName = await create(kinesis, queueName);
  await put(kinesis, StreamName, "0");
  const events = await subscribe(kinesis, await register(kinesis, StreamName, "c"));
  const seen = [];
  let children;
  for await (const { SubscribeToShardEvent: page } of events) {
    for (const record of page.Records) {
      seen.push(text(record));
      await (seen.length < 20
        ? put(kinesis, StreamName, `${seen.length}`)
        : split(kinesis, StreamName));
    }
    children = page.ChildShards?.map(({ ShardId }) => ShardId);
    if (children !== undefined && page.ContinuationSequenceNumber !== undefined) {
      throw new Error("the end of a shard cannot be continued");
    }
  }
  kinesis.destroy();
  return { seen, children };
}

/** More than fits into the windows of a connection, read slowly. */
async function volume({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const total = 400;
  for (let first = 0; first < total; first += 40) {
    const Records = [...Array(40).keys()].map((number) => ({
      PartitionKey: "k",
      Data: new Uint8Array(50_000).fill((first + number) % 256),
    }));
    await kinesis.send(new PutRecordsCommand({ StreamName, Records }));
  }
  await split(kinesis, StreamName);
  const events = await subscribe(kinesis, await register(kinesis, StreamName, "c"));
  const firstBytes = [];
  let isWhole = true;
  for await (const { SubscribeToShardEvent: page } of events) {
    for (const { Data } of page.Records) {
      firstBytes.push(Data[0]);
      isWhole &&= Data.length === 50_000 && Data[49_999] === Data[0];
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  kinesis.destroy();
  return { firstBytes, isWhole };
}

/** One record as large as a record may be with its partition key, put, got and sent. */
async function largestRecord({ endpoint, queueName }) {
  const kinesis = connect(endpoint);
  const StreamName = await create(kinesis, queueName);
  const StreamARN = arnOf(StreamName);
  const size = { StreamARN, MaxRecordSizeInKiB: 10 * 1024 };
  await kinesis.send(new UpdateMaxRecordSizeCommand(size));
  await active(kinesis, StreamName);
  const Data = new Uint8Array(10 * 1024 * 1024 - 1).fill(7);
  await kinesis.send(new PutRecordCommand({ StreamName, PartitionKey: "k", Data }));
  await split(kinesis, StreamName);
  const { records } = await read(kinesis, StreamName, FIRST_SHARD, 1);
  const sent = [];
  const events = await subscribe(kinesis, await register(kinesis, StreamName, "c"));
  for await (const { SubscribeToShardEvent: page } of events) {
    sent.push(...page.Records);
  }
  kinesis.destroy();
  return [records, sent].map((found) => found.map((r) => Buffer.compare(r.Data, Data) === 0));
}

/** Subscriptions of many consumers to one shard, each with all of the records. */
async function many({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const names = [...Array(20).keys()].map((number) => `c-${number}`);
  const subscriptions = await Promise.all(
    names.map(async (name) => subscribe(kinesis, await register(kinesis, StreamName, name))),
  );
  const reading = subscriptions.map(async (events) => {
    const seen = [];
    for await (const { SubscribeToShardEvent: page } of events) {
      seen.push(...page.Records.map(text));
    }
    return seen;
  });
  const records = [...Array(50).keys()].map((number) => `${number}`);
  for (const data of records) {
    await put(kinesis, StreamName, data);
  }
  await split(kinesis, StreamName);
  const seen = await Promise.all(reading);
  kinesis.destroy();
  return { records, seen };
}

/** A second subscription is refused; when the first is left, the next one goes on after it. */
async function takeOver({ endpoint, queueName }) {
  const kinesis = connect(endpoint);
  const StreamName = await create(kinesis, queueName);
  const consumer = await register(kinesis, StreamName, "c");
  await put(kinesis, StreamName, "first");
  const leaving = new AbortController();
  const { signal: abortSignal } = leaving;
  let refused;
  let where;
  const first = await subscribe(kinesis, consumer, undefined, { abortSignal });
  for await (const { SubscribeToShardEvent: page } of first) {
    where = page.ContinuationSequenceNumber;
    if (page.Records.length > 0) {
      refused = await refusal(subscribe(kinesis, consumer), ResourceInUseException);
      break;
    }
  }
  leaving.abort();
  await put(kinesis, StreamName, "second");
  const start = { Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: where };
  let next;
  while (next === undefined) {
    // Refused as long as the daemon does not know that the first one is gone.
    next = await firstRecords(kinesis, consumer, start).catch((error) => {
      if (!(error instanceof ResourceInUseException)) {
        throw error;
      }
    });
  }
  kinesis.destroy();
  return { refused, next };
}

async function deletedStream({ endpoint, queueName }) {
  const kinesis = connect(endpoint);
  const StreamName = await create(kinesis, queueName);
  const events = await subscribe(kinesis, await register(kinesis, StreamName, "c"));
  const end = refusal(
    (async () => {
      for await (const event of events) {
        if (event.SubscribeToShardEvent.Records.length > 0) {
          throw new Error("there are no records");
        }
      }
    })(),
    ResourceNotFoundException,
  );
  await kinesis.send(new DeleteStreamCommand({ StreamName, EnforceConsumerDeletion: true }));
  const seen = await end;
  kinesis.destroy();
  return seen;
}

/** The daemon ends and comes back while one client has a connection and a subscription. */
async function restart({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const consumer = await register(kinesis, StreamName, "c");
  const before = await put(kinesis, StreamName, "before");
  let where;
  const first = await subscribe(kinesis, consumer);
  const reading = (async () => {
    const seen = [];
    try {
      for await (const { SubscribeToShardEvent: page } of first) {
        seen.push(...page.Records.map(text));
        where = page.ContinuationSequenceNumber;
        if (page.Records.length > 0) {
          console.log("ready");
        }
      }
      return { seen, end: "in order" };
    } catch (error) {
      return { seen, end: error.name };
    }
  })();
  const lines = createInterface({ input: process.stdin });
  await lines[Symbol.asyncIterator]().next();
  lines.close();
  const old = await reading;
  const after = await put(kinesis, StreamName, "after");
  const { records } = await read(kinesis, StreamName, FIRST_SHARD, 2);
  const start = { Type: "AFTER_SEQUENCE_NUMBER", SequenceNumber: where };
  const resumed = await firstRecords(kinesis, consumer, start);
  const kept = sessions(kinesis);
  kinesis.destroy();
  return {
    old,
    resumed,
    records: records.map((record) => [text(record), record.SequenceNumber]),
    put: [before.SequenceNumber, after.SequenceNumber],
    kept,
  };
}

await play({
  follow: (world) => follow(undefined, world),
  followShared: (world) => follow(SHARED, world),
  volume,
  largestRecord,
  many,
  takeOver,
  deletedStream,
  restart,
});
