// History, positions, recovery and deltas, as the official SDK sees them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, ENCODINGS, payload, subscribe, textOf } from './support/client.js';
import { next, take } from './support/event.js';
import { config, serve } from './support/server.js';

const history = { history_size: 500, history_ttl: '60s', allow_history_for_subscriber: true };
const open = { allow_subscribe_for_client: true, allow_publish_for_client: true };
const server = await serve({ after }, {
  ...config(),
  channel: {
    without_namespace: { ...open, ...history, force_recovery: true },
    namespaces: [
      { name: 'short', ...open, ...history, history_size: 3, force_recovery: true },
      { name: 'cache', ...open, ...history, force_recovery: true, force_recovery_mode: 'cache' },
      { name: 'tagged', ...open, ...history, force_recovery: true, allow_tags_filter: true },
      { name: 'delta', ...open, ...history, force_recovery: true, delta_publish: true },
    ],
  },
});

const publish = (channel, data, more = {}) => server.api('publish', { channel, data, ...more });

for (const encoding of ENCODINGS) {
  test(`${encoding}: history is paged forwards and backwards`, async (t) => {
    const channel = `pages-${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, channel);
    for (let n = 1; n <= 5; n += 1) await publish(channel, n);
    const texts = (page) => page.publications.map(({ data }) => textOf(encoding, data));
    assert.deepEqual(texts(await subscription.history({ limit: 2 })), ['1', '2']);
    assert.deepEqual(texts(await subscription.history({ limit: 2, reverse: true })), ['5', '4']);
    assert.deepEqual((await subscription.history()).publications, []);
    const { offset, epoch } = await subscription.history({ limit: 2 });
    assert.equal(offset, 5);
    const since = { offset: 2, epoch };
    assert.deepEqual(texts(await subscription.history({ limit: 10, since })), ['3', '4', '5']);
    assert.deepEqual(texts(await subscription.history({ limit: 10, since, reverse: true })), ['1']);
    await assert.rejects(subscription.history({ limit: 1, since: { offset: 0, epoch: 'other' } }), { code: 112 });
  });

  test(`${encoding}: what is missed while the connection is cut comes after it, in order`, async (t) => {
    const channel = `cut-${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, channel);
    const arrivals = take(subscription, 'publication', 6);
    await publish(channel, 1);
    client.disconnect();
    for (let n = 2; n <= 5; n += 1) await publish(channel, n);
    const subscribed = next(subscription, 'subscribed');
    client.connect();
    const context = await subscribed;
    assert.equal(context.wasRecovering, true);
    assert.equal(context.recovered, true);
    await publish(channel, 6);
    assert.deepEqual((await arrivals).map(({ data }) => textOf(encoding, data)), ['1', '2', '3', '4', '5', '6']);
  });

  test(`${encoding}: what is missed between unsubscribe and subscribe comes too`, async (t) => {
    const channel = `gone-${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, channel);
    subscription.unsubscribe();
    await publish(channel, 1);
    await publish(channel, 2);
    const arrivals = take(subscription, 'publication', 2);
    subscription.subscribe();
    assert.deepEqual((await arrivals).map(({ offset }) => offset), [1, 2]);
  });

  test(`${encoding}: a position that is out of the window is not recovered, and says so`, async (t) => {
    const channel = `short:${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, channel);
    await publish(channel, 0);
    client.disconnect();
    for (let n = 1; n <= 8; n += 1) await publish(channel, n);
    const subscribed = next(subscription, 'subscribed');
    client.connect();
    const context = await subscribed;
    assert.equal(context.wasRecovering, true);
    assert.equal(context.recovered, false);
    const arrival = next(subscription, 'publication');
    await publish(channel, 9);
    assert.equal(textOf(encoding, (await arrival).data), '9');
  });

  test(`${encoding}: with getState an unrecoverable position asks for the state again`, async (t) => {
    const channel = `state-${encoding}`;
    await publish(channel, 1);
    const client = await connect(t, server, encoding);
    let asked = 0;
    const subscription = client.newSubscription(channel, {
      getState: async () => {
        asked += 1;
        if (asked === 1) return { offset: 0, epoch: 'made up' };
        const { result } = await server.api('history', { channel });
        return { offset: result.offset, epoch: result.epoch };
      },
    });
    const subscribed = next(subscription, 'subscribed');
    subscription.subscribe();
    await subscribed;
    assert.equal(asked, 2);
  });

  test(`${encoding}: in cache mode the latest comes, and only that`, async (t) => {
    const channel = `cache:${encoding}`;
    for (let n = 1; n <= 3; n += 1) await publish(channel, n);
    const client = await connect(t, server, encoding);
    const subscription = client.newSubscription(channel, { since: { offset: 0, epoch: '' } });
    const arrivals = take(subscription, 'publication', 2);
    const subscribed = next(subscription, 'subscribed');
    subscription.subscribe();
    assert.equal((await subscribed).recovered, true);
    await publish(channel, 4);
    assert.deepEqual((await arrivals).map(({ data }) => textOf(encoding, data)), ['3', '4']);
  });

  test(`${encoding}: a tags filter passes by what does not match, live and in recovery`, async (t) => {
    const channel = `tagged:${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = client.newSubscription(channel, { tagsFilter: { key: 'kind', cmp: 'eq', val: 'goal' } });
    const arrivals = take(subscription, 'publication', 3);
    const subscribed = next(subscription, 'subscribed');
    subscription.subscribe();
    await subscribed;
    const send = (n, kind) => publish(channel, n, { tags: { kind } });
    await send(1, 'goal');
    await send(2, 'foul');
    client.disconnect();
    await send(3, 'foul');
    await send(4, 'goal');
    const again = next(subscription, 'subscribed');
    client.connect();
    assert.equal((await again).recovered, true);
    await send(5, 'foul');
    await send(6, 'goal');
    assert.deepEqual((await arrivals).map(({ data }) => textOf(encoding, data)), ['1', '4', '6']);
  });

  test(`${encoding}: 200 deltas with a cut in between are put together without a fault`, async (t) => {
    const channel = `delta:${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = client.newSubscription(channel, { delta: 'fossil' });
    const subscribed = next(subscription, 'subscribed');
    subscription.subscribe();
    await subscribed;
    const arrivals = take(subscription, 'publication', 200, 30_000);
    const value = (n) => ({ n, text: 'lorem ipsum dolor sit amet '.repeat(20), ünï: 'ß'.repeat(n % 7), end: n });
    for (let n = 1; n <= 100; n += 1) await publish(channel, value(n));
    client.disconnect();
    for (let n = 101; n <= 120; n += 1) await publish(channel, value(n));
    client.connect();
    for (let n = 121; n <= 150; n += 1) await publish(channel, value(n));
    await publish(channel, value(151), { skip_history: true });
    for (let n = 152; n <= 200; n += 1) await publish(channel, value(n));
    const texts = (await arrivals).map(({ data }) => textOf(encoding, data));
    assert.deepEqual(texts, Array.from({ length: 200 }, (_, at) => JSON.stringify(value(at + 1))));
  });

  test(`${encoding}: a repeated idempotency key publishes once and answers the same`, async (t) => {
    const channel = `idempotent-${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, channel);
    const arrivals = take(subscription, 'publication', 2);
    const first = await publish(channel, 1, { idempotency_key: 'a' });
    const again = await publish(channel, 1, { idempotency_key: 'a' });
    assert.deepEqual(again, first);
    assert.equal(first.result.offset, 1);
    await publish(channel, 2, { version: 5 });
    const old = await publish(channel, 3, { version: 5 });
    assert.equal(old.result.offset, 2);
    assert.deepEqual((await arrivals).map(({ data }) => textOf(encoding, data)), ['1', '2']);
  });

  test(`${encoding}: a publication by a client has its offset and its publisher`, async (t) => {
    const channel = `own-${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, channel);
    const arrival = next(subscription, 'publication');
    await subscription.publish(payload(encoding, '{"a":1}'));
    const { offset, info } = await arrival;
    assert.equal(offset, 1);
    assert.equal(info.client, client.context.client);
  });
}

test('history is removed, and positions stay', async () => {
  const channel = 'removed';
  await publish(channel, 1);
  await publish(channel, 2);
  assert.deepEqual(await server.api('history_remove', { channel }), { result: {} });
  const { result } = await server.api('history', { channel, limit: -1 });
  assert.deepEqual(result.publications, []);
  assert.equal(result.offset, 2);
});
