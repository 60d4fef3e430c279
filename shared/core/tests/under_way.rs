//! A put that is refused because another one at the same place is under way, as DynamoDB does beside a transaction: the
//! place may be free still, and the call tries again.

#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::executor::block_on;
use petrel_core::ids::{Seq, UserId};
use petrel_core::message::Entry;
use petrel_core::ports::Put;
use petrel_core::services::NewGroup;
use petrel_core::testing::{Meanwhile, Memory, Racing};
use petrel_core::{App, Caller, ErrorKind, Result};

/// Refuses so many puts.
struct Refuses(AtomicUsize);

#[async_trait]
impl Meanwhile for Refuses {
    async fn before_put(&self, _: &Entry) -> Result<Option<Put>> {
        let left = |n: usize| n.checked_sub(1);
        let refused = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left).is_ok();
        Ok(refused.then_some(Put::Taken))
    }
}

fn found(refusals: usize) -> Result<Entry> {
    let memory = Arc::new(Memory::default());
    let log = Racing::new(memory.clone(), Refuses(AtomicUsize::new(refusals)));
    let app = App { log, ..memory.app() };
    let members = vec![UserId::parse("bo").unwrap()];
    let group = NewGroup { name: "trip".into(), members, request_id: None };
    block_on(app.create_group(&Caller::http(UserId::parse("ana").unwrap()), group))
}

#[test]
fn a_group_comes_into_being_all_the_same() {
    assert_eq!(found(3).unwrap().seq, Seq::FIRST);
}

#[test]
fn a_group_that_cannot_is_busy() {
    assert_eq!(found(usize::MAX).unwrap_err().kind, ErrorKind::Busy);
}
