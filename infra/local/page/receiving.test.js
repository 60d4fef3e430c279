// What arrives: order, holes, doubles, watermarks, and what entries do to each other.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Conversation } from './petrel.js';
import {
  C, G, batch, connected, create, entries, entry, message, outbox, refusal, sent, seqs, settled, socket, state, synced,
  text, world,
} from './testing.js';

const system = (seq, kind, members, more) =>
  entry(seq, { content: { type: 'system', change: { kind, members, ...more } }, sender_id: 'bo' });

test('applies what follows, drops what is held', async () => {
  await connected(3);
  await socket().say(message(entry(4)), message(entry(4)), message(entry(2)), message(entry(5)));
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5]);
  assert.equal(world.client.conversation(C).unread, 2);
  assert.deepEqual(socket().take('history'), []);
});

test('a hole: waits for what comes late, then asks', async () => {
  await connected(3);
  await socket().say(message(entry(5)));
  await world.clock.advance(299);
  await socket().say(message(entry(4)));
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5]);
  await world.clock.advance(1_000);
  assert.deepEqual(socket().take('history'), [], 'it has closed by itself');

  await socket().say(message(entry(9)), message(entry(7)));
  await world.clock.advance(299);
  assert.deepEqual([socket().take('history'), seqs().at(-1)], [[], 5]);
  await world.clock.advance(301);
  assert.deepEqual(socket().take('history'), [{ action: 'history', conversation_id: C, after: 5, limit: 100 }]);
  await socket().say(message(entry(8)), batch([entry(6), entry(7), entry(8), entry(9)]));
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await world.clock.advance(2_000);
  assert.deepEqual(socket().take('history'), []);
});

test('the place of an own message can lie beyond a hole', async () => {
  await connected(3);
  const item = world.client.send(C, text('mine'));
  await socket().say(sent(item, 5));
  const c = world.client.conversation(C);
  assert.deepEqual([seqs().at(-1), c.outbox, [...c.ahead.keys()]], [3, [], [5]]);
  await socket().say(message(entry(4)));
  assert.deepEqual([seqs().at(-1), c.at(5).ordinal], [5, 5]);
});

test('`history` that is busy or silent is asked again; that of one who was removed is not', async () => {
  await connected(3);
  await socket().say(message(entry(6)));
  await world.clock.advance(500);
  assert.equal(socket().take('history').length, 1);
  await socket().say(refusal('busy', { action: 'history', retry_after_ms: 700 }));
  await world.clock.advance(700);
  assert.equal(socket().take('history').length, 1);
  await socket().drop();
  await world.clock.advance(500);
  await socket().open();
  assert.equal(socket().take('sync').length, 1, 'sync first');
  await socket().say(synced(state(6)));
  assert.equal(socket().take('history').length, 1);
  await socket().say(refusal('not_a_member', { action: 'history' }));
  await world.clock.advance(10_000);
  assert.deepEqual([socket().take('history'), seqs()], [[], [1, 2, 3]]);
});

test('what was kept long enough is no hole to wait for: the stretch begins above it', async () => {
  await connected(3);
  await socket().say(message(entry(41)));
  await world.clock.advance(600);
  assert.equal(socket().take('history')[0].after, 3);
  await socket().say(batch([entry(40), entry(41)]));
  const c = world.client.conversation(C);
  assert.deepEqual([seqs(), c.unread, c.older], [[40, 41], 2, false]);
  await world.clock.advance(10_000);
  assert.deepEqual(socket().take('history'), []);
  await socket().say(message(entry(42)));
  assert.deepEqual(seqs(), [40, 41, 42]);
});

test('a batch of a sync may be one of several: above a hole, it is asked again', async () => {
  await connected(3);
  await socket().drop();
  await world.clock.advance(1_000);
  await socket().open();
  await socket().say(batch([entry(40), entry(41)]), synced(state(41)));
  assert.deepEqual(seqs(), [1, 2, 3]);
  await world.clock.advance(600);
  await socket().say(batch([entry(4), entry(5)], true));
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5]);
});

test('a conversation heard of in the middle begins with what lies before', async () => {
  await connected(0);
  await socket().say({ ...message(entry(20)), conversation_id: G });
  await world.clock.advance(600);
  assert.equal(socket().take('history')[0].before, 20);
  await socket().say({ ...batch([entry(18), entry(19)]), conversation_id: G });
  assert.deepEqual(world.client.conversation(G).entries.map((e) => e.seq), [18, 19, 20]);
  assert.deepEqual(socket().take('sync').map((f) => f.cursors), [{ [G]: 20 }]);
  await socket().say(synced(state(20, { id: G, unread: 1, read: 19 })));
  assert.equal(world.client.conversation(G).unread, 1);
});

test('what answers a question that was put again meanwhile answers nothing', async () => {
  await connected(3);
  const c = world.client.conversation(C);
  world.client.sync();
  const first = { request_id: socket().asked };
  await world.clock.advance(5_000);
  await socket().say(message(entry(4)));
  await world.clock.advance(10_000);
  assert.deepEqual(socket().take('sync').map((f) => f.cursors), [{ [C]: 3 }, { [C]: 4 }]);
  assert.notEqual(socket().asked, first.request_id);

  await socket().say({ ...synced(state(3)), ...first }, refusal('not_a_member', { action: 'sync', ...first }));
  assert.deepEqual([seqs(), socket().take('sync')], [[1, 2, 3, 4], []], 'a cursor of later is not held against it');
  await socket().say({ ...batch([entry(5)]), ...first });
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5], 'a late batch is worth as much as pushes');
  c.forget();
  await socket().say({ ...batch(entries(2, 5)), ...first });
  assert.deepEqual(seqs(), [], 'and no more: nothing begins with it');
  await socket().say(batch([entry(1)]), synced(state(5)));
  assert.deepEqual(seqs(), [1, 2, 3, 4, 5]);
});

test('pushes during the first sync wait for it', async () => {
  create();
  world.client.connect();
  await settled();
  await socket().open();
  await socket().say(message(entry(41)));
  await world.clock.advance(1_000);
  assert.deepEqual(socket().take('history'), []);
  await socket().say(batch(entries(11, 40)), synced(state(40)));
  assert.deepEqual([seqs()[0], seqs().at(-1)], [11, 41]);
});

test('older entries come before, and what lies beyond them still applies', async () => {
  await connected(0);
  const edit = entry(12, { content: { type: 'edit', target: 9, text: 'better' } });
  await socket().say(batch([entry(11), edit]), synced(state(12)));
  world.client.sync();
  await socket().say(batch([entry(11), edit]), synced(state(12)));
  const loading = world.client.loadOlder(C);
  assert.equal(socket().take('history')[0].before, 11);
  await socket().say(batch(entries(1, 10)));
  await loading;
  const c = world.client.conversation(C);
  assert.deepEqual([seqs()[0], c.at(9).seq, c.effects.get(9).edit.text, c.older], [1, 9, 'better', false]);
  await world.client.loadOlder(C);
  assert.deepEqual(socket().take('history'), []);
});

test('watermarks go together after a second or two; read only where someone looks', async () => {
  await connected(3);
  await socket().say(message(entry(4)), message(entry(5)));
  await world.clock.advance(999);
  assert.deepEqual(socket().take('ack'), []);
  await world.clock.advance(1_001);
  assert.deepEqual(socket().take('ack'), [{ action: 'ack', conversation_id: C, delivered: 5, read: 3 }]);
  world.client.look(C);
  await socket().say(message(entry(6)));
  await world.clock.advance(2_000);
  assert.deepEqual(socket().take('ack'), [{ action: 'ack', conversation_id: C, delivered: 6, read: 6 }]);
  assert.equal(world.client.conversation(C).unread, 0);
  await world.clock.advance(10_000);
  assert.deepEqual(socket().take('ack'), []);
});

test('an ack that was lost, or met a busy server, is said again', async () => {
  await connected(3);
  await socket().say(message(entry(4)));
  await world.clock.advance(2_000);
  assert.equal(socket().take('ack').length, 1);
  await socket().say(refusal('busy', { action: 'ack', retry_after_ms: 300 }));
  await world.clock.advance(300);
  assert.equal(socket().take('ack')[0].delivered, 4);
  world.client.sync();
  await socket().say(synced(state(4, { delivered: 3, read: 3, unread: 1 })));
  await world.clock.advance(2_000);
  assert.equal(socket().take('ack')[0].delivered, 4);
});

test('receipts only grow, and come over HTTP as well', async () => {
  await connected(3);
  const receipt = (delivered, read) => ({ type: 'receipt', conversation_id: C, user_id: 'bo', delivered, read });
  await socket().say(receipt(3, 1), receipt(2, 2));
  assert.deepEqual(world.client.conversation(C).marks.get('bo'), { delivered: 3, read: 2 });
  world.answers.push({ body: { readers: [{ user_id: 'bo', delivered: 3, read: 3 }], page: null } });
  await world.client.receipts(C, 3);
  assert.equal(world.requests[0].path, '/api/conversations/d%3Aana%3Abo/receipts?seq=3');
  assert.deepEqual(world.client.conversation(C).marks.get('bo'), { delivered: 3, read: 3 });
});

test('typing is said every few seconds, and holds for as long', async () => {
  await connected(3);
  for (let i = 0; i < 4; i++) {
    world.client.typing(C, true);
    await world.clock.advance(1_000);
  }
  world.client.typing(C, false);
  world.client.typing(C, false);
  assert.deepEqual(socket().take('typing').map((f) => f.active), [true, true, false]);

  const { typing } = world.client.conversation(C);
  const frame = { type: 'typing', conversation_id: C, user_id: 'bo', active: true };
  await socket().say(frame);
  await world.clock.advance(5_000);
  await socket().say(frame);
  await world.clock.advance(5_000);
  assert.equal(typing.size, 1);
  await world.clock.advance(1_000);
  assert.equal(typing.size, 0);
  await socket().say(frame, message(entry(4)));
  assert.equal(typing.size, 0, 'a message ends it');
});

test('a member who is removed sees it, and one who is added again begins there', async () => {
  await connected(0);
  const say = (e) => socket().say({ ...message(e), conversation_id: G });
  await say(system(1, 'created', ['ana', 'bo'], { name: 'Team' }));
  await say(system(2, 'removed', ['ana']));
  const c = world.client.conversation(G);
  assert.deepEqual([c.name, c.gone], ['Team', true]);
  await say(system(9, 'added', ['ana', 'cy']));
  assert.deepEqual([c.entries.map((e) => e.seq), c.gone, c.older, c.unread], [[9], false, false, 0]);
  await world.clock.advance(600);
  assert.deepEqual(socket().take('history'), []);
});

test('a conversation that is no longer listed, or is shorter than what is held, is not the one that was', async () => {
  await connected(3);
  await socket().say({ ...message(system(1, 'created', ['ana', 'bo'], { name: 'Team' })), conversation_id: G });
  world.client.sync();
  socket().sent = [];
  await socket().say(synced(state(2)));
  assert.deepEqual([world.client.conversation(G).gone, seqs()], [true, []]);
  assert.deepEqual(socket().take('sync')[0].cursors, { [C]: 0, [G]: 1 });
  await socket().say(batch(entries(1, 2)), synced(state(2)));
  assert.deepEqual(seqs(), [1, 2]);
});

test('of several edits and reactions the last holds, in whatever order they are read', () => {
  const react = (seq, remove) => entry(seq, { content: { type: 'reaction', target: 1, emoji: '!', remove } });
  const edit = (seq, words) => entry(seq, { content: { type: 'edit', target: 1, text: words } });
  const c = new Conversation(C, 'ana');
  c.take([edit(4, 'new'), react(5, true)], { begins: true });
  c.takeOlder([entry(1), edit(2, 'old'), react(3)], false);
  const { edit: { text: words }, reactions } = c.effects.get(1);
  assert.deepEqual([words, [...reactions.values()].map((r) => r.on)], ['new', [false]]);
});

test('an empty frame says nothing', async (t) => {
  const warn = t.mock.method(console, 'warn', () => {});
  await connected(3);
  const item = world.client.send(C, text('kept'));
  world.client.sync();
  socket().sent = [];
  await socket().say('', ' ', '\r\n');
  await world.clock.advance(5_000);
  assert.deepEqual([outbox(), socket().sent, warn.mock.callCount()], [[item], [], 0]);
});

test('nonsense from the server breaks nothing', async (t) => {
  t.mock.method(console, 'warn', () => {});
  await connected(3);
  const item = world.client.send(C, text('kept'));
  const odd = [{ type: 'message' }, { type: 'sent' }, { type: 'batch', conversation_id: C }, { type: 'synced' },
    { type: 'error' }, { type: 'news' }, { type: 'message', conversation_id: C, seq: '4', content: null }];
  await socket().say('null', '[]', '7', '{', ...odd);
  assert.deepEqual(world.client.conversation(C).outbox, [item]);
  await socket().say(message(entry(4)));
  assert.deepEqual(seqs(), [1, 2, 3, 4]);
});
