// One socket that is always there or on its way back, and one question at a time over it. Knows frames only as far as
// it must to tell an answer from a push.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
/** No answer for so long: ask again, on a new socket if this one was silent. */
const PATIENCE = 15 * SECOND;

/** Timers by name, so that a later one replaces an earlier one. */
export class Timers {
  #running = new Map();

  constructor({ setTimeout, clearTimeout }) {
    Object.assign(this, { set: setTimeout, clear: clearTimeout });
  }

  start(name, ms, what) {
    this.stop(name);
    this.#running.set(name, this.set(() => (this.#running.delete(name), what()), ms));
  }

  stop(name) {
    this.clear(this.#running.get(name));
    this.#running.delete(name);
  }

  stopAll() { for (const name of [...this.#running.keys()]) this.stop(name); }
  runs(name) { return this.#running.has(name); }
}

export class Wire {
  #o; #timers; #next = null; #closed = true; #attempts = 0; #refused = 0; #queue = []; #asked = null; #asks = 0;

  /** `options`: as of `Petrel`. `owner` is told: `onOpen()`, whose promise ends when it has synced; `onLost(link)`, and
   *  `onNextLost()` if that was to follow one that lives; `onFrame(frame, asked)` for what does not end a question,
   *  where `asked` says that it belongs to the one under way; `onGatewayError()`; `onStatus(status)`. */
  constructor(options, owner) {
    this.#o = options;
    this.#timers = new Timers(options);
    this.owner = owner;
    /** The open socket, or null: an object whose identity tells one socket from the next. */
    this.link = null;
  }

  open() {
    if (!this.#closed) return;
    this.#closed = false;
    this.#connect();
  }

  close() {
    this.#closed = true;
    for (const link of [this.link, this.#next]) if (link) this.#lost(link);
    this.#timers.stopAll();
    this.owner.onStatus({ state: 'offline' });
  }

  /** Does not wait for the timer. */
  hurry() {
    if (!this.#closed && !this.link && !this.#next) this.#connect();
  }

  post(frame) { this.link?.ws.send(JSON.stringify(frame)); }

  /** Puts a question and resolves with the frame of this type that answers it. One is under way at a time. It is put
   *  again, built anew, after `busy`, silence and reconnecting; any other error rejects. */
  ask(build, type, { first = false } = {}) {
    return new Promise((resolve, reject) => {
      this.#queue[first ? 'unshift' : 'push']({ build, type, resolve, reject });
      this.#pump();
    });
  }

  /** Runs `otherwise` unless stopped. On a socket that was silent all the while, nothing will come any more. */
  patience(otherwise) {
    const [link, since] = [this.link, this.#o.now()];
    return this.#o.setTimeout(() => (link.heard > since ? otherwise() : this.#lost(link)), PATIENCE);
  }

  /** Full jitter: anything up to a bound that doubles. */
  backoff(attempt) { return this.#o.random() * Math.min(30 * SECOND, SECOND * 2 ** attempt); }

  async #connect() {
    this.#timers.stop('reconnect');
    if (!this.link) this.owner.onStatus({ state: 'connecting' });
    const link = (this.#next = { ws: null, gone: false, heard: this.#o.now() });
    try {
      const token = await this.#o.token({ refused: this.#refused });
      if (link.gone) return;
      link.ws = new this.#o.WebSocket(this.#o.url, ['petrel.v1', `bearer.${token}`]);
    } catch (error) {
      return this.#lost(link, error);
    }
    link.ws.onopen = () => this.#opened(link);
    link.ws.onmessage = (event) => this.#received(link, event.data);
    link.ws.onclose = () => this.#lost(link);
    this.#timers.start('handshake', PATIENCE, () => this.#lost(link));
  }

  #opened(link) {
    this.#timers.stop('handshake');
    const old = this.link;
    [this.link, this.#next, this.#refused] = [link, null, 0];
    this.owner.onStatus({ state: 'online' });
    // A socket lives two hours at most: open the next one before that, and close this one when that one has synced.
    this.#renew((90 + 25 * this.#o.random()) * MINUTE);
    this.owner.onOpen().then(() => {
      this.#attempts = 0;
      if (old) this.#lost(old);
    });
    this.#pump();
  }

  #renew(ms) { this.#timers.start('renew', ms, () => this.link && !this.#next && this.#connect()); }

  /** A socket has ended, or is given up. What was under way on it is said again on the next. */
  #lost(link, error) {
    if (link.gone) return;
    link.gone = true;
    if (link.ws) {
      link.ws.onopen = link.ws.onmessage = link.ws.onclose = null;
      link.ws.close();
    }
    if (link === this.#next) {
      this.#timers.stop('handshake');
      this.#next = null;
      this.#refused += 1;
      if (this.link) {
        this.#renew(MINUTE);
        this.owner.onNextLost();
      }
    }
    if (link === this.link) this.link = null;
    if (this.#asked?.link === link) this.#putBack(this.#asked);
    this.owner.onLost(link);
    if (this.link || this.#next || this.#closed) return;
    const wait = this.backoff(this.#attempts++);
    this.owner.onStatus({ state: 'offline', retryAt: this.#o.now() + wait, error });
    this.#timers.start('reconnect', wait, () => this.#connect());
  }

  #received(link, data) {
    link.heard = this.#o.now();
    // A route that answers nothing may leave an empty frame.
    if (typeof data === 'string' && !data.trim()) return;
    let frame = null;
    try { frame = JSON.parse(data); } catch { /* Told below. */ }
    if (typeof frame !== 'object' || frame === null) return console.warn('petrel: not a frame', data);
    try {
      // What answers a question that was put again meanwhile answers one that may differ: it is late.
      const asked = this.#asked !== null && frame.request_id === this.#asked.id;
      if (frame.type === undefined) this.#gatewayError();
      else if (frame.code === 'unauthenticated') this.#unauthenticated(link);
      else if (asked && frame.type === this.#asked.type) this.#answered(this.#asked, frame);
      else if (asked && frame.type === 'error') this.#refusedAsk(frame);
      else this.owner.onFrame(frame, asked);
    } catch (error) {
      console.warn('petrel: a frame that makes no sense', frame, error);
    }
  }

  /** The gateway's own, a time-out say. It does not tell what it answers: say again whatever is under way. */
  #gatewayError() {
    if (this.#asked) this.#putBack(this.#asked, this.backoff(1));
    this.owner.onGatewayError();
  }

  #unauthenticated(link) {
    this.#refused += 1;
    this.#lost(link);
  }

  #pump() {
    if (!this.link || this.#asked || this.#timers.runs('pump') || !this.#queue.length) return;
    const ask = (this.#asked = this.#queue.shift());
    Object.assign(ask, { link: this.link, id: `${++this.#asks}` });
    ask.timer = this.patience(() => this.#putBack(ask));
    this.post({ ...ask.build(), request_id: ask.id });
  }

  #done(ask) {
    this.#o.clearTimeout(ask.timer);
    this.#asked = null;
  }

  #answered(ask, frame) {
    this.#done(ask);
    ask.resolve(frame);
    this.#pump();
  }

  #refusedAsk(error) {
    const ask = this.#asked;
    if (error.retry_after_ms || error.code === 'busy') {
      return this.#putBack(ask, error.retry_after_ms ?? this.backoff(1));
    }
    this.#done(ask);
    ask.reject(error);
    this.#pump();
  }

  #putBack(ask, wait = 0) {
    this.#done(ask);
    this.#queue.unshift(ask);
    if (wait) this.#timers.start('pump', wait, () => this.#pump());
    else this.#pump();
  }
}
