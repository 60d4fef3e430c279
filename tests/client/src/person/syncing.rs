//! Reading without loss: a sync after each connect and for each hole, until everything is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;

use super::books::{self, Held};
use super::{Person, Phase};
use crate::frames;

/// A hole may close by itself, for queues reorder.
const HOLE: Duration = Duration::from_millis(300);
/// Acks go together.
const ACKS: std::ops::Range<Duration> = Duration::from_secs(1)..Duration::from_secs(2);
/// A sync at the latest after so long.
const KEEP_ALIVE: std::ops::Range<Duration> = Duration::from_secs(300)..Duration::from_secs(480);

/// A sync under way.
#[derive(Debug)]
pub(super) struct Syncing {
    id: String,
    cursors: Value,
    page: Option<String>,
    /// The next page is to be asked for.
    asks: bool,
    /// Where each conversation ends, by the pages so far.
    heads: BTreeMap<String, u64>,
    /// Whether it was begun to see that nothing is missing at the end.
    last: bool,
}

impl Person {
    /// The sync whose time has come.
    pub(super) fn sync_due(&mut self, now: Instant) -> Option<Value> {
        if self.syncing.is_none() && self.sync_at.is_some_and(|at| at <= now) {
            self.sync_at = None;
            let cursor = |(id, log): (&Arc<str>, &crate::Log<Held>)| (id.to_string(), log.last());
            let held = self.logs.iter().map(cursor).filter(|(_, last)| *last > 0);
            let cursors = held.map(|(id, last)| (id, last.into())).collect::<Map<_, _>>().into();
            let (page, asks, heads) = (None, true, BTreeMap::new());
            let last = self.phase == Phase::Settle;
            self.syncing = Some(Syncing { id: frames::new_id(), cursors, page, asks, heads, last });
        }
        let syncing = self.syncing.as_mut().filter(|s| s.asks)?;
        syncing.asks = false;
        let mut frame = frames::sync(&syncing.cursors);
        frame["request_id"] = syncing.id.clone().into();
        if let Some(page) = &syncing.page {
            frame["page"] = page.clone().into();
        }
        Some(frame)
    }

    /// The end of a page of a sync.
    pub(super) fn synced(&mut self, frame: &Value) {
        let Some(syncing) = self.syncing.as_mut().filter(|s| frame["request_id"] == s.id.as_str())
        else {
            return;
        };
        let mut shrunk = vec![];
        for state in frame["conversations"].as_array().into_iter().flatten() {
            let id = state["id"].as_str().unwrap_or_default();
            let head = state["head"].as_u64().unwrap_or_default();
            let cursor = syncing.cursors[id].as_u64().unwrap_or_default();
            if cursor > head {
                let user = &self.user;
                shrunk.push(format!("{user} holds {cursor} of {id}, which ends at {head}"));
            }
            syncing.heads.insert(id.to_owned(), head);
        }
        let next = frame["page"].as_str().map(str::to_owned);
        syncing.asks = next.is_some();
        syncing.page = next;
        let more = syncing.asks;
        shrunk.into_iter().for_each(|problem| self.broke(problem));
        if more {
            return;
        }
        let Some(syncing) = self.syncing.take() else { return };
        let now = Instant::now();
        let mut behind = false;
        for (id, head) in &syncing.heads {
            let last = self.logs.get(id.as_str()).map_or(0, crate::Log::last);
            behind |= last < *head;
            if last >= *head {
                self.recover(id, now);
            }
        }
        let recovers = self.outbox.values().any(|p| p.recovers);
        self.settled = syncing.last && !behind;
        if behind || recovers {
            self.sync_at = Some(now);
        } else {
            let later = self.between(KEEP_ALIVE);
            self.sync_at.get_or_insert(now + later);
        }
    }

    /// Takes an entry of a frame. `pushed`: it came by itself.
    pub(super) fn take(&mut self, frame: &Value, entry: &Value, pushed: bool) {
        let of = frame["conversation_id"].as_str().unwrap_or_default();
        let seq = entry["seq"].as_u64().unwrap_or_default();
        if !self.logs.contains_key(of) {
            self.logs.insert(of.into(), crate::Log::default());
        }
        let Some(log) = self.logs.get_mut(of) else { return };
        let taken = log.take(seq, Held::of(entry));
        let waits = log.ahead().next().is_some();
        match taken {
            Ok(true) => {
                self.tally.delivered.add(1);
                let age = (pushed && entry["sender_id"] != *self.user).then(|| books::age(entry));
                if let Some(age) = age.flatten() {
                    self.tally.time(|times| times.delivered.push(age));
                }
            }
            Ok(false) => self.tally.doubled.add(1),
            Err(error) => self.broke(format!("{}, {of}: {error}", self.user)),
        }
        let now = Instant::now();
        if waits && self.syncing.is_none() {
            let soon = now + HOLE;
            self.sync_at = Some(self.sync_at.map_or(soon, |at| at.min(soon)));
        }
        if self.ack_at.is_none() {
            let wait = self.between(ACKS);
            self.ack_at = Some(now + wait);
        }
    }
}
