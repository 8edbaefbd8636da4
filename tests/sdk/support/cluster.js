// Several nodes on one Redis, behind a front that gives every request to one of them by chance.

import { front } from './front.js';
import { serveRedis } from './redis.js';
import { within } from './event.js';

const MET_MS = 20_000;

/** How many nodes a test's server is: TESTED_NODES, or one. */
export const NODES = Number(process.env.TESTED_NODES ?? 1);

/** The same as one node seen from outside; `start` starts one of a configuration. */
export async function serveCluster(t, configuration, start, port) {
  const engine = await serveRedis(t);
  const all = { ...configuration, engine, cluster: { key: 'a key of the cluster of these tests, 32 or more' } };
  const nodes = await Promise.all(Array.from({ length: NODES }, () => start(all)));
  await within(MET_MS, `${NODES} nodes that know each other`, haveMet(nodes));
  const { port: shown, counts } = await front(t, nodes.map((node) => node.port), port);
  return {
    ...nodes[0],
    port: shown,
    http: `http://127.0.0.1:${shown}`,
    ws: `ws://127.0.0.1:${shown}/connection/websocket`,
    counts,
    nodes,
    log: () => nodes.map((node) => node.log()).join(''),
    async api(method, body) {
      return nodes[0].api(method, body, shown);
    },
    async stop(signal) {
      const [first] = await Promise.all(nodes.map((node) => node.stop(signal)));
      return first;
    },
  };
}

async function haveMet(nodes) {
  for (;;) {
    const known = await Promise.all(nodes.map(async (node) => (await node.api('info', {})).result.nodes.length));
    if (known.every((count) => count === nodes.length)) return;
    await new Promise((settle) => setTimeout(settle, 50));
  }
}
