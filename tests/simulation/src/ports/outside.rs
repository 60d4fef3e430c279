//! What lies beyond the tables: sockets, queues, phones, receivers, the clock.

use async_trait::async_trait;
use petrel_core::error::{Error, Result};
use petrel_core::events::Report;
use petrel_core::ids::{ConnectionId, EndpointId, UserId};
use petrel_core::ports::{
    Delivery, Gateway, Hooked, Job, Jobs, Moderation, Notification, Notifier, Platform, Posted,
    Pushed, Webhook, World,
};
use uuid::Uuid;

use super::Ports;
use crate::truth::{Write, Wrote};

#[async_trait]
impl Gateway for Ports {
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted {
        self.turn().await;
        let posted = self.hub.lock().post(self.invocation, to, frame);
        self.turn().await;
        posted
    }

    async fn close(&self, connection: &ConnectionId) -> Posted {
        self.turn().await;
        let posted = self.hub.lock().close_by_hand(self.invocation, connection);
        self.turn().await;
        posted
    }
}

#[async_trait]
impl Jobs for Ports {
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()> {
        self.turn().await;
        let queued = self.hub.lock().enqueue(self.invocation, jobs, delay_s);
        self.turn().await;
        if queued { Ok(()) } else { Err(Error::port("injected")) }
    }
}

#[async_trait]
impl Notifier for Ports {
    async fn endpoint(&self, _: Platform, token: &str, user: &UserId) -> Result<EndpointId> {
        let what = format!("notifier.endpoint {token}");
        if self.hub.lock().push_is_out() {
            return self.failed(&what);
        }
        let make = Write::MakeEndpoint(token.to_owned(), user.clone());
        let Wrote::Endpoint(id) = self.write(&what, make).await? else {
            return self.failed(&what);
        };
        let enable = Write::EnableEndpoint(id.clone(), user.clone());
        if self.write(&format!("{what}, enabled"), enable).await? == Wrote::No {
            // Somebody has let it be forgotten meanwhile.
            return self.failed(&what);
        }
        if let Some(notes) = self.hub.lock().notes.get_mut(&self.invocation) {
            notes.endpoint = Some(id.clone());
        }
        Ok(id)
    }

    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed {
        self.turn().await;
        let pushed = self.hub.lock().push(self.invocation, to, notification);
        self.turn().await;
        pushed
    }

    async fn remove(&self, endpoint: &EndpointId) -> Result<()> {
        let what = format!("notifier.remove {endpoint}");
        // Nobody needs it in order to sign out.
        let hurt = self.hub.lock().notes.get(&self.invocation).is_some_and(|n| n.hurt);
        let out = self.hub.lock().push_is_out();
        let forget = Write::ForgetEndpoint(endpoint.clone());
        let removed = if out { self.failed(&what) } else { self.write(&what, forget).await };
        let mut core = self.hub.lock();
        if removed.is_err() {
            core.is_left(endpoint, self.invocation);
            core.notes.get_mut(&self.invocation).into_iter().for_each(|n| n.hurt = hurt);
        }
        removed.map(drop)
    }
}

#[async_trait]
impl Webhook for Ports {
    async fn deliver(&self, delivery: &Delivery) -> Hooked {
        self.turn().await;
        let hooked = self.hub.lock().hook(self.invocation, delivery);
        self.turn().await;
        hooked
    }
}

#[async_trait]
impl Moderation for Ports {
    async fn report(&self, report: &Report) -> Result<()> {
        let by = self.invocation;
        self.read("moderation.report", |core| core.must_report(by, report)).await
    }
}

#[async_trait]
impl World for Ports {
    fn now_ms(&self) -> u64 {
        self.hub.lock().now.saturating_add_signed(self.skew)
    }

    fn new_id(&self) -> Uuid {
        self.hub.lock().uuid()
    }

    fn secret(&self) -> u128 {
        self.hub.lock().uuid().as_u128()
    }

    fn jitter(&self, below: u64) -> u64 {
        self.hub.lock().dice.below(below)
    }

    async fn pause(&self, ms: u64) {
        self.hub.turn(self.invocation, ms).await;
    }
}
