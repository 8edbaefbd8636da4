// The demo as a visitor uses it.

import { noteSent } from '../sdk/support/evidence.js';

/** Opens the page (in `page`, or in a new tab of `context`), joins, and waits until the room is entered. */
export async function open(context, server, { name, room }, page) {
  page ??= await context.newPage();
  noteFrames(page);
  await page.goto(`${server.http}/#/chat/${room}`);
  await page.getByTestId('name').fill(name);
  await page.getByTestId('join').click();
  await entered(page, room);
  return page;
}

/** Waits until the page is in a room of the chat, and knows who else is. */
export async function entered(page, room) {
  await state(page, 'connected');
  await page.getByTestId('chat-title').filter({ hasText: room }).waitFor();
  await page.locator('[data-testid=room-state][data-state=here]').waitFor();
  // On a phone the list is folded away.
  await page.getByTestId('person').first().waitFor({ state: 'attached' });
}

/** Goes to a view by its tab. */
export async function go(page, view) {
  await page.locator(`#tab-${view}`).click();
  await page.getByTestId(`${view}-view`).waitFor();
}

/** Goes to the board, and waits until it shows what was drawn before. */
export async function goToBoard(page) {
  await go(page, 'board');
  await page.getByTestId('drawer').first().waitFor();
  await page.getByTestId('board-state').filter({ hasNotText: 'Opening' }).waitFor();
}

/** Sends a message and waits until it is shown, so that what follows comes after it. */
export async function say(page, text) {
  const own = page.locator('[data-testid=message][data-kind=own]');
  const before = await own.count();
  await page.getByTestId('text').fill(text);
  await page.getByTestId('send').click();
  await own.nth(before).waitFor();
}

/** Waits for at least `count` messages and gives all that are shown. */
export async function messages(page, count) {
  const shown = page.getByTestId('message');
  await shown.nth(count - 1).waitFor();
  return shown.evaluateAll((all) => all.map((one) => ({
    author: one.querySelector('[data-testid=author]').textContent,
    body: one.querySelector('[data-testid=body]').textContent,
    kind: one.dataset.kind,
  })));
}

/** Draws a line through points, each a share of the sheet's width and height. */
export async function draw(page, points, { colour, width } = {}) {
  for (const [name, value] of Object.entries({ colour, width })) {
    if (value !== undefined) await page.locator(`input[name=${name}][value="${value}"]`).check();
  }
  const place = await placeOn(page);
  await page.mouse.move(...place(points[0]));
  await page.mouse.down();
  for (const point of points.slice(1)) await page.mouse.move(...place(point), { steps: 3 });
  await page.mouse.up();
}

/** From shares of the sheet to a place on the page. */
export async function placeOn(page) {
  const { x, y, width, height } = await page.getByTestId('canvas').boundingBox();
  return ([across, down]) => [x + across * width, y + down * height];
}

/** Waits until the sheet has so many lines that everybody has. */
export const lines = (page, count) => page.locator(`#sheet[data-lines="${count}"]`).waitFor();

/** Runs in the page: nothing is still being drawn. */
export function isDry() {
  const canvas = document.getElementById('wet');
  return !canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0);
}

/** How many pixels of a canvas are drawn on. */
export const ink = (page, canvas) => page.locator(canvas).evaluate((element) => {
  const { data } = element.getContext('2d').getImageData(0, 0, element.width, element.height);
  let drawn = 0;
  for (let at = 3; at < data.length; at += 4) drawn += data[at] > 0 ? 1 : 0;
  return drawn;
});

/** The state of the connection; waits for `wanted` if given. */
export async function state(page, wanted, timeout = 10_000) {
  const pill = page.getByTestId('state');
  if (wanted) await page.locator(`[data-testid=state][data-state=${wanted}]`).waitFor({ timeout });
  return pill.getAttribute('data-state');
}

/** Starts to note everything that a visitor's console would show as a fault, dialogs too; call the result to see it. */
export function watch(page) {
  const faults = [];
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('requestfailed', (request) => faults.push(`failed: ${request.url()}`));
  page.on('response', (answer) => answer.status() >= 400 && faults.push(`${answer.status()}: ${answer.url()}`));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  return () => faults;
}

/** When it has been opened, error 111 answers what `page` publishes, where `test(command)` holds; gives what was refused so far. */
export async function refusing(page, test) {
  const refused = [];
  await page.routeWebSocket(/connection\/websocket/, (socket) => {
    const real = socket.connectToServer();
    socket.onMessage((frame) => {
      const passed = frame.split('\n').filter((line) => {
        const command = JSON.parse(line);
        if (!command.publish || !test(command)) return true;
        refused.push(command);
        socket.send(JSON.stringify({ id: command.id, error: { code: 111, message: 'rate limit exceeded', temporary: true } }));
        return false;
      });
      if (passed.length) real.send(passed.join('\n'));
    });
  });
  return refused;
}

const frames = new WeakMap();

/** The frames that a page has sent since it was opened. */
export const sentBy = (page) => frames.get(page);

function noteFrames(page) {
  const sent = [];
  frames.set(page, sent);
  page.on('websocket', (socket) => socket.on('framesent', ({ payload }) => {
    sent.push(String(payload));
    noteSent(String(payload));
  }));
}
