// The demo page in Chromium, against a server in development mode.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { chromium } from 'playwright-core';
import { within } from '../sdk/support/event.js';
import { serveDev } from '../sdk/support/server.js';
import { open, messages, say, state, watch } from './page.js';

const PHONE = { width: 360, height: 740 };
const DESKTOP = { width: 1280, height: 800 };

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
after(() => browser.close());
const server = await serveDev({ after });

test('two tabs see each other', async (t) => {
  const context = await newContext(t);
  const ada = await open(context, server, { name: 'ada', room: 'pair' });
  const bob = await open(context, server, { name: 'bob', room: 'pair' });
  await say(ada, 'hello bob');
  await say(bob, 'hello ada 🦭');

  const seenByAda = await messages(ada, 2);
  const seenByBob = await messages(bob, 2);
  assert.deepEqual(seenByAda, [
    { author: 'ada', body: 'hello bob', kind: 'own' },
    { author: 'bob', body: 'hello ada 🦭', kind: 'other' },
  ]);
  assert.deepEqual(seenByBob, [
    { author: 'ada', body: 'hello bob', kind: 'other' },
    { author: 'bob', body: 'hello ada 🦭', kind: 'own' },
  ]);
  const times = await ada.locator('[data-testid=message] time').evaluateAll((all) => all.map((one) => Date.parse(one.dateTime)));
  assert.ok(times.every((time) => Math.abs(Date.now() - time) < 60_000), String(times));
  await ada.getByTestId('ack').filter({ hasText: 'acknowledged' }).waitFor();
});

test('rooms are apart', async (t) => {
  const context = await newContext(t);
  const here = await open(context, server, { name: 'ada', room: 'here' });
  const there = await open(context, server, { name: 'bob', room: 'there' });
  await say(there, 'only there');
  await messages(there, 1);
  await say(here, 'only here');
  assert.deepEqual(await messages(here, 1), [{ author: 'ada', body: 'only here', kind: 'own' }]);
});

test('what the server API publishes is marked as from the server', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'announcements' });
  await server.api('publish', { channel: 'room-announcements', data: { text: 'doors open' } });
  await server.api('publish', { channel: 'room-announcements', data: { count: 3 } });
  await server.api('publish', { channel: 'room-announcements', data: null });
  assert.deepEqual(await messages(page, 3), [
    { author: 'Server API', body: 'doors open', kind: 'server' },
    { author: 'Server API', body: '{"count":3}', kind: 'server' },
    { author: 'Server API', body: 'null', kind: 'server' },
  ]);
});

test('the curl line shown for a room publishes into it', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'curl' });
  const line = await page.getByTestId('curl').textContent();
  assert.ok(line.startsWith(`curl -X POST ${server.http}/api/publish \\\n`), line);
  assert.ok(line.includes('-H "X-API-Key: $KEY"'), line);
  await server.api('publish', JSON.parse(line.match(/-d '(.*)'$/)[1]));
  assert.deepEqual(await messages(page, 1), [{ author: 'Server API', body: 'hello from the server', kind: 'server' }]);
});

test('names are checked before anything is sent, and a good one is suggested', async (t) => {
  const page = await (await newContext(t)).newPage();
  const requests = [];
  page.on('request', (request) => requests.push(new URL(request.url()).pathname));
  await page.goto(server.http);
  const name = page.getByTestId('name');
  const suggested = await name.inputValue();
  assert.match(suggested, /^[A-Za-z0-9_-]{3,32}$/);

  for (const wrong of ['', 'ab', 'a'.repeat(33), 'ada lovelace', 'ådå', 'ada<b>', ' ada']) {
    await name.fill(wrong);
    await page.getByTestId('join').click();
    assert.match(await page.getByTestId('name-error').textContent(), /3 to 32/, wrong);
    assert.equal(await name.getAttribute('aria-invalid'), 'true');
    assert.ok(await name.evaluate((input) => input === document.activeElement), 'the faulty field has the focus');
  }
  await name.fill('ada');
  await page.getByTestId('room').fill('no/slash');
  await page.getByTestId('join').click();
  assert.match(await page.getByTestId('room-error').textContent(), /1 to 32/);
  assert.ok(!requests.includes('/dev/token'));
  assert.equal(await state(page), 'idle');

  await page.getByTestId('suggest').click();
  assert.match(await name.inputValue(), /^[A-Za-z0-9_-]{3,32}$/);
  await page.getByTestId('room').fill('r');
  await page.getByTestId('join').click();
  await state(page, 'connected');
});

test('markup in messages is text, and the page breaks no policy', async (t) => {
  const context = await newContext(t);
  const page = await context.newPage();
  const faults = watch(page);
  await open(context, server, { name: 'mallory', room: 'markup' }, page);
  const attack = '<img src=x onerror=alert(1)><script>alert(2)</script><a href="javascript:alert(3)">x</a>';
  await say(page, attack);
  await server.api('publish', { channel: 'room-markup', data: { html: attack } });
  assert.deepEqual(await messages(page, 2), [
    { author: 'mallory', body: attack, kind: 'own' },
    { author: 'Server API', body: JSON.stringify({ html: attack }), kind: 'server' },
  ]);
  assert.equal(await page.getByTestId('messages').locator('img, script, a').count(), 0);
  assert.deepEqual(faults(), []);
});

test('inline scripts are blocked by the policy of the page', async (t) => {
  const page = await (await newContext(t)).newPage();
  const answer = await page.goto(server.http);
  const policy = answer.headers()['content-security-policy'];
  for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
    assert.ok(policy?.includes(rule), `${rule} in ${policy}`);
  }
  const violated = await page.evaluate(() => new Promise((settle) => {
    document.addEventListener('securitypolicyviolation', (event) => settle(event.effectiveDirective));
    document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = "run"' }));
  }));
  assert.match(violated, /^script-src/);
  assert.equal(await page.title(), 'Sealcast demo chat');
});

test('the keyboard is enough', async (t) => {
  const page = await (await newContext(t)).newPage();
  await page.goto(server.http);
  await page.keyboard.press('Control+A');
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await state(page, 'connected');
  await page.getByTestId('events').filter({ hasText: 'subscribed to room-lobby' }).waitFor();
  await page.keyboard.type('first line');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('second line');
  await page.keyboard.press('Enter');
  assert.deepEqual((await messages(page, 1)).at(-1), { author: 'keys', body: 'first line\nsecond line', kind: 'own' });
  await page.getByTestId('leave').press('Enter');
  assert.equal(await state(page), 'idle');
  assert.ok(await page.getByTestId('name').evaluate((input) => input === document.activeElement));
});

test('everything on the page has a name for a screen reader', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'names' });
  for (const [role, name] of [['textbox', 'Message'], ['button', 'Send'], ['button', 'Leave'], ['button', 'Copy'], ['log', 'Messages'], ['heading', 'names']]) {
    assert.equal(await page.getByRole(role, { name, exact: true }).count(), 1, `${role} ${name}`);
  }
  assert.equal(await page.getByRole('status').first().innerText(), 'Connected');
  await page.getByTestId('leave').click();
  for (const name of ['Display name', 'Room']) assert.equal(await page.getByRole('textbox', { name, exact: true }).count(), 1, name);
});

test('a phone shows the page without scrolling sideways', async (t) => {
  const page = await open(await newContext(t, { viewport: PHONE, hasTouch: true, isMobile: true }), server, {
    name: 'a'.repeat(32),
    room: 'r'.repeat(32),
  });
  await say(page, `${'w'.repeat(300)} ${'short '.repeat(30)}`);
  await server.api('publish', { channel: `room-${'r'.repeat(32)}`, data: { key: 'v'.repeat(300) } });
  await messages(page, 2);
  await noSidewaysScroll(page);
  await page.getByTestId('leave').click();
  await noSidewaysScroll(page);
});

test('long talk is cut to the last messages, and long text says how long', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'long' });
  for (let number = 1; number <= 205; number += 1) await server.api('publish', { channel: 'room-long', data: { text: `message ${number}` } });
  await page.getByText('message 205', { exact: true }).waitFor();
  const kept = await messages(page, 200);
  assert.equal(kept.length, 200);
  assert.equal(kept[0].body, 'message 6');
  await page.getByTestId('text').fill('x'.repeat(1500));
  assert.equal(await page.getByTestId('count').textContent(), '1500 of 2000 characters');
});

test('a page comes back by itself when the server was restarted with other keys', async (t) => {
  const first = await serveDev(t);
  const page = await open(await newContext(t), first, { name: 'ada', room: 'restart' });
  const tokens = [];
  page.on('request', (request) => request.url().endsWith('/dev/token') && tokens.push(request));
  await first.stop('SIGKILL');
  await state(page, 'reconnecting');
  assert.equal(await page.getByTestId('state-reason').textContent(), 'transport closed (1)');

  await page.getByTestId('text').fill('typed while away');
  await page.getByTestId('send').click();
  assert.match(await page.getByTestId('error').textContent(), /^Not sent: there is no connection now\. Your text is kept/);
  assert.equal(await page.getByTestId('text').inputValue(), 'typed while away');

  await serveDev(t, first.port);
  await state(page, 'connected', 30_000);
  assert.equal(tokens.length, 1, 'one fresh token was fetched');
  await page.getByTestId('events').getByText('subscribed to room-restart').nth(1).waitFor();
  await page.getByTestId('send').click();
  assert.deepEqual(await messages(page, 1), [{ author: 'ada', body: 'typed while away', kind: 'own' }]);
  assert.ok(await page.getByTestId('error').isHidden());
});

test('a server that shuts down gives its reason', async (t) => {
  const ending = await serveDev(t);
  const page = await open(await newContext(t), ending, { name: 'ada', room: 'end' });
  await Promise.all([state(page, 'reconnecting', 20_000), ending.stop('SIGTERM')]);
  assert.equal(await page.getByTestId('state-reason').textContent(), 'shutdown (3001)');
});

test('a page of another origin cannot open the socket or get a token', async (t) => {
  const other = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>other</title>'));
  await new Promise((listening) => other.listen(0, '127.0.0.1', listening));
  t.after(() => other.close());
  const page = await (await newContext(t)).newPage();
  const refusals = [];
  page.on('console', (message) => refusals.push(message.text()));
  await page.goto(`http://127.0.0.1:${other.address().port}/`);

  const outcome = await within(10_000, 'the outcome', page.evaluate((address) => new Promise((settle) => {
    const socket = new WebSocket(address);
    socket.onopen = () => settle('open');
    socket.onclose = (event) => settle(event.code);
  }), server.ws));
  assert.equal(outcome, 1006);
  assert.ok(refusals.some((text) => text.includes('403')), refusals.join('\n'));

  const refused = page.waitForResponse(`${server.http}/dev/token`);
  // Without CORS the request itself is sent; the server has to refuse it by its Origin.
  await page.evaluate((address) => fetch(address, { method: 'POST', mode: 'no-cors', body: '{"user":"ada"}' }), `${server.http}/dev/token`);
  assert.equal((await refused).status(), 403);
});

for (const colorScheme of ['light', 'dark']) {
  for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
    test(`screenshots: ${colorScheme}, ${device}`, { skip: process.env.SCREENSHOTS ? false : 'SCREENSHOTS names no directory' }, async (t) => {
      await mkdir(process.env.SCREENSHOTS, { recursive: true });
      const shot = (page, what) => page.screenshot({ path: join(process.env.SCREENSHOTS, `${what}-${device}-${colorScheme}.png`) });
      const context = await newContext(t, { viewport, colorScheme, reducedMotion: 'reduce' });
      const page = await context.newPage();
      await page.goto(server.http);
      await shot(page, 'join');

      const room = `shots-${colorScheme}-${device}`;
      await open(context, server, { name: 'ada', room }, page);
      const bob = await open(context, server, { name: 'bob-the-seal', room });
      await say(bob, 'Is this thing on?');
      await messages(page, 1);
      await say(page, 'It is: two tabs, one relay, and not a byte stored.');
      await server.api('publish', { channel: `room-${room}`, data: { text: 'Maintenance at noon.' } });
      await server.api('publish', { channel: `room-${room}`, data: { temperature: 21.5, unit: 'C' } });
      await messages(page, 4);
      await page.getByTestId('text').fill('Typing…');
      await shot(page, 'chat');
    });
  }
}

async function newContext(t, options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  t.after(() => context.close());
  return context;
}

async function noSidewaysScroll(page) {
  const { content, window } = await page.evaluate(() => ({ content: document.documentElement.scrollWidth, window: innerWidth }));
  assert.equal(window, PHONE.width);
  assert.ok(content <= window, `${content} px in a window of ${window} px`);
}
