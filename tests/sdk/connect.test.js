// Connecting: tokens, refusals, refreshing, pings.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, ENCODINGS, newClient, subscribe } from './support/client.js';
import { next, take, within } from './support/event.js';
import { config, serve } from './support/server.js';
import { inSeconds, token, unsignedToken } from './support/token.js';

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

for (const encoding of ENCODINGS) {
  test(`${encoding}: a token connects`, async (t) => {
    const client = await connect(t, await serve(t), encoding);
    assert.match(client.context.client, /^[0-9a-f-]{36}$/);
    assert.equal(client.context.transport, 'websocket');
    assert.equal(client.record.sockets, 1);
  });

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

  test(`${encoding}: an expired token is replaced by getToken`, async (t) => {
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

  test(`${encoding}: a token that runs out is refreshed on the open connection`, async (t) => {
    const server = await serve(t);
    let refreshed;
    const asked = new Promise((settle) => {
      refreshed = settle;
    });
    const client = newClient(t, server, encoding, {
      token: token('ada', { exp: inSeconds(3) }),
      getToken: async () => {
        refreshed();
        return token('ada');
      },
    });
    const frames = [];
    client.record.on('received', (frame) => frames.push(String(frame)));
    const connected = next(client, 'connected');
    client.connect();
    await connected;
    const interrupted = [];
    client.on('connecting', (context) => interrupted.push(context));
    await within(15_000, 'the refresh', asked).catch((error) => assert.fail(`${error.message}; received: ${frames.join(' | ')}`));
    // The answer to this comes after the server has taken the refresh command.
    await subscribe(client, 'room');
    assert.deepEqual(interrupted, []);
    assert.equal(client.record.sockets, 1);
  });

  test(`${encoding}: connects and disconnects again and again`, async (t) => {
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

  test(`${encoding}: calls without waiting between connect and disconnect end connected`, async (t) => {
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

  test(`${encoding}: pings each second are answered and keep the connection`, async (t) => {
    const server = await serve(t, config({ ping_interval: '1s', pong_timeout: '800ms' }));
    const client = await connect(t, server, encoding);
    const interrupted = [];
    client.on('connecting', (context) => interrupted.push(context));
    await pongs(client, encoding, 5);
    await subscribe(client, 'room');
    assert.deepEqual(interrupted, []);
    assert.equal(client.record.sockets, 1);
  });
}

test('thirty clients of both encodings connect at once', async (t) => {
  const server = await serve(t);
  const clients = await Promise.all(Array.from({ length: 30 }, (_, at) => connect(t, server, ENCODINGS[at % 2])));
  assert.equal(new Set(clients.map((client) => client.context.client)).size, 30);
  const subscriptions = await Promise.all(clients.map((client) => subscribe(client, 'crowd')));
  const arrivals = subscriptions.map((subscription) => take(subscription, 'publication', 1));
  await server.api('publish', { channel: 'crowd', data: {} });
  await Promise.all(arrivals);
});
