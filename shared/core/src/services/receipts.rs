//! Who has one message, and who has read it: derived from the watermarks on demand, never stored per message.

use futures::stream::{self, StreamExt, TryStreamExt};

use super::deliver::CHUNK;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, Seq, UserId};
use crate::limits::Use;
use crate::mutants::mutant;
use crate::ports::Watermarks;

/// Most readers in one answer.
const MAX_READERS: usize = 100;
/// Chunks of rows read at the same time.
const CONCURRENT_READS: usize = 4;

/// How far one member got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Who.
    pub user: UserId,
    /// How far.
    pub marks: Watermarks,
}

/// Who has one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipts {
    /// Members who may read it, besides its author.
    pub members: usize,
    /// How many of them have it on a device.
    pub delivered: usize,
    /// How many of them have read it, of those who let others know.
    pub read: usize,
    /// Those who have it on a device, by user id.
    pub readers: Vec<Reader>,
    /// The last user of this page, if there are more.
    pub page: Option<UserId>,
}

impl App {
    /// The counts for one entry and a page of those who have it. The rows may be a moment old.
    ///
    /// # Errors
    /// `not_a_member`; `not_found` for a seq that the caller may not read or that is not there; `busy`.
    pub async fn receipts(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        seq: Seq,
        page: Option<&UserId>,
    ) -> Result<Receipts> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.about(conversation, Some(seq));
        let row = self.readable(&caller.user, conversation).await?;
        let not_found = || Error::new(ErrorKind::NotFound, "no such message");
        let found = self.read_at(conversation, seq).await?;
        let entry = found.filter(|e| e.seq >= row.joined).ok_or_else(not_found)?;
        if self.is_expired(&entry).await? && !mutant!(ExpiredHasReaders) {
            return Err(not_found());
        }
        let members = self.read_members(conversation).await?;
        // Whoever was removed since the row was read learns nothing of what was stored since.
        if members.get(&caller.user).is_none_or(|me| me.joined != row.joined) {
            return Err(Error::not_a_member());
        }
        let mut others = members.who_read(seq);
        others.retain(|u| *u != entry.sender_id);
        let rows = |c| self.conversations.recent_rows_of(conversation, c);
        let reads = others.chunks(CHUNK).map(rows);
        let reads: Vec<_> = reads.collect();
        let rows: Vec<Vec<_>> =
            stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await?;
        let mut have: Vec<Reader> = rows
            .into_iter()
            .flatten()
            .filter(|(_, row)| row.marks.delivered >= seq)
            .map(|(user, row)| Reader { user, marks: row.marks })
            .collect();
        have.sort_by(|a, b| a.user.cmp(&b.user));
        self.hide_reads(&caller.user, &mut have).await?;
        let read = have.iter().filter(|r| r.marks.read >= seq).count();
        let delivered = have.len();
        have.retain(|r| page.is_none_or(|p| r.user > *p));
        let more = have.len() > MAX_READERS;
        have.truncate(MAX_READERS);
        let page = have.last().filter(|_| more).map(|r| r.user.clone());
        Ok(Receipts { members: others.len(), delivered, read, readers: have, page })
    }

    /// Takes away what those have read who hide it. The caller sees his own.
    async fn hide_reads(&self, caller: &UserId, readers: &mut [Reader]) -> Result<()> {
        let read = |r: &&Reader| r.marks.read > Seq::ZERO && r.user != *caller;
        let users: Vec<UserId> = readers.iter().filter(read).map(|r| r.user.clone()).collect();
        let profiles = self.profiles_of(&users).await?;
        let hides = |r: &Reader| profiles.get(&r.user).is_some_and(|p| p.hide_read_receipts);
        for reader in readers.iter_mut().filter(|r| hides(r) && !mutant!(ReadShown)) {
            reader.marks = reader.marks.unread();
        }
        Ok(())
    }
}
