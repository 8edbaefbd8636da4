// One backend says something to many listeners, several times a second. Everybody hears
// everything once, in order, in time.
import exec from 'k6/execution';
import { Client, Ledger, api, deliveryTime, goals, scaled, trendStats, unexpected } from './protocol.js';

export { handleSummary } from './protocol.js';

const seconds = 40;
const sockets = 20;
const users = scaled(20);
const perSecond = 5;

export const options = {
  summaryTrendStats: trendStats,
  scenarios: {
    listeners: { executor: 'per-vu-iterations', vus: users, iterations: 1, maxDuration: `${seconds + 60}s` },
    backend: {
      executor: 'constant-arrival-rate', exec: 'publish', startTime: '12s',
      rate: perSecond, timeUnit: '1s', duration: `${seconds}s`, preAllocatedVUs: 5,
    },
  },
  thresholds: {
    ...goals,
    // All of what was published, to all: the last few are still on their way when the count ends.
    received: [`count>=${users * sockets * perSecond * (seconds - 1)}`],
    http_req_failed: ['rate<0.001'],
  },
};

export default function listen() {
  for (let one = 0; one < sockets; one++) {
    const ledger = new Ledger();
    const client = new Client({
      user: `listener-${__VU}-${one}`,
      channel: 'feed:fanout',
      publication: ({ data, offset }) => {
        ledger.take('backend', offset);
        deliveryTime.add(Date.now() - data.at);
      },
      subscribed: () => setTimeout(() => client.leave(), (seconds + 20) * 1000),
    });
  }
}

export function publish() {
  const n = exec.scenario.iterationInTest;
  if (!api('publish', { channel: 'feed:fanout', data: { n, at: Date.now(), text: 'x'.repeat(200) } })) {
    unexpected.add(1);
  }
}
