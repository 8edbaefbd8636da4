// Whoever comes: by keyboard, with a screen reader, on a phone, with bad intent.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { within } from '../sdk/support/event.js';
import { draw, entered, go, goToBoard, lines, messages, open, say, state, watch } from './page.js';
import { newContext, onPhone, PHONE, server } from './stage.js';

const VIEWS = ['chat', 'board', 'dashboard', 'inspector'];
const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

test('markup from the network is text in every view, and the page breaks no policy', async (t) => {
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
  await goToBoard(page);
  await draw(page, [[0.2, 0.2], [0.5, 0.5]]);
  await lines(page, 1);
  await go(page, 'dashboard');
  await page.getByTestId('facts').getByText('Ready').waitFor();
  await go(page, 'inspector');
  await page.getByTestId('frame').filter({ hasText: 'publish room-markup' }).first().click();
  assert.ok((await page.getByTestId('detail').textContent()).includes('<script>'));
  assert.equal(await page.locator('main').locator('img, script, a[href^="javascript"]').count(), 0);
  await page.goto(`${server.http}/api.html`);
  await page.getByRole('heading', { name: 'POST /api/publish' }).waitFor();
  assert.deepEqual(faults(), []);
});

test('a name that is markup is text wherever it is shown', async (t) => {
  const context = await newContext(t);
  const page = await context.newPage();
  const faults = watch(page);
  await open(context, server, { name: 'ada', room: 'names' }, page);
  const attack = '<img src=x onerror=alert(1)>"\'><script>alert(2)</script>';
  const other = await context.newPage();
  await other.goto(`${server.http}/#/dashboard`);
  // The page itself would not let such a name in; a backend's token may.
  const comes = (channels) => other.evaluate(async ([user, channels]) => {
    const answer = await fetch('/dev/token', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user }) });
    const client = new globalThis.Centrifuge(`${location.origin.replace('http', 'ws')}/connection/websocket`, { token: (await answer.json()).token });
    client.connect();
    for (const [channel, data] of channels) {
      const subscription = client.newSubscription(channel);
      subscription.subscribe();
      await subscription.ready();
      await subscription.publish(data);
    }
  }, [attack, channels]);
  await comes([['room-names', { text: attack }]]);
  await page.getByTestId('note').filter({ hasText: `${attack} came in` }).waitFor();
  await page.getByTestId('person').filter({ hasText: attack }).waitFor();
  assert.deepEqual(await messages(page, 1), [{ author: attack, body: attack, kind: 'other' }]);
  await goToBoard(page);
  await comes([['cursors:names', { at: [600, 450] }], ['board:names', { clear: true }]]);
  await page.getByTestId('cursor').filter({ hasText: attack }).waitFor();
  await page.getByTestId('drawer').filter({ hasText: attack }).waitFor();
  assert.equal(await page.locator('img, main script').count(), 0);
  assert.deepEqual(faults(), []);
});

test('inline scripts and styles are blocked by the policy of the page', async (t) => {
  const page = await (await newContext(t)).newPage();
  const answer = await page.goto(server.http);
  const policy = answer.headers()['content-security-policy'];
  for (const rule of ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
    assert.ok(policy?.includes(rule), `${rule} in ${policy}`);
  }
  const title = await page.title();
  for (const [tag, text, directive] of [['script', 'document.title = "run"', /^script-src/], ['style', 'body { display: none }', /^style-src/]]) {
    const violated = await page.evaluate(([tag, text]) => new Promise((settle) => {
      document.addEventListener('securitypolicyviolation', (event) => settle(event.effectiveDirective), { once: true });
      document.body.append(Object.assign(document.createElement(tag), { textContent: text }));
    }), [tag, text]);
    assert.match(violated, directive);
  }
  assert.equal(await page.title(), title);
  assert.ok(await page.getByTestId('join').isVisible());
});

test('the keyboard is enough to join, talk and leave', async (t) => {
  const page = await (await newContext(t)).newPage();
  await page.goto(server.http);
  await page.keyboard.press('Control+A');
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await entered(page, 'lobby');
  await page.keyboard.type('first line');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('second line');
  await page.keyboard.press('Enter');
  assert.deepEqual((await messages(page, 1)).at(-1), { author: 'keys', body: 'first line\nsecond line', kind: 'own' });
  await page.getByTestId('leave').press('Enter');
  assert.equal(await state(page), 'idle');
  assert.ok(await page.getByTestId('name').evaluate((input) => input === document.activeElement));
});

test('arrows go from tab to tab, each view has an address, and the focus is seen', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'tabs' });
  await page.locator('#tab-chat').focus();
  const onTab = async (view) => {
    await page.getByTestId(`${view}-view`).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), `tab-${view}`);
    assert.equal(await page.locator('[role=tab][aria-selected=true]').getAttribute('data-view'), view);
    assert.equal(await page.locator('[role=tab][tabindex="0"]').count(), 1);
    assert.equal(await page.locator('[role=tabpanel]:visible').count(), 1);
    assert.match(page.url(), new RegExp(`#/${view}`));
    assert.match(await page.title(), new RegExp(view, 'i'));
  };
  for (const view of ['board', 'dashboard', 'inspector', 'chat', 'board']) {
    await page.keyboard.press('ArrowRight');
    await onTab(view);
  }
  for (const [key, view] of [['ArrowLeft', 'chat'], ['End', 'inspector'], ['Home', 'chat']]) {
    await page.keyboard.press(key);
    await onTab(view);
  }
  // From the tab into the view, and everything that has the focus shows it.
  for (let at = 0; at < 12; at += 1) {
    await page.keyboard.press('Tab');
    const seen = await page.evaluate(() => {
      const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
      return document.activeElement === document.body || (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2);
    });
    assert.ok(seen, await page.evaluate(() => document.activeElement.outerHTML.slice(0, 120)));
  }
  for (const view of VIEWS) {
    await page.goto(`${server.http}/#/${view}`);
    await page.getByTestId(`${view}-view`).waitFor();
  }
});

test('frames are chosen by arrows', async (t) => {
  const page = await open(await newContext(t), server, { name: 'ada', room: 'listbox' });
  await go(page, 'inspector');
  await page.getByTestId('frames').focus();
  for (const [key, at] of [['ArrowDown', 0], ['ArrowDown', 1], ['ArrowUp', 0], ['End', -1]]) {
    await page.keyboard.press(key);
    const row = at < 0 ? page.getByTestId('frame').last() : page.getByTestId('frame').nth(at);
    assert.equal(await row.getAttribute('aria-selected'), 'true', key);
    assert.equal(await page.getByTestId('frames').getAttribute('aria-activedescendant'), await row.getAttribute('id'));
  }
});

for (const colorScheme of ['light', 'dark']) {
  test(`nothing in any view is closed to a screen reader or too faint, ${colorScheme}`, async (t) => {
    const context = await newContext(t, { colorScheme, reducedMotion: 'reduce' });
    const page = await context.newPage();
    await page.goto(server.http);
    await check(page, 'joining');
    await open(context, server, { name: 'axe-bob', room: `axe-${colorScheme}` });
    await open(context, server, { name: 'ada', room: `axe-${colorScheme}` }, page);
    await say(page, 'hello');
    await server.api('publish', { channel: `room-axe-${colorScheme}`, data: { text: 'from the server' } });
    await messages(page, 2);
    await check(page, 'chat');
    await goToBoard(page);
    await check(page, 'board');
    await go(page, 'dashboard');
    await page.getByTestId('facts').getByText('Ready').waitFor();
    await check(page, 'dashboard');
    await go(page, 'inspector');
    await page.getByTestId('frame').first().click();
    await check(page, 'inspector');
    await page.setViewportSize(PHONE);
    for (const view of VIEWS) {
      await go(page, view);
      await check(page, `${view} on a phone`);
    }
    await page.goto(`${server.http}/api.html`);
    await page.getByRole('heading', { name: 'POST /api/publish' }).waitFor();
    await check(page, 'server API');
  });
}

test('colours can be chosen, and the choice stays', async (t) => {
  const page = await (await newContext(t, { colorScheme: 'light' })).newPage();
  await page.goto(server.http);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  const button = page.getByTestId('theme');
  assert.equal(await button.getAttribute('aria-label'), 'Colours: system');
  await button.click();
  assert.equal(await ground(), light);
  await button.click();
  assert.equal(await button.getAttribute('aria-label'), 'Colours: dark');
  assert.notEqual(await ground(), light);
  await page.goto(`${server.http}/api.html`);
  assert.notEqual(await ground(), light);
  await page.reload();
  assert.notEqual(await ground(), light);
});

test('nothing moves for who wants it still', async (t) => {
  for (const [reducedMotion, animation] of [['no-preference', 'arrive'], ['reduce', 'none']]) {
    const page = await open(await newContext(t, { reducedMotion }), server, { name: 'ada', room: `motion-${animation}` });
    await say(page, 'hello');
    assert.equal(await page.getByTestId('message').evaluate((message) => getComputedStyle(message).animationName), animation);
  }
});

test('a phone shows every view without scrolling sideways', async (t) => {
  const page = await open(await newContext(t, onPhone), server, { name: 'a'.repeat(32), room: 'r'.repeat(32) });
  await say(page, `${'w'.repeat(300)} ${'short '.repeat(30)}`);
  await server.api('publish', { channel: `room-${'r'.repeat(32)}`, data: { key: 'v'.repeat(300) } });
  await messages(page, 2);
  await noSidewaysScroll(page, 'chat');
  await page.getByRole('button', { name: /here: show who/ }).click();
  await page.getByTestId('person').first().waitFor();
  await noSidewaysScroll(page, 'chat with people');
  for (const view of VIEWS.slice(1)) {
    await go(page, view);
    if (view === 'inspector') await page.getByTestId('frame').first().click();
    await noSidewaysScroll(page, view);
  }
  await go(page, 'chat');
  await page.getByTestId('leave').click();
  await noSidewaysScroll(page, 'joining');
  await page.goto(`${server.http}/api.html`);
  await page.getByRole('heading', { name: 'POST /api/publish' }).waitFor();
  await noSidewaysScroll(page, 'server API');
});

test('a page of another origin cannot open the socket or get a token', async (t) => {
  const other = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end('<!doctype html><title>other</title>'));
  await new Promise((listening) => other.listen(0, '127.0.0.1', listening));
  t.after(() => other.close());
  const page = await (await newContext(t)).newPage();
  await page.goto(`http://127.0.0.1:${other.address().port}/`);

  const outcome = await within(10_000, 'the outcome', page.evaluate((address) => new Promise((settle) => {
    const socket = new WebSocket(address);
    const heard = [];
    socket.onmessage = (event) => heard.push(event.data);
    socket.onopen = () => socket.send('{"id":1,"connect":{}}');
    socket.onclose = (event) => settle({ code: event.code, reason: event.reason, heard });
  }), server.ws));
  // In development mode a page is told why; elsewhere the handshake is refused with 403.
  assert.equal(outcome.code, 3507);
  assert.match(outcome.reason, /^origin not allowed, see client.allowed_origins: "http:\/\/127/);
  assert.deepEqual(outcome.heard, []);

  const refused = page.waitForResponse(`${server.http}/dev/token`);
  // Without CORS the request itself is sent; the server has to refuse it by its Origin.
  await page.evaluate((address) => fetch(address, { method: 'POST', mode: 'no-cors', body: '{"user":"ada"}' }), `${server.http}/dev/token`);
  assert.equal((await refused).status(), 403);
  const numbers = await page.evaluate((address) => fetch(address).then(() => 'read', () => 'closed'), `${server.http}/dev/metrics`);
  assert.equal(numbers, 'closed');
});

/** The rules of WCAG 2.2 at level AA that a program can check, and axe's good practices. */
async function check(page, view) {
  const { violations, passes } = await page.evaluate(`${AXE}; axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })`);
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html} (${any.map(({ message }) => message).join('; ')})`).join('\n  ')}`);
  assert.deepEqual(found, [], view);
  assert.ok(passes.length > 15, `${passes.length} rules hold in ${view}`);
}

async function noSidewaysScroll(page, view) {
  const { content, window } = await page.evaluate(() => ({ content: document.documentElement.scrollWidth, window: innerWidth }));
  assert.equal(window, PHONE.width, view);
  assert.ok(content <= window, `${view}: ${content} px in a window of ${window} px`);
}
