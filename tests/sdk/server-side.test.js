// Subscriptions that a connection token makes, as the official SDK sees them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ENCODINGS, newClient, textOf } from './support/client.js';
import { next, take, within } from './support/event.js';
import { drop, throughProxy } from './support/proxy.js';
import { inEachEncoding, scenario } from './support/scenario.js';
import { config, serve } from './support/server.js';
import { inSeconds, token } from './support/token.js';

const server = await serve({ after }, {
  ...config(),
  channel: {
    without_namespace: { history_size: 100, history_ttl: '60s', force_recovery: true, presence: true, join_leave: true, force_push_join_leave: true },
  },
});

const publish = (channel, data) => server.api('publish', { channel, data });

scenario('server-side subscriptions with recovery', 'what is missed in a drop comes after it', async (t, encoding) => {
  const [one, two] = [`one-${encoding}`, `two-${encoding}`];
  const proxy = await throughProxy(t, server);
  const client = newClient(t, proxy, encoding, {
    getToken: async () => token(`ada-${encoding}`, { channels: [one, two] }),
  });
  const subscribed = take(client, 'subscribed', 2);
  const joins = take(client, 'join', 2);
  client.connect();
  assert.deepEqual((await subscribed).map(({ channel }) => channel).sort(), [one, two].sort());
  assert.deepEqual((await joins).map(({ channel }) => channel).sort(), [one, two].sort());

  const arrivals = take(client, 'publication', 10, 30_000);
  await publish(one, 1);
  await publish(two, 11);
  const again = take(client, 'subscribed', 2);
  await drop(client, proxy, async () => {
    for (const n of [2, 3, 4]) await publish(one, n);
    for (const n of [12, 13]) await publish(two, n);
  });
  assert.deepEqual((await again).map(({ wasRecovering, recovered }) => [wasRecovering, recovered]), [[true, true], [true, true]]);
  for (const n of [5, 6]) await publish(one, n);
  await publish(two, 14);

  // Channels keep no order among each other.
  const came = { [one]: [], [two]: [] };
  for (const { channel, data } of await arrivals) came[channel].push(Number(textOf(encoding, data)));
  assert.deepEqual(came, { [one]: [1, 2, 3, 4, 5, 6], [two]: [11, 12, 13, 14] });
  const { result } = await server.api('presence_stats', { channel: two });
  assert.equal(result.num_users, 1);
});

inEachEncoding('a token with another set of channels makes the client reconnect', async (t, encoding) => {
  const channels = [[`a-${encoding}`], [`a-${encoding}`], [`b-${encoding}`]];
  let asked = 0;
  const client = newClient(t, server, encoding, {
    getToken: async () => {
      const claims = { channels: channels[Math.min(asked, 2)], exp: inSeconds(asked < 2 ? 4 : 600) };
      asked += 1;
      return token(`bob-${encoding}`, claims);
    },
  });
  const connected = next(client, 'connected');
  client.connect();
  await connected;
  const codes = [];
  client.on('connecting', ({ code }) => codes.push(code));
  const moved = new Promise((settle) => {
    client.on('subscribed', ({ channel }) => channel === `b-${encoding}` && settle());
  });
  await within(15_000, 'the other channel', moved);
  assert.deepEqual(codes, [3010]);
});

for (const encoding of ENCODINGS) {

  test(`${encoding}: a channel of an unknown namespace in the token refuses the connection`, async (t) => {
    const client = newClient(t, server, encoding, { token: token('eve', { channels: ['unknown:a'] }) });
    const disconnected = next(client, 'disconnected');
    client.connect();
    assert.equal((await disconnected).code, 102);
  });

  test(`${encoding}: what waits behind the connect command in the same frame is taken up after it`, async (t) => {
    const client = newClient(t, server, encoding, {
      token: token(`cyd-${encoding}`, { subs: { [`own-${encoding}`]: { data: { from: 'token' } } } }),
    });
    const subscription = client.newSubscription('closed');
    const refused = next(subscription, 'unsubscribed');
    subscription.subscribe();
    const subscribed = next(client, 'subscribed');
    client.connect();
    assert.equal(textOf(encoding, (await subscribed).data), '{"from":"token"}');
    assert.equal((await refused).code, 103);
  });
}
