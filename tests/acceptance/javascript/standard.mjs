// Standard queues through the SDK. It compares the MD5 of every body that it sends and receives.

import {
  BatchEntryIdsNotDistinct,
  ChangeMessageVisibilityBatchCommand,
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteMessageCommand,
  DeleteQueueCommand,
  EmptyBatchRequest,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  InvalidAttributeName,
  InvalidMessageContents,
  ListQueueTagsCommand,
  ListQueuesCommand,
  paginateListDeadLetterSourceQueues,
  paginateListQueues,
  PurgeQueueCommand,
  QueueDoesNotExist,
  QueueNameExists,
  ReceiptHandleIsInvalid,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSServiceException,
  TagQueueCommand,
  TooManyEntriesInBatchRequest,
  UntagQueueCommand,
} from "@aws-sdk/client-sqs";

import { connect, play, refusal } from "./scenario.mjs";

async function create(sqs, QueueName, Attributes = undefined) {
  return (await sqs.send(new CreateQueueCommand({ QueueName, Attributes }))).QueueUrl;
}

async function attributes(sqs, QueueUrl, ...AttributeNames) {
  return (await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }))).Attributes;
}

async function receive(sqs, QueueUrl, options = {}) {
  return (await sqs.send(new ReceiveMessageCommand({ QueueUrl, ...options }))).Messages ?? [];
}

async function queueLife({ sqs, queueName }) {
  const created = await sqs.send(
    new CreateQueueCommand({
      QueueName: queueName,
      Attributes: { VisibilityTimeout: "45", DelaySeconds: "0" },
      tags: { team: "a" },
    }),
  );
  const QueueUrl = created.QueueUrl;
  const found = await sqs.send(new GetQueueUrlCommand({ QueueName: queueName }));
  const listed = await sqs.send(new ListQueuesCommand({ QueueNamePrefix: queueName }));
  const before = await attributes(sqs, QueueUrl, "All");
  const changes = { VisibilityTimeout: "46" };
  await sqs.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: changes }));
  const after = await attributes(sqs, QueueUrl, "VisibilityTimeout", "QueueArn");
  await sqs.send(new TagQueueCommand({ QueueUrl, Tags: { cost: "b", team: "c" } }));
  await sqs.send(new UntagQueueCommand({ QueueUrl, TagKeys: ["cost"] }));
  const { Tags } = await sqs.send(new ListQueueTagsCommand({ QueueUrl }));
  await sqs.send(new DeleteQueueCommand({ QueueUrl }));
  const gone = await refusal(attributes(sqs, QueueUrl, "All"), QueueDoesNotExist);
  return { QueueUrl, found: found.QueueUrl, listed: listed.QueueUrls, before, after, Tags, gone };
}

async function pages({ sqs, queueName }) {
  const dead = await create(sqs, `${queueName}-dead`);
  const { QueueArn } = await attributes(sqs, dead, "QueueArn");
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: QueueArn, maxReceiveCount: 3 });
  const sources = [];
  for (const number of [1, 2, 3]) {
    sources.push(await create(sqs, `${queueName}-source-${number}`, { RedrivePolicy }));
  }
  const all = { client: sqs, pageSize: 2 };
  const seen = { dead, sources, queues: [], deadLetterSources: [] };
  for await (const page of paginateListQueues(all, { QueueNamePrefix: queueName })) {
    seen.queues.push(page.QueueUrls);
  }
  for await (const page of paginateListDeadLetterSourceQueues(all, { QueueUrl: dead })) {
    seen.deadLetterSources.push(page.queueUrls);
  }
  return seen;
}

async function messageAttributes({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const sent = await sqs.send(
    new SendMessageCommand({
      QueueUrl,
      MessageBody: "body é€😀\ttab\nline",
      MessageAttributes: {
        text: { DataType: "String", StringValue: "é€😀" },
        "text.labelled": { DataType: "String.json", StringValue: "{}" },
        number: { DataType: "Number", StringValue: "-1.50" },
        "number.labelled": { DataType: "Number.int", StringValue: "7" },
        binary: { DataType: "Binary", BinaryValue: Uint8Array.of(0, 127, 255) },
        "binary.labelled": { DataType: "Binary.gif", BinaryValue: Uint8Array.of(71, 73, 70) },
      },
      MessageSystemAttributes: {
        AWSTraceHeader: {
          DataType: "String",
          StringValue: "Root=1-5759e988-bd862e3fe1be46a994272793",
        },
      },
    }),
  );
  const [received] = await receive(sqs, QueueUrl, {
    MessageSystemAttributeNames: ["All"],
    MessageAttributeNames: ["All"],
    VisibilityTimeout: 0,
  });
  const [labelled] = await receive(sqs, QueueUrl, {
    MessageSystemAttributeNames: ["SentTimestamp"],
    MessageAttributeNames: ["text.*", "number"],
    VisibilityTimeout: 0,
  });
  const [bare] = await receive(sqs, QueueUrl);
  return { sent, received, labelled, bare };
}

async function batches({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const Entries = [...Array(10).keys()].map((number) => ({
    Id: `id-${number}`,
    MessageBody: number === 9 ? "not a character: \u0001" : `body ${number}`,
    MessageAttributes: { number: { DataType: "Number", StringValue: `${number}` } },
  }));
  const sent = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  const messages = [];
  while (messages.length < sent.Successful.length) {
    const options = { MaxNumberOfMessages: 10, MessageAttributeNames: ["All"], WaitTimeSeconds: 5 };
    messages.push(...(await receive(sqs, QueueUrl, options)));
  }
  const handles = messages.map(({ ReceiptHandle }, index) => ({ Id: `${index}`, ReceiptHandle }));
  const wrong = { Id: "wrong", ReceiptHandle: "not-a-handle" };
  const changed = await sqs.send(
    new ChangeMessageVisibilityBatchCommand({
      QueueUrl,
      Entries: [...handles, wrong].map((entry) => ({ ...entry, VisibilityTimeout: 600 })),
    }),
  );
  const deleted = await sqs.send(
    new DeleteMessageBatchCommand({ QueueUrl, Entries: [...handles, wrong] }),
  );
  return { sent, messages, changed, deleted, left: await attributes(sqs, QueueUrl, "All") };
}

async function visibility({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "a" }));
  const counted = { MessageSystemAttributeNames: ["ApproximateReceiveCount"] };
  const [first] = await receive(sqs, QueueUrl, counted);
  const hidden = await receive(sqs, QueueUrl);
  await sqs.send(
    new ChangeMessageVisibilityCommand({
      QueueUrl,
      ReceiptHandle: first.ReceiptHandle,
      VisibilityTimeout: 0,
    }),
  );
  const [second] = await receive(sqs, QueueUrl, counted);
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: second.ReceiptHandle }));
  return { first, hidden, second, left: await attributes(sqs, QueueUrl, "All") };
}

async function longPoll({ sqs, endpoint, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const empty = await receive(sqs, QueueUrl, { WaitTimeSeconds: 1 });
  const polling = receive(sqs, QueueUrl, { WaitTimeSeconds: 20 });
  let isOver = false;
  const over = polling.finally(() => (isOver = true));
  const sender = connect(endpoint);
  // A call and its answer on another connection: the poll was sent before them.
  await attributes(sender, QueueUrl, "QueueArn");
  const wasWaiting = !isOver;
  await sender.send(new SendMessageCommand({ QueueUrl, MessageBody: "wake" }));
  await over;
  sender.destroy();
  return { empty, wasWaiting, woken: await polling };
}

async function purge({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "in flight" }));
  await receive(sqs, QueueUrl);
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "visible" }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "delayed", DelaySeconds: 900 }));
  const before = await attributes(sqs, QueueUrl, "All");
  await sqs.send(new PurgeQueueCommand({ QueueUrl }));
  return { before, after: await attributes(sqs, QueueUrl, "All") };
}

async function errors({ sqs, endpoint, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const missing = { QueueUrl: `${QueueUrl}-missing` };
  const entry = { Id: "a", MessageBody: "a" };
  const batch = (Entries) => sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  const many = [...Array(11).keys()].map((number) => ({ Id: `${number}`, MessageBody: "a" }));
  const other = { VisibilityTimeout: "31" };
  const text = { QueueUrl, MessageBody: "\u0000" };
  const handle = { QueueUrl, ReceiptHandle: "not-a-handle" };
  const unknown = { QueueName: `${queueName}-missing` };
  return {
    send: await refusal(
      sqs.send(new SendMessageCommand({ ...missing, MessageBody: "a" })),
      QueueDoesNotExist,
    ),
    url: await refusal(sqs.send(new GetQueueUrlCommand(unknown)), QueueDoesNotExist),
    anyOfTheService: await refusal(sqs.send(new GetQueueUrlCommand(unknown)), SQSServiceException),
    exists: await refusal(create(sqs, queueName, other), QueueNameExists),
    attribute: await refusal(attributes(sqs, QueueUrl, "Nonsense"), InvalidAttributeName),
    contents: await refusal(sqs.send(new SendMessageCommand(text)), InvalidMessageContents),
    handle: await refusal(sqs.send(new DeleteMessageCommand(handle)), ReceiptHandleIsInvalid),
    emptyBatch: await refusal(batch([]), EmptyBatchRequest),
    sameIds: await refusal(batch([entry, entry]), BatchEntryIdsNotDistinct),
    tooMany: await refusal(batch(many), TooManyEntriesInBatchRequest),
  };
}

await play({
  queueLife,
  pages,
  messageAttributes,
  batches,
  visibility,
  longPoll,
  purge,
  errors,
});
