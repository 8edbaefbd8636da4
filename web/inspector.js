// What goes over the wire of this page, frame by frame, and a hand to send commands.

import { copy, element, onSubmit, part } from './elements.js';

/** Rows on the page; older frames are found by the filter. */
const ROWS = 200;
const ARROWS = { in: '↓', out: '↑', event: '•' };
const SPOKEN = { in: 'received', out: 'sent', event: 'event' };
const BYTES_SHOWN = 4_096;
const FACTS_EVERY = 1_000;

const SAMPLES = {
  'Who is in the lobby?': { presence: { channel: 'room-lobby' } },
  'The last three messages of the lobby': { history: { channel: 'room-lobby', limit: 3, reverse: true } },
  'Say something in the lobby': { publish: { channel: 'room-lobby', data: { text: 'by hand' } } },
  'A method that there is not': { rpc: { method: 'fortune', data: {} } },
  'A channel that there is not': { subscribe: { channel: 'nowhere:at-all' } },
};

let connection = null;
let unwatch = null;
/** What is shown while it is paused: the frames at that moment. */
let paused = null;
let chosen = null;
let form = 'json';
let isShown = false;
let isDue = false;
let timer = 0;

part('sample').append(...Object.keys(SAMPLES).map((text) => element('option', '', text)));
part('sample').addEventListener('change', fillCommand);
fillCommand();
onSubmit('command-form', sendCommand);
part('pause').addEventListener('click', pause);
part('forget').addEventListener('click', forget);
part('hide-pings').addEventListener('change', paint);
part('filter').addEventListener('input', paint);
part('copy-frames').addEventListener('click', () => copy(visible().map(lineOf).join('\n'), part('frames-copied')));
part('copy-frame').addEventListener('click', () => copy(part('detail').textContent, part('frames-copied'), part('detail')));
part('frames').addEventListener('keydown', step);
part('frames').addEventListener('click', ({ target }) => choose(Number(target.closest('li')?.dataset.number)));
for (const button of document.querySelectorAll('[data-form]')) {
  button.addEventListener('click', () => {
    form = button.dataset.form;
    for (const one of document.querySelectorAll('[data-form]')) one.setAttribute('aria-pressed', String(one === button));
    showDetail();
  });
}

export function enter(joined) {
  connection = joined;
  unwatch = joined.frames.watch(soon);
}

export function exit() {
  unwatch();
  connection = null;
  paused = null;
  choose(NaN);
}

export function show() {
  isShown = true;
  showFacts();
  paint();
  timer = setInterval(showFacts, FACTS_EVERY);
}

export function hide() {
  isShown = false;
  clearInterval(timer);
}

// Frames

/** Many frames may come between two pictures of the screen. */
function soon() {
  if (isDue || !isShown) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    if (isShown && connection) paint();
  });
}

function visible() {
  const text = part('filter').value.trim().toLowerCase();
  const frames = paused ?? connection?.frames.list ?? [];
  return frames.filter((frame) => !(part('hide-pings').checked && frame.isPing)
    && (!text || frame.what.toLowerCase().includes(text) || frame.text.toLowerCase().includes(text)));
}

function paint() {
  const list = part('frames');
  const frames = visible().slice(0, ROWS);
  const known = new Map([...list.children].map((row) => [Number(row.dataset.number), row]));
  list.replaceChildren(...frames.map((frame) => known.get(frame.number) ?? rowOf(frame)));
  part('frame-count').textContent = `${frames.length} shown, ${connection?.frames.seen ?? 0} seen`;
  markChosen();
}

function rowOf(frame) {
  const row = element('li', `frame frame-${frame.direction}`, '', 'frame');
  row.id = `frame-${frame.number}`;
  row.dataset.number = frame.number;
  row.setAttribute('role', 'option');
  if (frame.isPing) row.dataset.ping = '';
  const arrow = element('span', 'frame-arrow', ARROWS[frame.direction]);
  arrow.setAttribute('aria-hidden', 'true');
  const what = element('span', 'frame-what', frame.direction === 'event' ? frame.text : frame.what, 'frame-what');
  const size = element('span', 'frame-size', frame.size ? `${frame.size} B` : '');
  row.append(element('span', 'frame-time', timeOf(frame.at)), arrow, element('span', 'hidden-label', SPOKEN[frame.direction]), what, size);
  return row;
}

function step(event) {
  const rows = [...part('frames').children];
  const at = rows.findIndex((row) => Number(row.dataset.number) === chosen);
  const to = { ArrowDown: at + 1, ArrowUp: Math.max(at, 1) - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (to === undefined || !rows.length) return;
  event.preventDefault();
  const row = rows[Math.min(to, rows.length - 1)];
  choose(Number(row.dataset.number));
  row.scrollIntoView({ block: 'nearest' });
}

function choose(number) {
  chosen = Number.isNaN(number) ? null : number;
  markChosen();
  showDetail();
}

function markChosen() {
  const list = part('frames');
  list.removeAttribute('aria-activedescendant');
  for (const row of list.children) {
    const isChosen = Number(row.dataset.number) === chosen;
    row.setAttribute('aria-selected', String(isChosen));
    if (isChosen) list.setAttribute('aria-activedescendant', row.id);
  }
}

function pause() {
  paused = paused ? null : [...(connection?.frames.list ?? [])];
  part('pause').setAttribute('aria-pressed', String(Boolean(paused)));
  part('pause').textContent = paused ? 'Resume' : 'Pause';
  paint();
}

function forget() {
  if (paused) pause();
  connection?.frames.forget();
  choose(NaN);
}

// One frame

function showDetail() {
  const frame = (paused ?? connection?.frames.list ?? []).find(({ number }) => number === chosen);
  part('copy-frame').disabled = !frame;
  part('detail').hidden = !frame;
  part('detail').textContent = frame ? { json: pretty, raw: (text) => text, hex }[form](frame.text) : '';
  part('detail-line').textContent = frame
    ? `${SPOKEN[frame.direction]} at ${timeOf(frame.at)}, ${frame.size} bytes`
    : 'Choose a frame to see it whole.';
}

/** Each line indented, where that loses nothing: large numbers would be rounded. */
function pretty(text) {
  return text.split('\n').filter(Boolean).map((line) => {
    try {
      const value = JSON.parse(line);
      return JSON.stringify(value) === line ? JSON.stringify(value, null, 2) : line;
    } catch {
      return line;
    }
  }).join('\n');
}

function hex(text) {
  const all = new TextEncoder().encode(text);
  const shown = all.slice(0, BYTES_SHOWN);
  const rows = [];
  for (let at = 0; at < shown.length; at += 8) {
    const row = [...shown.slice(at, at + 8)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const characters = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join('');
    rows.push(`${at.toString(16).padStart(4, '0')}  ${digits.padEnd(23)}  ${characters}`);
  }
  return rows.join('\n') + (all.length > shown.length ? `\n… ${all.length - shown.length} more bytes` : '');
}

// Sending

function fillCommand() {
  part('command').value = JSON.stringify(SAMPLES[part('sample').value], null, 1).replace(/\n\s*/g, ' ');
  part('command-error').textContent = '';
}

function sendCommand() {
  part('command-error').textContent = '';
  try {
    const members = JSON.parse(part('command').value);
    if (typeof members !== 'object' || members === null || Array.isArray(members)) throw new Error('A command is one JSON object.');
    connection.frames.command(members);
  } catch (error) {
    part('command-error').textContent = `Not sent. ${error.message}`;
    part('command').focus();
  }
}

// Facts

function showFacts() {
  if (!connection) return;
  const { client, facts, frames } = connection;
  const rows = {
    State: client.state,
    Transport: facts.transport,
    Client: facts.client,
    Node: [facts.node, facts.version].filter(Boolean).join(', version '),
    Latency: frames.latency === null ? '' : `${frames.latency.toFixed(1)} ms`,
    Reconnects: String(facts.reconnects),
  };
  part('connection').replaceChildren(...Object.entries(rows).map(([name, value]) => {
    const pair = element('div');
    const shown = element('dd', '', value || '–', `fact-${name.toLowerCase()}`);
    shown.title = value;
    pair.append(element('dt', '', name), shown);
    return pair;
  }));
}

const lineOf = ({ at, direction, text }) => `${new Date(at).toISOString()} ${SPOKEN[direction]} ${text}`;

function timeOf(at) {
  const time = new Date(at).toTimeString().slice(0, 8);
  return `${time}.${String(at % 1000).padStart(3, '0')}`;
}
