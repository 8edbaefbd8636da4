// The numbers of the node, from Prometheus' text format, and what follows from two readings.

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/i;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** One reading: lists of `{labels, value}` by name. */
export class Numbers {
  #families = new Map();

  constructor(text, at) {
    this.at = at;
    for (const line of text.split('\n')) {
      const [, name, labels = '', value] = LINE.exec(line) ?? [];
      if (!name) continue;
      const sample = { labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, one]) => [key, one])), value: Number(value) };
      this.#families.set(name, [...(this.#families.get(name) ?? []), sample]);
    }
  }

  /** The samples of a name whose labels are those that are asked for. */
  samples(name, labels = {}) {
    const wanted = Object.entries(labels);
    return (this.#families.get(name) ?? []).filter((one) => wanted.every(([key, value]) => one.labels[key] === value));
  }

  /** The sum of them; undefined if there is none. */
  sum(name, labels) {
    const samples = this.samples(name, labels);
    return samples.length ? samples.reduce((sum, { value }) => sum + value, 0) : undefined;
  }

  /** How much a counter grew in a second since an earlier reading. */
  rate(earlier, name, labels) {
    const now = this.sum(name, labels);
    const seconds = (this.at - earlier.at) / 1000;
    if (now === undefined || seconds <= 0) return undefined;
    // A counter that shrank began anew with the process.
    return Math.max(now - (earlier.sum(name, labels) ?? 0), 0) / seconds;
  }
}

/** Reads them once. */
export async function read() {
  const answer = await fetch('/dev/metrics', { cache: 'no-store' });
  if (!answer.ok) throw new Error(`the numbers were answered with status ${answer.status}`);
  return new Numbers(await answer.text(), performance.now());
}

/** Whether the node should get clients. */
export async function readReady() {
  const answer = await fetch('/health/ready');
  // An answer that is not read to its end counts as broken off.
  await answer.text();
  return answer.ok;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(value) {
  if (value === undefined) return '–';
  const step = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), UNITS.length - 1);
  const scaled = value / 1024 ** step;
  return `${scaled.toFixed(step && scaled < 100 ? 1 : 0)} ${UNITS[step]}`;
}

export function count(value) {
  if (value === undefined) return '–';
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
}

export function duration(seconds) {
  if (seconds === undefined) return '–';
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} days`;
}
