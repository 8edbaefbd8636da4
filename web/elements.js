// Small pieces of pages. Whatever comes from the network becomes text here, never markup.

const SVG = 'http://www.w3.org/2000/svg';
const TONES = 8;

export const part = (id) => document.getElementById(id);

export function element(tag, className = '', text = '', testid = '') {
  const made = Object.assign(document.createElement(tag), { className, textContent: text });
  if (testid) made.dataset.testid = testid;
  return made;
}

/** An element of a drawing, with its attributes. */
export function drawing(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** A time of day; `at` is in milliseconds since 1970. */
export function clock(at) {
  const when = new Date(at);
  const shown = when.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return Object.assign(element('time', '', shown), { dateTime: when.toISOString(), title: when.toLocaleString() });
}

export function avatar(name) {
  const made = element('span', `avatar tone-${tone(name)}`, name.slice(0, 2).toUpperCase());
  made.setAttribute('aria-hidden', 'true');
  return made;
}

/** The same colour for the same name in every tab. */
export function tone(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % TONES;
  return sum;
}

export function onSubmit(form, action) {
  part(form).addEventListener('submit', (event) => {
    event.preventDefault();
    action();
  });
}

/** Copies; where that is not allowed, selects `shown` instead. */
export async function copy(text, told, shown) {
  try {
    await navigator.clipboard.writeText(text);
    told.textContent = 'Copied.';
  } catch {
    if (shown) getSelection().selectAllChildren(shown);
    told.textContent = shown ? 'Selected: copy it with the keyboard.' : 'The browser does not allow it.';
  }
}
