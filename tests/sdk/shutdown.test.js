// The end of the server: clients are told, and come back to the next one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect, ENCODINGS, subscribe, textOf } from './support/client.js';
import { next } from './support/event.js';
import { serve } from './support/server.js';

test('clients are sent away with 3001 and come back to the next server on the port', async (t) => {
  const first = await serve(t);
  const clients = await Promise.all(ENCODINGS.map((encoding) => connect(t, first, encoding)));
  const subscriptions = await Promise.all(clients.map((client) => subscribe(client, 'room')));
  const goodbyes = clients.map((client) => next(client, 'connecting'));
  const returns = clients.map((client) => next(client, 'connected', 30_000));
  const again = subscriptions.map((subscription) => next(subscription, 'subscribed', 30_000));

  const ended = first.stop('SIGTERM');
  for (const goodbye of await Promise.all(goodbyes)) {
    assert.deepEqual({ code: goodbye.code, reason: goodbye.reason }, { code: 3001, reason: 'shutdown' });
  }
  assert.deepEqual(await ended, { code: 0, signal: null });

  const second = await serve(t, undefined, first.port);
  await Promise.all([...returns, ...again]);
  const arrivals = subscriptions.map((subscription) => next(subscription, 'publication'));
  await second.api('publish', { channel: 'room', data: { text: 'welcome back' } });
  for (const [at, { data }] of (await Promise.all(arrivals)).entries()) {
    assert.deepEqual(JSON.parse(textOf(ENCODINGS[at], data)), { text: 'welcome back' });
  }
});

test('clients come back to the next server when the first one is killed', async (t) => {
  const first = await serve(t);
  const clients = await Promise.all(ENCODINGS.map((encoding) => connect(t, first, encoding)));
  const losses = clients.map((client) => next(client, 'connecting'));
  const returns = clients.map((client) => next(client, 'connected', 30_000));
  await first.stop('SIGKILL');
  for (const { code } of await Promise.all(losses)) assert.equal(code, 1);
  await serve(t, undefined, first.port);
  await Promise.all(returns);
});
