// The one place where the page says that something was refused or failed, and what to do.

import { part } from './elements.js';

const CANCELLED = 1;
const SLOW_DOWN = 111;

/** What to do about a code; those of the server come from it, see `learnAdvice`. */
const ADVICE = {
  [CANCELLED]: 'This server gives no demo tokens. Start it with "sealcast serve --dev" and join again.',
};

part('notice-close').addEventListener('click', hush);

/** Explanations are a comfort: without them the page works as well. */
export async function learnAdvice() {
  try {
    Object.assign(ADVICE, await (await fetch('/dev/hints')).json());
  } catch {
    // Then only codes and reasons are shown.
  }
}

/** Says that `what` was refused; the error has the code and reason of the server. */
export function refused(what, { code, message }) {
  const calm = code === SLOW_DOWN;
  const advice = ADVICE[code] ?? 'Try again; if it stays, look at the log of the server.';
  say(calm ? 'Slow down a little.' : what, calm ? `${what} ${advice}` : advice, `${code} ${message}`, calm ? 'wait' : 'bad');
}

/** Says something that no code explains. */
export function warn(title, text) {
  say(title, text, '', 'wait');
}

export function hush() {
  part('notice').hidden = true;
}

function say(title, text, code, kind) {
  part('notice').dataset.kind = kind;
  part('notice-title').textContent = title;
  part('notice-text').textContent = text;
  part('notice-code').textContent = code;
  part('notice').hidden = false;
}
