//! Where pushes go on one machine: nowhere, but one can look at them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use petrel_core::Result;
use petrel_core::ids::{EndpointId, UserId};
use petrel_core::ports::{Notification, Notifier, Platform, Pushed};
use serde::Serialize;
use uuid::Uuid;

/// Pushes kept to be looked at.
const KEPT: usize = 10_000;

/// A push that was accepted.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    endpoint: EndpointId,
    #[serde(flatten)]
    notification: Notification,
}

/// The last pushes, newest last.
#[derive(Debug, Default)]
pub struct Sink(Mutex<VecDeque<Record>>);

impl Sink {
    /// What was pushed.
    pub fn records(&self) -> Vec<Record> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[async_trait]
impl Notifier for Sink {
    async fn endpoint(&self, platform: Platform, token: &str, _: &UserId) -> Result<EndpointId> {
        // The same token is the same endpoint, as at the push services.
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{platform:?} {token}").as_bytes());
        EndpointId::parse(&format!("local:{id}"))
    }

    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed {
        tracing::debug!(endpoint = %to, conversation = %notification.conversation_id, "push");
        let record = Record { endpoint: to.clone(), notification: notification.clone() };
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record);
        Pushed::Accepted
    }
}
