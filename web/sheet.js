// The sheet: lines on two canvases. What everybody has is dry; what is still being drawn is wet, and drawn anew each frame.

/** The sheet has this many units, whatever the size of the window. */
export const WIDTH = 1200;
export const HEIGHT = 900;
export const COLOURS = 6;
export const WIDTHS = [4, 10, 24];

const POINTS_KEPT = 200_000;
const OPEN_KEPT = 200;

export class Sheet {
  #dry;
  #wet;
  #colours;
  #lines = [];
  #points = 0;
  #open = new Map();
  #isDue = false;

  /** `colours()` gives what the pens look like now: it depends on light and dark. */
  constructor(dry, wet, colours) {
    this.#dry = dry;
    this.#wet = wet;
    this.#colours = colours;
  }

  /** How many lines everybody has. */
  get count() {
    return this.#lines.length;
  }

  /** As many pixels as the screen has for it. */
  fit() {
    const { width, height } = this.#wet.getBoundingClientRect();
    if (!width) return;
    for (const canvas of [this.#dry, this.#wet]) {
      canvas.width = Math.round(width * devicePixelRatio);
      canvas.height = Math.round(height * devicePixelRatio);
    }
    this.paint();
  }

  /** Draws everything anew. */
  paint() {
    this.#dry.getContext('2d').clearRect(0, 0, this.#dry.width, this.#dry.height);
    for (const line of this.#lines) this.#draw(this.#dry, line);
    this.#paintWet();
  }

  /** A line for good. */
  add(line) {
    this.#lines.push(line);
    this.#points += line.points.length;
    while (this.#points > POINTS_KEPT) this.#points -= this.#lines.shift().points.length;
    this.#draw(this.#dry, line);
  }

  clear() {
    this.#lines = [];
    this.#points = 0;
    this.paint();
  }

  /** A line that is still being drawn, under a key; null: no longer. */
  wet(key, line) {
    this.#open.delete(key);
    if (line) this.#open.set(key, line);
    if (this.#open.size > OPEN_KEPT) this.#open.delete(this.#open.keys().next().value);
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#paintWet();
    });
  }

  /** Forgets what is still being drawn by those for whom `test(key)` holds. */
  dryUp(test) {
    for (const key of [...this.#open.keys()]) if (test(key)) this.wet(key, null);
  }

  #paintWet() {
    this.#wet.getContext('2d').clearRect(0, 0, this.#wet.width, this.#wet.height);
    for (const line of this.#open.values()) this.#draw(this.#wet, line);
  }

  #draw(canvas, { colour, width, points }) {
    const pen = canvas.getContext('2d');
    const scale = canvas.width / WIDTH;
    pen.lineCap = 'round';
    pen.lineJoin = 'round';
    pen.strokeStyle = this.#colours()[colour];
    pen.lineWidth = WIDTHS[width] * scale;
    pen.beginPath();
    pen.moveTo(points[0] * scale, points[1] * scale);
    for (let at = 2; at < points.length - 2; at += 2) {
      const [x, y] = [points[at] * scale, points[at + 1] * scale];
      // Through the middle of each two points, so that corners are round.
      pen.quadraticCurveTo(x, y, (x + points[at + 2] * scale) / 2, (y + points[at + 3] * scale) / 2);
    }
    pen.lineTo(points.at(-2) * scale, points.at(-1) * scale);
    pen.stroke();
  }
}

/** A line as it goes over the wire: the first point, then steps from each to the next. */
export function pack({ colour, width, points }) {
  return { c: colour, w: width, p: points.map((value, at) => (at < 2 ? value : value - points[at - 2])) };
}

/** The same back; null for what is no line: anyone may publish anything. */
export function unpack(packed) {
  const { c, w, p } = packed ?? {};
  const isLine = Number.isInteger(c) && c >= 0 && c < COLOURS && Number.isInteger(w) && w >= 0 && w < WIDTHS.length
    && Array.isArray(p) && p.length >= 2 && p.length <= 1_000 && p.length % 2 === 0 && p.every(Number.isInteger);
  if (!isLine) return null;
  const points = [];
  p.forEach((value, at) => points.push(at < 2 ? value : value + points[at - 2]));
  return points.every((value, at) => value >= 0 && value <= (at % 2 ? HEIGHT : WIDTH)) ? { colour: c, width: w, points } : null;
}
