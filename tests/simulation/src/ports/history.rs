//! The log, what is old of it, and the archive.

use crate::core::Core;
use crate::faults::{Fault, Path};
use crate::mutants::Mutant;
use crate::truth::{Write, Wrote, version};
use async_trait::async_trait;
use petrel_core::error::{Error, Result};
use petrel_core::ids::{ConversationId, Seq};
use petrel_core::message::{Entry, Why};
use petrel_core::ports::{Archive, Cold, Floor, Log, Object, Precondition, Put};
use std::collections::BTreeSet;

use super::Ports;

#[async_trait]
impl Log for Ports {
    async fn newest(
        &self,
        of: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let what = format!("log.newest {of} from {from} before {before:?}");
        self.read(&what, |core| {
            let last = core.last_visible(of);
            core.truth.newest(of, from, before, limit, last)
        })
        .await
    }

    async fn after(&self, of: &ConversationId, after: Seq, limit: usize) -> Result<Vec<Entry>> {
        let what = format!("log.after {of} {after}");
        self.read(&what, |core| core.truth.entries_after(of, after, limit)).await
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        let what = format!("log.put {} {}", entry.conversation_id, entry.seq);
        let done = self.write(&what, Write::Put(entry.clone())).await?;
        Ok(done.put())
    }

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        let what = format!("log.put_changing {} {}", entry.conversation_id, entry.seq);
        let done = self.write(&what, Write::PutChanging(entry.clone())).await?;
        Ok(done.put())
    }
}

#[async_trait]
impl Cold for Ports {
    async fn floor(&self, of: &ConversationId) -> Result<Floor> {
        let what = format!("cold.floor {of}");
        self.read(&what, |core| {
            core.truth.cold.get(of).map(|c| c.floor.clone()).unwrap_or_default()
        })
        .await
    }

    async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool> {
        let what = format!("cold.move_floor {of} to {new:?}");
        let write = Write::MoveFloor(of.clone(), old.clone(), new.clone());
        Ok(self.write(&what, write).await? == Wrote::Yes)
    }

    async fn put_delete(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put> {
        let what = format!("cold.put_delete {} {}", delete.conversation_id, delete.seq);
        let write = Write::PutDelete(Box::new((delete.clone(), target.clone(), floor.clone())));
        Ok(self.write(&what, write).await?.put())
    }

    async fn redactions(
        &self,
        of: &ConversationId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>> {
        self.read(&format!("cold.redactions {of} {from} to {through}"), |core| {
            let noted = core.truth.cold.get(of).map(|c| &c.redactions).into_iter().flatten();
            noted.filter(|s| (from..=through).contains(s)).take(limit).copied().collect()
        })
        .await
    }

    async fn remove_redactions(&self, of: &ConversationId, seqs: &[Seq]) -> Result<()> {
        // In parts, each of which is one call.
        for part in seqs.chunks(2) {
            let write = Write::RemoveRedactions(of.clone(), part.to_vec());
            self.write(&format!("cold.remove_redactions {of} {part:?}"), write).await?;
        }
        Ok(())
    }

    async fn set_timer(&self, of: &ConversationId, _: u64) -> Result<()> {
        self.write("cold.set_timer", Write::SetTimer(of.clone())).await.map(drop)
    }

    async fn keep_timer(&self, of: &ConversationId, _: u64) -> Result<()> {
        self.write("cold.keep_timer", Write::SetTimer(of.clone())).await.map(drop)
    }

    async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
        // In parts, each of which is one call.
        let mut from = from;
        while from <= through {
            let last = Seq::new(from.get() + 24).min(through);
            let write = Write::RemoveRows(of.clone(), from, last);
            self.write(&format!("cold.remove {of} {from} to {last}"), write).await?;
            from = last.next();
        }
        Ok(())
    }

    async fn empty(&self, of: &ConversationId, seq: Seq, why: Why) -> Result<()> {
        self.write(&format!("cold.empty {of} {seq}"), Write::Empty(of.clone(), seq, why))
            .await
            .map(drop)
    }

    async fn erase(&self, of: &ConversationId, entries: &[Entry], floor: &Floor) -> Result<bool> {
        // Of those that lie elsewhere by now, a run that died may have left the rows: that is a call of its own.
        let old: Vec<Seq> =
            entries.iter().map(|e| e.seq).filter(|s| *s <= floor.archived).collect();
        let mut left = BTreeSet::new();
        if !old.is_empty() {
            left = self
                .read(&format!("cold.erase {of}: rows"), |core| {
                    let table = core.truth.logs.get(of).map(|log| &log.table);
                    let stands = |seq: &Seq| table.is_some_and(|table| table.contains_key(seq));
                    old.into_iter().filter(stands).collect()
                })
                .await?;
        }
        let Some(user) = self.hub.lock().notes.get(&self.invocation).and_then(|n| n.user.clone())
        else {
            return Err(Error::port("nobody is erased"));
        };
        let what = format!(
            "cold.erase {of} {:?}",
            entries.iter().map(|e| e.seq.get()).collect::<Vec<_>>()
        );
        let write = Write::Erase(Box::new((user, entries.to_vec(), floor.clone(), left)));
        Ok(self.write(&what, write).await? == Wrote::Yes)
    }
}

impl Ports {
    /// Whether the archive's objects can be reached.
    fn archive_is_up(&self) -> Result<()> {
        let out = {
            let mut core = self.hub.lock();
            let core = &mut *core;
            core.faults.is_out(Fault::ArchiveOut)
        };
        if out { self.failed_in_s3("the archive is out") } else { Ok(()) }
    }
}

#[async_trait]
impl Archive for Ports {
    async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool> {
        self.archive_is_up()?;
        let last = stretch.last().map_or(Seq::ZERO, |e| e.seq);
        let what = format!("archive.put to {last}");
        let write = Write::PutObject(stretch.to_vec(), only_if.clone());
        Ok(self.write(&what, write).await? == Wrote::Yes)
    }

    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>> {
        self.archive_is_up()?;
        self.read(&format!("archive.get {of} {last}"), |core| {
            let found = core.truth.cold.get(of).and_then(|c| c.objects.get(&last)).cloned();
            if found.is_some() {
                core.passed(Path::ReadCold);
            }
            found.map(|entries| Object { version: version(&entries), entries })
        })
        .await
    }

    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
        self.archive_is_up()?;
        self.read(&format!("archive.list {of} from {from}"), |core| {
            let objects = core.truth.cold.get(of).map(|c| &c.objects);
            objects.into_iter().flat_map(|o| o.range(from..)).take(limit).map(|(s, _)| *s).collect()
        })
        .await
    }

    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()> {
        self.archive_is_up()?;
        let write = Write::DeleteObject(of.clone(), last);
        self.write("archive.delete", write).await.map(drop)
    }
}

impl Core {
    /// The last entry that a read of the newest shows: the head, but for a broken variant that reads what was true a
    /// moment ago.
    fn last_visible(&mut self, of: &ConversationId) -> Seq {
        let stale = self.is(Mutant::StaleHead) && self.dice.percent(30);
        let Some(log) = self.truth.logs.get(of) else { return Seq::ZERO };
        let old = log.history.iter().rev().find(|s| s.at + 50 < self.now);
        if stale { old.map_or(Seq::ZERO, |s| s.entry.seq) } else { Seq::new(u64::MAX - 1) }
    }
}
