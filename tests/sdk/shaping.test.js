// Channels that are shaped: what is joined comes apart with clients/js/batch.js, and a cursor comes to rest.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { messages, TAG } from '../../clients/js/batch.js';
import { connect, payload, subscribe, textOf } from './support/client.js';
import { within } from './support/event.js';
import { inEachEncoding } from './support/scenario.js';
import { config, serve } from './support/server.js';

const open = { allow_subscribe_for_client: true, allow_publish_for_client: true };
const namespaces = [
  { name: 'cursors', ...open, shaping: { mode: 'latest', rate: 10 } },
  { name: 'drawing', ...open, shaping: { mode: 'batch' } },
  { name: 'bytes', ...open, shaping: { mode: 'batch' }, publication_data_format: 'binary' },
];
const server = await serve({ after }, { ...config(), channel: { namespaces } });

/** What comes until `enough(publications)`. */
function until(subscription, enough) {
  const got = [];
  return within(10_000, 'everything', new Promise((settle) => {
    subscription.on('publication', (publication) => {
      got.push(publication);
      if (enough(got)) settle(got);
    });
  }));
}

inEachEncoding('a drawing comes whole and in order', async (t, encoding) => {
  const [ada, bob] = [await connect(t, server, encoding), await connect(t, server, encoding)];
  const channel = `drawing:${encoding}`;
  const heard = until(await subscribe(bob, channel), (got) => got.flatMap(messages).length === 100);
  const sent = Array.from({ length: 100 }, (_, n) => `{"n":${n},"text":"],\\"[${'{'.repeat(n % 5)}"}`);
  await Promise.all(sent.map((text) => ada.publish(channel, payload(encoding, text))));
  const got = await heard;
  assert.deepEqual(got.flatMap(messages).map(({ data }) => textOf(encoding, data)), sent);
  assert.ok(got.length < 100 && got.some(({ tags }) => tags?.[TAG] === 'json'), 'something was joined');
  const user = got[0].info.user;
  assert.ok(user && got.flatMap(messages).every(({ info, tags }) => info.user === user && !tags?.[TAG]));
});

inEachEncoding('a cursor comes to rest where it is', async (t, encoding) => {
  const [ada, bob] = [await connect(t, server, encoding), await connect(t, server, encoding)];
  const channel = `cursors:${encoding}`;
  const heard = until(await subscribe(bob, channel), (got) => textOf(encoding, got.at(-1).data) === '[199,0]');
  const began = performance.now();
  await Promise.all(Array.from({ length: 200 }, (_, n) => ada.publish(channel, payload(encoding, `[${n},0]`))));
  const got = await heard;
  const most = 2 + (performance.now() - began) / 100;
  assert.ok(got.length <= most, `${got.length} of which ${most} may be`);
});

test('protobuf: any bytes come apart', async (t) => {
  const [ada, bob] = [await connect(t, server, 'protobuf'), await connect(t, server, 'protobuf')];
  const heard = until(await subscribe(bob, 'bytes:a'), (got) => got.flatMap(messages).length === 20);
  const sent = Array.from({ length: 20 }, (_, n) => Uint8Array.from([n, 0, 255, 0x7b]).subarray(0, (n % 4) + 1));
  await Promise.all(sent.map((bytes) => ada.publish('bytes:a', bytes)));
  const got = await heard;
  assert.deepEqual(got.flatMap(messages).map(({ data }) => [...data]), sent.map((bytes) => [...bytes]));
  assert.ok(got.some(({ tags }) => tags?.[TAG] === 'binary'));
});

test('what is not joined, or broken, stays as it is', () => {
  const bytes = (text) => new TextEncoder().encode(text);
  for (const publication of [
    { data: { batch: [1] } },
    { data: { batch: [1] }, tags: { a: 'b' } },
    { data: { batch: 1 }, tags: { [TAG]: 'json' } },
    { data: null, tags: { [TAG]: 'json' } },
    { data: bytes('[1,2]'), tags: { [TAG]: 'json' } },
    { data: bytes('{"batch":['), tags: { [TAG]: 'json' } },
    { data: { batch: [1] }, tags: { [TAG]: 'binary' } },
    { data: bytes('abc'), tags: { [TAG]: 'binary' } },
    { data: Uint8Array.from([0, 0, 0, 9, 1]), tags: { [TAG]: 'binary' } },
    { data: { batch: [1] }, tags: { [TAG]: 'other' } },
  ]) assert.deepEqual(messages(publication), [publication]);
  const apart = messages({ data: bytes('{"batch":[12345678901234567890,"\\",\\\\",[{},[1,2]]]}'), tags: { [TAG]: 'json', a: 'b' } });
  assert.deepEqual(apart.map(({ data }) => new TextDecoder().decode(data)), ['12345678901234567890', '"\\",\\\\"', '[{},[1,2]]']);
  assert.deepEqual(apart[0].tags, { a: 'b' });
});
