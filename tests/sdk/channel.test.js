// Channels: subscribing, leaving, and what is refused.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, ENCODINGS, newClient, payload, subscribe, textOf } from './support/client.js';
import { next, take, within } from './support/event.js';
import { scenario } from './support/scenario.js';
import { serve } from './support/server.js';
import { TRANSPORT } from './support/transport.js';

const server = await serve({ after });

/** The code with which a subscription is refused for good. */
async function refusal(client, channel) {
  const subscription = client.newSubscription(channel);
  const unsubscribed = next(subscription, 'unsubscribed');
  subscription.subscribe();
  const { code } = await unsubscribed;
  return code;
}

scenario('100 subscriptions at once', 'in one frame with connect', async (t, encoding) => {
  const client = newClient(t, server, encoding);
  const channels = Array.from({ length: 100 }, (_, number) => `many-${encoding}-${number}`);
  const subscriptions = channels.map((channel) => client.newSubscription(channel));
  const subscribed = subscriptions.map((subscription) => next(subscription, 'subscribed'));
  let frames = 0;
  client.record.on('sent', () => {
    frames += 1;
  });
  for (const subscription of subscriptions) subscription.subscribe();
  client.connect();
  await Promise.all(subscribed);
  // The request that opens a stream says nothing but connect.
  assert.equal(frames, TRANSPORT === 'websocket' ? 1 : 2);

  const got = [];
  const all = within(10_000, 'a publication in each channel', new Promise((settle) => {
    for (const subscription of subscriptions) {
      subscription.on('publication', ({ channel }) => {
        got.push(channel);
        if (got.length === channels.length) settle();
      });
    }
  }));
  await server.api('broadcast', { channels, data: { text: 'to all' } });
  await all;
  assert.deepEqual(got.sort(), channels.sort());
});

scenario('RPC refusal', 'no method is available, and the connection stays', async (t, encoding) => {
  const client = await connect(t, server, encoding);
  const interrupted = [];
  client.on('connecting', (context) => interrupted.push(context));
  for (const method of ['method', 'namespace:method', '']) {
    await assert.rejects(client.rpc(method, payload(encoding, '{}')), { code: 108, message: 'not available' });
  }
  const subscription = await subscribe(client, `after-rpc-${encoding}`);
  const arrival = next(subscription, 'publication');
  await subscription.publish(payload(encoding, '1'));
  await arrival;
  assert.deepEqual(interrupted, []);
});

for (const encoding of ENCODINGS) {
  test(`${encoding}: a channel that clients may not use is refused`, async (t) => {
    const client = await connect(t, server, encoding);
    assert.equal(await refusal(client, 'closed:room'), 103);
    await assert.rejects(client.publish('closed:room', payload(encoding, '1')), { code: 103 });
    assert.equal(client.state, 'connected');
  });

  test(`${encoding}: a channel that clients may only read takes no publications from them`, async (t) => {
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, 'news:today');
    const arrival = next(subscription, 'publication');
    await assert.rejects(subscription.publish(payload(encoding, '1')), { code: 103 });
    await server.api('publish', { channel: 'news:today', data: 2 });
    assert.equal(textOf(encoding, (await arrival).data), '2');
  });

  test(`${encoding}: a channel of an unknown namespace is refused`, async (t) => {
    const client = await connect(t, server, encoding);
    assert.equal(await refusal(client, 'unknown:room'), 102);
    await assert.rejects(client.publish('unknown:room', payload(encoding, '1')), { code: 102 });
    const answer = await server.api('publish', { channel: 'unknown:room', data: 1 });
    assert.equal(answer.error.code, 102);
  });

  test(`${encoding}: presence and history are not available while they are off`, async (t) => {
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, `plain-${encoding}`);
    await assert.rejects(subscription.presence(), { code: 108 });
    await assert.rejects(subscription.presenceStats(), { code: 108 });
    await assert.rejects(subscription.history({ limit: 1 }), { code: 108 });
    assert.equal(client.state, 'connected');
  });

  test(`${encoding}: subscribes and unsubscribes again and again, and then gets each publication once`, async (t) => {
    const channel = `loop-${encoding}`;
    const client = await connect(t, server, encoding);
    const subscription = client.newSubscription(channel);
    const interrupted = [];
    client.on('connecting', (context) => interrupted.push(context));
    for (let round = 0; round < 8; round += 1) {
      subscription.subscribe();
      subscription.unsubscribe();
    }
    const subscribed = next(subscription, 'subscribed');
    subscription.subscribe();
    await subscribed;
    const arrivals = take(subscription, 'publication', 2);
    await server.api('publish', { channel, data: 1 });
    await server.api('publish', { channel, data: 2 });
    assert.deepEqual((await arrivals).map(({ data }) => textOf(encoding, data)), ['1', '2']);
    assert.deepEqual(interrupted, []);
  });

  test(`${encoding}: nothing arrives after unsubscribing`, async (t) => {
    const client = await connect(t, server, encoding);
    const left = await subscribe(client, `left-${encoding}`);
    const kept = await subscribe(client, `kept-${encoding}`);
    const strays = [];
    left.on('publication', (context) => strays.push(context));
    left.unsubscribe();
    const arrival = next(kept, 'publication');
    await client.publish(`left-${encoding}`, payload(encoding, '1'));
    await client.publish(`kept-${encoding}`, payload(encoding, '2'));
    await arrival;
    assert.deepEqual(strays, []);
  });
}
