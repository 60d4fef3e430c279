// Two people, three devices, and a network that loses, doubles, delays and cuts: whatever is sent stands in the log
// exactly once, in the order of its device, and every device ends up with the same log. Seeded, so a failure repeats.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Petrel } from './petrel.js';
import { C, Clock, text } from './testing.js';

/** Mulberry32: small, seeded, good enough to be unkind. */
const chance = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};

/** The rules of the server, as far as a client can tell: a log, and a network that can be told to behave. */
class Server {
  log = [];
  sockets = new Set();
  kind = false;
  marks = { ana: { delivered: 0, read: 0 }, bo: { delivered: 0, read: 0 } };
  /** So few, that falling behind is common. */
  maxBehind = 8;

  constructor(clock, random) { Object.assign(this, { clock, random }); }

  post(socket, frame) {
    const times = this.kind || this.random() < 0.75 ? 1 : this.random() < 0.5 ? 0 : 2;
    for (let i = 0; i < times; i++) {
      const delay = this.kind ? 1 : this.random() * (this.random() < 0.1 ? 20_000 : 300);
      this.clock.setTimeout(() => socket.onmessage?.({ data: JSON.stringify(frame) }), delay);
    }
  }

  handle(socket, user, frame) {
    const { request_id } = frame;
    const answer = (f) => this.post(socket, { request_id, ...f });
    const error = (code, more) => answer({ type: 'error', code, message: code, action: frame.action, ...more });
    const limit = Math.min(frame.limit ?? 50, 7);
    if (frame.action === 'send') {
      const messages = frame.messages ?? [frame];
      const first = { message_id: messages[0].message_id };
      if (!this.kind && this.random() < 0.1) return error('busy', { ...first, retry_after_ms: 200 });
      if (!this.kind && this.random() < 0.1) return this.post(socket, { message: 'Endpoint request timed out' });
      if (frame.seen > this.log.length || this.log.length - frame.seen > this.maxBehind) {
        return error('sync_required', first);
      }
      const results = messages.map((m) => this.store(socket, user, m, frame.seen));
      const body = frame.messages ? { results } : results[0];
      answer({ type: 'sent', conversation_id: C, ...body });
    } else if (frame.action === 'history') {
      const [from, to] = frame.after === undefined
        ? [Math.max(0, frame.before - 1 - limit), frame.before - 1] : [frame.after, frame.after + limit];
      const more = frame.after === undefined ? from > 0 : to < this.log.length;
      answer({ type: 'batch', conversation_id: C, messages: this.log.slice(from, to), more });
    } else if (frame.action === 'sync') {
      const head = this.log.length;
      const cursor = Math.min(head, frame.cursors[C] ?? this.marks[user].delivered);
      const from = frame.tail ? Math.max(cursor, head - limit) : cursor;
      const messages = this.log.slice(from, from + limit);
      if (messages.length) answer({ type: 'batch', conversation_id: C, messages, more: from + limit < head });
      const state = { id: C, head, sent_through: from + messages.length, ...this.marks[user], unread: 0 };
      answer({ type: 'synced', conversations: head ? [state] : [], page: null });
    } else if (frame.action === 'ack') {
      assert.ok(Math.max(frame.delivered, frame.read ?? 0) <= this.log.length, 'an ack never passes the head');
      this.marks[user].delivered = Math.max(this.marks[user].delivered, frame.delivered);
    }
  }

  /** A message is looked for only above `seen`: a client that raises it without proof stores twice. */
  store(socket, sender_id, { message_id, content }, seen) {
    let e = this.log.find((x) => x.seq > seen && x.message_id === message_id && x.sender_id === sender_id);
    const duplicate = Boolean(e);
    const seq = this.log.length + 1;
    e ??= { seq, ordinal: seq, message_id, sender_id, sent_at: this.clock.now(), content };
    if (!duplicate) this.log.push(e);
    const others = [...this.sockets].filter((s) => s !== socket);
    for (const other of others) this.post(other, { type: 'message', conversation_id: C, ...e });
    return { message_id, seq: e.seq, sent_at: e.sent_at, duplicate };
  }
}

function device(server, clock, random, user, storage) {
  class Socket {
    constructor() {
      if (!server.kind && random() < 0.2) return void clock.setTimeout(() => this.onclose?.({}), 50);
      clock.setTimeout(() => (server.sockets.add(this), this.onopen?.()), 20);
      if (!server.kind) clock.setTimeout(() => (this.close(), this.onclose?.({})), random() * 60_000);
    }
    send(json) {
      const frame = JSON.parse(json);
      assert.ok(!frame.messages || frame.messages.length <= 10);
      if (!server.sockets.has(this) || (!server.kind && random() < 0.1)) return;
      clock.setTimeout(() => server.handle(this, user, frame), server.kind ? 1 : random() * 200);
    }
    close() { server.sockets.delete(this); }
  }
  const client = new Petrel({
    user, url: '', token: () => 'jwt', WebSocket: Socket, random, storage,
    setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout, now: clock.now,
  });
  client.connect();
  return client;
}

async function run(seed) {
  const random = chance(seed);
  const clock = new Clock();
  const server = new Server(clock, random);
  let forgotten = 0;
  const start = (user, storage) => {
    const client = device(server, clock, random, user, storage);
    client.conversation(C).forget = () => (forgotten += 1);
    return client;
  };
  const create = (user, storage) => ({ storage, user, client: start(user, storage), said: [] });
  const memory = () => {
    const kept = new Map();
    return { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v) };
  };
  const devices = ['ana', 'ana', 'bo'].map((user) => create(user, memory()));
  for (let step = 0; step < 60; step++) {
    const d = devices[Math.floor(random() * 3)];
    for (let i = random() * 3; i > 0; i--) d.said.push(d.client.send(C, text(`${d.said.length}`)).message_id);
    if (random() < 0.05) {
      // A reload: only what was kept is left.
      d.client.close();
      d.client = start(d.user, d.storage);
    }
    await clock.advance(random() * 4_000);
  }
  server.kind = true;
  await clock.advance(15 * 60_000);

  assert.equal(forgotten, 0, 'it is the same log all the time');
  const ids = server.log.map((e) => e.message_id);
  assert.equal(new Set(ids).size, ids.length, 'stored twice');
  for (const { client, said, user } of devices) {
    assert.deepEqual(client.conversation(C).outbox, [], `${user}: nothing is left to send`);
    assert.deepEqual(ids.filter((id) => said.includes(id)), said, `${user}: in the order of the device`);
    const held = client.conversation(C).entries;
    assert.deepEqual(held, server.log.slice(held[0].seq - 1), `${user}: the same log`);
  }
}

for (const seed of Array.from({ length: 40 }, (_, i) => i + 1)) {
  test(`an unkind network, seed ${seed}`, () => run(seed));
}
