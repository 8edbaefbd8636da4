// Rooms of people who write: 20 in a room, each writes every few seconds and hears the others.
// Everything arrives once, in order, in time.
import { Client, Ledger, deliveryTime, goals, scaled, trendStats } from './protocol.js';

export { handleSummary } from './protocol.js';

const seconds = 60;
const inRoom = 20;
const rooms = scaled(15);
const rest = 10;

export const options = {
  summaryTrendStats: trendStats,
  scenarios: {
    rooms: { executor: 'per-vu-iterations', vus: rooms, iterations: 1, maxDuration: `${seconds + 60}s` },
  },
  thresholds: { ...goals, ack_time: ['p(99)<100'], received: [`count>${rooms * inRoom * inRoom * 5}`] },
};

export default function room() {
  const channel = `chat:load-${__VU}-${Date.now()}`;
  for (let person = 0; person < inRoom; person++) {
    // Nobody comes in the same moment as all others.
    setTimeout(() => join(channel, person), Math.random() * 5000);
  }
}

function join(channel, person) {
  const ledger = new Ledger();
  let number = 0;
  const client = new Client({
    user: `load-${__VU}-${person}`,
    channel,
    publication: ({ data }) => {
      ledger.take(data.by, data.n);
      deliveryTime.add(Date.now() - data.at);
    },
    subscribed: () => {
      const write = () => client.publish({ by: person, n: ++number, at: Date.now() });
      const timer = setInterval(write, 3000 + Math.random() * 2000);
      setTimeout(() => clearInterval(timer), seconds * 1000);
      // What others wrote last still comes.
      setTimeout(() => client.leave(), (seconds + rest) * 1000);
    },
  });
}
