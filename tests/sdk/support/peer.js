// A client of the official SDK that another process leads: each command is a line of JSON with a number, each answer
// a line with that number, and what happens comes as lines with an `event` in between.
//   PEER_TOKEN=... node peer.js ENDPOINT json|protobuf CHANNEL

import { createInterface } from 'node:readline';
import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import { WebSocket } from 'ws';
import { payload, textOf } from './client.js';
import { next } from './event.js';

const [endpoint, encoding, channel] = process.argv.slice(2);
const Centrifuge = encoding === 'json' ? JsonCentrifuge : ProtobufCentrifuge;
const token = process.env.PEER_TOKEN;
const client = new Centrifuge(endpoint, { token, websocket: WebSocket, minReconnectDelay: 50, maxReconnectDelay: 400 });
const subscription = client.newSubscription(channel);

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
const publicationOf = ({ offset, data }) => ({ offset, data: JSON.parse(textOf(encoding, data)) });

subscription.on('publication', (context) => say({ event: 'publication', ...publicationOf(context) }));
for (const event of ['join', 'leave']) {
  subscription.on(event, ({ info }) => say({ event, client: info.client, user: info.user }));
}
subscription.on('subscribed', ({ wasRecovering, recovered }) => say({ event: 'subscribed', wasRecovering, recovered }));

const commands = {
  async subscribe() {
    const subscribed = next(subscription, 'subscribed');
    const connected = next(client, 'connected');
    client.connect();
    subscription.subscribe();
    await subscribed;
    return { client: (await connected).client };
  },
  publish: ({ data }) => subscription.publish(payload(encoding, JSON.stringify(data))).then(() => ({})),
  async history() {
    const { publications, offset, epoch } = await subscription.history({ limit: 100 });
    return { publications: publications.map(publicationOf), offset, epoch };
  },
  async presence() {
    const { clients } = await subscription.presence();
    return { clients: Object.values(clients).map((one) => [one.client, one.user]) };
  },
  /** As a lost connection, but without coming back by itself. */
  async disconnect() {
    client.disconnect();
    return {};
  },
  async reconnect() {
    const subscribed = next(subscription, 'subscribed');
    client.connect();
    await subscribed;
    return {};
  },
  async unsubscribe() {
    subscription.unsubscribe();
    return {};
  },
};

// One after the other, as they come; the process ends with its input.
for await (const line of createInterface({ input: process.stdin })) {
  const { id, command, ...options } = JSON.parse(line);
  try {
    say({ id, ...(await commands[command](options)) });
  } catch (error) {
    say({ id, error: String(error) });
  }
}
client.disconnect();
