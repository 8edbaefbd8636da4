// Sending what changes all the time: at most once a frame of the screen, only the newest, and slower when the server asks.

/** A slower rhythm begins here and ends there, milliseconds between two messages. */
const SLOWEST = 1_000;
const FIRST_SLOW = 50;
/** Messages that wait for their acknowledgement; more would only queue up on the way. */
const IN_FLIGHT = 8;
const SLOW_DOWN = 111;

export class Pace {
  /** Milliseconds between two messages, beside the screen's own rhythm. */
  gap = 0;
  #take;
  #send;
  #told;
  #isAsked = false;
  #isDue = false;
  #last = 0;
  #inFlight = 0;

  /**
   * `take()` gives what is to be sent, null for nothing; `told(gap, error)` learns that the server asked for less, and
   * with gap 0 that it no longer does.
   */
  constructor(take, send, told) {
    this.#take = take;
    this.#send = send;
    this.#told = told;
  }

  /** There is something to send. */
  ask() {
    this.#isAsked = true;
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame((now) => this.#frame(now));
  }

  #frame(now) {
    this.#isDue = false;
    if (!this.#isAsked) return;
    if (now - this.#last < this.gap || this.#inFlight >= IN_FLIGHT) return this.ask();
    this.#isAsked = false;
    this.#last = now;
    const message = this.#take();
    if (message) this.#publish(message);
  }

  async #publish(message) {
    this.#inFlight += 1;
    try {
      await this.#send(message);
      this.#ease();
    } catch (error) {
      if (error.code === SLOW_DOWN) this.#slow(error);
    } finally {
      this.#inFlight -= 1;
    }
  }

  #slow(error) {
    const before = this.gap;
    this.gap = Math.min(Math.max(before * 2, FIRST_SLOW), SLOWEST);
    // Not again and again, at the end of the scale.
    if (this.gap > before * 1.5) this.#told(this.gap, error);
  }

  #ease() {
    if (this.gap === 0) return;
    this.gap = this.gap < FIRST_SLOW ? 0 : this.gap * 0.98;
    if (this.gap === 0) this.#told(0, null);
  }
}
