// What the page says about a conversation: words and rows, derived from what the client holds. Makes no element.

import { peerOf } from './petrel.js';

/** Entries that have a place of their own; the others change one of these. */
const SHOWN = new Set(['text', 'media', 'reply', 'sealed', 'gone', 'system', 'notice']);
/** What the server writes: a line of its own. */
const SERVERS = new Set(['system', 'notice']);
const TICKS = { pending: '◷', sent: '✓', delivered: '✓✓', read: '✓✓', failed: '!' };

const join = (names) => new Intl.ListFormat('en').format(names);

export function titleOf(c, me) {
  const peer = peerOf(c.id, me);
  if (peer === null) return c.name ?? 'Group';
  return peer === me ? 'Notes to self' : peer;
}

function changed({ sender_id, content: { change } }, me) {
  const name = (user) => (user === me ? 'you' : user);
  const who = sender_id === me ? 'You' : sender_id;
  const whom = join((change.members ?? []).map(name));
  if (change.kind === 'created') return `${who} created “${change.name}”`;
  if (change.kind === 'added') return `${who} added ${whom}`;
  if (change.kind === 'role') return `${who} made ${name(change.member)} ${change.role}`;
  if (change.kind === 'updated') return `${who} ${updates(change)}`;
  if (change.members?.length === 1 && change.members[0] === sender_id) return `${who} left`;
  return `${who} removed ${whom}`;
}

/** What is other than before, of a conversation as a whole. */
function updates(change) {
  const all = { all: 'everyone', admins: 'admins' };
  const days = change.retention_days;
  const parts = [];
  if (change.name !== undefined) parts.push(`named it “${change.name}”`);
  if (change.avatar !== undefined) parts.push(`${change.avatar === null ? 'took away' : 'changed'} the picture`);
  if (change.post !== undefined) parts.push(`let ${all[change.post]} write`);
  if (change.add !== undefined) parts.push(`let ${all[change.add]} add members`);
  if (days === 0) parts.push('let messages be kept as long as others are');
  if (days > 0) parts.push(`let messages be kept for ${days} ${days === 1 ? 'day' : 'days'}`);
  return join(parts);
}

/** The words of an entry, after its edits and its deletion. */
export function words(c, entry) {
  const effect = entry.seq && c.effects.get(entry.seq);
  const { type, text, caption, media_id } = entry.content;
  if (effect?.deleted || type === 'gone') return 'Message deleted';
  if (effect?.edit) return effect.edit.text;
  if (type === 'system') return changed(entry, c.me);
  if (type === 'media') return `📎 ${caption ?? media_id}`;
  return type === 'sealed' ? '🔒 Encrypted message' : text;
}

/** What is on its way: shown messages below the log. */
const leaving = (c) => c.outbox.filter((m) => SHOWN.has(m.content.type));

/** The line under a conversation's name, and when it was. */
export function preview(c) {
  const waiting = leaving(c).at(-1);
  const entry = waiting ?? c.entries.findLast((e) => SHOWN.has(e.content.type));
  if (!entry) return { line: '', at: 0 };
  const sender = waiting ? c.me : entry.sender_id;
  const named = !SERVERS.has(entry.content.type) && (sender === c.me || peerOf(c.id, c.me) === null);
  const who = sender === c.me ? 'You: ' : `${sender}: `;
  return { line: (named ? who : '') + words(c, entry), at: entry.sent_at ?? entry.at };
}

/** How far an own message got. Of a group one can only say that it is sent; the rest is asked for. */
function progress(c, entry) {
  if (entry.failed) return 'failed';
  if (!entry.seq) return 'pending';
  const peer = peerOf(c.id, c.me);
  const mark = peer && c.marks.get(peer);
  if (mark?.read >= entry.seq) return 'read';
  return mark?.delivered >= entry.seq ? 'delivered' : 'sent';
}

function reactions(c, effect) {
  const counts = new Map();
  for (const { emoji, user, on } of effect?.reactions.values() ?? []) {
    if (!on) continue;
    const count = counts.get(emoji) ?? { emoji, users: [], mine: false };
    count.users.push(user);
    count.mine ||= user === c.me;
    counts.set(emoji, count);
  }
  return [...counts.values()];
}

function quoted(c, { type, target }) {
  if (type !== 'reply') return null;
  const entry = c.at(target);
  return entry ? { who: entry.sender_id, line: words(c, entry) } : { who: '', line: 'An earlier message' };
}

/** Everything to show, in order: `{key, kind, …}`. Two rows that are equal look the same. */
export function rows(c) {
  const shown = [];
  // An own message beyond a hole is sent; it must not vanish until the hole is closed.
  const beyond = [...c.ahead.values()].filter((e) => e.sender_id === c.me).sort((a, b) => a.seq - b.seq);
  let [day, last] = ['', null];
  for (const entry of [...c.entries, ...beyond, ...leaving(c)]) {
    if (!SHOWN.has(entry.content.type)) continue;
    const at = new Date(entry.sent_at ?? entry.at);
    const date = at.toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
    if (date !== day) {
      shown.push({ key: `day ${date}`, kind: 'day', line: date });
      [day, last] = [date, null];
    }
    if (SERVERS.has(entry.content.type)) {
      shown.push({ key: entry.message_id, kind: 'system', line: words(c, entry) });
      last = null;
      continue;
    }
    const mine = (entry.sender_id ?? c.me) === c.me;
    const effect = entry.seq && c.effects.get(entry.seq);
    const state = mine ? progress(c, entry) : '';
    shown.push({
      key: entry.message_id,
      kind: 'message',
      seq: entry.seq ?? 0,
      mine,
      who: entry.sender_id ?? c.me,
      named: !mine && peerOf(c.id, c.me) === null && last !== entry.sender_id,
      time: at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }),
      line: words(c, entry),
      deleted: Boolean(effect?.deleted) || entry.content.type === 'gone',
      edited: Boolean(effect?.edit) && !effect.deleted && entry.content.type !== 'gone',
      quoted: effect?.deleted ? null : quoted(c, entry.content),
      reactions: effect?.deleted ? [] : reactions(c, effect),
      editable: mine && ['text', 'reply'].includes(entry.content.type),
      failed: entry.failed?.message ?? '',
      state,
      tick: TICKS[state] ?? '',
    });
    last = entry.sender_id ?? c.me;
  }
  return shown;
}

/** Who types, as a sentence. */
export function typingLine(c, me) {
  const who = [...c.typing.keys()].filter((user) => user !== me);
  if (!who.length) return '';
  return who.length > 3 ? 'Several people are typing…' : `${join(who)} ${who.length === 1 ? 'is' : 'are'} typing…`;
}
