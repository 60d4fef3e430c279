//! What a device holds of one conversation, as docs/protocol.md asks: a stretch without a hole, what waits beyond a
//! hole, and what is on its way out.

use std::collections::BTreeMap;

use serde_json::Value;

/// An entry as a device holds it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its place.
    pub seq: u64,
    /// Which message.
    pub message_id: String,
    /// Who wrote it.
    pub sender: String,
    /// Whether the user joins by it (`true`) or goes (`false`).
    pub membership: Option<bool>,
}

impl Held {
    /// Reads an entry of a frame.
    pub fn read(entry: &Value, me: &str) -> Option<Self> {
        let change = &entry["content"]["change"];
        let names_me =
            change["members"].as_array().is_some_and(|m| m.iter().any(|u| u.as_str() == Some(me)));
        let membership = names_me.then(|| change["kind"] != "removed");
        Some(Self {
            seq: entry["seq"].as_u64()?,
            message_id: entry["message_id"].as_str()?.to_owned(),
            sender: entry["sender_id"].as_str()?.to_owned(),
            membership,
        })
    }
}

/// A message on its way out.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its key.
    pub id: String,
    /// What the device held when it was composed: the first one, until a sync proves a higher one.
    pub seen: u64,
    /// Whether it was ever sent.
    pub tried: bool,
    /// Whether it was refused: only the user may try again.
    pub failed: bool,
}

/// The `send` under way.
#[derive(Clone, Debug)]
pub struct Inflight {
    /// Which messages.
    pub ids: Vec<String>,
}

/// Why history was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A hole does not close by itself.
    Hole,
    /// What lies before the stretch.
    Older,
    /// `seen` could not be proved.
    Recover,
}

/// A question for history.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Names it.
    pub id: String,
    /// What for.
    pub why: Why,
    /// The seq that was named.
    pub at: u64,
    /// Whether what lies before it was asked for.
    pub before: bool,
    /// The highest seq that was heard of then.
    pub head: u64,
}

/// What `sync_required` makes a device read.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The least `seen` of what waits.
    pub from: u64,
    /// How far it was read.
    pub head: u64,
    /// Whether something may not be read.
    pub hidden: bool,
}

/// One conversation.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The stretch, oldest first.
    pub entries: Vec<Held>,
    /// The highest seq below the stretch that can be read no more, as far as it was begun anew above.
    pub begins: u64,
    /// What lies beyond a hole.
    pub ahead: BTreeMap<u64, Held>,
    /// The highest seq that was heard of.
    pub head: u64,
    /// Whether all before the stretch is known not to be there.
    pub complete: bool,
    /// Whether the user was removed.
    pub gone: bool,
    /// What is to be sent, in order.
    pub outbox: Vec<Item>,
    /// What is being sent.
    pub inflight: Option<Inflight>,
    /// How many of the next messages go one by one.
    pub single: usize,
    /// Whether the next send waits.
    pub waits: bool,
    /// Pauses one after another.
    pub pauses: u32,
    /// What history was asked for.
    pub ask: Option<Ask>,
    /// What is read because of `sync_required`.
    pub recovery: Option<Recovery>,
    /// Holes that did not close when asked for, one after another.
    pub idle: u32,
    /// Whether someone wants to see what lies before.
    pub wants_older: bool,
    /// How far was read by a person.
    pub read: u64,
    /// What was acknowledged.
    pub acked: (u64, u64),
    /// Entries lost to a hole that was accepted: for a broken variant.
    pub accepts_hole: bool,
}

impl Conversation {
    /// The first seq of the stretch; 0 if there is none.
    pub fn low(&self) -> u64 {
        self.entries.first().map_or(0, |e| e.seq)
    }

    /// The last seq of the stretch.
    pub fn high(&self) -> u64 {
        self.entries.last().map_or(self.begins, |e| e.seq)
    }

    /// What lies between the stretch and this seq can be read no more: goes on from here.
    pub fn begin_above(&mut self, seq: u64) {
        self.entries.clear();
        self.complete = true;
        self.begins = seq;
        self.close_up();
    }

    /// Whether more is known to be there.
    pub fn behind(&self) -> bool {
        !self.gone && self.head > self.high()
    }

    /// The messages that may be sent.
    pub fn waiting(&self) -> impl Iterator<Item = &Item> {
        self.outbox.iter().filter(|m| !m.failed)
    }

    /// Forgets what the log said, but not what is to be sent.
    pub fn forget(&mut self) {
        *self = Self {
            outbox: std::mem::take(&mut self.outbox),
            accepts_hole: self.accepts_hole,
            ..Self::default()
        };
    }

    /// The message stands in the log, whoever said so.
    pub fn settle(&mut self, id: &str) {
        self.outbox.retain(|m| m.id != id);
    }

    /// Takes entries in the order of their seq. `begins`: they were asked for by seq, so the stretch may begin with
    /// them; a push proves nothing of the kind. `follows`: as what comes next above the stretch, so what it leaves out
    /// can be read no more.
    ///
    /// # Errors
    /// When another entry is held at a place.
    pub fn take(
        &mut self,
        run: Vec<Held>,
        me: &str,
        begins: bool,
        follows: bool,
    ) -> Result<(), String> {
        let first = run.first().map(|e| e.seq);
        if let Some(first) =
            first.filter(|first| follows && self.high() > 0 && *first > self.high() + 1)
        {
            self.begin_above(first - 1);
        }
        for entry in run {
            if entry.sender == me {
                self.settle(&entry.message_id);
            }
            self.head = self.head.max(entry.seq);
            self.compare(&entry)?;
            let high = self.high();
            if entry.seq > high + 1 && entry.membership == Some(true) {
                // Added late, or again: nothing in between may be read.
                self.entries.clear();
                self.complete = true;
                self.append(entry);
            } else if entry.seq == high + 1
                || (begins && high == 0)
                || (self.accepts_hole && entry.seq > high)
            {
                self.append(entry);
            } else if entry.seq > high {
                self.ahead.insert(entry.seq, entry);
            }
        }
        self.close_up();
        Ok(())
    }

    /// Takes what waited beyond a hole that is none any more.
    fn close_up(&mut self) {
        while let Some(next) = self.ahead.remove(&(self.high() + 1)).filter(|_| self.high() > 0) {
            self.append(next);
        }
        let high = self.high();
        self.ahead.retain(|seq, _| *seq > high);
    }

    /// Takes what lies just below the stretch.
    ///
    /// # Errors
    /// When it does not reach up to it.
    pub fn take_older(&mut self, mut run: Vec<Held>, me: &str, more: bool) -> Result<(), String> {
        if run.last().is_some_and(|e| e.seq + 1 != self.low()) {
            return Err(format!("what lies before {} does not reach up to it", self.low()));
        }
        for entry in run.iter().filter(|e| e.sender == me) {
            self.outbox.retain(|m| m.id != entry.message_id);
        }
        run.append(&mut self.entries);
        self.entries = run;
        self.complete = !more;
        Ok(())
    }

    fn compare(&self, entry: &Held) -> Result<(), String> {
        let at = entry.seq.checked_sub(self.low()).and_then(|i| usize::try_from(i).ok());
        let held = at.and_then(|i| self.entries.get(i)).filter(|h| h.seq == entry.seq);
        let held = held.or(self.ahead.get(&entry.seq));
        match held {
            Some(held) if held.message_id != entry.message_id => {
                Err(format!("{} was {} and is {}", entry.seq, held.message_id, entry.message_id))
            }
            _ => Ok(()),
        }
    }

    fn append(&mut self, entry: Held) {
        if entry.seq == 1 {
            self.complete = true;
        }
        if let Some(joins) = entry.membership {
            self.gone = !joins;
        }
        // Whoever writes has read what was before.
        self.entries.push(entry);
    }

    /// The messages for the next `send`, and the `seen` that holds for all of them.
    pub fn batch(&self) -> (Vec<Item>, u64) {
        let most = if self.single > 0 { 1 } else { 10 };
        let items: Vec<Item> = self.waiting().take(most).cloned().collect();
        let seen = items.iter().map(|m| m.seen).min().unwrap_or(0);
        (items, seen)
    }
}
