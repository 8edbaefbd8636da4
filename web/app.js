// The demo chat: one WebSocket through the official SDK, one room, text only.
// Whatever comes from the network is shown with textContent, never as markup.

const { Centrifuge } = globalThis;

const NAME = /^[A-Za-z0-9_-]{3,32}$/;
const ROOM = /^[A-Za-z0-9_-]{1,32}$/;
const MOODS = ['calm', 'brave', 'swift', 'merry', 'quiet', 'sunny'];
const SEALS = ['harp', 'ringed', 'grey', 'monk', 'ribbon', 'elephant'];
const MESSAGES_KEPT = 200;
const EVENTS_KEPT = 50;
const CHARACTERS_SHOWN = 4000;

/** What to do about a code that the SDK gives; those of the server come from it, see `fetchAdvice`. */
const ADVICE = {
  1: 'This server gives no demo tokens. Start it with "sealcast serve --dev" and join again.',
};

const part = (id) => document.getElementById(id);

/** The room we are in: null, or what `join` makes. */
let visit = null;

start();

function start() {
  part('name').value = suggestion();
  const room = location.hash.slice(1);
  if (ROOM.test(room)) part('room').value = room;

  part('suggest').addEventListener('click', () => {
    part('name').value = suggestion();
    complain('name', '');
  });
  onSubmit('join-form', () => join(part('name').value, part('room').value));
  onSubmit('send-form', send);
  part('text').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  });
  part('text').addEventListener('input', showCount);
  part('leave').addEventListener('click', leave);
  part('copy').addEventListener('click', copyCurl);
  part('scroll').addEventListener('scroll', () => atNewest() && (part('newest').hidden = true));
  part('newest').addEventListener('click', () => {
    showNewest();
    part('text').focus();
  });
  part('name').focus();
  fetchAdvice();
}

/** Explanations are a comfort: without them the page works as well. */
async function fetchAdvice() {
  try {
    Object.assign(ADVICE, await (await fetch('/dev/hints')).json());
  } catch {
    note('this server explains no codes');
  }
}

function onSubmit(form, action) {
  part(form).addEventListener('submit', (event) => {
    event.preventDefault();
    action();
  });
}

// Entering and leaving

function join(name, room) {
  const nameFault = NAME.test(name) ? '' : 'Use 3 to 32 letters A to Z, digits, dashes or underscores.';
  const roomFault = ROOM.test(room) ? '' : 'Use 1 to 32 letters A to Z, digits, dashes or underscores.';
  complain('name', nameFault);
  complain('room', roomFault);
  if (nameFault || roomFault) return part(nameFault ? 'name' : 'room').focus();

  showError('');
  for (const list of ['messages', 'events']) part(list).replaceChildren();
  part('empty').hidden = false;
  part('who').textContent = name;
  part('chat-title').textContent = room;
  part('twin').href = `#${room}`;
  part('curl').textContent = curlLine(`room-${room}`);
  history.replaceState(null, '', `#${room}`);
  part('join-view').hidden = true;
  part('chat-view').hidden = false;
  part('text').focus();
  visit = connect(name, `room-${room}`);
}

function leave() {
  visit.client.disconnect();
  visit = null;
  showState('idle', 'Not connected');
  showError('');
  part('chat-view').hidden = true;
  part('join-view').hidden = false;
  part('name').focus();
}

function connect(name, channel) {
  const client = new Centrifuge(`${location.origin.replace(/^http/, 'ws')}/connection/websocket`, {
    name: 'sealcast-demo',
    getToken: () => fetchToken(name),
    maxReconnectDelay: 5000,
  });
  let wasConnected = false;
  // A restarted development server has new keys and refuses the old token for good (3500).
  // One fresh token is worth a try; a second refusal in a row is a fault to show.
  let triedFreshToken = false;

  client.on('connecting', ({ code, reason }) => {
    if (wasConnected) showState('reconnecting', 'Reconnecting', `${reason} (${code})`);
    else showState('connecting', 'Connecting');
    note(`connecting: ${reason} (${code})`);
  });
  client.on('connected', (context) => {
    wasConnected = true;
    triedFreshToken = false;
    showState('connected', 'Connected');
    showError('');
    note(`connected over ${context.transport} as client ${context.client}`);
  });
  client.on('disconnected', ({ code, reason }) => {
    if (code === 0) return;
    note(`disconnected: ${reason} (${code})`);
    if (code === 3500 && !triedFreshToken) {
      triedFreshToken = true;
      client.setToken('');
      return client.connect();
    }
    showState('disconnected', 'Disconnected', `${reason} (${code})`);
    showError(explain(`The connection has ended: ${reason}.`, code));
  });
  client.on('error', ({ type, error }) => {
    if (!wasConnected) part('state-reason').textContent = 'no answer from the server yet; trying again';
    note(`${type}: ${error.message} (${error.code})`);
  });

  const subscription = client.newSubscription(channel);
  subscription.on('subscribed', () => note(`subscribed to ${channel}`));
  subscription.on('unsubscribed', ({ code, reason }) => {
    if (code === 0) return;
    note(`unsubscribed from ${channel}: ${reason} (${code})`);
    showError(explain(`This room is closed to you: ${reason}.`, code));
  });
  subscription.on('error', ({ error }) => note(`subscription: ${error.message} (${error.code})`));
  subscription.on('publication', ({ data, info }) => addMessage(data, info, name));
  subscription.subscribe();
  client.connect();
  return { client, subscription };
}

/** A token for `user`. Answers that asking again will not change end the connection (code 1). */
async function fetchToken(user) {
  const response = await fetch('/dev/token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user }),
    cache: 'no-store',
  });
  if ([400, 403, 404, 405].includes(response.status)) throw new Centrifuge.UnauthorizedError('no demo tokens here');
  if (!response.ok) throw new Error(`the token request was answered with status ${response.status}`);
  return (await response.json()).token;
}

// Sending

async function send() {
  const text = part('text').value;
  if (!text.trim() || !visit) return;
  const { client, subscription } = visit;
  if (client.state !== 'connected' || subscription.state !== 'subscribed') {
    showError('Not sent: there is no connection now. Your text is kept; send it again when the state says "Connected".');
    return;
  }
  part('text').value = '';
  showCount();
  const began = performance.now();
  try {
    await subscription.publish({ text });
    part('ack').textContent = `The last message was acknowledged in ${(performance.now() - began).toFixed(1)} ms.`;
    showError('');
  } catch (error) {
    if (visit?.client !== client) return;
    if (!part('text').value) part('text').value = text;
    showCount();
    showError(explain(`Not sent: ${error.message}.`, error.code));
  }
}

function curlLine(channel) {
  const body = JSON.stringify({ channel, data: { text: 'hello from the server' } });
  const lines = [`curl -X POST ${location.origin}/api/publish`, '-H "X-API-Key: $KEY"', "-H 'Content-Type: application/json'", `-d '${body}'`];
  return lines.join(' \\\n  ');
}

async function copyCurl() {
  try {
    await navigator.clipboard.writeText(part('curl').textContent);
    part('copied').textContent = 'Copied.';
  } catch {
    getSelection().selectAllChildren(part('curl'));
    part('copied').textContent = 'Selected: copy it with the keyboard.';
  }
}

// Showing

/** `info` is the publisher as the server knows it; publications of the server API have none. */
function addMessage(data, info, ownName) {
  // The space keeps this author apart from every user: names have none.
  const author = info ? info.user || 'anonymous' : 'Server API';
  const kind = !info ? 'server' : info.user === ownName ? 'own' : 'other';
  const text = typeof data?.text === 'string' ? data.text : null;

  const item = element('li', `message message-${kind}`, '', 'message');
  item.dataset.kind = kind;
  const avatar = element('span', `avatar tone-${tone(author)}`, author.slice(0, 2).toUpperCase());
  avatar.setAttribute('aria-hidden', 'true');
  const head = element('p', 'message-head');
  head.append(element('bdi', 'author', author, 'author'));
  if (kind !== 'other') head.append(element('span', 'mark', kind === 'own' ? 'you' : 'server'));
  head.append(clock());
  const body = element('p', text === null ? 'body body-raw' : 'body', shorten(text ?? JSON.stringify(data)), 'body');
  body.dir = 'auto';
  item.append(avatar, head, body);

  const follow = atNewest() || kind === 'own';
  part('messages').append(item);
  while (part('messages').childElementCount > MESSAGES_KEPT) part('messages').firstElementChild.remove();
  part('empty').hidden = true;
  if (follow) showNewest();
  else part('newest').hidden = false;
}

function showState(state, label, reason = '') {
  part('state').dataset.state = state;
  part('state').textContent = label;
  part('state-reason').textContent = reason;
}

function showError(text) {
  part('error').textContent = text;
  part('error').hidden = !text;
}

const explain = (what, code) => `${what} ${ADVICE[code] ?? 'Try again; if it stays, look at the log of the server.'}`;

function complain(field, fault) {
  part(`${field}-error`).textContent = fault;
  part(field).setAttribute('aria-invalid', String(Boolean(fault)));
}

function note(text) {
  const item = element('li', '');
  item.append(clock(), element('span', '', text));
  part('events').prepend(item);
  while (part('events').childElementCount > EVENTS_KEPT) part('events').lastElementChild.remove();
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

function element(tag, className, text = '', testid = '') {
  const made = Object.assign(document.createElement(tag), { className, textContent: text });
  if (testid) made.dataset.testid = testid;
  return made;
}

function clock() {
  const now = new Date();
  return Object.assign(element('time', '', now.toLocaleTimeString()), { dateTime: now.toISOString() });
}

const shorten = (text) => (text.length > CHARACTERS_SHOWN ? `${text.slice(0, CHARACTERS_SHOWN)}…` : text);

/** The same colour for the same author in every tab. */
function tone(author) {
  let sum = 0;
  for (const character of author) sum = (sum * 31 + character.codePointAt(0)) % 8;
  return sum;
}

function suggestion() {
  const [mood, seal, number] = crypto.getRandomValues(new Uint8Array(3));
  return `${MOODS[mood % MOODS.length]}-${SEALS[seal % SEALS.length]}-${number}`;
}
