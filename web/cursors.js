// Where the others point: one arrow for each of their tabs.

import { drawing, element, tone } from './elements.js';
import { HEIGHT, WIDTH } from './sheet.js';

/** One that does not move this long is taken away, milliseconds. */
const RESTS = 30_000;
const MOST = 100;

export class Cursors {
  #layer;
  /** By client. */
  #shown = new Map();
  #isDue = false;

  constructor(layer) {
    this.#layer = layer;
    setInterval(() => this.#forgetResting(), RESTS / 3);
  }

  /** Someone points at `at`, in the sheet's units; at null: no longer. */
  move(client, user, at) {
    if (!at) return this.remove(client);
    if (!this.#shown.has(client)) {
      if (this.#shown.size >= MOST) return undefined;
      this.#shown.set(client, { arrow: this.#arrow(user) });
    }
    Object.assign(this.#shown.get(client), { at, since: performance.now() });
    if (this.#isDue) return undefined;
    this.#isDue = true;
    return requestAnimationFrame(() => this.place());
  }

  remove(client) {
    this.#shown.get(client)?.arrow.remove();
    this.#shown.delete(client);
  }

  clear() {
    for (const client of [...this.#shown.keys()]) this.remove(client);
  }

  /** Puts each where it belongs; also when the sheet has another size. */
  place() {
    this.#isDue = false;
    const { clientWidth, clientHeight } = this.#layer;
    for (const { arrow, at: [x, y] } of this.#shown.values()) {
      arrow.style.transform = `translate(${(x / WIDTH) * clientWidth}px, ${(y / HEIGHT) * clientHeight}px)`;
      arrow.dataset.at = `${x},${y}`;
    }
  }

  #arrow(user) {
    const arrow = element('div', 'cursor', '', 'cursor');
    arrow.dataset.user = user;
    const shape = drawing('svg', { viewBox: '0 0 20 20', class: `ink-${tone(user)}` });
    shape.append(drawing('path', { d: 'M2 2l5.500 15 2.600-6.400L16.500 8z' }));
    arrow.append(shape, element('bdi', `cursor-name tone-${tone(user)}`, user));
    this.#layer.append(arrow);
    return arrow;
  }

  #forgetResting() {
    const now = performance.now();
    for (const [client, { since }] of [...this.#shown]) if (now - since > RESTS) this.remove(client);
  }
}

/** A place on the sheet; null for what is none. */
export function placeOf(at) {
  const isPlace = Array.isArray(at) && at.length === 2 && at.every(Number.isInteger)
    && at[0] >= 0 && at[0] <= WIDTH && at[1] >= 0 && at[1] <= HEIGHT;
  return isPlace ? at : null;
}
