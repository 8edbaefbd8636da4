// An EventSource that is not a browser's: it knows ids of events only, not of blocks without data, and comes back by itself.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { EventSource } from 'eventsource';
import { within } from './support/event.js';
import { config, serve } from './support/server.js';
import { token } from './support/token.js';

const LIMIT_MS = 15_000;

const server = await serve({ after }, {
  ...config(),
  uni_sse: { enabled: true },
  channel: { without_namespace: { allow_subscribe_for_client: true, history_size: 100, history_ttl: '60s', force_recovery: true } },
});

const publish = (channel, data) => server.api('publish', { channel, data });

/** An EventSource of `user`, what it hears, and with which ids and to which answers it connected. */
function listen(t, user, channels) {
  const subs = Object.fromEntries(channels.map((channel) => [channel, {}]));
  const url = `${server.http}/connection/uni_sse?cf_connect=${encodeURIComponent(JSON.stringify({ subs }))}`;
  const came = [];
  const source = new EventSource(url, {
    fetch: async (input, options) => {
      const answer = await fetch(input, { ...options, headers: { ...options.headers, Authorization: `Bearer ${token(user)}` } });
      came.push({ last: options.headers['Last-Event-ID'], status: answer.status });
      return sooner(answer);
    },
  });
  t.after(() => source.close());
  const heard = [];
  let told = () => {};
  source.onmessage = ({ data, lastEventId }) => {
    heard.push({ ...JSON.parse(data), id: lastEventId });
    told();
  };
  source.onerror = () => told();
  const until = (what, test) => within(LIMIT_MS, what, new Promise((settle) => {
    told = () => test() && settle();
    told();
  }));
  return { source, came, heard, until };
}

/** The same answer, after which a reader comes back at once; a node has it wait for seconds. */
function sooner(answer) {
  if (!answer.body) return answer;
  const hurried = new TransformStream({
    transform(text, into) {
      into.enqueue(text.replace(/^retry: \d+$/m, 'retry: 10'));
    },
  });
  const body = answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(hurried).pipeThrough(new TextEncoderStream());
  return new Response(body, { status: answer.status, headers: answer.headers });
}

test('it comes back to where it was, by the id of the last event alone', async (t) => {
  const { came, heard, until } = listen(t, 'ada', ['one', 'two']);
  const said = () => heard.flatMap(({ connect, channel, pub }) => (pub
    ? [[channel, pub.data]]
    : Object.entries(connect?.subs ?? {}).flatMap(([name, sub]) => (sub.publications ?? []).map(({ data }) => [name, data]))));
  await until('connected', () => heard.some(({ connect }) => connect));
  for (let n = 1; n <= 3; n += 1) await publish('one', n);
  await publish('two', 'a');
  await until('an id that covers all of it', () => /^(?=.*\b3:[^ ]*:one)(?=.*\b1:[^ ]*:two)/.test(heard.at(-1).id));
  await server.api('disconnect', { user: 'ada', disconnect: { code: 4000, reason: 'again' } });
  for (let n = 4; n <= 6; n += 1) await publish('one', n);
  await publish('two', 'b');
  const expected = [['one', 1], ['one', 2], ['one', 3], ['two', 'a'], ['one', 4], ['one', 5], ['one', 6], ['two', 'b']];
  await until('everything', () => said().length >= expected.length);
  const of = (channel, all) => all.filter(([name]) => name === channel);
  for (const channel of ['one', 'two']) assert.deepEqual(of(channel, said()), of(channel, expected), 'once, and in order');
  const again = heard.filter(({ connect }) => connect)[1].connect;
  assert.deepEqual([again.subs.one.recovered, again.subs.two.recovered], [true, true]);
  assert.deepEqual(came.map(({ status }) => status), [200, 200]);
  assert.match(came[1].last, /:one/);
});

test('when it is over it stays away', async (t) => {
  const { source, came, until } = listen(t, 'eve', ['three']);
  await until('connected', () => source.readyState === EventSource.OPEN);
  await server.api('disconnect', { user: 'eve', disconnect: { code: 4500, reason: 'for good' } });
  await until('closed', () => source.readyState === EventSource.CLOSED);
  assert.deepEqual(came, [{ last: undefined, status: 200 }, { last: 'over', status: 204 }]);
});
