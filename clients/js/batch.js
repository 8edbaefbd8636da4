// Takes joined publications of Sealcast apart: what a namespace with shaping "batch" sends, for centrifuge-js.
//
//   import { messages } from './batch.js';
//   subscription.on('publication', (publication) => messages(publication).forEach(({ data, info }) => …));

/** The tag of a joined publication; its value names the form. */
export const TAG = 'sealcast-batch';

/** Bytes of the length before each message. */
const LENGTH = 4;
/** What stands around the messages of the form json, and what stands between them, as bytes. */
const BEFORE = new TextEncoder().encode('{"batch":[');
const AFTER = new TextEncoder().encode(']}');
const [QUOTE, BACKSLASH, COMMA] = new TextEncoder().encode('"\\,');
const OPENING = new Set(new TextEncoder().encode('[{'));
const CLOSING = new Set(new TextEncoder().encode(']}'));

/**
 * The messages of a publication as the SDK hands it out, in order: each a publication context with its own `data`, and
 * without the tag. A publication that is not a joined one, or a broken one, is its own only message.
 */
export function messages(publication) {
  const data = apart(publication.tags?.[TAG], publication.data);
  if (!data) return [publication];
  const { [TAG]: _, ...tags } = publication.tags;
  return data.map((one) => ({ ...publication, data: one, tags }));
}

function apart(form, data) {
  const isBytes = data instanceof Uint8Array;
  if (form === 'json') return isBytes ? elements(data) : list(data?.batch);
  return form === 'binary' && isBytes ? parts(data) : null;
}

const list = (batch) => (Array.isArray(batch) ? batch : null);

/** In the Protobuf encoding messages are bytes, and stay those that were published. */
function elements(bytes) {
  const end = bytes.length - AFTER.length;
  const isOne = end >= BEFORE.length && BEFORE.every((byte, at) => bytes[at] === byte) && AFTER.every((byte, at) => bytes[end + at] === byte);
  if (!isOne) return null;
  const found = [];
  let [from, depth, isText] = [BEFORE.length, 0, false];
  for (let at = from; at < end; at += 1) {
    const byte = bytes[at];
    if (isText && byte === BACKSLASH) at += 1;
    else if (byte === QUOTE) isText = !isText;
    else if (isText) continue;
    else if (OPENING.has(byte)) depth += 1;
    else if (CLOSING.has(byte)) depth -= 1;
    else if (byte === COMMA && depth === 0) {
      found.push(bytes.subarray(from, at));
      from = at + 1;
    }
  }
  found.push(bytes.subarray(from, end));
  return found;
}

function parts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + LENGTH > bytes.length) return null;
    const end = at + LENGTH + view.getUint32(at);
    if (end > bytes.length) return null;
    found.push(bytes.subarray(at + LENGTH, end));
    at = end;
  }
  return found;
}
