// Several nodes as one: what a client says reaches its session from every node. Run by ./cluster.

import assert from 'node:assert/strict';
import { describe } from 'node:test';
import { connect, subscribe, textOf } from './support/client.js';
import { NODES } from './support/cluster.js';
import { take } from './support/event.js';
import { inEachEncoding } from './support/scenario.js';
import { serve } from './support/server.js';
import { TRANSPORT } from './support/transport.js';

const LAST = 60;

describe('several nodes', { skip: NODES === 1 }, () => {
  inEachEncoding('what one client says one after another comes to others in that order, whichever node gets it', async (t, encoding) => {
    const server = await serve(t);
    const [talker, listener] = await Promise.all([connect(t, server, encoding), connect(t, server, encoding)]);
    const heard = await subscribe(listener, 'room');
    const arrivals = take(heard, 'publication', LAST, 30_000);
    for (let n = 1; n <= LAST; n += 1) {
      await talker.publish('room', encoding === 'json' ? n : new TextEncoder().encode(`${n}`));
    }
    const numbers = (await arrivals).map(({ data }) => Number(textOf(encoding, data)));
    assert.deepEqual(numbers, Array.from({ length: LAST }, (_, at) => at + 1));
    const said = server.counts.reduce((sum, count) => sum + count, 0);
    if (TRANSPORT === 'websocket') return assert.equal(said, 0);
    assert.ok(said >= LAST && server.counts.every((count) => count > 0), `${server.counts} requests to the nodes`);
  });
});
