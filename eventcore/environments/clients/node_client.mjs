// The runtime client of Node.js functions: asks the Runtime API for events, calls the handler.
//
// Run by file, in a process of its own. Rules of this file:
//
// - Node's own modules only. What a handler sees is as on AWS: `context`, `callback`, the console's
//   log format, shapes and texts of errors (with `trace` instead of Python's `stackTrace`).
// - The handler is found as AWS finds it: "path/file.export", or "path/file.outer.inner"; the file
//   ends in .js, .mjs, .cjs or nothing, and is CommonJS or a module.
// - A handler that returns a promise is answered with what it resolves to. One that uses
//   `callback` or `context.done` is answered when the event loop is empty, or at once where
//   `context.callbackWaitsForEmptyEventLoop` is false. One that does neither is answered with null
//   when the event loop is empty. `context.succeed` and `context.fail` answer at once.
// - What nobody catches ends the process, after it was posted. When the Runtime API is gone, so is
//   the process.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { format } from 'node:util';
import { pathToFileURL } from 'node:url';

const API = '/2018-06-01/runtime/';
const EXTENSIONS = ['', '.js', '.mjs', '.cjs'];
const variables = process.env;
const [host, port] = variables.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

let requestId = '';
// How the running invocation fails when nobody catches an error; null between invocations.
let failRunning = null;

class Fault extends Error {
  constructor(type, message, cause) {
    super(message);
    this.name = type;
    const frames = (cause ?? this).stack.split('\n').slice(1);
    this.stack = [`${type}: ${message}`, ...frames].join('\n');
  }
}

function call(method, target, body, headers = {}) {
  return new Promise((resolve, reject) => {
    const request = http.request(
      { host, port, method, path: API + target, agent, headers },
      (response) => {
        const parts = [];
        response.on('data', (part) => parts.push(part));
        const whole = () => ({ headers: response.headers, body: Buffer.concat(parts) });
        response.on('end', () => resolve(whole()));
        response.on('error', reject);
      },
    );
    request.setNoDelay(true);
    request.on('error', reject);
    request.end(body);
  });
}

function post(target, text, headers = {}) {
  const body = Buffer.from(text);
  return call('POST', target, body, {
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    ...headers,
  });
}

function errorDocument(error) {
  if (error instanceof Error) {
    const lines = (error.stack ?? '').split('\n');
    const trace = lines.filter((line) => !line.includes(import.meta.url));
    return { errorType: error.name, errorMessage: error.message, trace };
  }
  return { errorType: typeof error, errorMessage: format(error), trace: [] };
}

async function postError(target, error) {
  const document = errorDocument(error);
  const kind = target === 'init/error' ? 'Init' : 'Invoke';
  writeEvent('ERROR', `${kind} Error \t${JSON.stringify(document)}`);
  // A header holds ASCII only.
  const type = document.errorType.replace(/[^\x20-\x7e]/g, '?');
  await post(target, JSON.stringify(document), { 'Lambda-Runtime-Function-Error-Type': type });
}

// One event of the log is one line; line breaks inside are carriage returns, as on AWS.
function writeEvent(level, text) {
  const line = `${new Date().toISOString()}\t${requestId || 'undefined'}\t${level}\t${text}`;
  fs.writeSync(1, `${line.replace(/\n/g, '\r')}\n`);
}

function setUpConsole() {
  const levels = { log: 'INFO', info: 'INFO', debug: 'DEBUG', warn: 'WARN', error: 'ERROR' };
  levels.trace = 'TRACE';
  for (const [name, level] of Object.entries(levels)) {
    console[name] = (...values) => writeEvent(level, format(...values));
  }
}

function fileOf(base) {
  for (const extension of EXTENSIONS) {
    const file = base + extension;
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile()) return file;
  }
  const text = `Error: Cannot find module '${path.basename(base)}'`;
  throw new Fault('Runtime.ImportModuleError', text);
}

async function loadHandler(name) {
  if (name.includes('..')) {
    const advice = 'Use absolute paths when specifying root directories in handler names.';
    const text = `'${name}' is not a valid handler name. ${advice}`;
    throw new Fault('Runtime.MalformedHandlerName', text);
  }
  const folder = path.dirname(name);
  const [moduleName, ...exported] = path.basename(name).split('.');
  if (!moduleName || exported.length === 0) {
    throw new Fault('Runtime.MalformedHandlerName', 'Bad handler');
  }
  const file = fileOf(path.resolve(variables.LAMBDA_TASK_ROOT, folder, moduleName));
  let loaded;
  try {
    loaded = await import(pathToFileURL(file).href);
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new Fault('Runtime.UserCodeSyntaxError', `SyntaxError: ${error.message}`, error);
    }
    if (['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND'].includes(error?.code)) {
      throw new Fault('Runtime.ImportModuleError', `Error: ${error.message}`, error);
    }
    throw error;
  }
  const find = (root) => exported.reduce((outer, inner) => outer?.[inner], root);
  // What a CommonJS file exports is its default export.
  const handler = find(loaded) ?? find(loaded.default);
  if (handler === undefined || handler === null) {
    throw new Fault('Runtime.HandlerNotFound', `${name} is undefined or not exported`);
  }
  if (typeof handler !== 'function') {
    throw new Fault('Runtime.HandlerNotFound', `${name} is not a function`);
  }
  return handler;
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const read = (name) => (headers[name] ? JSON.parse(headers[name]) : undefined);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionName: variables.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: variables.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: variables.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: variables.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: variables.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: read('lambda-runtime-client-context'),
    identity: read('lambda-runtime-cognito-identity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
  };
}

// Settles once, with the handler's result. Errors that nobody catches settle it, too.
function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    const settle = (finish) => {
      if (isSettled) return;
      isSettled = true;
      failRunning = null;
      process.off('beforeExit', whenEmpty);
      finish();
    };
    let latest = () => resolve(null);
    const whenEmpty = () => settle(latest);
    const callback = (error, result) => {
      latest = error ? () => reject(error) : () => resolve(result);
      if (!context.callbackWaitsForEmptyEventLoop) settle(latest);
    };
    context.done = callback;
    context.succeed = (result) => settle(() => resolve(result));
    context.fail = (error) => settle(() => reject(error ?? new Error('handled')));
    failRunning = (error) => settle(() => reject(error));
    process.on('beforeExit', whenEmpty);
    const returned = handler(event, context, callback);
    if (typeof returned?.then === 'function') {
      returned.then(
        (result) => settle(() => resolve(result)),
        (error) => settle(() => reject(error)),
      );
    }
  });
}

function toJson(result) {
  try {
    return JSON.stringify(result === undefined ? null : result) ?? 'null';
  } catch (error) {
    const text = `Unable to stringify response body: ${error.message}`;
    throw new Fault('Runtime.MarshalError', text, error);
  }
}

async function serve(handler) {
  const { headers, body } = await call('GET', 'invocation/next');
  requestId = headers['lambda-runtime-aws-request-id'];
  const trace = headers['lambda-runtime-trace-id'];
  if (trace) variables._X_AMZN_TRACE_ID = trace;
  else delete variables._X_AMZN_TRACE_ID;
  const target = `invocation/${requestId}/`;
  let answer;
  try {
    let event;
    try {
      event = JSON.parse(body.toString());
    } catch (error) {
      throw new Fault('Runtime.UnmarshalError', `Unable to unmarshal input: ${error.message}`);
    }
    answer = toJson(await run(handler, event, contextOf(headers)));
  } catch (error) {
    await postError(`${target}error`, error);
    if (error?.isFatal) process.exit(error.exitCode);
    return;
  }
  await post(`${target}response`, answer);
}

// An error that nobody caught: the running invocation fails with it, then the process ends.
function endWith(type, exitCode, error) {
  const fault = new Fault(type, error?.stack?.split('\n')[0] ?? format(error), error);
  Object.assign(fault, { isFatal: true, exitCode });
  if (failRunning) failRunning(fault);
  else {
    writeEvent('ERROR', `${type}\t${JSON.stringify(errorDocument(fault))}`);
    process.exit(exitCode);
  }
}

async function main() {
  setUpConsole();
  process.on('unhandledRejection', (error) => {
    endWith('Runtime.UnhandledPromiseRejection', 128, error);
  });
  process.on('uncaughtException', (error) => {
    if (!failRunning) endWith('Runtime.UncaughtException', 129, error);
    else {
      const fault = error instanceof Error ? error : new Error(format(error));
      failRunning(Object.assign(fault, { isFatal: true, exitCode: 129 }));
    }
  });
  let handler;
  try {
    handler = await loadHandler(variables._HANDLER);
  } catch (error) {
    await postError('init/error', error);
    process.exit(1);
  }
  try {
    for (;;) await serve(handler);
  } catch {
    process.exit(1); // the Runtime API is gone
  }
}

main().catch(() => process.exit(1));
