//! Watermarks: how far a user got, and who is told.

use std::collections::BTreeSet;

use super::deliver::MAX_INLINE;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, Seq, UserId};
use crate::message::Entry;
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

impl App {
    /// Raises the caller's watermarks and tells the authors it concerns. An ack at or below what stands changes
    /// nothing. Returns the receipt if something changed.
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
        for _ in 0..MAX_TRIES {
            let row = self.readable(&caller.user, &ack.conversation).await?;
            let old = row.marks;
            let mut new = old;
            if delivered > old.delivered {
                self.entry_at(&row, delivered).await?;
                new.delivered = delivered;
            }
            if read > old.read {
                new.read_ordinal = self.entry_at(&row, read).await?.ordinal;
                new.read = read;
            }
            if new == old {
                return Ok(None);
            }
            if self.conversations.advance(&caller.user, &ack.conversation, old, new).await? {
                let receipt = Receipt {
                    conversation: ack.conversation.clone(),
                    user: caller.user.clone(),
                    marks: new,
                };
                self.tell_authors(&receipt, &row).await;
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
            Some(now) if now.joined == row.joined => Ok(()),
            _ => Err(Error::not_a_member()),
        }
    }

    async fn entry_at(&self, row: &UserConversation, seq: Seq) -> Result<Entry> {
        if seq < row.joined {
            return Err(Error::bad_request("an ack cannot lie before the point of joining"));
        }
        let found = self.log.newest(&row.conversation, seq, Some(seq.next()), 1).await?;
        found.into_iter().next().ok_or_else(|| Error::bad_request("an ack cannot pass the head"))
    }

    /// Receipts are a courtesy: the watermark stands, and every sync carries it. So a failure here is no error.
    async fn tell_authors(&self, receipt: &Receipt, old: &UserConversation) {
        let (old_marks, new) = (old.marks, receipt.marks);
        let from = if new.read > old_marks.read { old_marks.read } else { old_marks.delivered };
        let top = if new.delivered > old_marks.delivered { new.delivered } else { new.read };
        let from = from.next().max(old.joined);
        // Before the entries: in a large group they are not needed.
        let members = self.read_few_members(&receipt.conversation, MAX_INLINE).await;
        let Ok(Some(members)) = members else { return };
        let Ok(covered) =
            self.log.newest(&receipt.conversation, from, Some(top.next()), MAX_COVERED).await
        else {
            return;
        };
        // Those who left learn nothing more.
        let authors: BTreeSet<UserId> = covered
            .into_iter()
            .map(|e| e.sender_id)
            .filter(|u| *u != receipt.user && members.get(u).is_some())
            .collect();
        let authors: Vec<UserId> = authors.into_iter().collect();
        let Ok(devices) = self.connections.of(&authors).await else { return };
        let frame = ServerFrame::receipt(receipt).to_json();
        futures::future::join_all(devices.connections.iter().map(|c| async {
            let _: Posted = self.gateway.post(&c.id, &frame).await;
        }))
        .await;
    }
}
