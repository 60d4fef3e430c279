//! Who writes into a group while it comes into being reaches everyone of it, also those whose rows were not there yet when
//! the members were read: the founding entry names them.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::group::Role;
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, Seq, UserId};
use petrel_core::message::Content;
use petrel_core::ports::{Connection, Connections, Conversations, mint};
use petrel_core::services::{NewGroup, Outgoing, SendRequest};
use petrel_core::testing::{Meanwhile, Memory, Racing};
use petrel_core::{App, Caller, Result};

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn trip() -> NewGroup {
    let members = vec![user("bo"), user("cy")];
    NewGroup { name: "trip".into(), members, request_id: Some("1".into()) }
}

/// Before the log is read, and after the members were: ana founds the group to its end.
struct Founds(Arc<Memory>, AtomicBool);

#[async_trait]
impl Meanwhile for Founds {
    async fn before_newest(&self, _: &ConversationId, _: usize) -> Result<()> {
        if !self.1.swap(true, Ordering::SeqCst) {
            let mut waited = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            self.0.app().create_group(&Caller::http(user("ana")), trip()).await?;
        }
        Ok(())
    }
}

#[test]
fn a_message_reaches_those_whose_rows_came_later() {
    block_on(async {
        // The id of a group derives from who founds it and from his request.
        let elsewhere = Arc::new(Memory::default());
        let made = elsewhere.app().create_group(&Caller::http(user("ana")), trip()).await.unwrap();
        let group = made.conversation_id;
        let info = elsewhere.roster(&group, 10).await.unwrap().info.unwrap();

        let memory = Arc::new(Memory::default());
        let cy = Connection {
            user: user("cy"),
            device: DeviceId::parse("cy").unwrap(),
            id: ConnectionId::parse("cy").unwrap(),
            connected_at: 0,
        };
        memory.register(&cy).await.unwrap();
        let some = [(user("ana"), Role::Owner), (user("bo"), Role::Member)];
        memory.found(&group, &info, &some).await.unwrap();

        let log = Racing::new(memory.clone(), Founds(memory.clone(), AtomicBool::new(false)));
        let app = App { log, ..memory.app() };
        let message = Outgoing { message_id: mint(&*memory), content: Content::text("hi") };
        let send = SendRequest { conversation: group, seen: None, messages: vec![message] };
        let sent = app.send(&Caller::http(user("bo")), send).await.unwrap().remove(0).unwrap();
        assert_eq!(sent.seq, Seq::new(2));
        let heard = memory.posts().iter().any(|(_, frame)| frame.contains("\"seq\":2,"));
        assert!(heard, "cy belongs, and was told nothing");
    });
}
