//! Cold history: when the archiver runs, the effects of its writes, and the rule that they may never break: the table
//! and the archive together are the log.

use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::{Content, Entry, Why};
use petrel_core::ports::{Floor, Precondition};
use petrel_core::services::Keeping;

use crate::core::{Core, Event, Invocation};
use crate::faults::{Fault, Path};
use crate::invocation::Task;
use crate::mutants::Mutant;
use crate::truth::{ColdOf, Write, Wrote, version};

/// What is archived: much sooner than in earnest, and in many runs down to the newest few (`retention` chooses). No put is under way for as long as an entry
/// is hot. In most runs nothing expires, in others after days: see `retention`.
pub const KEEPING: Keeping =
    Keeping { hot_s: 4 * 3_600, tail: 3, least: 1, retention_s: u64::MAX / 1_000 };

/// What is left of the first row and the newest when their time is over.
const EXPIRED: Content = Content::Gone { why: Why::Expired };

/// How often the stream tells of a timer again when the archiver has failed; then it is the operator's.
const RETRIES: u32 = 3;

impl Core {
    /// The time of a conversation's timer is over; DynamoDB may let days pass until it takes it.
    pub fn timer_runs_out(&mut self, of: &ConversationId) {
        let ms = if self.strikes(Fault::TimerLate) {
            self.dice.magnitude(1_000, 3 * 86_400_000)
        } else {
            self.latency()
        };
        self.after(ms, Event::TimerGone(of.clone()));
    }

    /// The timer is taken, if there is one still, and the stream tells the archiver.
    pub fn timer_gone(&mut self, of: &ConversationId) {
        let Some(cold) = self.truth.cold.get_mut(of).filter(|cold| cold.timer) else { return };
        cold.timer = false;
        let times = if self.strikes(Fault::TimerDoubled) { 2 } else { 1 };
        for _ in 0..times {
            let ms = self.latency();
            self.invoke(ms, Task::Archive(of.clone(), RETRIES));
        }
    }

    /// The archiver failed or died: the stream tells of it again, for a while.
    pub fn timer_again(&mut self, of: ConversationId, left: u32) {
        let ms = self.dice.magnitude(100, 60_000);
        if left > 0 {
            self.invoke(ms, Task::Archive(of, left - 1));
        } else {
            self.passed(Path::TimerFailed);
        }
    }

    /// In the end every timer runs out once more, and the operator sends those again that failed; and again when the lease
    /// of whoever died is over.
    pub fn redrive_timers(&mut self) {
        let all: Vec<ConversationId> = self.truth.logs.keys().cloned().collect();
        for of in all {
            for later in [0, 1_000_000] {
                let ms = later + self.latency();
                self.invoke(ms, Task::Archive(of.clone(), RETRIES));
            }
        }
    }

    /// Stores a delete of what may be archived.
    pub fn put_delete(
        &mut self,
        delete: &Entry,
        target: &Entry,
        floor: &Floor,
        by: Option<Invocation>,
    ) -> Wrote {
        let of = &delete.conversation_id;
        let unchecked = self.is(Mutant::FloorUnchecked);
        let empty = ColdOf::default();
        let cold = self.truth.cold.get(of).unwrap_or(&empty);
        let table = self.truth.logs.get(of).map(|log| &log.table);
        let row = |seq: &Seq| table.and_then(|table| table.get(seq));
        let is_gone = |e: &Entry| matches!(e.content, Content::Gone { .. });
        let mut changed = std::iter::once(&target.seq).chain(&target.edits);
        let taken = row(&delete.seq).is_some()
            || cold.floor.version != floor.version && !unchecked
            || cold.redactions.contains(&target.seq)
            || is_gone(target)
            || row(&target.seq).is_some_and(|row| is_gone(row) || row.edits != target.edits)
            || changed.any(|seq| *seq > floor.archived && row(seq).is_none());
        if taken {
            self.passed(Path::Conflict);
            if let Some(notes) = by.and_then(|by| self.notes.get_mut(&by)) {
                notes.conflicts += 1;
            }
            return Wrote::No;
        }
        self.truth.delete(of, target, self.moment);
        let changed = std::iter::once(&target.seq).chain(&target.edits);
        let noted: Vec<Seq> = changed.filter(|seq| **seq <= floor.closing).copied().collect();
        self.passed(if noted.is_empty() { Path::Deleted } else { Path::Noted });
        self.truth.cold.entry(of.clone()).or_default().redactions.extend(noted);
        self.stored(delete, by);
        Wrote::Yes
    }

    /// No reader gets what was deleted: neither from a row nor from an object, unless a note says so.
    pub fn nothing_shows(&self, of: &ConversationId) -> Result<(), String> {
        let Some(log) = self.truth.log(of) else { return Ok(()) };
        let empty = ColdOf::default();
        let cold = self.truth.cold.get(of).unwrap_or(&empty);
        for seq in log.deleted.keys() {
            let Some(stored) = log.at(*seq) else { continue };
            let left = stored.entry.content.deleted();
            let expired = |row: &Entry| *seq <= cold.floor.gone && row.content == EXPIRED;
            if log.table.get(seq).is_some_and(|row| row.content != left && !expired(row)) {
                return Err(format!("{seq} was deleted, and its row says it still"));
            }
            let gone = *seq <= cold.floor.gone;
            if gone || *seq > cold.floor.archived || cold.redactions.contains(seq) {
                continue;
            }
            let object = cold.objects.range(*seq..).next().map(|(_, stretch)| stretch);
            let lies = object.and_then(|stretch| stretch.iter().find(|e| e.seq == *seq));
            if lies.is_some_and(|lies| lies.content != left) {
                return Err(format!("{seq} was deleted, and the archive shows it still"));
            }
        }
        Ok(())
    }

    /// At rest no object holds what was deleted, none is left over, and nothing is noted that is not in the table still.
    pub fn archive_is_clean(&self, of: &ConversationId) -> Result<(), String> {
        let (Some(log), Some(cold)) = (self.truth.log(of), self.truth.cold.get(of)) else {
            return Ok(());
        };
        for (last, object) in &cold.objects {
            if *last > cold.floor.archived {
                return Err(format!("the object {last} is left over"));
            }
            let says =
                |e: &&Entry| log.deleted.contains_key(&e.seq) && e.content != e.content.deleted();
            if let Some(entry) = object.iter().find(says) {
                return Err(format!("{} was deleted, and the object {last} has it", entry.seq));
            }
        }
        match cold.redactions.iter().find(|seq| **seq <= cold.floor.base()) {
            Some(seq) => Err(format!("{seq} is still noted")),
            None if cold.floor.until > 0 => Err("an archiver has the lease".to_owned()),
            None => Ok(()),
        }
    }

    /// The effect of a write of the archiver.
    pub fn put_away(&mut self, write: &Write, by: Option<Invocation>) -> Wrote {
        let of = match write {
            Write::MoveFloor(of, ..)
            | Write::SetTimer(of)
            | Write::RemoveRows(of, ..)
            | Write::RemoveRedactions(of, _)
            | Write::Empty(of, ..)
            | Write::DeleteObject(of, _) => of.clone(),
            Write::PutObject(stretch, _) => match stretch.first() {
                Some(first) => first.conversation_id.clone(),
                None => return Wrote::No,
            },
            _ => return Wrote::No,
        };
        let unconditional = self.is(Mutant::FloorUnconditional);
        let cold = self.truth.cold.entry(of.clone()).or_default();
        match write {
            Write::SetTimer(_) => {
                cold.timer = true;
                return Wrote::Yes;
            }
            Write::MoveFloor(_, old, new) => {
                if cold.floor.version != old.version && !unconditional {
                    self.passed(Path::ArchiversMet);
                    return Wrote::No;
                }
                let stood = cold.floor.clone();
                cold.floor = Floor { version: stood.version + 1, ..new.clone() };
                if new.archived < stood.archived || new.gone < stood.gone {
                    self.broke(format!("{of}: the floor fell from {stood:?} to {new:?}"));
                }
                if new.archived > stood.archived {
                    self.passed(Path::Archived);
                }
                let held = self.tells_its_oldest(&of, new);
                self.must(held.map_err(|e| format!("{of}: {e}")));
                if new.gone > stood.gone {
                    self.passed(Path::Expired);
                    let held = self.may_go(&of, new.gone, new.gone_ordinal);
                    self.must(held.map_err(|e| format!("{of}: {e}")));
                }
            }
            Write::RemoveRedactions(_, seqs) => {
                cold.redactions.retain(|seq| !seqs.contains(seq));
                self.passed(Path::Redacted);
            }
            Write::RemoveRows(_, from, through) => {
                let floor = cold.floor.base();
                if *through < floor {
                    self.passed(Path::RowsLeft);
                }
                if let Some(log) = self.truth.logs.get_mut(&of) {
                    log.table.retain(|seq, _| seq < from || seq > through);
                }
            }
            Write::PutObject(stretch, only_if) => {
                let last = stretch.last().map_or(Seq::ZERO, |e| e.seq);
                let stands = cold.objects.get(&last).map(|object| version(object));
                let holds = match only_if {
                    Precondition::Absent => stands.is_none(),
                    Precondition::Is(version) => stands.as_ref() == Some(version),
                };
                if !holds {
                    return Wrote::No;
                }
                cold.objects.insert(last, stretch.clone());
            }
            Write::DeleteObject(_, last) => {
                cold.objects.remove(last);
            }
            Write::Empty(_, seq, why) => {
                let log = self.truth.logs.get_mut(&of);
                if let Some(row) = log.and_then(|log| log.table.get_mut(seq)) {
                    row.content = Content::Gone { why: *why };
                }
            }
            _ => {}
        }
        let held = self.nothing_is_lost(&of).and_then(|()| self.nothing_shows(&of));
        let held = held.and_then(|()| self.there_is_a_next_time(&of, by));
        self.must(held.map_err(|e| format!("{of}: {e}")));
        Wrote::Yes
    }

    /// Whoever changes something of the archive has made sure before that it is looked after again. In between another
    /// timer may have run out.
    fn there_is_a_next_time(
        &self,
        of: &ConversationId,
        by: Option<Invocation>,
    ) -> Result<(), String> {
        let timer = self.truth.cold.get(of).is_some_and(|cold| cold.timer);
        let another = |(id, notes): (&Invocation, &crate::invocation::Notes)| {
            Some(*id) != by && matches!(&notes.task, Task::Archive(other, _) if other == of)
        };
        if timer || by.is_none() || self.notes.iter().any(another) {
            return Ok(());
        }
        Err("the archiver is at work, and there is no timer".to_owned())
    }

    /// The table holds what lies above the floor, and the archive what does not: every entry as it was stored, but for what
    /// is gone because its time is over.
    pub fn nothing_is_lost(&self, of: &ConversationId) -> Result<(), String> {
        let (Some(log), Some(cold)) = (self.truth.log(of), self.truth.cold.get(of)) else {
            return Ok(());
        };
        let (gone, base) = (cold.floor.gone, cold.floor.base());
        for stored in &log.history {
            let seq = stored.entry.seq;
            // Of what is gone the two ends stay, so that the conversation is there and its numbers do not start again.
            let ends = seq == Seq::FIRST || seq == log.head();
            if seq <= gone && !ends {
                continue;
            }
            let entry = &log.expected(&stored.entry);
            if seq > base || ends {
                let row = log.table.get(&seq);
                let emptied = seq <= gone && row.is_some_and(|row| row.content == EXPIRED);
                if row != Some(entry) && !emptied {
                    return Err(format!("{seq} is not in the table, and the floor is {base}"));
                }
            }
            if seq <= cold.floor.archived && seq > gone {
                let object = cold.objects.range(seq..).next().map(|(_, stretch)| stretch);
                let lies = object.and_then(|stretch| stretch.iter().find(|e| e.seq == seq));
                // As it was before its delete, if a note says so.
                let noted = cold.redactions.contains(&seq);
                let whole = log.whole(&stored.entry);
                if !lies.is_some_and(|lies| lies == entry || noted && *lies == whole) {
                    return Err(format!(
                        "{seq} is not in the archive, and the floor is {}",
                        cold.floor.archived
                    ));
                }
            }
        }
        match log.history.last() {
            Some(head) if !log.table.contains_key(&head.entry.seq) => {
                Err("the newest entry has left the table".to_owned())
            }
            _ => Ok(()),
        }
    }
}
