//! What is told to the outside, beyond the members: that something stands in a log, and that a member reports something.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{ConversationId, Seq, UserId};
use crate::message::{Content, Entry};

/// The namespace of event ids and report ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x7065_7472_656c_4000_8000_6576_656e_7473);

/// Why a message is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Reason {
    /// Advertising, fraud.
    Spam,
    /// Insults, harassment, hate.
    Abuse,
    /// Threats, violence.
    Violence,
    /// Sexual content that nobody asked for.
    Sexual,
    /// Children are in danger.
    ChildSafety,
    /// Someone may harm themselves.
    SelfHarm,
    /// Anything else that is against the law.
    Illegal,
    /// What none of these says.
    Other,
}

/// A message that a member reports, with what he may read around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The same for the same reporter and message, however often it is reported.
    pub report_id: Uuid,
    /// Where.
    pub conversation_id: ConversationId,
    /// By whom.
    pub reporter_id: UserId,
    /// When, ms since 1970.
    pub reported_at: u64,
    /// Why.
    pub reason: Reason,
    /// In his words.
    pub comment: Option<String>,
    /// What is reported.
    pub message: Entry,
    /// What stands before and after it, oldest first.
    pub context: Vec<Entry>,
}

impl Report {
    /// The id of this user's report of this entry.
    pub fn id(conversation: &ConversationId, seq: Seq, reporter: &UserId) -> Uuid {
        // None of them holds a line break.
        let name = format!("report\n{conversation}\n{seq}\n{reporter}");
        Uuid::new_v5(&NAMESPACE, name.as_bytes())
    }
}

/// What a webhook tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "nearly every event is the large one")]
pub enum Event {
    /// An entry stands in a log.
    Stored(Entry),
    /// A message is reported.
    Reported(Box<Report>),
}

impl Event {
    /// Names the event, the same however often it is told: a receiver that keeps it drops what comes twice.
    pub fn id(&self) -> String {
        let id = match self {
            Self::Stored(entry) => {
                let name = format!("entry\n{}\n{}", entry.conversation_id, entry.seq);
                Uuid::new_v5(&NAMESPACE, name.as_bytes())
            }
            Self::Reported(report) => report.report_id,
        };
        format!("msg_{}", id.simple())
    }

    /// Its type on the wire.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Stored(Entry { content: Content::System { .. }, .. }) => "conversation.changed",
            Self::Stored(_) => "message.created",
            Self::Reported(_) => "message.reported",
        }
    }

    /// When it happened, ms since 1970.
    pub const fn at(&self) -> u64 {
        match self {
            Self::Stored(entry) => entry.sent_at,
            Self::Reported(report) => report.reported_at,
        }
    }

    /// Which entry it is about.
    pub const fn about(&self) -> &Entry {
        match self {
            Self::Stored(entry) => entry,
            Self::Reported(report) => &report.message,
        }
    }
}
