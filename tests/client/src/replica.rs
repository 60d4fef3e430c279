//! What a device holds of its conversations: each entry once, in the order of seq. It drops what it has, keeps what came
//! too early until the hole before it is filled, and says where a hole is.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::frames;
use crate::log::Log;

/// What a device holds.
#[derive(Default)]
pub struct Replica(BTreeMap<String, Log<Value>>);

impl Replica {
    /// A device that holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The log of this conversation begins at this seq, for the device joins it there, or cares for nothing before.
    pub fn begin_at(&mut self, conversation: &str, seq: u64) {
        let log = self.0.entry(conversation.to_owned()).or_default();
        assert!(log.entries().is_empty(), "{conversation} has begun");
        *log = Log::above(seq.saturating_sub(1));
    }

    /// Takes the entries out of a `message` or a `batch`; every other frame changes nothing.
    ///
    /// # Panics
    /// When two different entries claim the same place, or the entries of a batch are not in order.
    pub fn apply(&mut self, frame: &Value) {
        let conversation = frame["conversation_id"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str() {
            Some("message") => {
                // The entry alone, so that it equals the same one in a batch.
                let mut entry = frame.clone();
                if let Some(fields) = entry.as_object_mut() {
                    fields.remove("type");
                    fields.remove("conversation_id");
                }
                self.take(&conversation, entry);
            }
            Some("batch") => {
                let entries = frame["messages"].as_array().cloned().unwrap_or_default();
                let seqs: Vec<_> = entries.iter().filter_map(|e| e["seq"].as_u64()).collect();
                let in_order = seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]);
                assert!(in_order, "a batch with a hole: {seqs:?}");
                entries.into_iter().for_each(|entry| self.take(&conversation, entry));
            }
            _ => {}
        }
    }

    fn take(&mut self, conversation: &str, entry: Value) {
        let log = self.0.entry(conversation.to_owned()).or_default();
        let taken = log.take(entry["seq"].as_u64().unwrap_or_default(), entry);
        assert!(taken.is_ok(), "{conversation}: {taken:?}");
    }

    /// The highest seq below which nothing is missing: `seen` of the next message, and the cursor of the next sync.
    pub fn last(&self, conversation: &str) -> u64 {
        self.0.get(conversation).map_or(0, Log::last)
    }

    /// The entries, in order and without a hole.
    pub fn entries(&self, conversation: &str) -> &[Value] {
        self.0.get(conversation).map_or(&[], Log::entries)
    }

    /// The message ids, in order and without a hole.
    pub fn ids(&self, conversation: &str) -> Vec<&str> {
        self.entries(conversation).iter().filter_map(|e| e["message_id"].as_str()).collect()
    }

    /// How many entries came again.
    pub fn doubled(&self, conversation: &str) -> usize {
        self.0.get(conversation).map_or(0, Log::doubled)
    }

    /// Whether entries wait behind a hole.
    pub fn has_hole(&self, conversation: &str) -> bool {
        self.0.get(conversation).is_some_and(|log| log.ahead().next().is_some())
    }

    /// The cursors for a `sync`.
    pub fn cursors(&self) -> Value {
        let cursor = |(id, log): (&String, &Log<Value>)| (id.clone(), Value::from(log.last()));
        self.0.iter().map(cursor).collect::<Map<_, _>>().into()
    }

    /// The `sync` that asks for what is missing.
    pub fn sync(&self) -> Value {
        frames::sync(&self.cursors())
    }
}

/// How far it is: the entries themselves would bury that.
impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = |(id, log): (&String, &Log<Value>)| {
            let ahead: Vec<u64> = log.ahead().collect();
            format!("{id}: {} to {}, then {ahead:?}", log.floor() + 1, log.last())
        };
        f.debug_set().entries(self.0.iter().map(log)).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(seq: u64) -> Value {
        json!({"type": "message", "conversation_id": "d:a:b", "seq": seq, "message_id": seq.to_string()})
    }

    #[test]
    fn entries_are_held_in_order_and_once_however_they_come() {
        let mut replica = Replica::new();
        for seq in [1, 3, 3, 1, 4] {
            replica.apply(&message(seq));
        }
        assert_eq!((replica.last("d:a:b"), replica.has_hole("d:a:b")), (1, true));
        let batch = json!({"type": "batch", "conversation_id": "d:a:b",
            "messages": [{"seq": 2, "message_id": "2"}, {"seq": 3, "message_id": "3"}]});
        replica.apply(&batch);
        assert_eq!(replica.ids("d:a:b"), ["1", "2", "3", "4"]);
        assert_eq!((replica.has_hole("d:a:b"), replica.doubled("d:a:b")), (false, 3));
        assert_eq!(replica.cursors(), json!({"d:a:b": 4}));
    }

    #[test]
    #[should_panic(expected = "two entries with one seq")]
    fn two_entries_at_one_place_are_noticed() {
        let mut replica = Replica::new();
        replica.apply(&message(1));
        let mut other = message(1);
        other["message_id"] = "another".into();
        replica.apply(&other);
    }
}
