// What a device holds of a conversation, and the ids that everyone derives. Pure: knows no socket, no timer, no page.

/** Messages in one `send`, and bytes of them: a frame holds 32 KiB, and the rest of it needs some. */
const MAX_BATCH = 10;
const MAX_BATCH_BYTES = 32 * 1024 - 512;
/** Kinds that count as unread. */
const COUNTS = new Set(['text', 'media', 'reply', 'sealed']);

export const isUserId = (name) => /^[A-Za-z0-9_.|@-]{1,64}$/.test(name);

/** Both sides derive the same id. */
export const directId = (a, b) => (a <= b ? `d:${a}:${b}` : `d:${b}:${a}`);

/** The other one of a direct conversation (oneself in notes to self); null for a group. */
export function peerOf(id, me) {
  const [kind, a, b] = id.split(':');
  return kind === 'd' ? (a === me ? b : a) : null;
}

/** The conversation that the part of an address after `#` names, or null. */
export function addressed(hash, me) {
  let id;
  try { id = decodeURIComponent(hash.slice(1)); } catch { return null; }
  const peer = peerOf(id, me);
  return id.startsWith('g:') || (peer && id === directId(me, peer)) ? id : null;
}

/** A UUIDv7: ids sort by time. */
export function uuid7(now = Date.now()) {
  const b = crypto.getRandomValues(new Uint8Array(16));
  for (let i = 0; i < 6; i++) b[i] = Math.floor(now / 2 ** (40 - 8 * i)) & 0xff;
  b[6] = 0x70 | (b[6] & 0x0f);
  b[8] = 0x80 | (b[8] & 0x3f);
  const hex = Array.from(b, (x) => x.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A stretch of the log without a hole, what waits beyond a hole, and what is on its way out. */
export class Conversation {
  constructor(id, me) {
    Object.assign(this, { id, me, outbox: [], marks: new Map(), typing: new Map(), name: null });
    this.reset();
  }

  /** Forgets what the log said. */
  reset() {
    Object.assign(this, { entries: [], ahead: new Map(), effects: new Map(), head: 0, older: true, gone: false });
    Object.assign(this, { read: 0, readOrdinal: null, unreadThere: 0, acked: { delivered: 0, read: 0 } });
  }

  get low() { return this.entries[0]?.seq ?? 0; }
  get high() { return this.entries.at(-1)?.seq ?? 0; }
  get behind() { return !this.gone && this.head > this.high; }
  get waiting() { return this.outbox.filter((m) => !m.failed); }
  at(seq) { return this.entries[seq - this.low]; }

  /** Derived, never counted; the server's figure until the newest entry is here. */
  get unread() {
    if (this.readOrdinal === null || !this.high) return this.unreadThere;
    return Math.max(0, this.entries.at(-1).ordinal - this.readOrdinal);
  }

  /** Whether this is where what may be read begins: everyone reads from the entry that names him as a member on. */
  announces({ content: { change } }) {
    return ['created', 'added'].includes(change?.kind) && Boolean(change.members?.includes(this.me));
  }

  /** Takes entries in the order of their seq: appends what follows, keeps what lies beyond a hole, drops what is held.
   *  `begins`: what is asked for by seq comes without a hole, so the stretch may begin with it. A push proves nothing
   *  of the kind. `after`: it was asked for from there on, so what lies between there and its first entry can be read no
   *  more: it was kept long enough. */
  take(run, { begins = false, after = Infinity } = {}) {
    const complete = after <= this.high ? run[0] : null;
    for (const entry of run) {
      if (!Number.isSafeInteger(entry?.seq) || !entry.content?.type) continue;
      if (entry.sender_id === this.me) this.settle(entry.message_id);
      this.head = Math.max(this.head, entry.seq);
      // Added late, or removed and added again: nothing in between may be read.
      if (entry.seq > this.high + 1 && (entry === complete || this.announces(entry))) this.#begin(entry);
      else if (entry.seq === this.high + 1 || (begins && !this.high)) this.#append(entry);
      else if (entry.seq > this.high) this.ahead.set(entry.seq, entry);
    }
    for (let next; this.high && (next = this.ahead.get(this.high + 1)); ) this.#append(next);
    for (const seq of this.ahead.keys()) if (seq <= this.high) this.ahead.delete(seq);
  }

  /** Takes what lies just below the lowest entry. */
  takeOlder(run, more) {
    for (const entry of run) {
      if (entry.sender_id === this.me) this.settle(entry.message_id);
      this.#note(entry);
    }
    this.entries.unshift(...run);
    this.older = more;
  }

  #begin(entry) {
    Object.assign(this, { entries: [], effects: new Map(), older: false });
    // What was there before is not unread.
    this.readOrdinal = Math.max(this.readOrdinal ?? 0, entry.ordinal - (COUNTS.has(entry.content.type) ? 1 : 0));
    this.#append(entry);
  }

  /** The message stands in the log: it is sent, whoever said so. */
  settle(messageId) {
    const at = this.outbox.findIndex((m) => m.message_id === messageId);
    if (at >= 0) this.outbox.splice(at, 1);
  }

  markRead(seq = this.high) {
    const entry = this.at(seq);
    if (!entry || seq <= this.read) return;
    Object.assign(this, { read: seq, readOrdinal: Math.max(this.readOrdinal ?? 0, entry.ordinal) });
  }

  /** What `synced` says. */
  synced({ head, delivered, read, unread }) {
    Object.assign(this, { gone: false, head: Math.max(this.head, head), unreadThere: unread });
    Object.assign(this, { read: Math.max(this.read, read), acked: { delivered, read } });
    const last = this.at(head);
    if (last) this.readOrdinal = Math.max(this.readOrdinal ?? 0, last.ordinal - unread);
  }

  /** The log is not the one that was held: begin anew. A `seen` of 0 holds for every log. */
  forget() {
    this.reset();
    for (const m of this.outbox) m.seen = 0;
  }

  /** How far someone got: it only grows. */
  mark({ user_id, delivered, read }) {
    const old = this.marks.get(user_id) ?? { delivered: 0, read: 0 };
    this.marks.set(user_id, { delivered: Math.max(old.delivered, delivered), read: Math.max(old.read, read) });
  }

  /** The messages for the next `send`: in order, and no more than a frame holds. */
  batch() {
    const items = [];
    let room = MAX_BATCH_BYTES;
    for (const m of this.waiting) {
      const { message_id, content } = m;
      const size = new TextEncoder().encode(JSON.stringify({ message_id, content })).length + 1;
      // The gateway would close the socket on it, again and again.
      if (size > MAX_BATCH_BYTES) m.failed = { code: 'too_large', message: 'the message is too long' };
      else if (items.length === (this.single > 0 ? 1 : MAX_BATCH) || size > room) break;
      else items.push(m), (room -= size);
    }
    return items;
  }

  #append(entry) {
    const before = this.entries.at(-1)?.ordinal ?? 0;
    // `sent` tells the place of an own message, but not its ordinal.
    entry.ordinal ??= before + (COUNTS.has(entry.content.type) ? 1 : 0);
    if (entry.seq === 1) Object.assign(this, { older: false, readOrdinal: this.readOrdinal ?? 0 });
    this.entries.push(entry);
    this.#note(entry);
    this.typing.delete(entry.sender_id);
    const { change } = entry.content;
    if (change?.members?.includes(this.me)) this.gone = change.kind === 'removed';
    // Whoever writes has read what was before.
    if (entry.sender_id === this.me && this.read === entry.seq - 1) this.markRead(entry.seq);
  }

  /** What an entry does to another. The highest seq wins, in whatever order they come. */
  #note({ seq, sender_id, content }) {
    if (content.change?.kind === 'created') this.name = content.change.name;
    if (!['edit', 'delete', 'reaction'].includes(content.type)) return;
    if (!this.effects.has(content.target)) this.effects.set(content.target, { reactions: new Map() });
    const effect = this.effects.get(content.target);
    if (content.type === 'delete') effect.deleted = true;
    if (content.type === 'edit' && !(effect.edit?.seq > seq)) effect.edit = { seq, text: content.text };
    if (content.type !== 'reaction') return;
    const key = `${sender_id} ${content.emoji}`;
    if (effect.reactions.get(key)?.seq > seq) return;
    effect.reactions.set(key, { seq, user: sender_id, emoji: content.emoji, on: !content.remove });
  }
}
