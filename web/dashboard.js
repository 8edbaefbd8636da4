// The numbers of the node, once a second while they are looked at.

import { Chart } from './chart.js';
import { element, part } from './elements.js';
import { refused } from './notice.js';
import { bytes, count, duration, read, readReady } from './numbers.js';

const EVERY = 1_000;
/** Rows of a list; the rest is in the metrics. */
const COUNTED = 8;
const BURST = 200;
/** How long the last messages may take to come back. */
const LAST_MS = 2_000;
const BURST_CHANNEL = 'burst:dashboard';

const bytesASecond = (value) => `${bytes(value)}/s`;
const milliseconds = (value) => `${(value ?? 0).toFixed(1)} ms`;
const percent = (value) => (value === undefined ? '–' : `${value.toFixed(value < 10 ? 1 : 0)} %`);

const charts = [
  { id: 'connections', title: 'Connections', say: count, least: 5, hasLimit: true },
  { id: 'messages', title: 'Messages a second', say: count, least: 5, names: ['in', 'out'] },
  { id: 'bytes', title: 'Bytes a second', say: bytesASecond, least: 1_024, names: ['in', 'out'], isBinary: true },
  { id: 'queue', title: 'Held for slow clients', say: bytes, least: 1_024, hasLimit: true, isBinary: true },
  { id: 'memory', title: 'Resident memory', say: bytes, least: 1 << 20, isBinary: true },
  { id: 'cpu', title: 'CPU', say: percent, least: 5 },
  { id: 'lag', title: 'Runtime lag', say: milliseconds, least: 5 },
  { id: 'errors', title: 'Errors a second', say: count, least: 1 },
].map((options) => new Chart(options));

/** What counts as something that went wrong, or was refused; `by` are the labels that tell which. */
const TROUBLE = [
  { name: 'sealcast_command_errors_total', text: 'Error replies', by: ['method', 'code'] },
  { name: 'sealcast_permission_denied_total', text: 'Permission refused', by: ['action'] },
  { name: 'sealcast_protocol_violations_total', text: 'Protocol broken', by: ['kind'] },
  { name: 'sealcast_origin_rejected_total', text: 'Origins refused', by: [] },
  { name: 'sealcast_api_unauthorized_total', text: 'Server API keys refused', by: [] },
  { name: 'sealcast_sockets_refused_total', text: 'Sockets turned away', by: [] },
  { name: 'sealcast_redis_errors_total', text: 'Trips to Redis that failed', by: ['kind'] },
  { name: 'sealcast_gaps_total', text: 'Channels with a gap', by: [] },
  { name: 'sealcast_panics_total', text: 'Panics', by: [] },
];

const COMMANDS = [
  { name: 'sealcast_commands_total', text: 'Command', by: ['method'] },
  { name: 'sealcast_disconnects_total', text: 'Connection ended', by: ['code'] },
];

let connection = null;
let earlier = null;
let timer = 0;

part('charts').append(...charts.map((chart) => chart.element));
part('burst').addEventListener('click', burst);
document.addEventListener('visibilitychange', () => timer && !document.hidden && tick());

export function enter(joined) {
  connection = joined;
}

export function exit() {
  connection = null;
}

export function show() {
  part('burst').disabled = !connection;
  part('burst-result').textContent = connection ? '' : 'Join a room first: it takes a connection.';
  if (!timer) tick();
}

export function hide() {
  clearTimeout(timer);
  timer = 0;
}

async function tick() {
  clearTimeout(timer);
  timer = setTimeout(() => document.hidden || tick(), EVERY);
  const mine = timer;
  try {
    const [now, isReady] = await Promise.all([read(), readReady()]);
    if (timer !== mine) return;
    showNumbers(now, earlier ?? now);
    showFacts(now, isReady);
    earlier = now;
  } catch (error) {
    if (timer === mine) part('node-line').textContent = `No numbers: ${error.message}. The page goes on asking.`;
  }
}

function showNumbers(now, before) {
  const sum = (name, labels) => now.sum(name, labels);
  const rate = (name, labels) => now.rate(before, name, labels);
  const inAndOut = (name) => [rate(name, { dir: 'in' }), rate(name, { dir: 'out' })];
  const times = (value, factor) => (value === undefined ? value : value * factor);
  const connections = sum('sealcast_connections');
  const connectionLimit = sum('sealcast_connection_limit');
  const queue = sum('sealcast_outbound_queue_bytes');
  const queueLimit = sum('sealcast_outbound_queue_limit_bytes');
  const waiting = count(sum('sealcast_connections_waiting'));
  const sent = count(sum('sealcast_messages_total', { dir: 'out' }));
  const trouble = TROUBLE.reduce((all, { name }) => all + (rate(name) ?? 0), 0);
  const values = {
    connections: [[connections], `of ${count(connectionLimit)}, ${waiting} waiting`, connections / connectionLimit],
    messages: [inAndOut('sealcast_messages_total'), `${sent} out since it began`],
    bytes: [inAndOut('sealcast_bytes_total'), `${count(rate('sealcast_writes_total'))} writes a second`],
    queue: [[queue], `of ${bytes(queueLimit)}`, queue / queueLimit],
    memory: [[sum('process_resident_memory_bytes')], `${count(sum('sealcast_tasks'))} tasks, ${count(sum('process_threads'))} threads`],
    cpu: [[times(rate('process_cpu_seconds_total'), 100)], 'of one core'],
    lag: [[times(sum('sealcast_runtime_lag_seconds'), 1000)], 'at most, in the last 15 s'],
    errors: [[trouble], 'of all kinds below'],
  };
  for (const chart of charts) chart.push(...values[chart.id]);
  showCounts('errors', now, TROUBLE);
  showCounts('commands', now, COMMANDS);
}

function showFacts(now, isReady) {
  const began = now.sum('process_start_time_seconds');
  const version = now.samples('sealcast_build_info')[0]?.labels.version ?? '–';
  const uptime = began === undefined ? undefined : Date.now() / 1000 - began;
  part('node-line').textContent = `Sealcast ${version}, up for ${duration(uptime)}`;
  const facts = [
    isReady ? ['Ready', 'good'] : ['Not ready', 'bad'],
    redisFact(now),
    ...(now.sum('sealcast_insecure_mode') ? [['Development mode', 'wait']] : []),
    [`${count(now.sum('process_open_fds'))} files open`, 'plain'],
  ];
  part('facts').replaceChildren(...facts.map(([text, state]) => {
    const item = element('li', 'tag', text);
    item.dataset.state = state;
    return item;
  }));
}

function redisFact(now) {
  const isUp = now.sum('sealcast_redis_up');
  if (isUp === undefined) return ['Redis: not used', 'plain'];
  if (!isUp) return ['Redis: away', 'bad'];
  return now.sum('sealcast_redis_breaker_state') ? ['Redis: calls refused', 'wait'] : ['Redis: up', 'good'];
}

function showCounts(into, now, families) {
  const rows = families.flatMap(({ name, text, by }) => now.samples(name)
    .filter(({ value }) => value > 0)
    .map(({ labels, value }) => [[text, ...by.map((label) => labels[label])].join(' · '), value]));
  if (!rows.length) {
    part(into).replaceChildren(element('li', 'muted', 'None since it began.'));
    return;
  }
  part(into).replaceChildren(...rows.sort(([, one], [, other]) => other - one).slice(0, COUNTED).map(([text, value]) => {
    const item = element('li', 'counted');
    item.append(element('span', '', text), element('b', '', count(value)));
    return item;
  }));
}

/** Publishes many small messages at once, and counts what comes back. */
async function burst() {
  const { client } = connection;
  part('burst').disabled = true;
  let back = 0;
  const subscription = client.newSubscription(BURST_CHANNEL);
  subscription.on('publication', () => (back += 1));
  subscription.subscribe();
  const began = performance.now();
  const results = await Promise.allSettled(Array.from({ length: BURST }, (_, number) => subscription.publish({ number })));
  const took = performance.now() - began;
  const done = results.filter(({ status }) => status === 'fulfilled').length;
  // An acknowledgement may come before the message itself.
  for (let waited = 0; back < done && waited < LAST_MS; waited += 50) await new Promise((wake) => setTimeout(wake, 50));
  subscription.unsubscribe();
  client.removeSubscription(subscription);
  part('burst').disabled = !connection;
  const failed = results.find(({ status }) => status === 'rejected');
  part('burst-result').textContent = `${done} of ${BURST} acknowledged in ${took.toFixed(0)} ms, ${back} came back.`;
  if (failed) refused(`${BURST - done} of ${BURST} messages were refused.`, failed.reason);
}
