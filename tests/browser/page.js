// The demo page as a visitor uses it.

/** Opens the page (in `page`, or in a new tab of `context`), joins, and waits until the room is entered. */
export async function open(context, server, { name, room }, page) {
  page ??= await context.newPage();
  await page.goto(server.http);
  await page.getByTestId('name').fill(name);
  await page.getByTestId('room').fill(room);
  await page.getByTestId('join').click();
  await state(page, 'connected');
  await page.getByTestId('events').filter({ hasText: `subscribed to room-${room}` }).waitFor();
  return page;
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
