// Everybody comes at once: after a network was away, a release, a reboot of the load balancer.
// Each connects within a second or two, and nobody is refused.
import { Client, connected, goals, scaled, trendStats } from './protocol.js';

export { handleSummary } from './protocol.js';

const sockets = 20; // of one virtual user: that costs half the memory of a user for each
const users = scaled(50);

export const options = {
  summaryTrendStats: trendStats,
  scenarios: {
    storm: { executor: 'per-vu-iterations', vus: users, iterations: 1, maxDuration: '90s' },
  },
  thresholds: { ...goals, connect_time: ['p(99)<5000'] },
};

export default function storm() {
  for (let one = 0; one < sockets; one++) {
    const client = new Client({
      user: `storm-${__VU}-${one}`,
      channel: 'feed:storm',
      subscribed: () => setTimeout(() => client.leave(), 20000),
    });
    setTimeout(() => {
      if (!client.isConnected) {
        connected.add(false);
        client.leave();
      }
    }, 15000);
  }
}
