// Deltas, as the official SDK puts them together.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, ENCODINGS, payload, textOf } from './support/client.js';
import { next, take } from './support/event.js';
import { drop, throughProxy } from './support/proxy.js';
import { scenario } from './support/scenario.js';
import { config, serve } from './support/server.js';

const server = await serve({ after }, {
  ...config(),
  channel: {
    without_namespace: {
      allow_subscribe_for_client: true,
      allow_publish_for_client: true,
      history_size: 500,
      history_ttl: '60s',
      force_recovery: true,
      delta_publish: true,
    },
  },
});

const LOREM = 'lorem ipsum dolor sit amet, grüße an die welt 世界 🦭 '.repeat(40);

/** The text of a publication that differs little from the one before. In Protobuf its very bytes come back, spaces too. */
function textAt(encoding, n) {
  const value = { n, before: LOREM, ünï: 'ß'.repeat(n % 7), after: LOREM, end: n };
  return JSON.stringify(value, null, encoding === 'json' ? 0 : 1);
}

async function subscribe(client, channel) {
  const subscription = client.newSubscription(channel, { delta: 'fossil' });
  const subscribed = next(subscription, 'subscribed');
  subscription.subscribe();
  await subscribed;
  return subscription;
}

scenario('delta over 200 publications with a drop in between', 'each comes whole, once and in order', async (t, encoding) => {
  const channel = `delta-${encoding}`;
  const proxy = await throughProxy(t, server);
  const publisher = await connect(t, server, encoding);
  const client = await connect(t, proxy, encoding);
  const subscription = await subscribe(client, channel);
  const texts = Array.from({ length: 200 }, (_, at) => textAt(encoding, at + 1));
  const publish = async (from, to) => {
    for (const text of texts.slice(from, to)) await publisher.publish(channel, payload(encoding, text));
  };

  const arrivals = take(subscription, 'publication', texts.length, 30_000);
  await publish(0, 80);
  // Not all of these need to have arrived when the connection is cut.
  const again = next(subscription, 'subscribed');
  const { returned } = await drop(client, proxy, () => publish(80, 120));
  await publish(120, 200);
  await returned;
  const { wasRecovering, recovered } = await again;
  assert.deepEqual({ wasRecovering, recovered }, { wasRecovering: true, recovered: true });

  const came = await arrivals;
  assert.deepEqual(came.map(({ offset }) => offset), texts.map((_, at) => at + 1));
  assert.deepEqual(came.map(({ data }) => textOf(encoding, data)), texts);

  // What is published while the server takes up the subscription again comes whole.
  const { numDeltaPayloads } = subscription.deltaStats();
  assert.ok(numDeltaPayloads >= 110, `${numDeltaPayloads} patches`);
  const whole = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  assert.ok(proxy.received() < whole / 2, `${proxy.received()} bytes on the wire for ${whole} of payload`);
});

for (const encoding of ENCODINGS) {
  test(`${encoding}: a delta after a publication that skips history is put together without a fault`, async (t) => {
    const channel = `skipping-${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, channel);
    const arrivals = take(subscription, 'publication', 9);
    const value = (n) => JSON.parse(textAt('json', n));
    for (let n = 1; n <= 9; n += 1) await server.api('publish', { channel, data: value(n), skip_history: n === 4 || n === 8 });
    assert.deepEqual((await arrivals).map(({ data }) => JSON.parse(textOf(encoding, data))), Array.from({ length: 9 }, (_, at) => value(at + 1)));
  });
}
