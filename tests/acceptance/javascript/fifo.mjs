// FIFO queues through the SDK: order in a group, sequence numbers, deduplication.

import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSServiceException,
} from "@aws-sdk/client-sqs";

import { play, refusal } from "./scenario.mjs";

async function create(sqs, queueName, attributes = {}) {
  const Attributes = { FifoQueue: "true", ...attributes };
  const request = { QueueName: `${queueName}.fifo`, Attributes };
  return (await sqs.send(new CreateQueueCommand(request))).QueueUrl;
}

function send(sqs, QueueUrl, MessageGroupId, MessageDeduplicationId, MessageBody) {
  return sqs.send(
    new SendMessageCommand({ QueueUrl, MessageBody, MessageGroupId, MessageDeduplicationId }),
  );
}

async function receive(sqs, QueueUrl, MaxNumberOfMessages = 10) {
  const MessageSystemAttributeNames = ["All"];
  const request = { QueueUrl, MaxNumberOfMessages, MessageSystemAttributeNames };
  return (await sqs.send(new ReceiveMessageCommand(request))).Messages ?? [];
}

async function order({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const sent = [];
  for (const [group, body] of ["a1", "b1", "a2", "b2", "a3"].entries()) {
    sent.push(await send(sqs, QueueUrl, body[0], `id-${group}`, body));
  }
  const [first] = await receive(sqs, QueueUrl, 1);
  const behindTheFirst = await receive(sqs, QueueUrl);
  const blocked = await receive(sqs, QueueUrl);
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: first.ReceiptHandle }));
  const afterTheDelete = await receive(sqs, QueueUrl);
  return { sent, first, behindTheFirst, blocked, afterTheDelete };
}

async function deduplication({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const first = await send(sqs, QueueUrl, "g", "same", "first");
  const repeated = await send(sqs, QueueUrl, "g", "same", "again");
  const received = await receive(sqs, QueueUrl);
  const [{ ReceiptHandle }] = received;
  await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
  const afterTheDelete = await send(sqs, QueueUrl, "g", "same", "and again");
  return { first, repeated, received, afterTheDelete, left: await receive(sqs, QueueUrl) };
}

async function contentDeduplication({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName, { ContentBasedDeduplication: "true" });
  const first = await send(sqs, QueueUrl, "g", undefined, "body");
  const repeated = await send(sqs, QueueUrl, "g", undefined, "body");
  const other = await send(sqs, QueueUrl, "g", undefined, "other body");
  return { first, repeated, other, received: await receive(sqs, QueueUrl) };
}

async function batch({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const Entries = [...Array(10).keys()].map((number) => ({
    Id: `${number}`,
    MessageBody: `${number}`,
    MessageGroupId: "g",
    MessageDeduplicationId: `id-${number}`,
  }));
  const sent = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  const repeated = await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  const without = { Id: "without", MessageBody: "a", MessageDeduplicationId: "id-without" };
  const request = { QueueUrl, Entries: [{ ...without, Id: "with", MessageGroupId: "h" }, without] };
  const noGroup = await refusal(
    sqs.send(new SendMessageBatchCommand(request)),
    SQSServiceException,
  );
  return { sent, repeated, noGroup, received: await receive(sqs, QueueUrl) };
}

async function errors({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const AttributeNames = ["FifoQueue", "ContentBasedDeduplication"];
  const shown = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
  const request = { QueueName: queueName, Attributes: { FifoQueue: "true" } };
  return {
    attributes: shown.Attributes,
    noGroup: await refusal(send(sqs, QueueUrl, undefined, "id", "a"), SQSServiceException),
    noId: await refusal(send(sqs, QueueUrl, "g", undefined, "a"), SQSServiceException),
    noSuffix: await refusal(sqs.send(new CreateQueueCommand(request)), SQSServiceException),
  };
}

await play({ order, deduplication, contentDeduplication, batch, errors });
