//! The books: what was acknowledged to the sender, and what came to a receiver. A load is good if they agree: every
//! message once, at the place that was acknowledged, and no place empty.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::Result;

/// What a sender was told: the message id at each seq of one conversation.
#[derive(Debug, Default)]
pub struct Sent(BTreeMap<u64, String>);

impl Sent {
    /// Enters the answer to a `send` and returns the highest seq in it, which is the next `seen`.
    ///
    /// # Errors
    /// If anything was refused, or called a duplicate although it was sent once.
    pub fn enter(&mut self, answer: &Value) -> Result<u64> {
        let alone = std::slice::from_ref(answer);
        let results = answer["results"].as_array().map_or(alone, Vec::as_slice);
        let mut last = None;
        for result in results {
            let (Some(seq), Some(id)) = (result["seq"].as_u64(), result["message_id"].as_str())
            else {
                return Err(format!("a message was not stored: {answer}").into());
            };
            if result["duplicate"] != false {
                return Err(format!("sent once, and answered as a duplicate: {answer}").into());
            }
            if let Some(other) = self.0.insert(seq, id.to_owned()) {
                return Err(format!("{id} and {other} were both given the place {seq}").into());
            }
            last = Some(seq);
        }
        last.ok_or_else(|| format!("an answer to `send` without a message: {answer}").into())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// What came to one device in one conversation.
#[derive(Debug)]
pub struct Ledger {
    conversation: String,
    /// The device holds everything up to here already.
    floor: u64,
    /// The highest seq below which nothing is missing.
    last: u64,
    came: BTreeMap<u64, String>,
    /// Entries that came more than once.
    pub doubled: u64,
    clashes: Vec<String>,
}

impl Ledger {
    /// Of a device that holds everything up to `floor`.
    pub fn new(conversation: &str, floor: u64) -> Self {
        let conversation = conversation.to_owned();
        Self {
            conversation,
            floor,
            last: floor,
            came: BTreeMap::new(),
            doubled: 0,
            clashes: vec![],
        }
    }

    /// Takes what a `message` or a `batch` of the conversation holds; other frames change nothing.
    pub fn apply(&mut self, frame: &Value) {
        if frame["conversation_id"] != self.conversation.as_str() {
            return;
        }
        match frame["type"].as_str() {
            Some("message") => self.enter(frame),
            Some("batch") => {
                for entry in frame["messages"].as_array().into_iter().flatten() {
                    self.enter(entry);
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self, entry: &Value) {
        let (Some(seq), Some(id)) = (entry["seq"].as_u64(), entry["message_id"].as_str()) else {
            self.clashes.push(format!("an entry without seq or id: {entry}"));
            return;
        };
        match self.came.get(&seq) {
            _ if seq <= self.floor => {}
            None => {
                self.came.insert(seq, id.to_owned());
                while self.came.contains_key(&(self.last + 1)) {
                    self.last += 1;
                }
            }
            Some(other) if other == id => self.doubled += 1,
            Some(other) => self.clashes.push(format!("{id} and {other} both came at {seq}")),
        }
    }

    /// The conversation.
    pub fn conversation(&self) -> &str {
        &self.conversation
    }

    /// How many different entries came.
    pub fn len(&self) -> usize {
        self.came.len()
    }

    /// The highest seq below which nothing is missing: the cursor.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Every way in which this is not what was sent.
    pub fn compare(&self, sent: &Sent) -> Vec<String> {
        let where_ = &self.conversation;
        let mut problems: Vec<String> =
            self.clashes.iter().map(|clash| format!("{where_}: {clash}")).collect();
        for (seq, id) in &sent.0 {
            match self.came.get(seq) {
                Some(came) if came == id => {}
                Some(came) => {
                    problems.push(format!("{where_}: {id} was stored at {seq}; {came} came there"));
                }
                None => problems.push(format!("{where_}: {id} was stored at {seq}; it never came")),
            }
        }
        for (seq, id) in self.came.iter().filter(|(seq, _)| !sent.0.contains_key(seq)) {
            problems.push(format!("{where_}: {id} came at {seq}; nobody sent it"));
        }
        let first = self.floor + 1;
        let holes = (first..).zip(sent.0.keys()).find(|(expected, seq)| expected != *seq);
        if let Some((expected, seq)) = holes {
            problems.push(format!("{where_}: {expected} should follow; the next place is {seq}"));
        }
        let ids: BTreeSet<&String> = self.came.values().collect();
        if ids.len() < self.came.len() {
            problems.push(format!("{where_}: a message came at two places"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(seqs: &[u64]) -> Sent {
        let mut sent = Sent::default();
        for seq in seqs {
            let answer = json!({"type": "sent", "seq": seq, "message_id": format!("m{seq}"), "duplicate": false});
            assert_eq!(sent.enter(&answer).unwrap(), *seq);
        }
        sent
    }

    fn ledger(entries: &[(u64, &str)]) -> Ledger {
        let mut ledger = Ledger::new("d:a:b", 0);
        for (seq, id) in entries {
            ledger.apply(&json!({"type": "message", "conversation_id": "d:a:b", "seq": seq,
                "message_id": id}));
        }
        ledger
    }

    #[test]
    fn what_came_twice_or_out_of_order_is_still_good() {
        let mut ledger = ledger(&[(2, "m2"), (1, "m1"), (2, "m2")]);
        ledger.apply(&json!({"type": "batch", "conversation_id": "d:a:b",
            "messages": [{"seq": 2, "message_id": "m2"}, {"seq": 3, "message_id": "m3"}]}));
        ledger.apply(&json!({"type": "message", "conversation_id": "d:a:c", "seq": 9}));
        assert_eq!(ledger.compare(&sent(&[1, 2, 3])), [""; 0]);
        assert_eq!((ledger.last(), ledger.len(), ledger.doubled), (3, 3, 2));
    }

    #[test]
    fn every_broken_promise_is_a_problem() {
        let two = [(1, "m1"), (2, "m2")];
        assert_eq!(ledger(&two).compare(&sent(&[1, 2])), [""; 0]);
        for (broken, sent, says) in [
            (ledger(&two[..1]), sent(&[1, 2]), "m2 was stored at 2; it never came"),
            (ledger(&two), sent(&[1]), "m2 came at 2; nobody sent it"),
            (ledger(&[(1, "m1"), (2, "m3")]), sent(&[1, 2]), "m2 was stored at 2; m3 came there"),
            (ledger(&[(1, "m1"), (1, "x")]), sent(&[1]), "x and m1 both came at 1"),
            (ledger(&[(1, "m1"), (3, "m3")]), sent(&[1, 3]), "2 should follow"),
            (ledger(&[(1, "m1"), (2, "m1")]), sent(&[1, 2]), "came at two places"),
        ] {
            let problems = broken.compare(&sent);
            assert!(problems.iter().any(|p| p.contains(says)), "{says:?} is not in {problems:?}");
        }
    }

    #[test]
    fn a_hole_stops_the_cursor() {
        assert_eq!(ledger(&[(1, "m1"), (3, "m3")]).last(), 1);
        let mut joined = Ledger::new("d:a:b", 7);
        for seq in [7, 9, 8] {
            joined.apply(&json!({"type": "message", "conversation_id": "d:a:b", "seq": seq,
                "message_id": format!("m{seq}")}));
        }
        assert_eq!(
            (joined.last(), joined.len()),
            (9, 2),
            "what lies below the floor is not asked for"
        );
    }

    #[test]
    fn answers_that_store_nothing_are_failures() {
        let several = json!({"type": "sent", "results": [
            {"message_id": "m1", "seq": 1, "duplicate": false},
            {"message_id": "m2", "seq": 2, "duplicate": false}]});
        assert_eq!(Sent::default().enter(&several).unwrap(), 2);
        for bad in [
            json!({"type": "error", "code": "busy", "message_id": "m1"}),
            json!({"type": "sent", "message_id": "m1", "seq": 1, "duplicate": true}),
            json!({"type": "sent", "results": []}),
            json!({"type": "sent", "results": [{"message_id": "m1", "error": {"code": "busy"}}]}),
        ] {
            assert!(Sent::default().enter(&bad).is_err(), "{bad}");
        }
        let again = json!({"type": "sent", "message_id": "x", "seq": 1, "duplicate": false});
        assert!(sent(&[1]).enter(&again).is_err(), "one place for two messages");
    }
}
