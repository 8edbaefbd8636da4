// Ports for processes that must be told one.

import { once } from 'node:events';
import { createServer } from 'node:net';

// Below those that Linux gives to whoever asks for any: nobody gets one by chance.
const [FIRST, END] = [16_384, 32_768];
const ATTEMPTS = 20;

/** A port of loopback on which nobody listens. */
export async function freePort() {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * (END - FIRST));
    const probe = createServer().listen(port, '127.0.0.1');
    // Rejects with what it emits as `error`.
    const listens = await once(probe, 'listening').then(() => true, () => false);
    if (!listens) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
  throw new Error('no free port');
}
