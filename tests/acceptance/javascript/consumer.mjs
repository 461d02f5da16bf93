// sqs-consumer: batches, a handler that fails, and the end of a consumer. Nothing here waits for a
// time: each scenario goes on when the consumer, or the queue, says that something has happened.

import { once } from "node:events";

import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";

import { play } from "./scenario.mjs";

async function create(sqs, QueueName, Attributes = undefined) {
  return (await sqs.send(new CreateQueueCommand({ QueueName, Attributes }))).QueueUrl;
}

async function counts(sqs, QueueUrl) {
  const AttributeNames = ["All"];
  const shown = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }));
  const { ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible } = shown.Attributes;
  return [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible].map(Number);
}

/** A consumer that ends the process when it meets an error, except for the poll that we abort. */
function consumer(sqs, queueUrl, options) {
  const made = Consumer.create({ sqs, queueUrl, ...options });
  made.on("error", (error) => {
    if (made.status.isRunning) {
      throw error;
    }
  });
  return made;
}

/** The first `number` values that the consumer emits as `event`, when all of them are there. */
function emitted(made, event, number) {
  const values = [];
  return new Promise((resolve) => {
    made.on(event, (value) => {
      values.push(value);
      if (values.length === number) {
        resolve(values);
      }
    });
  });
}

/** Stops a consumer, and returns when it has said so and its last poll is over. */
async function end(made, options) {
  const stopped = once(made, "stopped");
  made.stop(options);
  await stopped;
  while (made.status.isPolling) {
    await new Promise(setImmediate);
  }
}

async function batches({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  for (let batch = 0; batch < 5; batch += 1) {
    const Entries = [...Array(10).keys()].map((number) => ({
      Id: `${number}`,
      MessageBody: `${10 * batch + number}`,
    }));
    await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  }
  const handled = [];
  const made = consumer(sqs, QueueUrl, {
    batchSize: 10,
    waitTimeSeconds: 5,
    handleMessageBatch: async (messages) => {
      handled.push(messages.map(({ Body }) => Body));
    },
  });
  const processed = emitted(made, "message_processed", 50);
  made.start();
  await processed;
  await end(made, { abort: true });
  return { handled, counts: await counts(sqs, QueueUrl) };
}

async function failure(terminateVisibilityTimeout, visibilityTimeout, { sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "a" }));
  const receiveCounts = [];
  const made = consumer(sqs, QueueUrl, {
    terminateVisibilityTimeout,
    visibilityTimeout,
    messageSystemAttributeNames: ["ApproximateReceiveCount"],
    waitTimeSeconds: 20,
    handleMessage: async ({ Attributes }) => {
      receiveCounts.push(Attributes.ApproximateReceiveCount);
      if (receiveCounts.length < 3) {
        throw new Error("not yet");
      }
    },
  });
  const failures = emitted(made, "processing_error", 2);
  const processed = once(made, "message_processed");
  made.start();
  const errors = await failures;
  await processed;
  await end(made, { abort: true });
  const messages = errors.map(({ message }) => message);
  return { receiveCounts, messages, counts: await counts(sqs, QueueUrl) };
}

/** Both clients are made as in production: nothing in the code names the daemon. */
async function environment({ queueName }) {
  const sqs = new SQSClient();
  const QueueUrl = await create(sqs, queueName);
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "a" }));
  const made = Consumer.create({ queueUrl: QueueUrl, handleMessage: async () => {} });
  const processed = emitted(made, "message_processed", 1);
  made.on("error", () => {});
  made.start();
  const bodies = (await processed).map(({ Body }) => Body);
  await end(made, { abort: true });
  return { bodies, counts: await counts(sqs, QueueUrl) };
}

async function stopDrains({ sqs, queueName }) {
  const QueueUrl = await create(sqs, queueName);
  const Entries = ["first", "second"].map((MessageBody) => ({ Id: MessageBody, MessageBody }));
  await sqs.send(new SendMessageBatchCommand({ QueueUrl, Entries }));
  const events = [];
  let release;
  const released = new Promise((resolve) => (release = resolve));
  const made = consumer(sqs, QueueUrl, {
    pollingCompleteWaitTimeMs: 60_000,
    handleMessage: async () => {
      events.push("handling");
      await released;
    },
  });
  for (const event of ["waiting_for_polling_to_complete", "message_processed", "stopped"]) {
    made.once(event, () => events.push(event));
  }
  const received = once(made, "message_received");
  made.start();
  await received;
  const stopped = once(made, "stopped");
  made.stop();
  const during = await counts(sqs, QueueUrl);
  release();
  await stopped;
  return { events, during, after: await counts(sqs, QueueUrl) };
}

async function abortedPoll({ sqs, queueName }) {
  // Should the message reach the poll before the daemon knows of its end, it comes again at once.
  const QueueUrl = await create(sqs, queueName, { VisibilityTimeout: "1" });
  const made = Consumer.create({ sqs, queueUrl: QueueUrl, handleMessage: async () => {} });
  const aborted = once(made, "error");
  made.start();
  // A call and its answer: the consumer's long poll was sent before them.
  await counts(sqs, QueueUrl);
  const { isPolling } = made.status;
  await end(made, { abort: true });
  const [error] = await aborted;
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "for somebody else" }));
  const request = { QueueUrl, WaitTimeSeconds: 20 };
  const { Messages } = await sqs.send(new ReceiveMessageCommand(request));
  return { isPolling, error: error.message, bodies: Messages.map(({ Body }) => Body) };
}

await play({
  batches,
  failureGivenBack: (world) => failure(true, undefined, world),
  failureTimedOut: (world) => failure(false, 1, world),
  environment,
  stopDrains,
  abortedPoll,
});
