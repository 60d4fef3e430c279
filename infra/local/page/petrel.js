// A Petrel client without a user interface: outbox, resending, ordering, syncing and watermarks, as docs/protocol.md
// asks. It knows no page; sockets, timers, chance and storage come in as options, so that a test can own them.

import { Conversation, peerOf, uuid7 } from './conversation.js';
import { Timers, Wire } from './wire.js';

export * from './conversation.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** Entries a conversation when nothing of one is held yet, and when catching up. */
const TAIL = 30;
const SYNC_LIMIT = 200;
const HISTORY_LIMIT = 100;
/** Cursors in one `sync`: as many as it lists conversations, and as fit into a frame. */
const MAX_CURSORS = 200;
/** How long a sign of typing holds, and how often it is repeated. */
const TYPING_HOLDS = 6 * SECOND;
const TYPING_EVERY = 3 * SECOND;

export class Petrel {
  #o; #wire; #timers; #syncing = null; #again = false; #saved = '';

  /** Required: `user`; `url` of the socket, with `device_id`; `token({refused})`, a token or a promise of one, where
   *  `refused` counts the handshakes that failed since one went through (the token may be why).
   *  `onchange` is called whenever there may be something new to show. */
  constructor(options) {
    this.#o = {
      WebSocket: globalThis.WebSocket,
      fetch: (...request) => fetch(...request),
      setTimeout: (what, ms) => setTimeout(what, ms),
      clearTimeout: (timer) => clearTimeout(timer),
      now: Date.now,
      random: Math.random,
      storage: null,
      base: '',
      onchange: () => {},
      ...options,
    };
    this.#timers = new Timers(this.#o);
    this.#wire = new Wire(this.#o, {
      onOpen: () => this.#opened(),
      onLost: (link) => this.#lost(link),
      onNextLost: () => this.#register(),
      onFrame: (frame, asked) => this.#frames[frame.type]?.(frame, asked),
      onGatewayError: () => this.#each((c) => c.inflight && this.#pause(c)),
      onStatus: (status) => ((this.status = status), this.#changed()),
    });
    Object.assign(this, { user: options.user, status: { state: 'offline' }, conversations: new Map(), active: null });
    for (const item of this.#restore()) this.conversation(item.conversation_id).outbox.push(item);
  }

  // ---- What a user interface calls ----

  connect() { this.#wire.open(); }

  close() {
    this.#wire.close();
    this.#timers.stopAll();
  }

  /** The network or the user is back: look at once. */
  wake() { this.#wire.link ? this.#sync() : this.#wire.hurry(); }

  /** Asks for what is missing, for instance after a change over HTTP whose push may be lost. */
  sync() { return this.#sync(); }

  conversation(id) {
    if (!this.conversations.has(id)) this.conversations.set(id, new Conversation(id, this.user));
    return this.conversations.get(id);
  }

  /** Puts a message into the outbox. It keeps its id and this `seen` for as long as it takes. */
  send(id, content) {
    const c = this.conversation(id);
    const now = this.#o.now();
    const item = { conversation_id: id, message_id: uuid7(now), seen: c.high || c.head, content, at: now };
    c.outbox.push(item);
    this.#flush(c);
    this.#changed();
    return item;
  }

  /** After a refusal: tries the same again, or gives up. */
  retry(item) {
    delete item.failed;
    this.#flush(this.conversation(item.conversation_id));
    this.#changed();
  }

  discard(item) {
    this.conversation(item.conversation_id).settle(item.message_id);
    this.#changed();
  }

  /** The conversation that someone looks at, or null. What arrives in it is read. */
  look(id) {
    this.active = id;
    if (id) this.#advance(this.conversation(id));
  }

  typing(id, active) {
    const c = this.conversation(id);
    const since = this.#o.now() - (c.typedAt ?? 0);
    if (!c.high || (active ? since < TYPING_EVERY : !c.typedAt)) return;
    c.typedAt = active ? this.#o.now() : 0;
    this.#wire.post({ action: 'typing', conversation_id: id, active });
  }

  /** Loads what lies before the held stretch. */
  async loadOlder(id) {
    const c = this.conversation(id);
    if (!c.older || c.loading || !c.head) return;
    c.loading = true;
    const before = c.low || c.head + 1;
    const batch = await this.#history(c, { before }).catch(() => null);
    c.loading = false;
    if (batch && !c.low) {
      c.take(batch.messages, { begins: true });
      c.older = batch.more;
    } else if (batch && c.low === before) c.takeOlder(batch.messages, batch.more);
    this.#took(c);
  }

  /** One HTTP request; throws an error with `code`, `message` and `status`. */
  async http(method, path, body) {
    const headers = { authorization: `Bearer ${await this.#o.token({ refused: 0 })}` };
    if (body) headers['content-type'] = 'application/json';
    const answer = await this.#o.fetch(this.#o.base + path, { method, headers, body: body && JSON.stringify(body) });
    const json = await answer.json().catch(() => ({}));
    if (answer.ok) return json;
    const message = json.message ?? (answer.statusText || `status ${answer.status}`);
    throw Object.assign(new Error(message), { code: json.code ?? 'failed', status: answer.status });
  }

  /** How far everyone got with a message. In a direct conversation that gives the ticks after a reload. */
  async receipts(id, seq, page) {
    const query = new URLSearchParams({ seq, ...(page && { page }) });
    const answer = await this.http('GET', `/api/conversations/${encodeURIComponent(id)}/receipts?${query}`);
    for (const reader of answer.readers ?? []) this.conversation(id).mark(reader);
    this.#changed();
    return answer;
  }

  // ---- What arrives ----

  #frames = {
    message: ({ type: _, conversation_id, ...entry }) => {
      const c = this.conversation(conversation_id);
      c.take([entry]);
      this.#took(c);
    },
    /** Of the sync under way. One that is late counts as so many pushes: what begins with it may have been forgotten. */
    batch: ({ conversation_id, messages }, asked) => {
      const c = this.conversation(conversation_id);
      c.take(messages, { begins: asked });
      this.#took(c);
    },
    sent: (frame) => {
      const c = this.conversation(frame.conversation_id);
      const results = frame.results ?? [frame];
      // Of several, those after a failure were not tried: they are no longer under way either.
      if (results.some((r) => c.inflight?.ids.has(r.message_id))) this.#landed(c);
      for (const r of results) r.error ? this.#refused(c, r.message_id, r.error) : this.#stored(c, r);
      this.#took(c);
    },
    receipt: (frame) => {
      this.conversation(frame.conversation_id).mark(frame);
      this.#changed();
    },
    typing: ({ conversation_id, user_id, active }) => {
      const { typing } = this.conversation(conversation_id);
      const over = () => typing.get(user_id) === timer && typing.delete(user_id) && this.#changed();
      const timer = active && this.#o.setTimeout(over, TYPING_HOLDS);
      active ? typing.set(user_id, timer) : typing.delete(user_id);
      this.#changed();
    },
    error: (error) => {
      if (error.action === 'send') this.#sendFailed(error);
      if (error.action !== 'ack' || !error.retry_after_ms) return;
      // Whichever it was: acks are cumulative, so all of them are said again.
      this.#each((c) => (c.acked = { delivered: 0, read: 0 }));
      this.#timers.start('ack', error.retry_after_ms, () => this.#ackAll());
    },
  };

  /** Something of this conversation has arrived, or changed. */
  #took(c) {
    if (c.inflight && !c.outbox.some((m) => c.inflight.ids.has(m.message_id))) this.#landed(c);
    this.#advance(c);
    this.#mind(c);
    this.#flush(c);
    this.#changed();
  }

  #opened() {
    const synced = this.#sync();
    this.#each((c) => this.#flush(c));
    return synced;
  }

  #lost(link) {
    this.#each((c) => {
      if (c.inflight?.link === link) this.#landed(c);
      this.#flush(c);
    });
  }

  // ---- Sending: one frame under way a conversation; the same ids and the first `seen` until they are answered ----

  #flush(c) {
    const link = this.#wire.link;
    if (!link || c.inflight || c.wait || c.recovering) return;
    const items = c.batch();
    if (!items.length) return;
    if (c.single) c.single -= 1;
    for (const m of items) m.tried = true;
    this.#save();
    const messages = items.map(({ message_id, content }) => ({ message_id, content }));
    // The least of the first `seen`s holds for all of them: a smaller one is always safe.
    const seen = Math.min(...items.map((m) => m.seen));
    const again = () => (this.#landed(c), this.#flush(c));
    c.inflight = { link, ids: new Set(items.map((m) => m.message_id)), timer: this.#wire.patience(again) };
    const what = messages.length === 1 ? messages[0] : { messages };
    this.#wire.post({ action: 'send', conversation_id: c.id, seen, ...what });
  }

  #landed(c) {
    this.#o.clearTimeout(c.inflight?.timer);
    c.inflight = null;
  }

  /** Says the same again after a while. */
  #pause(c, wait) {
    this.#landed(c);
    this.#o.clearTimeout(c.wait);
    c.pauses = (c.pauses ?? 0) + 1;
    c.wait = this.#o.setTimeout(() => ((c.wait = null), this.#flush(c)), wait ?? this.#wire.backoff(c.pauses));
  }

  #stored(c, { message_id, seq, sent_at }) {
    const item = c.outbox.find((m) => m.message_id === message_id);
    if (!item) return;
    c.pauses = c.recoveries = 0;
    c.take([{ seq, message_id, sender_id: this.user, sent_at, content: item.content }]);
  }

  /** A whole frame was refused; the error names its first message. */
  #sendFailed(error) {
    this.#each((c) => {
      if (!c.outbox.some((m) => m.message_id === error.message_id)) return;
      const several = c.inflight?.ids.has(error.message_id) ? c.inflight.ids.size : 1;
      this.#landed(c);
      const passes = ['busy', 'rate_limited', 'sync_required'].includes(error.code);
      // Any of several may be the cause: one by one it shows.
      if (several > 1 && !passes) c.single = several;
      else this.#refused(c, error.message_id, error);
      this.#took(c);
    });
  }

  #refused(c, messageId, { code, message, retry_after_ms }) {
    const item = c.outbox.find((m) => m.message_id === messageId);
    if (!item) return;
    if (code === 'busy' || code === 'rate_limited') this.#pause(c, retry_after_ms);
    else if (code === 'sync_required') this.#recover(c);
    else item.failed = { code, message };
  }

  /** `seen` cannot be proved: read from there to the head. What stands there is sent; for the rest `seen` is raised. */
  async #recover(c) {
    if (c.recovering || !c.waiting.length) return;
    c.recovering = true;
    c.recoveries = (c.recoveries ?? 0) + 1;
    const from = Math.min(...c.waiting.map((m) => m.seen));
    let [head, hidden] = [from, false];
    try {
      for (let more = true; more; ) {
        const batch = await this.#history(c, { after: head });
        hidden ||= batch.messages[0]?.seq > head + 1;
        c.take(batch.messages, { begins: true, after: head });
        head = batch.messages.at(-1)?.seq ?? head;
        more = batch.more;
      }
    } catch {
      head = 0;
    }
    // Nothing above `seen`: all of it was kept long enough, if a sync has told of a head above what is held. If not, this
    // log is not the one that was held, and 0 holds for every log.
    if (head === from) [head, hidden] = c.behind && c.head > from ? [c.head, true] : [0, hidden];
    for (const m of c.waiting.filter((m) => m.seen >= from)) {
      m.seen = head && Math.max(m.seen, head);
      // Some of it may not be read (removed, and added again), so nothing proves that the message is not there.
      if (hidden && m.tried) m.failed = { code: 'sync_required', message: 'it may have been sent already' };
    }
    c.recovering = false;
    if (c.recoveries > 1) this.#pause(c, this.#wire.backoff(c.recoveries));
    this.#took(c);
  }

  // ---- Receiving ----

  #history(c, side) {
    const frame = { action: 'history', conversation_id: c.id, ...side, limit: HISTORY_LIMIT };
    return this.#wire.ask(() => frame, 'batch');
  }

  /** A hole may close by itself, for queues reorder: wait a little before asking. */
  #mind(c) {
    if (!c.ahead.size || c.hole || c.filling || this.#syncing) return;
    const wait = (300 + 300 * this.#o.random()) * 2 ** Math.min(c.idle ?? 0, 6);
    c.hole = this.#o.setTimeout(() => ((c.hole = null), this.#fill(c)), wait);
  }

  async #fill(c) {
    c.filling = true;
    for (let high = -1; c.ahead.size && high < c.high; ) {
      high = c.high;
      const first = Math.min(...c.ahead.keys());
      try {
        const { messages } = await this.#history(c, high ? { after: high } : { before: first });
        // Heard of in the middle, the stretch begins with what lies before, and a sync tells the rest.
        c.take(messages, { begins: true, ...(high && { after: high }) });
        if (!high) this.#sync();
      } catch {
        // It may not be read any more.
        c.ahead.clear();
        c.head = c.high;
      }
      c.idle = c.high > high ? 0 : (c.idle ?? 0) + 1;
    }
    c.filling = false;
    this.#took(c);
  }

  /** Also the keep-alive: it repairs a push that was lost silently, and registers the socket again if need be. */
  #sync() {
    this.#again = true;
    this.#syncing ??= this.#catchUp();
    return this.#syncing;
  }

  /** One socket a device: the one that died had taken the place of the one that lives, and left nothing there. It may
   *  be a moment until the server notices, so once more later. */
  #register() {
    this.#sync();
    this.#timers.start('register', 10 * SECOND, () => this.#sync());
  }

  async #catchUp() {
    const each = () => [...this.conversations.values()];
    const held = () => each().reduce((sum, c) => sum + c.high + (c.low ? 1 : 0) + (c.head ? 1 : 0), 0);
    while (this.#again) {
      this.#again = false;
      const before = held();
      await this.#pass().catch((error) => console.warn('petrel: sync was refused', error));
      if (each().some((c) => c.behind) && held() !== before) this.#again = true;
    }
    this.#syncing = null;
    this.#timers.start('keepalive', (5 + 3 * this.#o.random()) * MINUTE, () => this.#sync());
    this.#each((c) => this.#took(c));
  }

  /** One look at every conversation, page by page. */
  async #pass() {
    const known = [...this.conversations.values()].filter((c) => c.head);
    const tail = !known.length || known.some((c) => !c.low);
    const [cursors, listed] = [new Map(), new Set()];
    for (let page = null; page !== undefined; ) {
      const build = () => {
        const ids = known.map((c) => c.id).filter((id) => !page || id > page).sort().slice(0, MAX_CURSORS);
        for (const id of ids) cursors.set(id, this.conversation(id).high);
        const frame = { action: 'sync', cursors: Object.fromEntries(ids.map((id) => [id, cursors.get(id)])) };
        return { ...frame, limit: tail ? TAIL : SYNC_LIMIT, ...(tail && { tail }), ...(page && { page }) };
      };
      const synced = await this.#wire.ask(build, 'synced', { first: true });
      for (const state of synced.conversations) {
        const c = this.conversation(state.id);
        listed.add(c.id);
        if (cursors.get(c.id) > state.head) c.forget();
        c.synced(state);
      }
      page = synced.page ?? undefined;
    }
    for (const [id, cursor] of cursors) {
      const c = this.conversation(id);
      if (!cursor || c.gone || listed.has(id)) continue;
      // No longer a member; or, as nobody leaves a direct conversation, the server has lost it.
      peerOf(id, this.user) ? c.forget() : (c.gone = true);
      this.#again = true;
    }
  }

  // ---- Watermarks: cumulative, so what comes within a second or two goes as one ----

  #advance(c) {
    if (this.active === c.id) c.markRead();
    if (!this.#due(c) || this.#timers.runs('ack')) return;
    this.#timers.start('ack', (1 + this.#o.random()) * SECOND, () => this.#ackAll());
  }

  #due(c) { return !c.gone && (c.high > c.acked.delivered || c.read > c.acked.read); }

  #ackAll() {
    if (!this.#wire.link) return;
    this.#each((c) => {
      if (!this.#due(c)) return;
      const [delivered, read] = [Math.max(c.high, c.acked.delivered), Math.max(c.read, c.acked.read)];
      c.acked = { delivered, read };
      this.#wire.post({ action: 'ack', conversation_id: c.id, delivered, ...(read && { read }) });
    });
  }

  // ---- Small things ----

  #each(what) { for (const c of [...this.conversations.values()]) what(c); }

  #changed() {
    this.#save();
    this.#o.onchange();
  }

  get #key() { return `petrel.outbox.${this.user}`; }

  #save() {
    const outbox = JSON.stringify([...this.conversations.values()].flatMap((c) => c.outbox));
    if (outbox === this.#saved) return;
    this.#saved = outbox;
    try { this.#o.storage?.setItem(this.#key, outbox); } catch { /* Full, or forbidden: memory holds it. */ }
  }

  #restore() {
    try {
      const items = JSON.parse(this.#o.storage?.getItem(this.#key) ?? '[]');
      return items.filter((m) => m.conversation_id && m.message_id && m.content && m.seen >= 0);
    } catch {
      return [];
    }
  }
}
