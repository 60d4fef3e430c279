//! Whoever is removed while a call of theirs reads the log gets nothing of what was stored since.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Log, Put, mint};
use petrel_core::services::{NewGroup, Outgoing, Range, SendRequest, SyncRequest};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller, ErrorKind, Result};

/// Before the first long read of the log: bo is removed, and then a secret is stored.
struct RemovesBo {
    memory: Arc<Memory>,
    done: AtomicBool,
}

fn caller(name: &str) -> Caller {
    Caller::http(UserId::parse(name).unwrap())
}

async fn say(app: &App, group: &ConversationId, words: &str) {
    let content = Content::Text { text: words.into() };
    let messages = vec![Outgoing { message_id: mint(&*app.world), content }];
    let send = SendRequest { conversation: group.clone(), seen: None, messages };
    app.send(&caller("ana"), send).await.unwrap();
}

#[async_trait]
impl Log for RemovesBo {
    async fn newest(
        &self,
        c: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        self.memory.newest(c, from, before, limit).await
    }

    async fn after(&self, c: &ConversationId, after: Seq, limit: usize) -> Result<Vec<Entry>> {
        if !self.done.swap(true, Ordering::SeqCst) {
            let app = self.memory.app();
            let bo = [UserId::parse("bo").unwrap()];
            app.remove_members(&caller("ana"), c, &bo).await.unwrap();
            say(&app, c, "a secret").await;
        }
        self.memory.after(c, after, limit).await
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        self.memory.put(entry).await
    }
}

/// A group of ana and bo, from which bo is about to be removed.
async fn about_to_be_removed() -> (App, ConversationId) {
    let memory = Arc::new(Memory::default());
    let members = vec![UserId::parse("bo").unwrap()];
    let group = NewGroup { name: "trip".into(), members, request_id: None };
    let group = memory.app().create_group(&caller("ana"), group).await.unwrap().conversation_id;
    say(&memory.app(), &group, "for bo too").await;
    let log = Arc::new(RemovesBo { memory: memory.clone(), done: AtomicBool::new(false) });
    (App { log, ..memory.app() }, group)
}

#[test]
fn history_answers_not_a_member() {
    block_on(async {
        let (app, group) = about_to_be_removed().await;
        let page = app.history(&caller("bo"), &group, Range::After(Seq::ZERO), 100).await;
        assert_eq!(page.unwrap_err().kind, ErrorKind::NotAMember);
    });
}

#[test]
fn sync_leaves_the_conversation_out() {
    block_on(async {
        let (app, group) = about_to_be_removed().await;
        let cursors = [(group, Seq::ZERO)].into();
        let sync = SyncRequest { cursors, limit: 200, tail: false, page: None };
        let synced = app.sync(&caller("bo"), &sync).await.unwrap();
        assert!(synced.batches.is_empty() && synced.conversations.is_empty());
    });
}
