// Backends: publish, broadcast, presence, history, each a share of a steady rate.
import { check } from 'k6';
import { api, scaled, trendStats } from './protocol.js';

export { handleSummary } from './protocol.js';

export const options = {
  summaryTrendStats: trendStats,
  scenarios: {
    backends: {
      executor: 'constant-arrival-rate', rate: scaled(150), timeUnit: '1s', duration: '30s',
      preAllocatedVUs: scaled(20),
    },
  },
  thresholds: {
    http_req_failed: ['rate<0.001'],
    http_req_duration: ['p(99)<100'],
    checks: ['rate>0.999'],
    // What k6 itself could not begin in time, at most 2 %.
    dropped_iterations: [`count<${scaled(90)}`],
  },
};

const calls = [
  () => api('publish', { channel: `chat:api-${__VU}`, data: { at: Date.now() } }),
  () => api('publish', { channel: `chat:api-${__VU}`, data: { at: Date.now() } }),
  () => api('broadcast', { channels: [1, 2, 3, 4, 5].map((n) => `feed:api-${n}`), data: { at: Date.now() } }),
  () => api('history', { channel: `chat:api-${__VU}`, limit: 10 }),
  () => api('presence_stats', { channel: `chat:api-${__VU}` }),
];

export default function call() {
  check(calls[__ITER % calls.length](), { 'it was done': (result) => result !== null });
}
