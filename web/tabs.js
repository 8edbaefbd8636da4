// The views and their addresses: #/chat/lobby, #/board/lobby, #/dashboard, #/inspector.

import { part } from './elements.js';

const TABS = [...document.querySelectorAll('[role=tab]')];
const VIEWS = TABS.map((tab) => tab.dataset.view);
const WITH_ROOM = ['chat', 'board'];

/** Where the page is: a view, and a room if the address names one. */
export function place() {
  const [view, room = ''] = location.hash.replace(/^#\/?/, '').split('/');
  return VIEWS.includes(view) ? { view, room } : { view: 'chat', room: '' };
}

/** Puts a room into the address and into those of the tabs, without a step in the browser's history. */
export function nameRoom(room) {
  for (const tab of TABS) tab.href = addressOf(tab.dataset.view, room);
  history.replaceState(null, '', addressOf(place().view, room));
}

export const addressOf = (view, room) => (room && WITH_ROOM.includes(view) ? `#/${view}/${room}` : `#/${view}`);

/** Marks the tab of a view; arrows, Home and End go from tab to tab. */
export function mark(view) {
  for (const tab of TABS) {
    const chosen = tab.dataset.view === view;
    tab.setAttribute('aria-selected', String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
  }
}

for (const tab of TABS) {
  tab.addEventListener('keydown', (event) => {
    const to = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (to === undefined || event.ctrlKey || event.altKey || event.metaKey) {
      if (event.key === ' ') {
        event.preventDefault();
        tab.click();
      }
      return;
    }
    event.preventDefault();
    const at = TABS.indexOf(tab) + to;
    const next = Number.isFinite(at) ? TABS[(at + TABS.length) % TABS.length] : TABS.at(at < 0 ? 0 : -1);
    next.focus();
    next.click();
  });
}

// A hash of its own would be taken for an address of a view.
document.querySelector('[data-skip]').addEventListener('click', (event) => {
  event.preventDefault();
  part('main').focus();
});
