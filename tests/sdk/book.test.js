// The program of the first steps, as the page shows it, beside a node as the page makes one.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { config, serve } from './support/server.js';
import { token } from './support/token.js';

test('the program of the first steps says hello', async (t) => {
  const page = await readFile(new URL('../../docs/first-steps.md', import.meta.url), 'utf8');
  const programs = [...page.matchAll(/^```js\n(.*?)^```$/gms)].map(([, program]) => program);
  assert.equal(programs.length, 1);
  const node = config();
  // As gen-config writes it.
  node.channel.namespaces.push({ name: 'chat', allow_subscribe_for_client: true, allow_publish_for_subscriber: true });
  const server = await serve(t, node);
  const shown = 'ws://127.0.0.1:8000/connection/websocket';
  assert.ok(programs[0].includes(shown));
  const file = new URL(`book-${process.pid}.tmp.mjs`, import.meta.url);
  await writeFile(file, programs[0].replace(shown, server.ws));
  t.after(() => rm(file));
  const run = promisify(execFile)(process.execPath, [file.pathname], {
    env: { ...process.env, TOKEN: token('ada') },
    timeout: 30_000,
  });
  const { stdout, stderr } = await run;
  assert.deepEqual([stdout, stderr], ['hello from a program\n', '']);
});
