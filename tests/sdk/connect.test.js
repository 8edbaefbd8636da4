// Connecting: tokens, refusals, refreshing, pings.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, ENCODINGS, newClient, subscribe } from './support/client.js';
import { next, take, within } from './support/event.js';
import { inEachEncoding, scenario } from './support/scenario.js';
import { config, serve } from './support/server.js';
import { inSeconds, token, unsignedToken } from './support/token.js';
import { TRANSPORT } from './support/transport.js';

/** How the connection ended for good; fails if the SDK opened another socket for it. */
async function terminalCode(client) {
  const disconnected = next(client, 'disconnected');
  client.connect();
  const { code } = await disconnected;
  assert.equal(client.state, 'disconnected');
  assert.equal(client.record.sockets, 1, 'the SDK did not retry');
  return code;
}

/** Waits until the SDK has answered `count` pings. */
function pongs(client, encoding, count) {
  const isPong = encoding === 'json' ? (frame) => String(frame) === '{}' : (frame) => frame.length === 1 && frame[0] === 0;
  return within(15_000, `${count} pongs`, new Promise((settle) => {
    let sent = 0;
    client.record.on('sent', (frame) => {
      sent += isPong(frame) ? 1 : 0;
      if (sent === count) settle();
    });
  }));
}

scenario('connect and disconnect loops', 'each time another connection', async (t, encoding) => {
  const client = newClient(t, await serve(t), encoding);
  const ids = new Set();
  for (let round = 0; round < 10; round += 1) {
    const connected = next(client, 'connected');
    client.connect();
    ids.add((await connected).client);
    const disconnected = next(client, 'disconnected');
    client.disconnect();
    assert.equal((await disconnected).code, 0);
  }
  assert.equal(ids.size, 10);
});

scenario('connect and disconnect loops', 'calls without waiting end connected', async (t, encoding) => {
  const client = newClient(t, await serve(t), encoding);
  for (let round = 0; round < 10; round += 1) {
    client.connect();
    client.disconnect();
  }
  const connected = next(client, 'connected');
  client.connect();
  await connected;
  await subscribe(client, 'room');
});

scenario('token and expired token with refresh', 'a token connects', async (t, encoding) => {
  const client = await connect(t, await serve(t), encoding);
  assert.match(client.context.client, /^[0-9a-f-]{36}$/);
  assert.equal(client.context.transport, TRANSPORT);
  assert.equal(client.record.sockets, 1);
});

scenario('token and expired token with refresh', 'an expired token is replaced by getToken', async (t, encoding) => {
  let asked = 0;
  const client = newClient(t, await serve(t), encoding, {
    token: token('ada', { exp: inSeconds(-3600) }),
    getToken: async () => {
      asked += 1;
      return token('ada');
    },
  });
  const connected = next(client, 'connected');
  const refused = next(client, 'error');
  client.connect();
  assert.equal((await refused).error.code, 109);
  await connected;
  assert.equal(asked, 1);
});

scenario('token and expired token with refresh', 'a refreshed connection outlives its first token', async (t, encoding) => {
  const server = await serve(t, config({ expired_close_delay: '3s' }));
  let asked = 0;
  let again;
  const twice = new Promise((settle) => {
    again = settle;
  });
  const client = newClient(t, server, encoding, {
    token: token('ada', { exp: inSeconds(4) }),
    getToken: async () => {
      asked += 1;
      if (asked === 2) again();
      // The second refresh is due after the first token and the delay are over.
      return token('ada', { exp: inSeconds(asked === 1 ? 6 : 600) });
    },
  });
  const frames = [];
  client.record.on('received', (frame) => frames.push(String(frame)));
  const connected = next(client, 'connected');
  client.connect();
  await connected;
  const interrupted = [];
  client.on('connecting', (context) => interrupted.push(context));
  await within(30_000, 'the second refresh', twice).catch((error) => assert.fail(`${error.message}; received: ${frames.join(' | ')}`));
  // The answer to this comes after the server has taken the refresh command.
  await subscribe(client, 'room');
  assert.deepEqual(interrupted, []);
  assert.equal(client.record.sockets, 1);
});

scenario('token and expired token with refresh', 'not refreshed in time it ends with 3005, and a new token brings it back', async (t, encoding) => {
  const server = await serve(t, config({ expired_close_delay: '1s' }));
  let asked = 0;
  const client = newClient(t, server, encoding, {
    token: token('ada', { exp: inSeconds(4) }),
    getToken: () => {
      asked += 1;
      return asked === 1 ? new Promise(() => {}) : Promise.resolve(token('ada'));
    },
  });
  const connected = next(client, 'connected');
  client.connect();
  const first = await connected;
  const { code, reason } = await next(client, 'connecting');
  assert.deepEqual({ code, reason }, { code: 3005, reason: 'connection expired' });
  const second = await next(client, 'connected');
  assert.notEqual(second.client, first.client);
  assert.equal(asked, 2);
});

inEachEncoding('pings each second are answered and keep the connection', async (t, encoding) => {
  const server = await serve(t, config({ ping_interval: '1s', pong_timeout: '800ms' }));
  const client = await connect(t, server, encoding);
  const interrupted = [];
  client.on('connecting', (context) => interrupted.push(context));
  await pongs(client, encoding, 5);
  await subscribe(client, 'room');
  assert.deepEqual(interrupted, []);
  assert.equal(client.record.sockets, 1);
});

for (const encoding of ENCODINGS) {
  test(`${encoding}: no token is refused for good`, async (t) => {
    const client = newClient(t, await serve(t), encoding, { token: '' });
    assert.equal(await terminalCode(client), 3501);
  });

  test(`${encoding}: an invalid token is refused for good`, async (t) => {
    const server = await serve(t);
    const invalid = {
      'another secret': token('ada', {}, 'another secret of at least 32 bytes!'),
      'no signature': unsignedToken('ada'),
      'no token at all': 'rubbish',
      'a subscription token': token('ada', { channel: 'room' }),
    };
    for (const [what, given] of Object.entries(invalid)) {
      assert.equal(await terminalCode(newClient(t, server, encoding, { token: given })), 3500, what);
    }
  });
}

test('thirty clients of both encodings connect at once', async (t) => {
  const server = await serve(t);
  const clients = await Promise.all(Array.from({ length: 30 }, (_, at) => connect(t, server, ENCODINGS[at % ENCODINGS.length])));
  assert.equal(new Set(clients.map((client) => client.context.client)).size, 30);
  const subscriptions = await Promise.all(clients.map((client) => subscribe(client, 'crowd')));
  const arrivals = subscriptions.map((subscription) => take(subscription, 'publication', 1));
  await server.api('publish', { channel: 'crowd', data: {} });
  await Promise.all(arrivals);
});
