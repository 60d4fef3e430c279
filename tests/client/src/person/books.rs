//! What a person writes down: what he wrote, what he was told, what he holds.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// A message that someone wrote.
#[derive(Clone, Debug)]
pub struct Composed {
    /// Where.
    pub conversation: Arc<str>,
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
}

/// A message that the server acknowledged.
#[derive(Clone, Debug)]
pub struct Acknowledged {
    /// Where.
    pub conversation: Arc<str>,
    /// Its id.
    pub id: String,
    /// Its place, as the server said.
    pub seq: u64,
    /// Its time, as the server said.
    pub sent_at: u64,
}

/// An entry as a device holds it: enough to see whether it is the same as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    id: u64,
    all: u64,
}

impl Held {
    /// Of an entry of a `message` or a `batch`.
    pub fn of(entry: &Value) -> Self {
        // What a `message` has and an entry of a `batch` has not.
        let fields = entry.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, _)| *name != "type" && *name != "conversation_id");
        let fields: Vec<String> = fields.map(|(name, value)| format!("{name}:{value}")).collect();
        let id = entry["message_id"].as_str().unwrap_or_default();
        Self { id: hash(id), all: hash(&fields) }
    }

    /// Whether it is this message.
    pub fn is(&self, id: &str) -> bool {
        self.id == hash(id)
    }
}

fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// A text that says when it was written, of at least so many bytes.
pub(super) fn text(user: &str, number: usize, bytes: usize) -> String {
    let start = format!("{} {user} {number} ", now().as_micros());
    let pad = "petrel ".chars().cycle().take(bytes.saturating_sub(start.len()));
    start + &pad.collect::<String>()
}

/// How long ago the text of an entry was written.
pub(super) fn age(entry: &Value) -> Option<Duration> {
    let text = entry["content"]["text"].as_str()?;
    let written = Duration::from_micros(text.split(' ').next()?.parse().ok()?);
    now().checked_sub(written)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_is_the_same_however_it_came_and_another_if_anything_differs() {
        let entry = json!({"seq": 1, "message_id": "a", "content": {"type": "text", "text": "x"}});
        let mut pushed = entry.clone();
        pushed["type"] = "message".into();
        pushed["conversation_id"] = "d:a:b".into();
        assert_eq!(Held::of(&entry), Held::of(&pushed));
        assert!(Held::of(&entry).is("a") && !Held::of(&entry).is("b"));
        let mut other = entry.clone();
        other["content"]["text"] = "y".into();
        assert_ne!(Held::of(&entry), Held::of(&other));
    }

    #[test]
    fn a_text_tells_its_age_and_has_its_size() {
        let text = text("ana", 1, 200);
        assert_eq!(text.len(), 200);
        assert!(age(&json!({"content": {"text": text}})).is_some());
        assert_eq!(age(&json!({"content": {"text": "hello"}})), None);
    }
}
