// Every frame of this page's connection, as it went over the wire; the last few are kept.

const KEPT = 500;
/** Longer frames are kept cut: a tab must not hold megabytes of what it once saw. */
const CHARACTERS_KEPT = 65_536;
/** Far above the ids that the SDK gives, which ignores answers to ids that are not its own. */
const FIRST_OWN_ID = 1_000_000_000;
const WAITING = 1_000;
const AWAY = 'There is no connection now.';

const encoder = new TextEncoder();

export class Frames {
  list = [];
  seen = 0;
  /** Round trip of the last answered command, milliseconds. */
  latency = null;
  /** What names this page's session where each command is a request of its own. */
  session = null;
  #number = 0;
  #ownId = FIRST_OWN_ID;
  #waiting = new Map();
  #send = null;
  #told = new Set();

  /** A WebSocket for the SDK that shows what passes. */
  socketClass() {
    const frames = this;
    return class extends WebSocket {
      constructor(...address) {
        super(...address);
        frames.opened((text) => {
          if (this.readyState !== WebSocket.OPEN) throw new Error(AWAY);
          this.send(text);
        });
        this.addEventListener('message', ({ data }) => frames.note('in', data));
      }

      send(data) {
        frames.note('out', data);
        super.send(data);
      }
    };
  }

  /** There is another connection, over which `send` sends. */
  opened(send) {
    this.#send = send;
    this.#waiting.clear();
  }

  /** Calls `told` after each change; gives what ends it. */
  watch(told) {
    this.#told.add(told);
    return () => this.#told.delete(told);
  }

  /** Sends a command as it is, under an id of its own. */
  command(members) {
    if (!this.#send) throw new Error(AWAY);
    this.#send(JSON.stringify({ ...members, id: (this.#ownId += 1) }));
  }

  /** Notes what happened beside frames: connections that begin and end. */
  event(text) {
    this.#add({ direction: 'event', text, size: 0, what: text, isPing: false });
  }

  forget() {
    this.list = [];
    this.#tell();
  }

  /** Notes what went `in` or `out`. */
  note(direction, text) {
    const parts = parse(text);
    const { session, node } = (direction === 'in' && parts.find((one) => one?.connect)?.connect) || {};
    if (session) this.session = { session, node };
    this.#measure(direction, parts);
    const size = encoder.encode(text).length;
    const isPing = parts.every((one) => one && !Object.keys(one).length);
    this.#add({ direction, text: hideTokens(text).slice(0, CHARACTERS_KEPT), size, what: summary(direction, parts), isPing });
  }

  #add(frame) {
    this.#number += 1;
    this.seen += 1;
    this.list.unshift({ ...frame, number: this.#number, at: Date.now() });
    if (this.list.length > KEPT) this.list.length = KEPT;
    this.#tell();
  }

  #measure(direction, parts) {
    const now = performance.now();
    for (const id of parts.map((one) => one?.id).filter(Boolean)) {
      if (direction === 'out') this.#waiting.set(id, now);
      else if (this.#waiting.has(id)) this.latency = now - this.#waiting.get(id);
      if (direction === 'in' || this.#waiting.size > WAITING) this.#waiting.delete(id);
    }
  }

  #tell() {
    for (const told of this.#told) told();
  }
}

/** What is copied from here may be pasted anywhere: of a token or a session only the beginning is kept. */
const hideTokens = (text) => text.replace(/("(?:token|session)":"[^"]{12})[^"]*/g, '$1…');

/** The objects of a frame, one a line; null for what is none. */
function parse(text) {
  return text.split('\n').filter(Boolean).map((line) => {
    try {
      return JSON.parse(line);
    } catch {
      return null;
    }
  });
}

function summary(direction, parts) {
  const names = parts.map((one) => nameOf(direction, one));
  const first = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${first} and ${names.length - 3} more` : first;
}

function nameOf(direction, one) {
  if (!one) return 'not JSON';
  const { id, push, error, ...rest } = one;
  if (error) return `error ${error.code} to ${id}`;
  if (push) {
    const kind = Object.keys(push).find((key) => key !== 'channel') ?? 'push';
    return push.channel ? `${kind} in ${push.channel}` : kind;
  }
  const [method] = Object.keys(rest);
  if (!id && !method) return direction === 'in' ? 'ping' : 'pong';
  const channel = rest[method]?.channel;
  if (direction === 'in') return `${method ?? 'done'} to ${id}`;
  return channel ? `${method} ${channel}` : (method ?? 'empty command');
}
