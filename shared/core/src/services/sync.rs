//! Turning cursors into the messages that a device misses. Lists the user's own rows, so that a conversation whose
//! first push was lost is found too.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::cold::{Ends, Kept};
use super::history::{cut_to_bytes, size};
use super::{App, Caller, Page};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, Seq};
use crate::limits::Use;
use crate::message::Entry;
use crate::metrics::Count;
use crate::mutants::mutant;
use crate::ports::{OwnState, UserConversation, Watermarks};

/// Entries of one conversation in one sync, unless the caller says otherwise.
pub const DEFAULT_LIMIT: usize = 200;
/// Most conversations that one sync looks at.
const ROWS: usize = 200;
/// Bytes of messages in one sync, about.
const MAX_SYNC_BYTES: usize = 1024 * 1024;
/// Most entries read at once.
const READ_PAGE: usize = 100;
/// Heads read at the same time.
pub(super) const CONCURRENT_READS: usize = 16;

/// A `sync` frame.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// The highest seq that the device holds, by conversation. Without one, the user's `delivered` counts.
    pub cursors: BTreeMap<ConversationId, Seq>,
    /// Most entries a conversation, 1 to [`DEFAULT_LIMIT`].
    pub limit: usize,
    /// The newest entries instead of the next ones.
    pub tail: bool,
    /// Where the last sync stopped listing conversations.
    pub page: Option<ConversationId>,
}

/// One conversation in `synced`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// Which.
    pub id: ConversationId,
    /// Its highest seq.
    pub head: Seq,
    /// The highest seq that the batches of this sync reached; the cursor if there were none.
    pub sent_through: Seq,
    /// How far the user got.
    pub marks: Watermarks,
    /// Entries above `read` that count.
    pub unread: u64,
    /// What the user chose for it.
    pub own: OwnState,
    /// Whether messages above `sent_through` lie in the archive, and that cannot be read at present.
    pub unavailable: bool,
}

/// What a sync answers: first the batches, in order, then the rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// Each without a hole, upward from the cursor.
    pub batches: Vec<Page>,
    /// The conversations of this page.
    pub conversations: Vec<Conversation>,
    /// Where to go on, if there are more conversations.
    pub page: Option<ConversationId>,
}

/// One conversation while it is read.
struct Reading {
    row: UserConversation,
    head: Entry,
    batches: Vec<Page>,
    sent_through: Seq,
    unavailable: bool,
}

impl Reading {
    /// Whether it tells of entries that have reached no device of the user. After his removal nothing may, not even that they
    /// are there.
    fn tells(&self) -> bool {
        self.head.seq > self.row.marks.delivered || !self.batches.is_empty()
    }
}

impl App {
    /// The messages above the caller's cursors, and the state of each conversation.
    ///
    /// # Errors
    /// `bad_request` for a limit outside 1 to [`DEFAULT_LIMIT`]; `busy`.
    pub async fn sync(&self, caller: &Caller, sync: &SyncRequest) -> Result<Synced> {
        if sync.limit == 0 || sync.limit > DEFAULT_LIMIT {
            return Err(Error::bad_request(format!("limit is 1 to {DEFAULT_LIMIT}")));
        }
        self.spend(&caller.user, Use::Requests, 1)?;
        if mutant!(RegisterLate) {
            let synced = self.list(caller, sync.page.as_ref(), Some(sync)).await;
            self.still_connected(caller).await?;
            return synced;
        }
        // Registering comes before reading heads.
        self.still_connected(caller).await?;
        let synced = self.list(caller, sync.page.as_ref(), Some(sync)).await?;
        self.metrics.count(Count::Syncs, 1);
        Ok(synced)
    }

    /// The state of each conversation, without messages.
    ///
    /// # Errors
    /// `busy`.
    pub async fn overview(&self, caller: &Caller, page: Option<&ConversationId>) -> Result<Synced> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.list(caller, page, None).await
    }

    async fn list(
        &self,
        caller: &Caller,
        from: Option<&ConversationId>,
        sync: Option<&SyncRequest>,
    ) -> Result<Synced> {
        let mut rows = self.conversations.rows(&caller.user, from, ROWS + 1).await?;
        let page = (rows.len() > ROWS).then(|| {
            rows.truncate(ROWS);
            rows.last().map(|r| r.conversation.clone())
        });
        let mut synced = Synced { page: page.flatten(), ..Synced::default() };
        let mut room = MAX_SYNC_BYTES;
        let head = async |row: &UserConversation| {
            let newest = self.log.newest(&row.conversation, row.joined, None, 1).await?;
            Ok::<_, Error>(newest.into_iter().next())
        };
        let reads: Vec<_> = rows.iter().map(head).collect();
        let heads: Vec<Option<Entry>> =
            stream::iter(reads).buffered(CONCURRENT_READS).try_collect().await?;
        let mut read = vec![];
        for (row, head) in rows.into_iter().zip(heads) {
            // Rows are written before the first entry: until that one stands there is no conversation.
            let Some(head) = head else { continue };
            let reading = Reading {
                batches: vec![],
                sent_through: row.marks.delivered,
                unavailable: false,
                row,
                head,
            };
            read.push(match sync {
                Some(sync) => self.batches(sync, reading, &mut room).await?,
                None => reading,
            });
        }
        let read = self.keep_readable(caller, from, read).await?;
        let count = async |r: &Reading| self.unread_of(&r.row, &r.head, &Ends::default()).await;
        let counts: Vec<_> = read.iter().map(count).collect();
        let counts: Vec<u64> =
            stream::iter(counts).buffered(CONCURRENT_READS).try_collect().await?;
        for (reading, unread) in read.into_iter().zip(counts) {
            let Reading { row, head, batches, sent_through, unavailable } = reading;
            synced.batches.extend(batches);
            synced.conversations.push(Conversation {
                id: row.conversation,
                head: head.seq,
                sent_through,
                marks: row.marks,
                unread,
                own: row.own,
                unavailable,
            });
        }
        Ok(synced)
    }

    /// Those that the caller may read still, now that their heads and messages are read. One read of the list tells of all;
    /// whichever is missing there, or has another point of joining, is asked for by itself.
    async fn keep_readable(
        &self,
        caller: &Caller,
        from: Option<&ConversationId>,
        read: Vec<Reading>,
    ) -> Result<Vec<Reading>> {
        let news = read.iter().filter(|r| r.tells()).count();
        let rows = if news > 1 {
            self.conversations.rows(&caller.user, from, ROWS).await?
        } else {
            vec![]
        };
        let joined: BTreeMap<_, _> = rows.into_iter().map(|r| (r.conversation, r.joined)).collect();
        let mut kept = Vec::with_capacity(read.len());
        for reading in read {
            let row = &reading.row;
            if !reading.tells()
                || mutant!(StillReadable)
                || joined.get(&row.conversation) == Some(&row.joined)
            {
                kept.push(reading);
                continue;
            }
            match self.still_readable(&caller.user, row).await {
                Ok(()) => kept.push(reading),
                Err(error) if error.kind == ErrorKind::NotAMember => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kept)
    }

    /// Reads what lies above the cursor, and how far it reaches.
    async fn batches(
        &self,
        sync: &SyncRequest,
        mut reading: Reading,
        room: &mut usize,
    ) -> Result<Reading> {
        let (row, head) = (&reading.row, &reading.head);
        let given = sync.cursors.get(&row.conversation).copied();
        // A cursor beyond the head is a device's mistake; it must not hide what comes next.
        let mut cursor = given.unwrap_or(row.marks.delivered);
        if sync.tail {
            // A device that holds nothing wants the newest to show, delivered or not.
            let limit = u64::try_from(sync.limit).unwrap_or(u64::MAX);
            let newest = Seq::new(head.seq.get().saturating_sub(limit));
            cursor = given.unwrap_or(Seq::ZERO).max(newest);
        }
        let floor = if mutant!(BeforeJoining) { Seq::ZERO } else { row.joined.prev() };
        cursor = cursor.max(floor).min(head.seq);
        let mut left = sync.limit;
        let mut kept = Kept::default();
        while left > 0 && *room > 0 && cursor < head.seq {
            let mut messages = if self.is_expired_of(head, &mut kept).await?
                && !mutant!(ExpiredIsRead)
            {
                vec![]
            } else if cursor.next() == head.seq {
                // One new message, the most frequent case: it was read with the heads.
                vec![head.clone()]
            } else {
                let most = left.min(READ_PAGE);
                match self.readable_up(&row.conversation, cursor, most, &mut kept).await {
                    Ok(found) => found.entries,
                    // An object that cannot be read must not keep the other conversations from their user.
                    Err(error) if kept.failed => {
                        tracing::error!(error = error.with_causes(), "the archive cannot be read");
                        reading.unavailable = true;
                        break;
                    }
                    Err(error) => return Err(error),
                }
            };
            if messages.is_empty() {
                // Nothing that can be read lies above.
                cursor = head.seq;
            }
            cut_to_bytes(&mut messages);
            let Some(last) = messages.last().map(|e| e.seq) else { break };
            left -= messages.len();
            *room = room.saturating_sub(messages.iter().map(size).sum());
            cursor = last;
            let conversation = row.conversation.clone();
            let more = last < head.seq;
            reading.batches.push(Page { conversation, messages, more, more_before: None });
        }
        reading.sent_through = cursor;
        Ok(reading)
    }
}
