// A JSON client without SDK: it sees the text of each line as the server wrote it.

import { WebSocket } from 'ws';
import { within } from './event.js';
import { noteSent } from './evidence.js';
import { token } from './token.js';

/** A connected peer that is closed when the test `t` ends. */
export async function rawPeer(t, server, user = 'raw') {
  const socket = new WebSocket(server.ws);
  t.after(() => socket.terminate());
  const lines = [];
  const waiting = [];
  socket.on('message', (data) => {
    lines.push(...data.toString('utf8').split('\n'));
    settle();
  });

  function settle() {
    for (const one of [...waiting]) {
      const at = lines.findIndex((line) => line.includes(one.part));
      if (at < 0) continue;
      waiting.splice(waiting.indexOf(one), 1);
      one.found(lines.splice(at, 1)[0]);
    }
  }

  const peer = {
    send(text) {
      noteSent(text);
      socket.send(text);
    },
    /** The first line not taken yet that contains `part`, as text. */
    line(part) {
      const found = new Promise((resolve) => waiting.push({ part, found: resolve }));
      settle();
      return within(10_000, `a line with ${part}`, found);
    },
    /** Sends a command with an id and gives the line of its reply. */
    call(id, members) {
      peer.send(`{"id":${id},${members}}`);
      return peer.line(`{"id":${id},`);
    },
  };

  await within(10_000, 'the handshake', new Promise((open, fail) => socket.once('open', open).once('error', fail)));
  await peer.call(1, `"connect":{"token":"${token(user)}"}`);
  return peer;
}
