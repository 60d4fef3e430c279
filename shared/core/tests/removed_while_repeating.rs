//! Whoever repeats a change of a group delivers it again, to those who belonged when it was stored, whatever happened
//! to the group since the members were read.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, Seq, UserId};
use petrel_core::ports::{Connection, Connections};
use petrel_core::services::NewGroup;
use petrel_core::testing::{Meanwhile, Memory, Racing};
use petrel_core::{App, Caller, Result};

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn ana() -> Caller {
    Caller::http(user("ana"))
}

/// Before the recent entries are read: ana removes bo, adds cy, and removes cy again.
struct Changes(Arc<Memory>, AtomicBool);

#[async_trait]
impl Meanwhile for Changes {
    async fn before_newest(&self, c: &ConversationId, limit: usize) -> Result<()> {
        // The head alone is read before the members are.
        if limit > 1 && !self.1.swap(true, Ordering::SeqCst) {
            let app = self.0.app();
            app.remove_members(&ana(), c, &[user("bo")]).await?;
            app.add_members(&ana(), c, &[user("cy")]).await?;
            app.remove_members(&ana(), c, &[user("cy")]).await?;
        }
        Ok(())
    }
}

#[test]
fn nobody_hears_of_a_change_after_their_own_removal() {
    block_on(async {
        let memory = Arc::new(Memory::default());
        let app = memory.app();
        let bo = Connection {
            user: user("bo"),
            device: DeviceId::parse("bo").unwrap(),
            id: ConnectionId::parse("bo").unwrap(),
            connected_at: 0,
        };
        memory.register(&bo).await.unwrap();
        let members = vec![user("bo"), user("cy")];
        let group = NewGroup { name: "trip".into(), members, request_id: None };
        let group = app.create_group(&ana(), group).await.unwrap().conversation_id;
        app.remove_members(&ana(), &group, &[user("cy")]).await.unwrap();

        let log = Racing::new(memory.clone(), Changes(memory.clone(), AtomicBool::new(false)));
        let app = App { log, ..app };
        let again = app.remove_members(&ana(), &group, &[user("cy")]).await.unwrap().unwrap();
        assert_eq!(again.seq, Seq::new(5));
        let heard = |seq: u64| {
            memory.posts().iter().any(|(_, frame)| frame.contains(&format!("\"seq\":{seq},")))
        };
        // His own removal he hears of.
        assert!(heard(3));
        assert!(!heard(4) && !heard(5));
    });
}
