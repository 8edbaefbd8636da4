// Presence, joins and leaves, as the official SDK sees them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, ENCODINGS } from './support/client.js';
import { next } from './support/event.js';
import { config, serve } from './support/server.js';

const server = await serve({ after }, {
  ...config(),
  channel: {
    without_namespace: {
      allow_subscribe_for_client: true,
      presence: true,
      join_leave: true,
      force_push_join_leave: true,
      allow_presence_for_subscriber: true,
    },
    namespaces: [],
  },
});

for (const encoding of ENCODINGS) {
  test(`${encoding}: presence shows who is there, and no longer who left`, async (t) => {
    const channel = `present-${encoding}`;
    const [one, two] = [await connect(t, server, encoding), await connect(t, server, encoding)];
    const mine = one.newSubscription(channel);
    const ownJoin = next(mine, 'join');
    mine.subscribe();
    assert.equal((await ownJoin).info.client, one.context.client, 'its own join, after its reply');

    const joined = next(mine, 'join');
    const theirs = two.newSubscription(channel);
    theirs.subscribe();
    assert.equal((await joined).info.client, two.context.client);
    const { clients } = await mine.presence();
    assert.deepEqual(Object.keys(clients).sort(), [one.context.client, two.context.client].sort());
    assert.deepEqual(await mine.presenceStats(), { numClients: 2, numUsers: 2 });

    const left = next(mine, 'leave');
    theirs.unsubscribe();
    assert.equal((await left).info.client, two.context.client);
    assert.deepEqual(Object.keys((await mine.presence()).clients), [one.context.client]);
    const { result } = await server.api('presence_stats', { channel });
    assert.deepEqual(result, { num_clients: 1, num_users: 1 });
  });

  test(`${encoding}: a connection that is cut leaves`, async (t) => {
    const channel = `cut-${encoding}`;
    const [one, two] = [await connect(t, server, encoding), await connect(t, server, encoding)];
    const mine = one.newSubscription(channel);
    const both = new Promise((settle) => {
      mine.on('join', ({ info }) => info.client === two.context.client && settle());
    });
    mine.subscribe();
    await next(mine, 'subscribed');
    two.newSubscription(channel).subscribe();
    await both;
    const left = next(mine, 'leave');
    two.disconnect();
    assert.equal((await left).info.client, two.context.client);
    assert.equal((await mine.presenceStats()).numClients, 1);
  });

  test(`${encoding}: subscribing and unsubscribing again and again ends as it should`, async (t) => {
    const channel = `loop-${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = client.newSubscription(channel);
    for (let round = 0; round < 10; round += 1) {
      subscription.subscribe();
      subscription.unsubscribe();
    }
    const subscribed = next(subscription, 'subscribed');
    subscription.subscribe();
    await subscribed;
    assert.equal((await subscription.presenceStats()).numClients, 1);
    subscription.unsubscribe();
    // Commands of one connection begin in their order: this answer is behind the other.
    await assert.rejects(client.presenceStats(channel), { code: 103 });
    const { result } = await server.api('presence', { channel });
    assert.deepEqual(result, { presence: {} });
  });
}
