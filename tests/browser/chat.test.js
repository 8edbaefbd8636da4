// The chat in Chromium, against a server in development mode.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serveDev } from '../sdk/support/server.js';
import { entered, go, messages, open, refusing, say, state } from './page.js';
import { newContext, server } from './stage.js';

test('two tabs see each other', async (t) => {
  const context = await newContext(t);
  const ada = await open(context, server, { name: 'ada', room: 'pair' });
  const bob = await open(context, server, { name: 'bob', room: 'pair' });
  await say(ada, 'hello bob');
  await say(bob, 'hello ada 🦭');

  assert.deepEqual(await messages(ada, 2), [
    { author: 'ada', body: 'hello bob', kind: 'own' },
    { author: 'bob', body: 'hello ada 🦭', kind: 'other' },
  ]);
  assert.deepEqual(await messages(bob, 2), [
    { author: 'ada', body: 'hello bob', kind: 'other' },
    { author: 'bob', body: 'hello ada 🦭', kind: 'own' },
  ]);
  const times = await ada.locator('[data-testid=message] time').evaluateAll((all) => all.map((one) => Date.parse(one.dateTime)));
  assert.ok(times.every((time) => Math.abs(Date.now() - time) < 60_000), String(times));
  await ada.getByTestId('ack').filter({ hasText: 'Acknowledged in' }).waitFor();
});

test('what was said before is there after a reload, in order, and talk goes on', async (t) => {
  const context = await newContext(t);
  const page = await open(context, server, { name: 'ada', room: 'history' });
  for (const text of ['one', 'two', 'three']) await say(page, text);
  await page.reload();
  await entered(page, 'history');
  await page.getByTestId('divider').filter({ hasText: '3 earlier messages' }).waitFor();
  await say(page, 'four');
  assert.deepEqual((await messages(page, 4)).map(({ body, kind }) => [body, kind]), [['one', 'own'], ['two', 'own'], ['three', 'own'], ['four', 'own']]);

  const late = await open(context, server, { name: 'late-bob', room: 'history' });
  assert.deepEqual((await messages(late, 4)).map(({ body }) => body), ['one', 'two', 'three', 'four']);
});

test('each sees who is here, and is told who comes and goes', async (t) => {
  const context = await newContext(t);
  const people = (page) => page.getByTestId('person').locator('[data-testid], .author').allTextContents();
  const ada = await open(context, server, { name: 'ada', room: 'presence' });
  assert.deepEqual(await people(ada), ['ada']);
  const bob = await open(context, server, { name: 'bob', room: 'presence' });
  await ada.getByTestId('note').filter({ hasText: 'bob came in' }).waitFor();
  assert.deepEqual(await people(ada), ['ada', 'bob']);
  assert.deepEqual(await people(bob), ['ada', 'bob']);

  const second = await open(context, server, { name: 'bob', room: 'presence' });
  await ada.getByTestId('person').filter({ hasText: '2 tabs' }).waitFor();
  await second.close();
  await ada.getByTestId('person').filter({ hasText: '2 tabs' }).waitFor({ state: 'detached' });
  await bob.getByTestId('leave').click();
  await ada.getByTestId('note').filter({ hasText: 'bob left' }).waitFor();
  assert.deepEqual(await people(ada), ['ada']);
  // Said once each, inside the log that screen readers follow.
  assert.deepEqual(await ada.getByRole('log').getByTestId('note').allTextContents(), ['bob came in', 'bob left']);
});

test('what was missed while away is brought, and the page says so', async (t) => {
  const context = await newContext(t);
  const page = await open(context, server, { name: 'away-ada', room: 'gap' });
  await say(page, 'before');
  await context.setOffline(true);
  await page.getByTestId('note').filter({ hasText: 'The connection was lost: transport closed (1)' }).waitFor();
  assert.equal(await state(page), 'reconnecting');
  for (const text of ['missed one', 'missed two']) await server.api('publish', { channel: 'room-gap', data: { text } });
  await context.setOffline(false);
  await page.getByTestId('note').filter({ hasText: 'Back again. This was said meanwhile:' }).waitFor({ timeout: 20_000 });
  assert.deepEqual((await messages(page, 3)).map(({ body }) => body), ['before', 'missed one', 'missed two']);
  const last = page.getByTestId('messages').locator('li');
  assert.match((await last.allTextContents()).at(-3), /^Back again/);
  await say(page, 'after');
  assert.equal((await messages(page, 4)).length, 4);
});

test('several rooms at once: they are apart, and unread messages are counted', async (t) => {
  const context = await newContext(t);
  const page = await open(context, server, { name: 'ada', room: 'here' });
  await page.getByTestId('new-room').fill('there');
  await page.getByTestId('add-room').click();
  await entered(page, 'there');
  assert.match(page.url(), /#\/chat\/there$/);
  const bob = await open(context, server, { name: 'bob', room: 'here' });
  await say(bob, 'only here');
  const here = page.getByTestId('room-link').filter({ hasText: 'here' }).first();
  await here.filter({ hasText: '1' }).waitFor();
  assert.equal(await page.getByTestId('message').count(), 0);
  await go(page, 'inspector');
  await go(page, 'chat');
  await entered(page, 'there');
  await here.click();
  assert.deepEqual(await messages(page, 1), [{ author: 'bob', body: 'only here', kind: 'other' }]);
  await page.goBack();
  await entered(page, 'there');
  assert.equal(await page.getByTestId('message').count(), 0);

  await page.getByTestId('new-room').fill('no/slash');
  await page.getByTestId('add-room').click();
  assert.match(await page.getByTestId('notice').textContent(), /1 to 32/);
});

test('what the server API publishes is marked as from the server', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'announcements' });
  await server.api('publish', { channel: 'room-announcements', data: { text: 'doors open' } });
  await server.api('publish', { channel: 'room-announcements', data: { count: 3 } });
  await server.api('publish', { channel: 'room-announcements', data: null });
  await server.api('publish', { channel: 'room-announcements', data: { text: 'at no time', at: 1e300 } });
  assert.deepEqual(await messages(page, 4), [
    { author: 'Server API', body: 'doors open', kind: 'server' },
    { author: 'Server API', body: '{"count":3}', kind: 'server' },
    { author: 'Server API', body: 'null', kind: 'server' },
    { author: 'Server API', body: 'at no time', kind: 'server' },
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
  await say(page, 'before the restart');
  const tokens = [];
  page.on('request', (request) => request.url().endsWith('/dev/token') && tokens.push(request));
  await first.stop('SIGKILL');
  await state(page, 'reconnecting');
  assert.equal(await page.getByTestId('state-reason').textContent(), 'transport closed (1)');

  await page.getByTestId('text').fill('typed while away');
  await page.getByTestId('send').click();
  assert.match(await page.getByTestId('notice').textContent(), /Not sent: there is no connection now\. Your text is kept/);
  assert.equal(await page.getByTestId('text').inputValue(), 'typed while away');

  await serveDev(t, first.port);
  await state(page, 'connected', 30_000);
  assert.equal(tokens.length, 1, 'one fresh token was fetched');
  await page.getByTestId('note').filter({ hasText: 'the gap could not be closed' }).waitFor();
  await page.getByTestId('send').click();
  assert.deepEqual(await messages(page, 1), [{ author: 'ada', body: 'typed while away', kind: 'own' }]);
  assert.ok(await page.getByTestId('notice').isHidden());
});

test('a server that shuts down gives its reason', async (t) => {
  const ending = await serveDev(t);
  const page = await open(await newContext(t), ending, { name: 'ada', room: 'end' });
  await Promise.all([state(page, 'reconnecting', 20_000), ending.stop('SIGTERM')]);
  assert.equal(await page.getByTestId('state-reason').textContent(), 'shutdown (3001)');
});

test('a server that asks to slow down is quoted kindly, and the text is kept', async (t) => {
  const page = await (await newContext(t)).newPage();
  await refusing(page, () => true);
  await open(null, server, { name: 'ada', room: 'hasty' }, page);
  await page.getByTestId('text').fill('too fast');
  await page.getByTestId('send').click();
  const notice = page.getByRole('alert');
  await notice.filter({ hasText: 'Slow down a little.' }).waitFor();
  assert.match(await notice.textContent(), /Wait a few seconds and try again\. 111 rate limit exceeded/);
  assert.equal(await page.getByTestId('text').inputValue(), 'too fast');
  assert.equal(await page.getByTestId('message').count(), 0);
  await page.getByRole('button', { name: 'Dismiss' }).click();
  assert.ok(await notice.isHidden());
});
