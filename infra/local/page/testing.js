// A socket, a clock and a storage that the tests own, and the frames they speak in.

import { beforeEach } from 'node:test';

import { Petrel, uuid7 } from './petrel.js';

export const C = 'd:ana:bo';
export const G = 'g:0192f3c4-0000-7000-8000-000000000000';
export const text = (words) => ({ type: 'text', text: words });
export const entry = (seq, more = {}) => ({
  seq, ordinal: seq, message_id: uuid7(seq), sender_id: 'bo', sent_at: seq, content: text(`no ${seq}`), ...more,
});
export const entries = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => entry(from + i));

/** Runs timers in order, and lets promises go on after each. */
export class Clock {
  time = 1_790_000_000_000;
  timers = new Map();
  last = 0;

  setTimeout = (what, ms) => (this.timers.set(++this.last, { what, at: this.time + ms }), this.last);
  clearTimeout = (id) => this.timers.delete(id);
  now = () => this.time;

  async advance(ms) {
    const end = this.time + ms;
    await settled();
    for (;;) {
      const due = [...this.timers].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
      if (!due) break;
      this.timers.delete(due[0]);
      this.time = due[1].at;
      due[1].what();
      await settled();
    }
    this.time = end;
  }
}

export const settled = () => new Promise((go) => setImmediate(go));

/** What the running test has; anew for each. */
export const world = {};

class Socket {
  sent = [];
  closed = false;

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    world.sockets.push(this);
  }

  send(json) {
    const { request_id, ...frame } = JSON.parse(json);
    this.sent.push(frame);
    // Of what is asked, one at a time.
    if (request_id) this.asked = request_id;
  }

  close() { this.closed = true; }
  /** What was sent since the last look, of one kind. */
  take(action) {
    const found = this.sent.filter((f) => f.action === action);
    this.sent = this.sent.filter((f) => f.action !== action);
    return found;
  }

  async open() { this.onopen?.(); await settled(); }
  async drop() { this.onclose?.({ code: 1006 }); await settled(); }
  /** Answers get the `request_id` of what was asked last, unless they have one. */
  async say(...frames) {
    for (const frame of frames) {
      const answers = ['batch', 'synced', 'error'].includes(frame.type) && { request_id: this.asked };
      const data = typeof frame === 'string' ? frame : JSON.stringify({ ...answers, ...frame });
      this.onmessage?.({ data });
    }
    await settled();
  }
}

export const socket = () => world.sockets.at(-1);
export const state = (head, more = {}) => ({
  id: C, head, sent_through: head, delivered: head, read: head, unread: 0, ...more,
});
export const synced = (...conversations) => ({ type: 'synced', conversations, page: null });
export const batch = (messages, more = false) => ({ type: 'batch', conversation_id: C, messages, more });
export const message = (e) => ({ type: 'message', conversation_id: C, ...e });
export const sent = ({ message_id }, seq, more) => ({
  type: 'sent', message_id, conversation_id: C, seq, sent_at: 9, duplicate: false, ...more,
});
export const refusal = (code, more) => ({ type: 'error', code, message: code, action: 'send', ...more });
export const seqs = () => world.client.conversation(C).entries.map((e) => e.seq);
export const outbox = () => world.client.conversation(C).outbox;

export function create(options) {
  const { clock, storage } = world;
  world.client = new Petrel({
    user: 'ana', url: 'ws://test/ws?device_id=1', token: () => 'jwt', WebSocket: Socket, storage, random: () => 0.5,
    fetch, setTimeout: clock.setTimeout, clearTimeout: clock.clearTimeout, now: clock.now, ...options,
  });
}

/** A client that has connected and synced, and holds `count` entries. */
export async function connected(count = 0) {
  create();
  world.client.connect();
  await settled();
  await socket().open();
  const held = count ? [batch(entries(1, count)), synced(state(count))] : [synced()];
  await socket().say(...held);
  socket().sent = [];
}

/** Calls of `fetch`, and what they are answered. */
const fetch = async (path, request) => {
  world.requests.push({ path, ...request });
  const { status = 200, body } = world.answers.shift();
  return { ok: status < 300, status, statusText: '', json: async () => body };
};

beforeEach(() => {
  const kept = new Map();
  const storage = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v) };
  Object.assign(world, { clock: new Clock(), sockets: [], storage, requests: [], answers: [] });
});
