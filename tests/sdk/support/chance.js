// Chance that can be had again: TESTED_SEED, or a new seed that is told.

/** Draws whole numbers below a bound. `what` says what for. */
export function chance(what) {
  let state = Number(process.env.TESTED_SEED ?? Math.floor(Math.random() * 2 ** 32)) >>> 0;
  console.log(`# ${what}: TESTED_SEED=${state}`);
  // mulberry32, a public domain generator.
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}
