//! What a client sends over a socket, and how it is read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, MessageId, Seq, UserId};
use crate::message::{Content, object, object_or_null, objects_or_null};

/// What a client sends. The route is `action`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "most frames are the large one")]
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
        /// What the user makes; text if it is not there.
        kind: Option<Composing>,
    },
    /// Ask who is online.
    Presence {
        /// Whom it is about, 1 to 100.
        user_ids: Vec<UserId>,
        /// Whether to hear of changes too, for 10 minutes.
        #[serde(default)]
        watch: bool,
    },
    /// Read back and forth.
    History {
        /// Which conversation.
        conversation_id: ConversationId,
        /// The entries below this seq …
        before: Option<Seq>,
        /// … or above this one …
        after: Option<Seq>,
        /// … or this one, and those on both sides of it.
        around: Option<Seq>,
        /// 1 to 100.
        limit: Option<usize>,
    },
}

/// What someone is making who types or records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Composing {
    /// A text.
    Text,
    /// A voice message.
    Audio,
    /// A video.
    Video,
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
    #[serde(default, deserialize_with = "object_or_null")]
    pub content: Option<Content>,
    /// Several at once, instead of the two above.
    #[serde(default, deserialize_with = "objects_or_null")]
    pub messages: Option<Vec<SendItem>>,
}

/// One of several messages in a `send`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SendItem {
    /// The idempotency key.
    pub message_id: MessageId,
    /// What it holds.
    #[serde(deserialize_with = "object")]
    pub content: Content,
}

/// The routes of the protocol; anything else is `unknown_action`.
const ACTIONS: [&str; 6] = ["send", "ack", "sync", "history", "typing", "presence"];

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
        Self::deserialize(frame).map_err(Error::unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_short_however_long_the_frame_is() {
        let long = "\u{7f}".repeat(32_000);
        for frame in [
            serde_json::json!({"action": "sync", "limit": long}),
            serde_json::json!({"action": "sync", "page": 1, "cursors": long}),
            serde_json::json!({"action": "send", "content": {"type": long}}),
        ] {
            let error = ClientFrame::read(&frame).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadRequest);
            assert!(!error.message.is_empty() && error.message.len() <= 1_000);
        }
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
            (
                r#"{"action":"typing","conversation_id":"d:a:b","active":true,"kind":"smell"}"#,
                ErrorKind::BadRequest,
            ),
            (r#"{"action":"presence"}"#, ErrorKind::BadRequest),
            (r#"{"action":"presence","user_ids":"ana"}"#, ErrorKind::BadRequest),
            (r#"{"action":"presence","user_ids":["a b"]}"#, ErrorKind::BadRequest),
            (r#"{"action":"presence","user_ids":["a"],"watch":1}"#, ErrorKind::BadRequest),
            (r#"{"action":"send","message_id":"7"}"#, ErrorKind::BadRequest),
            (
                &format!(r#"{{"action":"send","message_id":"{id}","content":["text","x"]}}"#),
                ErrorKind::BadRequest,
            ),
            (
                &format!(
                    r#"{{"action":"send","messages":[["{id}",{{"type":"text","text":"x"}}]]}}"#
                ),
                ErrorKind::BadRequest,
            ),
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
