// Connection tokens: JWTs signed with HS256.

import { createHmac } from 'node:crypto';
import { noteToken } from './evidence.js';
import { SECRET } from './server.js';

/** A token for ten minutes. `claims` add to `sub` and `exp` or replace them. */
export function token(user, claims = {}, secret = SECRET) {
  const content = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, exp: inSeconds(600), ...claims })}`;
  const signed = `${content}.${createHmac('sha256', secret).update(content).digest('base64url')}`;
  noteToken(signed, user);
  return signed;
}

/** A token that claims to need no signature. */
export function unsignedToken(user) {
  return `${part({ alg: 'none', typ: 'JWT' })}.${part({ sub: user, exp: inSeconds(600) })}.`;
}

/** Unix time in seconds, from now. */
export function inSeconds(seconds) {
  return Math.floor(Date.now() / 1000) + seconds;
}

function part(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
