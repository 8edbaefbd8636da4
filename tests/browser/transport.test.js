// The demo over each transport, and where WebSocket does not get through.

import assert from 'node:assert/strict';
import { createServer, request } from 'node:http';
import { test } from 'node:test';
import { entered, go, messages, open, say, watch } from './page.js';
import { newContext, onPhone, server } from './stage.js';

const NAMES = { websocket: 'WebSocket', http_stream: 'HTTP stream', sse: 'SSE' };

/** Waits until the page is connected by this transport. */
const over = (page, transport) => page.locator(`[data-testid=transport][data-used=${transport}]`).waitFor();

/** What a screen reader says of the state. */
const spoken = (page) => page.locator('.state').evaluate((state) => state.textContent.trim().replace(/\s+/g, ' '));

/** The URLs that a page asks for from now on. */
function asked(page) {
  const urls = [];
  page.on('request', (request) => urls.push(request.url()));
  return urls;
}

for (const transport of Object.keys(NAMES)) {
  test(`the demo over ${transport}: chosen, shown, and the same as any other`, async (t) => {
    const context = await newContext(t);
    const page = await context.newPage();
    const faults = watch(page);
    const urls = asked(page);
    const room = `by-${transport}`;
    await page.goto(server.http);
    await page.getByLabel('Transport').selectOption(transport);
    await open(context, server, { name: 'ada', room }, page);
    await over(page, transport);
    assert.equal(await spoken(page), `Connected over ${NAMES[transport]}`);

    const other = await open(context, server, { name: 'bob', room });
    await over(other, 'websocket');
    await say(page, 'one');
    await say(other, 'two');
    assert.deepEqual((await messages(page, 2)).map(({ body }) => body), ['one', 'two']);
    assert.deepEqual((await messages(other, 2)).map(({ body }) => body), ['one', 'two']);

    // A drop: it comes back by the same way, and what was missed is there.
    await server.api('disconnect', { user: 'ada', disconnect: { code: 3001, reason: 'come back' } });
    await other.bringToFront();
    await say(other, 'three');
    await page.bringToFront();
    assert.deepEqual((await messages(page, 3)).map(({ body }) => body), ['one', 'two', 'three']);
    await over(page, transport);

    await go(page, 'inspector');
    assert.equal(await page.getByTestId('fact-transport').textContent(), transport);
    assert.equal(await page.getByTestId('fact-reconnects').textContent(), '1');
    const frames = (await page.getByTestId('frame').allTextContents()).join('\n');
    for (const part of ['sentconnect', 'receivedconnect to 1', `sentpublish room-${room}`, `publication`]) {
      assert.ok(frames.includes(part) || frames.includes(part.replace('publication', 'pub in')), `${part} in ${frames}`);
    }
    // A command by hand goes the same way.
    await page.getByTestId('command').fill(JSON.stringify({ history: { channel: `room-${room}`, limit: 1, reverse: true } }));
    await page.getByTestId('send-command').click();
    await page.getByTestId('frame').filter({ hasText: /history to 1\d{9}/ }).waitFor();

    assert.ok(!urls.some((url) => url.includes('eyJ')), 'no token is in a URL');
    const tickets = urls.map((url) => new URL(url).searchParams.get('ticket')).filter(Boolean);
    assert.equal(tickets.length, transport === 'sse' ? 2 : 0, 'one for each stream');
    assert.equal(new Set(tickets).size, tickets.length);
    const expected = faults().filter((fault) => !/^failed: .*\/connection\/(http_stream|sse)/.test(fault));
    assert.deepEqual(expected, []);
  });
}

test('another transport can be chosen while one is in use, by keyboard too, and stays', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'switch' });
  await over(page, 'websocket');
  await say(page, 'before');
  const choice = page.getByLabel('Transport');
  assert.equal(await choice.locator('option:checked').textContent(), 'Auto: WebSocket');
  await choice.focus();
  for (const transport of ['websocket', 'http_stream', 'sse']) {
    await page.keyboard.press('ArrowDown');
    await over(page, transport);
    await entered(page, 'switch');
    assert.equal(await spoken(page), `Connected over ${NAMES[transport]}`);
    assert.deepEqual((await messages(page, 1)).map(({ body }) => body), ['before']);
  }
  assert.equal(await choice.evaluate((select) => document.activeElement === select), true, 'the focus stays');
  await page.reload();
  await over(page, 'sse');
  await say(page, 'after');
});

/** A proxy as offices have them: it passes requests on, but no tunnels, and not what `blocks`. */
async function office(t, blocks = () => false) {
  const refused = [];
  const proxy = createServer((near, answer) => {
    const url = new URL(near.url);
    if (blocks(url.pathname)) {
      refused.push(url.pathname);
      answer.writeHead(403).end();
      return;
    }
    const far = request(url, { method: near.method, headers: near.headers }, (heard) => {
      answer.writeHead(heard.statusCode, heard.headers);
      answer.flushHeaders();
      heard.pipe(answer);
    });
    far.on('error', () => answer.destroy());
    answer.on('close', () => far.destroy());
    near.pipe(far);
  });
  proxy.on('connect', (near, socket) => {
    refused.push(near.url);
    socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
  });
  await new Promise((listening) => proxy.listen(0, '127.0.0.1', listening));
  t.after(() => {
    proxy.closeAllConnections();
    proxy.close();
  });
  return { options: { proxy: { server: `http://127.0.0.1:${proxy.address().port}` } }, refused };
}

for (const [what, blocks, falls] of [
  ['WebSockets', undefined, 'http_stream'],
  ['WebSockets and streamed answers', (path) => path === '/connection/http_stream', 'sse'],
]) {
  test(`where a proxy lets no ${what} through, the demo falls back by itself to ${falls}`, async (t) => {
    const { options, refused } = await office(t, blocks);
    const context = await newContext(t, { ...options, ...onPhone });
    const page = await open(context, server, { name: 'ada', room: `office-${falls}` });
    await over(page, falls);
    assert.ok(refused.includes(`127.0.0.1:${server.port}`), 'it tried a WebSocket');
    const choice = page.getByLabel('Transport');
    assert.equal(await choice.locator('option:checked').textContent(), `Auto: ${NAMES[falls]}`);
    assert.equal(await spoken(page), `Connected over ${NAMES[falls]}`);
    await say(page, 'from the office');
    const outside = await open(await newContext(t), server, { name: 'bob', room: `office-${falls}` });
    assert.deepEqual((await messages(outside, 1)).map(({ body }) => body), ['from the office']);
    await say(outside, 'from outside');
    assert.deepEqual((await messages(page, 2)).map(({ body }) => body), ['from the office', 'from outside']);
  });
}

test('a page of another origin gets no ticket, and cannot use one', async (t) => {
  const other = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>other</title>'));
  await new Promise((listening) => other.listen(0, '127.0.0.1', listening));
  t.after(() => other.close());
  const context = await newContext(t);
  const own = await context.newPage();
  await own.goto(server.http);
  const token = await own.evaluate(async () => {
    const answer = await fetch('/dev/token', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"user":"ada"}' });
    return (await answer.json()).token;
  });
  const wish = { url: `${server.http}/connection/sse`, token };
  const made = await own.evaluate(async ({ url, token }) => {
    const { withTicket } = await import('/assets/tickets.js');
    return (await withTicket(url, { token })).href;
  }, wish);
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  const ticket = await page.evaluate(({ url, token }) => fetch(new URL('ticket', url), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ transport: 'sse', token }),
  }).then(() => 'read', () => 'refused'), wish);
  assert.equal(ticket, 'refused');
  const connect = encodeURIComponent('{"id":1,"connect":{}}');
  const opens = (where) => where.evaluate((url) => new Promise((settle) => {
    const source = new EventSource(url);
    source.onmessage = ({ data }) => {
      source.close();
      settle(Object.keys(JSON.parse(data)).join());
    };
    source.onerror = () => settle('refused');
  }), `${made}&cf_connect=${connect}`);
  assert.equal(await opens(page), 'refused');
  // It was refused for its origin before anyone looked at the ticket, which is still good.
  assert.equal(await opens(own), 'id,connect');
});
