// How this page connects: a WebSocket, or a stream of answers with a request for each thing that is said. What passes
// over a stream is noted as a WebSocket's frames are.

import { ticketed } from './tickets.js';

const NAMES = { websocket: 'WebSocket', http_stream: 'HTTP stream', sse: 'SSE' };
const EMULATION = '/emulation';
const CHOICE = 'sealcast-transport';

export const nameOf = (transport) => NAMES[transport] ?? transport;

/** What the visitor chose: the name of a transport, or `auto`. */
export function chosen() {
  const known = sessionStorage.getItem(CHOICE);
  return known in NAMES ? known : 'auto';
}

export function choose(transport) {
  sessionStorage.setItem(CHOICE, transport);
}

/** Where the SDK connects: to the one that was chosen, or to the first of all that gets through. */
export function endpoints() {
  const only = chosen();
  return Object.keys(NAMES).filter((transport) => only === 'auto' || transport === only).map((transport) => ({
    transport,
    endpoint: `${transport === 'websocket' ? location.origin.replace(/^http/, 'ws') : location.origin}/connection/${transport}`,
  }));
}

/** What the SDK needs for streams; `frames` is told what passes. A token is never in a URL: see tickets.js. */
export function overStreams(frames) {
  const tickets = ticketed();
  const opened = () => frames.opened((text) => say(frames, tickets.fetch, text));

  class Events extends tickets.eventsource {
    constructor(url, options) {
      super(url, options);
      opened();
      frames.note('out', new URL(url).searchParams.get('cf_connect'));
      this.addEventListener('message', ({ data }) => frames.note('in', data));
    }
  }

  const noted = async (url, request) => {
    const isCommand = String(url).endsWith(EMULATION);
    if (!isCommand) opened();
    frames.note('out', isCommand ? JSON.parse(request.body).data : request.body);
    const answer = await tickets.fetch(url, request);
    if (isCommand || !answer.ok) return answer;
    return new Response(answer.body.pipeThrough(linesTo((text) => frames.note('in', text))), answer);
  };
  return { eventsource: Events, fetch: noted, emulationEndpoint: EMULATION };
}

/** A command by hand, into the session that the answer to connect named. */
async function say(frames, fetch, data) {
  frames.note('out', data);
  const answer = await fetch(EMULATION, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ ...frames.session, data }),
  });
  if (!answer.ok) frames.event(`not taken: status ${answer.status}`);
}

/** Passes bytes on, and tells the whole lines among them. */
function linesTo(tell) {
  const decoder = new TextDecoder();
  let rest = '';
  return new TransformStream({
    transform(chunk, controller) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop();
      if (lines.length) tell(lines.join('\n'));
      controller.enqueue(chunk);
    },
  });
}
