// Sending what must arrive: one after the other, each again where the server says that later is better.

const SLOW_DOWN = 111;
const KEPT = 300;
const WAIT = 1_000;

export class Outbox {
  #queue = [];
  #isSending = false;
  #isClosed = false;
  #send;
  #told;

  /** `told.slowed(error)` once a wait, `told.lost(message, error)` for what nobody will get. */
  constructor(send, told) {
    this.#send = send;
    this.#told = told;
  }

  push(message) {
    if (this.#queue.length >= KEPT) return this.#told.lost(message, { code: SLOW_DOWN, message: 'too much waits already' });
    this.#queue.push(message);
    if (!this.#isSending) this.#drain();
    return undefined;
  }

  close() {
    this.#isClosed = true;
    this.#queue = [];
  }

  async #drain() {
    this.#isSending = true;
    while (this.#queue.length) {
      const [message] = this.#queue;
      try {
        await this.#send(message);
        this.#queue.shift();
      } catch (error) {
        if (this.#isClosed) break;
        if (error.temporary || error.code < 100 || error.code === SLOW_DOWN) {
          this.#told.slowed(error);
          await new Promise((wake) => setTimeout(wake, WAIT));
        } else {
          this.#queue.shift();
          this.#told.lost(message, error);
        }
      }
    }
    this.#isSending = false;
  }
}
