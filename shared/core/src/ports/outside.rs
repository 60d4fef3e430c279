//! The ways out: to sockets, queues, phones, receivers and moderators.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::events::{Event, Report};
use crate::ids::{ConnectionId, ConversationId, EndpointId, MediaId, Seq, UserId};
use crate::message::Entry;

/// What became of a frame that was posted to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The gateway took it. That is no proof that the device has it.
    Accepted,
    /// There is no such connection (410).
    Gone,
    /// The gateway is overloaded or failed (429, 5xx): try again later.
    Later,
}

/// The gateway's way back to the devices.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Posts one frame to one connection. Must not block on a slow reader.
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted;

    /// Closes one connection. `Gone` also of one whose `$connect` has not returned, which then opens all the same.
    async fn close(&self, connection: &ConnectionId) -> Posted;
}

/// Work that one function hands to another through a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// Deliver an entry to these members (at most 100).
    FanOut {
        /// What to deliver.
        entry: Entry,
        /// To whom.
        to: Vec<UserId>,
        /// The connection that sent it and needs no copy.
        except: Option<ConnectionId>,
        /// How often it was put back because the gateway was overloaded.
        attempt: u8,
    },
    /// Wake the phones of these users (at most 100), except of those who have `seq` by then. On a phone, pushes
    /// collapse per conversation.
    Push {
        /// Whom.
        to: Vec<UserId>,
        /// About which conversation.
        conversation: ConversationId,
        /// The entry that they may not have.
        seq: Seq,
        /// How often it was put back because the push service was overloaded.
        attempt: u8,
    },
    /// Look whether a user is where his watchers think, and tell them if not.
    Presence {
        /// Whom.
        user: UserId,
    },
    /// Tell the operator's receiver of an event.
    Webhook {
        /// Of what.
        event: Event,
        /// How often it was put back because the receiver did not take it.
        attempt: u8,
    },
}

/// The queues.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Queues every job, to run after `delay_s` seconds (0 to 900), or fails; on failure some may be queued.
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()>;
}

/// Who delivers pushes to a kind of phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Platform {
    /// Apple, production.
    Apns,
    /// Apple, development builds.
    ApnsSandbox,
    /// Firebase Cloud Messaging.
    Fcm,
}

/// What a phone shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The conversation; also the key by which a phone replaces an older one.
    pub conversation_id: ConversationId,
    /// The entry that it announces.
    pub seq: Seq,
    /// Who wrote it.
    pub sender_id: UserId,
    /// The name that they go by, if they have set one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    /// Their picture, if they have one: whoever knows its id may fetch it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_avatar: Option<MediaId>,
    /// The first words; `None` for what the server cannot or may not read.
    pub preview: Option<String>,
    /// What the icon shows: how many messages the user has not read, in conversations that are neither muted nor
    /// archived. `None`: it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub badge: Option<u64>,
    /// Whether the message mentions the user.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mentioned: bool,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The push service took it.
    Accepted,
    /// The device takes no more pushes at this endpoint.
    Disabled,
    /// The push service is overloaded or failed: try again later.
    Later,
}

/// The way to the phones.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Makes an endpoint of a device's token, or finds the one that the token has, enabled again. Must fail with
    /// `bad_request` for a platform that is not set up or a token that the push service refuses.
    async fn endpoint(&self, platform: Platform, token: &str, user: &UserId) -> Result<EndpointId>;

    /// Pushes one notification to one device.
    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed;

    /// Makes the push service forget an endpoint and its token, if it is there. One of a platform that is not set up is
    /// out of reach, and counts as forgotten. May be repeated.
    async fn remove(&self, endpoint: &EndpointId) -> Result<()>;
}

/// One event on its way to the operator's receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// [`Event::id`].
    pub id: String,
    /// When this attempt is made, s since 1970: a receiver refuses what is old.
    pub timestamp_s: u64,
    /// JSON.
    pub body: String,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooked {
    /// The receiver took it (2xx).
    Accepted,
    /// It did not, or did not answer in time, and may have it all the same. It may have said when to come again.
    Refused {
        /// After so many seconds.
        retry_after_s: Option<u32>,
    },
}

/// The way to the operator's receiver.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// Delivers one event, signed. Must come back within a bounded time, and read no more of the answer than it needs.
    async fn deliver(&self, delivery: &Delivery) -> Hooked;
}

/// The way to those who look at reports.
#[async_trait]
pub trait Moderation: Send + Sync {
    /// Hands a report on. May be called again with the same report.
    async fn report(&self, report: &Report) -> Result<()>;
}
