// The numbers of the node, in Chromium.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { go, open, say } from './page.js';
import { newContext, server } from './stage.js';

test('the numbers are there without joining, and move with what the node does', async (t) => {
  const context = await newContext(t);
  const onlooker = await context.newPage();
  await onlooker.goto(`${server.http}/#/dashboard`);
  const value = (id) => onlooker.locator(`[data-chart=${id}] [data-testid=chart-value]`);
  await value('connections').filter({ hasText: /^0$/ }).waitFor();
  assert.ok(await onlooker.getByTestId('burst').isDisabled());
  assert.match(await onlooker.getByTestId('node-line').textContent(), /^Sealcast \d+\.\d+\.\d+.*, up for \d/);
  assert.deepEqual((await onlooker.getByTestId('facts').locator('li').allTextContents()).slice(0, 3), ['Ready', 'Redis: not used', 'Development mode']);
  assert.match(await value('memory').textContent(), /^\d+(\.\d)? MiB$/);
  await onlooker.getByTestId('errors').getByText('None since it began.').waitFor();

  const ada = await open(context, server, { name: 'ada', room: 'numbers' });
  await open(context, server, { name: 'bob', room: 'numbers' });
  await value('connections').filter({ hasText: /^2$/ }).waitFor();
  await say(ada, 'hello');
  await value('messages').filter({ hasNotText: /^0 in0 out$/ }).waitFor();
  await onlooker.getByTestId('commands').locator('li').filter({ hasText: 'Command · publish' }).waitFor();

  await go(ada, 'inspector');
  await ada.getByTestId('sample').selectOption('A channel that there is not');
  await ada.getByTestId('send-command').click();
  await onlooker.getByTestId('errors').locator('li').filter({ hasText: 'Error replies · subscribe · 102' }).waitFor();
  await ada.close();
  await value('connections').filter({ hasText: /^1$/ }).waitFor();
  await onlooker.getByTestId('commands').locator('li').filter({ hasText: 'Connection ended' }).waitFor();
});

test('a burst comes back whole, and shows in the charts', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'burst' });
  await go(page, 'dashboard');
  const picture = page.locator('[data-chart=messages] svg');
  await page.getByTestId('burst').click();
  await page.getByTestId('burst-result').filter({ hasText: /^200 of 200 acknowledged in \d+ ms, 200 came back\.$/ }).waitFor();
  await page.waitForFunction((element) => /in now .*, at most (\d{2,}|\d,\d+)/.test(element.getAttribute('aria-label')), await picture.elementHandle());
  const path = await picture.locator('.line-0').getAttribute('d');
  assert.ok(new Set([...path.matchAll(/ ([\d.]+)/g)].map(([, y]) => y)).size > 1, path);
});

test('the page asks for numbers only while they are looked at', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'quiet' });
  const asked = [];
  page.on('request', (request) => request.url().endsWith('/dev/metrics') && asked.push(request));
  await go(page, 'dashboard');
  await page.getByTestId('facts').getByText('Ready').waitFor();
  await go(page, 'chat');
  const before = asked.length;
  assert.ok(before > 0);
  // Long enough for another, were it to come.
  await page.waitForTimeout(2_500);
  assert.equal(asked.length, before);
});
