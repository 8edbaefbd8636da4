// The chat: several rooms at once, one of them in view.

import { avatar, clock, copy, element, onSubmit, part } from './elements.js';
import { faultOfRoom } from './names.js';
import { hush, refused, warn } from './notice.js';
import { Room } from './room.js';

const CHARACTERS_SHOWN = 4000;
const PEOPLE_SHOWN = 100;
const FIRST_ROOMS = ['lobby', 'harbour', 'ice-floe'];
const STATES = { joining: 'joining', here: 'live', away: 'reconnecting', closed: 'closed to you' };

let connection = null;
/** By name, in the order in which they were entered. */
const rooms = new Map();
let room = null;
let isShown = false;

onSubmit('send-form', send);
onSubmit('room-form', addRoom);
part('text').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
part('text').addEventListener('input', showCount);
part('copy').addEventListener('click', () => copy(part('curl').textContent, part('copied'), part('curl')));
part('scroll').addEventListener('scroll', () => atNewest() && (part('newest').hidden = true));
part('newest').addEventListener('click', () => {
  showNewest();
  part('text').focus();
});
part('show-people').addEventListener('click', () => {
  const isOpen = part('side').classList.toggle('side-open');
  part('show-people').setAttribute('aria-expanded', String(isOpen));
});

export function enter(joined) {
  connection = joined;
}

export function exit() {
  for (const one of rooms.values()) one.leave();
  rooms.clear();
  room = null;
  connection = null;
  part('messages').replaceChildren();
}

export function show(name) {
  isShown = true;
  if (room?.name === name) {
    room.unread = 0;
    showRooms();
    return showNewest();
  }
  if (!rooms.has(name)) rooms.set(name, new Room(connection, name, (what, detail) => changed(name, what, detail)));
  room = rooms.get(name);
  room.unread = 0;
  part('chat-title').textContent = name;
  part('twin').href = `#/chat/${name}`;
  part('curl').textContent = curlLine(room.channel);
  part('copied').textContent = '';
  showLines();
  showPeople();
  showState();
  return showRooms();
}

export function hide() {
  isShown = false;
}

// Rooms

function changed(name, what, detail) {
  if (!rooms.has(name)) return;
  const isHere = room?.name === name;
  if (what === 'line' && (!isHere || !isShown)) count(rooms.get(name), detail);
  if (what === 'refused' && isShown) {
    const isClosed = rooms.get(name).state === 'closed';
    refused(isClosed ? `The room ${name} is closed to you.` : `The room ${name} did not answer as it should.`, detail);
  }
  if (!isHere) return;
  if (what === 'line') addLine(detail);
  if (what === 'lines') showLines();
  if (what === 'people') showPeople();
  if (what === 'state') showState();
}

function count(one, line) {
  if (line.kind === 'note') return;
  one.unread += 1;
  showRooms();
}

function addRoom() {
  const name = part('new-room').value.trim();
  const fault = faultOfRoom(name);
  if (fault) {
    warn('This cannot be the name of a room.', fault);
    return part('new-room').focus();
  }
  part('new-room').value = '';
  return document.dispatchEvent(new CustomEvent('visit', { detail: name }));
}

function showRooms() {
  const names = [...new Set([...FIRST_ROOMS, ...rooms.keys()])];
  part('rooms').replaceChildren(...names.map((name) => {
    const unread = rooms.get(name)?.unread ?? 0;
    const link = element('a', 'room', '', 'room-link');
    link.href = `#/chat/${name}`;
    link.append(element('span', 'room-name', name));
    if (unread) link.append(element('span', 'badge', String(Math.min(unread, 99))), element('span', 'hidden-label', ' unread'));
    if (room?.name === name) link.setAttribute('aria-current', 'page');
    if (rooms.has(name)) link.dataset.entered = '';
    const item = element('li');
    item.append(link);
    return item;
  }));
  part('rooms').querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function showState() {
  part('room-state').textContent = STATES[room.state];
  part('room-state').dataset.state = room.state;
}

function showPeople() {
  const users = room.people.users();
  part('people').replaceChildren(...users.slice(0, PEOPLE_SHOWN).map(([user, tabs]) => {
    const item = element('li', 'person', '', 'person');
    item.append(avatar(user), element('bdi', 'author', user));
    if (user === connection.name) item.append(element('span', 'mark', 'you'));
    if (tabs > 1) item.append(element('span', 'hint', `${tabs} tabs`));
    return item;
  }));
  if (users.length > PEOPLE_SHOWN) part('people').append(element('li', 'hint', `and ${users.length - PEOPLE_SHOWN} more`));
  part('people-count').textContent = String(users.length);
}

// Sending

async function send() {
  const text = part('text').value;
  if (!text.trim() || !room) return;
  const into = room;
  if (connection.client.state !== 'connected' || into.state !== 'here') {
    warn('Not sent: there is no connection now.', 'Your text is kept; send it again when the state says "Connected".');
    return;
  }
  part('text').value = '';
  showCount();
  try {
    const milliseconds = await into.say(text);
    part('ack').textContent = `Acknowledged in ${milliseconds.toFixed(1)} ms`;
    hush();
  } catch (error) {
    if (room !== into) return;
    if (!part('text').value) part('text').value = text;
    showCount();
    refused('Your message was not sent; the text is kept.', error);
  }
}

function curlLine(channel) {
  const body = JSON.stringify({ channel, data: { text: 'hello from the server' } });
  const lines = [`curl -X POST ${location.origin}/api/publish`, '-H "X-API-Key: $KEY"', "-H 'Content-Type: application/json'", `-d '${body}'`];
  return lines.join(' \\\n  ');
}

// Showing

/** What is there already is not read out again. */
function showLines() {
  part('scroll').setAttribute('aria-live', 'off');
  part('messages').replaceChildren(...room.lines.map(lineElement));
  part('empty').hidden = room.lines.some(({ kind }) => kind !== 'note');
  showNewest();
  setTimeout(() => part('scroll').removeAttribute('aria-live'), 0);
}

function addLine(line) {
  const follow = atNewest() || line.kind === 'own';
  part('messages').append(lineElement(line));
  while (part('messages').childElementCount > room.lines.length) part('messages').firstElementChild.remove();
  if (line.kind !== 'note') part('empty').hidden = true;
  if (follow) showNewest();
  else part('newest').hidden = line.kind === 'note' && part('newest').hidden;
}

function lineElement(line) {
  if (line.kind === 'note') return element('li', 'note', line.text, 'note');
  if (line.kind === 'divider') return element('li', 'divider', line.text, 'divider');
  const item = element('li', `message message-${line.kind}`, '', 'message');
  item.dataset.kind = line.kind;
  const head = element('p', 'message-head');
  head.append(element('bdi', 'author', line.author, 'author'));
  if (line.kind !== 'other') head.append(element('span', 'mark', line.kind === 'own' ? 'you' : 'server'));
  head.append(clock(line.at));
  const body = element('p', line.isRaw ? 'body body-raw' : 'body', shorten(line.text), 'body');
  body.dir = 'auto';
  item.append(avatar(line.author), head, body);
  return item;
}

function showCount() {
  const { value, maxLength } = part('text');
  part('count').textContent = value.length > maxLength / 2 ? `${value.length} of ${maxLength} characters` : '';
}

function atNewest() {
  const box = part('scroll');
  return box.scrollHeight - box.scrollTop - box.clientHeight < 60;
}

function showNewest() {
  part('scroll').scrollTop = part('scroll').scrollHeight;
  part('newest').hidden = true;
}

const shorten = (text) => (text.length > CHARACTERS_SHOWN ? `${text.slice(0, CHARACTERS_SHOWN)}…` : text);
