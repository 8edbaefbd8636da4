/** Why there is no ticket. */
export class TicketError extends Error {
  /** The status of the answer; 0 if nobody answered. */
  readonly status: number;
  /** How long to wait before asking again, milliseconds; 0 if nothing was said. */
  readonly retryAfter: number;
  /** Whether the same question will always have this answer. */
  readonly final: boolean;
}

export interface TicketOptions {
  /** The connection token; left out where the page's own `fetch` sends it as `Authorization`. */
  token?: string;
  /** Where tickets are; default: `ticket` beside the stream, which is `/connection/ticket`. */
  endpoint?: string | URL;
  fetch?: typeof globalThis.fetch;
  credentials?: RequestCredentials;
  signal?: AbortSignal;
}

/**
 * The URL of `/connection/sse`, `/connection/uni_sse` or `/connection/uni_websocket` with a new ticket, good once and
 * for 30 s.
 *
 * @throws {TicketError}
 */
export function withTicket(url: string | URL, options?: TicketOptions): Promise<URL>;

export interface TicketedOptions {
  /** Gives a connection token; called before each connect. */
  getToken?: () => string | undefined | Promise<string | undefined>;
  /** See {@link TicketOptions}. */
  endpoint?: string | URL;
  /** Goes on from there, as the `lastEventId` of an earlier one said. */
  lastEventId?: string;
  /** Comes back by itself; default true. */
  reconnect?: boolean;
  withCredentials?: boolean;
  fetch?: typeof globalThis.fetch;
  /** What reads events; default: the browser's. */
  EventSource?: new (url: string, options?: { withCredentials?: boolean }) => EventSource;
  /** Told of each ticket. */
  onTicket?: (ticket: string) => void;
}

/** An `error` of a {@link TicketedEventSource}; the members are there if the ticket was refused. */
export interface TicketErrorEvent extends Event {
  readonly status?: number;
  readonly message?: string;
  readonly retryAfter?: number;
}

/** An `EventSource` that brings a new ticket whenever it connects, and says where it was. */
export class TicketedEventSource extends EventTarget {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSED: 2;

  constructor(url: string | URL, options?: TicketedOptions);

  readonly url: string;
  readonly withCredentials: boolean;
  /** After an `error`: `CONNECTING` if it comes back, `CLOSED` if not. */
  readonly readyState: 0 | 1 | 2;
  /** How far it has come; `over` if the server has ended it for good. */
  readonly lastEventId: string;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent<string>) => void) | null;
  onerror: ((event: TicketErrorEvent) => void) | null;
  close(): void;
}

/** Options of the `centrifuge` SDK. */
export interface TicketedSdk {
  eventsource: typeof TicketedEventSource;
  fetch: typeof globalThis.fetch;
}

/** Options for the `centrifuge` SDK, with which its transport `sse` uses tickets. */
export function ticketed(options?: Pick<TicketedOptions, 'endpoint' | 'fetch' | 'EventSource'>): TicketedSdk;
