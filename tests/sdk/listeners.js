// Clients over each transport that listen to one channel and come back by themselves, for tests in other languages.
//   node listeners.js '{"http": "http://127.0.0.1:1234", "tokens": ["...", ...], "channel": "feed:news", "each": 2}'
// Tells on standard output, one JSON object a line, which client it is and what it heard; ends with standard input.
// It takes `each` clients of every transport, and a token for each of them.

import { Centrifuge } from 'centrifuge';
import { EventSource } from 'eventsource';
import { WebSocket } from 'ws';

const { http, tokens, channel, each } = JSON.parse(process.argv[2]);
const TRANSPORTS = { websocket: bySdk, http_stream: bySdk, sse: bySdk, uni_sse: byEvents, uni_http_stream: byPositions };
const RETRY_MS = 200;

const ends = [];
for (const [transport, listen] of Object.entries(TRANSPORTS)) {
  for (let at = 1; at <= each; at += 1) {
    const client = `${transport} ${at}`;
    const tell = (event) => process.stdout.write(`${JSON.stringify({ client, ...event })}\n`);
    ends.push(listen(transport, tokens.pop(), tell));
  }
}
process.stdin.on('end', () => {
  for (const end of ends) end();
  process.exit(0);
}).resume();

function bySdk(transport, token, tell) {
  const endpoint = `${transport === 'websocket' ? http.replace(/^http/, 'ws') : http}/connection/${transport}`;
  const client = new Centrifuge([{ transport, endpoint }], {
    token,
    websocket: WebSocket,
    fetch,
    readableStream: ReadableStream,
    eventsource: EventSource,
    emulationEndpoint: `${http}/emulation`,
    minReconnectDelay: 100,
    maxReconnectDelay: 1_000,
  });
  const subscription = client.newSubscription(channel);
  subscription.on('subscribed', ({ wasRecovering, recovered }) => tell({ here: true, lost: wasRecovering && !recovered }));
  subscription.on('subscribing', () => tell({ here: false }));
  subscription.on('publication', ({ data }) => tell({ n: data.n }));
  subscription.subscribe();
  client.connect();
  return () => client.disconnect();
}

/** As an EventSource does it (WHATWG HTML, 9.2): the id that came last says what it has. */
function byEvents(transport, token, tell) {
  const connect = encodeURIComponent(JSON.stringify({ token, subs: { [channel]: {} } }));
  const last = { offset: 0, epoch: '', id: '' };
  return again(tell, async (signal) => {
    const headers = { Accept: 'text/event-stream', ...(last.id && { 'Last-Event-ID': last.id }) };
    const answer = await fetch(`${http}/connection/${transport}?cf_connect=${connect}`, { signal, headers });
    for await (const line of linesOf(answer)) {
      if (line.startsWith('id: ')) last.id = line.slice(4);
      if (line.startsWith('data: ')) hear(JSON.parse(line.slice(6)), last, tell);
    }
  });
}

/** As an application does it: its connect request says what it has. */
function byPositions(transport, token, tell) {
  const last = { offset: 0, epoch: '' };
  return again(tell, async (signal) => {
    const from = last.epoch ? { recover: true, ...last } : {};
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` };
    const body = JSON.stringify({ subs: { [channel]: from } });
    const answer = await fetch(`${http}/connection/${transport}`, { method: 'POST', signal, headers, body });
    for await (const line of linesOf(answer)) hear(JSON.parse(line), last, tell);
  });
}

/** Listens, and again whenever that ends; what it gives ends it. */
function again(tell, listen) {
  const stop = new AbortController();
  const go = () => {
    if (stop.signal.aborted) return;
    tell({ here: false });
    setTimeout(() => listen(stop.signal).then(go, go), RETRY_MS);
  };
  listen(stop.signal).then(go, go);
  return () => stop.abort();
}

async function* linesOf(answer) {
  if (answer.status !== 200) throw new Error(`${answer.status}`);
  let begun = '';
  for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (begun + text).split('\n');
    begun = lines.pop();
    yield* lines;
  }
}

/** A push to one that only listens; what comes again is passed over. */
function hear(push, last, tell) {
  const sub = push.connect?.subs?.[channel];
  if (sub) {
    for (const pub of sub.publications ?? []) take(pub, last, tell);
    tell({ here: true, lost: last.epoch !== '' && (sub.recovered !== true || sub.epoch !== last.epoch) });
    last.epoch = sub.epoch;
    last.offset = Math.max(last.offset, sub.offset ?? 0);
  }
  if (push.pub && push.channel === channel) take(push.pub, last, tell);
}

function take(pub, last, tell) {
  if (pub.offset <= last.offset) return;
  last.offset = pub.offset;
  tell({ n: pub.data.n });
}
