// What the visitor's own hand does on the sheet, by mouse, finger, pen or keys.

import { HEIGHT, WIDTH } from './sheet.js';

/** Points closer than this say nothing new, in the sheet's units. */
const STEP = 3;
/** A long line goes out in parts, each small enough for the strictest server. */
export const POINTS_A_PART = 96;
const KEY_STEP = 15;
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Tells `moved(at)` for each step (null: away from the sheet), `drawn(points)` while the pen is down, and
 * `done(points)` for each finished part.
 */
export class Pen {
  #canvas;
  #told;
  /** Points of the open part; null while the pen is up. */
  #points = null;
  #pointer = null;
  #at = [WIDTH / 2, HEIGHT / 2];

  constructor(canvas, told) {
    this.#canvas = canvas;
    this.#told = told;
    canvas.addEventListener('pointerdown', (event) => this.#press(event));
    canvas.addEventListener('pointermove', (event) => this.#follow(event));
    for (const end of ['pointerup', 'pointercancel']) canvas.addEventListener(end, (event) => event.pointerId === this.#pointer && this.lift());
    canvas.addEventListener('pointerleave', () => !this.#points && told.moved(null));
    canvas.addEventListener('keydown', (event) => this.#key(event));
    canvas.addEventListener('blur', () => this.#pointer === null && this.lift());
  }

  /** Ends the line that is open, if one is. */
  lift() {
    if (!this.#points) return;
    const points = this.#points;
    this.#points = null;
    this.#pointer = null;
    this.#told.done(points);
  }

  #press(event) {
    if (event.button !== 0 || this.#points) return;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#pointer = event.pointerId;
    this.#down(this.#place(event));
  }

  #follow(event) {
    if (this.#points && event.pointerId !== this.#pointer) return;
    // The browser may have gathered several points since the last frame.
    const steps = event.getCoalescedEvents?.() ?? [];
    for (const step of steps.length ? steps : [event]) this.#go(this.#place(step));
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const way = KEYS[event.key];
    if (!way && event.key !== ' ') return;
    event.preventDefault();
    if (way) this.#go(within(this.#at[0] + way[0] * KEY_STEP, this.#at[1] + way[1] * KEY_STEP));
    else if (this.#points) this.lift();
    else this.#down(this.#at);
    this.#told.moved(this.#at);
  }

  #down(at) {
    this.#at = at;
    this.#points = [...at];
    this.#told.moved(at);
    this.#told.drawn(this.#points);
  }

  #go(at) {
    this.#at = at;
    this.#told.moved(at);
    if (!this.#points) return;
    const [x, y] = this.#points.slice(-2);
    if (Math.hypot(at[0] - x, at[1] - y) < STEP) return;
    this.#points.push(...at);
    if (this.#points.length / 2 >= POINTS_A_PART) {
      this.#told.done(this.#points);
      this.#points = [...at];
    }
    this.#told.drawn(this.#points);
  }

  #place({ clientX, clientY }) {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    return within(((clientX - left) / width) * WIDTH, ((clientY - top) / height) * HEIGHT);
  }
}

const within = (x, y) => [clamp(x, WIDTH), clamp(y, HEIGHT)];
const clamp = (value, most) => Math.round(Math.min(Math.max(value, 0), most));
