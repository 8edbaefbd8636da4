// The connection of this page: the official SDK, tokens of development mode, and what is said about its state.

import { part } from './elements.js';
import { Frames } from './frames.js';
import { hush, refused } from './notice.js';
import { chosen, endpoints, nameOf, overStreams } from './streams.js';

const { Centrifuge } = globalThis;

const UNAUTHORIZED = 1;
const TOKEN_REFUSED = 3500;

/** Connects as `name`: the SDK's client, its frames, and a few numbers that the inspector shows. */
export function connect(name) {
  const frames = new Frames();
  const client = new Centrifuge(endpoints(), {
    name: 'sealcast-demo',
    websocket: frames.socketClass(),
    ...overStreams(frames),
    getToken: () => fetchToken(name),
    maxReconnectDelay: 5000,
  });
  const connection = { name, client, frames, facts: { transport: '', client: '', node: '', version: '', reconnects: 0 } };
  let wasConnected = false;
  // A restarted development server has new keys and refuses the old token for good.
  let triedFreshToken = false;

  client.on('connecting', ({ code, reason }) => {
    if (wasConnected) showState('reconnecting', 'Reconnecting', `${reason} (${code})`);
    else showState('connecting', 'Connecting');
    showTransport('');
    frames.event(wasConnected ? `connection lost: ${reason} (${code})` : 'connecting');
  });
  client.on('connected', (context) => {
    const reconnects = connection.facts.reconnects + (wasConnected ? 1 : 0);
    connection.facts = { ...nodeOf(frames), transport: context.transport, client: context.client, reconnects };
    wasConnected = true;
    triedFreshToken = false;
    showState('connected', 'Connected');
    showTransport(context.transport);
    hush();
    frames.event(`connected over ${context.transport}`);
  });
  client.on('disconnected', ({ code, reason }) => {
    if (code === 0) return undefined;
    frames.event(`disconnected: ${reason} (${code})`);
    if (code === TOKEN_REFUSED && !triedFreshToken) {
      triedFreshToken = true;
      client.setToken('');
      return client.connect();
    }
    showState('disconnected', 'Disconnected', `${reason} (${code})`);
    return refused('The connection has ended.', { code, message: reason });
  });
  client.on('error', ({ type, error }) => {
    if (!wasConnected) part('state-reason').textContent = 'no answer from the server yet; trying again';
    frames.event(`${type}: ${error.message} (${error.code})`);
  });

  client.connect();
  return connection;
}

export function disconnect({ client }) {
  client.disconnect();
  showState('idle', 'Not connected');
  showTransport('');
  hush();
}

/** A token for `user`. Answers that asking again will not change end the connection (code 1). */
async function fetchToken(user) {
  const response = await fetch('/dev/token', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user }),
    cache: 'no-store',
  });
  if ([400, 403, 404, 405].includes(response.status)) throw new Centrifuge.UnauthorizedError('no demo tokens here', UNAUTHORIZED);
  if (!response.ok) throw new Error(`the token request was answered with status ${response.status}`);
  return (await response.json()).token;
}

/** What the answer to connect says of the node, which the SDK does not pass on. */
function nodeOf(frames) {
  const answer = frames.list.find(({ direction, text }) => direction === 'in' && text.includes('"connect"'));
  try {
    const { node = '', version = '' } = JSON.parse(answer.text.split('\n')[0]).connect;
    return { node, version };
  } catch {
    return { node: '', version: '' };
  }
}

/** Which transport is in use; of what was chosen, `auto` does not say it. */
function showTransport(used) {
  part('state-via').textContent = used && `over ${nameOf(used)}`;
  const choice = part('transport');
  choice.dataset.used = used;
  choice.options[0].textContent = used && chosen() === 'auto' ? `Auto: ${nameOf(used)}` : 'Auto';
}

function showState(state, label, reason = '') {
  part('state').dataset.state = state;
  part('state').textContent = label;
  part('state-reason').textContent = reason;
}
