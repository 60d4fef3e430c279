//! Pushes: on one machine they go nowhere; wherever they go, one can look at them.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use petrel_core::Result;
use petrel_core::ids::{EndpointId, UserId};
use petrel_core::ports::{Notification, Notifier, Platform, Pushed};
use serde::Serialize;
use uuid::Uuid;

/// Pushes kept to be looked at.
const KEPT: usize = 10_000;

/// A push service that takes everything and passes nothing on.
#[derive(Debug)]
pub struct Sink;

#[async_trait]
impl Notifier for Sink {
    async fn endpoint(&self, platform: Platform, token: &str, _: &UserId) -> Result<EndpointId> {
        // The same token is the same endpoint, as at the push services.
        let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{platform:?} {token}").as_bytes());
        EndpointId::parse(&format!("local:{id}"))
    }

    async fn push(&self, _: &EndpointId, _: &Notification) -> Pushed {
        Pushed::Accepted
    }

    async fn remove(&self, _: &EndpointId) -> Result<()> {
        Ok(())
    }
}

/// A push that was accepted.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    endpoint: EndpointId,
    #[serde(flatten)]
    notification: Notification,
}

/// A push service, the last pushes that it accepted, newest last, and the endpoints that it made since the start and has still.
pub struct Recorder {
    service: Arc<dyn Notifier>,
    records: Mutex<VecDeque<Record>>,
    endpoints: Mutex<BTreeSet<EndpointId>>,
}

impl Recorder {
    /// Notes what this service accepts.
    pub fn new(service: Arc<dyn Notifier>) -> Self {
        Self { service, records: Mutex::default(), endpoints: Mutex::default() }
    }

    /// How many phones it knows of.
    pub fn endpoints(&self) -> usize {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// What was pushed.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[async_trait]
impl Notifier for Recorder {
    async fn endpoint(&self, platform: Platform, token: &str, user: &UserId) -> Result<EndpointId> {
        let endpoint = self.service.endpoint(platform, token, user).await?;
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        endpoints.insert(endpoint.clone());
        Ok(endpoint)
    }

    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed {
        let pushed = self.service.push(to, notification).await;
        if matches!(pushed, Pushed::Accepted) {
            tracing::debug!(conversation = %notification.conversation_id, "push");
            let record = Record { endpoint: to.clone(), notification: notification.clone() };
            let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
            if records.len() == KEPT {
                records.pop_front();
            }
            records.push_back(record);
        }
        pushed
    }

    async fn remove(&self, endpoint: &EndpointId) -> Result<()> {
        self.service.remove(endpoint).await?;
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner).remove(endpoint);
        Ok(())
    }
}
