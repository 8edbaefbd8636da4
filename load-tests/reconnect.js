// Clients whose network goes away again and again: each comes back, asks for what it missed, and
// has everything once.
import exec from 'k6/execution';
import { Counter, Rate } from 'k6/metrics';
import { Client, Ledger, api, goals, scaled, trendStats, unexpected } from './protocol.js';

export { handleSummary } from './protocol.js';

const seconds = 50;
const sockets = 10;
const users = scaled(15);
const perSecond = 5;

const recovered = new Rate('recovered');
const returns = new Counter('returns');

export const options = {
  summaryTrendStats: trendStats,
  scenarios: {
    clients: { executor: 'per-vu-iterations', vus: users, iterations: 1, maxDuration: `${seconds + 60}s` },
    backend: {
      executor: 'constant-arrival-rate', exec: 'publish', startTime: '3s',
      rate: perSecond, timeUnit: '1s', duration: `${seconds + 5}s`, preAllocatedVUs: 5,
    },
  },
  thresholds: {
    connected: goals.connected, lost: goals.lost, doubled: goals.doubled, unexpected: goals.unexpected,
    recovered: ['rate==1'],
    returns: [`count>${users * sockets * 4}`],
  },
};

export default function come() {
  const end = Date.now() + seconds * 1000;
  for (let one = 0; one < sockets; one++) {
    again(`wanderer-${__VU}-${one}`, new Ledger(), null, end);
  }
}

function again(user, ledger, position, end) {
  const client = new Client({
    user,
    channel: 'feed:wander',
    recover: position,
    subscribed: (result) => {
      if (position) {
        returns.add(1);
        recovered.add(result.recovered === true);
      }
      client.position = { offset: Math.max(result.offset || 0, client.offset || 0), epoch: result.epoch };
      // Here for 2 to 6 s, then away for up to 3 s.
      setTimeout(() => client.leave(), 2000 + Math.random() * 4000);
    },
    publication: (pub) => {
      ledger.take('backend', pub.offset);
      client.offset = pub.offset;
    },
    closed: () => {
      if (!client.position) {
        unexpected.add(1);
        return;
      }
      const next = { epoch: client.position.epoch, offset: client.offset || client.position.offset };
      if (Date.now() < end) {
        setTimeout(() => again(user, ledger, next, end), Math.random() * 3000);
      }
    },
  });
}

export function publish() {
  if (!api('publish', { channel: 'feed:wander', data: { n: exec.scenario.iterationInTest } })) {
    unexpected.add(1);
  }
}
