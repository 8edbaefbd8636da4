// A server for a test: one Sealcast process on a port of its own, or several (see cluster.js); ended with the test.

import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { NODES, serveCluster } from './cluster.js';
import { within } from './event.js';
import { BINARY, logFile, noteMetrics, noteSent, noteTold } from './evidence.js';
import { TICKETS } from './transport.js';

const READY_MS = 20_000;
const EXIT_MS = 20_000;

export const SECRET = 'a canary secret of the tests, 32 bytes or more';
export const API_KEY = 'canary-api-key-of-the-tests-0123456789abcdef';

/** A configuration in which clients may use every channel without a namespace; `news` is read-only, `closed` is shut. */
export function config(client = {}) {
  return {
    http_server: { address: '127.0.0.1', port: 0 },
    metrics: { port: 0 },
    client: { allowed_origins: [], token: { hmac_secret_key: SECRET }, user_connection_limit: 0, ...client },
    http_api: { key: API_KEY },
    // Tests send faster than people, and all from one address.
    limits: { profile: 'none', ip_connections: 10_000 },
    sse: { enabled: true },
    http_stream: { enabled: true },
    // By itself the official SDK puts its connect command into the query, and its token with it.
    compat: { sse_token_in_url: !TICKETS },
    channel: {
      without_namespace: { allow_subscribe_for_client: true, allow_publish_for_client: true },
      namespaces: [{ name: 'news', allow_subscribe_for_client: true }, { name: 'closed' }],
    },
    shutdown: { lb_wait: '100ms', spread: '100ms', deadline: '5s' },
  };
}

/** Starts with a configuration. What it started is killed when the test `t` ends. */
export function serve(t, configuration = config(), port = 0) {
  if (NODES > 1) return serveCluster(t, configuration, (one) => serveOne(t, one, 0), port);
  return serveOne(t, configuration, port);
}

async function serveOne(t, configuration, port) {
  const directory = await mkdtemp(join(tmpdir(), 'sealcast-test-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'config.json');
  await writeFile(file, JSON.stringify(configuration));
  return start(t, ['serve', '--config', file, '--port', String(port), '--ready-json'], configuration.http_api.key);
}

/** Starts in development mode: secrets are made by the server and printed. */
export function serveDev(t, port = 0) {
  return start(t, ['serve', '--dev', '--port', String(port), '--metrics-port', '0', '--ready-json']);
}

async function start(t, args, knownKey) {
  // It says as much as it does to somebody who looks for a fault.
  const env = { ...process.env, SEALCAST_LOG_LEVEL: 'debug' };
  const child = spawn(BINARY, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
  let log = '';
  const file = logFile(child.pid);
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text;
    appendFileSync(file, text);
  });
  const exited = new Promise((settle) => {
    child.once('error', (error) => settle({ error }));
    child.once('exit', (code, signal) => settle({ code, signal }));
  });
  let metrics = null;
  const leaveMetrics = async () => {
    if (metrics && child.exitCode === null && child.signalCode === null) await noteMetrics(metrics);
  };
  t.after(async () => {
    await leaveMetrics();
    child.kill('SIGKILL');
    await exited;
  });

  const firstLine = new Promise((settle) => createInterface({ input: child.stdout }).once('line', settle));
  const early = exited.then((how) => {
    throw new Error(`${BINARY} ${args.join(' ')} ended before it was ready: ${how.error ?? how.signal ?? how.code}\n${log}`);
  });
  const ready = JSON.parse(await within(READY_MS, 'the ready line', Promise.race([firstLine, early])));
  early.catch(() => {});
  metrics = ready.metrics;
  const port = Number(ready.public.split(':').pop());
  const key = knownKey ?? ready.api_key;

  return {
    port,
    key,
    ready,
    http: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}/connection/websocket`,
    log: () => log,
    /** Ends the process with a signal and waits for it; resolves to `{code, signal}`. */
    async stop(signal = 'SIGTERM') {
      await leaveMetrics();
      child.kill(signal);
      return within(EXIT_MS, `the end after ${signal}`, exited);
    },
    /** One call of the server API: the decoded answer. */
    async api(method, body, at = port) {
      noteSent(JSON.stringify(body));
      const response = await fetch(`http://127.0.0.1:${at}/api/${method}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', 'X-API-Key': key },
        body: JSON.stringify(body),
      });
      if (response.status !== 200) throw new Error(`/api/${method} answered ${response.status}`);
      const answer = await response.json();
      if (answer.error) noteTold(answer.error.message);
      return answer;
    },
  };
}
