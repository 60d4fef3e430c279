//! Receiving without loss: holes are waited for and then asked for, a sync tells what was missed, acks are cumulative.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::conversation::{Ask, Held, Why};
use super::{Device, MINUTE, PATIENCE, Timer};
use crate::core::Core;
use crate::faults::Path;
use crate::gateway::brief;

/// A sync under way.
pub struct Syncing {
    /// Names the page that is asked for.
    id: String,
    /// The cursors of all pages.
    cursors: BTreeMap<String, u64>,
    /// Every conversation that was heard of when it began.
    known: Vec<String>,
    /// What the server listed.
    listed: Vec<String>,
    /// When it began, ms since 1970.
    began: u64,
    /// What was held when it began: syncing goes on as long as that grows.
    held: u64,
}

impl Device {
    /// Asks for what is missing: on connecting, from time to time, and when something is.
    pub fn sync(&mut self, core: &mut Core) {
        if self.link.is_none() {
            return;
        }
        self.again = true;
        if self.syncing.is_none() {
            self.again = false;
            let known = self.conversations.iter().filter(|(_, c)| c.head > 0 && !c.gone);
            let held = known.clone().filter(|(_, c)| c.high() > 0);
            let cursors = held.map(|(of, c)| (of.clone(), c.high())).collect();
            let known = known.map(|(of, _)| of.clone()).collect();
            let (id, listed, held) = (String::new(), vec![], self.held());
            let began = core.now;
            self.syncing = Some(Syncing { id, cursors, known, listed, began, held });
            self.page(core, None);
        }
    }

    fn held(&self) -> u64 {
        self.conversations.values().map(|c| c.high() + c.head + u64::from(c.low() > 0)).sum()
    }

    fn page(&mut self, core: &mut Core, page: Option<&str>) {
        let id = format!("s{}", core.fresh());
        let few = core.dice.percent(30);
        let limit = if few { core.dice.between(1, 5) } else { 200 };
        let tail = self.conversations.is_empty()
            || self.conversations.values().any(|c| c.head > 0 && c.high() == 0);
        let Some(syncing) = &mut self.syncing else { return };
        syncing.id.clone_from(&id);
        let mut frame = json!({"action": "sync", "cursors": syncing.cursors, "limit": limit,
            "request_id": id});
        if tail {
            frame["tail"] = json!(true);
        }
        if let Some(page) = page {
            frame["page"] = json!(page);
        }
        self.set(core, Timer::SyncAnswer, PATIENCE);
        self.silent = true;
        self.post(core, &frame);
    }

    /// A stretch of the log: of the sync under way, of a question for history, or late, and then as so many pushes.
    pub(super) fn batch(&mut self, core: &mut Core, of: &str, frame: &Value) {
        let id = frame["request_id"].as_str().unwrap_or_default();
        let entries = frame["messages"].as_array().cloned().unwrap_or_default();
        if self.syncing.as_ref().is_some_and(|s| s.id == id) {
            self.take(core, of, &entries, true);
            return self.took(core, of);
        }
        let ask = self.conversations.get(of).and_then(|c| c.ask.clone()).filter(|a| a.id == id);
        let Some(ask) = ask else {
            self.take(core, of, &entries, false);
            return self.took(core, of);
        };
        let number = self.name_of(of);
        self.stop(Timer::HistoryAnswer(number));
        let more = frame["more"] == true;
        if let Some(c) = self.conversations.get_mut(of) {
            c.ask = None;
        }
        match ask.why {
            Why::Older => self.took_older(core, of, ask.at, &entries, more),
            Why::Hole => self.took_hole(core, of, &ask, &entries),
            Why::Recover => self.took_recovery(core, of, &ask, &entries, more),
        }
    }

    fn took_older(&mut self, core: &mut Core, of: &str, at: u64, entries: &[Value], more: bool) {
        let me = self.user.to_string();
        let run: Vec<Held> = entries.iter().filter_map(|e| Held::read(e, &me)).collect();
        let number = self.number;
        let c = self.conversation(core, of);
        // The stretch may have begun anew meanwhile.
        if c.low() == at {
            let taken = c.take_older(run, &me, more);
            core.passed(Path::Older);
            core.must(taken.map_err(|e| format!("device {number}, {of}: {e}")));
        }
        self.took(core, of);
    }

    fn took_hole(&mut self, core: &mut Core, of: &str, ask: &Ask, entries: &[Value]) {
        let before = self.conversations.get(of).map_or(0, super::Conversation::high);
        self.take_above(core, of, entries, true, (!ask.before).then_some(ask.at));
        core.passed(Path::Hole);
        if let Some(c) = self.conversations.get_mut(of).filter(|_| entries.is_empty()) {
            let through = if ask.before { ask.at - 1 } else { ask.head };
            // Also if another answer has filled it meanwhile.
            if through > c.high() && (ask.before || ask.at <= c.high()) {
                c.begin_above(through);
                core.passed(Path::BegunLater);
            }
        }
        if let Some(c) = self.conversations.get_mut(of) {
            c.idle = if c.high() > before { 0 } else { c.idle + 1 };
        }
        if before == 0 {
            self.sync(core);
        }
        self.took(core, of);
    }

    fn took_recovery(
        &mut self,
        core: &mut Core,
        of: &str,
        ask: &Ask,
        entries: &[Value],
        more: bool,
    ) {
        let first = entries.first().and_then(|e| e["seq"].as_u64());
        let last = entries.last().and_then(|e| e["seq"].as_u64());
        self.take_above(core, of, entries, true, Some(ask.at));
        let Some(recovery) = self.conversations.get_mut(of).and_then(|c| c.recovery.as_mut())
        else {
            return;
        };
        recovery.hidden |= first.is_some_and(|f| f > recovery.head + 1);
        recovery.head = last.unwrap_or(recovery.head);
        let head = recovery.head;
        if more {
            self.ask(core, of, Why::Recover, head);
        } else {
            self.recovered(core, of, false);
        }
    }

    /// Asks history, over whatever socket there is.
    pub(super) fn ask(&mut self, core: &mut Core, of: &str, why: Why, at: u64) {
        let id = format!("h{}", core.fresh());
        let Some(c) = self.conversations.get_mut(of) else { return };
        let before = why == Why::Older || why == Why::Hole && c.high() == 0;
        c.ask = Some(Ask { id, why, at, before, head: c.head });
        self.ask_again(core, of);
    }

    pub(super) fn ask_again(&mut self, core: &mut Core, of: &str) {
        let number = self.name_of(of);
        let Some(c) = self.conversations.get(of) else { return };
        let Some(ask) = c.ask.as_ref().filter(|_| self.link.is_some()) else { return };
        let side = if ask.before { "before" } else { "after" };
        let limit = if ask.why == Why::Recover { 100 } else { 20 };
        let mut frame = json!({"action": "history", "conversation_id": of, "limit": limit, "request_id": ask.id});
        frame[side] = json!(ask.at);
        self.set(core, Timer::HistoryAnswer(number), PATIENCE);
        self.silent = true;
        self.post(core, &frame);
    }

    /// No history: not now, or not for this user.
    pub(super) fn history_failed(&mut self, core: &mut Core, of: &str, for_good: bool) {
        let number = self.name_of(of);
        self.stop(Timer::HistoryAnswer(number));
        let Some(c) = self.conversations.get_mut(of) else { return };
        let Some(ask) = c.ask.take() else { return };
        match ask.why {
            Why::Recover if for_good => return self.recovered(core, of, true),
            Why::Recover => return self.ask(core, of, Why::Recover, ask.at),
            Why::Hole if for_good => {
                c.ahead.clear();
                c.head = c.high();
            }
            Why::Older if for_good => c.wants_older = false,
            Why::Hole | Why::Older => c.idle += 1,
        }
        self.took(core, of);
    }

    /// A hole may close by itself, for queues reorder: wait a little before asking.
    pub(super) fn mind(&mut self, core: &mut Core, of: &str) {
        let number = self.name_of(of);
        let Some(c) = self.conversations.get(of) else { return };
        let timer = Timer::Hole(number);
        if !c.ahead.is_empty() && c.ask.is_none() && self.syncing.is_none() && !self.runs(timer) {
            let ms = core.dice.between(300, 600) << c.idle.min(6);
            self.set(core, timer, ms);
        }
    }

    pub(super) fn fill(&mut self, core: &mut Core, of: &str) {
        if self.link.is_none() || self.syncing.is_some() {
            return;
        }
        let Some(c) = self.conversations.get(of) else { return };
        let Some((first, _)) = c.ahead.first_key_value().filter(|_| c.ask.is_none()) else {
            return;
        };
        let at = if c.high() > 0 { c.high() } else { *first };
        self.ask(core, of, Why::Hole, at);
    }

    fn ask_rest(&mut self, core: &mut Core, of: &str) {
        let Some(c) = self.conversations.get(of) else { return };
        if c.behind() && c.ask.is_none() && c.recovery.is_none() {
            let at = if c.high() > 0 { c.high() } else { c.head + 1 };
            self.ask(core, of, Why::Hole, at);
        }
    }

    /// Someone scrolls up, to the beginning.
    pub fn scroll(&mut self, core: &mut Core, of: &str) {
        if let Some(c) = self.conversations.get_mut(of) {
            c.wants_older = true;
        }
        self.older(core, of);
    }

    pub(super) fn older(&mut self, core: &mut Core, of: &str) {
        let Some(c) = self.conversations.get_mut(of) else { return };
        let low = c.low();
        if c.complete || c.gone || low == 0 {
            c.wants_older = false;
        }
        if c.wants_older && c.ask.is_none() && self.link.is_some() {
            self.ask(core, of, Why::Older, low);
        }
    }

    /// The end of a page of a sync.
    pub(super) fn synced(&mut self, core: &mut Core, frame: &Value) {
        let id = frame["request_id"].as_str().unwrap_or_default();
        if self.syncing.as_ref().is_none_or(|s| s.id != id) {
            return;
        }
        for state in frame["conversations"].as_array().into_iter().flatten() {
            let of = state["id"].as_str().unwrap_or_default().to_owned();
            let number = |field: &str| state[field].as_u64().unwrap_or(0);
            let cursor = self.syncing.as_ref().and_then(|s| s.cursors.get(&of)).copied();
            if cursor > Some(number("head")) {
                let device = self.number;
                core.broke(format!(
                    "device {device} holds {cursor:?} of {of}, and was told {}",
                    brief(state)
                ));
            }
            let c = self.conversation(core, &of);
            c.gone = false;
            c.head = c.head.max(number("head"));
            c.read = c.read.max(number("read"));
            c.acked = (number("delivered"), number("read"));
            if let Some(syncing) = &mut self.syncing {
                syncing.listed.push(of);
            }
        }
        if let Some(page) = frame["page"].as_str() {
            return self.page(core, Some(page));
        }
        self.stop(Timer::SyncAnswer);
        let Some(syncing) = self.syncing.take() else { return };
        self.synced_from = syncing.began;
        for of in syncing.known.iter().filter(|of| !syncing.listed.contains(of)) {
            if let Some(c) = self.conversations.get_mut(of).filter(|c| !c.gone) {
                // No longer a member, or added again just now.
                c.gone = true;
                self.again = true;
            }
        }
        self.stalled = if self.held() > syncing.held { 0 } else { self.stalled + 1 };
        let behind = self.conversations.values().any(super::Conversation::behind);
        if behind && self.stalled > 1 {
            // Or nothing comes, since nothing above can be read any more: `history` says so.
            for of in self.ids() {
                self.ask_rest(core, &of);
            }
        }
        if behind && self.stalled < 8 {
            // Batches may be on their way still.
            let ms = core.dice.between(100, 400) << self.stalled.min(6);
            self.set(core, Timer::Sync, ms);
        } else if self.again {
            self.sync(core);
        } else {
            self.stalled = 0;
            let ms = core.dice.between(5 * MINUTE, 8 * MINUTE);
            self.set(core, Timer::KeepAlive, ms);
        }
        for of in self.ids() {
            self.took(core, &of);
        }
    }

    pub(super) fn sync_refused(&mut self, core: &mut Core, error: &Value) {
        let id = error["request_id"].as_str().unwrap_or_default();
        if self.syncing.as_ref().is_some_and(|s| s.id == id) {
            self.syncing = None;
            self.stop(Timer::SyncAnswer);
            let ms = error["retry_after_ms"].as_u64().unwrap_or(1_000);
            self.set(core, Timer::Sync, ms);
        }
    }

    /// Someone reads all that is here.
    pub fn look(&mut self, core: &mut Core, of: &str) {
        if let Some(c) = self.conversations.get_mut(of) {
            c.read = c.read.max(c.high());
        }
        self.due(core, of);
    }

    /// Acks go together after a second or two.
    pub(super) fn due(&mut self, core: &mut Core, of: &str) {
        let due = |c: &super::Conversation| !c.gone && (c.high() > c.acked.0 || c.read > c.acked.1);
        if self.link.is_some()
            && !self.runs(Timer::Ack)
            && self.conversations.get(of).is_some_and(due)
        {
            let ms = core.dice.between(1_000, 2_000);
            self.set(core, Timer::Ack, ms);
        }
    }

    pub(super) fn ack_all(&mut self, core: &mut Core) {
        for of in self.ids() {
            let Some(c) = self.conversations.get_mut(&of) else { continue };
            let (delivered, read) = (c.high().max(c.acked.0), c.read.max(c.acked.1));
            if c.gone || (delivered, read) == c.acked || delivered == 0 {
                continue;
            }
            c.acked = (delivered, read);
            let mut frame = json!({"action": "ack", "conversation_id": of, "delivered": delivered});
            if read > 0 {
                frame["read"] = json!(read);
            }
            self.post(core, &frame);
        }
    }
}
