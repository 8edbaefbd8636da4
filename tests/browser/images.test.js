// The pictures of the demo in docs/images: WRITE_IMAGES=1 makes them anew.

import assert from 'node:assert/strict';
import { mkdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { draw, go, goToBoard, isDry, messages, open, placeOn, say } from './page.js';
import { DESKTOP, newContext, onPhone, server } from './stage.js';

const FOLDER = resolve(import.meta.dirname, '../../docs/images');
const MOST_BYTES = 150_000;
const skip = process.env.WRITE_IMAGES ? false : 'WRITE_IMAGES is not set';

const desktop = { viewport: DESKTOP };
const phone = { ...onPhone, deviceScaleFactor: 1.5 };

for (const [views, device, colorScheme, room] of [
  [['chat', 'inspector'], 'desktop', 'light', 'lobby'],
  [['board', 'dashboard'], 'desktop', 'dark', 'ice-floe'],
  [['chat', 'dashboard'], 'phone', 'light', 'harbour'],
  [['board', 'inspector'], 'phone', 'dark', 'lighthouse'],
]) {
  test(`pictures: ${views.join(', ')} on a ${device}, ${colorScheme}`, { skip }, async (t) => {
    await mkdir(FOLDER, { recursive: true });
    const others = await newContext(t);
    const bob = await open(others, server, { name: 'bob', room });
    await say(bob, 'Is this thing on?');
    await say(bob, 'I leave this here for whoever comes.');
    const context = await newContext(t, { ...(device === 'phone' ? phone : desktop), colorScheme, reducedMotion: 'reduce' });
    const page = await open(context, server, { name: 'ada', room });
    await say(page, 'It is on. Your words waited for me.');
    await server.api('publish', { channel: `room-${room}`, data: { text: 'Maintenance at noon.' } });
    await server.api('publish', { channel: `room-${room}`, data: { temperature: 21.5, unit: 'C' } });
    const cleo = await open(others, server, { name: 'cleo', room });
    await page.getByTestId('note').filter({ hasText: 'cleo came in' }).waitFor();
    await say(cleo, 'Hello you two! Shall we draw something?');
    await say(page, 'Come to the board, there is a seal to be made.');
    await messages(page, 7);
    for (const view of views) {
      await SCENES[view](page, bob, cleo);
      const path = join(FOLDER, `${view}-${device}-${colorScheme}.png`);
      await page.screenshot({ path });
      const { size } = await stat(path);
      assert.ok(size < MOST_BYTES, `${path} has ${size} bytes`);
    }
  });
}

const SCENES = {
  async chat(page) {
    await page.getByTestId('text').fill('On my way …');
  },

  async board(page, bob, cleo) {
    for (const visitor of [page, bob, cleo]) await goToBoard(visitor);
    for (const [visitor, points, pen] of [
      [bob, smooth(SEAL), { colour: 1, width: 1 }],
      [bob, smooth(FLIPPER), { colour: 1, width: 1 }],
      [cleo, smooth(WATER), { colour: 2, width: 2 }],
      [page, circle(0.715, 0.3, 0.008), { colour: 0, width: 1 }],
      [page, smooth([[0.755, 0.375], [0.735, 0.385], [0.715, 0.37]]), { colour: 0, width: 0 }],
      [page, [[0.775, 0.345], [0.86, 0.34]], { colour: 0, width: 0 }],
      [page, [[0.775, 0.355], [0.855, 0.385]], { colour: 0, width: 0 }],
      [page, circle(0.845, 0.22, 0.06), { colour: 3, width: 1 }],
      [cleo, circle(0.16, 0.2, 0.075), { colour: 4, width: 1 }],
      ...[0, 1, 2, 3, 4, 5, 6, 7].map((ray) => [cleo, [0.11, 0.145].map((far) => around(0.16, 0.2, far, (ray * Math.PI) / 4)), { colour: 4, width: 0 }]),
    ]) await draw(visitor, points, pen);
    await page.waitForFunction(isDry);
    await bob.mouse.move(...(await placeOn(bob))([0.42, 0.36]), { steps: 3 });
    await cleo.mouse.move(...(await placeOn(cleo))([0.27, 0.12]), { steps: 3 });
    await page.getByTestId('cursor').nth(1).waitFor();
  },

  async dashboard(page, bob, cleo) {
    await go(page, 'dashboard');
    await go(bob, 'inspector');
    await bob.getByTestId('sample').selectOption('A channel that there is not');
    await bob.getByTestId('send-command').click();
    await page.getByTestId('errors').getByText('subscribe').waitFor();
    for (const visitor of [bob, cleo]) await goToBoard(visitor);
    const [, room] = /#\/board\/(.*)$/.exec(bob.url());
    // Long enough for the charts to show something.
    for (let second = 0; second < 45; second += 1) {
      const count = Math.round(12 + 8 * Math.sin(second / 4) + (second % 11 === 0 ? 30 : 0));
      await Promise.all(Array.from({ length: count }, () => server.api('publish', { channel: `cursors:${room}`, data: { second } })));
      await page.waitForTimeout(1_000);
    }
  },

  async inspector(page, bob) {
    await go(page, 'inspector');
    await go(bob, 'chat');
    await say(bob, 'Look at the wire.');
    await page.getByTestId('sample').selectOption('A channel that there is not');
    await page.getByTestId('send-command').click();
    await page.getByTestId('frame').filter({ hasText: 'error 102' }).waitFor();
    await page.getByTestId('frame').filter({ hasText: 'pub in room-' }).first().click();
    await page.evaluate(() => scrollTo(0, 0));
  },
};

const SEAL = [
  [0.13, 0.71], [0.08, 0.62], [0.16, 0.65], [0.28, 0.57], [0.45, 0.5], [0.58, 0.4], [0.64, 0.29], [0.7, 0.235], [0.765, 0.255],
  [0.795, 0.32], [0.765, 0.385], [0.735, 0.46], [0.735, 0.6], [0.69, 0.72], [0.55, 0.765], [0.35, 0.77], [0.2, 0.74], [0.13, 0.71],
];
const FLIPPER = [[0.62, 0.6], [0.62, 0.7], [0.55, 0.8], [0.65, 0.77], [0.7, 0.68]];
const WATER = Array.from({ length: 17 }, (_, at) => [0.04 + at * 0.0575, at % 2 ? 0.86 : 0.9]);

function around(x, y, radius, angle) {
  return [x + radius * Math.cos(angle), y + (radius * 4 * Math.sin(angle)) / 3];
}

function circle(x, y, radius) {
  return Array.from({ length: 21 }, (_, at) => around(x, y, radius, (at * Math.PI) / 10));
}

/** A curve through points (Catmull-Rom). */
function smooth(points) {
  const parts = 3;
  const curve = [];
  for (let at = 0; at < points.length - 1; at += 1) {
    const [before, from, to, after] = [points[at - 1] ?? points[at], points[at], points[at + 1], points[at + 2] ?? points[at + 1]];
    for (let part = 0; part < parts; part += 1) {
      const t = part / parts;
      curve.push([0, 1].map((axis) => 0.5 * (2 * from[axis] + (to[axis] - before[axis]) * t
        + (2 * before[axis] - 5 * from[axis] + 4 * to[axis] - after[axis]) * t ** 2
        + (3 * from[axis] - before[axis] - 3 * to[axis] + after[axis]) * t ** 3)));
    }
  }
  return [...curve, points.at(-1)];
}
