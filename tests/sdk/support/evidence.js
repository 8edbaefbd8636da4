// What tests leave for tests/logs/scan.py, which looks through everything that nodes have said once all tests have run:
// on the one side their logs, their metrics and the errors that clients got, on the other what must stand in none of
// them. Each kind is a file with one JSON text a line.

import { appendFileSync, mkdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

export const BINARY = process.env.TESTED_SEALCAST
  ? resolve(process.env.TESTED_SEALCAST)
  : resolve(import.meta.dirname, '../../../target/debug/sealcast');
const LOGS = resolve(BINARY, '../../tmp/logs');
mkdirSync(LOGS, { recursive: true });
// Which tests these are: a test of the browser's folder, or one of the SDK's.
const HARNESS = basename(dirname(process.argv[1] ?? '')) === 'browser' ? 'browser' : 'sdk';
/** How much of one thing is noted; enough to find it by, also where it was cut. */
const LENGTH = 64;
/** What is shorter, or has fewer letters, could stand in a line by chance. */
const LEAST = 8;
const LEAST_LETTERS = 4;

const seen = new Set();

/** Where a node that is a process leaves its log. */
export const logFile = (pid) => join(LOGS, `${HARNESS}-${process.pid}-${pid}.log`);

/** A token was made, for a user. */
export function noteToken(token, user) {
  note('signatures', token.split('.').pop());
  note('users', String(user ?? ''));
}

/** A client said this: a frame of JSON, or a body. What is no text is passed over. */
export function noteSent(frame) {
  if (typeof frame !== 'string') return;
  for (const line of frame.split('\n')) {
    try {
      lookInto(JSON.parse(line));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
    }
  }
}

/** Something was published, as JSON text. */
export function notePayload(text) {
  lookInto({ data: JSON.parse(text) });
}

/** A client got an error, or the reason of its end. */
export const noteTold = (text) => note('told', String(text ?? ''));

/** What stands in a node's metrics, if it still tells; the numbers are left out. */
export async function noteMetrics(address) {
  try {
    const answer = await fetch(`http://${address}/metrics`, { signal: AbortSignal.timeout(1_000) });
    for (const line of (await answer.text()).split('\n')) {
      if (!line.startsWith('#')) note('metrics', line.slice(0, line.lastIndexOf(' ')));
    }
  } catch {
    // It has ended already, or is stopped.
  }
}

/** In a command, a call of the server API, or several of either. */
function lookInto(value) {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    if (['data', 'info', 'tags'].includes(name)) payload(member);
    else if (name === 'channel' && typeof member === 'string') telling('channels', member);
    else lookInto(member);
  }
}

function payload(value) {
  if (typeof value === 'string') telling('payloads', value);
  if (typeof value !== 'object' || value === null) return;
  telling('payloads', JSON.stringify(value));
  Object.values(value).forEach(payload);
}

function telling(kind, text) {
  if (text.length >= LEAST && new Set(text).size >= LEAST_LETTERS) note(kind, text.slice(0, LENGTH));
}

function note(kind, text) {
  if (text === '' || seen.has(`${kind} ${text}`)) return;
  seen.add(`${kind} ${text}`);
  appendFileSync(join(LOGS, `${HARNESS}.${kind}`), `${JSON.stringify(text)}\n`);
}
