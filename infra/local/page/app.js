// The page: signing in, the list, one conversation. What it says comes from view.js, what it knows from petrel.js.

import { el, sync } from './dom.js';
import { Petrel, addressed, directId, isUserId, peerOf, uuid7 } from './petrel.js';
import * as session from './session.js';
import { preview, rows, titleOf, typingLine } from './view.js';

const MAX_TEXT_BYTES = 16 * 1024;
/** Hidden for longer than this: look for what is missing when the page comes back. */
const AWAY_MS = 60_000;
const EMOJI = ['👍', '❤️', '😂'];

const $ = (id) => document.getElementById(id);
const conversationPath = (id) => `/api/conversations/${encodeURIComponent(id)}`;

/** The client, or null while nobody is signed in. */
let petrel = null;
/** The id of the open conversation, or null. */
let open = null;
/** What the composer is about, besides a new message: `{type: 'reply' or 'edit', target, line}`. */
let context = null;
const drafts = new Map();

// ---- Who am I ----

/** `refusal`: the server's own words. */
function askForToken(refusal, why = '') {
  $('token-field').hidden = false;
  $('token-why').textContent = refusal;
  $('token').required = true;
  $('token').focus();
  say(why);
}

$('sign-in-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const name = $('name').value.trim();
  if (!isUserId(name)) return say('A name is 1 to 64 letters, digits and _ . | @ -');
  try {
    const bearer = $('token').value.trim() || (await session.fetchToken(name));
    // The token says who its bearer is, whatever was typed.
    signIn(session.claims(bearer).sub ?? name, bearer);
  } catch (error) {
    if (session.givesNone(error)) askForToken(error.message);
    else say(`No token: ${error.message}`);
  }
});

const device = session.takeDeviceId();

async function token(state) {
  try {
    return await session.currentToken(state);
  } catch (error) {
    signOut();
    askForToken(error.message, 'This token is no longer good.');
    throw error;
  }
}

function signIn(user, bearer) {
  session.remember(user, bearer);
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const url = `${scheme}://${location.host}/ws?device_id=${device}`;
  petrel = new Petrel({ user, url, token, storage: session.storage, onchange: changed });
  $('token').value = '';
  $('me').textContent = user;
  petrel.connect();
  route();
}

function signOut() {
  petrel?.close();
  petrel = null;
  session.forget();
  drafts.clear();
  history.replaceState(null, '', location.pathname);
  route();
  $('name').focus();
}

// ---- Drawing: whenever something changed, a little later and all at once ----

let drawing = null;

function changed() {
  drawing ??= setTimeout(() => {
    drawing = null;
    draw();
  }, 16);
}

function draw() {
  if (!petrel) return;
  drawStatus();
  drawList();
  if (open) drawRoom(petrel.conversation(open));
}

function drawStatus() {
  const { state, error } = petrel.status;
  $('status').hidden = state === 'online';
  $('retry').hidden = state !== 'offline';
  $('status').firstElementChild.textContent = state === 'connecting' ? 'Connecting…'
    : `Offline. Messages wait until the server is back.${error ? ` (${error.message})` : ''}`;
}

function drawList() {
  const known = [...petrel.conversations.values()].map((c) => ({ c, ...preview(c) }));
  const listed = known.filter(({ c, at }) => at || c.id === open).sort((a, b) => (b.at || 9e15) - (a.at || 9e15));
  const unread = listed.reduce((sum, { c }) => sum + c.unread, 0);
  document.title = unread ? `(${unread}) Petrel` : 'Petrel';
  $('empty').hidden = listed.length > 0 || petrel.status.state !== 'online';
  sync($('list'), listed, ({ c }) => c.id, ({ c, line, at }) => {
    if (c.name === null) learnGroup(c);
    return { title: titleOf(c, petrel.user), line, time: at ? when(at) : '', unread: c.unread, current: c.id === open };
  }, drawListed);
}

function drawListed({ title, line, time, unread, current }, { c }) {
  const link = el('a', { href: `#${encodeURIComponent(c.id)}` },
    el('span', { className: 'avatar', ariaHidden: 'true', textContent: [...title][0].toUpperCase() }),
    el('span', { className: 'title', textContent: title }), el('time', { textContent: time }),
    el('span', { className: 'line', textContent: line }),
    unread > 0 && el('span', { className: 'badge' }, `${unread}`,
      el('span', { className: 'hidden', textContent: ' unread' })));
  if (current) link.setAttribute('aria-current', 'page');
  return el('li', {}, link);
}

function when(ms) {
  const at = new Date(ms);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
    : at.toLocaleDateString([], { day: 'numeric', month: 'short' });
}

function drawRoom(c) {
  const { user } = petrel;
  learnGroup(c);
  refreshTicks(c);
  $('title').textContent = titleOf(c, user);
  $('subtitle').textContent = c.people?.length ? c.people.map((p) => p.user_id).join(', ') : '';
  $('people-open').hidden = peerOf(c.id, user) !== null || c.gone;
  $('typing').textContent = typingLine(c, user);
  $('composer').hidden = c.gone;
  $('gone').hidden = !c.gone;
  $('older').hidden = !c.older || !c.high;

  const log = $('log');
  const below = log.scrollHeight - log.scrollTop;
  const atEnd = below - log.clientHeight < 80;
  const shown = rows(c);
  const earlier = log.dataset.low !== `${c.id} ${c.low}`;
  log.dataset.low = `${c.id} ${c.low}`;
  // Only what comes at the end is news that should be read out.
  if (earlier) log.setAttribute('aria-busy', 'true');
  const looks = ({ tick, state, ...row }) => row;
  sync($('entries'), shown, (row) => row.key, looks, (_, row) => drawRow(c, row));
  for (const row of shown.filter((r) => r.mine)) drawTick(row);
  setTimeout(() => log.removeAttribute('aria-busy'), 500);
  if (atEnd) log.scrollTop = log.scrollHeight;
  else if (earlier) log.scrollTop = log.scrollHeight - below;
  if (c.older && c.high && log.scrollHeight <= log.clientHeight) petrel.loadOlder(c.id);
}

function drawRow(c, row) {
  if (row.kind !== 'message') return el('li', { className: row.kind, textContent: row.line });
  const { seq, mine, who, line, quoted, failed } = row;
  const item = failed && c.outbox.find((m) => m.message_id === row.key);
  const meta = el('span', { className: 'meta' }, row.edited && 'edited ', el('time', { textContent: row.time }));
  if (mine) meta.append(' ', seq && c.id[0] === 'g'
    ? el('button', { className: 'tick plain', onclick: () => showReaders(c, seq) })
    : el('span', { className: 'tick' }));
  const bubble = el('div', { className: 'bubble' },
    el('span', { className: row.named ? 'who' : 'who hidden', textContent: mine ? 'You' : who }),
    quoted && el('blockquote', { textContent: `${quoted.who ? `${quoted.who}: ` : ''}${quoted.line}` }),
    el('p', { className: row.deleted ? 'text quiet' : 'text', textContent: line }), meta,
    row.reactions.length > 0 && el('div', { className: 'reactions' }, ...row.reactions.map((r) => el('button', {
      className: r.mine ? 'reaction mine' : 'reaction', textContent: `${r.emoji} ${r.users.length}`,
      title: r.users.join(', '), onclick: () => react(c, seq, r.emoji, r.mine),
    }))),
    item && el('p', { className: 'failed', role: 'alert' }, `Not sent: ${failed} `,
      el('button', { className: 'plain', textContent: 'Try again', onclick: () => petrel.retry(item) }),
      el('button', { className: 'plain', textContent: 'Discard', onclick: () => petrel.discard(item) })));
  return el('li', { className: mine ? 'message mine' : 'message' }, bubble,
    seq > 0 && !row.deleted && !c.gone && drawActions(c, row));
}

function drawActions(c, { seq, mine, who, line, editable, reactions }) {
  const menu = el('details', { className: 'actions', name: 'actions' });
  const act = (label, what) => el('button', {
    className: 'plain', textContent: label,
    onclick: () => ((menu.open = false), what()),
  });
  const reacted = (emoji) => reactions.some((r) => r.emoji === emoji && r.mine);
  const summary = el('summary', { textContent: '⋯', aria: `Actions for: ${line.slice(0, 40)}` });
  menu.append(summary, el('div', { className: 'menu' },
    el('div', { className: 'row' }, ...EMOJI.map((e) => act(e, () => react(c, seq, e, reacted(e))))),
    act('Reply', () => compose({ type: 'reply', target: seq, line: `${mine ? 'You' : who}: ${line}` })),
    editable && act('Edit', () => compose({ type: 'edit', target: seq, line }, line)),
    mine && act('Delete', () => petrel.send(c.id, { type: 'delete', target: seq }))));
  return menu;
}

/** In place, so that a screen reader does not hear the message again. */
function drawTick({ key, state, tick, seq }) {
  const node = $('entries').querySelector(`[data-key="${CSS.escape(key)}"] .tick`);
  if (!node || node.dataset.state === state) return;
  node.dataset.state = state;
  node.textContent = tick;
  node.title = state;
  node.setAttribute('aria-label', seq && open[0] === 'g' ? `${state}; who has read it?` : state);
  if (node.tagName === 'SPAN') node.setAttribute('role', 'img');
}

// ---- The open conversation ----

/** The address says which conversation is open, so that the back button works and a reload comes back here. */
function route() {
  if (open) drafts.set(open, $('text').value);
  open = petrel && addressed(location.hash, petrel.user);
  $('sign-in').hidden = petrel !== null;
  $('chat').hidden = petrel === null;
  $('room').hidden = !open;
  $('none').hidden = Boolean(open);
  document.body.classList.toggle('in-room', Boolean(open));
  look();
  if (open) {
    const c = petrel.conversation(open);
    $('entries').replaceChildren();
    compose(null, drafts.get(open) ?? '');
    c.learnt = null;
    if (!c.high) petrel.loadOlder(open);
  }
  draw();
  $('log').scrollTop = $('log').scrollHeight;
}

const look = () => petrel?.look(document.visibilityState === 'visible' ? open : null);

/** Watermarks of the other one that went by while this tab was not connected: once a connection. Asked about the first
 *  message held, for the answer names only those who have it, and then how far they got altogether. */
function refreshTicks(c) {
  const first = c.entries.find((e) => e.sender_id === petrel.user);
  const { status } = petrel;
  if (!first || c.ticked === status || status.state !== 'online' || peerOf(c.id, petrel.user) === null) return;
  c.ticked = status;
  // Without them the ticks say less, and nothing wrong.
  petrel.receipts(c.id, first.seq).catch(() => {});
}

/** A group's name stands in its first entry, which is not always at hand. Once after every change of membership. */
function learnGroup(c) {
  const change = c.entries.findLast((e) => e.content.type === 'system')?.seq ?? 0;
  if (c.id[0] !== 'g' || c.gone || c.learnt === change) return;
  c.learnt = change;
  petrel.http('GET', conversationPath(c.id)).then((group) => {
    Object.assign(c, { name: group.name ?? c.name, people: group.members });
    changed();
  }).catch(() => {});
}

function compose(about, text = $('text').value) {
  context = about;
  $('context').hidden = !about;
  const what = about?.type === 'edit' ? 'Editing' : 'Reply to';
  if (about) $('context').firstElementChild.textContent = `${what} ${about.line}`;
  $('text').value = text;
  fit();
  if (about || matchMedia('(hover: hover)').matches) $('text').focus();
}

function fit() {
  const box = $('text');
  box.style.height = 'auto';
  box.style.height = `${box.scrollHeight + 2}px`;
}

$('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  const text = $('text').value.trim();
  if (!text || !open) return;
  if (new TextEncoder().encode(text).length > MAX_TEXT_BYTES) return say('That is too long: 16 KiB at most.');
  petrel.typing(open, false);
  petrel.send(open, context ? { type: context.type, target: context.target, text } : { type: 'text', text });
  compose(null, '');
  draw();
  $('log').scrollTop = $('log').scrollHeight;
});

let pause;
$('text').addEventListener('input', () => {
  fit();
  clearTimeout(pause);
  const id = open;
  petrel.typing(id, $('text').value !== '');
  pause = setTimeout(() => petrel?.typing(id, false), 4_000);
});
$('text').addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && context) compose(null, context.type === 'edit' ? '' : undefined);
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $('composer').requestSubmit();
});
$('context-end').addEventListener('click', () => compose(null, context?.type === 'edit' ? '' : undefined));
$('older').addEventListener('click', () => petrel.loadOlder(open));
$('log').addEventListener('scroll', () => {
  if (open && $('log').scrollTop < 120) petrel.loadOlder(open);
});

const react = (c, target, emoji, remove) =>
  petrel.send(c.id, { type: 'reaction', target, emoji, ...(remove && { remove }) });

// ---- Starting, groups, readers ----

const go = (id) => (location.hash = `#${encodeURIComponent(id)}`);

$('start').addEventListener('submit', (event) => {
  event.preventDefault();
  const name = $('peer').value.trim();
  if (!isUserId(name)) return say('A name is 1 to 64 letters, digits and _ . | @ -');
  $('peer').value = '';
  go(directId(petrel.user, name));
});

/** Runs a request; what goes wrong is shown. */
async function request(method, path, body) {
  try {
    return await petrel.http(method, path, body);
  } catch (error) {
    say(error.message);
    return null;
  }
}

const names = (text) => text.split(/[\s,]+/).filter(Boolean);
let requestId;

$('new-group').addEventListener('click', () => {
  // Kept until the group exists: the same request again makes no second group.
  requestId = uuid7();
  $('group-form').reset();
  $('group').showModal();
});
$('group-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const [name, member_ids] = [$('group-name').value.trim(), names($('group-members').value)];
  const body = { name, member_ids, request_id: requestId };
  const answer = await request('POST', '/api/conversations', body);
  if (!answer) return;
  $('group').close();
  petrel.sync();
  go(answer.conversation_id);
});

$('people-open').addEventListener('click', async () => {
  $('people').showModal();
  await drawPeople();
});

async function drawPeople() {
  const c = petrel.conversation(open);
  const group = await request('GET', conversationPath(c.id));
  if (!group) return $('people').close();
  Object.assign(c, { people: group.members, name: group.name ?? c.name });
  const admin = group.members.some((m) => m.user_id === petrel.user && m.role === 'admin');
  $('people-form').hidden = !admin;
  $('people-list').replaceChildren(...group.members.map(({ user_id, role }) => el('li', {},
    el('span', { textContent: user_id }), role === 'admin' && el('span', { className: 'quiet', textContent: 'admin' }),
    admin && user_id !== petrel.user && el('button', {
      className: 'plain', textContent: 'Remove', aria: `Remove ${user_id}`,
      onclick: () => removeMember(user_id).then(drawPeople),
    }))));
  changed();
}

async function removeMember(user) {
  const done = await request('DELETE', `${conversationPath(open)}/members/${encodeURIComponent(user)}`);
  if (done) petrel.sync();
  return done;
}

$('people-form').addEventListener('submit', async (event) => {
  event.preventDefault();
  const body = { user_ids: names($('people-add').value) };
  if (!(await request('POST', `${conversationPath(open)}/members`, body))) return;
  $('people-form').reset();
  petrel.sync();
  await drawPeople();
});
$('leave').addEventListener('click', async () => {
  if (await removeMember(petrel.user)) $('people').close();
});

async function showReaders(c, seq) {
  const answer = await petrel.receipts(c.id, seq).catch((error) => say(error.message));
  if (!answer) return;
  const { delivered, read, members, readers, page } = answer;
  $('readers-counts').textContent = `Read by ${read}, delivered to ${delivered}, of ${members}.`;
  const lines = readers.map((r) => el('li', {}, el('span', { textContent: r.user_id }),
    el('span', { className: 'quiet', textContent: r.read >= seq ? 'read' : 'delivered' })));
  if (page) lines.push(el('li', { className: 'quiet', textContent: '… and more' }));
  $('readers-list').replaceChildren(...lines);
  $('readers').showModal();
}

document.addEventListener('click', ({ target }) => {
  for (const menu of document.querySelectorAll('.actions[open]')) menu.open = menu.contains(target);
});

for (const button of document.querySelectorAll('[data-close]')) {
  button.addEventListener('click', () => button.closest('dialog').close());
}

// ---- The page itself ----

let sayTimer;
/** Inside the open dialog if there is one: the rest of the page cannot be seen or heard then. */
function say(text) {
  clearTimeout(sayTimer);
  (document.querySelector('dialog[open]') ?? document.body).prepend($('notice'));
  $('notice').textContent = text;
  $('notice').hidden = !text;
  sayTimer = setTimeout(() => ($('notice').hidden = true), 6_000);
}

let hiddenAt = 0;
document.addEventListener('visibilitychange', () => {
  look();
  if (document.visibilityState === 'hidden') hiddenAt = Date.now();
  else if (Date.now() - hiddenAt > AWAY_MS) petrel?.wake();
});
addEventListener('online', () => petrel?.wake());
addEventListener('hashchange', route);
$('sign-out').addEventListener('click', signOut);
$('retry').addEventListener('click', () => petrel.wake());

const last = session.remembered();
if (last.user && last.token) signIn(last.user, last.token);
else route();
