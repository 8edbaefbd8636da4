// The official SDK in both encodings and over each transport, with every frame on record.

import { EventEmitter } from 'node:events';
import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import { WebSocket } from 'ws';
import { next } from './event.js';
import { notePayload, noteSent, noteTold } from './evidence.js';
import { token } from './token.js';
import { streaming, TRANSPORT } from './transport.js';

/** Those of the transport: server-sent events carry JSON only, and a Protobuf client beside them has a WebSocket. */
export const ENCODINGS = TRANSPORT === 'sse' ? ['json'] : ['json', 'protobuf'];

let users = 0;

/**
 * A client of the SDK that is not connected yet; it is disconnected when the test `t` ends.
 * `client.record` has `sockets`, how many it opened (or streams), and emits `sent` and `received` with each frame as the socket had it.
 */
export function newClient(t, server, encoding, options = {}) {
  const record = Object.assign(new EventEmitter(), { sockets: 0 });
  const Centrifuge = encoding === 'json' ? JsonCentrifuge : ProtobufCentrifuge;
  const byStream = TRANSPORT === 'http_stream' || (TRANSPORT === 'sse' && encoding === 'json');
  const stream = byStream ? streaming(server.ws, record) : null;
  const client = new Centrifuge(stream?.endpoint ?? server.ws, {
    token: options.getToken ? '' : token(`canary-user-${++users}`),
    minReconnectDelay: 50,
    maxReconnectDelay: 400,
    ...options,
    ...(stream?.options ?? { websocket: recording(record) }),
  });
  client.record = record;
  // In Protobuf the payloads are noted where they are made.
  record.on('sent', noteSent);
  client.on('error', ({ error }) => noteTold(error.message));
  client.on('disconnected', ({ reason }) => noteTold(reason));
  t.after(() => client.disconnect());
  return client;
}

/** A connected client; `context` is what the SDK said on `connected`. */
export async function connect(t, server, encoding, options) {
  const client = newClient(t, server, encoding, options);
  const connected = next(client, 'connected');
  client.connect();
  client.context = await connected;
  return client;
}

/** A subscription that is subscribed. */
export async function subscribe(client, channel) {
  const subscription = client.newSubscription(channel);
  const subscribed = next(subscription, 'subscribed');
  subscription.subscribe();
  await subscribed;
  return subscription;
}

/** What the SDK of this encoding takes as a payload, from JSON text. */
export function payload(encoding, text) {
  notePayload(text);
  return encoding === 'json' ? JSON.parse(text) : new TextEncoder().encode(text);
}

/** A received payload as JSON text: the very bytes in Protobuf, parsed and written again in JSON. */
export function textOf(encoding, data) {
  return encoding === 'json' ? JSON.stringify(data) : Buffer.from(data).toString('utf8');
}

function recording(record) {
  return class extends WebSocket {
    constructor(...args) {
      super(...args);
      record.sockets += 1;
      this.on('message', (data) => record.emit('received', data));
    }

    send(data, ...rest) {
      record.emit('sent', data);
      super.send(data, ...rest);
    }
  };
}
