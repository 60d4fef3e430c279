//! The protocol's frames, each defined once. Flat, snake_case, times in ms since 1970.

pub mod rest;
#[cfg(feature = "schema")]
pub mod schema;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, MessageId, Seq, UserId};
use crate::message::{Content, Entry};
use crate::services::{Conversation, Page, Receipt, SendResult, Sent, Synced};

/// What a client sends. The route is `action`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Store and deliver one message, or several.
    Send(SendFrame),
    /// Raise the watermarks.
    Ack {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Highest seq on a device.
        delivered: Option<Seq>,
        /// Highest seq that was read.
        read: Option<Seq>,
    },
    /// Ask for everything above the cursors.
    Sync {
        /// Highest seq held, by conversation.
        #[serde(default)]
        cursors: BTreeMap<ConversationId, Seq>,
        /// Entries a conversation.
        limit: Option<usize>,
        /// The newest instead of the next.
        #[serde(default)]
        tail: bool,
        /// From the last `synced`.
        page: Option<ConversationId>,
    },
    /// Tell the others that the user types.
    Typing {
        /// Which conversation.
        conversation_id: ConversationId,
        /// Whether it goes on or has stopped.
        active: bool,
    },
    /// Read back and forth.
    History {
        /// Which conversation.
        conversation_id: ConversationId,
        /// The entries below this seq …
        before: Option<Seq>,
        /// … or above this one.
        after: Option<Seq>,
        /// 1 to 100.
        limit: Option<usize>,
    },
}

/// The fields of `send`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SendFrame {
    /// Where to …
    pub conversation_id: Option<ConversationId>,
    /// … or to whom.
    pub to_user_id: Option<UserId>,
    /// Highest seq held when the message was composed.
    pub seen: Option<Seq>,
    /// With `content`, instead of `messages`.
    pub message_id: Option<MessageId>,
    /// With `message_id`.
    pub content: Option<Content>,
    /// Several at once, instead of the two above.
    pub messages: Option<Vec<SendItem>>,
}

/// One of several messages in a `send`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SendItem {
    /// The idempotency key.
    pub message_id: MessageId,
    /// What it holds.
    pub content: Content,
}

/// The routes of the protocol; anything else is `unknown_action`.
const ACTIONS: [&str; 5] = ["send", "ack", "sync", "history", "typing"];

impl ClientFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// `bad_request` for what is no object, has no action or has a wrong field; `unknown_action`.
    pub fn read(frame: &Value) -> Result<Self> {
        let action = frame.get("action").and_then(Value::as_str);
        let action = action.ok_or_else(|| Error::bad_request("the frame has no action"))?;
        if !ACTIONS.contains(&action) {
            return Err(Error::new(ErrorKind::UnknownAction, "no such action"));
        }
        Self::deserialize(frame).map_err(|e| Error::bad_request(e.to_string()))
    }
}

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
        /// Whether there is more on that side.
        more: bool,
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

    /// `synced`.
    pub fn synced(synced: &Synced) -> Self {
        Self::Synced {
            conversations: synced.conversations.iter().map(ConversationFrame::from).collect(),
            page: synced.page.clone(),
        }
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
            content: Content::Text { text: "hi".into() },
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

    #[test]
    fn bad_frames_get_their_code() {
        let id = "0192f3c4-0000-7000-8000-000000000001";
        for (frame, kind) in [
            ("[]", ErrorKind::BadRequest),
            ("7", ErrorKind::BadRequest),
            ("{}", ErrorKind::BadRequest),
            (r#"{"action":7}"#, ErrorKind::BadRequest),
            (r#"{"action":"$connect"}"#, ErrorKind::UnknownAction),
            (r#"{"action":"Send"}"#, ErrorKind::UnknownAction),
            (r#"{"action":"ack","conversation_id":"d:b:a"}"#, ErrorKind::BadRequest),
            (r#"{"action":"ack","conversation_id":"d:a:b","read":-1}"#, ErrorKind::BadRequest),
            (r#"{"action":"sync","limit":-5}"#, ErrorKind::BadRequest),
            (r#"{"action":"sync","cursors":{"x":1}}"#, ErrorKind::BadRequest),
            (r#"{"action":"typing","conversation_id":"d:a:b","active":1}"#, ErrorKind::BadRequest),
            (r#"{"action":"send","message_id":"7"}"#, ErrorKind::BadRequest),
            (
                &format!(r#"{{"action":"send","message_id":"{id}","content":{{"type":"x"}}}}"#),
                ErrorKind::BadRequest,
            ),
        ] {
            let value = serde_json::from_str(frame).unwrap();
            assert_eq!(ClientFrame::read(&value).unwrap_err().kind, kind, "{frame}");
        }
    }
}
