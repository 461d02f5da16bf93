// Lambda through the SDK: functions of Node.js, their versions, and mappings, as programs make them.

import { readFileSync } from "node:fs";
import {
  CreateAliasCommand,
  CreateEventSourceMappingCommand,
  CreateFunctionCommand,
  DeleteEventSourceMappingCommand,
  DeleteFunctionCommand,
  GetEventSourceMappingCommand,
  InvokeCommand,
  InvokeWithResponseStreamCommand,
  LambdaClient,
  LambdaServiceException,
  paginateListVersionsByFunction,
  PublishVersionCommand,
  PutFunctionConcurrencyCommand,
  ResourceNotFoundException,
  TooManyRequestsException,
  UpdateFunctionConfigurationCommand,
  waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import {
  CreateQueueCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";

const QUEUES = "arn:aws:sqs:us-east-1:000000000000:";
const SECONDS_MAX = 60;

/** As a user of the daemon makes clients: the address and the credentials are in the environment. */
const lambda = new LambdaClient({ maxAttempts: 1 });
const sqs = new SQSClient({ maxAttempts: 1 });

function text(payload) {
  return new TextDecoder().decode(payload);
}

/** The zip comes from the test, which has one: base64 on standard input. */
async function create(FunctionName, more = {}) {
  const ZipFile = Buffer.from(readFileSync(0, "utf8"), "base64");
  await lambda.send(
    new CreateFunctionCommand({
      FunctionName,
      Runtime: "nodejs22.x",
      Handler: "index.handler",
      Role: "arn:aws:iam::000000000000:role/worker",
      Code: { ZipFile },
      ...more,
    }),
  );
  await waitUntilFunctionActiveV2({ client: lambda, maxWaitTime: SECONDS_MAX }, { FunctionName });
  return FunctionName;
}

async function invoke(FunctionName, event, more = {}) {
  const Payload = JSON.stringify(event);
  const answer = await lambda.send(new InvokeCommand({ FunctionName, Payload, ...more }));
  return {
    status: answer.StatusCode,
    error: answer.FunctionError,
    version: answer.ExecutedVersion,
    log: answer.LogResult && Buffer.from(answer.LogResult, "base64").toString(),
    requestId: answer.$metadata.requestId,
    payload: answer.Payload?.length ? JSON.parse(text(answer.Payload)) : null,
  };
}

const scenarios = {
  async invoked(name) {
    await create(name);
    const answered = await invoke(name, { text: "ü€😀" }, { LogType: "Tail" });
    const failed = await invoke(name, { fail: "no good" });
    const later = await invoke(name, 1, { InvocationType: "Event" });
    const parts = [];
    const streamed = await lambda.send(
      new InvokeWithResponseStreamCommand({ FunctionName: name, Payload: '"in parts"' }),
    );
    let isComplete = false;
    for await (const event of streamed.EventStream) {
      if (event.PayloadChunk) {
        parts.push(text(event.PayloadChunk.Payload));
      }
      isComplete = event.InvokeComplete !== undefined;
    }
    await lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
    return { answered, failed, later, streamed: JSON.parse(parts.join("")), isComplete };
  },

  async versions(name) {
    await create(name);
    await lambda.send(new PublishVersionCommand({ FunctionName: name }));
    await lambda.send(new UpdateFunctionConfigurationCommand({ FunctionName: name, Timeout: 7 }));
    await waitUntilFunctionUpdatedV2(
      { client: lambda, maxWaitTime: SECONDS_MAX },
      { FunctionName: name },
    );
    await lambda.send(new PublishVersionCommand({ FunctionName: name }));
    const alias = { FunctionName: name, Name: "live", FunctionVersion: "1" };
    await lambda.send(new CreateAliasCommand(alias));
    const invoked = await invoke(`${name}:live`, 1);
    const listed = [];
    const pages = paginateListVersionsByFunction({ client: lambda, pageSize: 1 }, {
      FunctionName: name,
    });
    for await (const page of pages) {
      listed.push(...page.Versions.map(({ Version, Timeout }) => [Version, Timeout]));
    }
    await lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
    return { invoked, listed };
  },

  async mapped(name) {
    const attributes = { Attributes: { VisibilityTimeout: "3" } };
    const made = await sqs.send(new CreateQueueCommand({ QueueName: name, ...attributes }));
    const results = await sqs.send(new CreateQueueCommand({ QueueName: `${name}-results` }));
    const Variables = { RESULTS: results.QueueUrl };
    await create(name, { Timeout: 3, Environment: { Variables } });
    const { UUID } = await lambda.send(
      new CreateEventSourceMappingCommand({
        FunctionName: name,
        EventSourceArn: QUEUES + name,
        BatchSize: 10,
        FunctionResponseTypes: ["ReportBatchItemFailures"],
      }),
    );
    let state;
    while (state !== "Enabled") {
      state = (await lambda.send(new GetEventSourceMappingCommand({ UUID }))).State;
    }
    const bodies = ["one", "fail two", "three"];
    const Entries = bodies.map((MessageBody, n) => ({ Id: `${n}`, MessageBody }));
    await sqs.send(new SendMessageBatchCommand({ QueueUrl: made.QueueUrl, Entries }));
    const received = [];
    while (received.length < 4) {
      const QueueUrl = results.QueueUrl;
      const answer = await sqs.send(
        new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 10 }),
      );
      received.push(...(answer.Messages ?? []).map(({ Body }) => Body));
    }
    await lambda.send(new DeleteEventSourceMappingCommand({ UUID }));
    await lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
    return { received };
  },

  async errors(name) {
    await create(name);
    const seen = {};
    const tried = {
      unknown: [new InvokeCommand({ FunctionName: "not-there" }), ResourceNotFoundException],
      unreadable: [
        new InvokeCommand({ FunctionName: name, Payload: "{no json" }),
        LambdaServiceException,
      ],
    };
    for (const [what, [command, Class]] of Object.entries(tried)) {
      const error = await lambda.send(command).then(() => null, (error) => error);
      seen[what] = [error instanceof Class, error.name, error.$metadata.httpStatusCode];
    }
    const none = { FunctionName: name, ReservedConcurrentExecutions: 0 };
    await lambda.send(new PutFunctionConcurrencyCommand(none));
    const error = await invoke(name, 1).then(() => null, (error) => error);
    seen.throttled = [error instanceof TooManyRequestsException, error.Reason];
    await lambda.send(new DeleteFunctionCommand({ FunctionName: name }));
    return seen;
  },
};

const [, , scenario, , name] = process.argv;
console.log(JSON.stringify(await scenarios[scenario](name)));
