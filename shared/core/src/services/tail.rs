//! The newest part of a log, as a `send` reads it: without a hole, up to the head. What it proves stands in [`super::send`].

use super::App;
use super::members::Members;
use crate::error::{Error, Result};
use crate::ids::{ConversationId, MessageId, Seq, UserId};
use crate::message::Entry;
use crate::mutants::mutant;

/// How far behind the head `seen` may lie, and so the most that one `send` reads to prove it.
const MAX_BEHIND: u64 = 500;
/// How far back a caller without state is searched for.
const STATELESS_WINDOW: usize = 100;
/// Entries read at once while `seen` is proved.
const READ_PAGE: usize = 200;

/// What was read of the log, with no hole up to its head.
pub(super) struct Tail {
    /// Every seq above this was read, up to the head.
    pub(super) floor: Seq,
    /// Oldest first.
    pub(super) entries: Vec<Entry>,
}

impl Tail {
    pub(super) fn head(&self) -> Seq {
        self.entries.last().map_or(self.floor, |e| e.seq)
    }

    pub(super) fn find(&self, sender: &UserId, id: MessageId) -> Option<&Entry> {
        self.entries.iter().find(|e| e.message_id == id && e.sender_id == *sender)
    }
}

impl App {
    /// The newest entries that `seen` asks to be read, newest first: of most senders all of them.
    pub(super) async fn newest_page(
        &self,
        conversation: &ConversationId,
        seen: Option<Seq>,
    ) -> Result<Vec<Entry>> {
        match seen {
            Some(seen) => {
                self.log.newest(conversation, seen.max(Seq::FIRST), None, READ_PAGE).await
            }
            None => self.log.newest(conversation, Seq::FIRST, None, STATELESS_WINDOW).await,
        }
    }

    /// Proves `seen`: every seq from `max(seen, 1)` to the head comes back without a hole. `newest` is the first page.
    pub(super) async fn read_tail(
        &self,
        conversation: &ConversationId,
        seen: Option<Seq>,
        newest: Vec<Entry>,
    ) -> Result<Tail> {
        let Some(seen) = seen else {
            // The first entry stays in the table when those above it are archived, or gone.
            let whole = newest.windows(2).take_while(|w| w[0].seq.prev() == w[1].seq).count();
            let mut entries = newest;
            entries.truncate(whole + 1);
            entries.reverse();
            let floor = entries.first().map_or(Seq::ZERO, |e| e.seq.prev());
            return Ok(Tail { floor, entries });
        };
        let from = seen.max(Seq::FIRST);
        let mut newest_first: Vec<Entry> = Vec::new();
        let mut page = newest;
        loop {
            let full = page.len() == READ_PAGE;
            newest_first.extend(page);
            let head = newest_first.first().map_or(Seq::ZERO, |e| e.seq);
            if seen > head && !mutant!(SeenBeyondHead) {
                return Err(Error::sync_required("seen lies beyond the head"));
            }
            if head.since(seen) > MAX_BEHIND {
                return Err(Error::sync_required("seen lies more than 500 behind the head"));
            }
            if !full {
                break;
            }
            let before = newest_first.last().map(|e| e.seq);
            page = self.log.newest(conversation, from, before, READ_PAGE).await?;
        }
        newest_first.reverse();
        gapless(Tail { floor: from.prev(), entries: newest_first })
    }

    /// Reads everything above the head that was known. Never leaves one out: `after` is strongly consistent and
    /// starts at the lost seq.
    pub(super) async fn read_on(
        &self,
        conversation: &ConversationId,
        tail: &mut Tail,
        members: &mut Members,
    ) -> Result<()> {
        if mutant!(SkipReread) || mutant!(JumpToTail) {
            return self.read_too_little(conversation, tail).await;
        }
        loop {
            let more = self.log.after(conversation, tail.head(), READ_PAGE).await?;
            let full = more.len() == READ_PAGE;
            for entry in more {
                if entry.seq != tail.head().next() {
                    return Err(Error::sync_required("the log moved while it was read"));
                }
                members.apply(&entry);
                tail.entries.push(entry);
            }
            if !full {
                return Ok(());
            }
        }
    }

    /// What the two mutants do that do not read on.
    async fn read_too_little(&self, conversation: &ConversationId, tail: &mut Tail) -> Result<()> {
        if mutant!(SkipReread) {
            let Some(mut last) = tail.entries.last().cloned() else { return Ok(()) };
            last.seq = last.seq.next();
            tail.entries.push(last);
        } else {
            tail.entries.extend(self.log.newest(conversation, tail.head().next(), None, 1).await?);
        }
        Ok(())
    }
}

/// Refuses a tail with a hole, or one that does not reach down to its floor.
fn gapless(tail: Tail) -> Result<Tail> {
    let mut expected = tail.floor.next();
    for entry in &tail.entries {
        if entry.seq != expected && !mutant!(HoleAccepted) {
            return Err(Error::sync_required("the log has moved on; sync first"));
        }
        expected = expected.next();
    }
    Ok(tail)
}
