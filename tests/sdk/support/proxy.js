// A TCP proxy before a server, to lose connections as a failing network does.

import assert from 'node:assert/strict';
import { createServer, connect as dial } from 'node:net';
import { next } from './event.js';
import { TRANSPORT } from './transport.js';

/**
 * The server as it is seen through a proxy, which ends with the test `t`.
 * `cut` resets every connection at both ends, and each new one at once, until `mend`; it returns how many there were.
 * `received` is how many bytes have passed towards clients.
 */
export async function throughProxy(t, server) {
  const sockets = new Set();
  const keep = (socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };
  let whole = true;
  let received = 0;

  const listener = createServer((near) => {
    near.on('error', () => {});
    if (!whole) {
      near.resetAndDestroy();
      return;
    }
    const far = dial(server.port, '127.0.0.1');
    keep(near);
    keep(far);
    far.on('data', (chunk) => {
      received += chunk.length;
    });
    near.pipe(far).on('close', () => near.destroy());
    far.pipe(near).on('close', () => far.destroy());
  });
  await new Promise((settle) => listener.listen(0, '127.0.0.1', settle));
  t.after(() => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  });

  return {
    ...server,
    ws: `ws://127.0.0.1:${listener.address().port}/connection/websocket`,
    received: () => received,
    cut() {
      whole = false;
      const connections = sockets.size / 2;
      for (const socket of sockets) socket.resetAndDestroy();
      return connections;
    },
    mend() {
      whole = true;
    },
  };
}

/**
 * Resets the only connection of `proxy`, which is that of `client`, and calls `meanwhile` while the SDK cannot come back.
 * Fails if the SDK did not lose it by that, or was not away for all of `meanwhile`. Then it may come back: `returned` is
 * when it is connected.
 */
export async function drop(client, proxy, meanwhile) {
  assert.equal(client.state, 'connected');
  const lost = next(client, 'connecting');
  const cut = proxy.cut();
  // What a client of a stream says has connections of its own.
  assert.ok(TRANSPORT === 'websocket' ? cut === 1 : cut >= 1, 'its connection is cut');
  const { code, reason } = await lost;
  assert.deepEqual({ code, reason }, { code: 1, reason: 'transport closed' });
  await meanwhile();
  assert.equal(client.state, 'connecting', 'away until now');
  const returned = next(client, 'connected');
  proxy.mend();
  return { returned };
}
