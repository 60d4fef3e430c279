// Connecting and sending. `node --test` in this folder runs all tests; they need nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { addressed, directId, isUserId, peerOf, uuid7 } from './petrel.js';
import {
  C, G, batch, connected, create, entries, entry, message, outbox, refusal, sent, seqs, settled, socket, state, synced,
  text, world,
} from './testing.js';

test('ids are derived as the protocol says', () => {
  assert.equal(directId('bo', 'ana'), C);
  assert.equal(directId('ana', 'Bo'), 'd:Bo:ana');
  assert.deepEqual([peerOf(C, 'ana'), peerOf('d:ana:ana', 'ana'), peerOf('g:1', 'ana')], ['bo', 'ana', null]);
  assert.match(uuid7(1), /^00000000-0001-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.ok(isUserId('a_.|@-9') && !isUserId('') && !isUserId('a:b') && !isUserId('x'.repeat(65)));
});

test('an address that names no conversation is ignored', () => {
  const named = (hash) => addressed(hash, 'ana');
  assert.deepEqual([named(`#${encodeURIComponent(C)}`), named(`#${C}`), named(`#${G}`)], [C, C, G]);
  assert.deepEqual(named('#d:ana:ana'), 'd:ana:ana');
  for (const odd of ['', '#', '#%E0', '#%', '#x', '#d:', '#d:ana', '#d:bo:ana', '#d:bo:cy', '#d:ana:bo:cy']) {
    assert.equal(named(odd), null, odd);
  }
});

test('connects, syncs the newest, and then what was delivered before', async () => {
  create();
  world.client.connect();
  await settled();
  assert.deepEqual(socket().protocols, ['petrel.v1', 'bearer.jwt']);
  await socket().open();
  assert.deepEqual(socket().take('sync'), [{ action: 'sync', cursors: {}, limit: 30, tail: true }]);

  await socket().say(synced(state(40, { unread: 2, read: 38 })));
  assert.deepEqual(socket().take('sync'), [{ action: 'sync', cursors: { [C]: 0 }, limit: 30, tail: true }]);
  await socket().say(batch(entries(11, 40)), synced(state(40, { unread: 2, read: 38 })));
  assert.deepEqual([seqs()[0], seqs().at(-1), world.client.conversation(C).unread], [11, 40, 2]);

  await world.clock.advance(60_000);
  assert.deepEqual(socket().sent, [], 'nothing more to ask or to tell');
  await world.clock.advance(5.5 * 60_000);
  assert.deepEqual(socket().take('sync'), [{ action: 'sync', cursors: { [C]: 40 }, limit: 200 }]);
});

test('follows pages, and syncs again while there is more', async () => {
  await connected(1);
  world.client.sync();
  await socket().say(batch(entries(2, 201), true), { ...synced(state(300, { sent_through: 201 })), page: C });
  assert.deepEqual(socket().take('sync').map((f) => [f.cursors, f.page]), [[{ [C]: 1 }, undefined], [{}, C]]);
  await socket().say(synced({ ...state(0), id: 'g:1' }));
  assert.deepEqual(socket().take('sync').map((f) => f.cursors[C]), [201]);
  await socket().say(batch(entries(202, 300)), synced(state(300), { ...state(0), id: 'g:1' }));
  assert.deepEqual([seqs().length, socket().take('sync')], [300, []]);
});

test('sends, and keeps the message until it is acknowledged', async () => {
  await connected(3);
  const item = world.client.send(C, text('hi'));
  const [frame] = socket().take('send');
  const { message_id, seen, content } = item;
  assert.deepEqual(frame, { action: 'send', conversation_id: C, seen: 3, message_id, content });
  assert.equal(seen, 3);
  assert.match(world.storage.getItem('petrel.outbox.ana'), new RegExp(message_id));

  await socket().say(sent(item, 4));
  assert.deepEqual([seqs(), outbox(), world.storage.getItem('petrel.outbox.ana')], [[1, 2, 3, 4], [], '[]']);
  assert.deepEqual([world.client.conversation(C).at(4).ordinal, world.client.conversation(C).unread], [4, 0]);
});

test('has one send under way; what piles up goes together, ten at most', async () => {
  await connected(3);
  const first = world.client.send(C, text('0'));
  await socket().say(message(entry(4)));
  const items = Array.from({ length: 12 }, (_, i) => world.client.send(C, text(`${i + 1}`)));
  assert.equal(socket().take('send').length, 1);
  await socket().say(sent(first, 5));

  const [frame, ...more] = socket().take('send');
  assert.deepEqual([frame.messages.length, frame.seen, more], [10, 4, []]);
  assert.deepEqual(Object.keys(frame.messages[0]), ['message_id', 'content']);
  // Two are stored, the third is refused, the rest was not tried.
  const results = [0, 1].map((i) => ({ message_id: items[i].message_id, seq: 6 + i, sent_at: 1, duplicate: false }));
  results.push({ message_id: items[2].message_id, error: { code: 'not_found', message: 'no target' } });
  await socket().say({ type: 'sent', conversation_id: C, results });
  assert.deepEqual(items[2].failed, { code: 'not_found', message: 'no target' });
  const rest = socket().take('send')[0].messages.map((m) => m.message_id);
  assert.deepEqual(rest, items.slice(3).map((m) => m.message_id));
});

test('keeps frames below the limit, and refuses by itself what the gateway would hang up on', async () => {
  await connected(1);
  world.client.send(C, text('0'));
  const large = [1, 2, 3].map(() => world.client.send(C, text('x'.repeat(16_000))));
  const huge = world.client.send(C, text('\u0001'.repeat(9_000)));
  const [first] = socket().take('send');
  await socket().say(sent(first, 2));
  assert.equal(socket().take('send')[0].messages.length, 2);
  await socket().say({ type: 'sent', conversation_id: C, results: large.slice(0, 2).map((m, i) => sent(m, 3 + i)) });
  assert.equal(socket().take('send')[0].message_id, large[2].message_id);
  await socket().say(sent(large[2], 5));
  assert.deepEqual([huge.failed.code, socket().take('send')], ['too_large', []]);
});

test('says the same again when the answer is lost: same id, same seen', async () => {
  await connected(3);
  world.client.send(C, text('hi'));
  const [frame] = socket().take('send');
  await world.clock.advance(5_000);
  await socket().say(message(entry(4)));
  await world.clock.advance(11_000);
  assert.deepEqual(socket().take('send'), [frame], 'the socket lives: on the same');

  await world.clock.advance(16_000);
  assert.deepEqual(world.sockets.map((s) => s.closed), [true, false], 'the socket was silent: it is given up');
  await socket().open();
  assert.deepEqual(socket().take('send'), [frame]);
});

test('a reload loses nothing, and neither does the gateway\'s own error', async () => {
  await connected(3);
  world.client.send(C, text('hi'));
  const [frame] = socket().take('send');
  await socket().say({ message: 'Endpoint request timed out', connectionId: 'x', requestId: 'y' });
  await world.clock.advance(2_000);
  assert.deepEqual(socket().take('send'), [frame]);
  world.client.close();

  create();
  world.client.connect();
  await settled();
  await socket().open();
  assert.deepEqual(socket().take('send'), [frame]);
  assert.deepEqual(outbox()[0].content, text('hi'));
});

test('an own message that arrives by push, sync or history is sent', async () => {
  await connected(3);
  const item = world.client.send(C, text('hi'));
  const next = world.client.send(C, text('next'));
  socket().take('send');
  await socket().say(message(entry(4, { sender_id: 'ana', message_id: item.message_id })));
  assert.deepEqual(outbox(), [next]);
  assert.equal(socket().take('send')[0].message_id, next.message_id);
  await socket().say(sent(item, 4, { duplicate: true }));
  assert.deepEqual(seqs(), [1, 2, 3, 4]);
});

test('busy: waits as long as it is told, and says the same', async () => {
  await connected(3);
  const item = world.client.send(C, text('hi'));
  const [frame] = socket().take('send');
  await socket().say(refusal('busy', { message_id: item.message_id, retry_after_ms: 900 }));
  world.client.send(C, text('waits too'));
  await world.clock.advance(899);
  assert.deepEqual(socket().take('send'), []);
  await world.clock.advance(1);
  const [again] = socket().take('send');
  assert.deepEqual([again.seen, again.messages[0].message_id], [3, frame.message_id]);
});

test('sync_required: reads to the head, finds one there, raises seen for the other', async () => {
  await connected(3);
  const [there, not] = [world.client.send(C, text('a')), world.client.send(C, text('b'))];
  await socket().say(refusal('busy', { message_id: there.message_id, retry_after_ms: 10 }));
  await world.clock.advance(10);
  socket().sent = [];
  await socket().say(refusal('sync_required', { message_id: there.message_id }));
  assert.deepEqual(socket().take('history'), [{ action: 'history', conversation_id: C, after: 3, limit: 100 }]);
  world.client.send(C, text('later'));
  await socket().say(batch(entries(4, 103), true));
  assert.equal(socket().take('history')[0].after, 103);
  assert.deepEqual(socket().take('send'), []);
  await socket().say(batch([...entries(104, 599), entry(600, { sender_id: 'ana', message_id: there.message_id })]));

  const [frame] = socket().take('send');
  assert.deepEqual(frame.messages.map((m) => m.message_id), [not.message_id, outbox()[1].message_id]);
  assert.deepEqual([not.seen, outbox()[1].seen, frame.seen], [600, 600, 600]);
});

test('sync_required, and part of the log may not be read: says so instead of sending twice', async () => {
  await connected(0);
  const [created, added] = ['created', 'added'].map((kind) => ({ type: 'system', change: { kind, members: ['ana'] } }));
  await socket().say({ ...message(entry(1, { content: created })), conversation_id: G });
  const item = world.client.send(G, text('a'));
  await socket().say(refusal('sync_required', { message_id: item.message_id }));
  // A late answer to something else is not taken for this one's.
  await socket().say({ ...batch(entries(40, 41)), conversation_id: G, request_id: 'late' });
  await socket().say({ ...batch([entry(50, { content: added }), entry(51)]), conversation_id: G });
  assert.deepEqual([item.failed.code, item.seen], ['sync_required', 51]);
  assert.deepEqual(world.client.conversation(G).entries.map((e) => e.seq), [50, 51]);
  socket().sent = [];
  world.client.retry(item);
  assert.equal(socket().take('send')[0].seen, 51);
});

test('sync_required by a log that has lost what was held: begins at 0, and not in a rush', async () => {
  await connected(3);
  const item = world.client.send(C, text('a'));
  socket().take('send');
  await socket().say(refusal('sync_required', { message_id: item.message_id }));
  await socket().say(batch([]));
  assert.equal(socket().take('send')[0].seen, 0);
  await socket().say(refusal('sync_required', { message_id: item.message_id }), batch([]));
  assert.deepEqual(socket().take('send'), []);
  await world.clock.advance(2_000);
  assert.equal(socket().take('send').length, 1);
});

test('sync_required, and nothing above is kept any more: goes on from the head, and asks before it sends twice', async () => {
  await connected(3);
  await socket().drop();
  await world.clock.advance(1_000);
  await socket().open();
  await socket().say(synced(state(50)));
  const [tried, fresh] = [world.client.send(C, text('a')), world.client.send(C, text('b'))];
  assert.equal(socket().take('send')[0].seen, 3);
  await socket().say(refusal('sync_required', { message_id: tried.message_id }));
  await socket().say(batch([]));
  assert.deepEqual([tried.failed.code, tried.seen, fresh.failed, fresh.seen], ['sync_required', 50, undefined, 50]);
  const [frame] = socket().take('send');
  assert.deepEqual([frame.message_id, frame.seen], [fresh.message_id, 50]);
  await socket().say(sent(fresh, 51));
  await world.clock.advance(600);
  assert.equal(socket().take('history')[0].after, 3);
  await socket().say(batch([entry(51, { sender_id: 'ana', message_id: fresh.message_id })]));
  assert.deepEqual([seqs(), outbox()], [[51], [tried]]);
});

test('one bad message of several does not take the others along', async () => {
  await connected(3);
  const first = world.client.send(C, text('0'));
  const [bad, good] = [world.client.send(C, { type: 'spell' }), world.client.send(C, text('good'))];
  socket().take('send');
  await socket().say(sent(first, 4));
  assert.equal(socket().take('send')[0].messages.length, 2);
  await socket().say(refusal('bad_request', { message_id: bad.message_id }));
  assert.deepEqual(socket().take('send').map((f) => f.message_id), [bad.message_id]);
  await socket().say(refusal('bad_request', { message_id: bad.message_id }));
  assert.deepEqual(socket().take('send').map((f) => f.message_id), [good.message_id]);
  await socket().say(sent(good, 5));
  assert.deepEqual(outbox(), [bad]);
  world.client.discard(bad);
  assert.deepEqual([outbox(), world.storage.getItem('petrel.outbox.ana')], [[], '[]']);
});

test('reconnects with growing waits, and at once when the network is back', async () => {
  await connected(3);
  await socket().drop();
  const waits = [];
  for (let i = 0; i < 7; i++) {
    const { status } = world.client;
    assert.equal(status.state, 'offline');
    waits.push(status.retryAt - world.clock.now());
    await world.clock.advance(waits.at(-1));
    await socket().drop();
  }
  assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);

  const count = world.sockets.length;
  world.client.wake();
  await settled();
  assert.equal(world.sockets.length, count + 1);
  await socket().open();
  assert.deepEqual(socket().take('sync').map((f) => f.cursors), [{ [C]: 3 }]);
  await socket().say(synced(state(3)));
  await socket().drop();
  assert.equal(world.client.status.retryAt - world.clock.now(), 500);
});

test('opens the next socket before the server ends this one', async () => {
  await connected(3);
  // Every keep-alive is answered, so that the socket counts as alive.
  for (let i = 0; i < 615; i++) {
    await world.clock.advance(10_000);
    if (socket().take('sync').length) await socket().say(synced(state(3)));
  }
  const [old, next] = world.sockets;
  assert.deepEqual([world.sockets.length, old.closed], [2, false]);
  await next.open();
  await old.say(message(entry(4)));
  assert.equal(old.closed, false);
  await next.say(synced(state(4)));
  assert.deepEqual([old.closed, next.closed, seqs(), world.client.status.state], [true, false, [1, 2, 3, 4], 'online']);
});

test('the next socket dies early: this one is registered again at once, and once the server knows', async () => {
  await connected(3);
  for (let i = 0; i < 615; i++) {
    await world.clock.advance(10_000);
    if (socket().take('sync').length) await socket().say(synced(state(3)));
  }
  const [old, next] = world.sockets;
  await next.drop();
  assert.deepEqual(old.take('sync').map((f) => f.cursors), [{ [C]: 3 }]);
  assert.deepEqual([old.closed, world.client.status.state], [false, 'online']);
  await old.say(synced(state(3)));
  await world.clock.advance(10_000);
  assert.equal(old.take('sync').length, 1);
  await old.say(synced(state(3)));
  await world.clock.advance(50_000);
  assert.equal(world.sockets.length, 3, 'and the next one is tried in a minute');
});

test('asks for a new token when the old one is refused', async () => {
  await connected(0);
  const asked = [];
  const token = ({ refused }) => (asked.push(refused), 'jwt');
  world.client.close();
  create({ token });
  world.client.connect();
  await settled();
  await socket().drop();
  await world.clock.advance(500);
  await socket().open();
  await socket().say({ type: 'error', code: 'unauthenticated', message: 'expired' });
  await world.clock.advance(1_000);
  assert.deepEqual(asked, [0, 1, 1]);
});

test('HTTP carries the token; a refusal throws its code', async () => {
  await connected(3);
  world.answers.push({ status: 201, body: { conversation_id: 'g:1' } });
  const group = { name: 'x', member_ids: ['bo'], request_id: '1' };
  assert.deepEqual(await world.client.http('POST', '/api/conversations', group), { conversation_id: 'g:1' });
  const [{ path, method, headers, body }] = world.requests;
  assert.deepEqual([path, method, headers.authorization], ['/api/conversations', 'POST', 'Bearer jwt']);
  assert.deepEqual(JSON.parse(body), group);
  world.answers.push({ status: 403, body: { code: 'not_a_member', message: 'no' } });
  await assert.rejects(world.client.http('GET', '/x'), { code: 'not_a_member', message: 'no', status: 403 });
});
