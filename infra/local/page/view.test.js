// What the page says about a conversation.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Conversation } from './petrel.js';
import { C, G, entry, text } from './testing.js';
import { preview, rows, titleOf, typingLine } from './view.js';

const mine = (seq, more) => entry(seq, { sender_id: 'ana', ...more });
const messages = (c) => rows(c).filter((row) => row.kind === 'message');

function direct(...run) {
  const c = new Conversation(C, 'ana');
  c.take(run);
  return c;
}

test('ticks say how far a message got, and no more', () => {
  const c = direct(mine(1), mine(2), mine(3));
  c.mark({ user_id: 'bo', delivered: 2, read: 1 });
  c.outbox.push({ message_id: 'x', content: text('waits'), at: 1 });
  c.outbox.push({ message_id: 'y', content: text('no'), at: 1, failed: { code: 'forbidden', message: 'not you' } });
  assert.deepEqual(messages(c).map((row) => row.state), ['read', 'delivered', 'sent', 'pending', 'failed']);

  const group = new Conversation(G, 'ana');
  group.take([mine(1)]);
  group.mark({ user_id: 'bo', delivered: 1, read: 1 });
  assert.equal(messages(group)[0].state, 'sent', 'one of several says nothing about the others');
});

test('edits, deletes, replies and reactions show on what they are about', () => {
  const [reply, edit, react, remove] = [
    { type: 'reply', target: 1, text: 'yes' }, { type: 'edit', target: 1, text: 'better' },
    { type: 'reaction', target: 2, emoji: '👍' }, { type: 'delete', target: 1 },
  ];
  const c = direct(entry(1), mine(2, { content: reply }), entry(3, { content: edit }), entry(4, { content: react }));
  const [first, second] = messages(c);
  assert.deepEqual([first.line, first.edited, messages(c).length], ['better', true, 2]);
  assert.deepEqual([second.quoted, second.reactions], [
    { who: 'bo', line: 'better' }, [{ emoji: '👍', users: ['bo'], mine: false }],
  ]);
  c.take([entry(5, { content: remove })]);
  assert.deepEqual([messages(c)[0].line, messages(c)[1].quoted.line], ['Message deleted', 'Message deleted']);
});

test('membership reads as a sentence', () => {
  const change = (seq, sender_id, kind, members) =>
    entry(seq, { sender_id, content: { type: 'system', change: { kind, members, name: 'Team' } } });
  const c = new Conversation(G, 'ana');
  c.take([change(1, 'ana', 'created', ['ana', 'bo']), change(2, 'bo', 'added', ['cy', 'dee', 'ed']),
    change(3, 'cy', 'removed', ['cy']), change(4, 'bo', 'removed', ['ana'])]);
  assert.deepEqual(rows(c).filter((row) => row.kind === 'system').map((row) => row.line),
    ['You created “Team”', 'bo added cy, dee, and ed', 'cy left', 'bo removed you']);
  assert.deepEqual([titleOf(c, 'ana'), preview(c).line], ['Team', 'bo removed you']);
});

test('what holds for a conversation, and who may what, reads as a sentence', () => {
  const say = (sender_id, change) => {
    const c = direct(entry(1, { sender_id, content: { type: 'system', change } }));
    return rows(c).at(-1).line;
  };
  assert.equal(say('bo', { kind: 'role', member: 'ana', role: 'admin' }), 'bo made you admin');
  assert.equal(say('ana', { kind: 'updated', retention_days: 1 }), 'You let messages be kept for 1 day');
  assert.equal(say('bo', { kind: 'updated', retention_days: 30 }), 'bo let messages be kept for 30 days');
  assert.equal(say('bo', { kind: 'updated', retention_days: 0 }), 'bo let messages be kept as long as others are');
  assert.equal(say('bo', { kind: 'updated', name: 'Crew', avatar: null, post: 'admins', add: 'all' }),
    'bo named it “Crew”, took away the picture, let admins write, and let everyone add members');
});

test('a notice of the server is a line of its own, and nobody said it', () => {
  const c = direct(entry(1), entry(2, { sender_id: '@system', content: { type: 'notice', text: 'be kind' } }));
  const { kind, line } = rows(c).at(-1);
  assert.deepEqual([kind, line, preview(c).line], ['system', 'be kind', 'be kind']);
});

test('the list previews what was said last, also while it waits', () => {
  const c = direct(entry(1), entry(2, { content: { type: 'reaction', target: 1, emoji: '!' } }));
  assert.equal(preview(c).line, 'no 1');
  c.outbox.push({ message_id: 'x', content: text('soon'), at: 7 });
  assert.deepEqual(preview(c), { line: 'You: soon', at: 7 });
  assert.deepEqual([titleOf(c, 'ana'), titleOf(new Conversation('d:ana:ana', 'ana'), 'ana')], ['bo', 'Notes to self']);
});

test('typing names who types, and not oneself', () => {
  const c = direct(entry(1));
  assert.equal(typingLine(c, 'ana'), '');
  for (const user of ['ana', 'bo', 'cy']) c.typing.set(user, 0);
  assert.equal(typingLine(c, 'ana'), 'bo and cy are typing…');
});
