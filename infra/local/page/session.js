// Who uses this tab: kept in the tab's own storage, so that two tabs can be two people.

import { uuid7 } from './petrel.js';

export const storage = window.sessionStorage;
/** Refused so often by a server that answers, a token is not worth another try. */
const MAX_REFUSED = 3;

/** What a token says of its bearer. Only the server can tell whether it is true. */
export function claims(token) {
  try {
    return JSON.parse(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')));
  } catch {
    return {};
  }
}

/** The local server gives tokens to whoever sits at the machine. */
export async function fetchToken(user) {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch('/local/token', { method: 'POST', headers, body: JSON.stringify({ user }) });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body.token;
  throw Object.assign(new Error(body.message ?? `the server answered ${answer.status}`), { status: answer.status });
}

/** Whether the server gives out none here: then one has to be pasted. */
export const givesNone = (error) => [403, 404].includes(error.status);

/** The tab's token; a new one when it has expired, or may be why the socket was refused.
 *  Throws what `givesNone` recognises when the user has to bring one. */
export async function currentToken({ refused }) {
  const token = storage.getItem('petrel.token');
  const left = (claims(token ?? '').exp ?? Infinity) * 1_000 - Date.now();
  if (left > 60_000 && refused === 0) return token;
  try {
    const fresh = await fetchToken(storage.getItem('petrel.user'));
    storage.setItem('petrel.token', fresh);
    return fresh;
  } catch (error) {
    if (givesNone(error) && (left <= 0 || refused >= MAX_REFUSED)) throw error;
    return token;
  }
}

/** The tab's device id. It lies in the storage only while no page uses it, for a duplicated tab copies the storage. */
export function takeDeviceId() {
  const id = storage.getItem('petrel.device') ?? uuid7();
  storage.removeItem('petrel.device');
  addEventListener('pagehide', () => storage.setItem('petrel.device', id));
  addEventListener('pageshow', () => storage.removeItem('petrel.device'));
  return id;
}

export const remembered = () => ({ user: storage.getItem('petrel.user'), token: storage.getItem('petrel.token') });

export function remember(user, token) {
  storage.setItem('petrel.user', user);
  storage.setItem('petrel.token', token);
}

export function forget() {
  for (const key of ['petrel.user', 'petrel.token']) storage.removeItem(key);
}
