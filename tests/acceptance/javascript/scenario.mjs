// The way in from pytest: `node FILE.mjs SCENARIO ENDPOINT QUEUE_NAME` runs one scenario and prints
// what it saw as one line of JSON (bytes as base64). The assertions are in Python. An error that
// the scenario does not expect ends the process with status 1 and a stack.

import { SQSClient } from "@aws-sdk/client-sqs";

/** A client as a user of the daemon makes it. An error is shown at once, not tried again. */
export function connect(endpoint) {
  return new SQSClient({
    endpoint,
    region: "us-east-1",
    credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" },
    maxAttempts: 1,
  });
}

/** Runs the scenario that the command line names. */
export async function play(scenarios) {
  const [name, endpoint, queueName] = process.argv.slice(2);
  const sqs = connect(endpoint);
  const seen = await scenarios[name]({ sqs, endpoint, queueName });
  console.log(JSON.stringify(seen, bytesAsBase64));
  sqs.destroy();
}

function bytesAsBase64(key, value) {
  const raw = this[key];
  return raw instanceof Uint8Array ? Buffer.from(raw).toString("base64") : value;
}

/** What a program can tell of the error that a call ends with, and whether it is of the class. */
export async function refusal(call, errorClass) {
  try {
    await call;
  } catch (error) {
    return {
      isInstance: error instanceof errorClass,
      name: error.name,
      message: error.message,
      fault: error.$fault,
      status: error.$metadata?.httpStatusCode,
    };
  }
  return null;
}
