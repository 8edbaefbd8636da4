// Tickets for event streams: an EventSource can send no header, and a token in a URL ends up in logs. A ticket is
// good once and for half a minute, so each connect begins with a new one.

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 2;

/** The id of the last event of a stream that is over for good. */
const OVER = 'over';
/** Between attempts, milliseconds: doubled from the first to the last, and anywhere below. */
const FIRST_WAIT = 500;
const LONGEST_WAIT = 20_000;
/** What will not change by asking again. */
const FINAL = [400, 403, 404, 405, 413, 415];
/** What a node answers to a token whose time is over. */
const EXPIRED = 'the token is expired';
/** Names the ticket of the stream to which a command belongs. */
const HEADER = 'X-Sealcast-Ticket';

/** Why there is no ticket. `status` is 0 if nobody answered; `retryAfter` is in milliseconds. */
export class TicketError extends Error {
  constructor(message, { status = 0, retryAfter = 0, cause } = {}) {
    super(message, { cause });
    this.name = 'TicketError';
    this.status = status;
    this.retryAfter = retryAfter;
  }

  /** Whether the same question will always have this answer. */
  get final() {
    return FINAL.includes(this.status);
  }
}

/** `url` with a new ticket in it; the last part of its path names the transport, as in `/connection/uni_sse`. */
export async function withTicket(url, { token, endpoint, fetch = globalThis.fetch, credentials = 'same-origin', signal } = {}) {
  const stream = absolute(url);
  const asked = { transport: stream.pathname.split('/').pop(), token };
  const request = {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(asked),
    cache: 'no-store',
    credentials,
    signal,
  };
  const beside = new URL('ticket', stream.href.replace(/^ws/, 'http'));
  let answer;
  try {
    answer = await fetch(endpoint ? absolute(endpoint) : beside, request);
  } catch (cause) {
    throw new TicketError('nobody answered', { cause });
  }
  if (!answer.ok) {
    const retryAfter = 1000 * (Number(answer.headers.get('Retry-After')) || 0);
    throw new TicketError((await answer.text()).trim() || `status ${answer.status}`, { status: answer.status, retryAfter });
  }
  const { ticket } = await answer.json();
  stream.searchParams.set('ticket', ticket);
  return stream;
}

/**
 * An EventSource that brings a new ticket whenever it connects, and says where it was. It comes back by itself, later
 * and later and not before a `Retry-After`, until `close()`, until the server says that it is over, or until it is
 * refused for a reason that will not change.
 *
 * Its events are `open`, `message`, and `error`, which has `status` and `message` where the ticket was refused;
 * `readyState` then tells whether it comes back.
 */
export class TicketedEventSource extends EventTarget {
  static CONNECTING = CONNECTING;
  static OPEN = OPEN;
  static CLOSED = CLOSED;

  onopen = null;
  onmessage = null;
  onerror = null;
  readyState = CONNECTING;
  lastEventId;
  url;
  withCredentials;
  #options;
  #source = null;
  #timer = null;
  #failures = 0;
  #refused = null;
  #aborting = new AbortController();

  constructor(url, { withCredentials = false, lastEventId = '', ...options } = {}) {
    super();
    this.url = absolute(url).href;
    this.withCredentials = withCredentials;
    this.lastEventId = lastEventId;
    this.#options = { EventSource: globalThis.EventSource, fetch: globalThis.fetch, reconnect: true, ...options };
    for (const kind of ['open', 'message', 'error']) {
      this.addEventListener(kind, (event) => this[`on${kind}`]?.call(this, event));
    }
    // So that whoever made it can listen before anything happens.
    queueMicrotask(() => this.#connect());
  }

  close() {
    this.readyState = CLOSED;
    clearTimeout(this.#timer);
    this.#aborting.abort();
    this.#source?.close();
    this.#source = null;
  }

  async #connect() {
    if (this.readyState === CLOSED) return;
    if (this.lastEventId === OVER) {
      this.#fail(null, true);
      return;
    }
    const { getToken, endpoint, fetch, onTicket } = this.#options;
    let url;
    let token;
    try {
      token = await getToken?.();
      url = await withTicket(this.url, {
        token,
        endpoint,
        fetch,
        credentials: this.withCredentials ? 'include' : 'same-origin',
        signal: this.#aborting.signal,
      });
    } catch (error) {
      if (this.readyState === CLOSED) return;
      const reply = this.#options.replyTo?.(error);
      if (reply) {
        this.#opened();
        this.#message(JSON.stringify(reply));
        return;
      }
      // Whoever makes tokens may make a better one; the same one will be refused again.
      const again = error.status === 401 && token === this.#refused;
      this.#refused = error.status === 401 ? token : null;
      this.#fail(error, again || error.final === true);
      return;
    }
    if (this.readyState === CLOSED) return;
    this.#refused = null;
    onTicket?.(url.searchParams.get('ticket'));
    if (this.lastEventId) url.searchParams.set('last_event_id', this.lastEventId);
    this.#listen(url.href);
  }

  #listen(url) {
    const source = new this.#options.EventSource(url, { withCredentials: this.withCredentials });
    this.#source = source;
    source.onopen = () => this.#opened();
    source.onmessage = ({ data, lastEventId, origin }) => {
      if (lastEventId) this.lastEventId = lastEventId;
      this.#message(data, origin);
      if (this.lastEventId === OVER && this.readyState !== CLOSED) this.#fail(null, true);
    };
    source.onerror = () => {
      if (this.#source === source) this.#fail(null, false);
    };
  }

  #opened() {
    this.readyState = OPEN;
    this.#failures = 0;
    this.dispatchEvent(new Event('open'));
  }

  #message(data, origin = new URL(this.url).origin) {
    this.dispatchEvent(new MessageEvent('message', { data, lastEventId: this.lastEventId, origin }));
  }

  /** It would come back with the same ticket if it were not closed. */
  #fail(error, final) {
    this.#source?.close();
    this.#source = null;
    const ends = final || !this.#options.reconnect;
    this.readyState = ends ? CLOSED : CONNECTING;
    const event = new Event('error');
    const about = error && { status: error.status ?? 0, message: error.message, retryAfter: error.retryAfter ?? 0 };
    this.dispatchEvent(Object.assign(event, about));
    if (this.readyState === CLOSED) return;
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures) * Math.random();
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), Math.max(wait, error?.retryAfter ?? 0));
  }
}

/**
 * Options for the `centrifuge` SDK, with which its transport `sse` uses tickets in the place of a token in the URL:
 *
 *     new Centrifuge([{ transport: 'sse', endpoint }], { getToken, emulationEndpoint, ...ticketed() })
 *
 * Both options belong together: what the SDK says over `fetch` names the ticket that its stream came with.
 */
export function ticketed({ endpoint, fetch = globalThis.fetch, EventSource = globalThis.EventSource } = {}) {
  let current = '';
  // Of all streams of one client: the SDK comes back at its own pace, which knows of no Retry-After.
  let notBefore = 0;

  class Ticketed extends TicketedEventSource {
    constructor(url, options = {}) {
      const { bare, token, id } = takeToken(url);
      super(bare, {
        ...options,
        endpoint,
        EventSource,
        reconnect: false,
        getToken: () => token,
        fetch: async (...request) => {
          if (Date.now() < notBefore) throw new Error('it is too early to ask again');
          const answer = await fetch(...request);
          notBefore = Date.now() + 1000 * (Number(answer.headers.get('Retry-After')) || 0);
          return answer;
        },
        onTicket: (ticket) => {
          current = ticket;
        },
        replyTo: (error) => replyTo(error, id),
      });
    }
  }

  const say = (url, request = {}) => {
    const isCommand = current && absolute(url).pathname.endsWith('/emulation');
    if (!isCommand) return fetch(url, request);
    const headers = new Headers(request.headers);
    headers.set(HEADER, current);
    return fetch(url, { ...request, headers });
  };
  return { eventsource: Ticketed, fetch: say };
}

/** The SDK's URL without the token that its connect command bears, that token, and the command's id. */
function takeToken(url) {
  const bare = absolute(url);
  const [connect, ...rest] = (bare.searchParams.get('cf_connect') ?? '').split('\n');
  const command = JSON.parse(connect);
  const { token = '', ...others } = command.connect ?? {};
  bare.searchParams.set('cf_connect', [JSON.stringify({ ...command, connect: others }), ...rest].join('\n'));
  return { bare, token, id: command.id };
}

/** A token that is refused for a ticket, as the SDK knows it from a connect: it fetches another, or it ends. */
function replyTo({ status, message }, id) {
  if (status !== 401) return null;
  if (message === EXPIRED) return { id, error: { code: 109, message: 'token expired' } };
  return { push: { disconnect: { code: 3500, reason: 'invalid token' } } };
}

function absolute(url) {
  return new URL(url, globalThis.document?.baseURI);
}
