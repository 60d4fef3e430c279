//! What lies beyond the tables: sockets, queues, phones, receivers, the clock.

use crate::error::{Error, Result};
use crate::events::Report;
use crate::ids::{ConnectionId, EndpointId, UserId};
use crate::ports::{
    Delivery, Gateway, Hooked, Job, Jobs, Moderation, Notification, Notifier, Platform, Posted,
    Pushed, Webhook, World,
};
use async_trait::async_trait;
use uuid::Uuid;

use super::Memory;

#[async_trait]
impl Gateway for Memory {
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted {
        let mut state = self.state();
        if state.gone.contains(to) {
            return Posted::Gone;
        }
        if state.overloaded.contains(to) {
            return Posted::Later;
        }
        state.posts.push((to.clone(), frame.to_owned()));
        Posted::Accepted
    }

    async fn close(&self, connection: &ConnectionId) -> Posted {
        let mut state = self.state();
        if state.gone.contains(connection) {
            return Posted::Gone;
        }
        if state.overloaded.contains(connection) {
            return Posted::Later;
        }
        state.gone.insert(connection.clone());
        state.closed.push(connection.clone());
        Posted::Accepted
    }
}

#[async_trait]
impl Jobs for Memory {
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()> {
        let mut state = self.state();
        if state.no_queue {
            return Err(Error::port("the queue is out"));
        }
        state.jobs.extend(jobs.into_iter().map(|job| (job, delay_s)));
        Ok(())
    }
}

#[async_trait]
impl Notifier for Memory {
    async fn endpoint(&self, platform: Platform, token: &str, _: &UserId) -> Result<EndpointId> {
        let endpoint = EndpointId::parse(&format!("{platform:?}/{token}"))?;
        let mut state = self.state();
        state.forgotten.remove(&endpoint);
        state.phones.insert(endpoint.clone());
        Ok(endpoint)
    }

    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed {
        let mut state = self.state();
        if state.disabled.contains(to) || state.forgotten.contains(to) {
            return Pushed::Disabled;
        }
        if state.pushes_later {
            return Pushed::Later;
        }
        state.pushes.push((to.clone(), notification.clone()));
        Pushed::Accepted
    }

    async fn remove(&self, endpoint: &EndpointId) -> Result<()> {
        let mut state = self.state();
        if state.pushes_later {
            return Err(Error::port("the push service is out"));
        }
        state.phones.remove(endpoint);
        state.forgotten.insert(endpoint.clone());
        Ok(())
    }
}

#[async_trait]
impl Webhook for Memory {
    async fn deliver(&self, delivery: &Delivery) -> Hooked {
        let mut state = self.state();
        if state.receiver_refuses {
            return Hooked::Refused { retry_after_s: None };
        }
        state.deliveries.push(delivery.clone());
        Hooked::Accepted
    }
}

#[async_trait]
impl Moderation for Memory {
    async fn report(&self, report: &Report) -> Result<()> {
        let mut state = self.state();
        if state.no_queue {
            return Err(Error::port("the topic is out"));
        }
        state.reports.push(report.clone());
        Ok(())
    }
}

#[async_trait]
impl World for Memory {
    /// Stands still unless [`Memory::pass`] is called: the hardest clock for `sent_at`.
    fn now_ms(&self) -> u64 {
        1_790_000_000_000 + self.state().ticks
    }

    fn new_id(&self) -> Uuid {
        let mut state = self.state();
        state.ids += 1;
        Uuid::from_u128(0x0192_f3c4_0000_7000_8000_0000_0000_0000 | u128::from(state.ids))
    }

    fn secret(&self) -> u128 {
        self.new_id().as_u128()
    }

    fn jitter(&self, _below: u64) -> u64 {
        0
    }

    async fn pause(&self, _ms: u64) {}
}
