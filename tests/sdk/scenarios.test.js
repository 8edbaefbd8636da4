// The list of scenarios is complete: `scenario` makes a test in each encoding, so each name must be used.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ENCODINGS } from './support/client.js';
import { scenario, SCENARIOS } from './support/scenario.js';

const here = new URL('./', import.meta.url);

test('every scenario of the list has a test, and it runs in each encoding', async () => {
  assert.deepEqual(ENCODINGS, ['json', 'protobuf']);
  const tested = new Set();
  for (const file of await readdir(here)) {
    if (!file.endsWith('.test.js')) continue;
    // At the start of a line: neither in a comment nor under a condition.
    for (const [, name] of (await readFile(new URL(file, here), 'utf8')).matchAll(/^scenario\('([^']+)'/gm)) tested.add(name);
  }
  assert.deepEqual(SCENARIOS.filter((name) => !tested.has(name)), [], 'scenarios without a test');
});

test('what is not in the list is not a scenario', () => {
  assert.throws(() => scenario('something else', 'of another list', () => {}), /not in the list/);
});
