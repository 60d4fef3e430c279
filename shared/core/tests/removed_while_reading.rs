//! Whoever is removed while a call of theirs reads the log gets nothing of what was stored since.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::message::Content;
use petrel_core::ports::mint;
use petrel_core::services::{NewGroup, Outgoing, Range, SendRequest, SyncRequest};
use petrel_core::testing::{Meanwhile, Memory, Racing};
use petrel_core::{App, Caller, ErrorKind, Result};

/// Before the first read of the group's log of this kind: bo is removed, and then a secret is stored.
struct RemovesBo {
    memory: Arc<Memory>,
    group: ConversationId,
    before: Read,
    /// Whether bo is added again after that, to read from there on.
    again: bool,
    done: AtomicBool,
}

#[derive(Clone, Copy, PartialEq)]
enum Read {
    /// Of the head.
    Newest,
    /// Of what lies above the cursor.
    After,
}

impl RemovesBo {
    async fn pass(&self, read: Read, c: &ConversationId) {
        let now = read == self.before && *c == self.group;
        if now && !self.done.swap(true, Ordering::SeqCst) {
            let app = self.memory.app();
            let bo = [UserId::parse("bo").unwrap()];
            app.remove_members(&caller("ana"), c, &bo).await.unwrap();
            say(&app, c, "a secret").await;
            if self.again {
                app.add_members(&caller("ana"), c, &bo).await.unwrap();
            }
        }
    }
}

fn caller(name: &str) -> Caller {
    Caller::http(UserId::parse(name).unwrap())
}

async fn say(app: &App, group: &ConversationId, words: &str) {
    let content = Content::text(words);
    let messages = vec![Outgoing { message_id: mint(&*app.world), content }];
    let send = SendRequest { conversation: group.clone(), seen: None, messages };
    app.send(&caller("ana"), send).await.unwrap();
}

#[async_trait]
impl Meanwhile for RemovesBo {
    async fn before_newest(&self, c: &ConversationId, _: usize) -> Result<()> {
        self.pass(Read::Newest, c).await;
        Ok(())
    }

    async fn before_after(&self, c: &ConversationId) -> Result<()> {
        self.pass(Read::After, c).await;
        Ok(())
    }
}

async fn group_of_two(memory: &Arc<Memory>) -> ConversationId {
    let members = vec![UserId::parse("bo").unwrap()];
    let group = NewGroup { name: "trip".into(), members, request_id: None };
    let app = memory.app();
    let group = app.create_group(&caller("ana"), group).await.unwrap().conversation_id;
    say(&app, &group, "for bo too").await;
    group
}

/// A group of ana and bo, from which bo is about to be removed.
async fn about_to_be_removed(before: Read, again: bool) -> (Arc<Memory>, App, ConversationId) {
    let memory = Arc::new(Memory::default());
    let group = group_of_two(&memory).await;
    let removes = RemovesBo {
        memory: memory.clone(),
        group: group.clone(),
        before,
        again,
        done: false.into(),
    };
    let app = App { log: Racing::new(memory.clone(), removes), ..memory.app() };
    (memory, app, group)
}

/// Before what lies above bo's cursor is read; and before the heads are, where the head is all that lies above it.
const CASES: [(Read, u64, bool); 4] = [
    (Read::After, 0, false),
    (Read::After, 0, true),
    (Read::Newest, 3, false),
    (Read::Newest, 4, true),
];

fn sync(cursors: &[(&ConversationId, u64)]) -> SyncRequest {
    let cursors = cursors.iter().map(|(c, seq)| ((*c).clone(), Seq::new(*seq))).collect();
    SyncRequest { cursors, limit: 200, tail: false, page: None }
}

#[test]
fn history_answers_not_a_member() {
    block_on(async {
        for again in [false, true] {
            let (_, app, group) = about_to_be_removed(Read::After, again).await;
            let page = app.history(&caller("bo"), &group, Range::After(Seq::ZERO), 100).await;
            assert_eq!(page.unwrap_err().kind, ErrorKind::NotAMember);
        }
    });
}

#[test]
fn receipts_answer_not_a_member() {
    block_on(async {
        for again in [false, true] {
            let (_, app, group) = about_to_be_removed(Read::Newest, again).await;
            let receipts = app.receipts(&caller("bo"), &group, Seq::new(4), None).await;
            assert_eq!(receipts.unwrap_err().kind, ErrorKind::NotAMember);
        }
    });
}

#[test]
fn the_group_answers_not_a_member() {
    block_on(async {
        let (_, app, group) = about_to_be_removed(Read::Newest, false).await;
        let found = app.group(&caller("bo"), &group).await;
        assert_eq!(found.unwrap_err().kind, ErrorKind::NotAMember);
        // Who is added again meanwhile belongs.
        let (_, app, group) = about_to_be_removed(Read::Newest, true).await;
        assert_eq!(app.group(&caller("bo"), &group).await.unwrap().members.len(), 2);
    });
}

#[test]
fn sync_leaves_the_conversation_out() {
    block_on(async {
        for (before, cursor, again) in CASES {
            let (_, app, group) = about_to_be_removed(before, again).await;
            let synced = app.sync(&caller("bo"), &sync(&[(&group, cursor)])).await.unwrap();
            assert!(synced.batches.is_empty() && synced.conversations.is_empty());
        }
    });
}

#[test]
fn the_list_without_messages_leaves_the_conversation_out() {
    block_on(async {
        for again in [false, true] {
            let (memory, app, group) = about_to_be_removed(Read::Newest, again).await;
            let other = group_of_two(&memory).await;
            let listed = app.overview(&caller("bo"), None).await.unwrap().conversations;
            assert_eq!(listed.iter().map(|c| &c.id).collect::<Vec<_>>(), [&other]);
            let listed = app.overview(&caller("bo"), None).await.unwrap().conversations;
            assert_eq!(listed.iter().any(|c| c.id == group), again, "the next time");
        }
    });
}

#[test]
fn sync_leaves_out_no_other_conversation() {
    block_on(async {
        for (before, cursor, again) in CASES {
            let (memory, app, group) = about_to_be_removed(before, again).await;
            let others = [group_of_two(&memory).await, group_of_two(&memory).await];
            let cursors = sync(&[(&group, cursor), (&others[0], 0), (&others[1], 1)]);
            let synced = app.sync(&caller("bo"), &cursors).await.unwrap();
            let found: Vec<_> = synced
                .batches
                .iter()
                .map(|b| (&b.conversation, b.messages.len(), b.more))
                .collect();
            assert_eq!(found, [(&others[0], 2, false), (&others[1], 1, false)]);
            let listed: Vec<_> = synced.conversations.iter().map(|c| &c.id).collect();
            assert_eq!(listed, [&others[0], &others[1]]);
        }
    });
}
