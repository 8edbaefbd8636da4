// Several nodes behind one port, where each request goes to one of them by chance: what a client of a stream says
// comes to any node, and so does a client that comes back.

import { once } from 'node:events';
import { createServer, request as ask } from 'node:http';
import { connect } from 'node:net';
import { chance } from './chance.js';

/** The port, which ends with the test `t`. `counts` says how many requests to `/emulation` each node got. */
export async function front(t, ports, port = 0) {
  const draw = chance('which node gets what');
  const pick = () => draw(ports.length);
  const counts = ports.map(() => 0);

  const server = createServer((request, response) => {
    const at = pick();
    if (request.url === '/emulation') counts[at] += 1;
    const { method, url: path, headers } = request;
    const onwards = ask({ host: '127.0.0.1', port: ports[at], method, path, headers, agent: false });
    onwards.on('response', (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      response.flushHeaders();
      answer.pipe(response);
      answer.on('aborted', () => response.destroy());
    });
    onwards.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
    response.on('close', () => onwards.destroy());
    request.pipe(onwards);
  });
  server.on('upgrade', (request, near, head) => {
    const far = connect(ports[pick()], '127.0.0.1');
    const lines = [`${request.method} ${request.url} HTTP/1.1`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
    far.write(`${lines.join('\r\n')}\r\n\r\n`);
    far.write(head);
    near.pipe(far).pipe(near);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port: server.address().port, counts };
}
