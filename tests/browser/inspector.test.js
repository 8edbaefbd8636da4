// The frames of the page's own connection, in Chromium.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { go, open, say, state } from './page.js';
import { newContext, server } from './stage.js';

test('every frame of the connection is there, with its direction, time and size', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'frames' });
  await say(page, 'for the inspector');
  await go(page, 'inspector');
  const rows = (await page.getByTestId('frame').allTextContents()).reverse();
  const order = ['connect, subscribe room-frames', 'connect to 1', 'subscribe to 2', 'publish room-frames'];
  let at = -1;
  for (const what of order) {
    const next = rows.findIndex((row, index) => index > at && new RegExp(`(sent|received)${what}\\d`).test(row.replace(/ B$/, '')));
    assert.ok(next > at, `${what} in ${rows.join('\n')}`);
    at = next;
  }
  assert.ok(rows.every((row) => /^\d\d:\d\d:\d\d\.\d{3}[↓↑•](sent|received|event)/.test(row)), rows.join('\n'));
  assert.ok(!(await page.locator('#frames').textContent()).includes('eyJ'));

  await page.getByTestId('filter').fill('for the inspector');
  await page.waitForFunction(() => document.querySelectorAll('[data-testid=frame]').length === 2);
  await page.getByTestId('frame').last().click();
  const detail = page.getByTestId('detail');
  const sent = JSON.parse(await detail.textContent());
  assert.equal(sent.publish.data.text, 'for the inspector');
  assert.ok((await detail.textContent()).includes('\n  "publish": {\n'), 'indented');
  await page.getByRole('button', { name: 'Raw' }).click();
  assert.deepEqual(JSON.parse(await detail.textContent()), sent);
  assert.ok(!(await detail.textContent()).includes('\n'));
  await page.getByRole('button', { name: 'Hex' }).click();
  assert.match(await detail.textContent(), /^0000 {2}7b 22 /);

  const fact = (name) => page.getByTestId(`fact-${name}`).textContent();
  assert.deepEqual([await fact('state'), await fact('transport'), await fact('reconnects')], ['connected', 'websocket', '0']);
  assert.match(await fact('client'), /^[0-9a-f-]{36}$/);
  assert.match(await fact('node'), /Sealcast/);
  assert.match(await fact('latency'), /^\d+\.\d ms$/);
});

test('tokens are not shown whole', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'secret' });
  await go(page, 'inspector');
  await page.getByTestId('filter').fill('"connect":{"token"');
  await page.waitForFunction(() => document.querySelectorAll('[data-testid=frame]').length === 1);
  await page.getByTestId('frame').click();
  await page.getByRole('button', { name: 'Raw' }).click();
  const [connect] = (await page.getByTestId('detail').textContent()).split('\n');
  assert.match(JSON.parse(connect).connect.token, /^.{12}…$/);
});

test('a command by hand is sent, and its answer comes as a frame', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'lobby' });
  await go(page, 'inspector');
  await page.getByTestId('sample').selectOption('Who is in the lobby?');
  await page.getByTestId('send-command').click();
  await page.getByTestId('frame').filter({ hasText: /presence to 1\d{9}/ }).click();
  const users = Object.values(JSON.parse(await page.getByTestId('detail').textContent()).presence.presence).map(({ user }) => user);
  assert.deepEqual(users, ['ada']);
  await page.getByTestId('sample').selectOption('A channel that there is not');
  await page.getByTestId('send-command').click();
  await page.getByTestId('frame').filter({ hasText: /error 102 to/ }).waitFor();
  for (const wrong of ['', '{', '[]', '7', 'null']) {
    await page.getByTestId('command').fill(wrong);
    await page.getByTestId('send-command').click();
    await page.getByTestId('command-error').filter({ hasText: 'Not sent.' }).waitFor();
  }
  assert.equal(await state(page), 'connected');
});

test('paused, the list stands still; frames are gone when it is cleared; all can be copied', async (t) => {
  const context = await newContext(t, { permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await open(context, server, { name: 'ada', room: 'lobby' });
  await go(page, 'inspector');
  await page.getByTestId('pause').click();
  const before = await page.getByTestId('frame').count();
  const seenBefore = await page.locator('#frame-count').textContent();
  await server.api('publish', { channel: 'room-lobby', data: { text: 'while it is paused' } });
  await page.locator('#frame-count').filter({ hasNotText: seenBefore }).waitFor();
  assert.equal(await page.getByTestId('frame').count(), before);
  await page.getByTestId('pause').click();
  await page.getByTestId('frame').filter({ hasText: 'pub in room-lobby' }).waitFor();

  await page.getByTestId('copy-frames').click();
  await page.getByText('Copied.').waitFor();
  const copied = await page.evaluate(() => navigator.clipboard.readText());
  assert.ok(copied.includes('while it is paused') && !copied.includes('eyJhbGciOiJIUzI1NiIs'), copied);
  await page.getByRole('button', { name: 'Clear', exact: true }).click();
  await page.getByTestId('frame').first().waitFor({ state: 'detached' });
});

test('pings are dim, and can be hidden', async (t) => {
  const page = await (await newContext(t)).newPage();
  await page.routeWebSocket(/connection\/websocket/, (socket) => {
    const real = socket.connectToServer();
    real.onMessage((frame) => {
      socket.send(frame);
      // Real ones come every 25 s.
      if (String(frame).includes('"presence"')) socket.send('{}');
    });
  });
  await open(null, server, { name: 'ada', room: 'pings' }, page);
  await go(page, 'inspector');
  const pings = page.locator('[data-testid=frame][data-ping]');
  await pings.filter({ hasText: 'receivedping' }).waitFor();
  await pings.filter({ hasText: 'sentpong' }).waitFor();
  await page.getByTestId('hide-pings').check();
  assert.equal(await pings.count(), 0);
  assert.ok((await page.getByTestId('frame').count()) > 3);
});
