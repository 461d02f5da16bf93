// Kinesis through the SDK, whose client speaks HTTP/2: streams, records, settings, errors.

import {
  AddTagsToStreamCommand,
  CreateStreamCommand,
  DecreaseStreamRetentionPeriodCommand,
  DeleteResourcePolicyCommand,
  DeleteStreamCommand,
  DeregisterStreamConsumerCommand,
  DescribeAccountSettingsCommand,
  DescribeLimitsCommand,
  DescribeStreamCommand,
  DescribeStreamConsumerCommand,
  DescribeStreamSummaryCommand,
  DisableEnhancedMonitoringCommand,
  EnableEnhancedMonitoringCommand,
  GetRecordsCommand,
  GetResourcePolicyCommand,
  IncreaseStreamRetentionPeriodCommand,
  InvalidArgumentException,
  KinesisServiceException,
  LimitExceededException,
  ListShardsCommand,
  ListStreamConsumersCommand,
  ListStreamsCommand,
  ListTagsForResourceCommand,
  ListTagsForStreamCommand,
  MergeShardsCommand,
  paginateListStreamConsumers,
  paginateListStreams,
  PutRecordCommand,
  PutRecordsCommand,
  PutResourcePolicyCommand,
  RemoveTagsFromStreamCommand,
  ResourceInUseException,
  ResourceNotFoundException,
  SplitShardCommand,
  StartStreamEncryptionCommand,
  StopStreamEncryptionCommand,
  TagResourceCommand,
  UntagResourceCommand,
  UpdateAccountSettingsCommand,
  UpdateMaxRecordSizeCommand,
  UpdateShardCountCommand,
  UpdateStreamModeCommand,
  UpdateStreamWarmThroughputCommand,
  ValidationException,
  waitUntilStreamNotExists,
} from "@aws-sdk/client-kinesis";

import {
  active,
  arnOf,
  bytes,
  connect,
  create,
  FIRST_SHARD,
  iterator,
  read,
  register,
  SECOND_SHARD,
  SECONDS_MAX,
  sessions,
  SHARED,
  text,
} from "./kinesis_client.mjs";
import { play, refusal } from "./scenario.mjs";

const MIB = 1024 * 1024;

async function summary(kinesis, StreamName) {
  const answer = await kinesis.send(new DescribeStreamSummaryCommand({ StreamName }));
  return answer.StreamDescriptionSummary;
}

async function handler({ endpoint }) {
  const kinesis = connect(endpoint);
  const { requestHandler } = kinesis.config;
  const answer = await kinesis.send(new ListStreamsCommand({ Limit: 1 }));
  kinesis.destroy();
  return {
    name: requestHandler.constructor.name,
    protocol: requestHandler.metadata.handlerProtocol,
    status: answer.$metadata.httpStatusCode,
    requestId: answer.$metadata.requestId,
    extendedRequestId: answer.$metadata.extendedRequestId,
  };
}

async function streamLife({ endpoint, queueName: StreamName }) {
  const kinesis = connect(endpoint);
  await kinesis.send(new CreateStreamCommand({ StreamName, ShardCount: 2, Tags: { team: "a" } }));
  await active(kinesis, StreamName);
  const listed = [];
  for await (const page of paginateListStreams({ client: kinesis, pageSize: 1 }, {})) {
    listed.push(...page.StreamNames);
  }
  const { StreamDescription } = await kinesis.send(new DescribeStreamCommand({ StreamName }));
  const limits = await kinesis.send(new DescribeLimitsCommand({}));
  const before = await summary(kinesis, StreamName);
  await kinesis.send(new DeleteStreamCommand({ StreamName }));
  const waiting = { client: kinesis, maxWaitTime: SECONDS_MAX, minDelay: 1 };
  const gone = await waitUntilStreamNotExists(waiting, { StreamName });
  kinesis.destroy();
  return {
    isListed: listed.includes(StreamName),
    shards: StreamDescription.Shards.map(({ ShardId }) => ShardId),
    isOld: before.StreamCreationTimestamp <= new Date(),
    before,
    limits,
    gone: gone.state,
  };
}

async function settings({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const StreamARN = arnOf(StreamName);
  const key = { EncryptionType: "KMS", KeyId: "alias/aws/kinesis" };
  const on = { ShardLevelMetrics: ["IncomingBytes", "OutgoingBytes"] };
  const off = { ShardLevelMetrics: ["OutgoingBytes"] };
  const mode = { StreamModeDetails: { StreamMode: "ON_DEMAND" } };
  const first = [
    new IncreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours: 72 }),
    new StartStreamEncryptionCommand({ StreamName, ...key }),
    new EnableEnhancedMonitoringCommand({ StreamName, ...on }),
    new DisableEnhancedMonitoringCommand({ StreamName, ...off }),
    new UpdateMaxRecordSizeCommand({ StreamARN, MaxRecordSizeInKiB: 2048 }),
  ];
  const second = [
    new DecreaseStreamRetentionPeriodCommand({ StreamName, RetentionPeriodHours: 24 }),
    new StopStreamEncryptionCommand({ StreamName, ...key }),
    new UpdateStreamModeCommand({ StreamARN, ...mode }),
  ];
  const shown = [];
  for (const changes of [first, second]) {
    for (const change of changes) {
      await kinesis.send(change);
      await active(kinesis, StreamName);
    }
    shown.push(await summary(kinesis, StreamName));
  }
  kinesis.destroy();
  return shown;
}

async function tagsAndPolicies({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const ResourceARN = arnOf(StreamName);
  const Tags = { team: "a", cost: "é" };
  await kinesis.send(new AddTagsToStreamCommand({ StreamName, Tags }));
  await kinesis.send(new RemoveTagsFromStreamCommand({ StreamName, TagKeys: ["team"] }));
  await kinesis.send(new TagResourceCommand({ ResourceARN, Tags: { stage: "test", x: "y" } }));
  await kinesis.send(new UntagResourceCommand({ ResourceARN, TagKeys: ["x"] }));
  const ofStream = await kinesis.send(new ListTagsForStreamCommand({ StreamName }));
  const ofResource = await kinesis.send(new ListTagsForResourceCommand({ ResourceARN }));
  const statement = { Effect: "Allow", Principal: "*", Action: "kinesis:*" };
  const Policy = JSON.stringify({ Statement: [statement] });
  await kinesis.send(new PutResourcePolicyCommand({ ResourceARN, Policy }));
  const policy = await kinesis.send(new GetResourcePolicyCommand({ ResourceARN }));
  await kinesis.send(new DeleteResourcePolicyCommand({ ResourceARN }));
  const none = await kinesis.send(new GetResourcePolicyCommand({ ResourceARN }));
  kinesis.destroy();
  return {
    ofStream: ofStream.Tags,
    ofResource: ofResource.Tags,
    isSame: policy.Policy === Policy,
    none: none.Policy,
  };
}

async function account({ endpoint, queueName: StreamName }) {
  const kinesis = connect(endpoint, SHARED, { region: "ca-central-1" });
  const before = await kinesis.send(new DescribeAccountSettingsCommand({}));
  const MinimumThroughputBillingCommitment = { Status: "ENABLED" };
  await kinesis.send(new UpdateAccountSettingsCommand({ MinimumThroughputBillingCommitment }));
  const StreamModeDetails = { StreamMode: "ON_DEMAND" };
  await kinesis.send(new CreateStreamCommand({ StreamName, StreamModeDetails }));
  await active(kinesis, StreamName);
  const request = { StreamName, WarmThroughputMiBps: 6 };
  const { WarmThroughput } = await kinesis.send(new UpdateStreamWarmThroughputCommand(request));
  kinesis.destroy();
  return { before: before.MinimumThroughputBillingCommitment.Status, WarmThroughput };
}

async function shards({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const NewStartingHashKey = (1n << 127n).toString();
  await kinesis.send(
    new SplitShardCommand({ StreamName, ShardToSplit: FIRST_SHARD, NewStartingHashKey }),
  );
  await active(kinesis, StreamName);
  const merge = { ShardToMerge: SECOND_SHARD, AdjacentShardToMerge: "shardId-000000000002" };
  await kinesis.send(new MergeShardsCommand({ StreamName, ...merge }));
  await active(kinesis, StreamName);
  const target = { TargetShardCount: 2, ScalingType: "UNIFORM_SCALING" };
  const counted = await kinesis.send(new UpdateShardCountCommand({ StreamName, ...target }));
  await active(kinesis, StreamName);
  const first = await kinesis.send(new ListShardsCommand({ StreamName, MaxResults: 4 }));
  const rest = await kinesis.send(new ListShardsCommand({ NextToken: first.NextToken }));
  kinesis.destroy();
  const listed = [...first.Shards, ...rest.Shards];
  return {
    counted: [counted.CurrentShardCount, counted.TargetShardCount],
    lineage: listed.map((s) => [s.ShardId, s.ParentShardId, s.AdjacentParentShardId]),
  };
}

async function consumers({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const StreamARN = arnOf(StreamName);
  for (const name of ["a", "b", "c"]) {
    await register(kinesis, StreamName, name);
  }
  const listed = [];
  for await (const page of paginateListStreamConsumers(
    { client: kinesis, pageSize: 2 },
    { StreamARN },
  )) {
    listed.push(page.Consumers.map(({ ConsumerName }) => ConsumerName));
  }
  const b = { StreamARN, ConsumerName: "b" };
  const shown = await kinesis.send(new DescribeStreamConsumerCommand(b));
  await kinesis.send(new DeregisterStreamConsumerCommand(b));
  const left = await kinesis.send(new ListStreamConsumersCommand({ StreamARN }));
  kinesis.destroy();
  return {
    listed,
    status: shown.ConsumerDescription.ConsumerStatus,
    left: left.Consumers.map(({ ConsumerName }) => ConsumerName),
  };
}

// --- records -------------------------------------------------------------------------------------

async function positions({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const numbers = [];
  for (let number = 0; number < 3; number += 1) {
    const record = { StreamName, PartitionKey: "é", Data: Uint8Array.of(number, 255) };
    numbers.push((await kinesis.send(new PutRecordCommand(record))).SequenceNumber);
  }
  const starts = [
    ["TRIM_HORIZON", {}],
    ["LATEST", {}],
    ["AT_SEQUENCE_NUMBER", { StartingSequenceNumber: numbers[1] }],
    ["AFTER_SEQUENCE_NUMBER", { StartingSequenceNumber: numbers[1] }],
    ["AT_TIMESTAMP", { Timestamp: new Date(0) }],
  ];
  const seen = {};
  for (const [kind, more] of starts) {
    const ShardIterator = await iterator(kinesis, StreamName, FIRST_SHARD, kind, more);
    const page = await kinesis.send(new GetRecordsCommand({ ShardIterator, Limit: 10 }));
    seen[kind] = page.Records.map(({ SequenceNumber }) => numbers.indexOf(SequenceNumber));
    seen.page ??= page;
  }
  kinesis.destroy();
  return seen;
}

/** As much as one PutRecords may hold, data and partition keys together. */
async function largest({ endpoint, queueName }) {
  const kinesis = connect(endpoint);
  const StreamName = await create(kinesis, queueName);
  const Records = [...Array(10).keys()].map((number) => ({
    PartitionKey: "k",
    Data: new Uint8Array(MIB - 1).fill(number),
  }));
  const put = await kinesis.send(new PutRecordsCommand({ StreamName, Records }));
  const { records, pages } = await read(kinesis, StreamName, FIRST_SHARD, 10);
  const more = [...Records, { PartitionKey: "k", Data: new Uint8Array(1) }];
  const refused = await refusal(
    kinesis.send(new PutRecordsCommand({ StreamName, Records: more })),
    InvalidArgumentException,
  );
  kinesis.destroy();
  return {
    failed: put.FailedRecordCount,
    pages,
    isSame: records.every(({ Data }, n) => Buffer.compare(Data, Records[n].Data) === 0),
    numbers: records.map(({ SequenceNumber }) => SequenceNumber),
    put: put.Records.map(({ SequenceNumber }) => SequenceNumber),
    refused,
  };
}

async function manyAtOnce(requestHandler, { endpoint, queueName }) {
  const kinesis = connect(endpoint, requestHandler);
  const StreamName = await create(kinesis, queueName, 2);
  const numbers = [...Array(100).keys()];
  const puts = await Promise.all(
    numbers.map((number) => {
      const record = { StreamName, PartitionKey: `${number}`, Data: bytes(`${number}`) };
      return kinesis.send(new PutRecordCommand(record));
    }),
  );
  const kept = sessions(kinesis);
  const found = [];
  for (const shard of [FIRST_SHARD, SECOND_SHARD]) {
    const expected = puts.filter(({ ShardId }) => ShardId === shard).length;
    const { records } = await read(kinesis, StreamName, shard, expected);
    found.push(...records.map((record) => [shard, text(record), record.SequenceNumber]));
  }
  kinesis.destroy();
  const put = puts.map(({ ShardId, SequenceNumber }, n) => [ShardId, `${n}`, SequenceNumber]);
  return { put, found, kept };
}

/** Of the requests on one connection, one third is taken back at once and one third when the first
 * answer is there; the others are served.
 */
async function takenBack({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const aborts = [...Array(60)].map(() => new AbortController());
  const takeBack = (third) =>
    aborts.filter((_, number) => number % 3 === third).forEach((abort) => abort.abort());
  const calls = aborts.map(({ signal: abortSignal }, number) => {
    const record = { StreamName, PartitionKey: "k", Data: bytes(`${number}`) };
    return kinesis.send(new PutRecordCommand(record), { abortSignal });
  });
  setImmediate(() => takeBack(1));
  calls[0].then(() => takeBack(2));
  const settled = await Promise.allSettled(calls);
  const record = { StreamName, PartitionKey: "k", Data: bytes("after") };
  const after = await kinesis.send(new PutRecordCommand(record));
  const { records } = await read(kinesis, StreamName, FIRST_SHARD, 21);
  const kept = sessions(kinesis);
  kinesis.destroy();
  return {
    served: settled.map(({ status }) => status === "fulfilled"),
    failures: settled.filter(({ reason }) => reason).map(({ reason }) => reason.name),
    after: after.ShardId,
    read: records.map(text),
    kept,
  };
}

// --- errors --------------------------------------------------------------------------------------

async function errors({ endpoint, queueName }) {
  const kinesis = connect(endpoint, SHARED);
  const StreamName = await create(kinesis, queueName);
  const missing = { StreamName: "there-is-no-such-stream" };
  const send = (command, errorClass) => refusal(kinesis.send(command), errorClass);
  const record = { PartitionKey: "k", Data: bytes("x") };
  const put = new PutRecordCommand({ ...missing, ...record });
  const name = { StreamName: "a b", ShardCount: 1 };
  const again = { StreamName, ShardCount: 1 };
  const token = { ShardIterator: "AAAA" };
  const shard = { ShardToSplit: "shardId-000000000009", NewStartingHashKey: "1" };
  const count = { StreamName, TargetShardCount: 3, ScalingType: "UNIFORM_SCALING" };
  const many = { StreamName, Records: Array(501).fill(record) };
  const seen = {
    missing: await send(put, ResourceNotFoundException),
    anyOfTheService: await send(new DescribeStreamCommand(missing), KinesisServiceException),
    exists: await send(new CreateStreamCommand(again), ResourceInUseException),
    name: await send(new CreateStreamCommand(name), ValidationException),
    iterator: await send(new GetRecordsCommand(token), InvalidArgumentException),
    shard: await send(new SplitShardCommand({ StreamName, ...shard }), ResourceNotFoundException),
    doubled: await send(new UpdateShardCountCommand(count), LimitExceededException),
    many: await send(new PutRecordsCommand(many), ValidationException),
    stream: await refusal(
      iterator(kinesis, missing.StreamName, FIRST_SHARD, "LATEST"),
      ResourceNotFoundException,
    ),
  };
  const kept = sessions(kinesis);
  kinesis.destroy();
  return { seen, kept };
}

await play({
  handler,
  streamLife,
  settings,
  tagsAndPolicies,
  account,
  shards,
  consumers,
  positions,
  largest,
  manyOnOneConnection: (world) => manyAtOnce(SHARED, world),
  manyConnections: (world) => manyAtOnce(undefined, world),
  takenBack,
  errors,
});
