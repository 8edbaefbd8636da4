// The transports beside WebSocket: how the SDK gets there, with what it says and hears on record.

import { EventSource } from 'eventsource';
import { ticketed } from '../../../clients/js/tickets.js';

/** How clients of these tests connect: `websocket`, `http_stream` or `sse`. */
export const TRANSPORT = process.env.TESTED_TRANSPORT ?? 'websocket';

/** Whether `sse` brings a ticket in the place of its token. */
export const TICKETS = process.env.TESTED_TICKETS === 'yes';

/** What the SDK is given as endpoint and options to reach the server at `ws` by a stream. */
export function streaming(ws, record) {
  const at = (path) => new URL(path, ws.replace(/^ws/, 'http')).href;
  return {
    endpoint: [{ transport: TRANSPORT, endpoint: at(`/connection/${TRANSPORT}`) }],
    options: {
      emulationEndpoint: at('/emulation'),
      readableStream: ReadableStream,
      ...(TICKETS ? ticketed : plain)({ fetch: recordingFetch(record), EventSource: recordingEventSource(record) }),
    },
  };
}

const plain = ({ fetch, EventSource }) => ({ fetch, eventsource: EventSource });

function recordingFetch(record) {
  return async (url, options) => {
    if (String(url).endsWith('/emulation')) {
      record.emit('sent', framesOf(options.body));
      return fetch(url, options);
    }
    if (new URL(url).pathname.endsWith('/ticket')) return fetch(url, options);
    record.sockets += 1;
    record.emit('sent', options.body);
    const response = await fetch(url, options);
    const heard = new TransformStream({
      transform(chunk, controller) {
        record.emit('received', Buffer.from(chunk));
        controller.enqueue(chunk);
      },
    });
    return response.body === null ? response : new Response(response.body.pipeThrough(heard), response);
  };
}

/** The commands within an emulation request; its third field in Protobuf. */
function framesOf(body) {
  if (typeof body === 'string') return JSON.parse(body).data;
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; ) {
    const field = bytes[at] >> 3;
    let length = 0;
    let shift = 0;
    do {
      at += 1;
      length |= (bytes[at] & 0x7f) << shift;
      shift += 7;
    } while (bytes[at] & 0x80);
    const value = bytes.subarray(at + 1, at + 1 + length);
    if (field === 3) return value;
    at += 1 + length;
  }
  return Buffer.alloc(0);
}

function recordingEventSource(record) {
  return class extends EventSource {
    constructor(url, options) {
      super(url, options);
      record.sockets += 1;
      record.emit('sent', new URL(url).searchParams.get('cf_connect'));
      this.addEventListener('message', ({ data }) => record.emit('received', data));
    }
  };
}
