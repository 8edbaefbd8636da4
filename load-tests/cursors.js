// Everybody in a room moves a cursor 60 times a second. A position that a newer one overtook may
// be left out; none comes twice or late, and everybody has the last one of everybody.
import { Counter } from 'k6/metrics';
import { Client, deliveryTime, doubled, goals, scaled, trendStats } from './protocol.js';

export { handleSummary } from './protocol.js';

const seconds = 30;
const inRoom = 4;
const rooms = scaled(3);
const hertz = 60;

const sent = new Counter('sent');
const ends = new Counter('ends');

export const options = {
  summaryTrendStats: trendStats,
  scenarios: {
    rooms: { executor: 'per-vu-iterations', vus: rooms, iterations: 1, maxDuration: `${seconds + 60}s` },
  },
  thresholds: {
    ...goals,
    ack_time: ['p(99)<100'],
    // k6's own timers come late now and then.
    sent: [`count>${rooms * inRoom * hertz * seconds * 0.9}`],
    ends: [`count==${rooms * inRoom * inRoom}`],
  },
};

export default function room() {
  const channel = `cursors:load-${__VU}-${Date.now()}`;
  const began = Date.now();
  for (let person = 0; person < inRoom; person++) {
    join(channel, person, began);
  }
}

function join(channel, person, began) {
  const newest = {};
  let number = 0;
  const client = new Client({
    user: `cursor-${__VU}-${person}`,
    channel,
    publication: ({ data }) => {
      if (data.n <= (newest[data.by] || 0)) {
        doubled.add(1);
      }
      newest[data.by] = data.n;
      deliveryTime.add(Date.now() - data.at);
      ends.add(data.end ? 1 : 0);
    },
    subscribed: () => {
      const move = (end) => {
        sent.add(1);
        client.publish({ by: person, n: ++number, at: Date.now(), x: number % 1000, y: number % 700, end });
      };
      // Once all are here.
      const start = 3000 - (Date.now() - began);
      setTimeout(() => {
        const timer = setInterval(() => move(false), 1000 / hertz);
        setTimeout(() => {
          clearInterval(timer);
          move(true);
        }, seconds * 1000);
      }, start);
      setTimeout(() => client.leave(), start + (seconds + 5) * 1000);
    },
  });
}
