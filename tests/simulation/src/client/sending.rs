//! Sending without loss: one frame under way a conversation, the same ids and the first `seen` until they are answered.

use serde_json::{Value, json};

use super::conversation::{Held, Inflight, Item, Recovery};
use super::{Device, PATIENCE, Timer};
use crate::core::Core;
use crate::faults::{Fault, Path};
use crate::mutants::Mutant;

impl Device {
    /// Someone writes a message.
    pub fn compose(&mut self, core: &mut Core, of: &str) {
        let id = core.uuid().to_string();
        let number = self.number;
        if core.strikes(Fault::Hostile) {
            let content = json!({"type": "text", "text": "from the future"});
            self.post(
                core,
                &json!({"action": "send", "conversation_id": of, "seen": 9_999, "message_id": id,
                    "content": content}),
            );
            return;
        }
        let too_high = if core.is(Mutant::SeenTooHigh) { 5 } else { 0 };
        let c = self.conversation(core, of);
        let seen = too_high + if c.high() > 0 { c.high() } else { c.head };
        core.note(|| format!("device {number} composes {id} for {of}, seen {seen}"));
        c.outbox.push(Item { id: id.clone(), seen, tried: false, failed: false });
        self.composed.entry(of.to_owned()).or_default().push(id);
        self.flush(core, of);
    }

    /// The user tries again what was refused.
    pub fn retry(&mut self, core: &mut Core, of: &str) {
        let c = self.conversation(core, of);
        for m in &mut c.outbox {
            m.failed = false;
        }
        self.flush(core, of);
    }

    /// Sends what waits, unless something is under way.
    pub fn flush(&mut self, core: &mut Core, of: &str) {
        if self.link.is_none() {
            return;
        }
        let number = self.name_of(of);
        let forgets = core.is(Mutant::ForgetsSeen);
        let Some(c) = self.conversations.get_mut(of) else { return };
        if c.inflight.is_some() || c.waits || c.recovery.is_some() {
            return;
        }
        let (items, mut seen) = c.batch();
        if items.is_empty() {
            return;
        }
        if forgets && c.high() > 0 {
            seen = c.high();
        }
        c.single = c.single.saturating_sub(1);
        let ids: Vec<String> = items.iter().map(|m| m.id.clone()).collect();
        for m in c.outbox.iter_mut().filter(|m| ids.contains(&m.id)) {
            m.tried = true;
        }
        c.inflight = Some(Inflight { ids: ids.clone() });
        let content = |id: &str| json!({"type": "text", "text": id});
        let mut frame = json!({"action": "send", "conversation_id": of, "seen": seen});
        if let [id] = &ids[..] {
            frame["message_id"] = json!(id);
            frame["content"] = content(id);
        } else {
            core.passed(Path::Batch);
            let messages: Vec<Value> =
                ids.iter().map(|id| json!({"message_id": id, "content": content(id)})).collect();
            frame["messages"] = json!(messages);
        }
        self.set(core, Timer::SendAnswer(number), PATIENCE);
        self.silent = true;
        self.post(core, &frame);
    }

    fn landed(&mut self, of: &str) {
        let number = self.name_of(of);
        self.stop(Timer::SendAnswer(number));
        if let Some(c) = self.conversations.get_mut(of) {
            c.inflight = None;
        }
    }

    /// Says the same again after a while.
    pub(super) fn pause(&mut self, core: &mut Core, of: &str, wait: Option<u64>) {
        self.landed(of);
        let number = self.name_of(of);
        let Some(c) = self.conversations.get_mut(of) else { return };
        c.waits = true;
        c.pauses += 1;
        let most = 500 << c.pauses.min(6);
        let ms = wait.unwrap_or_else(|| core.dice.below(most));
        self.set(core, Timer::Send(number), ms);
    }

    /// The answer of a send.
    pub(super) fn sent(&mut self, core: &mut Core, of: &str, frame: &Value) {
        let several = frame["results"].as_array().cloned();
        let results = several.unwrap_or_else(|| vec![frame.clone()]);
        let ours = |c: &super::Conversation| {
            c.inflight.as_ref().is_some_and(|i| {
                results.iter().any(|r| i.ids.iter().any(|id| r["message_id"] == id.as_str()))
            })
        };
        if self.conversations.get(of).is_some_and(ours) {
            self.landed(of);
        }
        for result in &results {
            let id = result["message_id"].as_str().unwrap_or_default().to_owned();
            if result["error"].is_null() {
                self.stored(core, of, &id, result["seq"].as_u64().unwrap_or(0));
            } else {
                self.refuse(core, of, &id, &result["error"].clone());
            }
        }
        self.took(core, of);
    }

    fn stored(&mut self, core: &mut Core, of: &str, id: &str, seq: u64) {
        let me = self.user.to_string();
        let number = self.number;
        let c = self.conversation(core, of);
        if !c.outbox.iter().any(|m| m.id == id) {
            return;
        }
        c.pauses = 0;
        let own = Held { seq, message_id: id.to_owned(), sender: me.clone(), membership: None };
        let taken = c.take(vec![own], &me, false, false);
        core.must(taken.map_err(|e| format!("device {number}, {of}: {e}")));
    }

    fn refuse(&mut self, core: &mut Core, of: &str, id: &str, error: &Value) {
        let code = error["code"].as_str().unwrap_or_default();
        let takes = core.is(Mutant::TakesErrorForSent);
        let Some(c) = self.conversations.get_mut(of) else { return };
        let Some(item) = c.outbox.iter_mut().find(|m| m.id == id) else { return };
        match code {
            "busy" if takes => c.settle(id),
            "busy" | "rate_limited" => self.pause(core, of, error["retry_after_ms"].as_u64()),
            "sync_required" => self.recover(core, of),
            _ => {
                item.failed = true;
                self.unsure.push(id.to_owned());
            }
        }
    }

    /// An error frame.
    pub(super) fn error(&mut self, core: &mut Core, error: &Value) {
        match error["action"].as_str() {
            Some("send") => {
                let id = error["message_id"].as_str().unwrap_or_default().to_owned();
                let holds = |c: &super::Conversation| c.outbox.iter().any(|m| m.id == id);
                let of =
                    self.conversations.iter().find(|(_, c)| holds(c)).map(|(of, _)| of.clone());
                let Some(of) = of else { return };
                let inflight = self.conversations.get(&of).and_then(|c| c.inflight.as_ref());
                let several = inflight.filter(|i| i.ids.contains(&id)).map_or(1, |i| i.ids.len());
                self.landed(&of);
                let passes = ["busy", "rate_limited", "sync_required"];
                let passes = passes.contains(&error["code"].as_str().unwrap_or_default());
                match self.conversations.get_mut(&of) {
                    // Any of several may be the cause: one by one it shows.
                    Some(c) if several > 1 && !passes => c.single = several,
                    _ => self.refuse(core, &of, &id, error),
                }
                self.took(core, &of);
            }
            Some("ack") => {
                if let Some(ms) = error["retry_after_ms"].as_u64() {
                    for c in self.conversations.values_mut() {
                        c.acked = (0, 0);
                    }
                    self.set(core, Timer::Ack, ms);
                }
            }
            Some("sync") => self.sync_refused(core, error),
            Some("history") => {
                let id = error["request_id"].as_str().unwrap_or_default();
                let asked = |c: &super::Conversation| c.ask.as_ref().is_some_and(|a| a.id == id);
                let of =
                    self.conversations.iter().find(|(_, c)| asked(c)).map(|(of, _)| of.clone());
                if let Some(of) = of {
                    let for_good = error["retry_after_ms"].is_null();
                    self.history_failed(core, &of, for_good);
                }
            }
            _ => {}
        }
    }

    /// `seen` cannot be proved: read from there to the head.
    fn recover(&mut self, core: &mut Core, of: &str) {
        let Some(c) = self.conversations.get_mut(of) else { return };
        let Some(from) = c.waiting().map(|m| m.seen).min() else { return };
        if c.recovery.is_none() {
            c.recovery = Some(Recovery { from, head: from, hidden: false });
            c.ask = None;
            self.ask(core, of, super::conversation::Why::Recover, from);
        }
    }

    /// What stands there is sent; for the rest `seen` is raised.
    pub(super) fn recovered(&mut self, core: &mut Core, of: &str, failed: bool) {
        let Some(c) = self.conversations.get_mut(of) else { return };
        let Some(Recovery { from, mut head, mut hidden }) = c.recovery.take() else { return };
        if head == from && c.head > from {
            // All that lies above can be read no more.
            (head, hidden) = (c.head, true);
        }
        // Nothing above `seen`: this log is not the one that was held. 0 holds for every log.
        let head = if failed || head == from { 0 } else { head };
        let mut unsure = vec![];
        for m in c.outbox.iter_mut().filter(|m| !m.failed && m.seen >= from) {
            m.seen = if head == 0 { 0 } else { m.seen.max(head) };
            // Some of it may not be read, so nothing proves that the message is not there.
            if hidden && m.tried {
                m.failed = true;
                unsure.push(m.id.clone());
            }
        }
        self.unsure.extend(unsure);
        self.pause(core, of, None);
        self.took(core, of);
    }
}
