// The demo page serves the SDK that is tested here.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const vendor = new URL('../../web/vendor/', import.meta.url);
const installed = new URL('./node_modules/centrifuge/', import.meta.url);

test('the vendored bundle and licence are those of the pinned package, and the page beside them says so', async () => {
  const bundle = await readFile(new URL('centrifuge.js', vendor));
  assert.deepEqual(bundle, await readFile(new URL('dist/centrifuge.js', installed)));
  assert.deepEqual(await readFile(new URL('centrifuge.LICENSE', vendor)), await readFile(new URL('LICENSE', installed)));

  const { version } = JSON.parse(await readFile(new URL('package.json', installed), 'utf8'));
  const { dependencies } = JSON.parse(await readFile(new URL('./package.json', import.meta.url), 'utf8'));
  assert.equal(dependencies.centrifuge, version);
  const note = await readFile(new URL('README.md', vendor), 'utf8');
  assert.ok(note.includes(`| ${version} |`), note);
  assert.ok(note.includes(createHash('sha256').update(bundle).digest('hex')), note);
});
