//! The archiver: it takes the old end of a log out of the table, and out of the world when its time is over. A timer row
//! sets it off. Each step may be the last one, and may come twice: the timer is set again first; an object stands before
//! the floor moves, and the floor has moved before rows go; what can be read no more is said so before it goes.

use super::App;
use super::history::size;
use crate::error::{Error, Result};
use crate::ids::{ConversationId, Seq};
use crate::message::{Content, Entry, Why};
use crate::mutants::mutant;
use crate::ports::Floor;

/// Most entries in an object.
const MAX_ENTRIES: usize = 500;
/// Most bytes of an object's entries as JSON, if it holds more than one.
const MAX_BYTES: usize = 1024 * 1024;
/// Most objects made in one go.
const MAX_OBJECTS: usize = 200;
/// The longest that one go takes before it leaves the rest to the next, ms.
const MAX_MS: u64 = 300_000;
/// Objects named at once.
const NAMES: usize = 500;
/// The longest time between two runs, s.
const MAX_TIMER_S: u64 = 7 * 86_400;

/// How long what lies where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Seconds that an entry stays in the table. Much longer than any call may take: a put that was frozen before must
    /// not find its place free again.
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

impl App {
    /// Makes sure that a conversation has a timer, so that its old end will go some day.
    pub(super) async fn keep_timer(&self, of: &ConversationId) -> Result<()> {
        let keeping = &self.settings.keeping;
        let kept_ms = keeping.retention_s.saturating_mul(1_000);
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
        let mut done = Archived::default();
        let info = match of.pair() {
            None => self.conversations.roster(of, 0).await?.info,
            Some(_) => None,
        };
        let kept_ms = self.kept_ms(of, info.as_ref(), false);
        let sooner = began + self.settings.keeping.timer_ms(kept_ms);
        if sooner < next {
            self.cold.set_timer(of, sooner).await?;
        }
        let Some(head) = self.log.newest(of, Seq::FIRST, None, 1).await?.into_iter().next() else {
            return Ok(done);
        };
        let floor = self.cold.floor(of).await?;
        let Some(mut floor) = self.expire(of, &head, floor, kept_ms, &mut done).await? else {
            return Ok(done);
        };
        self.sweep(of, &floor, head.seq).await?;
        for _ in 0..MAX_OBJECTS {
            let chunk = self.old_enough(of, &floor, head.seq, began).await?;
            let Some(last) = chunk.last().map(|e| e.seq) else { break };
            let base = floor.base();
            if !(mutant!(FloorBeforeObject) || mutant!(RowsBeforeFloor)) {
                self.archive.put(&chunk).await?;
            }
            if mutant!(RowsBeforeFloor) {
                self.archive.put(&chunk).await?;
                self.remove(of, base.next(), last).await?;
            }
            let moved = Floor { archived: last, ..floor.clone() };
            if !self.cold.move_floor(of, &floor, &moved).await? {
                // Another run is at it.
                return Ok(done);
            }
            floor = Floor { version: floor.version + 1, ..moved };
            if mutant!(FloorBeforeObject) {
                self.archive.put(&chunk).await?;
            }
            done.moved += last.since(base);
            self.remove(of, base.next(), last).await?;
            if self.world.now_ms().saturating_sub(began) > MAX_MS {
                break;
            }
        }
        if mutant!(TimerLast) {
            self.cold.set_timer(of, next).await?;
        }
        Ok(done)
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

    /// Takes away what has been kept long enough; the floor as it stands then, or `None` if another run moved it.
    async fn expire(
        &self,
        of: &ConversationId,
        head: &Entry,
        floor: Floor,
        kept_ms: u64,
        done: &mut Archived,
    ) -> Result<Option<Floor>> {
        let horizon = self.world.now_ms().saturating_sub(kept_ms);
        let is_over = |e: &Entry| e.sent_at <= horizon;
        let mut moved = floor.clone();
        // Of an object that is over in part, what is not.
        let mut rest = None;
        while moved.gone < floor.archived {
            let Some(stretch) = self.archived_with(of, moved.gone.next(), false).await? else {
                return Err(Error::port(format!(
                    "the archive of {of} lacks {}",
                    moved.gone.next()
                )));
            };
            let over = stretch.iter().take_while(|e| e.seq <= moved.gone || is_over(e));
            let over = over.last().filter(|e| e.seq > moved.gone);
            if let Some(over) = over {
                (moved.gone, moved.gone_ordinal) = (over.seq, over.ordinal);
            }
            if stretch.last().is_some_and(|e| e.seq > moved.gone) {
                let begins = stretch.first().is_some_and(|e| e.seq <= moved.gone);
                rest = begins.then_some(stretch);
                break;
            }
        }
        while moved.gone >= floor.archived && moved.gone < head.seq {
            // Mostly none is, and one row tells.
            let first = self.log.after(of, moved.gone, 1).await?;
            if !first.first().is_some_and(is_over) {
                break;
            }
            let rows = self.log.after(of, moved.gone, MAX_ENTRIES).await?;
            let over = rows.iter().take_while(|e| is_over(e)).last();
            let Some(over) = over else { break };
            (moved.gone, moved.gone_ordinal) = (over.seq, over.ordinal);
        }
        let floor = if moved.gone > floor.gone {
            done.expired += moved.gone.since(floor.gone);
            if !self.cold.move_floor(of, &floor, &moved).await? {
                return Ok(None);
            }
            Floor { version: moved.version + 1, ..moved }
        } else {
            floor
        };
        if floor.gone == Seq::ZERO {
            return Ok(Some(floor));
        }
        loop {
            let named = self.archive.list(of, Seq::ZERO, NAMES).await?;
            let over: Vec<Seq> = named.iter().copied().filter(|n| *n <= floor.gone).collect();
            for last in &over {
                self.archive.delete(of, *last).await?;
            }
            if over.len() < NAMES {
                break;
            }
        }
        if let Some(mut stretch) = rest {
            stretch.retain(|e| e.seq > floor.gone);
            self.archive.put(&stretch).await?;
        }
        // The two rows that stay, so that the conversation is there and its numbers do not start again.
        let first = self.log.newest(of, Seq::FIRST, Some(Seq::FIRST.next()), 1).await?;
        for entry in first.iter().chain([head]).filter(|e| e.seq <= floor.gone) {
            if !matches!(entry.content, Content::Gone { .. }) {
                self.cold.empty(of, entry.seq, Why::Expired).await?;
            }
        }
        Ok(Some(floor))
    }
}
