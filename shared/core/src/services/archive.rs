//! The archiver: it takes the old end of a log out of the table, and out of the world when its time is over. A timer row
//! sets it off. Each step may be the last one, and may come twice: the timer is set again first; the fence is put up before
//! rows are read to be copied; an object stands before the floor moves, and the floor has moved before rows go; what can
//! be read no more is said so before it goes.
//!
//! An object is a copy, and a delete has to reach it. So it has one writer: the run that has the lease. Whoever deletes what
//! is at or below the fence leaves a note in the same transaction that takes the words out of the table, on condition that
//! the fence stands where he read it; readers look at the notes before the object, and the next run puts into the object
//! what they say before it takes them away.

use std::collections::BTreeSet;

use super::App;
use super::history::size;
use crate::error::{Error, Result};
use crate::ids::{ConversationId, Seq};
use crate::message::{Content, Entry, Why};
use crate::mutants::mutant;
use crate::ports::{Floor, Object, Precondition};

/// Most entries in an object.
pub(super) const MAX_ENTRIES: usize = 500;
/// Most bytes of an object's entries as JSON, if it holds more than one.
const MAX_BYTES: usize = 1024 * 1024;
/// Most objects made in one go.
const MAX_OBJECTS: usize = 200;
/// The longest that one go takes before it leaves the rest to the next, ms.
const MAX_MS: u64 = 300_000;
/// Objects named at once.
const NAMES: usize = 500;
/// How long a run has the objects for itself, unless it says sooner that it is done, ms.
const LEASE_MS: u64 = 900_000;
/// The longest that a run can be alive, ms: the template's time-out of its function, and what one call may be on its way.
const MAX_LIFE_MS: u64 = 600_000 + 60_000;
const _: () = assert!(LEASE_MS > MAX_LIFE_MS && MAX_LIFE_MS > MAX_MS);
/// Notes of deletes that are looked at together.
const NOTES: usize = 1_000;
/// The longest time between two runs, s.
const MAX_TIMER_S: u64 = 7 * 86_400;

/// How long what lies where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Seconds that an entry stays in the table. Much longer than any call may take: a put that was frozen before must
    /// not find its place free again, and what was young when it was deleted or edited (`may_be_old`) must not have
    /// been copied meanwhile. At least a day in earnest.
    pub hot_s: u64,
    /// How many of the newest entries stay in the table, however old: at least those that a caller without state is
    /// searched for in, so that his repeat is found; and `send` never needs the archive.
    pub tail: u64,
    /// How many entries must be old enough before any goes: small objects cost more than they save.
    pub least: usize,
    /// Seconds that an entry can be read.
    pub retention_s: u64,
}

impl Default for Keeping {
    fn default() -> Self {
        Self { hot_s: 30 * 86_400, tail: 100, least: 100, retention_s: 365 * 86_400 }
    }
}

impl Keeping {
    /// Whether an archiver may be at what was sent at this time, ms since 1970, and so whoever changes it has to look at the
    /// floor. Half of the time that it stays is left for clocks that differ and calls that stand still.
    pub(super) fn may_be_old(&self, sent_at: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(sent_at) > self.settled_ms()
    }

    /// After that no entry is edited any more, ms: what may be archived stays as it is, but for deletes.
    pub(super) fn settled_ms(&self) -> u64 {
        self.hot_s.saturating_mul(1_000) / 2
    }

    /// The time from one run to the next of a conversation that keeps messages for so long, ms.
    fn timer_ms(&self, kept_ms: u64) -> u64 {
        (self.hot_s.min(kept_ms / 1_000) / 4).clamp(1, MAX_TIMER_S) * 1_000
    }
}

/// What one run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    /// Entries that lie in the archive since.
    pub moved: u64,
    /// Entries whose time was over.
    pub expired: u64,
}

/// What is over, as far as this floor knows.
struct Over {
    /// The floor above it; the same if nothing is.
    floor: Floor,
    /// Of an object that is over in part, the whole.
    rest: Option<Object>,
}

impl App {
    /// Makes sure that a conversation has a timer, so that its old end will go some day.
    pub(super) async fn keep_timer(&self, of: &ConversationId) -> Result<()> {
        let keeping = &self.settings.keeping;
        let kept_ms = self.kept_ms(None);
        self.cold.keep_timer(of, self.world.now_ms() + keeping.timer_ms(kept_ms)).await
    }

    /// Takes the old end of a log out of the table. This is what runs when a conversation's timer has vanished.
    ///
    /// # Errors
    /// `busy` if a port fails, or if what should be there is not; it may be repeated.
    pub async fn archive(&self, of: &ConversationId) -> Result<Archived> {
        self.about(of, None);
        let began = self.world.now_ms();
        let next = began + self.settings.keeping.timer_ms(u64::MAX);
        if !mutant!(TimerLast) {
            // Whatever happens below, there is a next time.
            self.cold.set_timer(of, next).await?;
        }
        let done = self.take_away(of, began, next).await?;
        if mutant!(TimerLast) {
            self.cold.set_timer(of, next).await?;
        }
        Ok(done)
    }

    async fn take_away(&self, of: &ConversationId, began: u64, next: u64) -> Result<Archived> {
        let mut done = Archived::default();
        let info = self.conversations.roster(of, 0).await?.info;
        let kept_ms = self.kept_ms(info.as_ref());
        let sooner = began + self.settings.keeping.timer_ms(kept_ms);
        if sooner < next {
            self.cold.set_timer(of, sooner).await?;
        }
        let Some(head) = self.log.newest(of, Seq::FIRST, None, 1).await?.into_iter().next() else {
            return Ok(done);
        };
        let floor = self.cold.floor(of).await?;
        // Needs no lease: what lies at or below the floor is read from the objects.
        self.sweep(of, &floor, head.seq).await?;
        if floor.until > began {
            // Another run has the objects, or died while it had them.
            if floor.until < next {
                self.cold.set_timer(of, floor.until).await?;
            }
            return Ok(done);
        }
        let over = self.over(of, &head, &floor, kept_ms).await?;
        let notes = floor.version > 0
            && !self.cold.redactions(of, Seq::FIRST, floor.base(), 1).await?.is_empty();
        let old = self.old_enough(of, &over.floor, head.seq, began).await?;
        // A run that ended before it was done has not given its lease back.
        let left = floor.until > 0;
        let expires = over.floor.gone > floor.gone || over.rest.is_some() || left;
        if !expires && !notes && old.is_empty() {
            return Ok(done);
        }
        // Up to here a run has only looked. What it knows of the objects holds if nobody else has had them meanwhile.
        let most = Seq::new(head.seq.get().saturating_sub(self.settings.keeping.tail.max(1)));
        let closing = most.max(floor.base());
        let claimed = Floor { closing, until: began + LEASE_MS, ..floor.clone() };
        let mut floor = if mutant!(FenceSkipped) {
            floor
        } else {
            match self.step(of, &floor, claimed).await? {
                Some(floor) => floor,
                None => return Ok(done),
            }
        };
        if left {
            // Copies that nobody reads, of what may be deleted from the table while they lie there.
            self.delete_objects(of, floor.archived.next(), Seq::new(u64::MAX)).await?;
        }
        if mutant!(GoneLast) && over.floor.gone > floor.gone {
            self.expire(of, &head, &over.floor, None).await?;
        }
        if over.floor.gone > floor.gone {
            let Over { floor: Floor { gone, gone_ordinal, oldest_at, .. }, .. } = over;
            done.expired = gone.since(floor.gone);
            let moved = Floor { gone, gone_ordinal, oldest_at, ..floor.clone() };
            match self.step(of, &floor, moved).await? {
                Some(moved) => floor = moved,
                None => return Ok(done),
            }
        }
        if expires && floor.gone > Seq::ZERO {
            self.expire(of, &head, &floor, over.rest).await?;
            self.sweep(of, &floor, head.seq).await?;
        }
        if notes {
            match self.redact(of, floor).await? {
                Some(moved) => floor = moved,
                None => return Ok(done),
            }
        }
        for _ in 0..MAX_OBJECTS {
            // Only now, behind the fence: a delete from here on leaves a note.
            let chunk = self.old_enough(of, &floor, head.seq, began).await?;
            let Some(last) = chunk.last().map(|e| e.seq) else { break };
            match self.move_up(of, floor, &chunk).await? {
                Some(moved) => floor = moved,
                None => return Ok(done),
            }
            done.moved += last.since(chunk[0].seq.prev());
            if self.world.now_ms().saturating_sub(began) > MAX_MS {
                break;
            }
        }
        // What was deleted meanwhile.
        if done.moved > 0 {
            match self.redact(of, floor).await? {
                Some(moved) => floor = moved,
                None => return Ok(done),
            }
        }
        if !mutant!(FenceSkipped) {
            let free = Floor { closing: floor.base(), until: 0, ..floor.clone() };
            self.step(of, &floor, free).await?;
        }
        Ok(done)
    }

    /// Moves the floor; as it stands then, or `None` if somebody else has moved it.
    async fn step(&self, of: &ConversationId, old: &Floor, new: Floor) -> Result<Option<Floor>> {
        let moved = self.cold.move_floor(of, old, &new).await?;
        Ok(moved.then(|| Floor { version: old.version + 1, ..new }))
    }

    /// Moves these rows, the first above the floor, into an object; the floor above them, or `None` if it was lost.
    async fn move_up(
        &self,
        of: &ConversationId,
        floor: Floor,
        chunk: &[Entry],
    ) -> Result<Option<Floor>> {
        let (base, last) = (floor.base(), chunk.last().map_or(Seq::ZERO, |e| e.seq));
        if !mutant!(FloorBeforeObject) {
            self.put_away(of, chunk).await?;
        }
        if mutant!(RowsBeforeFloor) {
            self.remove(of, base.next(), last).await?;
        }
        let closing = floor.closing.max(last);
        let is_first = floor.archived <= floor.gone;
        let oldest_at = if is_first { chunk[0].sent_at } else { floor.oldest_at };
        let moved = Floor { archived: last, closing, oldest_at, ..floor.clone() };
        let Some(floor) = self.step(of, &floor, moved).await? else { return Ok(None) };
        if mutant!(FloorBeforeObject) {
            self.put_away(of, chunk).await?;
        }
        self.remove(of, base.next(), last).await?;
        Ok(Some(floor))
    }

    /// Stores the object of these rows. One of its name is what a run left that ended before it moved the floor: older
    /// than the rows, unless what is gone says otherwise.
    async fn put_away(&self, of: &ConversationId, chunk: &[Entry]) -> Result<()> {
        if self.archive.put(chunk, &Precondition::Absent).await? {
            return Ok(());
        }
        let last = chunk.last().map_or(Seq::ZERO, |e| e.seq);
        let Some(left) = self.archive.get(of, last).await? else {
            return Err(Error::port(format!("the object {last} of {of} comes and goes")));
        };
        let gone: BTreeSet<Seq> =
            left.entries.iter().filter(|e| e.content.is_emptied()).map(|e| e.seq).collect();
        let emptied = |e: &Entry| if gone.contains(&e.seq) { e.deleted() } else { e.clone() };
        let chunk: Vec<Entry> = chunk.iter().map(emptied).collect();
        self.replace(of, left, &chunk).await
    }

    /// Puts this in the place of an object. Who finds another one there that says the same has put it there himself, in a call
    /// whose answer was lost.
    async fn replace(&self, of: &ConversationId, old: Object, new: &[Entry]) -> Result<()> {
        if old.entries == new || self.archive.put(new, &Precondition::Is(old.version)).await? {
            return Ok(());
        }
        let last = new.last().map_or(Seq::ZERO, |e| e.seq);
        match self.archive.get(of, last).await? {
            Some(stands) if stands.entries == new => Ok(()),
            _ => Err(Error::port(format!("another run writes the object {last} of {of}"))),
        }
    }

    /// Deletes the objects with these names, those that are there.
    async fn delete_objects(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
        loop {
            let named = self.archive.list(of, from, NAMES).await?;
            let these: Vec<Seq> = named.into_iter().take_while(|n| *n <= through).collect();
            for last in &these {
                self.archive.delete(of, *last).await?;
            }
            if these.len() < NAMES {
                return Ok(());
            }
        }
    }

    /// Puts into the objects what was deleted since, and takes the notes of it away; the floor as it stands then, or `None` if
    /// it was lost.
    async fn redact(&self, of: &ConversationId, floor: Floor) -> Result<Option<Floor>> {
        let mut floor = floor;
        loop {
            let noted = self.cold.redactions(of, Seq::FIRST, floor.base(), NOTES).await?;
            if noted.is_empty() {
                return Ok(Some(floor));
            }
            let mut left = noted.iter().copied().filter(|s| *s > floor.gone).peekable();
            while let Some(seq) = left.next() {
                let Some(object) = self.object_with(of, seq).await? else {
                    return Err(Error::port(format!("the archive of {of} lacks {seq}")));
                };
                let last = object.entries.last().map_or(seq, |e| e.seq);
                let mut here = BTreeSet::from([seq]);
                while let Some(seq) = left.next_if(|s| *s <= last) {
                    here.insert(seq);
                }
                let emptied =
                    |e: &Entry| if here.contains(&e.seq) { e.deleted() } else { e.clone() };
                let entries: Vec<Entry> = object.entries.iter().map(emptied).collect();
                if !mutant!(RedactionDropped) {
                    self.replace(of, object, &entries).await?;
                }
            }
            // Whoever has read of one of these what the object held before has to read it again, now that no note says so.
            match self.step(of, &floor, floor.clone()).await? {
                Some(moved) => floor = moved,
                None => return Ok(None),
            }
            self.cold.remove_redactions(of, &noted).await?;
            if noted.len() < NOTES {
                return Ok(Some(floor));
            }
        }
    }

    /// The next entries that may go, as many as one object takes; none if they are too few.
    async fn old_enough(
        &self,
        of: &ConversationId,
        floor: &Floor,
        head: Seq,
        now: u64,
    ) -> Result<Vec<Entry>> {
        let keeping = &self.settings.keeping;
        let last = Seq::new(head.get().saturating_sub(keeping.tail.max(1)));
        let cutoff = now.saturating_sub(keeping.hot_s.saturating_mul(1_000));
        if last <= floor.base() {
            return Ok(vec![]);
        }
        // Mostly there is nothing to do, and one row tells.
        let first = self.log.after(of, floor.base(), 1).await?;
        if first.first().is_some_and(|e| e.sent_at > cutoff) {
            return Ok(vec![]);
        }
        let mut rows = self.log.after(of, floor.base(), MAX_ENTRIES).await?;
        let begins = rows.first().is_some_and(|e| e.seq == floor.base().next());
        if !begins || !rows.is_sorted_by(|a, b| a.seq.next() == b.seq) {
            return Err(Error::port(format!("rows of {of} are missing above {}", floor.base())));
        }
        let mut bytes = 0;
        let old = rows.iter().take_while(|e| e.seq <= last && e.sent_at <= cutoff).count();
        let fits = rows.iter().take_while(|e| {
            bytes += size(e);
            bytes <= MAX_BYTES
        });
        let fits = fits.count().max(1);
        let full = fits < old || old == MAX_ENTRIES;
        rows.truncate(old.min(fits));
        if rows.len() < keeping.least && !full {
            rows.clear();
        }
        Ok(rows)
    }

    /// Removes rows that lie elsewhere now. The first stays: it says that the conversation is there.
    async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
        let from = from.max(Seq::FIRST.next());
        if from <= through { self.cold.remove(of, from, through).await } else { Ok(()) }
    }

    /// Removes rows that an earlier run left, which ended before it was done.
    async fn sweep(&self, of: &ConversationId, floor: &Floor, head: Seq) -> Result<()> {
        let above = floor.base().next().min(head);
        loop {
            let rows = self.log.newest(of, Seq::FIRST.next(), Some(above), MAX_ENTRIES).await?;
            let (Some(newest), Some(oldest)) = (rows.first(), rows.last()) else { return Ok(()) };
            // Those in between may be gone already, and be many.
            let near = newest.seq.since(oldest.seq) < 2 * MAX_ENTRIES as u64;
            let from = if near { oldest.seq } else { newest.seq };
            self.remove(of, from, newest.seq).await?;
        }
    }

    /// What has been kept long enough. Only looks.
    async fn over(
        &self,
        of: &ConversationId,
        head: &Entry,
        floor: &Floor,
        kept_ms: u64,
    ) -> Result<Over> {
        let mut horizon = self.world.now_ms().saturating_sub(kept_ms);
        if mutant!(GoneTooSoon) && horizon > 0 {
            horizon += kept_ms / 10;
        }
        let is_over = |e: &Entry| e.sent_at <= horizon;
        let mut moved = floor.clone();
        let mut rest = None;
        while moved.gone < floor.archived {
            let Some(object) = self.object_with(of, moved.gone.next()).await? else {
                return Err(Error::port(format!(
                    "the archive of {of} lacks {}",
                    moved.gone.next()
                )));
            };
            let over = object.entries.iter().take_while(|e| e.seq <= moved.gone || is_over(e));
            if let Some(over) = over.last().filter(|e| e.seq > moved.gone) {
                (moved.gone, moved.gone_ordinal) = (over.seq, over.ordinal);
            }
            if let Some(stays) = object.entries.iter().find(|e| e.seq > moved.gone) {
                moved.oldest_at =
                    if mutant!(OldestStays) { floor.oldest_at } else { stays.sent_at };
                let begins = object.entries.first().is_some_and(|e| e.seq <= moved.gone);
                rest = begins.then_some(object);
                break;
            }
        }
        if moved.gone >= floor.archived {
            moved.oldest_at = 0;
        }
        while moved.gone >= floor.archived && moved.gone < head.seq {
            // Mostly none is, and one row tells.
            let first = self.log.after(of, moved.gone, 1).await?;
            if !first.first().is_some_and(is_over) {
                break;
            }
            let rows = self.log.after(of, moved.gone, MAX_ENTRIES).await?;
            let Some(over) = rows.iter().take_while(|e| is_over(e)).last() else { break };
            (moved.gone, moved.gone_ordinal) = (over.seq, over.ordinal);
        }
        Ok(Over { floor: moved, rest })
    }

    /// Takes away what the floor says is gone; of the object that is over in part, `rest`, what is not stays.
    async fn expire(
        &self,
        of: &ConversationId,
        head: &Entry,
        floor: &Floor,
        rest: Option<Object>,
    ) -> Result<()> {
        if !mutant!(ObjectsStay) {
            self.delete_objects(of, Seq::FIRST, floor.gone).await?;
        }
        if let (true, Some(last)) =
            (mutant!(RestDropped), rest.iter().flat_map(|r| &r.entries).last())
        {
            self.archive.delete(of, last.seq).await?;
        } else if let Some(rest) = rest {
            let stays = rest.entries.iter().filter(|e| e.seq > floor.gone).cloned();
            let stays: Vec<Entry> = stays.collect();
            self.replace(of, rest, &stays).await?;
        }
        // The two rows that stay, so that the conversation is there and its numbers do not start again.
        let first = self.log.newest(of, Seq::FIRST, Some(Seq::FIRST.next()), 1).await?;
        for entry in first.iter().chain([head]).filter(|e| e.seq <= floor.gone) {
            if !(matches!(entry.content, Content::Gone { .. }) || mutant!(EndsSpeak)) {
                self.cold.empty(of, entry.seq, Why::Expired).await?;
            }
        }
        Ok(())
    }
}
