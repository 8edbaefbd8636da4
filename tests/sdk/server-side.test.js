// Subscriptions that a connection token makes, as the official SDK sees them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ENCODINGS, newClient, textOf } from './support/client.js';
import { next, take } from './support/event.js';
import { config, serve } from './support/server.js';
import { inSeconds, token } from './support/token.js';

const server = await serve({ after }, {
  ...config(),
  channel: {
    without_namespace: { history_size: 100, history_ttl: '60s', force_recovery: true, presence: true, join_leave: true, force_push_join_leave: true },
  },
});

const publish = (channel, data) => server.api('publish', { channel, data });

for (const encoding of ENCODINGS) {
  test(`${encoding}: the channels of a token are subscribed at connect, and what is missed comes after a cut`, async (t) => {
    const [one, two] = [`one-${encoding}`, `two-${encoding}`];
    const client = newClient(t, server, encoding, {
      getToken: async () => token(`ada-${encoding}`, { channels: [one, two] }),
    });
    const subscribed = take(client, 'subscribed', 2);
    const joins = take(client, 'join', 2);
    client.connect();
    assert.deepEqual((await subscribed).map(({ channel }) => channel).sort(), [one, two].sort());
    assert.deepEqual((await joins).map(({ channel }) => channel).sort(), [one, two].sort());
    const arrivals = take(client, 'publication', 4);
    await publish(one, 1);
    await publish(two, 2);
    client.disconnect();
    await publish(one, 3);
    const again = take(client, 'subscribed', 2);
    client.connect();
    assert.deepEqual((await again).map(({ recovered }) => recovered), [true, true]);
    await publish(one, 4);
    // Channels keep no order among each other.
    assert.deepEqual((await arrivals).map(({ data }) => textOf(encoding, data)).sort(), ['1', '2', '3', '4']);
    const { result } = await server.api('presence_stats', { channel: two });
    assert.equal(result.num_clients, 1);
  });

  test(`${encoding}: a token with another set of channels makes the client reconnect`, async (t) => {
    const channels = [[`a-${encoding}`], [`a-${encoding}`], [`b-${encoding}`]];
    let asked = 0;
    const client = newClient(t, server, encoding, {
      getToken: async () => {
        const claims = { channels: channels[Math.min(asked, 2)], exp: inSeconds(asked < 2 ? 2 : 600) };
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
    await moved;
    assert.deepEqual(codes, [3010]);
  });

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
