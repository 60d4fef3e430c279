//! Sending without loss: one frame under way a conversation, with the same ids and the first `seen` until it is answered.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Person;
use super::books::{self, Acknowledged, Composed};
use crate::frames;

/// A frame that is not answered for every message in it.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Id and text.
    items: Vec<(String, String)>,
    /// What was held when it was composed.
    seen: u64,
    /// When it goes (again); not while it is under way.
    pub(super) again_at: Option<Instant>,
    /// How often it went.
    tries: u32,
    /// When it went first.
    went_at: Instant,
    /// `seen` could not be proved: everything above it is to be read first.
    pub(super) recovers: bool,
}

impl Pending {
    fn frame(&self, conversation: &str) -> Value {
        match &self.items[..] {
            [(id, text)] => frames::send(conversation, self.seen, id, frames::text(text)),
            several => {
                let content = |(id, text): &(String, String)| (id.clone(), frames::text(text));
                let messages: Vec<_> = several.iter().map(content).collect();
                frames::send_several(conversation, self.seen, &messages)
            }
        }
    }
}

impl Person {
    /// Writes something somewhere, unless something of his is under way there.
    pub(super) fn compose(&mut self, now: Instant) {
        let pause = self.between(self.habits.pause.clone());
        self.write_at = now + pause;
        let free = |c: &&Arc<str>| !self.outbox.contains_key(*c);
        let free: Vec<_> = self.habits.conversations.iter().filter(free).cloned().collect();
        let Some(conversation) = self.rng.choice(free) else { return };
        let count = self.rng.usize(1..=self.habits.most);
        let mut items = vec![];
        for _ in 0..count {
            let text = books::text(&self.user, self.composed.len(), self.habits.bytes);
            let id = frames::new_id();
            items.push((id.clone(), text.clone()));
            self.composed.push(Composed { conversation: conversation.clone(), id, text });
        }
        let seen = self.logs.get(&conversation).map_or(0, crate::Log::last);
        let (tries, again_at, recovers) = (0, Some(now), false);
        let pending = Pending { items, seen, again_at, tries, went_at: now, recovers };
        self.outbox.insert(conversation, pending);
        self.tally.composed.add(count as u64);
        self.tally.pending.add(1);
    }

    /// The sends whose time has come.
    pub(super) fn sends_due(&mut self, now: Instant) -> Vec<Value> {
        let mut frames = vec![];
        for (conversation, pending) in &mut self.outbox {
            let due = pending.again_at.is_some_and(|at| at <= now) && !pending.recovers;
            if !due {
                continue;
            }
            pending.again_at = None;
            pending.tries += 1;
            if pending.tries > 1 {
                self.tally.resent.add(1);
            }
            frames.push(pending.frame(conversation));
        }
        frames
    }

    /// The answer of a send.
    pub(super) fn sent(&mut self, answer: &Value) {
        let alone = std::slice::from_ref(answer);
        let results = answer["results"].as_array().map_or(alone, Vec::as_slice);
        let conversation = answer["conversation_id"].as_str().unwrap_or_default();
        let named = |id: &str| results.iter().any(|r| r["message_id"] == id);
        let ours = |p: &Pending| p.items.iter().any(|(id, _)| named(id));
        if !self.outbox.get(conversation).is_some_and(ours) {
            // The answer to an earlier try.
            return;
        }
        for result in results {
            let id = result["message_id"].as_str().unwrap_or_default();
            match result["seq"].as_u64() {
                Some(seq) => self.stored(conversation, id, seq, result),
                None => {
                    let error = &result["error"];
                    if error["code"] == "busy" {
                        self.told_busy(error);
                    }
                    self.refuse(conversation, id, error);
                }
            }
        }
        // Of several, those after a failure were not tried, and are not in the answer.
        if let Some(pending) = self.outbox.get_mut(conversation)
            && pending.again_at.is_none()
            && !pending.recovers
        {
            pending.again_at = Some(Instant::now());
        }
    }

    fn stored(&mut self, conversation: &str, id: &str, seq: u64, result: &Value) {
        let duplicate = result["duplicate"] == true;
        let Some((conversation, pending)) = self.outbox.get_key_value(conversation) else { return };
        let conversation = conversation.clone();
        if !pending.items.iter().any(|(of, _)| of == id) {
            return;
        }
        let (once, took) = (pending.tries == 1, pending.went_at.elapsed());
        if duplicate && once {
            let user = &self.user;
            self.broke(format!("{user} sent {id} once; it was called a duplicate"));
        }
        if !duplicate && once {
            self.tally.time(|times| times.sent.push(took));
        }
        let sent_at = result["sent_at"].as_u64().unwrap_or_default();
        let id = id.to_owned();
        self.tally.acknowledged.add(1);
        self.tally.duplicates.add(u64::from(duplicate));
        self.settle(&conversation, &id);
        self.acknowledged.push(Acknowledged { conversation, id, seq, sent_at });
    }

    /// It stands in the log.
    fn settle(&mut self, conversation: &Arc<str>, id: &str) {
        let Some(pending) = self.outbox.get_mut(conversation) else { return };
        pending.items.retain(|(of, _)| of != id);
        if pending.items.is_empty() {
            self.outbox.remove(conversation);
            self.tally.pending.sub(1);
        }
    }

    /// An error that answers a send as a whole.
    pub(super) fn refused(&mut self, error: &Value) {
        let id = error["message_id"].as_str().unwrap_or_default().to_owned();
        let holds = |p: &Pending| p.items.iter().any(|(of, _)| *of == id);
        let found = self.outbox.iter().find(|(_, p)| holds(p)).map(|(of, _)| of.clone());
        if let Some(conversation) = found {
            self.refuse(&conversation, &id, error);
        }
    }

    fn refuse(&mut self, conversation: &str, id: &str, error: &Value) {
        let Some(pending) = self.outbox.get_mut(conversation) else { return };
        let wait = Duration::from_millis(error["retry_after_ms"].as_u64().unwrap_or(500));
        match error["code"].as_str() {
            Some("busy" | "rate_limited") => pending.again_at = Some(Instant::now() + wait),
            Some("sync_required") => {
                pending.recovers = true;
                self.tally.recovered.add(1);
                self.sync_at.get_or_insert_with(Instant::now);
            }
            _ => {
                self.broke(format!("{} may not send {id}: {error}", self.user));
                self.outbox.remove(conversation);
                self.tally.pending.sub(1);
            }
        }
    }

    /// Everything is held up to the head: what stands there is sent, and for the rest `seen` is raised.
    pub(super) fn recover(&mut self, conversation: &str, now: Instant) {
        let Some((conversation, pending)) = self.outbox.get_key_value(conversation) else { return };
        if !pending.recovers {
            return;
        }
        let conversation = conversation.clone();
        let Some(log) = self.logs.get(&conversation) else { return };
        let after = usize::try_from(pending.seen.saturating_sub(log.floor())).unwrap_or(usize::MAX);
        let entries = log.entries().get(after..).unwrap_or_default();
        let stands = |id: &String| entries.iter().any(|held| held.is(id));
        let ids = pending.items.iter().map(|(id, _)| id);
        let standing: Vec<String> = ids.filter(|id| stands(id)).cloned().collect();
        let last = log.last();
        standing.iter().for_each(|id| self.settle(&conversation, id));
        if let Some(pending) = self.outbox.get_mut(&conversation) {
            pending.seen = last;
            pending.recovers = false;
            pending.again_at = Some(now);
        }
    }

    /// The acks whose time has come, together.
    pub(super) fn acks_due(&mut self, now: Instant) -> Vec<Value> {
        if self.ack_at.is_none_or(|at| at > now) {
            return vec![];
        }
        self.ack_at = None;
        let mut frames = vec![];
        for (conversation, log) in &self.logs {
            let (last, acked) = (log.last(), self.acked.entry(conversation.clone()).or_default());
            if last > *acked {
                *acked = last;
                let mut frame = frames::ack(conversation, Some(last), Some(last));
                frame["request_id"] = json!(format!("a{last}"));
                frames.push(frame);
            }
        }
        frames
    }
}
