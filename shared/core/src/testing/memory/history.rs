//! The log, what is old of it, and the archive.

use crate::error::{Error, Result};
use crate::ids::{ConversationId, Seq};
use crate::message::{Content, Entry, Why};
use crate::ports::{Archive, Cold, Floor, Log, Object, Precondition, Put};
use async_trait::async_trait;

use super::{Memory, version};

#[async_trait]
impl Log for Memory {
    async fn newest(
        &self,
        conversation: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let end = before.unwrap_or(Seq::new(u64::MAX));
        if end <= from {
            return Ok(vec![]);
        }
        let state = self.state();
        let Some(log) = state.log.get(conversation) else { return Ok(vec![]) };
        Ok(log.range(from..end).rev().take(limit).map(|(_, e)| e.clone()).collect())
    }

    async fn after(
        &self,
        conversation: &ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let state = self.state();
        let Some(log) = state.log.get(conversation) else { return Ok(vec![]) };
        Ok(log.range(after.next()..).take(limit).map(|(_, e)| e.clone()).collect())
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        Ok(self.state().put(entry))
    }

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        Ok(self.state().put_changing(entry))
    }
}

#[async_trait]
impl Cold for Memory {
    async fn floor(&self, of: &ConversationId) -> Result<Floor> {
        Ok(self.state().floors.get(of).cloned().unwrap_or_default())
    }

    async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool> {
        let mut state = self.state();
        let stands = state.floors.entry(of.clone()).or_default();
        if stands.version != old.version {
            return Ok(false);
        }
        *stands = Floor { version: old.version + 1, ..new.clone() };
        Ok(true)
    }

    async fn put_delete(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put> {
        Ok(self.state().put_delete(delete, target, floor))
    }

    async fn erase(&self, of: &ConversationId, entries: &[Entry], floor: &Floor) -> Result<bool> {
        let state = &mut *self.state();
        if state.floors.get(of).map_or(0, |floor| floor.version) != floor.version {
            return Ok(false);
        }
        let log = state.log.entry(of.clone()).or_default();
        if entries.iter().any(|e| e.seq > floor.archived && !log.contains_key(&e.seq)) {
            return Ok(false);
        }
        let noted = state.redactions.entry(of.clone()).or_default();
        for entry in entries {
            if let Some(row) = log.get_mut(&entry.seq) {
                *row = row.deleted();
            }
            if entry.seq <= floor.closing {
                noted.insert(entry.seq);
            }
        }
        Ok(true)
    }

    async fn redactions(
        &self,
        of: &ConversationId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>> {
        let state = self.state();
        let noted = state.redactions.get(of).into_iter().flatten();
        Ok(noted.filter(|s| (from..=through).contains(s)).take(limit).copied().collect())
    }

    async fn remove_redactions(&self, of: &ConversationId, seqs: &[Seq]) -> Result<()> {
        if let Some(noted) = self.state().redactions.get_mut(of) {
            noted.retain(|seq| !seqs.contains(seq));
        }
        Ok(())
    }

    async fn set_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
        self.state().timers.insert(of.clone(), at);
        Ok(())
    }

    async fn keep_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
        self.state().timers.entry(of.clone()).or_insert(at);
        Ok(())
    }

    async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
        if let Some(log) = self.state().log.get_mut(of) {
            log.retain(|seq, _| *seq < from || *seq > through);
        }
        Ok(())
    }

    async fn empty(&self, of: &ConversationId, seq: Seq, why: Why) -> Result<()> {
        if let Some(entry) = self.state().log.get_mut(of).and_then(|log| log.get_mut(&seq)) {
            entry.content = Content::Gone { why };
        }
        Ok(())
    }
}

#[async_trait]
impl Archive for Memory {
    async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool> {
        let last = stretch.last().ok_or_else(|| Error::port("an empty stretch"))?;
        let key = (last.conversation_id.clone(), last.seq);
        let mut state = self.state();
        let stands = state.objects.get(&key).map(|stands| version(stands));
        let holds = match only_if {
            Precondition::Absent => stands.is_none(),
            Precondition::Is(version) => stands.as_ref() == Some(version),
        };
        if holds {
            state.objects.insert(key, stretch.to_vec());
        }
        Ok(holds)
    }

    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>> {
        let state = self.state();
        if state.archive_is_out {
            return Err(Error::port("the archive is out"));
        }
        let found = state.objects.get(&(of.clone(), last));
        Ok(found.map(|entries| Object { version: version(entries), entries: entries.clone() }))
    }

    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
        let state = self.state();
        let named = state.objects.range((of.clone(), from)..);
        Ok(named.take_while(|((c, _), _)| c == of).take(limit).map(|((_, s), _)| *s).collect())
    }

    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()> {
        self.state().objects.remove(&(of.clone(), last));
        Ok(())
    }
}
