// What every script shares: addresses, tokens, the protocol over WebSocket, sizes, numbers.
// Environment: BASE_URL (default http://127.0.0.1:8000), SIZE (small, medium, large),
// TOKEN_KEY_FILE and API_KEY_FILE (default /run/secrets/token_key and api_key).
import crypto from 'k6/crypto';
import encoding from 'k6/encoding';
import http from 'k6/http';
import { Counter, Rate, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/experimental/websockets';

export const base = __ENV.BASE_URL || 'http://127.0.0.1:8000';
const socketUrl = `${base.replace(/^http/, 'ws')}/connection/websocket`;
const tokenKey = open(__ENV.TOKEN_KEY_FILE || '/run/secrets/token_key').trim();
const apiKey = open(__ENV.API_KEY_FILE || '/run/secrets/api_key').trim();

// What a machine with 2 cores that also runs k6 holds, what 8 do, and what three machines do.
const factors = { small: 1, medium: 4, large: 20 };
const size = __ENV.SIZE || 'small';
if (!(size in factors)) {
  throw new Error(`SIZE is ${size}; it must be small, medium or large`);
}
export const scaled = (number) => Math.round(number * factors[size]);

export const connected = new Rate('connected');
export const connectTime = new Trend('connect_time', true);
export const deliveryTime = new Trend('delivery_time', true);
export const ackTime = new Trend('ack_time', true);
export const lost = new Counter('lost');
export const doubled = new Counter('doubled');
export const received = new Counter('received');
export const unexpected = new Counter('unexpected');

// The goals of docs/metrics.md and the alerts: 99.9 % connect, deliveries in 250 ms at p99,
// nothing lost, nothing doubled.
export const goals = {
  connected: ['rate>0.999'],
  connect_time: ['p(99)<1000'],
  delivery_time: ['p(99)<250'],
  lost: ['count==0'],
  doubled: ['count==0'],
  unexpected: ['count==0'],
};

// With the percentiles that goals are about.
export const trendStats = ['med', 'p(95)', 'p(99)', 'max'];

// What k6 prints at the end: each goal with what was measured, and what was missed.
export function handleSummary(data) {
  const lines = [];
  for (const [name, { thresholds, values, type }] of Object.entries(data.metrics)) {
    if (!thresholds) {
      continue;
    }
    const numbers = type === 'trend' ? ['med', 'p(95)', 'p(99)'] : type === 'rate' ? ['rate'] : type === 'gauge' ? ['value'] : ['count'];
    const measured = numbers.map((key) => `${key} ${Number((values[key] || 0).toFixed(type === 'rate' ? 5 : 2))}`).join(', ');
    for (const [goal, { ok }] of Object.entries(thresholds)) {
      lines.push(`  ${ok ? 'met   ' : 'MISSED'} ${name}: ${goal}; ${measured}\n`);
    }
  }
  return { stdout: lines.sort().join('') };
}

export function token(user, seconds = 600) {
  const part = (value) => encoding.b64encode(JSON.stringify(value), 'rawurl');
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, exp })}`;
  return `${signed}.${crypto.hmac('sha256', tokenKey, signed, 'base64rawurl')}`;
}

// A call of the server API; null unless it succeeded.
export function api(method, body) {
  const headers = { 'X-API-Key': apiKey, 'Content-Type': 'application/json' };
  const answer = http.post(`${base}/api/${method}`, JSON.stringify(body), { headers });
  return answer.status === 200 && !answer.json('error') ? answer.json('result') : null;
}

// A connection with one subscription. Options: user, channel, recover ({offset, epoch}), and
// what is called: subscribed(result, client), publication(pub, client), closed(code, client).
export class Client {
  constructor(options) {
    this.options = options;
    this.nextId = 1;
    this.waiting = {};
    this.leaving = false;
    this.began = Date.now();
    this.socket = new WebSocket(socketUrl);
    this.socket.addEventListener('open', () => this.connect());
    this.socket.addEventListener('message', (event) => this.take(event.data));
    this.socket.addEventListener('close', (event) => this.close(event));
    this.socket.addEventListener('error', () => {});
  }

  connect() {
    this.call({ connect: { token: token(this.options.user) } }, (reply) => {
      this.isConnected = !reply.error;
      connected.add(this.isConnected);
      if (!this.isConnected) {
        unexpected.add(1);
        return;
      }
      connectTime.add(Date.now() - this.began);
      if (this.options.channel) {
        this.subscribe();
      }
    });
  }

  subscribe() {
    const { channel, recover } = this.options;
    const asked = recover ? { channel, recover: true, ...recover } : { channel };
    this.call({ subscribe: asked }, (reply) => {
      if (reply.error) {
        unexpected.add(1);
        return;
      }
      const result = reply.subscribe;
      for (const pub of result.publications || []) {
        this.publication(pub);
      }
      this.isSubscribed = true;
      if (this.options.subscribed) {
        this.options.subscribed(result, this);
      }
    });
  }

  publish(data, done) {
    const began = Date.now();
    this.call({ publish: { channel: this.options.channel, data } }, (reply) => {
      ackTime.add(Date.now() - began);
      if (reply.error) {
        unexpected.add(1);
      } else if (done) {
        done();
      }
    });
  }

  leave() {
    this.leaving = true;
    this.socket.close();
  }

  call(command, done) {
    const id = this.nextId++;
    this.waiting[id] = done;
    this.socket.send(JSON.stringify({ id, ...command }));
  }

  take(text) {
    for (const line of text.split('\n')) {
      const reply = JSON.parse(line);
      if (reply.id) {
        const done = this.waiting[reply.id];
        delete this.waiting[reply.id];
        done(reply);
      } else if (reply.push) {
        if (reply.push.pub) {
          this.publication(reply.push.pub);
        }
      } else {
        this.socket.send('{}'); // a ping, and its answer
      }
    }
  }

  publication(pub) {
    received.add(1);
    if (this.options.publication) {
      this.options.publication(pub, this);
    }
  }

  close(event) {
    if (!this.isConnected && !this.leaving) {
      connected.add(false);
    }
    if (this.options.closed) {
      this.options.closed(event.code, this);
    } else if (!this.leaving) {
      unexpected.add(1);
    }
  }
}

// Counts what is missing and what came twice of numbers 1, 2, 3 ... of one sender.
export class Ledger {
  constructor() {
    this.highest = {};
  }

  take(sender, number) {
    const before = this.highest[sender];
    if (before !== undefined) {
      if (number <= before) {
        doubled.add(1);
        return;
      }
      lost.add(number - before - 1);
    }
    this.highest[sender] = number;
  }
}
