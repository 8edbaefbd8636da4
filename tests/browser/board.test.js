// Cursors and drawing, in Chromium.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { draw, goToBoard, ink, isDry, lines, open, placeOn, refusing, sentBy } from './page.js';
import { newContext, onPhone, server } from './stage.js';

const ACROSS = [[0.2, 0.2], [0.5, 0.6], [0.8, 0.3]];

test('each sees the other\'s cursor with its name, and no longer when the other leaves', async (t) => {
  const [ada, bob] = await pair(t, 'cursors');
  const cursor = ada.getByTestId('cursor');
  await bob.mouse.move(...(await placeOn(bob))([0.25, 0.5]));
  await cursor.filter({ hasText: 'bob' }).waitFor();
  const near = async (x, y) => ada.waitForFunction(([wantedX, wantedY]) => {
    const [x, y] = (document.querySelector('[data-testid=cursor]')?.dataset.at ?? '').split(',').map(Number);
    return Math.abs(x - wantedX) < 5 && Math.abs(y - wantedY) < 5;
  }, [x, y]);
  await near(300, 450);
  await bob.mouse.move(...(await placeOn(bob))([0.75, 0.25]), { steps: 20 });
  await near(900, 225);
  assert.equal(await bob.getByTestId('cursor').count(), 0, 'nobody sees their own');

  await bob.mouse.move(2, 2);
  await cursor.waitFor({ state: 'detached' });
  await bob.mouse.move(...(await placeOn(bob))([0.5, 0.5]));
  await cursor.waitFor();
  await bob.locator('#tab-chat').click();
  await cursor.waitFor({ state: 'detached' });
  await ada.getByTestId('drawer').filter({ hasText: 'bob' }).waitFor({ state: 'detached' });
});

test('a line is seen while it is drawn, is there for who comes later, and goes when the board is cleared', async (t) => {
  const [ada, bob] = await pair(t, 'lines');
  const place = await placeOn(ada);
  await ada.mouse.move(...place([0.1, 0.1]));
  await ada.mouse.down();
  await ada.mouse.move(...place([0.6, 0.5]), { steps: 10 });
  await bob.waitForFunction(`!(${isDry})()`);
  assert.equal(await ink(bob, '#dry'), 0, 'it is still wet');
  await ada.mouse.up();
  for (const page of [ada, bob]) {
    await lines(page, 1);
    await page.waitForFunction(isDry);
    assert.ok(await ink(page, '#dry') > 100);
  }
  await draw(bob, ACROSS, { colour: 3, width: 2 });
  await lines(ada, 2);

  const late = await open(ada.context(), server, { name: 'late-cleo', room: 'lines' });
  await goToBoard(late);
  await lines(late, 2);
  assert.equal(await late.getByTestId('board-state').textContent(), '2 lines were here already.');
  assert.equal(await ink(late, '#dry'), await ink(ada, '#dry'));

  // Or it could come after what is said of the clearing.
  await ada.getByTestId('board-state').filter({ hasText: 'late-cleo came in.' }).waitFor();
  await late.getByTestId('clear').click();
  for (const page of [ada, bob, late]) {
    await lines(page, 0);
    assert.equal(await ink(page, '#dry'), 0);
  }
  await ada.getByTestId('board-state').filter({ hasText: 'late-cleo cleared the board.' }).waitFor();
  await ada.reload();
  await goToBoard(ada);
  assert.equal(await ada.getByTestId('board-state').textContent(), 'A fresh sheet.');
});

test('what is being drawn goes out joined, and is the same line for everybody', async (t) => {
  const [ada, bob] = await pair(t, 'strokes');
  const place = await placeOn(ada);
  const joined = async () => {
    const text = await (await fetch(`http://${server.ready.metrics}/metrics`)).text();
    return Number(/^sealcast_shaped_total\{mode="batch",step="joined"\} (\d+)$/m.exec(text)[1]);
  };
  const before = await joined();
  await ada.mouse.move(...place([0.1, 0.1]));
  for (let at = 0; at < 100 && (at < 5 || await joined() === before); at += 1) {
    await ada.mouse.down();
    await ada.mouse.move(...place([0.1 + (at % 10) * 0.08, 0.2 + (at % 7) * 0.1]), { steps: 12 });
    if (at < 4) await ada.mouse.up();
  }
  assert.ok(await joined() > before, 'something was joined');
  // The pen is still down, and the lines before it are dry.
  await lines(bob, 4);
  let inks;
  for (let tries = 0; tries < 100 && !(inks && inks[0] > 50 && inks[0] === inks[1]); tries += 1) {
    inks = [await ink(ada, '#wet'), await ink(bob, '#wet')];
  }
  assert.ok(inks[0] > 50 && inks[0] === inks[1], String(inks));
  const moves = sentBy(ada).filter((frame) => frame.includes('"cursors:strokes"') && frame.includes('"publish"'));
  assert.ok(moves.length && moves.every((frame) => !frame.includes('"line"')));
});

test('a long line arrives whole, in parts that the strictest server takes', async (t) => {
  const [ada, bob] = await pair(t, 'long');
  await draw(ada, Array.from({ length: 40 }, (_, at) => [0.05 + (at % 2) * 0.9, 0.05 + at * 0.02]));
  await ada.waitForFunction(isDry);
  const parts = sentBy(ada).filter((frame) => frame.includes('"board:long"') && frame.includes('"publish"'));
  assert.ok(parts.length > 1, String(parts.length));
  assert.ok(parts.every((frame) => frame.length < 1_024), 'no frame of 1 KiB');
  await lines(bob, parts.length);
  assert.equal(await ink(bob, '#dry'), await ink(ada, '#dry'));
});

test('however fast a pointer is, it sends no more than the screen shows', async (t) => {
  const [ada] = await pair(t, 'pace');
  const took = await ada.getByTestId('canvas').evaluate(async (canvas) => {
    const { left, top } = canvas.getBoundingClientRect();
    const began = performance.now();
    let frames = 0;
    const count = () => (frames += 1) && requestAnimationFrame(count);
    requestAnimationFrame(count);
    for (let moves = 0; performance.now() - began < 1_500; moves += 1) {
      canvas.dispatchEvent(new PointerEvent('pointermove', { clientX: left + (moves % 300), clientY: top + 50, bubbles: true }));
      if (moves % 10 === 0) await new Promise((wake) => setTimeout(wake, 1));
    }
    return { frames, seconds: (performance.now() - began) / 1000 };
  });
  const sent = sentBy(ada).filter((frame) => frame.includes('"cursors:pace"') && frame.includes('"publish"'));
  assert.ok(sent.length > 1, 'it moves');
  assert.ok(sent.length <= took.frames + 1, `${sent.length} in ${took.frames} frames`);
  assert.ok(sent.length <= 62 * took.seconds + 2, `${sent.length} in ${took.seconds} s`);
});

test('a server that asks to slow down gets fewer, and the visitor is told', async (t) => {
  const page = await (await newContext(t)).newPage();
  const refused = await refusing(page, ({ publish }) => publish.channel.startsWith('cursors:'));
  await open(null, server, { name: 'ada', room: 'slow' }, page);
  await goToBoard(page);
  const place = await placeOn(page);
  const notice = page.getByTestId('notice');
  for (let at = 0; !/every (400|800|1000) ms/.test(await notice.textContent()); at += 1) {
    assert.ok(at < 3_000 && refused.length < 10, `${refused.length} sent: ${await notice.textContent()}`);
    await page.mouse.move(...place([0.2 + (at % 50) / 100, 0.5]));
  }
  assert.match(await notice.textContent(), /Slow down a little\. Your cursor is sent every \d+ ms for now\..*111/);
});

test('what is no line and no place is passed over, and nothing breaks', async (t) => {
  const [ada] = await pair(t, 'rubbish');
  for (const data of [null, 7, { line: { c: 9, w: 0, p: [1, 1] } }, { line: { c: 0, w: 0, p: [1, 1, 1e9, 0] } }, { line: { c: 0, w: 0, p: ['x', 1] } }, { line: [] }]) {
    await server.api('publish', { channel: 'board:rubbish', data });
    await server.api('publish', { channel: 'cursors:rubbish', data: { at: data } });
  }
  await server.api('publish', { channel: 'board:rubbish', data: { line: { c: 0, w: 0, p: [10, 10, 50, 50] } } });
  await lines(ada, 1);
});

test('a finger draws, and the page does not scroll with it', async (t) => {
  const page = await open(await newContext(t, onPhone), server, { name: 'thumb', room: 'touch' });
  await goToBoard(page);
  const place = await placeOn(page);
  const session = await page.context().newCDPSession(page);
  const touch = (type, points) => session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map((point) => ({ x: place(point)[0], y: place(point)[1] })) });
  await touch('touchStart', [[0.3, 0.8]]);
  for (let at = 0; at < 10; at += 1) await touch('touchMove', [[0.3 + at * 0.04, 0.8 - at * 0.07]]);
  await touch('touchEnd', []);
  await lines(page, 1);
  assert.ok(await ink(page, '#dry') > 100);
  assert.equal(await page.evaluate(() => scrollY), 0);
});

test('the keyboard draws', async (t) => {
  const [ada, bob] = await pair(t, 'keys');
  await ada.getByTestId('canvas').focus();
  await ada.keyboard.press('Space');
  for (const key of ['ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowLeft']) await ada.keyboard.press(key);
  await ada.keyboard.press('Space');
  await lines(bob, 1);
  assert.ok(await ink(bob, '#dry') > 50);
});

/** Two visitors at the board of a room. */
async function pair(t, room) {
  const context = await newContext(t);
  const pages = [];
  for (const name of ['ada', 'bob']) {
    const page = await open(context, server, { name, room });
    await goToBoard(page);
    pages.push(page);
  }
  return pages;
}
