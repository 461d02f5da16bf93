// What the scenarios of Kinesis share: a client as a user of the daemon makes it, and streams.

import {
  CreateStreamCommand,
  GetRecordsCommand,
  GetShardIteratorCommand,
  KinesisClient,
  RegisterStreamConsumerCommand,
  SubscribeToShardCommand,
  waitUntilStreamExists,
} from "@aws-sdk/client-kinesis";

export const FIRST_SHARD = "shardId-000000000000";
export const SECOND_SHARD = "shardId-000000000001";
export const SECONDS_MAX = 60;
const PAGES_MAX = 1_000;

/** A client with the request handler that the SDK brings, which speaks HTTP/2.
 *
 * By default it makes a connection for every request; with SHARED the requests share one. An error
 * is shown at once, not tried again.
 */
export function connect(endpoint, requestHandler = undefined, more = {}) {
  return new KinesisClient({
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
    maxAttempts: 1,
    ...(requestHandler === undefined ? {} : { requestHandler }),
    ...more,
  });
}

export const SHARED = { disableConcurrentStreams: false };

/** The connections that a client keeps: how many requests each had, and how many at once. */
export function sessions(kinesis) {
  const pools = kinesis.config.requestHandler.connectionManager.debug();
  return Object.values(pools).flatMap(({ sessions: kept }) => kept);
}

export function arnOf(StreamName) {
  return `arn:aws:kinesis:us-east-1:000000000000:stream/${StreamName}`;
}

/** A new stream that takes records. */
export async function create(kinesis, StreamName, ShardCount = 1) {
  await kinesis.send(new CreateStreamCommand({ StreamName, ShardCount }));
  await active(kinesis, StreamName);
  return StreamName;
}

export async function active(kinesis, StreamName) {
  const limits = { client: kinesis, maxWaitTime: SECONDS_MAX, minDelay: 1 };
  await waitUntilStreamExists(limits, { StreamName });
}

export async function iterator(kinesis, StreamName, ShardId, ShardIteratorType, more = {}) {
  const request = { StreamName, ShardId, ShardIteratorType, ...more };
  return (await kinesis.send(new GetShardIteratorCommand(request))).ShardIterator;
}

/** The first records of a shard, so many of them, and of how many bytes the pages were. */
export async function read(kinesis, StreamName, ShardId, number) {
  let ShardIterator = await iterator(kinesis, StreamName, ShardId, "TRIM_HORIZON");
  const records = [];
  const pages = [];
  while (records.length < number && ShardIterator !== undefined) {
    if (pages.length === PAGES_MAX) {
      throw new Error(`only ${records.length} of ${number} records came`);
    }
    const page = await kinesis.send(new GetRecordsCommand({ ShardIterator }));
    records.push(...page.Records);
    pages.push(page.Records.reduce((bytes, { Data }) => bytes + Data.length, 0));
    ShardIterator = page.NextShardIterator;
  }
  return { records, pages: pages.filter((bytes) => bytes > 0) };
}

/** The ARN of a new consumer of the stream. */
export async function register(kinesis, StreamName, ConsumerName) {
  const request = { StreamARN: arnOf(StreamName), ConsumerName };
  const made = await kinesis.send(new RegisterStreamConsumerCommand(request));
  return made.Consumer.ConsumerARN;
}

/** The events of a subscription. */
export async function subscribe(
  kinesis,
  ConsumerARN,
  StartingPosition = { Type: "TRIM_HORIZON" },
  options = {},
) {
  const request = { ConsumerARN, ShardId: FIRST_SHARD, StartingPosition };
  return (await kinesis.send(new SubscribeToShardCommand(request), options)).EventStream;
}

export function text(record) {
  return new TextDecoder().decode(record.Data);
}

export function bytes(data) {
  return new TextEncoder().encode(data);
}
