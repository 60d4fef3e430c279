//! How long messages are kept: the rules of a run, whether an entry's time was over at some moment, and what may be read
//! and counted then.

use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::Floor;
use petrel_core::services::Keeping;
use serde_json::Value;

use crate::cold::KEEPING;
use crate::core::{Core, Invocation};
use crate::dice::Dice;
use crate::frames::Held;
use crate::invocation::Notes;
use crate::truth::{LogOf, Stored, Truth};

/// A day, ms.
pub const DAY_MS: u64 = 86_400_000;
/// What the clocks of functions differ by from the one on the wall at most, ms.
const SKEW_MS: u64 = 2_500;
/// No archiver lives so long, and no write of it is on its way for so long, ms.
const ARCHIVER_MS: u64 = 700_000;

/// What is to be delivered is no longer under way than this, ms.
const UNDER_WAY_MS: u64 = 2 * 3_600_000;

/// Chooses the operator's rule of a run: in most, messages are kept for ever. By dice of its own.
pub fn choose(core: &mut Core, seed: u64) {
    let mut dice = Dice::new(seed ^ 0x7265_7461_696e);
    if dice.percent(40) {
        // Never less than a day, which no group's rule is below either.
        core.keeping = Keeping { retention_s: dice.between(26, 80) * 3_600, ..KEEPING };
    }
    // As the product's, or far less, so that there is much to archive.
    core.keeping.tail = [3, 3, 20, 100][dice.index(4)];
    core.truth.retention_ms = core.keeping.retention_s.saturating_mul(1_000);
}

/// The rules of a conversation, the newest first: until when each held, and how long messages were kept by it, ms.
pub type Kept = Vec<(u64, u64)>;

impl Truth {
    /// The rules that held at some time since `from`, ms since 1970.
    pub fn kept(&self, of: &ConversationId, from: u64) -> Kept {
        let Some(log) = self.log(of) else { return vec![(u64::MAX, self.retention_ms)] };
        let mut rules: Kept = vec![];
        let mut until = u64::MAX;
        for stored in log.history.iter().rev() {
            let days = stored.standing.info.as_ref().and_then(|info| info.retention_days);
            let kept = days.map_or(self.retention_ms, |days| u64::from(days) * DAY_MS);
            if rules.last().is_none_or(|(_, newer)| *newer != kept) {
                rules.push((until, kept));
            }
            if stored.at < from {
                break;
            }
            until = stored.at;
        }
        rules
    }

    /// The same for what a call says that began then: it goes on by the rule that it read, also when that holds no more.
    fn kept_by_call(&self, of: &ConversationId, from: u64, began: u64) -> Kept {
        let still = |until: u64| if until < began { until } else { u64::MAX };
        self.kept(of, from).into_iter().map(|(until, kept)| (still(until), kept)).collect()
    }
}

/// Whether the entry's time was over by every rule of these and by every clock, at `from` and since.
pub fn surely_over(rules: &Kept, entry: &Entry, from: u64) -> bool {
    let end = |kept: u64| entry.sent_at.saturating_add(kept).saturating_add(SKEW_MS);
    rules.iter().all(|(_, kept)| end(*kept) <= from)
}

/// Whether its time may have been over at some moment until `now`, by one of these rules and by someone's clock.
pub fn maybe_over(rules: &Kept, entry: &Entry, now: u64) -> bool {
    let over = |(until, kept): &(u64, u64)| {
        entry.sent_at.saturating_add(*kept) <= now.min(*until).saturating_add(SKEW_MS)
    };
    rules.iter().any(over)
}

/// Whether the first that is unread is younger than a day by someone's clock: he looks no further, also if another's clock has let
/// an archiver take it away.
fn is_young(log: &LogOf, read: Seq, at: u64) -> bool {
    let first = log.at(read.next());
    first.is_some_and(|s| s.entry.sent_at.saturating_add(DAY_MS).saturating_add(SKEW_MS) > at)
}

impl Core {
    /// Whether the archiver may say that this is gone: its time is over.
    pub fn may_go(&self, of: &ConversationId, gone: Seq, ordinal: u64) -> Held {
        let last = self.truth.log(of).and_then(|log| log.at(gone));
        let last = &last.ok_or_else(|| format!("{gone} is gone, and never was"))?.entry;
        if last.ordinal != ordinal {
            return Err(format!("{gone} is gone, and its ordinal is not {ordinal}"));
        }
        let rules = self.truth.kept(of, self.now.saturating_sub(ARCHIVER_MS));
        if maybe_over(&rules, last, self.now) {
            Ok(())
        } else {
            Err(format!("{gone} is gone before its time is over"))
        }
    }

    /// The floor says when the oldest was sent of what lies in the archive.
    pub fn tells_its_oldest(&self, of: &ConversationId, floor: &Floor) -> Held {
        let oldest = floor.gone.next();
        let stored = self.truth.log(of).and_then(|log| log.at(oldest));
        let stored = stored.filter(|_| oldest <= floor.archived);
        match stored.map_or(0, |s| s.entry.sent_at) {
            at if at == floor.oldest_at => Ok(()),
            at => Err(format!("the floor says {}, and {oldest} is of {at}", floor.oldest_at)),
        }
    }

    /// When the invocation began, ms since 1970.
    fn began_at(&self, by: Option<Invocation>) -> Option<u64> {
        Some(self.notes.get(&by?)?.began_at)
    }

    /// Nothing is shown whose time was over before it was asked for.
    pub fn are_kept(&self, of: &str, told: &[Value], by: Option<Invocation>) -> Held {
        let Some(began) = self.began_at(by) else { return Ok(()) };
        let of = ConversationId::parse(of).map_err(|e| e.to_string())?;
        let rules = self.truth.kept(&of, began);
        let Some(log) = self.truth.log(&of) else { return Ok(()) };
        // `sent_at` grows with the seq: the first is the oldest.
        let first = told.first().and_then(|e| e["seq"].as_u64());
        match first.and_then(|seq| log.at(Seq::new(seq))) {
            Some(stored) if surely_over(&rules, &stored.entry, began) => {
                Err(format!("{} was kept long enough before it was asked for", stored.entry.seq))
            }
            _ => Ok(()),
        }
    }

    /// Nothing is delivered long after its time was over, be it once more. What was under way then may arrive.
    pub fn is_delivered_in_time(&self, of: &str, told: &Value, by: Option<Invocation>) -> Held {
        let Some(began) = self.began_at(by) else { return Ok(()) };
        let of = ConversationId::parse(of).map_err(|e| e.to_string())?;
        let before = began.saturating_sub(UNDER_WAY_MS);
        let seq = Seq::new(told["seq"].as_u64().unwrap_or(0));
        match self.truth.log(&of).and_then(|log| log.at(seq)) {
            Some(s) if surely_over(&self.truth.kept(&of, before), &s.entry, before) => {
                Err(format!("{of} {seq} is delivered, and was kept long enough"))
            }
            _ => Ok(()),
        }
    }

    /// Whether its time may be over by now.
    pub fn may_be_over(&self, of: &ConversationId, seq: Seq) -> bool {
        let stored = self.truth.log(of).and_then(|log| log.at(seq));
        stored.is_some_and(|s| maybe_over(&self.truth.kept(of, self.now), &s.entry, self.now))
    }

    /// Nobody is told who has read what is over.
    pub fn is_kept(&self, of: &ConversationId, seq: Seq, by: Option<Invocation>) -> Held {
        let Some(began) = self.began_at(by) else { return Ok(()) };
        let stored = self.truth.log(of).and_then(|log| log.at(seq));
        match stored {
            Some(s) if surely_over(&self.truth.kept(of, began), &s.entry, began) => {
                Err(format!("{of} {seq} was kept long enough before it was asked for"))
            }
            _ => Ok(()),
        }
    }

    /// Nobody names what is over, to answer it or to change it.
    pub fn may_name(&self, entry: &Entry, by: Option<Invocation>) -> Held {
        match entry.content.target() {
            Some(target) => self.is_kept(&entry.conversation_id, target, by),
            None => Ok(()),
        }
    }

    /// Whoever asked for what lies above a seq got all of it: what is left out was kept long enough, or is from before he
    /// joined.
    pub fn nothing_is_left_out(
        &self,
        user: &UserId,
        of: &ConversationId,
        after: Seq,
        frames: &[Value],
        by: Invocation,
    ) -> Held {
        let Some(notes) = self.notes.get(&by) else { return Ok(()) };
        let Some((joined, head)) = notes.tenures.get(of).copied() else { return Ok(()) };
        // Whoever came again meanwhile begins elsewhere.
        if self.truth.row(user, of).is_none_or(|row| row.joined != joined) {
            return Ok(());
        }
        let told = frames.iter().flat_map(|f| f["messages"].as_array().into_iter().flatten());
        let first = told.filter_map(|e| e["seq"].as_u64()).next().map(Seq::new);
        let until = first.unwrap_or(head.next());
        let left_out = after.max(joined.prev()).next()..until;
        let rules = self.truth.kept_by_call(of, 0, notes.began_at);
        let Some(log) = self.truth.log(of) else { return Ok(()) };
        let last = until.prev();
        match log.at(last).filter(|_| left_out.contains(&last)) {
            Some(stored) if !maybe_over(&rules, &stored.entry, self.now) => {
                Err(format!("{user} asked for {of} after {after}, and {last} is left out"))
            }
            _ => Ok(()),
        }
    }

    /// Unread is what a recount says of what is neither gone nor over.
    pub fn counted(
        &self,
        of: &ConversationId,
        joined: Seq,
        told: &Value,
        by: Option<Invocation>,
    ) -> Held {
        let log = self.truth.log(of).ok_or("there is no log")?;
        let (head, read) = (told["head"].as_u64().unwrap_or(0), told["read"].as_u64().unwrap_or(0));
        if head > log.head().get() {
            return Err(format!("the head of {of} is {}", log.head()));
        }
        let head = Seq::new(head);
        let from = Seq::new(read).max(joined.prev());
        let notes = by.and_then(|by| self.notes.get(&by));
        let gone = self.truth.cold.get(of).map_or(Seq::ZERO, |cold| cold.floor.gone);
        let gone_before = notes.and_then(|n| n.gone.get(of)).copied().unwrap_or(Seq::ZERO);
        let began = notes.map_or(0, |n| n.began_at);
        let rules = self.truth.kept_by_call(of, began, began);
        let over = log.last(|e| maybe_over(&rules, e, self.now)).max(gone);
        // Where the archive could not be read, what is over may be in it.
        let hurt = notes.is_some_and(Notes::is_hurt);
        let surely = log.last(|e| surely_over(&rules, e, began) && !hurt);
        let over_before = if is_young(log, from, began) { surely } else { surely.max(gone_before) };
        let count = |over: Seq| counting(&log.history, from.max(over), head);
        let (least, most) = (count(over), count(over_before));
        let unread = told["unread"].as_u64().unwrap_or(u64::MAX);
        let Some(newest) = log.at(head).map(|s| &s.entry) else { return Ok(()) };
        // The newest alone is counted without a look at what is gone.
        let alone = unread == 1 && newest.content.counts() && count(Seq::ZERO) == 1;
        let held = if surely_over(&rules, newest, began) {
            unread == 0
        } else {
            (least..=most).contains(&unread) || alone
        };
        if held { Ok(()) } else { Err(format!("{least} to {most} of {of} are unread")) }
    }

    /// How many messages a user has not read, as a recount of everything that was ever stored and is not gone says; and
    /// what the icon shows. `None` while it depends on whose clock is right.
    pub fn recount(&self, user: &UserId, by: Invocation) -> Option<(u64, u64)> {
        // Where the archive could not be read, what is over may be in it.
        let began = self.notes.get(&by).filter(|notes| !notes.is_hurt())?.began_at;
        let (mut messages, mut badge) = (0, 0);
        for (of, row) in self.truth.rows.get(user).into_iter().flatten() {
            let Some(log) = self.truth.log(of) else { continue };
            let gone = self.truth.cold.get(of).map_or(Seq::ZERO, |cold| cold.floor.gone);
            let from = row.marks.read.max(row.joined.prev());
            let rules = self.truth.kept_by_call(of, self.now.saturating_sub(DAY_MS / 24), began);
            let surely = log.last(|e| surely_over(&rules, e, began));
            let over = surely.max(gone);
            let doubtful = log.last(|e| maybe_over(&rules, e, self.now)) > over.max(from);
            let doubtful = doubtful || gone > surely.max(from) && is_young(log, from, began);
            // The newest alone is counted without a look at what is gone.
            if doubtful || surely < log.head() && log.head() <= gone {
                return None;
            }
            let unread = counting(&log.history, from.max(over), log.head());
            messages += unread;
            if !row.own.is_quiet(self.now) {
                badge += unread.max(u64::from(row.own.marked_unread));
            }
        }
        Some((messages, badge))
    }

    /// The archivers run once more, now that nobody begins anything.
    pub fn sweep(&mut self) {
        self.swept = self.now;
        let all: Vec<ConversationId> = self.truth.logs.keys().cloned().collect();
        for of in all {
            let ms = self.latency();
            self.invoke(ms, crate::invocation::Task::Archive(of, 0));
        }
    }

    /// At rest nothing lies anywhere whose time was over when the archivers ran last.
    pub fn what_is_over_is_gone(&self, of: &ConversationId) -> Held {
        let Some(log) = self.truth.log(of) else { return Ok(()) };
        let empty = Default::default();
        let cold = self.truth.cold.get(of).unwrap_or(&empty);
        let rules = self.truth.kept(of, self.swept);
        let over = log.history.iter().rev().find(|s| surely_over(&rules, &s.entry, self.swept));
        if let Some(seq) = over.map(|s| s.entry.seq).filter(|seq| *seq > cold.floor.gone) {
            return Err(format!("{seq} was kept long enough, and is there still"));
        }
        let gone = cold.floor.gone;
        let lies = cold.objects.values().flatten().find(|e| e.seq <= gone);
        if let Some(entry) = lies {
            return Err(format!("{} is gone, and an object has it", entry.seq));
        }
        let row = log.table.values().find(|row| {
            let ends = row.seq == Seq::FIRST || row.seq == log.head();
            let says = !matches!(row.content, Content::Gone { .. });
            row.seq <= cold.floor.base() && !ends || row.seq <= gone && says
        });
        match row {
            Some(row) => Err(format!("{} is gone from the table, and its row stands", row.seq)),
            None => Ok(()),
        }
    }
}

impl LogOf {
    /// The highest seq for which this holds.
    fn last(&self, holds: impl Fn(&Entry) -> bool) -> Seq {
        let found = self.history.iter().rev().find(|s| holds(&s.entry));
        found.map_or(Seq::ZERO, |s| s.entry.seq)
    }
}

fn counting(history: &[Stored], above: Seq, head: Seq) -> u64 {
    let counts =
        |s: &&Stored| s.entry.seq > above && s.entry.seq <= head && s.entry.content.counts();
    history.iter().filter(counts).count() as u64
}
