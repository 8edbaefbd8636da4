// Who is subscribed to a channel: read at the beginning and after each gap, then kept by what is told of comers and goers.

/** Comers and goers of this time are told together, milliseconds. */
const TOGETHER = 400;

export class Presence {
  /** User by client: someone with two tabs is two clients. */
  #clients = new Map();
  #changed;
  #came = new Set();
  #went = new Set();
  #timer = 0;

  /** `changed(came, went)` gets the users who were not there before, and those who no longer are; `own()` is our client's id. */
  constructor(own, subscription, changed) {
    this.#changed = changed;
    subscription.on('subscribed', () => this.#read(subscription));
    subscription.on('join', ({ info }) => {
      const isNew = info.client !== own() && !this.has(info.user);
      this.#clients.set(info.client, info.user);
      if (isNew) this.#tell(info.user, this.#came, this.#went);
      else this.#changed([], []);
    });
    subscription.on('leave', ({ info }) => {
      if (!this.#clients.delete(info.client)) return;
      if (this.has(info.user)) this.#changed([], []);
      else this.#tell(info.user, this.#went, this.#came);
    });
  }

  has(user) {
    return [...this.#clients.values()].includes(user);
  }

  /** Each user once, with the number of their clients, in the order of names. */
  users() {
    const users = new Map();
    for (const user of this.#clients.values()) users.set(user, (users.get(user) ?? 0) + 1);
    return [...users].sort(([one], [other]) => one.localeCompare(other));
  }

  async #read(subscription) {
    try {
      const { clients } = await subscription.presence();
      this.#clients = new Map(Object.values(clients).map(({ client, user }) => [client, user]));
      this.#changed([], []);
    } catch {
      // It was lost again meanwhile, or is not granted: the list stays as it is.
    }
  }

  /** Who goes and comes back at once, as with a reload, is not told. */
  #tell(user, into, outOf) {
    if (!outOf.delete(user)) into.add(user);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#changed([...this.#came], [...this.#went]);
      this.#came.clear();
      this.#went.clear();
    }, TOGETHER);
    this.#changed([], []);
  }
}
