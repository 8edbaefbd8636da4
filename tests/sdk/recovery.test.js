// Recovery of what was missed, and what the official SDK does when there is none.

import assert from 'node:assert/strict';
import { after } from 'node:test';
import { connect, subscribe, textOf } from './support/client.js';
import { next, take } from './support/event.js';
import { drop, throughProxy } from './support/proxy.js';
import { scenario } from './support/scenario.js';
import { config, serve } from './support/server.js';

const options = { allow_subscribe_for_client: true, history_ttl: '60s', force_recovery: true };
const server = await serve({ after }, {
  ...config(),
  channel: {
    without_namespace: { ...options, history_size: 500 },
    namespaces: [{ name: 'short', ...options, history_size: 3 }],
  },
});

/** Publishes the numbers `first` to `last`. */
async function publish(channel, first, last) {
  for (let n = first; n <= last; n += 1) await server.api('publish', { channel, data: n });
}

const upTo = (last) => Array.from({ length: last }, (_, at) => at + 1);
const numbers = (encoding, publications) => publications.map(({ data }) => Number(textOf(encoding, data)));

scenario('recovery after a dropped TCP connection', 'what is missed comes once and in order, drop after drop', async (t, encoding) => {
  const channel = `dropped-${encoding}`;
  const proxy = await throughProxy(t, server);
  const client = await connect(t, proxy, encoding);
  const subscription = await subscribe(client, channel);
  const arrivals = take(subscription, 'publication', 60, 30_000);
  for (let last = 0; last < 60; last += 20) {
    await publish(channel, last + 1, last + 8);
    const again = next(subscription, 'subscribed');
    await drop(client, proxy, () => publish(channel, last + 9, last + 14));
    // While the SDK comes back.
    await publish(channel, last + 15, last + 20);
    const { wasRecovering, recovered, hasRecoveredPublications } = await again;
    assert.deepEqual([wasRecovering, recovered, hasRecoveredPublications], [true, true, true]);
  }
  const came = await arrivals;
  assert.deepEqual(numbers(encoding, came), upTo(60));
  assert.deepEqual(came.map(({ offset }) => offset), upTo(60));
});

scenario('recovery after unsubscribe', 'what is missed between unsubscribe and subscribe comes once and in order', async (t, encoding) => {
  const channel = `left-${encoding}`;
  const client = await connect(t, server, encoding);
  const subscription = await subscribe(client, channel);
  const arrivals = take(subscription, 'publication', 12, 30_000);
  const beforeLeaving = take(subscription, 'publication', 3);
  await publish(channel, 1, 3);
  await beforeLeaving;
  subscription.unsubscribe();
  await publish(channel, 4, 9);
  const again = next(subscription, 'subscribed');
  subscription.subscribe();
  await publish(channel, 10, 12);
  const { wasRecovering, recovered } = await again;
  assert.deepEqual([wasRecovering, recovered], [true, true]);
  assert.deepEqual(numbers(encoding, await arrivals), upTo(12));
});

scenario('unrecoverable position without getState', 'is told, and what comes next arrives', async (t, encoding) => {
  const channel = `short:${encoding}`;
  const proxy = await throughProxy(t, server);
  const client = await connect(t, proxy, encoding);
  const subscription = await subscribe(client, channel);
  const first = next(subscription, 'publication');
  await publish(channel, 1, 1);
  await first;
  const again = next(subscription, 'subscribed');
  const { returned } = await drop(client, proxy, () => publish(channel, 2, 9));
  await returned;
  const { wasRecovering, recovered, hasRecoveredPublications, streamPosition } = await again;
  assert.deepEqual([wasRecovering, recovered, hasRecoveredPublications], [true, false, false]);
  assert.equal(streamPosition.offset, 9);
  const arrival = next(subscription, 'publication');
  await publish(channel, 10, 10);
  assert.deepEqual(numbers(encoding, [await arrival]), [10]);
});

scenario('unrecoverable position with getState', 'the state is loaded again, and nothing is missing after it', async (t, encoding) => {
  const channel = `short:state-${encoding}`;
  // The application's own record, which it writes before it publishes.
  const record = [];
  const write = async (first, last) => {
    for (let n = first; n <= last; n += 1) {
      record.push(n);
      await publish(channel, n, n);
    }
  };
  await write(1, 2);

  const proxy = await throughProxy(t, server);
  const client = await connect(t, proxy, encoding);
  let view = [];
  let loaded = 0;
  const subscription = client.newSubscription(channel, {
    minResubscribeDelay: 10,
    getState: async () => {
      loaded += 1;
      const { result } = await server.api('history', { channel });
      view = record.slice();
      return { offset: result.offset, epoch: result.epoch };
    },
  });
  const refusals = [];
  subscription.on('error', (context) => refusals.push(context));
  const subscribed = next(subscription, 'subscribed');
  subscription.subscribe();
  await subscribed;
  assert.deepEqual([loaded, view], [1, [1, 2]]);
  const seen = (last) => new Promise((settle) => {
    subscription.on('publication', ({ data }) => {
      const n = Number(textOf(encoding, data));
      view.push(n);
      if (n === last) settle();
    });
  });

  const complete = seen(12);
  const live = next(subscription, 'publication');
  await write(3, 3);
  await live;
  const again = next(subscription, 'subscribed');
  await drop(client, proxy, () => write(4, 11));
  const { recovered } = await again;
  assert.equal(recovered, true, 'from the position of the state');
  await write(12, 12);
  await complete;
  assert.equal(loaded, 2);
  assert.deepEqual(view, upTo(12));
  assert.deepEqual(refusals, []);
});

scenario('unrecoverable position with getState', 'a first position of another epoch asks for the state again', async (t, encoding) => {
  const channel = `epoch-${encoding}`;
  await publish(channel, 1, 1);
  const client = await connect(t, server, encoding);
  let loaded = 0;
  const subscription = client.newSubscription(channel, {
    minResubscribeDelay: 10,
    getState: async () => {
      loaded += 1;
      if (loaded === 1) return { offset: 0, epoch: 'made up' };
      const { result } = await server.api('history', { channel });
      return { offset: result.offset, epoch: result.epoch };
    },
  });
  const subscribed = next(subscription, 'subscribed');
  subscription.subscribe();
  assert.equal((await subscribed).recovered, true);
  assert.equal(loaded, 2);
});

scenario('100 subscriptions at once', 'come back after a dropped TCP connection, each with what it missed', async (t, encoding) => {
  const channels = Array.from({ length: 100 }, (_, number) => `crowd-${encoding}-${number}`);
  const proxy = await throughProxy(t, server);
  const client = await connect(t, proxy, encoding);
  const subscriptions = await Promise.all(channels.map((channel) => subscribe(client, channel)));
  const arrivals = subscriptions.map((subscription) => take(subscription, 'publication', 2, 30_000));
  const again = subscriptions.map((subscription) => next(subscription, 'subscribed'));
  const { returned } = await drop(client, proxy, () => server.api('broadcast', { channels, data: 1 }));
  await returned;
  assert.ok((await Promise.all(again)).every(({ recovered }) => recovered));
  await server.api('broadcast', { channels, data: 2 });
  for (const came of await Promise.all(arrivals)) assert.deepEqual(numbers(encoding, came), [1, 2]);
});
