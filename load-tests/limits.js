// Against the load balancer as it is shipped: one address that opens too many connections is
// refused, and what stands goes on. Refusals are expected here, and their absence is a fault.
import http from 'k6/http';
import { sleep } from 'k6';
import { Counter } from 'k6/metrics';
import { base, trendStats } from './protocol.js';

export { handleSummary } from './protocol.js';

const refused = new Counter('refused');
const served = new Counter('served');

export const options = {
  summaryTrendStats: trendStats,
  scenarios: { flood: { executor: 'per-vu-iterations', vus: 1, iterations: 300, maxDuration: '60s' } },
  noConnectionReuse: true,
  thresholds: { refused: ['count>100'], served: ['count>50'] },
};

export default function flood() {
  const answer = http.get(`${base}/health/ready`, { timeout: '2s' });
  (answer.status === 200 ? served : refused).add(1);
  sleep(0.005);
}
