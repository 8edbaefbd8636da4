// Tickets by clients/js: a reader that comes back with another one, to where it was; and what it does when it gets none.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Centrifuge } from 'centrifuge';
import { EventSource } from 'eventsource';
import * as library from '../../clients/js/tickets.js';
import { ticketed, TicketedEventSource, TicketError, withTicket } from '../../clients/js/tickets.js';
import { next, within } from './support/event.js';
import { throughProxy } from './support/proxy.js';
import { config, serve } from './support/server.js';
import { inSeconds, token } from './support/token.js';

const folder = new URL('../../clients/js/', import.meta.url);

const server = await serve({ after }, {
  ...config(),
  compat: { sse_token_in_url: false },
  uni_sse: { enabled: true },
  uni_websocket: { enabled: true },
  channel: {
    without_namespace: { allow_subscribe_for_client: true, history_size: 100, history_ttl: '60s', force_recovery: true },
  },
});

const publish = (channel, data) => server.api('publish', { channel, data });

/** Requests for tickets are noted, with what they were answered; `answers` takes the place of the first few. */
function noting(answers = []) {
  const asked = [];
  const noted = async (...request) => {
    const answer = answers.shift()?.() ?? await fetch(...request);
    asked.push({ at: Date.now(), status: answer.status });
    return answer;
  };
  return { asked, fetch: noted };
}

/** What the reader was told, as it comes: the messages' objects and the errors. */
function listen(t, http, options) {
  const subs = JSON.stringify({ subs: { [options.channel]: { recover: true } } });
  const url = new URL(`/connection/uni_sse?cf_connect=${encodeURIComponent(subs)}`, http);
  const source = new TicketedEventSource(url, { EventSource, getToken: () => token('ada'), ...options });
  t.after(() => source.close());
  const heard = [];
  let told = () => {};
  source.onmessage = ({ data }) => {
    heard.push(JSON.parse(data));
    told();
  };
  source.onerror = (event) => {
    heard.push({ refused: event.status, message: event.message, state: source.readyState });
    told();
  };
  /** The first thing heard for which `test` holds; it and all before it are taken. */
  const next = (test) => within(15_000, String(test), new Promise((settle) => {
    told = () => {
      const at = heard.findIndex(test);
      if (at < 0) return;
      const [found] = heard.splice(0, at + 1).slice(-1);
      told = () => {};
      settle(found);
    };
    told();
  }));
  return { source, next };
}

test('each connect has a ticket of its own, and what was missed meanwhile comes', async (t) => {
  const proxy = await throughProxy(t, server);
  const http = proxy.ws.replace(/^ws/, 'http');
  const { asked, fetch } = noting();
  const { source, next } = listen(t, http, { channel: 'missed', fetch });
  const { connect } = await next((one) => one.connect);
  assert.ok(connect.subs.missed);
  await publish('missed', 1);
  await next((one) => one.pub?.data === 1);
  await publish('missed', 2);
  await next((one) => one.pub?.data === 2);
  proxy.cut();
  assert.equal((await next((one) => one.state !== undefined)).state, TicketedEventSource.CONNECTING);
  await publish('missed', 3);
  await publish('missed', 4);
  proxy.mend();
  const back = (await next((one) => one.connect)).connect.subs.missed;
  assert.equal(back.recovered, true);
  const came = back.publications.map(({ data }) => data);
  // What it saw last may come again, because the id of an event may be told with the next one; nothing is left out.
  assert.deepEqual(came.slice(-2), [3, 4]);
  assert.ok(came.every((data, at) => at === 0 || data === came[at - 1] + 1), `${came}`);
  assert.deepEqual(asked.map(({ status }) => status), [200, 200]);
  assert.equal(source.readyState, TicketedEventSource.OPEN);
});

test('when it is over it does not come back', async (t) => {
  const { asked, fetch } = noting();
  const { source, next } = listen(t, server.http, { channel: 'over', fetch, getToken: () => token('eve') });
  await next((one) => one.connect);
  await server.api('disconnect', { user: 'eve' });
  assert.equal((await next((one) => one.disconnect)).disconnect.code, 3503);
  assert.equal((await next((one) => one.state !== undefined)).state, TicketedEventSource.CLOSED);
  assert.equal(source.lastEventId, 'over');
  assert.equal(asked.length, 1);
  // Nor does one that is told where the other stood.
  const other = listen(t, server.http, { channel: 'over', fetch, lastEventId: source.lastEventId });
  assert.equal((await other.next((one) => one.state !== undefined)).state, TicketedEventSource.CLOSED);
  assert.equal(asked.length, 1);
});

test('it waits as long as it is told, and asks for another token when one is refused', async (t) => {
  const busy = () => new Response('the node is stopping\n', { status: 503, headers: { 'Retry-After': '1' } });
  const tokens = [token('ada'), 'a.b.c', token('ada')];
  const { asked, fetch } = noting([busy]);
  const { next } = listen(t, server.http, { channel: 'later', fetch, getToken: async () => tokens.shift() });
  const first = await next((one) => one.state !== undefined);
  assert.deepEqual(first, { refused: 503, message: 'the node is stopping', state: TicketedEventSource.CONNECTING });
  const second = await next((one) => one.state !== undefined);
  assert.deepEqual(second, { refused: 401, message: 'the token is not valid', state: TicketedEventSource.CONNECTING });
  await next((one) => one.connect);
  assert.deepEqual(asked.map(({ status }) => status), [503, 401, 200]);
  // A timer may be a little early by another clock.
  assert.ok(asked[1].at - asked[0].at >= 990, `${asked[1].at - asked[0].at} ms`);
});

test('what will not change by asking again ends it', async (t) => {
  const same = listen(t, server.http, { channel: 'a', getToken: () => 'a.b.c' });
  assert.equal((await same.next((one) => one.refused === 401)).state, TicketedEventSource.CONNECTING);
  assert.equal((await same.next((one) => one.refused === 401)).state, TicketedEventSource.CLOSED);
  const none = listen(t, server.http, { channel: 'a', endpoint: `${server.http}/connection/tickets` });
  assert.deepEqual(await none.next((one) => one.refused === 404), { refused: 404, message: 'status 404', state: TicketedEventSource.CLOSED });
});

test('what is closed asks for nothing', async (t) => {
  const { asked, fetch } = noting();
  const { source } = listen(t, server.http, { channel: 'a', fetch });
  source.close();
  await new Promise((settle) => setImmediate(settle));
  assert.deepEqual([asked.length, source.readyState], [0, TicketedEventSource.CLOSED]);
});

/** The SDK over `sse` with tickets. */
function sdk(t, getToken) {
  const client = new Centrifuge([{ transport: 'sse', endpoint: `${server.http}/connection/sse` }], {
    getToken,
    emulationEndpoint: `${server.http}/emulation`,
    minReconnectDelay: 20,
    maxReconnectDelay: 100,
    ...ticketed({ EventSource }),
  });
  t.after(() => client.disconnect());
  return client;
}

test('the SDK fetches another token for one that is expired, and ends for one that is none', async (t) => {
  const tokens = [token('ada', { exp: inSeconds(-100) }), token('ada')];
  const given = tokens.length;
  const client = sdk(t, async () => tokens.shift());
  const connected = next(client, 'connected');
  client.connect();
  assert.equal((await connected).transport, 'sse');
  assert.equal(tokens.length, given - 2);

  const bad = sdk(t, async () => 'a.b.c');
  const ended = next(bad, 'disconnected');
  bad.connect();
  assert.deepEqual(await ended, { code: 3500, reason: 'invalid token' });
});

test('a WebSocket that only listens is opened by a URL with a ticket, once', async () => {
  const url = await withTicket(`${server.ws.replace('websocket', 'uni_websocket')}`, { token: token('ada') });
  assert.match(url.href, /^ws:.*\/connection\/uni_websocket\?ticket=[\w-]{43}$/);
  const first = (address) => within(10_000, 'a message', new Promise((settle, refuse) => {
    const socket = new WebSocket(address);
    socket.onmessage = ({ data }) => {
      socket.close();
      settle(JSON.parse(data));
    };
    socket.onerror = () => refuse(new Error('refused'));
  }));
  if (typeof WebSocket === 'function') {
    assert.ok((await first(url)).connect.client);
    await assert.rejects(first(url), /refused/);
  }
  const refused = withTicket(`${server.http}/connection/http_stream`, { token: token('ada') });
  await assert.rejects(refused, (error) => error instanceof TicketError && error.status === 400 && error.final);
});

test('the sample of the README listens', async (t) => {
  const page = await readFile(new URL('README.md', folder), 'utf8');
  const programs = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(([, program]) => program);
  assert.equal(programs.length, 2);
  const run = promisify(execFile);
  for (const [number, program] of programs.entries()) {
    const shown = 'http://127.0.0.1:8000';
    assert.ok(program.includes(shown) && program.includes("'sealcast/tickets'"));
    const file = new URL(`readme-${process.pid}-${number}.tmp.mjs`, import.meta.url);
    const changed = program.replaceAll(shown, server.http).replace('sealcast/tickets', new URL('tickets.js', folder).href);
    await writeFile(file, changed);
    t.after(() => rm(file));
    const { stdout, stderr } = await run(process.execPath, [file.pathname], {
      env: { ...process.env, TOKEN: token('ada', { channels: ['news'] }), KEY: server.key },
      timeout: 30_000,
    });
    assert.deepEqual([stdout, stderr], ['hello\n', '']);
  }
});

test('what is declared for TypeScript is what there is', async () => {
  const declared = await readFile(new URL('tickets.d.ts', folder), 'utf8');
  const names = [...declared.matchAll(/^export (?:class|function) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(names.sort(), Object.keys(library).sort());
  const { exports, dependencies } = JSON.parse(await readFile(new URL('package.json', folder), 'utf8'));
  assert.equal(dependencies, undefined);
  for (const file of Object.values(exports['./tickets'])) await readFile(new URL(file, folder));
});
