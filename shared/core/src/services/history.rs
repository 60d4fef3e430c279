//! Reading a conversation back and forth.

use super::{App, Caller};
use crate::error::{Error, Result};
use crate::ids::{ConversationId, Seq};
use crate::limits::Use;
use crate::message::Entry;
use crate::mutants::mutant;

/// Most entries in one answer to `history`.
pub const MAX_PAGE: usize = 100;
/// Most bytes of one `batch` frame: below the gateway's 128 KB message.
pub(super) const MAX_BATCH_BYTES: usize = 100 * 1024;

/// Which side of a seq to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// The entries just below it.
    Before(Seq),
    /// The entries just above it.
    After(Seq),
}

/// A stretch of a log, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Without a hole.
    pub messages: Vec<Entry>,
    /// Whether more lies on the side that was asked for.
    pub more: bool,
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
        self.spend(&caller.user, Use::Requests, 1)?;
        self.about(conversation, None);
        let mut row = self.readable(&caller.user, conversation).await?;
        if mutant!(BeforeJoining) {
            row.joined = Seq::FIRST;
        }
        let (mut messages, mut more) = match range {
            Range::Before(before) => {
                let mut found =
                    self.log.newest(conversation, row.joined, Some(before), limit).await?;
                let more = found.last().is_some_and(|e| e.seq > row.joined);
                found.reverse();
                (found, more)
            }
            Range::After(after) => {
                let after = after.max(row.joined.prev());
                let mut found = self.log.after(conversation, after, limit + 1).await?;
                let more = found.len() > limit;
                found.truncate(limit);
                (found, more)
            }
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
            Range::After(_) => more |= cut_to_bytes(&mut messages),
        }
        Ok(Page { conversation: conversation.clone(), messages, more })
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
