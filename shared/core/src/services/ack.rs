//! Watermarks: how far a user got, and who is told.

use std::collections::BTreeSet;

use super::cold::Kept;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, Seq, UserId};
use crate::limits::Use;
use crate::message::Entry;
use crate::metrics::Count;
use crate::mutants::mutant;
use crate::ports::{Posted, UserConversation, Watermarks};
use crate::wire::ServerFrame;

/// Authors of at most this many newly covered entries are told.
const MAX_COVERED: usize = 32;
/// Tries to write the watermarks before `busy`.
const MAX_TRIES: usize = 8;

/// An `ack` frame; each part is cumulative.
#[derive(Clone, Debug)]
pub struct Ack {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Highest seq that reached a device.
    pub delivered: Option<Seq>,
    /// Highest seq that was read.
    pub read: Option<Seq>,
}

/// How far a user got, as the others are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Who got there.
    pub user: UserId,
    /// How far.
    pub marks: Watermarks,
}

impl Receipt {
    /// As the others are told of one who hides what he has read.
    fn hidden(&self) -> Self {
        Self { marks: self.marks.unread(), ..self.clone() }
    }
}

impl App {
    /// Raises the caller's watermarks and tells the authors it concerns. An ack at or below what stands changes
    /// nothing. Returns the receipt if something changed. Of who hides what he reads, the authors are told `delivered` alone.
    ///
    /// # Errors
    /// `not_a_member`; `bad_request` for an ack beyond the head or below the point of joining; `busy`.
    pub async fn ack(&self, caller: &Caller, ack: &Ack) -> Result<Option<Receipt>> {
        let read = ack.read.unwrap_or(Seq::ZERO);
        // Read implies delivered.
        let delivered = ack.delivered.unwrap_or(Seq::ZERO).max(read);
        if delivered == Seq::ZERO {
            return Err(Error::bad_request("an ack holds delivered, read, or both, from 1 on"));
        }
        self.spend(&caller.user, Use::Requests, 1)?;
        self.about(&ack.conversation, Some(delivered));
        for _ in 0..MAX_TRIES {
            // Whether `read` may be told stands beside the row.
            let (row, profile) =
                self.people.row_and_profile(&caller.user, &ack.conversation).await?;
            let row = row.ok_or_else(Error::not_a_member)?;
            let old = row.marks;
            if delivered < row.joined {
                return Err(Error::bad_request("an ack cannot lie before the point of joining"));
            }
            // What was read before an earlier leave says nothing now, and does not take the rest with it.
            let read = if read < row.joined { Seq::ZERO } else { read };
            let mut new = Watermarks {
                delivered: old.delivered.max(delivered),
                read: old.read.max(read),
                ..old
            };
            if mutant!(AckFalls) {
                new.delivered = delivered;
            }
            if new == old {
                self.metrics.count(Count::Acks, 1);
                return Ok(None);
            }
            let mut covered = self.covered(&row, &mut new).await?;
            if self.conversations.advance(&caller.user, &ack.conversation, old, new).await? {
                let receipt = Receipt {
                    conversation: ack.conversation.clone(),
                    user: caller.user.clone(),
                    marks: new,
                };
                self.metrics.count(Count::Acks, 1);
                if new.read > old.read {
                    self.unmark(caller, &row).await;
                }
                let hides = profile.hide_read_receipts && !mutant!(ReadShown);
                let told = if hides { receipt.hidden() } else { receipt.clone() };
                if hides {
                    // Whose entries were delivered before is told nothing: all that is new of them is that they were read.
                    covered.retain(|e| e.seq > old.delivered);
                }
                self.tell_authors(&told, covered).await;
                return Ok(Some(receipt));
            }
        }
        Err(Error::new(ErrorKind::Busy, "too many acks at once; send the same again"))
    }

    /// The caller's row, if the caller may read the conversation at all.
    pub(super) async fn readable(
        &self,
        user: &UserId,
        conversation: &ConversationId,
    ) -> Result<UserConversation> {
        self.conversations.row(user, conversation).await?.ok_or_else(Error::not_a_member)
    }

    /// After reading the log: whoever was removed meanwhile must not get what was stored since.
    pub(super) async fn still_readable(&self, user: &UserId, row: &UserConversation) -> Result<()> {
        match self.conversations.row(user, &row.conversation).await? {
            _ if mutant!(StillReadable) => Ok(()),
            Some(now) if now.joined == row.joined => Ok(()),
            _ => Err(Error::not_a_member()),
        }
    }

    /// The last entries that the new marks cover and the old ones did not, newest first; sets the ordinal of `read`.
    /// One read proves that the entry at the higher mark stands there, finds the ordinal and names the authors.
    async fn covered(&self, row: &UserConversation, new: &mut Watermarks) -> Result<Vec<Entry>> {
        let old = row.marks;
        let raised = [(old.delivered, new.delivered), (old.read, new.read)];
        let raised = raised.into_iter().filter(|(old, new)| new > old);
        let (mut below, mut top) = (Seq::new(u64::MAX), Seq::ZERO);
        for (old, new) in raised {
            below = below.min(old);
            top = top.max(new);
        }
        let from = below.next().max(row.joined);
        let mut kept = Kept::default();
        let mut read_covered = async |from, top: Seq| {
            let of = &row.conversation;
            self.read_down(of, from, Some(top.next()), MAX_COVERED, &mut kept).await
        };
        let found = read_covered(from, top).await?;
        let (mut covered, mut floor) = (found.entries, found.floor.unwrap_or_default());
        let stood = covered.first().is_some_and(|e| e.seq == top) || top <= floor.gone;
        if !stood && !mutant!(AckPastHead) {
            return Err(Error::bad_request("an ack cannot pass the head"));
        }
        if new.read > old.read {
            if covered.iter().all(|e| e.seq != new.read) {
                // Far below `delivered`: its authors are told too.
                let read = read_covered(old.read.next().max(row.joined), new.read).await?;
                covered.extend(read.entries);
                floor = read.floor.unwrap_or(floor);
            }
            new.read_ordinal = match covered.iter().find(|e| e.seq == new.read) {
                Some(entry) => entry.ordinal,
                // Whoever has read what is gone has read all that is.
                None if new.read <= floor.gone => {
                    new.read = floor.gone;
                    new.delivered = new.delivered.max(new.read);
                    floor.gone_ordinal
                }
                None => return Err(Error::port("the log has a hole")),
            };
        }
        Ok(covered)
    }

    /// Receipts are a courtesy: the watermark stands, and whoever asks for receipts sees it. So a failure is no error.
    async fn tell_authors(&self, receipt: &Receipt, covered: Vec<Entry>) {
        let mut authors: BTreeSet<UserId> = covered.into_iter().map(|e| e.sender_id).collect();
        authors.remove(&receipt.user);
        if authors.is_empty() {
            return;
        }
        let Ok(Some(members)) = self.read_few_members(&receipt.conversation).await else { return };
        if mutant!(ReceiptToAll) {
            authors.extend(members.users().cloned());
            authors.remove(&receipt.user);
        }
        // Those who left learn nothing more.
        let authors: Vec<UserId> = authors
            .into_iter()
            .filter(|u| members.get(u).is_some() || mutant!(ReceiptToRemoved))
            .collect();
        let Ok(devices) = self.connections.of(&authors).await else { return };
        let frame = ServerFrame::receipt(receipt).to_json();
        futures::future::join_all(devices.connections.iter().map(|c| async {
            let _: Posted = self.gateway.post(&c.id, &frame).await;
        }))
        .await;
    }
}
