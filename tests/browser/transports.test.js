// A real browser by each transport, on a page without anything of the demo.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';
import { within } from '../sdk/support/event.js';
import { freePort } from '../sdk/support/port.js';
import { config, serve } from '../sdk/support/server.js';
import { token } from '../sdk/support/token.js';
import { browser } from './stage.js';

const SDK = new URL('../../web/vendor/centrifuge.js', import.meta.url).pathname;
const DEPLOY = new URL('../../deploy/', import.meta.url).pathname;
const LIMIT_MS = 30_000;
const AGAIN = { code: 4000, reason: 'again' };
const history = { history_size: 100, history_ttl: '60s', force_recovery: true };
const everything = {
  allow_subscribe_for_client: true,
  allow_publish_for_client: true,
  allow_presence_for_client: true,
  allow_history_for_client: true,
  presence: true,
  ...history,
};
const listening = Object.fromEntries(['uni_sse', 'uni_http_stream', 'uni_websocket'].map((name) => [name, { enabled: true }]));

function configured(origins, http_server = {}) {
  const base = config({ allowed_origins: origins });
  return { ...base, ...listening, http_server: { ...base.http_server, ...http_server }, channel: { without_namespace: everything } };
}

const port = await freePort();
const server = await serve({ after }, configured([`http://127.0.0.1:${port}`]), port);

/** A page at `http`, with the SDK and a place for what it hears. */
async function blank(t, http = server.http, from = browser) {
  const context = await from.newContext();
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${http}/health`);
  await page.addScriptTag({ path: SDK });
  await page.evaluate(() => {
    globalThis.heard = [];
  });
  return page;
}

const heard = (page, count) => page
  .waitForFunction((wanted) => globalThis.heard.length >= wanted && globalThis.heard, count, { timeout: LIMIT_MS })
  .then((handle) => handle.jsonValue());

/** Connects by the SDK and subscribes. */
function enter(page, transport, user, channel) {
  return page.evaluate(async ([transport, token, channel]) => {
    const path = `${location.host}/connection/${transport}`;
    const endpoint = transport === 'websocket' ? `${location.protocol.replace('http', 'ws')}//${path}` : `${location.protocol}//${path}`;
    const client = new Centrifuge([{ transport, endpoint }], { token, emulationEndpoint: `${location.origin}/emulation`, minReconnectDelay: 100, maxReconnectDelay: 500 });
    globalThis.client = client;
    globalThis.subscription = client.newSubscription(channel);
    globalThis.subscription.on('publication', ({ data }) => globalThis.heard.push(data));
    const connected = new Promise((settle) => client.once('connected', settle));
    const subscribed = new Promise((settle) => globalThis.subscription.once('subscribed', settle));
    globalThis.subscription.subscribe();
    client.connect();
    const [how] = await Promise.all([connected, subscribed]);
    return how.transport;
  }, [transport, token(user), channel]);
}

for (const transport of ['websocket', 'http_stream', 'sse']) {
  test(`${transport}: publishes, hears, asks who is there and what was said, and comes back without a hole`, async (t) => {
    const page = await blank(t);
    assert.equal(await enter(page, transport, `ada-${transport}`, transport), transport);
    const [said, there] = await page.evaluate(async () => {
      for (let n = 1; n <= 5; n += 1) await globalThis.subscription.publish(n);
      const { publications } = await globalThis.subscription.history({ limit: 100 });
      const { clients } = await globalThis.subscription.presence();
      return [publications.map(({ data }) => data), Object.keys(clients).length];
    });
    assert.deepEqual([said, there], [[1, 2, 3, 4, 5], 1]);
    await heard(page, 5);
    await server.api('disconnect', { user: `ada-${transport}`, disconnect: AGAIN });
    for (let n = 6; n <= 12; n += 1) await server.api('publish', { channel: transport, data: n });
    assert.deepEqual(await heard(page, 12), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });
}

test('uni_sse: an EventSource comes back to where it was, and stays away when it is sent away', async (t) => {
  const page = await blank(t);
  await page.evaluate(([token]) => {
    const connect = encodeURIComponent(JSON.stringify({ token, subs: { news: {} } }));
    globalThis.here = 0;
    globalThis.source = new EventSource(`/connection/uni_sse?cf_connect=${connect}`);
    globalThis.source.addEventListener('message', ({ data }) => {
      const push = JSON.parse(data);
      const sub = push.connect?.subs.news;
      if (sub) globalThis.here += 1;
      for (const pub of sub?.publications ?? []) globalThis.heard.push(pub.data);
      if (push.pub) globalThis.heard.push(push.pub.data);
    });
  }, [token('eve')]);
  const here = (times) => page.waitForFunction((wanted) => globalThis.here === wanted, times, { timeout: LIMIT_MS });
  await here(1);
  for (let n = 1; n <= 3; n += 1) await server.api('publish', { channel: 'news', data: n });
  await heard(page, 3);
  await server.api('disconnect', { user: 'eve', disconnect: AGAIN });
  for (let n = 4; n <= 8; n += 1) await server.api('publish', { channel: 'news', data: n });
  await here(2);
  const all = await heard(page, 8);
  // What comes twice can be told by its offset; here by its number.
  assert.deepEqual([...new Set(all)], [1, 2, 3, 4, 5, 6, 7, 8]);
  await server.api('disconnect', { user: 'eve', disconnect: { code: 4500, reason: 'for good' } });
  await page.waitForFunction(() => globalThis.source.readyState === EventSource.CLOSED, undefined, { timeout: LIMIT_MS });
});

test('uni_http_stream and uni_websocket: a page hears what is said at once', async (t) => {
  const page = await blank(t);
  await page.evaluate(async ([token]) => {
    const connect = JSON.stringify({ token, subs: { two: {} } });
    const take = (line) => line && globalThis.heard.push(JSON.parse(line).pub?.data ?? 'here');
    const socket = new WebSocket(`ws://${location.host}/connection/uni_websocket`);
    socket.addEventListener('open', () => socket.send(connect));
    socket.addEventListener('message', ({ data }) => data.split('\n').forEach(take));
    const headers = { 'Content-Type': 'application/json' };
    const answer = await fetch('/connection/uni_http_stream', { method: 'POST', headers, body: connect });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const read = ({ value }) => {
      value.split('\n').forEach(take);
      return reader.read().then(read);
    };
    reader.read().then(read);
  }, [token('joe')]);
  assert.deepEqual(await heard(page, 2), ['here', 'here']);
  await server.api('publish', { channel: 'two', data: 'first' });
  assert.deepEqual((await heard(page, 4)).slice(2), ['first', 'first']);
});

test('over HTTP/2, behind a load balancer with TLS, all the way: a WebSocket, and more streams than a browser opens sockets', async (t) => {
  const [tls, plain, own] = await Promise.all([freePort(), freePort(), freePort()]);
  const node = await serve(t, configured([`https://localhost:${tls}`], { http2: true, trusted_proxies: ['127.0.0.1'] }));
  const folder = await mkdtemp(join(tmpdir(), 'sealcast-lb-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await finished(spawn('sh', [`${DEPLOY}init.sh`, join(folder, 'secrets')], { env: { PATH: process.env.PATH, OWNERS: 'no' }, stdio: 'ignore' }));
  // The configuration that is shipped, which speaks HTTP/2 with the node here.
  const shipped = await readFile(`${DEPLOY}haproxy/haproxy.cfg`, 'utf8');
  const servers = /^ {4}server node1 .*\n {4}server node2 .*\n {4}server node3 .*\n/m;
  assert.match(shipped, servers);
  await writeFile(join(folder, 'haproxy.cfg'), shipped.replace(servers, '    server node1 "${LB_NODE1}" proto h2\n'));
  const balancer = spawn('haproxy', ['-db', '-f', join(folder, 'secrets/lb/cookie.cfg'), '-f', join(folder, 'haproxy.cfg')], {
    stdio: 'ignore',
    env: {
      PATH: process.env.PATH,
      LB_BIND: `127.0.0.1:${plain}`,
      LB_TLS_BIND: `127.0.0.1:${tls}`,
      LB_METRICS_BIND: `127.0.0.1:${own}`,
      LB_SOCKET: join(folder, 'lb.sock'),
      LB_CERT: join(folder, 'secrets/lb/tls.pem'),
      LB_MAXCONN: '1000',
      LB_NODE1: `127.0.0.1:${node.port}`,
    },
  });
  const ended = once(balancer, 'exit');
  t.after(async () => {
    balancer.kill('SIGKILL');
    await ended;
  });
  const http = `https://localhost:${tls}`;
  await within(LIMIT_MS, 'the load balancer', answers(`${http}/health`));

  // Its own, which believes in the certificate.
  const believing = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--ignore-certificate-errors'] });
  t.after(() => believing.close());
  const page = await blank(t, http, believing);
  assert.equal(await page.evaluate(() => performance.getEntriesByType('navigation')[0].nextHopProtocol), 'h2');
  const watching = await page.context().newCDPSession(page);
  await watching.send('Network.enable');
  const shaken = once(watching, 'Network.webSocketHandshakeResponseReceived');
  assert.equal(await enter(page, 'websocket', 'ada', 'room'), 'websocket');
  // Over HTTP/1.1 it would be 101, and name the key.
  const [{ response }] = await within(LIMIT_MS, 'its handshake', shaken);
  assert.equal(response.status, 200, JSON.stringify(response));
  assert.ok(!Object.keys(response.headers).some((name) => name.toLowerCase() === 'sec-websocket-accept'));
  for (let n = 1; n <= 3; n += 1) await node.api('publish', { channel: 'room', data: n });
  assert.deepEqual(await heard(page, 3), [1, 2, 3]);
  await page.evaluate(() => globalThis.subscription.publish(4));
  assert.deepEqual(await heard(page, 4), [1, 2, 3, 4]);

  for (const transport of ['sse', 'http_stream']) {
    const other = await blank(t, http, believing);
    assert.equal(await enter(other, transport, `ada-${transport}`, transport), transport);
    await other.evaluate(() => globalThis.subscription.publish('said'));
    assert.deepEqual(await heard(other, 1), ['said']);
  }
  // Over HTTP/1.1 the seventh would wait for ever.
  const many = await blank(t, http, believing);
  await many.evaluate(([token]) => {
    const connect = encodeURIComponent(JSON.stringify({ token, subs: { many: {} } }));
    globalThis.sources = Array.from({ length: 10 }, () => new EventSource(`/connection/uni_sse?cf_connect=${connect}`));
    for (const source of globalThis.sources) {
      source.addEventListener('message', ({ data }) => {
        const { connect, pub } = JSON.parse(data);
        if (connect) globalThis.heard.push('here');
        if (pub) globalThis.heard.push(pub.data);
      });
    }
  }, [token('eve')]);
  await heard(many, 10);
  await node.api('publish', { channel: 'many', data: 'all' });
  assert.deepEqual((await heard(many, 20)).slice(10), Array(10).fill('all'));
});

async function finished(child) {
  const [code] = await once(child, 'exit');
  assert.equal(code, 0);
}

async function answers(url) {
  for (;;) {
    const status = await new Promise((settle) => {
      get(url, { rejectUnauthorized: false }, (answer) => settle(answer.resume().statusCode)).on('error', () => settle(0));
    });
    if (status === 200) return;
    await sleep(100);
  }
}
