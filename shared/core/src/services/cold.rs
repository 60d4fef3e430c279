//! Reading a log to its old end, wherever that lies: first the table, and where a row is missing there, the floor, the
//! notes of what was deleted, and the archive. Whoever asks gets complete ranges. Rows may be archived while they are
//! read: what lies at or below the floor is taken from the archive, and the floor is read after the rows. The notes are
//! read before the object: the archiver takes one away only once the object has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::lock::Mutex;

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
    /// How long the conversation keeps messages, ms, once that has been asked.
    kept_ms: Option<u64>,
}

impl Kept {
    fn at(&self, seq: Seq) -> Option<&Entry> {
        let index = self.stretch.binary_search_by_key(&seq, |e| e.seq).ok()?;
        self.stretch.get(index)
    }

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

/// Where what is over ends, by conversation: of a call that counts in the same ones for several users.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Each is looked for once, while those who count in the same conversation wait.
    found: Mutex<BTreeMap<ConversationId, Arc<Mutex<Option<End>>>>>,
    /// Held while the archive is read, so that one stretch of it is held at a time.
    archive: Mutex<()>,
}

/// What is known of where that is.
#[derive(Clone, Copy, Debug)]
struct End {
    /// The ordinal of the newest entry that is over, if that is above this.
    ordinal: u64,
    /// It is, or lies at or below this.
    above: Seq,
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
        // By what was found: where all of it are rows, nothing of the archive was looked at.
        let below = entries.last().map_or(Seq::ZERO, |e| e.seq.prev());
        let ends = entries.len() < limit || below < from || below <= floor.gone;
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
        self.read_at_of(of, seq, &mut Kept::default()).await
    }

    /// As [`Self::read_at`], where more of the conversation is read.
    async fn read_at_of(
        &self,
        of: &ConversationId,
        seq: Seq,
        kept: &mut Kept,
    ) -> Result<Option<Entry>> {
        let found = self.read_down(of, seq, Some(seq.next()), 1, kept).await?;
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
        stretch.ends |= self.drop_expired(of, &mut stretch.entries, kept).await?;
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
            self.drop_expired(of, &mut stretch.entries, kept).await?;
            match last {
                // All of these are: the archiver is late.
                Some(last) if stretch.entries.is_empty() && !stretch.ends => after = last,
                _ => return Ok(stretch),
            }
        }
    }

    /// Leaves out what has been kept long enough, and says whether there was any. The archiver takes it away, but may be
    /// days late.
    async fn drop_expired(
        &self,
        of: &ConversationId,
        entries: &mut Vec<Entry>,
        kept: &mut Kept,
    ) -> Result<bool> {
        let Some(oldest) = entries.iter().map(|e| e.sent_at).min() else { return Ok(false) };
        let horizon = self.horizon(of, oldest, kept).await?;
        let count = entries.len();
        entries.retain(|e| e.sent_at > horizon || mutant!(ExpiredIsRead));
        Ok(entries.len() < count)
    }

    /// Whether an entry of this conversation has been kept long enough.
    pub(super) async fn is_expired(&self, entry: &Entry) -> Result<bool> {
        self.is_expired_of(entry, &mut Kept::default()).await
    }

    /// As [`Self::is_expired`], where more of the conversation is read.
    pub(super) async fn is_expired_of(&self, entry: &Entry, kept: &mut Kept) -> Result<bool> {
        let horizon = self.horizon(&entry.conversation_id, entry.sent_at, kept).await?;
        Ok(entry.sent_at <= horizon)
    }

    /// The ordinal of the newest entry between `above` and the head that can be read no more: because it is gone, or because it
    /// was kept long enough and the archiver has not come yet. If there is none, that of one at or below `above`. Mostly
    /// the first entry above is young, and one row tells.
    pub(super) async fn ordinal_over(
        &self,
        head: &Entry,
        above: Seq,
        kept: &mut Kept,
        ends: &Ends,
    ) -> Result<u64> {
        let of = &head.conversation_id;
        let first = self.log.after(of, above, 1).await?.pop().filter(|e| e.seq == above.next());
        if first.as_ref().is_some_and(|e| self.is_young(e.sent_at)) {
            return Ok(0);
        }
        let known = Arc::clone(ends.found.lock().await.entry(of.clone()).or_default());
        let mut known = known.lock().await;
        let end = match *known {
            Some(end) if end.above <= above => end,
            _ => self.end_above(head, above, first, kept, &ends.archive).await?,
        };
        *known = Some(end);
        Ok(end.ordinal)
    }

    /// Looks for the newest entry that is over, of which `first` is the first above `above`, if it is a row.
    async fn end_above(
        &self,
        head: &Entry,
        above: Seq,
        mut first: Option<Entry>,
        kept: &mut Kept,
        archive: &Mutex<()>,
    ) -> Result<End> {
        let of = &head.conversation_id;
        let floor = self.cold.floor(of).await?;
        let gone = if mutant!(GoneIsUnread) { 0 } else { floor.gone_ordinal };
        let (mut low, mut over) = (above.max(floor.gone), gone);
        let archived = low < floor.archived && floor.oldest_at > 0;
        if mutant!(PartOverIsUnread)
            || archived && floor.oldest_at > self.horizon(of, floor.oldest_at, kept).await?
        {
            return Ok(End { ordinal: gone, above: Seq::ZERO });
        }
        // Up to `low` all is over or does not matter, from `high` on nothing is: what lies between is ordered by time. What is
        // over lies near `low`, so the steps begin small.
        let (mut high, mut step) = (head.seq, 1);
        let mut turn = None;
        while low.next() < high {
            let next = low.get().saturating_add(step).min(low.get().midpoint(high.get()));
            let next = Seq::new(next).max(low.next());
            let held = first.take().filter(|e| e.seq == next);
            let entry = match held.or_else(|| kept.at(next).cloned()) {
                Some(held) => Some(held),
                None => {
                    if turn.is_none() {
                        turn = Some(archive.lock().await);
                    }
                    match self.read_at_of(of, next, kept).await {
                        // What is gone is known, and what cannot be read must not keep the rest from its user.
                        Err(error) if kept.failed => {
                            let error = error.with_causes();
                            tracing::error!(error, "the archive cannot be read");
                            return Ok(End { ordinal: over, above: Seq::ZERO });
                        }
                        found => found?,
                    }
                }
            };
            match entry {
                Some(entry) if !self.is_expired_of(&entry, kept).await? => high = next,
                Some(entry) => (low, over) = (next, entry.ordinal),
                // The archiver has been here meanwhile.
                None => (low, over) = (next, self.cold.floor(of).await?.gone_ordinal),
            }
            step = step.saturating_mul(2);
        }
        // If nothing above it is over, what is lies there or below.
        Ok(End { ordinal: over, above: if low > above { Seq::ZERO } else { above } })
    }

    /// What was sent until then, ms since 1970, can be read no more; asked because of something that was sent at `oldest`. A
    /// conversation may have a rule of its own, of a day at least: of what no rule lets go yet, nothing is read.
    async fn horizon(&self, of: &ConversationId, oldest: u64, kept: &mut Kept) -> Result<u64> {
        if self.is_young(oldest) {
            return Ok(0);
        }
        let kept_ms = match kept.kept_ms {
            Some(kept_ms) => kept_ms,
            None => {
                let info = self.conversations.roster(of, 0).await?.info;
                *kept.kept_ms.insert(self.kept_ms(info.as_ref()))
            }
        };
        Ok(self.world.now_ms().saturating_sub(kept_ms))
    }

    /// Whether no rule lets go yet what was sent then.
    fn is_young(&self, sent_at: u64) -> bool {
        let least = LEAST_KEPT_MS.min(self.kept_ms(None));
        self.world.now_ms().saturating_sub(sent_at) < least
    }

    /// How long a conversation for which this holds keeps messages, ms. Its own rule may say no more than the operator lets it.
    pub(super) fn kept_ms(&self, info: Option<&GroupInfo>) -> u64 {
        let own = info.and_then(|info| info.retention_days).filter(|_| !mutant!(GroupRuleIgnored));
        match own {
            Some(days) => u64::from(days.min(self.settings.max_retention_days)) * DAY_MS,
            None => self.settings.keeping.retention_s.saturating_mul(1_000),
        }
    }
}

/// What must be there is not.
fn lost(of: &ConversationId, seq: Seq) -> Error {
    Error::port(format!("entry {seq} of {of} is neither in the table nor in the archive"))
}
