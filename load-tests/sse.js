// Listeners over server-sent events, where WebSockets do not get through. k6 hands out a response
// when it is over: whether each stream had everything, once and in order, is seen then, how late it
// came is not. At the end the backend sends everybody away, so that every stream ends.
import exec from 'k6/execution';
import http from 'k6/http';
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
import {
  Ledger, api, base, connectTime, connected, goals, received, scaled, token, trendStats, unexpected,
} from './protocol.js';

export { handleSummary } from './protocol.js';

const seconds = 40;
const users = scaled(150);
const perSecond = 5;
const start = 8;

const published = new Counter('published');

export const options = {
  summaryTrendStats: trendStats,
  scenarios: {
    listeners: { executor: 'per-vu-iterations', vus: users, iterations: 1, maxDuration: `${seconds + 60}s` },
    backend: {
      executor: 'constant-arrival-rate', exec: 'publish', startTime: `${start}s`,
      rate: perSecond, timeUnit: '1s', duration: `${seconds}s`, preAllocatedVUs: 5,
    },
    end: {
      executor: 'per-vu-iterations', exec: 'sendAway', startTime: `${start + seconds + 3}s`, vus: 1, iterations: 1,
    },
  },
  thresholds: {
    connected: goals.connected, connect_time: goals.connect_time,
    lost: goals.lost, doubled: goals.doubled, unexpected: goals.unexpected,
    published: [`count>=${perSecond * (seconds - 1)}`],
    received: [`count>=${users * perSecond * (seconds - 1)}`],
  },
};

export default function listen() {
  const body = JSON.stringify({ token: token(`sse-${exec.vu.idInTest}`), subs: { 'feed:sse': {} } });
  const headers = { 'Content-Type': 'application/json', Accept: 'text/event-stream' };
  const answer = http.post(`${base}/connection/uni_sse`, body, { headers, timeout: `${seconds + 50}s` });
  const events = (answer.body || '').split('\n').filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)));
  const isConnected = answer.status === 200 && events.length > 0 && 'connect' in events[0];
  connected.add(isConnected);
  if (!isConnected || !('disconnect' in events[events.length - 1])) {
    unexpected.add(1);
    return;
  }
  // The first bytes are the connect reply's.
  connectTime.add(answer.timings.connecting + answer.timings.waiting);
  const ledger = new Ledger();
  for (const { pub } of events) {
    if (pub) {
      received.add(1);
      ledger.take('backend', pub.offset);
    }
  }
}

export function publish() {
  const n = exec.scenario.iterationInTest;
  if (api('publish', { channel: 'feed:sse', data: { n, text: 'x'.repeat(200) } })) {
    published.add(1);
  } else {
    unexpected.add(1);
  }
}

export function sendAway() {
  for (let user = 1; user <= users + 10; user++) {
    if (!api('disconnect', { user: `sse-${user}` })) {
      unexpected.add(1);
    }
    sleep(0.005);
  }
}
