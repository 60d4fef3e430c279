//! The frames that a client sends.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use uuid::Uuid;

/// A new message id: a UUIDv7, as the protocol asks for.
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// The direct conversation of two users: both sides derive the same id.
pub fn direct(a: &str, b: &str) -> String {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    format!("d:{low}:{high}")
}

/// Plain text, as the content of a message.
pub fn text(words: &str) -> Value {
    json!({ "type": "text", "text": words })
}

/// One message. `seen` is the highest seq held when it was composed; it and `id` stay the same when it is sent again.
pub fn send(conversation: &str, seen: u64, id: &str, content: Value) -> Value {
    json!({
        "action": "send",
        "conversation_id": conversation,
        "seen": seen,
        "message_id": id,
        "content": content,
    })
}

/// Several messages, stored in this order up to the first failure.
pub fn send_several(conversation: &str, seen: u64, messages: &[(String, Value)]) -> Value {
    let message = |(id, content): &(String, Value)| json!({"message_id": id, "content": content});
    json!({
        "action": "send",
        "conversation_id": conversation,
        "seen": seen,
        "messages": messages.iter().map(message).collect::<Vec<_>>(),
    })
}

/// Everything up to `delivered` is on this device, everything up to `read` was read.
pub fn ack(conversation: &str, delivered: Option<u64>, read: Option<u64>) -> Value {
    json!({
        "action": "ack",
        "conversation_id": conversation,
        "delivered": delivered,
        "read": read,
    })
}

/// Everything above the cursors, an object of seq by conversation.
pub fn sync(cursors: &Value) -> Value {
    json!({ "action": "sync", "cursors": cursors })
}

/// The entries above `after`.
pub fn history_after(conversation: &str, after: u64, limit: u64) -> Value {
    json!({ "action": "history", "conversation_id": conversation, "after": after, "limit": limit })
}

/// The entries below `before`.
pub fn history_before(conversation: &str, before: u64, limit: u64) -> Value {
    json!({ "action": "history", "conversation_id": conversation, "before": before, "limit": limit })
}

/// Whether the user types.
pub fn typing(conversation: &str, active: bool) -> Value {
    json!({ "action": "typing", "conversation_id": conversation, "active": active })
}

/// Who of these users is online, and word when that changes.
pub fn watch(users: &[&str]) -> Value {
    json!({ "action": "presence", "user_ids": users, "watch": true })
}

/// The announcement of an upload of these bytes, over HTTP.
pub fn announcement(content_type: &str, bytes: &str) -> Value {
    json!({
        "content_type": content_type,
        "size": bytes.len(),
        "sha256": BASE64_STANDARD.encode(digest(&SHA256, bytes.as_bytes())),
    })
}
