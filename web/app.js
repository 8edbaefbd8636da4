// The demo: one visitor, one connection, four views.

import * as board from './board.js';
import * as chat from './chat.js';
import { connect, disconnect } from './connection.js';
import * as dashboard from './dashboard.js';
import { onSubmit, part } from './elements.js';
import * as inspector from './inspector.js';
import { faultOfPerson, faultOfRoom, suggestion } from './names.js';
import { learnAdvice } from './notice.js';
import { choose, chosen } from './streams.js';
import { mark, nameRoom, place } from './tabs.js';

/**
 * Each is told what concerns it: `enter(connection)` and `exit()` when the visitor comes and goes, `show(room)` and
 * `hide()` when it is looked at or not.
 */
const VIEWS = { chat, board, dashboard, inspector };
/** Can be looked at without having joined. */
const OPEN = ['dashboard'];
/** A reload is no farewell: the name stays as long as the tab. */
const NAME = 'sealcast-name';

let connection = null;
let room = 'lobby';
let shown = null;

start();

function start() {
  const asked = place().room;
  if (!faultOfRoom(asked)) room = asked;
  part('room').value = room;
  part('name').value = suggestion();
  part('suggest').addEventListener('click', () => {
    part('name').value = suggestion();
    complain('name', '');
  });
  onSubmit('join-form', () => join(part('name').value, part('room').value));
  part('leave').addEventListener('click', leave);
  part('transport').value = chosen();
  part('transport').addEventListener('change', changeTransport);
  addEventListener('hashchange', look);
  document.addEventListener('visit', ({ detail }) => visit(detail));
  learnAdvice();

  const known = sessionStorage.getItem(NAME) ?? '';
  if (!faultOfPerson(known)) return join(known, room);
  look();
  if (!part('join-view').hidden) part('name').focus();
  return undefined;
}

function join(name, wanted) {
  const faults = { name: faultOfPerson(name), room: faultOfRoom(wanted) };
  for (const [field, fault] of Object.entries(faults)) complain(field, fault);
  if (faults.name || faults.room) return part(faults.name ? 'name' : 'room').focus();
  const byHand = !part('join-view').hidden;
  sessionStorage.setItem(NAME, name);
  room = wanted;
  connection = connect(name);
  for (const view of Object.values(VIEWS)) view.enter(connection);
  look();
  if (byHand && place().view === 'chat') part('text').focus();
  return undefined;
}

function leave() {
  sessionStorage.removeItem(NAME);
  for (const view of Object.values(VIEWS)) view.exit();
  disconnect(connection);
  connection = null;
  look();
  part('name').focus();
}

/** Comes back by another way, if the visitor is here. */
function changeTransport() {
  choose(part('transport').value);
  if (!connection) return;
  const { name } = connection;
  for (const view of Object.values(VIEWS)) view.exit();
  disconnect(connection);
  connection = connect(name);
  for (const view of Object.values(VIEWS)) view.enter(connection);
  if (shown) VIEWS[shown].hide();
  shown = null;
  look();
}

/** Goes to another room. */
function visit(wanted) {
  room = wanted;
  nameRoom(room);
  look();
}

/** Shows what the address says. */
function look() {
  const { view, room: asked } = place();
  if (!faultOfRoom(asked)) room = asked;
  part('room').value = room;
  nameRoom(room);
  mark(view);
  const next = connection || OPEN.includes(view) ? view : null;
  if (shown && shown !== next) VIEWS[shown].hide();
  for (const name of Object.keys(VIEWS)) part(name).hidden = name !== next;
  part('join-view').hidden = next !== null;
  document.body.dataset.view = next ?? 'join';
  document.title = `${part(`tab-${view}`).textContent} · Sealcast demo`;
  if (shown !== next) scrollTo(0, 0);
  shown = next;
  if (next) VIEWS[next].show(room);
}

function complain(field, fault) {
  part(`${field}-error`).textContent = fault;
  part(field).setAttribute('aria-invalid', String(Boolean(fault)));
}
