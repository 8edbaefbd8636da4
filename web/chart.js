// A small chart of what lately was: one line or two, from the left to now.

import { drawing, element } from './elements.js';

const WIDTH = 240;
const HEIGHT = 64;
/** Readings that are shown: a minute, one a second. */
const SHOWN = 60;

export class Chart {
  element = element('section', 'card chart', '', 'chart');
  #title;
  #say;
  #least;
  #isBinary;
  #value = element('p', 'chart-value', '–', 'chart-value');
  #aside = element('p', 'hint chart-aside');
  #top = element('span', 'chart-top');
  #plot = drawing('svg', { class: 'plot', viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
  #meter = element('div', 'meter');
  #fill = element('div', 'meter-fill');
  #series;

  /**
   * `say` writes a value; `least` is the smallest height of the scale, so that noise looks small; `names` are of the lines;
   * `isBinary` scales by powers of two.
   */
  constructor({ id, title, say, least, names = [''], hasLimit = false, isBinary = false }) {
    Object.assign(this, { id });
    this.#title = title;
    this.#say = say;
    this.#least = least;
    this.#isBinary = isBinary;
    this.#series = names.map((name, at) => ({
      name,
      values: [],
      area: drawing('path', { class: `area area-${at}` }),
      line: drawing('path', { class: `line line-${at}` }),
    }));
    this.element.dataset.chart = id;
    const head = element('h3', 'small-title', title);
    const frame = element('div', 'plot-frame');
    for (const { area, line } of this.#series) this.#plot.append(area, line);
    frame.append(this.#top, this.#plot);
    this.element.append(head, this.#value, this.#aside, frame);
    if (hasLimit) {
      this.#meter.append(this.#fill);
      this.element.append(this.#meter);
    }
  }

  /** Another reading, one value for each line; `aside` is said below the value, `share` is of the limit, 0 to 1. */
  push(values, aside = '', share = 0) {
    this.#series.forEach((one, at) => {
      one.values.push(values[at] ?? 0);
      if (one.values.length > SHOWN) one.values.shift();
    });
    this.#value.replaceChildren(...this.#series.map(({ name }, at) => {
      const shown = element('span', `chart-number number-${at}`, this.#say(values[at]));
      if (name) shown.append(' ', element('small', '', name));
      return shown;
    }));
    this.#aside.textContent = aside;
    this.#fill.style.width = `${Math.min(share, 1) * 100}%`;
    this.#draw();
  }

  #draw() {
    const most = Math.max(this.#least, ...this.#series.flatMap(({ values }) => values));
    const top = this.#isBinary ? 2 ** Math.ceil(Math.log2(most)) : nice(most);
    this.#top.textContent = this.#say(top);
    for (const { values, area, line } of this.#series) {
      const step = WIDTH / (SHOWN - 1);
      const begin = WIDTH - (values.length - 1) * step;
      const points = values.map((value, at) => `${(begin + at * step).toFixed(1)} ${(HEIGHT - 2 - (value / top) * (HEIGHT - 6)).toFixed(1)}`);
      const path = `M${points.join('L')}`;
      line.setAttribute('d', path);
      area.setAttribute('d', `${path}L${WIDTH} ${HEIGHT}L${begin.toFixed(1)} ${HEIGHT}Z`);
    }
    const spoken = this.#series.map(({ name, values }) => `${name} now ${this.#say(values.at(-1))}, at most ${this.#say(Math.max(...values))}`);
    this.#plot.setAttribute('aria-label', `${this.#title}, the last minute: ${spoken.join('; ')}`);
  }
}

/** The next of 1, 2, 5, 10, … at or above a value. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) ?? value;
}
