//! Reading a log to its old end, wherever that lies: first the table, and where a row is missing there, the floor, the
//! notes of what was deleted, and the archive. Whoever asks gets complete ranges. Rows may be archived while they are
//! read: what lies at or below the floor is taken from the archive, and the floor is read after the rows. The notes are
//! read before the object: the archiver takes one away only once the object has it.

use std::collections::BTreeSet;

use super::App;
use super::archive::MAX_ENTRIES;
use crate::error::{Error, Result};
use crate::group::GroupInfo;
use crate::ids::{ConversationId, Seq};
use crate::message::Entry;
use crate::mutants::mutant;
use crate::ports::{Floor, Object};

/// A day, ms.
const DAY_MS: u64 = 86_400_000;
/// The shortest that a group may have its messages kept.
const LEAST_KEPT_MS: u64 = DAY_MS;
/// How often a read begins again because the log's old end has moved meanwhile, before `busy`.
const MAX_READS: usize = 4;

/// A range of a log without a hole.
#[derive(Debug, Default)]
pub(super) struct Stretch {
    /// In the order that was asked for.
    pub(super) entries: Vec<Entry>,
    /// Whether nothing that can be read lies further that way.
    pub(super) ends: bool,
    /// The floor, if it had to be read.
    pub(super) floor: Option<Floor>,
}

/// What one call has of the archive. Never kept for the next call, which must see what was deleted since.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The last stretch that was fetched, as it may be shown, oldest first.
    stretch: Vec<Entry>,
    /// Whether it was the archive that could not be read, and not the table.
    pub(super) failed: bool,
}

impl Kept {
    fn holds(&self, seq: Seq) -> bool {
        self.stretch.first().is_some_and(|e| e.seq <= seq)
            && self.stretch.last().is_some_and(|e| e.seq >= seq)
    }

    /// Notes that this failed where the archive was asked.
    fn noted<T>(&mut self, result: Result<T>) -> Result<T> {
        self.failed |= result.is_err();
        result
    }
}

impl App {
    /// The entries with `from <= seq < before` (no upper bound if `None`), newest first, at most `limit`.
    pub(super) async fn read_down(
        &self,
        of: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
        kept: &mut Kept,
    ) -> Result<Stretch> {
        for _ in 0..MAX_READS {
            if let Some(stretch) = self.try_down(of, from, before, limit, kept).await? {
                return Ok(stretch);
            }
        }
        kept.noted(Err(lost(of, from)))
    }

    /// As [`Self::read_down`]; `None` if the log, or its old end, moved meanwhile.
    async fn try_down(
        &self,
        of: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
        kept: &mut Kept,
    ) -> Result<Option<Stretch>> {
        let from = from.max(Seq::FIRST);
        if before.is_some_and(|before| before <= from) {
            return Ok(Some(Stretch { ends: true, ..Stretch::default() }));
        }
        let hot = self.log.newest(of, from, before, limit).await?;
        let from_top = match before {
            // The newest entry never leaves the table.
            None => true,
            Some(before) => hot.first().is_some_and(|e| e.seq.next() == before),
        };
        let at_bottom = hot.last().is_none_or(|e| e.seq == from);
        let whole = hot.is_sorted_by(|a, b| a.seq.prev() == b.seq);
        if from_top && whole && (at_bottom || hot.len() == limit) || mutant!(HoleIsEnd) {
            let ends = at_bottom || hot.len() < limit;
            return Ok(Some(Stretch { entries: hot, ends, floor: None }));
        }
        let floor = self.cold.floor(of).await?;
        let top = match (before, hot.first()) {
            (Some(before), _) => before.prev(),
            (None, first) => first.map_or(Seq::ZERO, |e| e.seq),
        };
        let base = floor.base();
        let mut entries: Vec<Entry> = hot.into_iter().take_while(|e| e.seq > base).collect();
        let lowest = entries.last().map(|e| e.seq);
        let reaches = |seq: Seq| seq == from || seq == base.next() || entries.len() == limit;
        let hole = match lowest {
            Some(lowest) => !reaches(lowest),
            // Above the floor everything is there, so that nothing is above `top` either.
            None => top > base && !self.log.newest(of, top, None, 1).await?.is_empty(),
        };
        if hole || !entries.is_sorted_by(|a, b| a.seq.prev() == b.seq) {
            // What was asked for was stored just now, or is lost.
            return Ok(None);
        }
        let mut next = lowest.map_or(top, Seq::prev).min(floor.archived);
        let mut named = false;
        while entries.len() < limit && next >= from && next > floor.gone {
            if !self.fetch(of, next, named, kept).await? {
                self.moved_since(of, &floor, next, kept).await?;
                return Ok(None);
            }
            let room = limit - entries.len();
            let wanted = kept.stretch.iter().rev().skip_while(|e| e.seq > next);
            let wanted = wanted.take_while(|e| e.seq >= from && e.seq > floor.gone).take(room);
            entries.extend(wanted.cloned());
            next = entries.last().map_or(Seq::ZERO, |e| e.seq.prev());
            named = true;
        }
        let ends = entries.len() < limit || next < from || next <= floor.gone;
        Ok(Some(Stretch { entries, ends, floor: Some(floor) }))
    }

    /// The entries with `seq > after`, oldest first, at most `limit`; from the first that can be read on.
    pub(super) async fn read_up(
        &self,
        of: &ConversationId,
        after: Seq,
        limit: usize,
        kept: &mut Kept,
    ) -> Result<Stretch> {
        let (mut after, mut reads) = (after, 0);
        loop {
            let hot = self.log.after(of, after, limit).await?;
            let from_bottom = hot.first().is_none_or(|e| e.seq == after.next());
            if from_bottom && hot.is_sorted_by(|a, b| a.seq.next() == b.seq) || mutant!(HoleIsEnd) {
                let ends = hot.len() < limit;
                return Ok(Stretch { entries: hot, ends, floor: None });
            }
            let (all, floor) = (hot.len() < limit, self.cold.floor(of).await?);
            let Some(stretch) = self.above(of, after, limit, hot, floor, kept).await? else {
                reads += 1;
                if reads == MAX_READS {
                    return kept.noted(Err(lost(of, after.next())));
                }
                continue;
            };
            let base = stretch.floor.as_ref().map_or(Seq::ZERO, Floor::base);
            if all || !stretch.entries.is_empty() {
                return Ok(Stretch { ends: stretch.ends && all, ..stretch });
            }
            // As many rows as that are there by accident, below what can be read.
            after = base;
        }
    }

    /// What lies above `after`, of which these rows and then this floor were read; `None` if the old end moved meanwhile.
    async fn above(
        &self,
        of: &ConversationId,
        after: Seq,
        limit: usize,
        hot: Vec<Entry>,
        floor: Floor,
        kept: &mut Kept,
    ) -> Result<Option<Stretch>> {
        let base = floor.base();
        let mut entries: Vec<Entry> = vec![];
        let mut next = after.max(floor.gone).next();
        while entries.len() < limit && next <= floor.archived {
            if !self.fetch(of, next, false, kept).await? {
                self.moved_since(of, &floor, next, kept).await?;
                return Ok(None);
            }
            let room = limit - entries.len();
            let wanted = kept.stretch.iter().skip_while(|e| e.seq < next).take(room);
            entries.extend(wanted.cloned());
            next = entries.last().map_or(next, |e| e.seq.next());
        }
        let room = limit - entries.len();
        let rows = hot.into_iter().filter(|e| e.seq > base && e.seq > floor.gone);
        let mut rows = rows.take(room).peekable();
        if rows.peek().is_some_and(|e| e.seq != next && e.seq != floor.gone.next()) {
            return kept.noted(Err(lost(of, next)));
        }
        entries.extend(rows);
        if !entries.is_sorted_by(|a, b| a.seq.next() == b.seq) {
            return kept.noted(Err(lost(of, next)));
        }
        Ok(Some(Stretch { ends: entries.len() < limit, entries, floor: Some(floor) }))
    }

    /// One entry, if it can be read.
    pub(super) async fn read_at(&self, of: &ConversationId, seq: Seq) -> Result<Option<Entry>> {
        let found = self.read_down(of, seq, Some(seq.next()), 1, &mut Kept::default()).await?;
        Ok(found.entries.into_iter().next())
    }

    /// Has the object that holds this seq in `kept`, with what was deleted since taken out; whether there is one. `named`: it is
    /// likely to bear its name.
    async fn fetch(
        &self,
        of: &ConversationId,
        seq: Seq,
        named: bool,
        kept: &mut Kept,
    ) -> Result<bool> {
        if kept.holds(seq) {
            return Ok(true);
        }
        if named && self.fetch_named(of, seq, seq, kept).await? {
            return Ok(true);
        }
        let names = self.archive.list(of, seq, 1).await;
        let Some(last) = kept.noted(names)?.into_iter().next() else { return Ok(false) };
        self.fetch_named(of, seq, last, kept).await
    }

    async fn fetch_named(
        &self,
        of: &ConversationId,
        seq: Seq,
        last: Seq,
        kept: &mut Kept,
    ) -> Result<bool> {
        let most = Seq::new(last.get().saturating_sub(MAX_ENTRIES as u64 - 1));
        let from = seq.min(most).max(Seq::FIRST);
        let found = if mutant!(RedactionAfterObject) {
            Some(self.archive.get(of, last).await)
        } else {
            None
        };
        let noted: BTreeSet<Seq> =
            self.cold.redactions(of, from, last, usize::MAX).await?.into_iter().collect();
        let found = match found {
            Some(found) => found,
            None => self.archive.get(of, last).await,
        };
        let Some(object) = kept.noted(found)? else { return Ok(false) };
        // What is below `from` has not been looked at.
        let shown = object.entries.into_iter().skip_while(|e| e.seq < from);
        let shown = shown.map(|e| if noted.contains(&e.seq) { e.deleted() } else { e });
        kept.stretch = shown.collect();
        Ok(kept.holds(seq))
    }

    /// The object that holds this seq, as it lies there: for the archiver, who writes it again.
    pub(super) async fn object_with(
        &self,
        of: &ConversationId,
        seq: Seq,
    ) -> Result<Option<Object>> {
        let Some(last) = self.archive.list(of, seq, 1).await?.into_iter().next() else {
            return Ok(None);
        };
        let object = self.archive.get(of, last).await?;
        Ok(object.filter(|o| o.entries.first().is_some_and(|e| e.seq <= seq)))
    }

    /// No object holds this seq. It is lost, unless this floor stands no more.
    async fn moved_since(
        &self,
        of: &ConversationId,
        floor: &Floor,
        seq: Seq,
        kept: &mut Kept,
    ) -> Result<()> {
        if self.cold.floor(of).await?.version == floor.version {
            return kept.noted(Err(lost(of, seq)));
        }
        Ok(())
    }

    /// As [`Self::read_down`], without what has been kept long enough.
    pub(super) async fn readable_down(
        &self,
        of: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
        kept: &mut Kept,
    ) -> Result<Stretch> {
        let mut stretch = self.read_down(of, from, before, limit, kept).await?;
        stretch.ends |= self.drop_expired(of, &mut stretch.entries).await?;
        Ok(stretch)
    }

    /// As [`Self::read_up`], without what has been kept long enough.
    pub(super) async fn readable_up(
        &self,
        of: &ConversationId,
        after: Seq,
        limit: usize,
        kept: &mut Kept,
    ) -> Result<Stretch> {
        let mut after = after;
        loop {
            let mut stretch = self.read_up(of, after, limit, kept).await?;
            let last = stretch.entries.last().map(|e| e.seq);
            self.drop_expired(of, &mut stretch.entries).await?;
            match last {
                // All of these are: the archiver is late.
                Some(last) if stretch.entries.is_empty() && !stretch.ends => after = last,
                _ => return Ok(stretch),
            }
        }
    }

    /// Leaves out what has been kept long enough, and says whether there was any. The archiver takes it away, but may be
    /// days late.
    async fn drop_expired(&self, of: &ConversationId, entries: &mut Vec<Entry>) -> Result<bool> {
        let Some(oldest) = entries.iter().map(|e| e.sent_at).min() else { return Ok(false) };
        let horizon = self.horizon(of, oldest).await?;
        let count = entries.len();
        entries.retain(|e| e.sent_at > horizon || mutant!(ExpiredIsRead));
        Ok(entries.len() < count)
    }

    /// Whether an entry of this conversation has been kept long enough.
    pub(super) async fn is_expired(&self, entry: &Entry) -> Result<bool> {
        let horizon = self.horizon(&entry.conversation_id, entry.sent_at).await?;
        Ok(entry.sent_at <= horizon)
    }

    /// What was sent until then, ms since 1970, can be read no more; asked because of something that was sent at `oldest`. A group
    /// may have a rule of its own, but no message goes before its first day is over: of younger ones nothing is read.
    async fn horizon(&self, of: &ConversationId, oldest: u64) -> Result<u64> {
        let young = self.world.now_ms().saturating_sub(oldest) < LEAST_KEPT_MS;
        let info = match of.pair() {
            None if !young => self.conversations.roster(of, 0).await?.info,
            _ => None,
        };
        Ok(self.world.now_ms().saturating_sub(self.kept_ms(of, info.as_ref(), young)))
    }

    /// How long this conversation keeps messages, ms.
    pub(super) fn kept_ms(
        &self,
        of: &ConversationId,
        info: Option<&GroupInfo>,
        young: bool,
    ) -> u64 {
        let own = info.and_then(|info| info.retention_days).filter(|_| !mutant!(GroupRuleIgnored));
        match own {
            Some(days) => u64::from(days) * DAY_MS,
            // Not asked for: the group may have a longer one.
            None if young && of.pair().is_none() => u64::MAX,
            None => self.settings.keeping.retention_s.saturating_mul(1_000),
        }
    }
}

/// What must be there is not.
fn lost(of: &ConversationId, seq: Seq) -> Error {
    Error::port(format!("entry {seq} of {of} is neither in the table nor in the archive"))
}
