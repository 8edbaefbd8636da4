// The board of a room: lines are kept by history, so that whoever comes later sees them. Cursors go over a channel of which
// only the newest counts, and what is still being drawn over one that joins what comes close together; neither is kept.

import { messages } from './batch.js';
import { Cursors, placeOf } from './cursors.js';
import { avatar, element, part } from './elements.js';
import { hush, refused } from './notice.js';
import { Outbox } from './outbox.js';
import { Pace } from './pace.js';
import { Pen } from './pen.js';
import { Presence } from './presence.js';
import { Sheet, pack, unpack } from './sheet.js';

const COLOUR_NAMES = ['Ink', 'Teal', 'Blue', 'Red', 'Amber', 'Violet'];
const WIDTH_NAMES = ['Fine', 'Medium', 'Broad'];
/** As many as the server keeps. */
const LINES = 300;
const PEOPLE_SHOWN = 20;
/** Open lines of others that are followed, and numbers in each. */
const GROWING = 200;
const LONGEST = 1_000;
const OWN = 'own';

let connection = null;
/** The board in view: null, or what `open` makes. */
let visit = null;
let inks = null;
/** Parts of lines are numbered, for as long as the page lives. */
let number = 0;

choices('colours', 'colour', COLOUR_NAMES, (at) => `pen-${at}`);
choices('widths', 'width', WIDTH_NAMES, (at) => `nib-${at}`);
const sheet = new Sheet(part('dry'), part('wet'), colours);
const cursors = new Cursors(part('cursors'));
const pen = new Pen(part('wet'), { moved, drawn, done });
new ResizeObserver(() => {
  sheet.fit();
  cursors.place();
}).observe(part('wet'));
document.addEventListener('themechange', () => {
  inks = null;
  sheet.paint();
});
part('clear').addEventListener('click', () => visit?.outbox.push({ clear: true }));

export function enter(joined) {
  connection = joined;
}

export function exit() {
  hide();
  connection = null;
}

export function show(room) {
  if (visit?.room === room) return;
  hide();
  visit = open(room);
}

export function hide() {
  if (!visit) return;
  const { client } = connection;
  pen.lift();
  visit.outbox.close();
  for (const subscription of [visit.lines, visit.moves, visit.strokes]) {
    subscription.unsubscribe();
    client.removeSubscription(subscription);
  }
  visit = null;
  cursors.clear();
  sheet.clear();
  sheet.dryUp(() => true);
}

// Listening

function open(room) {
  const { client } = connection;
  const lines = client.newSubscription(`board:${room}`, { recoverable: true });
  const moves = client.newSubscription(`cursors:${room}`, { joinLeave: true });
  const strokes = client.newSubscription(`strokes:${room}`);
  const opened = {
    room, lines, moves, strokes, at: null, line: null, sent: 0, early: null, dried: new Map(), growing: new Map(),
    people: null, outbox: null, pace: null, strokePace: null,
  };
  const isOpen = () => visit === opened;

  opened.people = new Presence(() => connection?.facts.client, moves, (came, went) => isOpen() && showPeople(opened.people, came, went));
  opened.outbox = new Outbox((message) => lines.publish(message), {
    slowed: (error) => isOpen() && refused('What you draw is sent a little later.', error),
    lost: (message, error) => {
      if (!isOpen()) return;
      if (message.line) sheet.wet(`${OWN}/${message.n}`, null);
      refused('What you drew did not reach the others.', error);
    },
  });
  const slower = (what) => (gap, error) => {
    if (isOpen() && !error) hush();
    else if (isOpen()) refused(`${what} is sent every ${Math.round(gap)} ms for now.`, error);
  };
  opened.pace = new Pace(() => newest(opened), (message) => moves.publish(message), slower('Your cursor'));
  opened.strokePace = new Pace(() => fresh(opened), (message) => strokes.publish(message), slower('What you draw'));

  lines.on('subscribed', ({ wasRecovering, recovered }) => (wasRecovering && recovered) || load(opened, isOpen));
  lines.on('publication', (publication) => (opened.early ? opened.early.push(publication) : take(opened, publication)));
  lines.on('subscribing', () => isOpen() && tell('The connection was lost. What is drawn meanwhile is brought when it is back.'));
  lines.on('error', ({ error }) => isOpen() && refused('The board did not answer as it should.', error));
  moves.on('publication', (publication) => follow(opened, publication));
  moves.on('leave', ({ info }) => forget(opened, info.client));
  moves.on('subscribing', () => cursors.clear());
  strokes.on('publication', (publication) => messages(publication).forEach((one) => grow(opened, one)));
  for (const subscription of [lines, moves, strokes]) {
    subscription.on('unsubscribed', ({ code, reason }) => code && isOpen() && refused('This board is closed to you.', { code, message: reason }));
    subscription.subscribe();
  }
  tell('Opening …');
  return opened;
}

async function load(opened, isOpen) {
  opened.early = [];
  let earlier = [];
  try {
    earlier = (await opened.lines.history({ limit: LINES })).publications;
  } catch (error) {
    if (isOpen()) refused('What was drawn before could not be had.', error);
  }
  const met = opened.early ?? [];
  opened.early = null;
  if (!isOpen()) return;
  sheet.clear();
  const last = earlier.at(-1)?.offset ?? 0;
  for (const publication of earlier) take(opened, publication);
  for (const publication of met) if (publication.offset > last) take(opened, publication);
  tell(sheet.count ? `${sheet.count} lines were here already.` : 'A fresh sheet.');
}

function take(opened, { data, info }) {
  if (data?.clear === true) {
    sheet.clear();
    tell(info ? `${info.user === connection.name ? 'You' : info.user} cleared the board.` : 'The server cleared the board.');
  }
  const line = unpack(data?.line);
  if (line) sheet.add(line);
  part('sheet').dataset.lines = sheet.count;
  if (!info || !Number.isInteger(data?.n)) return;
  opened.dried.set(info.client, data.n);
  sheet.wet(keyOf(info.client, data.n), null);
}

function follow(opened, { data, info }) {
  if (!info || info.client === connection?.facts.client || visit !== opened) return;
  cursors.move(info.client, info.user, placeOf(data?.at));
}

/** Further points of a line. Whoever has missed its beginning sees it when it is done. */
function grow(opened, { data, info }) {
  const line = unpack(data?.line);
  if (!info || info.client === connection?.facts.client || visit !== opened || !line) return;
  const { n, from } = data;
  if (!Number.isInteger(n) || n <= opened.dried.get(info.client)) return;
  if (from > 0) {
    const known = opened.growing.get(info.client);
    if (known?.n !== n || known.points.length !== from || from > LONGEST) return;
    line.points = known.points.concat(line.points);
  }
  opened.growing.delete(info.client);
  opened.growing.set(info.client, { n, points: line.points });
  if (opened.growing.size > GROWING) opened.growing.delete(opened.growing.keys().next().value);
  sheet.wet(keyOf(info.client, n), line);
}

function forget(opened, client) {
  opened.dried.delete(client);
  opened.growing.delete(client);
  cursors.remove(client);
  sheet.dryUp((key) => key.startsWith(`${client}/`));
}

const keyOf = (client, n) => `${client === connection.facts.client ? OWN : client}/${n}`;

// Drawing

function moved(at) {
  if (!visit) return;
  visit.at = at;
  visit.pace.ask();
}

function drawn(points) {
  if (!visit) return;
  visit.line = { ...chosen(), points };
  sheet.wet(`${OWN}/${number}`, visit.line);
  visit.strokePace.ask();
}

function done(points) {
  if (!visit) return;
  const line = { ...chosen(), points };
  // It stays wet until it comes back from the server.
  sheet.wet(`${OWN}/${number}`, line);
  visit.outbox.push({ n: number, line: pack(line) });
  visit.line = null;
  visit.sent = 0;
  number += 1;
}

/** Where the others are to see us now; null while nobody would get it. */
function newest({ moves, at }) {
  return moves.state === 'subscribed' ? { at } : null;
}

/** The points of the open line that the others have not got; null if there are none. */
function fresh(opened) {
  const { strokes, line, sent } = opened;
  const points = line?.points.slice(sent) ?? [];
  if (strokes.state !== 'subscribed' || !points.length) return null;
  opened.sent = line.points.length;
  return { n: number, from: sent, line: pack({ ...line, points }) };
}

// Showing

function showPeople(people, came, went) {
  part('drawers').replaceChildren(...people.users().slice(0, PEOPLE_SHOWN).map(([user]) => {
    const item = element('li', 'person', '', 'drawer');
    item.append(avatar(user), element('bdi', 'author', user));
    if (user === connection.name) item.append(element('span', 'mark', 'you'));
    return item;
  }));
  if (came.length) tell(`${came.join(', ')} came in.`);
  else if (went.length) tell(`${went.join(', ')} left.`);
}

function tell(text) {
  part('board-state').textContent = text;
}

function chosen() {
  const value = (name) => Number(document.querySelector(`input[name=${name}]:checked`).value);
  return { colour: value('colour'), width: value('width') };
}

function colours() {
  inks ??= COLOUR_NAMES.map((_, at) => getComputedStyle(document.querySelector(`.pen-${at}`)).color);
  return inks;
}

function choices(into, name, names, className) {
  part(into).append(...names.map((text, at) => {
    const label = element('label', `swatch ${className(at)}`);
    const input = Object.assign(element('input'), { type: 'radio', name, value: String(at), checked: at === 1 });
    label.append(input, element('span', 'hidden-label', text));
    label.title = text;
    return label;
  }));
}
