// Node.js' own HTTP/2 client: `node http2.mjs SCENARIO ENDPOINT QUEUE_NAME [CERTIFICATE]` prints
// what it saw as one line of JSON. The assertions are in Python.

import { readFileSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";

const [scenario, endpoint, queueName, certificate] = process.argv.slice(2);
const options = certificate ? { ca: readFileSync(certificate) } : {};

const headers = {
  "content-type": "application/x-amz-json-1.0",
  authorization:
    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20231114/us-east-1/sqs/aws4_request, " +
    "SignedHeaders=host;x-amz-date;x-amz-target, Signature=00",
};

/** Sends a request; `answer` resolves with the parsed answer, or rejects with the stream's error. */
function begin(session, operation, members) {
  const stream = session.request({
    ":method": "POST",
    ":path": "/",
    ...headers,
    "x-amz-target": `AmazonSQS.${operation}`,
  });
  stream.end(JSON.stringify(members));
  const answer = new Promise((resolve, reject) => {
    let status;
    const parts = [];
    stream.on("response", (fields) => (status = fields[":status"]));
    stream.on("data", (part) => parts.push(part));
    stream.on("end", () => {
      const text = Buffer.concat(parts).toString();
      resolve({ status, ...(text ? JSON.parse(text) : {}) });
    });
    stream.on("error", reject);
  });
  return { stream, answer };
}

const call = (session, operation, members) => begin(session, operation, members).answer;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const scenarios = {
  /** Many requests at once on one connection, among them a long poll that is woken. */
  async concurrent(session) {
    const { QueueUrl } = await call(session, "CreateQueue", { QueueName: queueName });
    const polls = Array.from({ length: 5 }, () =>
      call(session, "ReceiveMessage", { QueueUrl, WaitTimeSeconds: 20 }),
    );
    const sends = Array.from({ length: 40 }, (_, number) =>
      call(session, "SendMessage", { QueueUrl, MessageBody: `body ${number}` }),
    );
    const sent = await Promise.all(sends);
    const received = await Promise.all(polls);
    return {
      QueueUrl,
      protocol: session.alpnProtocol,
      statuses: [...new Set(sent.map((answer) => answer.status))],
      ids: new Set(sent.map((answer) => answer.MessageId)).size,
      polled: received.map((answer) => answer.Messages?.length),
      refused: await call(session, "GetQueueUrl", { QueueName: "not-there" }),
    };
  },

  /** Bodies and answers that need many windows. */
  async large(session) {
    const { QueueUrl } = await call(session, "CreateQueue", { QueueName: queueName });
    const Entries = Array.from({ length: 10 }, (_, number) => ({
      Id: `${number}`,
      MessageBody: `${number}`.repeat(100_000),
    }));
    const sent = await call(session, "SendMessageBatch", { QueueUrl, Entries });
    const received = await call(session, "ReceiveMessage", { QueueUrl, MaxNumberOfMessages: 10 });
    return {
      sent: sent.Successful.length,
      received: received.Messages.map(({ Body }) => [Body[0], Body.length]),
    };
  },

  /** A long poll that is taken back must not take the message that comes after it. */
  async abortedPoll(session) {
    const { QueueUrl } = await call(session, "CreateQueue", { QueueName: queueName });
    const poll = begin(session, "ReceiveMessage", { QueueUrl, WaitTimeSeconds: 20 });
    poll.answer.catch(() => {});
    await pause(300);
    poll.stream.close(http2.constants.NGHTTP2_CANCEL);
    // The reset goes before the next request on the same connection.
    await call(session, "SendMessage", { QueueUrl, MessageBody: "for somebody else" });
    const received = await call(session, "ReceiveMessage", { QueueUrl, WaitTimeSeconds: 1 });
    return { bodies: received.Messages.map(({ Body }) => Body) };
  },

  /** A session that is closed in order lets its requests end. */
  async closedInOrder(session) {
    const { QueueUrl } = await call(session, "CreateQueue", { QueueName: queueName });
    const poll = call(session, "ReceiveMessage", { QueueUrl, WaitTimeSeconds: 2 });
    await pause(100);
    const closed = new Promise((resolve) => session.close(resolve));
    const answer = await poll;
    await closed;
    return { status: answer.status, isDestroyed: session.destroyed };
  },

  async ping(session) {
    const milliseconds = await new Promise((resolve, reject) =>
      session.ping((error, duration) => (error ? reject(error) : resolve(duration))),
    );
    return { isAnswered: milliseconds >= 0 };
  },

  /** Prints a line when the long poll waits, so that the test can stop the daemon. */
  async drained(session) {
    const { QueueUrl } = await call(session, "CreateQueue", { QueueName: queueName });
    const goaways = [];
    session.on("goaway", (code) => goaways.push(code));
    const closed = new Promise((resolve) => session.on("close", resolve));
    const poll = call(session, "ReceiveMessage", { QueueUrl, WaitTimeSeconds: 20 });
    await pause(300);
    console.log("waiting");
    const answer = await poll;
    await closed;
    return { status: answer.status, goaways };
  },

  /** The same port serves a client of HTTP/1.1 over TLS. */
  async oldClient() {
    const url = new URL(endpoint);
    return new Promise((resolve, reject) => {
      const request = https.get(
        { ...options, host: url.hostname, port: url.port, path: "/health/live", agent: false },
        (answer) => {
          answer.resume();
          answer.on("end", () => resolve({ status: answer.statusCode, version: answer.httpVersion }));
        },
      );
      request.on("error", reject);
    });
  },
};

const session = http2.connect(endpoint, options);
session.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
await new Promise((resolve) => session.once("connect", resolve));
const seen = await scenarios[scenario](session);
console.log(JSON.stringify(seen));
if (!session.destroyed) session.close();
