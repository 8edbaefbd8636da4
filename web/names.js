// Names of people and rooms.

const PERSON = /^[A-Za-z0-9_-]{3,32}$/;
const ROOM = /^[A-Za-z0-9_-]{1,32}$/;
const MOODS = ['calm', 'brave', 'swift', 'merry', 'quiet', 'sunny'];
const SEALS = ['harp', 'ringed', 'grey', 'monk', 'ribbon', 'elephant'];

/** What is wrong with a name; empty if nothing is. */
export const faultOfPerson = (name) => (PERSON.test(name) ? '' : 'Use 3 to 32 letters A to Z, digits, dashes or underscores.');

/** The same for a room. */
export const faultOfRoom = (name) => (ROOM.test(name) ? '' : 'Use 1 to 32 letters A to Z, digits, dashes or underscores.');

export function suggestion() {
  const [mood, seal, number] = crypto.getRandomValues(new Uint8Array(3));
  return `${MOODS[mood % MOODS.length]}-${SEALS[seal % SEALS.length]}-${number}`;
}
