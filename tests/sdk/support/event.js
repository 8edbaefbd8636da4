// Waiting for what happens, with a limit; never for time to pass.

const LIMIT_MS = 10_000;

/** The promise's value, or an error that names `what` after `ms`. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new Error(`${what} did not come within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The context of the next `name` event. Call it before what causes the event. */
export function next(emitter, name, ms = LIMIT_MS) {
  return within(ms, `event ${name}`, new Promise((settle) => emitter.once(name, settle)));
}

/** The first `count` contexts of `name` events, in order. */
export function take(emitter, name, count, ms = LIMIT_MS) {
  const taken = [];
  const all = new Promise((settle) => {
    emitter.on(name, function keep(context) {
      taken.push(context);
      if (taken.length < count) return;
      emitter.off(name, keep);
      settle(taken);
    });
  });
  return within(ms, `${count} events ${name}`, all).catch((error) => {
    throw new Error(`${error.message} (${taken.length} came)`);
  });
}
