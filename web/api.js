// The page of the server API: shows /api/openapi.json, and lets one try a call.
// Whatever comes from the network is shown with textContent, never as markup.

import { copy, element, part } from './elements.js';

const DOCUMENT = '/api/openapi.json';
const PREFIX = '/api/';
const DEPTH = 3;

start();

async function start() {
  part('key-form').addEventListener('submit', (event) => event.preventDefault());
  try {
    const answer = await fetch(DOCUMENT);
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    part('error').textContent = `The description of the API cannot be read: ${error.message}. Is the server running? Reload the page when it is.`;
    part('error').hidden = false;
  }
}

function show(api) {
  part('about').replaceChildren(...api.info.description.split('\n\n').map((text) => prose(text)));
  write(part('errors'), api.components.schemas.Error.properties.code.description);
  for (const [path, call] of callsOf(api)) {
    const name = path.slice(PREFIX.length);
    const link = element('a', '', name);
    link.href = `#${name}`;
    const entry = element('li');
    entry.append(link);
    part('index').append(entry);
    part('methods').append(card(api, path, name, call));
  }
  // The browser looked for the anchor before it was there.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/** Paths below /api/ that are called with POST, and what is said of each. */
function callsOf(api) {
  return Object.entries(api.paths).flatMap(([path, { post }]) => (path.startsWith(PREFIX) && post ? [[path, post]] : []));
}

function card(api, path, name, call) {
  const copy = part('method').content.cloneNode(true);
  const section = copy.querySelector('section');
  const within = (selector) => section.querySelector(selector);
  const content = call.requestBody.content['application/json'];
  const example = JSON.stringify(content.example);
  section.id = name;
  section.setAttribute('aria-labelledby', `${name}-title`);
  within('h2').id = `${name}-title`;
  within('.name').textContent = `POST ${path}`;
  within('.summary').textContent = call.summary;
  write(within('.description'), call.description);
  within('.request').append(members(api, content.schema, true));
  within('.result').append(members(api, resultOf(call), false));

  const curl = curlLine(path, example);
  within('.curl code').textContent = curl;
  within('.curl').setAttribute('aria-label', `Command line for ${name}`);
  within('.copy').setAttribute('aria-label', `Copy the command line for ${name}`);
  within('.copy').addEventListener('click', () => copy(curl, within('.copied'), within('.curl')));
  within('.body').value = example;
  within('.try').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(path, within);
  });
  return copy;
}

/** The schema of what a call gives when it succeeds; null if it never does. */
function resultOf(call) {
  const answer = call.responses['200'].content['application/json'].schema;
  const success = answer.oneOf?.find((one) => one.properties?.result);
  if (success) return success.properties.result;
  return answer.$ref?.endsWith('/ErrorAnswer') ? null : answer;
}

// Schemas as tables

function members(api, schema, isRequest) {
  if (!schema) return element('p', 'muted', 'None: it always answers an error.');
  const rows = [];
  collect(api, schema, '', rows, DEPTH);
  if (!rows.length) return element('p', 'muted', isRequest ? 'An empty object.' : 'An empty object: it is done.');
  const table = element('table');
  const head = table.createTHead().insertRow();
  for (const title of ['Member', 'Type', 'Meaning']) {
    const cell = element('th', '', title);
    cell.scope = 'col';
    head.append(cell);
  }
  const body = table.createTBody();
  for (const { path, type, required, description } of rows) {
    const row = body.insertRow();
    const name = element('th');
    name.scope = 'row';
    name.append(element('code', '', path));
    if (isRequest && required) name.append(element('span', 'must', 'required'));
    row.append(name, element('td', 'type', type), write(element('td'), description));
  }
  return table;
}

/** One row for each member, those of objects inside with their path. */
function collect(api, schema, above, rows, depth) {
  const resolved = resolve(api, schema);
  for (const [name, inner] of Object.entries(resolved.properties ?? {})) {
    const path = above + name;
    const member = resolve(api, inner);
    const row = { path, type: typeOf(api, inner), required: resolved.required?.includes(name) };
    const owners = schemasOfCalls(api).get(inner.$ref);
    if (owners) {
      const owner = owners.find((one) => one.name === name) ?? owners[0];
      rows.push({ ...row, description: `The ${owner.kind} of \`${owner.name}\`.` });
      continue;
    }
    rows.push({ ...row, description: [member.description, bounds(member)].filter(Boolean).join(' ') });
    if (depth === 0) continue;
    const { items, additionalProperties } = member;
    if (items) collect(api, alternative(api, items), `${path}[].`, rows, depth - 1);
    else if (additionalProperties?.$ref || additionalProperties?.properties) collect(api, additionalProperties, `${path}.*.`, rows, depth - 1);
    else collect(api, member, `${path}.`, rows, depth - 1);
  }
}

/** Requests and results that have a table of their own, by reference. */
function schemasOfCalls(api) {
  const found = new Map();
  const note = (schema, name, kind) => {
    if (!schema?.$ref) return;
    found.set(schema.$ref, [...(found.get(schema.$ref) ?? []), { name, kind }]);
  };
  for (const [path, call] of callsOf(api)) {
    const name = path.slice(PREFIX.length);
    note(call.requestBody.content['application/json'].schema, name, 'request');
    note(resultOf(call), name, 'result');
  }
  return found;
}

/** Where one of several forms is possible, all their members together. */
function alternative(api, schema) {
  if (!schema.oneOf) return schema;
  const forms = schema.oneOf.map((form) => resolve(api, form).properties);
  return { properties: Object.assign({}, ...forms) };
}

function typeOf(api, schema) {
  const { type, items, additionalProperties, oneOf } = resolve(api, schema);
  if (oneOf) return 'object';
  const name = [type].flat().filter((one) => one !== 'null')[0];
  if (!name) return 'any JSON';
  if (name === 'array') return `array of ${typeOf(api, items)}`;
  if (name === 'object' && additionalProperties) return `object of ${typeOf(api, additionalProperties)}`;
  return name;
}

function bounds({ minimum, maximum, maxLength, maxItems, maxProperties, type }) {
  const isNumber = [type].flat().includes('integer');
  if (isNumber && maximum !== undefined) return `${minimum} to ${maximum}.`;
  if (maxLength) return `At most ${maxLength} bytes.`;
  if (maxItems) return `At most ${maxItems}.`;
  return maxProperties ? `At most ${maxProperties}.` : '';
}

function resolve(api, schema) {
  if (!schema.$ref) return schema;
  const found = schema.$ref.slice(2).split('/').reduce((place, step) => place[step], api);
  return { ...found, ...(schema.description && { description: schema.description }) };
}

// Calls

/** The key is written as $KEY, so that none ends up on the screen or in the clipboard. */
function curlLine(path, body) {
  const quoted = body.replaceAll("'", String.raw`'\''`);
  return `curl ${location.origin}${path} -H "X-API-Key: $KEY" \\\n  -d '${quoted}'`;
}

async function attempt(path, within) {
  const status = within('.status');
  const shown = within('.answer');
  const key = part('key').value.trim();
  shown.hidden = true;
  if (!key) {
    status.textContent = 'Enter an API key at the top first.';
    return part('key').focus();
  }
  status.textContent = 'Calling …';
  const headers = { 'Content-Type': 'application/json', 'X-API-Key': key };
  if (within('.mode').checked) headers['X-Centrifugo-Error-Mode'] = 'transport';
  try {
    const answer = await fetch(path, { method: 'POST', headers, body: within('.body').value, credentials: 'omit' });
    const text = await answer.text();
    status.textContent = `${answer.status} ${answer.statusText}${answer.status === 401 ? ': the server does not know this key' : ''}`;
    shown.querySelector('code').textContent = pretty(text);
    shown.hidden = !text;
  } catch (error) {
    status.textContent = `No answer: ${error.message}`;
  }
}

/** Indented, if that loses nothing: large numbers would be rounded. */
function pretty(text) {
  try {
    const value = JSON.parse(text);
    return JSON.stringify(value) === text ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}

// Prose

function prose(text) {
  return write(element('p'), text);
}

/** Text in which `backticks` mark code. */
function write(into, text = '') {
  into.replaceChildren(...text.split('`').map((piece, at) => (at % 2 ? element('code', '', piece) : piece)));
  return into;
}
