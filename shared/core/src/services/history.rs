//! Reading a conversation back and forth.

use super::cold::Kept;
use super::{App, Caller};
use crate::error::{Error, Result};
use crate::ids::{ConversationId, Seq};
use crate::limits::Use;
use crate::message::Entry;
use crate::mutants::mutant;

/// Most entries in one answer to `history`.
pub const MAX_PAGE: usize = 100;
/// Bytes of one answer to an export, about: well below the 6 MB that a function may answer.
const MAX_EXPORT_BYTES: usize = 1024 * 1024;
/// Most bytes of one `batch` frame: below the gateway's 128 KB message.
pub(super) const MAX_BATCH_BYTES: usize = 100 * 1024;

/// Which side of a seq to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// The entries just below it.
    Before(Seq),
    /// The entries just above it.
    After(Seq),
    /// It, and the entries on both sides of it: half of them below, or one more.
    Around(Seq),
}

/// A stretch of a log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Without a hole.
    pub messages: Vec<Entry>,
    /// Whether more lies on the side that was asked for; above, if both were.
    pub more: bool,
    /// Whether more lies below, if both sides were asked for.
    pub more_before: Option<bool>,
}

impl App {
    /// A complete range next to a seq, from the caller's point of joining on.
    ///
    /// # Errors
    /// `not_a_member`; `bad_request` for a limit outside 1 to [`MAX_PAGE`].
    pub async fn history(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        range: Range,
        limit: usize,
    ) -> Result<Page> {
        if limit == 0 || limit > MAX_PAGE {
            return Err(Error::bad_request(format!("limit is 1 to {MAX_PAGE}")));
        }
        let mut kept = Kept::default();
        match range {
            Range::Around(seq) => self.around(caller, conversation, seq, limit, &mut kept).await,
            _ => self.beside(caller, conversation, range, limit, &mut kept).await,
        }
    }

    /// What lies on one side of a seq.
    async fn beside(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        range: Range,
        limit: usize,
        kept: &mut Kept,
    ) -> Result<Page> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.about(conversation, None);
        let mut row = self.readable(&caller.user, conversation).await?;
        if mutant!(BeforeJoining) {
            row.joined = Seq::FIRST;
        }
        let (mut messages, mut more) = match range {
            Range::Before(before) => {
                let found =
                    self.readable_down(conversation, row.joined, Some(before), limit, kept).await?;
                let mut messages = found.entries;
                let more = !found.ends && messages.last().is_some_and(|e| e.seq > row.joined);
                messages.reverse();
                (messages, more)
            }
            Range::After(after) => {
                let after = after.max(row.joined.prev());
                let found = self.readable_up(conversation, after, limit + 1, kept).await?;
                let mut messages = found.entries;
                let more = !found.ends || messages.len() > limit;
                messages.truncate(limit);
                (messages, more)
            }
            Range::Around(_) => (vec![], false),
        };
        if !mutant!(BeforeJoining) {
            self.still_readable(&caller.user, &row).await?;
        }
        // What does not fit is cut on the side away from the seq, so that the range stays complete.
        match range {
            Range::Before(_) => {
                messages.reverse();
                more |= cut_to_bytes(&mut messages);
                messages.reverse();
            }
            Range::After(_) | Range::Around(_) => more |= cut_to_bytes(&mut messages),
        }
        Ok(Page { conversation: conversation.clone(), messages, more, more_before: None })
    }

    /// What lies at a seq and on both sides of it. If the entry cannot be read, the range is empty or begins above it.
    async fn around(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        seq: Seq,
        limit: usize,
        kept: &mut Kept,
    ) -> Result<Page> {
        let below = Range::Before(seq.next());
        let below = self.beside(caller, conversation, below, limit.div_ceil(2), kept).await?;
        let room = limit.saturating_sub(below.messages.len()).max(1);
        let above = self.beside(caller, conversation, Range::After(seq), room, kept).await?;
        let (mut messages, mut more, mut more_before) = (below.messages, above.more, below.more);
        let follows = |e: &Entry| messages.last().is_none_or(|last| last.seq.next() == e.seq);
        if above.messages.first().is_none_or(follows) {
            messages.extend(above.messages);
        } else {
            // Its time was over in between, or the caller was removed and added again: what can be read begins above.
            (messages, more_before) = (above.messages, false);
        }
        // What does not fit goes above: the lower half fitted by itself.
        more |= messages.len() > limit;
        messages.truncate(limit);
        more |= cut_to_bytes(&mut messages);
        let conversation = conversation.clone();
        Ok(Page { conversation, messages, more, more_before: Some(more_before) })
    }

    /// A stretch for an export, upward: many pages at once, about 1 MiB, none at the end. What the caller may read,
    /// as it was stored.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub async fn export(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        after: Seq,
    ) -> Result<Vec<Entry>> {
        let (mut found, mut bytes, mut after) = (vec![], 0, after);
        let mut kept = Kept::default();
        while bytes < MAX_EXPORT_BYTES {
            let range = Range::After(after);
            let page = self.beside(caller, conversation, range, MAX_PAGE, &mut kept).await?;
            let Some(last) = page.messages.last() else { break };
            after = last.seq;
            bytes += page.messages.iter().map(size).sum::<usize>();
            found.extend(page.messages);
            if !page.more {
                break;
            }
        }
        Ok(found)
    }
}

/// Keeps as many of the first entries as fit into one frame (always one) and returns whether any were cut.
pub(super) fn cut_to_bytes(messages: &mut Vec<Entry>) -> bool {
    let mut bytes = 0;
    let fits = messages
        .iter()
        .take_while(|e| {
            bytes += size(e);
            bytes <= MAX_BATCH_BYTES
        })
        .count()
        .max(1);
    let cut = fits < messages.len();
    messages.truncate(fits);
    cut
}

/// Bytes of an entry as JSON. Serializing an entry cannot fail: it has no maps and no floats.
pub(super) fn size(entry: &Entry) -> usize {
    serde_json::to_vec(entry).map_or(MAX_BATCH_BYTES, |json| json.len())
}
