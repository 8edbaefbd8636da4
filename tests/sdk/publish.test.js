// Publishing: every pair of encodings, exact payloads, order, batching.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { connect, ENCODINGS, payload, subscribe, textOf } from './support/client.js';
import { next, take } from './support/event.js';
import { rawPeer } from './support/raw.js';
import { scenario } from './support/scenario.js';
import { serve } from './support/server.js';
import { TRANSPORT } from './support/transport.js';

// Text that JSON.parse and JSON.stringify give back unchanged, so that both encodings can be compared with it.
const CANONICAL = [
  '{"text":"hello"}',
  '{"text":"Grüße, 世界, 🦭, \u2028, <b>&amp;</b>, \\"quoted\\" \\\\ \\n"}',
  '{"z":1,"a":{"deep":[1,2.5,-3,true,false,null,{"":""}]}}',
  '{"largest":9007199254740991,"small":1e-7}',
  '0',
  'false',
  '""',
  '[]',
  'null',
  '"only text"',
];
// Numbers and escapes that a parser would rewrite, and spaces that a writer would drop.
const DELICATE = '{"n":9007199254740993, "e":1e3,  "f":1.0,"s":"\\u00e9\\/","zero":-0}';

const server = await serve({ after });

/** Subscribes a client of each encoding and resolves, when `publish` has run, to the texts that came to each. */
async function textsAtBoth(t, channel, count, publish) {
  const subscriptions = [];
  for (const encoding of ENCODINGS) subscriptions.push(await subscribe(await connect(t, server, encoding), channel));
  const arrivals = subscriptions.map((subscription) => take(subscription, 'publication', count));
  await publish();
  return (await Promise.all(arrivals)).map((came, at) => came.map(({ data }) => textOf(ENCODINGS[at], data)));
}

scenario('publish from client and API to JSON and Protobuf subscribers', 'from a client', async (t, encoding) => {
  const channel = `exact-${encoding}`;
  const publisher = await connect(t, server, encoding);
  const came = await textsAtBoth(t, channel, CANONICAL.length, async () => {
    for (const text of CANONICAL) await publisher.publish(channel, payload(encoding, text));
  });
  assert.deepEqual(came, ENCODINGS.map(() => CANONICAL));
});

scenario('publish from client and API to JSON and Protobuf subscribers', 'from API and client in turn', async (t, encoding) => {
  const channel = `turns-${encoding}`;
  const publisher = await connect(t, server, encoding);
  const came = await textsAtBoth(t, channel, 2 * CANONICAL.length, async () => {
    for (const text of CANONICAL) {
      assert.deepEqual(await server.api('publish', { channel, data: JSON.parse(text) }), { result: {} });
      await publisher.publish(channel, payload(encoding, text));
    }
  });
  const expected = CANONICAL.flatMap((text) => [text, text]);
  assert.deepEqual(came, ENCODINGS.map(() => expected));
});

scenario('batching', 'a batch leaves in one frame and arrives in order', async (t, encoding) => {
  const client = await connect(t, server, encoding);
  const subscription = await subscribe(await connect(t, server, encoding), `batch-${encoding}`);
  const texts = Array.from({ length: 15 }, (_, number) => JSON.stringify({ number }));
  const arrivals = take(subscription, 'publication', texts.length);
  let frames = 0;
  client.record.on('sent', () => {
    frames += 1;
  });
  client.startBatching();
  const replies = texts.map((text) => client.publish(`batch-${encoding}`, payload(encoding, text)));
  // The SDK puts a command into the batch only after the turn in which it was called.
  await new Promise(setImmediate);
  client.stopBatching();
  await Promise.all(replies);
  assert.equal(frames, 1);
  assert.deepEqual((await arrivals).map(({ data }) => textOf(encoding, data)), texts);
});

scenario('batching', 'a refusal within a batch refuses no other command', async (t, encoding) => {
  const client = await connect(t, server, encoding);
  const channel = `mixed-${encoding}`;
  client.startBatching();
  const subscription = client.newSubscription(channel);
  const subscribed = next(subscription, 'subscribed');
  const arrival = next(subscription, 'publication');
  subscription.subscribe();
  const replies = [
    client.publish('closed:room', payload(encoding, '1')),
    client.rpc('method', payload(encoding, '2')),
    client.publish(channel, payload(encoding, '3')),
  ];
  await new Promise(setImmediate);
  client.stopBatching();
  const codes = (await Promise.allSettled(replies)).map(({ reason }) => reason?.code ?? 0);
  assert.deepEqual(codes, [103, 108, 0]);
  await subscribed;
  // Over a stream the SDK subscribes in a request of its own, which may come second.
  if (TRANSPORT !== 'websocket') await client.publish(channel, payload(encoding, '3'));
  assert.equal(textOf(encoding, (await arrival).data), '3');
});

test('the text of JSON stays as it was written: JSON to JSON and to Protobuf', async (t) => {
  const publisher = await rawPeer(t, server, 'writer');
  const reader = await rawPeer(t, server, 'reader');
  await reader.call(2, '"subscribe":{"channel":"delicate-json"}');
  const subscription = await subscribe(await connect(t, server, 'protobuf'), 'delicate-json');
  const arrival = next(subscription, 'publication');
  await publisher.call(2, `"publish":{"channel":"delicate-json","data":${DELICATE}}`);
  assert.equal(textOf('protobuf', (await arrival).data), DELICATE);
  const line = await reader.line('"pub"');
  assert.ok(line.includes(`"data":${DELICATE}`), line);
});

test('the text of JSON stays as it was written: Protobuf to JSON and to Protobuf', async (t) => {
  const publisher = await connect(t, server, 'protobuf');
  const reader = await rawPeer(t, server, 'reader');
  await reader.call(2, '"subscribe":{"channel":"delicate-protobuf"}');
  const subscription = await subscribe(await connect(t, server, 'protobuf'), 'delicate-protobuf');
  const arrival = next(subscription, 'publication');
  await publisher.publish('delicate-protobuf', payload('protobuf', DELICATE));
  assert.equal(textOf('protobuf', (await arrival).data), DELICATE);
  const line = await reader.line('"pub"');
  assert.ok(line.includes(`"data":${DELICATE}`), line);
});

test('line breaks of a Protobuf payload do not break the lines of a JSON subscriber', async (t) => {
  const pretty = '{\n  "a": [\r\n    1\n  ]\n}\n';
  const publisher = await connect(t, server, 'protobuf');
  const json = await subscribe(await connect(t, server, 'json'), 'pretty');
  const protobuf = await subscribe(await connect(t, server, 'protobuf'), 'pretty');
  const arrivals = [next(json, 'publication'), next(protobuf, 'publication')];
  await publisher.publish('pretty', payload('protobuf', pretty));
  const [atJson, atProtobuf] = await Promise.all(arrivals);
  assert.deepEqual(atJson.data, { a: [1] });
  assert.equal(textOf('protobuf', atProtobuf.data), pretty);
});

test('bytes that are not JSON are refused, and no JSON subscriber is disturbed', async (t) => {
  const publisher = await connect(t, server, 'protobuf');
  const subscription = await subscribe(await connect(t, server, 'json'), 'bytes');
  const arrival = next(subscription, 'publication');
  await assert.rejects(publisher.publish('bytes', new Uint8Array([0xff, 0x00, 0x7b])), { code: 107 });
  await assert.rejects(publisher.publish('bytes', new Uint8Array()), { code: 107 });
  await publisher.publish('bytes', payload('protobuf', '"fine"'));
  assert.equal((await arrival).data, 'fine');
});

for (const encoding of ENCODINGS) {
  test(`${encoding}: one's own publication arrives, with its author`, async (t) => {
    const client = await connect(t, server, encoding);
    const subscription = await subscribe(client, `own-${encoding}`);
    const arrival = next(subscription, 'publication');
    await subscription.publish(payload(encoding, '{"text":"me"}'));
    const { data, info, channel } = await arrival;
    assert.equal(textOf(encoding, data), '{"text":"me"}');
    assert.equal(channel, `own-${encoding}`);
    assert.equal(info.client, client.context.client);
    assert.match(info.user, /^canary-user-\d+$/);
  });

  test(`${encoding}: publications go to the subscribers of their channel only`, async (t) => {
    const client = await connect(t, server, encoding);
    const here = await subscribe(client, `here-${encoding}`);
    const there = await subscribe(client, `there-${encoding}`);
    const strays = [];
    here.on('publication', ({ data }) => strays.push(textOf(encoding, data)));
    const arrival = next(there, 'publication');
    await client.publish(`nowhere-${encoding}`, payload(encoding, '"lost"'));
    await client.publish(`there-${encoding}`, payload(encoding, '"found"'));
    assert.equal(textOf(encoding, (await arrival).data), '"found"');
    assert.deepEqual(strays, []);
  });

  test(`${encoding}: what the server API publishes arrives without author`, async (t) => {
    const channel = `api-${encoding}`;
    const subscription = await subscribe(await connect(t, server, encoding), channel);
    const arrival = next(subscription, 'publication');
    assert.deepEqual(await server.api('publish', { channel, data: { text: 'from the server' } }), { result: {} });
    const { data, info } = await arrival;
    assert.deepEqual(JSON.parse(textOf(encoding, data)), { text: 'from the server' });
    assert.equal(info, undefined);
  });

  test(`${encoding}: a broadcast reaches each of its channels once`, async (t) => {
    const client = await connect(t, server, encoding);
    const channels = ['a', 'b', 'c'].map((letter) => `broadcast-${encoding}-${letter}`);
    const subscriptions = [];
    for (const channel of channels) subscriptions.push(await subscribe(client, channel));
    const got = [];
    for (const subscription of subscriptions) subscription.on('publication', ({ channel, data }) => got.push([channel, textOf(encoding, data)]));
    // Channels keep no order among each other, so each is waited for.
    const all = Promise.all(subscriptions.map((subscription) => next(subscription, 'publication')));
    const answer = await server.api('broadcast', { channels: channels.slice(0, 2), data: 1 });
    assert.deepEqual(answer, { result: { responses: [{ result: {} }, { result: {} }] } });
    await server.api('publish', { channel: channels[2], data: 2 });
    await all;
    assert.deepEqual(got.sort(), [[channels[0], '1'], [channels[1], '1'], [channels[2], '2']]);
  });
}

test('the server API wants its key', async () => {
  for (const headers of [{}, { 'X-API-Key': 'wrong' }]) {
    const response = await fetch(`${server.http}/api/publish`, { method: 'POST', headers, body: '{"channel":"c","data":1}' });
    assert.equal(response.status, 401);
  }
});
