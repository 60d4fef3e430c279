//! The protocol's frames, each defined once. Flat, snake_case, times in ms since 1970.

mod client;
#[cfg(feature = "schema")]
pub mod documents;
pub mod people;
pub mod query;
pub mod rest;
#[cfg(feature = "schema")]
pub mod schema;
pub mod webhook;

pub use client::{ClientFrame, Composing, SendFrame, SendItem};
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::ids::{ConversationId, MessageId, Seq, UserId};
use crate::message::{Content, Entry};
use crate::ports::OwnState;
use crate::services::{Conversation, Page, Presence, Receipt, SendResult, Sent, Synced};

/// An entry inside a `batch`: without `type` and `conversation_id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EntryFrame {
    seq: Seq,
    ordinal: u64,
    message_id: MessageId,
    sender_id: UserId,
    sent_at: u64,
    content: Content,
}

impl From<&Entry> for EntryFrame {
    fn from(entry: &Entry) -> Self {
        Self {
            seq: entry.seq,
            ordinal: entry.ordinal,
            message_id: entry.message_id,
            sender_id: entry.sender_id.clone(),
            sent_at: entry.sent_at,
            content: entry.content.clone(),
        }
    }
}

/// What the server sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(
    clippy::large_enum_variant,
    reason = "most frames are the large one, and each is on its way out"
)]
pub enum ServerFrame {
    /// The message stands at `seq`.
    Sent {
        /// Which message.
        message_id: MessageId,
        /// Where.
        conversation_id: ConversationId,
        /// Its place.
        seq: Seq,
        /// When it was stored.
        sent_at: u64,
        /// Whether an earlier frame had stored it.
        duplicate: bool,
    },
    /// What became of each of several messages; after a failure the rest was not tried.
    #[serde(rename = "sent")]
    SentBatch {
        /// Where.
        conversation_id: ConversationId,
        /// In the order of the frame.
        results: Vec<ResultFrame>,
    },
    /// A new entry.
    Message {
        /// Where.
        conversation_id: ConversationId,
        /// The entry.
        #[serde(flatten)]
        entry: EntryFrame,
    },
    /// A stretch of the log.
    Batch {
        /// Where.
        conversation_id: ConversationId,
        /// Oldest first, without a hole.
        messages: Vec<EntryFrame>,
        /// Whether there is more on that side; above, after `around`.
        more: bool,
        /// After `around`: whether there is more below.
        #[serde(skip_serializing_if = "Option::is_none")]
        more_before: Option<bool>,
    },
    /// How far someone got.
    Receipt {
        /// Where.
        conversation_id: ConversationId,
        /// Who.
        user_id: UserId,
        /// Highest seq on a device.
        delivered: Seq,
        /// Highest seq that was read.
        read: Seq,
    },
    /// Someone types, or has stopped.
    Typing {
        /// Where.
        conversation_id: ConversationId,
        /// Who.
        user_id: UserId,
        /// Whether it goes on.
        active: bool,
        /// What they make; text if it is not there.
        #[serde(skip_serializing_if = "Option::is_none")]
        kind: Option<Composing>,
    },
    /// What the user chose for a conversation, on another device. Of two, the higher `version` is the newer.
    State {
        /// Which conversation.
        conversation_id: ConversationId,
        /// All of it.
        #[serde(flatten)]
        state: OwnState,
    },
    /// Who is online: the answer to who asked, or a change of someone who is watched.
    Presence {
        /// By id.
        users: Vec<PresenceFrame>,
    },
    /// The end of a sync.
    Synced {
        /// The state of each conversation.
        conversations: Vec<ConversationFrame>,
        /// Where to go on, if there are more.
        page: Option<ConversationId>,
    },
    /// A refusal or a failure.
    Error {
        /// Stable; see the protocol document.
        code: &'static str,
        /// For the developer of a client.
        message: String,
        /// What it answers.
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<String>,
        /// Always with a `send`.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
        /// When to try again, ms.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
}

/// A frame that answers another: with the `request_id` that the other carried, if it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Answer {
    /// The frame.
    #[serde(flatten)]
    pub frame: ServerFrame,
    /// What the client calls its request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Answer {
    /// Longest `request_id` that is echoed, bytes.
    const MAX_REQUEST_ID: usize = 64;

    /// The frame as the answer to this one. A `request_id` that is no string, or too long a one, is not echoed.
    pub fn new(frame: ServerFrame, to: &Value) -> Self {
        let id = to.get("request_id").and_then(Value::as_str);
        let id = id.filter(|id| id.len() <= Self::MAX_REQUEST_ID);
        Self { frame, request_id: id.map(str::to_owned) }
    }

    /// The frame as it goes over the wire.
    pub fn to_json(&self) -> String {
        // Cannot fail: no frame has a map whose keys are not strings, or a float.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// What became of one message of several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ResultFrame {
    /// It stands at `seq`.
    Sent {
        /// Which message.
        message_id: MessageId,
        /// Its place.
        seq: Seq,
        /// When it was stored.
        sent_at: u64,
        /// Whether an earlier frame had stored it.
        duplicate: bool,
    },
    /// It was refused, or failed.
    Failed {
        /// Which message.
        message_id: MessageId,
        /// Why.
        error: ErrorFrame,
    },
}

/// Why one message of several was not stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorFrame {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl From<&SendResult> for ResultFrame {
    fn from(result: &SendResult) -> Self {
        match result {
            Ok(Sent { message_id, seq, sent_at, duplicate }) => Self::Sent {
                message_id: *message_id,
                seq: *seq,
                sent_at: *sent_at,
                duplicate: *duplicate,
            },
            Err((message_id, error)) => Self::Failed {
                message_id: *message_id,
                error: ErrorFrame {
                    code: error.kind.code(),
                    message: error.message.clone(),
                    retry_after_ms: error.retry_after_ms,
                },
            },
        }
    }
}

/// One user in `presence`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PresenceFrame {
    user_id: UserId,
    /// Whether one of the user's devices holds a socket open.
    online: bool,
    /// When the last one ended, ms since 1970; `null` if online, and where it is not known or not shown.
    last_seen: Option<u64>,
}

impl From<&Presence> for PresenceFrame {
    fn from(presence: &Presence) -> Self {
        Self {
            user_id: presence.user.clone(),
            online: presence.online,
            last_seen: presence.last_seen,
        }
    }
}

/// One conversation in `synced`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConversationFrame {
    id: ConversationId,
    head: Seq,
    sent_through: Seq,
    delivered: Seq,
    read: Seq,
    unread: u64,
    /// What the user chose for it, if he ever did.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<OwnState>,
    /// `true` if messages above `sent_through` cannot be read at present: sync again later, not at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    unavailable: Option<bool>,
}

impl From<&Conversation> for ConversationFrame {
    fn from(c: &Conversation) -> Self {
        Self {
            id: c.id.clone(),
            head: c.head,
            sent_through: c.sent_through,
            delivered: c.marks.delivered,
            read: c.marks.read,
            unread: c.unread,
            state: (c.own.version > 0).then_some(c.own),
            unavailable: c.unavailable.then_some(true),
        }
    }
}

impl ServerFrame {
    /// `message`.
    pub fn message(entry: &Entry) -> Self {
        Self::Message { conversation_id: entry.conversation_id.clone(), entry: entry.into() }
    }

    /// `batch`.
    pub fn batch(page: &Page) -> Self {
        Self::Batch {
            conversation_id: page.conversation.clone(),
            messages: page.messages.iter().map(EntryFrame::from).collect(),
            more: page.more,
            more_before: page.more_before,
        }
    }

    /// `receipt`.
    pub fn receipt(receipt: &Receipt) -> Self {
        Self::Receipt {
            conversation_id: receipt.conversation.clone(),
            user_id: receipt.user.clone(),
            delivered: receipt.marks.delivered,
            read: receipt.marks.read,
        }
    }

    /// `sent`, or the `error` that answers a `send` of one message.
    pub fn send_result(conversation_id: ConversationId, result: &SendResult) -> Self {
        match result {
            Ok(Sent { message_id, seq, sent_at, duplicate }) => Self::Sent {
                message_id: *message_id,
                conversation_id,
                seq: *seq,
                sent_at: *sent_at,
                duplicate: *duplicate,
            },
            Err((id, error)) => Self::error(error, Some("send"), Some(*id)),
        }
    }

    /// `sent` for a `send` of several messages.
    pub fn sent_batch(conversation_id: ConversationId, results: &[SendResult]) -> Self {
        let results = results.iter().map(ResultFrame::from).collect();
        Self::SentBatch { conversation_id, results }
    }

    /// `presence`.
    pub fn presence(users: &[Presence]) -> Self {
        Self::Presence { users: users.iter().map(PresenceFrame::from).collect() }
    }

    /// `synced`.
    pub fn synced(synced: &Synced) -> Self {
        Self::Synced {
            conversations: synced.conversations.iter().map(ConversationFrame::from).collect(),
            page: synced.page.clone(),
        }
    }

    /// `state`.
    pub fn state(conversation_id: ConversationId, state: OwnState) -> Self {
        Self::State { conversation_id, state }
    }

    /// `error`.
    pub fn error(error: &Error, action: Option<&str>, message_id: Option<MessageId>) -> Self {
        Self::Error {
            code: error.kind.code(),
            message: error.message.clone(),
            action: action.map(str::to_owned),
            message_id,
            retry_after_ms: error.retry_after_ms,
        }
    }

    /// The frame as it goes over the wire.
    pub fn to_json(&self) -> String {
        // Cannot fail: no frame has a map whose keys are not strings, or a float.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_frame_is_flat_and_reads_as_documented() {
        let entry = Entry {
            conversation_id: ConversationId::parse("d:ana:bo").unwrap(),
            seq: Seq::new(42),
            ordinal: 40,
            message_id: MessageId::parse("0192f3c4-0000-7000-8000-000000000001").unwrap(),
            sender_id: UserId::parse("ana").unwrap(),
            sent_at: 1_790_000_000_123,
            content: Content::text("hi"),
            level: 0,
            edits: vec![],
        };
        let frame: serde_json::Value =
            serde_json::from_str(&ServerFrame::message(&entry).to_json()).unwrap();
        let expected = serde_json::json!({
            "type": "message", "conversation_id": "d:ana:bo", "seq": 42, "ordinal": 40,
            "message_id": "0192f3c4-0000-7000-8000-000000000001", "sender_id": "ana",
            "sent_at": 1_790_000_000_123_u64, "content": {"type": "text", "text": "hi"}
        });
        assert_eq!(frame, expected);
    }
}
