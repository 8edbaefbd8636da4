// Presence, joins and leaves, as the official SDK sees them.

import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { after, test } from 'node:test';
import { connect, ENCODINGS } from './support/client.js';
import { next } from './support/event.js';
import { scenario } from './support/scenario.js';
import { config, serve } from './support/server.js';
import { TRANSPORT } from './support/transport.js';

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

/** What is told of joins and leaves from now on: `all` of it, and a promise for the first `count`. */
function tellings(subscription) {
  const all = [];
  const arrived = new EventEmitter();
  for (const what of ['join', 'leave']) {
    subscription.on(what, ({ info }) => {
      all.push([what, info.client]);
      arrived.emit(String(all.length));
    });
  }
  const reach = async (count) => all.length >= count || next(arrived, String(count));
  return { all, reach };
}

scenario('presence before and after a leave', 'shows who is there, and no longer who left', async (t, encoding) => {
  const channel = `present-${encoding}`;
  const [one, two] = [await connect(t, server, encoding), await connect(t, server, encoding)];
  const atApi = async () => {
    const [{ result: all }, { result: counts }] = [await server.api('presence', { channel }), await server.api('presence_stats', { channel })];
    return [Object.keys(all.presence).sort(), counts];
  };
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
  assert.deepEqual(await atApi(), [Object.keys(clients).sort(), { num_clients: 2, num_users: 2 }]);

  const left = next(mine, 'leave');
  theirs.unsubscribe();
  assert.equal((await left).info.client, two.context.client);
  assert.deepEqual(Object.keys((await mine.presence()).clients), [one.context.client]);
  assert.deepEqual(await mine.presenceStats(), { numClients: 1, numUsers: 1 });
  assert.deepEqual(await atApi(), [[one.context.client], { num_clients: 1, num_users: 1 }]);
});

scenario('join and leave order', 'each is told in the order it came to pass', async (t, encoding) => {
  const channel = `order-${encoding}`;
  const watcher = await connect(t, server, encoding);
  const [one, two] = [await connect(t, server, 'json'), await connect(t, server, 'protobuf')];
  const mine = watcher.newSubscription(channel);
  const told = tellings(mine);
  mine.subscribe();
  const first = one.newSubscription(channel);
  const second = two.newSubscription(channel);
  const steps = [
    [() => {}, 'join', watcher],
    [() => first.subscribe(), 'join', one],
    [() => second.subscribe(), 'join', two],
    [() => first.unsubscribe(), 'leave', one],
    [() => first.subscribe(), 'join', one],
    [() => two.disconnect(), 'leave', two],
    [() => one.disconnect(), 'leave', one],
  ];
  const expected = [];
  for (const [act, what, who] of steps) {
    act();
    expected.push([what, who.context.client]);
    await told.reach(expected.length);
  }
  assert.deepEqual(told.all, expected);
});

scenario('join and leave order', 'joins and leaves of one client alternate, however fast it comes and goes', async (t, encoding) => {
  const channel = `restless-${encoding}`;
  const watcher = await connect(t, server, encoding);
  const mine = watcher.newSubscription(channel);
  const told = tellings(mine);
  mine.subscribe();
  await told.reach(1);
  const restless = await connect(t, server, encoding);
  const theirs = restless.newSubscription(channel);
  for (let round = 0; round < 20; round += 1) {
    const subscribed = next(theirs, 'subscribed');
    theirs.subscribe();
    await subscribed;
    theirs.unsubscribe();
  }
  await told.reach(41);
  const id = restless.context.client;
  assert.deepEqual(told.all.slice(1), Array.from({ length: 20 }, () => [['join', id], ['leave', id]]).flat());
});

for (const encoding of ENCODINGS) {
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
    // Commands of one connection begin in their order: this answer is behind the other. Over a stream
    // each is a request, and the second may overtake the first.
    let asked = client.presenceStats(channel);
    for (let more = 0; TRANSPORT !== 'websocket' && more < 100; more += 1) {
      asked = asked.then(() => client.presenceStats(channel));
    }
    await assert.rejects(asked, { code: 103 });
    const { result } = await server.api('presence', { channel });
    assert.deepEqual(result, { presence: {} });
  });
}
