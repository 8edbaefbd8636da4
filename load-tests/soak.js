// Hours like any other: people write, go away and come back to what they missed. Nothing is lost,
// nobody waits longer at the end than at the beginning, and no node grows. MINUTES says how long
// (default 10); NODE_METRICS names the metrics of the nodes, with commas between (the stack sets it).
import http from 'k6/http';
import { sleep } from 'k6';
import { Counter, Gauge, Rate } from 'k6/metrics';
import { Client, Ledger, deliveryTime, goals, scaled, trendStats, unexpected } from './protocol.js';

export { handleSummary } from './protocol.js';

const seconds = (Number(__ENV.MINUTES) || 10) * 60;
const nodes = (__ENV.NODE_METRICS || '').split(',').filter((url) => url);
const inRoom = 15;
const rooms = scaled(10);

const recovered = new Rate('recovered');
const returns = new Counter('returns');
// Memory at the end, as a share of what it was after a quarter of the time, of the node that grew most.
const growth = new Gauge('memory_growth');

export const options = {
  summaryTrendStats: trendStats,
  scenarios: {
    rooms: { executor: 'per-vu-iterations', vus: rooms, iterations: 1, maxDuration: `${seconds + 60}s` },
    memory: { executor: 'per-vu-iterations', exec: 'memory', vus: 1, iterations: 1, maxDuration: `${seconds + 60}s` },
  },
  thresholds: {
    ...goals,
    ack_time: ['p(99)<100'],
    recovered: ['rate==1'],
    returns: [`count>${Math.floor((rooms * inRoom * seconds) / 240)}`],
    ...(nodes.length > 0 ? { memory_growth: ['value<1.3'] } : {}),
  },
};

export default function room() {
  const channel = `chat:soak-${__VU}-${Date.now()}`;
  const end = Date.now() + seconds * 1000;
  for (let person = 0; person < inRoom; person++) {
    const someone = { channel, person, end, ledger: new Ledger(), written: 0, position: null };
    setTimeout(() => stay(someone), Math.random() * 5000);
  }
}

// A visit of 30 to 90 s, then away for up to 5 s.
function stay(someone) {
  const { channel, person, end, ledger } = someone;
  let timer;
  const client = new Client({
    user: `soak-${__VU}-${person}`,
    channel,
    recover: someone.position,
    subscribed: (result) => {
      if (someone.position) {
        returns.add(1);
        recovered.add(result.recovered === true);
      }
      const offset = Math.max(result.offset || 0, someone.offset || 0);
      someone.position = { offset, epoch: result.epoch };
      const write = () => client.publish({ by: person, n: ++someone.written, at: Date.now() });
      timer = setInterval(write, 4000 + Math.random() * 2000);
      const left = end - Date.now();
      setTimeout(() => {
        clearInterval(timer);
        // What is on its way is still answered.
        setTimeout(() => client.leave(), 2000);
      }, Math.min(30000 + Math.random() * 60000, left));
    },
    publication: ({ data, offset }) => {
      someone.offset = offset;
      ledger.take(data.by, data.n);
      // What was missed comes late by as much as one was away.
      if (client.isSubscribed) {
        deliveryTime.add(Date.now() - data.at);
      }
    },
    closed: () => {
      clearInterval(timer);
      if (!client.leaving) {
        unexpected.add(1);
      }
      if (!someone.position || Date.now() >= end) {
        return;
      }
      someone.position = { epoch: someone.position.epoch, offset: someone.offset || someone.position.offset };
      setTimeout(() => stay(someone), Math.random() * 5000);
    },
  });
}

export function memory() {
  if (nodes.length === 0) {
    return;
  }
  sleep(seconds / 4);
  const before = nodes.map(resident);
  sleep((seconds * 3) / 4);
  growth.add(Math.max(...nodes.map((url, number) => resident(url) / before[number])));
}

function resident(url) {
  const line = http.get(url).body.split('\n').find((one) => one.startsWith('process_resident_memory_bytes '));
  return Number(line.split(' ')[1]);
}
