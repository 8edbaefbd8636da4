// One room: its subscription, what was said in it, and who is there.

import { Presence } from './presence.js';

const EARLIER = 50;
const KEPT = 200;

/**
 * `lines` is what a view shows, oldest first: messages and notes. `changed(what, line)` is told `line` (one was added),
 * `lines` (all are new), `people`, `state` or `refused` (with the error).
 */
export class Room {
  lines = [];
  unread = 0;
  state = 'joining';
  #changed;
  #own;
  #subscription;
  #client;
  /** Offset of the last message, and of the epoch it counts in. */
  #offset = null;
  /** Messages that came while the history was on its way. */
  #early = null;

  constructor(connection, name, changed) {
    const { client, name: own } = connection;
    this.name = name;
    this.channel = `room-${name}`;
    this.#own = own;
    this.#client = client;
    this.#changed = changed;
    this.#subscription = client.newSubscription(this.channel, { recoverable: true, joinLeave: true });
    this.people = new Presence(() => connection.facts.client, this.#subscription, (came, went) => {
      this.#changed('people');
      if (came.length) this.#note(came, 'came in');
      if (went.length) this.#note(went, 'left');
    });
    this.#listen();
    this.#subscription.subscribe();
  }

  /** Sends; resolves to the milliseconds until it was acknowledged. */
  async say(text) {
    const began = performance.now();
    await this.#subscription.publish({ text, at: Date.now() });
    return performance.now() - began;
  }

  leave() {
    this.#subscription.unsubscribe();
    this.#client.removeSubscription(this.#subscription);
  }

  #listen() {
    const subscription = this.#subscription;
    subscription.on('subscribed', (context) => this.#begin(context));
    subscription.on('publication', (publication) => {
      if (this.#early) this.#early.push(publication);
      else this.#take(publication);
    });
    subscription.on('subscribing', ({ code, reason }) => {
      if (this.state !== 'here') return;
      this.#become('away');
      this.#add({ kind: 'note', text: `The connection was lost: ${reason} (${code}). What is said meanwhile is brought when it is back.` });
    });
    subscription.on('unsubscribed', ({ code, reason }) => {
      if (code === 0) return;
      this.#become('closed');
      this.#changed('refused', { code, message: reason });
    });
    subscription.on('error', ({ error }) => this.#changed('refused', error));
  }

  #begin({ wasRecovering, recovered, hasRecoveredPublications }) {
    this.#become('here');
    if (!wasRecovering || !recovered) this.#load(wasRecovering);
    else this.#add({ kind: 'note', text: hasRecoveredPublications ? 'Back again. This was said meanwhile:' : 'Back again. Nothing was missed.' });
  }

  async #load(wasRecovering) {
    this.#early = [];
    let earlier = [];
    try {
      const { publications } = await this.#subscription.history({ limit: EARLIER, reverse: true });
      earlier = publications.reverse();
    } catch (error) {
      this.#changed('refused', error);
    }
    const met = this.#early;
    this.#early = null;
    this.#offset = earlier.at(-1)?.offset ?? null;
    this.lines = earlier.map((publication) => this.#message(publication));
    if (wasRecovering) this.lines.push({ kind: 'note', text: 'Back again, but the gap could not be closed: this is what the server still keeps.' });
    else if (earlier.length) this.lines.push({ kind: 'divider', text: counted(earlier.length, 'earlier message', 'earlier messages') });
    this.#changed('lines');
    for (const publication of met) if (publication.offset > (this.#offset ?? 0)) this.#take(publication);
  }

  #take(publication) {
    this.#offset = publication.offset;
    this.#add(this.#message(publication));
  }

  /** `info` is the publisher as the server knows it; publications of the server API have none. */
  #message({ data, info }) {
    const text = typeof data?.text === 'string' ? data.text : null;
    const kind = !info ? 'server' : info.user === this.#own ? 'own' : 'other';
    const isTime = Number.isInteger(data?.at) && Math.abs(data.at) < 8.64e15;
    return {
      kind,
      // The space keeps this author apart from every user: names have none.
      author: info ? info.user || 'anonymous' : 'Server API',
      text: text ?? JSON.stringify(data),
      isRaw: text === null,
      at: isTime ? data.at : Date.now(),
    };
  }

  #note(people, did) {
    const names = people.slice(0, 3).join(', ');
    const who = people.length > 3 ? `${names} and ${people.length - 3} more` : names;
    this.#add({ kind: 'note', text: `${who} ${did}` });
  }

  #add(line) {
    this.lines.push(line);
    if (this.lines.length > KEPT) this.lines.splice(0, this.lines.length - KEPT);
    this.#changed('line', line);
  }

  #become(state) {
    this.state = state;
    this.#changed('state');
  }
}

const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;
