// A real redis-server with the users of deploy/redis/users.acl, ended with the test.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from './event.js';
import { freePort } from './port.js';

const USERS = new URL('../../../deploy/redis/users.acl', import.meta.url);
const PASSWORD = 'a long random password of the nodes';
const READY_MS = 20_000;
const ATTEMPTS = 5;

/** What a node is told of it: the option `engine`. */
export async function serveRedis(t) {
  const directory = await mkdtemp(join(tmpdir(), 'sealcast-redis-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const users = join(directory, 'users.acl');
  const digest = createHash('sha256').update(PASSWORD).digest('hex');
  const text = await readFile(USERS, 'utf8');
  await writeFile(users, text.replace(/^#.*\n/gm, '').replaceAll(/(RELAY|OPS)_PASSWORD_SHA256/g, digest));
  // Another process may take the port in between.
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    const port = await freePort();
    const options = ['--port', port, '--bind', '127.0.0.1', '--dir', directory, '--save', '', '--aclfile', users];
    const child = spawn('redis-server', options.map(String), { stdio: 'ignore' });
    const ended = once(child, 'close');
    t.after(async () => {
      child.kill('SIGKILL');
      await ended;
    });
    if (await within(READY_MS, 'redis-server', answers(port, child))) {
      return { type: 'redis', redis: { address: `127.0.0.1:${port}`, user: 'relay', password: PASSWORD } };
    }
  }
  throw new Error('redis-server does not start');
}

async function answers(port, child) {
  while (child.exitCode === null) {
    const open = await new Promise((settle) => {
      const socket = connect(port, '127.0.0.1', () => settle(true)).on('error', () => settle(false));
      socket.unref();
      setTimeout(() => socket.destroy(), 1_000).unref();
    });
    if (open) return true;
    await sleep(20);
  }
  return false;
}
