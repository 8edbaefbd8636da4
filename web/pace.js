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
  #slowed;
  #isAsked = false;
  #isDue = false;
  #last = 0;
  #inFlight = 0;

  /** `take()` gives what is to be sent, null for nothing; `slowed(gap, error)` is told that the server asked for less. */
  constructor(take, send, slowed) {
    this.#take = take;
    this.#send = send;
    this.#slowed = slowed;
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
      this.gap = this.gap < FIRST_SLOW ? 0 : this.gap * 0.98;
    } catch (error) {
      if (error.code === SLOW_DOWN) {
        this.gap = Math.min(Math.max(this.gap * 2, FIRST_SLOW), SLOWEST);
        this.#slowed(this.gap, error);
      }
    } finally {
      this.#inFlight -= 1;
    }
  }
}
