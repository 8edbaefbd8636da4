// History, the cache and the tags filter, as the official SDK sees them.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, ENCODINGS, payload, subscribe, textOf } from './support/client.js';
import { next, take } from './support/event.js';
import { scenario } from './support/scenario.js';
import { config, serve } from './support/server.js';

const history = { history_size: 500, history_ttl: '60s', allow_history_for_subscriber: true };
const open = { allow_subscribe_for_client: true, allow_publish_for_client: true };
const server = await serve({ after }, {
  ...config(),
  channel: {
    without_namespace: { ...open, ...history, force_recovery: true },
    namespaces: [
      { name: 'cache', ...open, ...history, force_recovery: true, force_recovery_mode: 'cache' },
      { name: 'tagged', ...open, ...history, force_recovery: true, allow_tags_filter: true },
    ],
  },
});

const publish = (channel, data, more = {}) => server.api('publish', { channel, data, ...more });

scenario('history pages forwards and backwards', 'single pages, the position, and what is refused', async (t, encoding) => {
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

scenario('history pages forwards and backwards', 'from one end to the other, each once', async (t, encoding) => {
  const channel = `walk-${encoding}`;
  const client = await connect(t, server, encoding);
  const subscription = await subscribe(client, channel);
  for (let n = 1; n <= 25; n += 1) await publish(channel, n);
  const walk = async (reverse) => {
    const pages = [];
    let since;
    for (;;) {
      const { publications, epoch } = await subscription.history({ limit: 10, since, reverse });
      if (publications.length === 0) return pages;
      pages.push(publications.map(({ data, offset }) => [Number(textOf(encoding, data)), offset]));
      since = { offset: publications.at(-1).offset, epoch };
    }
  };
  const all = Array.from({ length: 25 }, (_, at) => [at + 1, at + 1]);
  assert.deepEqual(await walk(false), [all.slice(0, 10), all.slice(10, 20), all.slice(20)]);
  all.reverse();
  assert.deepEqual(await walk(true), [all.slice(0, 10), all.slice(10, 20), all.slice(20)]);
});

scenario('idempotent publish', 'a repeated key or version publishes once and answers the same', async (t, encoding) => {
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

for (const encoding of ENCODINGS) {
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
