// The scenarios that every SDK is held to (scenarios.json, for the Python SDK too).

import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { ENCODINGS } from './client.js';

export const { scenarios: SCENARIOS } = JSON.parse(readFileSync(new URL('../scenarios.json', import.meta.url), 'utf8'));

/**
 * A test of a scenario of the list in each encoding. `detail` says what of the scenario it shows;
 * `body` gets the test's context and the encoding.
 */
export function scenario(name, detail, body) {
  if (!SCENARIOS.includes(name)) throw new Error(`not in the list of scenarios: ${name}`);
  inEachEncoding(`${name}: ${detail}`, body);
}

/** A test in each encoding, side by side: for what is mostly waiting. */
export function inEachEncoding(title, body) {
  describe(title, { concurrency: true }, () => {
    for (const encoding of ENCODINGS) test(`${encoding}: ${title}`, (t) => body(t, encoding));
  });
}
