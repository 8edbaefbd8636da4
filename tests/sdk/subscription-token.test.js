// Channels that need a token of their own, as the official SDK sees them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, ENCODINGS, newClient, payload } from './support/client.js';
import { next, within } from './support/event.js';
import { inEachEncoding, scenario } from './support/scenario.js';
import { config, serve } from './support/server.js';
import { inSeconds, token } from './support/token.js';

const server = await serve({ after }, {
  ...config({ expired_sub_close_delay: '3s' }),
  channel: {
    without_namespace: {
      allow_publish_for_subscriber: true,
      presence: true,
      allow_presence_for_subscriber: true,
      history_size: 10,
      history_ttl: '60s',
    },
  },
});

/** A subscription token for ten minutes, unless the claims say otherwise. */
const forChannel = (user, channel, claims = {}) => token(user, { channel, ...claims });

scenario('subscribe with channel token', 'a private channel opens to its token, and to nothing else', async (t, encoding) => {
  const user = `ada-${encoding}`;
  const channel = `$private-${encoding}`;
  const client = await connect(t, server, encoding, { token: token(user) });
  const closed = client.newSubscription(channel);
  const refused = next(closed, 'unsubscribed');
  closed.subscribe();
  assert.equal((await refused).code, 103);
  client.removeSubscription(closed);

  const open = client.newSubscription(channel, { token: forChannel(user, channel) });
  const subscribed = next(open, 'subscribed');
  open.subscribe();
  await subscribed;
  const arrival = next(open, 'publication');
  await open.publish(payload(encoding, '1'));
  await arrival;
});

scenario('subscribe with channel token', 'an expired token is fetched anew, and again before it runs out', async (t, encoding) => {
  const user = `ada-${encoding}`;
  const channel = `$short-${encoding}`;
  const client = await connect(t, server, encoding, { token: token(user) });
  let asked = 0;
  let refreshed;
  const again = new Promise((settle) => { refreshed = settle; });
  const subscription = client.newSubscription(channel, {
    token: forChannel(user, channel, { exp: inSeconds(-60) }),
    getToken: async () => {
      asked += 1;
      if (asked === 2) refreshed();
      return forChannel(user, channel, { exp: inSeconds(asked === 1 ? 4 : 600) });
    },
  });
  const subscribed = next(subscription, 'subscribed');
  const lost = [];
  subscription.subscribe();
  await subscribed;
  subscription.on('subscribing', (context) => lost.push(context));
  await within(15_000, 'the refresh', again);
  await subscription.presenceStats();
  assert.deepEqual(lost, []);
  assert.equal(subscription.state, 'subscribed');
});

inEachEncoding('a subscription whose token runs out is ended with 2501', async (t, encoding) => {
  const user = `ada-${encoding}`;
  const channel = `$over-${encoding}`;
  const client = newClient(t, server, encoding, { token: token(user) });
  client.connect();
  // The SDK would fetch another token; this one must come too late.
  const never = new Promise(() => {});
  const subscription = client.newSubscription(channel, {
    token: forChannel(user, channel, { exp: inSeconds(4) }),
    getToken: () => never,
  });
  const subscribed = next(subscription, 'subscribed');
  subscription.subscribe();
  await subscribed;
  const { code } = await next(subscription, 'subscribing');
  assert.equal(code, 2501);
});

for (const encoding of ENCODINGS) {
  const user = `ada-${encoding}`;
  const start = async (t) => connect(t, server, encoding, { token: token(user) });

  for (const [what, claims] of [['another channel', { channel: '$other' }], ['another user', { sub: 'eve' }]]) {
    test(`${encoding}: a token of ${what} ends the connection`, async (t) => {
      const channel = `$mine-${encoding}`;
      const client = await start(t);
      const disconnected = next(client, 'disconnected');
      client.newSubscription(channel, { token: forChannel(user, channel, claims) }).subscribe();
      assert.equal((await disconnected).code, 3500);
    });
  }

  test(`${encoding}: a token that does not verify is refused, and the connection stays`, async (t) => {
    const client = await start(t);
    const subscription = client.newSubscription('$any', { token: `${forChannel(user, '$any')}x` });
    const refused = next(subscription, 'unsubscribed');
    subscription.subscribe();
    assert.equal((await refused).code, 103);
    assert.equal(client.state, 'connected');
  });

  test(`${encoding}: what the token says of the user and to the subscriber is told`, async (t) => {
    const channel = `$told-${encoding}`;
    const client = await start(t);
    const claims = { info: { role: 'judge' }, data: { welcome: true }, override: { force_recovery: { value: true } } };
    const subscription = client.newSubscription(channel, { token: forChannel(user, channel, claims) });
    const subscribed = next(subscription, 'subscribed');
    subscription.subscribe();
    const context = await subscribed;
    assert.equal(context.recoverable, true);
    const read = (value) => (encoding === 'json' ? value : JSON.parse(Buffer.from(value).toString()));
    assert.deepEqual(read(context.data), { welcome: true });
    const { clients } = await subscription.presence();
    assert.deepEqual(read(clients[client.context.client].chanInfo), { role: 'judge' });
    const arrival = next(subscription, 'publication');
    await subscription.publish(payload(encoding, '1'));
    assert.deepEqual(read((await arrival).info.chanInfo), { role: 'judge' });
  });
}
