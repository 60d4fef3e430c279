//! What a user chose for a conversation (muted, pinned, archived, marked as unread), and how much he has not read in all.
//! Changes go to the user's other devices at once; what `sync` says is what counts.

use futures::stream::{self, StreamExt, TryStreamExt};

use super::cold::{Ends, Kept};
use super::sync::CONCURRENT_READS;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConnectionId, ConversationId, UserId};
use crate::limits::Use;
use crate::message::Entry;
use crate::mutants::mutant;
use crate::ports::{OwnState, Posted, UserConversation};
use crate::wire::ServerFrame;

/// The end of the year 9999, ms: muted until then is muted for ever.
pub const MAX_MUTED_UNTIL: u64 = 253_402_300_799_999;
/// Most conversations that a count of what is unread looks at.
pub const MAX_COUNTED: usize = 1_000;
/// Most conversations of a user whose pushes carry a badge.
const MAX_BADGE: usize = 100;
/// Rows read at once.
const ROWS: usize = 200;
/// Tries to write before `busy`.
const MAX_TRIES: usize = 8;

/// What a user changes of his own; `None` leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnChange {
    /// Until when no phone is woken, ms since 1970, at most [`MAX_MUTED_UNTIL`]; 0: it is muted no more.
    pub muted_until: Option<u64>,
    /// Shown above the others.
    pub pinned: Option<bool>,
    /// Put away.
    pub archived: Option<bool>,
    /// Shown as unread.
    pub marked_unread: Option<bool>,
}

/// How much a user has not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Messages, in all conversations.
    pub messages: u64,
    /// Conversations with unread messages, or marked as unread.
    pub conversations: u64,
    /// What the app's icon shows: the messages in conversations that are neither muted nor archived, and one for each of
    /// those that is marked as unread and has none.
    pub badge: u64,
    /// Whether there are conversations beyond [`MAX_COUNTED`], which are not in it.
    pub more: bool,
}

impl App {
    /// Changes what the caller chose for a conversation, tells the caller's other devices, and returns the whole.
    ///
    /// # Errors
    /// `bad_request` for a change of nothing or a time beyond [`MAX_MUTED_UNTIL`]; `not_a_member`; `busy`.
    pub async fn set_own(
        &self,
        caller: &Caller,
        conversation: &ConversationId,
        change: OwnChange,
    ) -> Result<OwnState> {
        if change == OwnChange::default() {
            return Err(Error::bad_request(
                "name muted_until, pinned, archived or marked_unread, at least one",
            ));
        }
        if change.muted_until.is_some_and(|until| until > MAX_MUTED_UNTIL) {
            return Err(Error::bad_request(format!("muted_until is at most {MAX_MUTED_UNTIL}")));
        }
        self.spend(&caller.user, Use::Requests, 1)?;
        self.about(conversation, None);
        for _ in 0..MAX_TRIES {
            let row = self.readable(&caller.user, conversation).await?;
            let old = row.own;
            let new = OwnState {
                version: old.version,
                muted_until: change.muted_until.unwrap_or(old.muted_until),
                pinned: change.pinned.unwrap_or(old.pinned),
                archived: change.archived.unwrap_or(old.archived),
                marked_unread: change.marked_unread.unwrap_or(old.marked_unread),
            };
            if new == old {
                return Ok(old);
            }
            let new = OwnState { version: self.next_version(old), ..new };
            if self.conversations.set_own(&caller.user, conversation, old.version, new).await? {
                self.tell_own(&caller.user, caller.connection(), conversation, new).await;
                return Ok(new);
            }
        }
        Err(Error::new(ErrorKind::Busy, "too many changes at once; send the same again"))
    }

    /// Above the one that stands, and above every one that stood in a row before this one.
    fn next_version(&self, old: OwnState) -> u64 {
        old.version.saturating_add(1).max(self.world.now_ms())
    }

    /// Whoever reads on has seen the mark that stood in this row; one that was set since stays. It is a second write: should
    /// it be lost, the mark stands until the next.
    pub(super) async fn unmark(&self, caller: &Caller, row: &UserConversation) {
        let old = row.own;
        if !old.marked_unread {
            return;
        }
        let new = OwnState { version: self.next_version(old), marked_unread: false, ..old };
        match self.conversations.set_own(&caller.user, &row.conversation, old.version, new).await {
            Ok(true) => {
                self.tell_own(&caller.user, caller.connection(), &row.conversation, new).await;
            }
            // Something else was chosen meanwhile, on another device.
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(
                    error = error.with_causes(),
                    "a conversation stays marked as unread"
                );
            }
        }
    }

    /// A hint: who misses it finds the state in the next `sync`.
    async fn tell_own(
        &self,
        user: &UserId,
        except: Option<ConnectionId>,
        conversation: &ConversationId,
        own: OwnState,
    ) {
        let mut to = vec![user.clone()];
        if mutant!(StateToPeer) {
            to.extend(conversation.pair().into_iter().flat_map(|(a, b)| [a, b]));
        }
        let Ok(devices) = self.connections.of(&to).await else { return };
        let frame = ServerFrame::state(conversation.clone(), own).to_json();
        let others = devices.connections.iter().filter(|c| except.as_ref() != Some(&c.id));
        futures::future::join_all(others.map(|c| async {
            let _: Posted = self.gateway.post(&c.id, &frame).await;
        }))
        .await;
    }

    /// How much the caller has not read, counted anew: one read a conversation.
    ///
    /// # Errors
    /// `busy`.
    pub async fn unread(&self, caller: &Caller) -> Result<Unread> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.count_unread(&caller.user, MAX_COUNTED).await
    }

    /// What the icon of a user's phone shows, if that is to be had at a bounded price: of a user with more than
    /// [`MAX_BADGE`] conversations nothing is read but their list. What is muted or archived is not in it, and not read.
    pub(super) async fn badge(&self, user: &UserId, ends: &Ends) -> Option<u64> {
        let now = self.world.now_ms();
        // A push without one is better than none.
        let rows = self.conversations.rows(user, None, MAX_BADGE + 1).await.ok()?;
        if rows.len() > MAX_BADGE {
            return None;
        }
        let shown = rows.iter().filter(|r| !r.own.is_quiet(now) || mutant!(BadgeCountsMuted));
        let counts: Vec<_> = shown
            .map(async |row| {
                let messages = self.count_row(row, ends).await?;
                Ok::<_, Error>(messages.map_or(0, |m| m.max(u64::from(row.own.marked_unread))))
            })
            .collect();
        let counts = stream::iter(counts).buffer_unordered(CONCURRENT_READS);
        counts.try_fold(0, async |all, one| Ok(all + one)).await.ok()
    }

    async fn count_unread(&self, user: &UserId, most: usize) -> Result<Unread> {
        let now = self.world.now_ms();
        let mut unread = Unread::default();
        let mut page = None;
        let mut looked_at = 0;
        loop {
            let rows = self.conversations.rows(user, page.as_ref(), ROWS + 1).await?;
            let last = rows.len() <= ROWS;
            let rows: Vec<_> = rows.into_iter().take(ROWS).collect();
            page = rows.last().map(|r| r.conversation.clone());
            looked_at += rows.len();
            let counts: Vec<_> =
                rows.iter().map(async |row| self.count_row(row, &Ends::default()).await).collect();
            let counts: Vec<Option<u64>> =
                stream::iter(counts).buffered(CONCURRENT_READS).try_collect().await?;
            for (row, messages) in rows.iter().zip(counts) {
                let Some(messages) = messages else { continue };
                let shown = messages.max(u64::from(row.own.marked_unread));
                unread.messages += messages;
                unread.conversations += u64::from(shown > 0);
                if !row.own.is_quiet(now) || mutant!(BadgeCountsMuted) {
                    unread.badge += shown;
                }
            }
            if last || looked_at >= most {
                unread.more = !last;
                return Ok(unread);
            }
        }
    }

    /// `None` of a conversation whose first entry is not there yet: it does not exist, whatever stands in the row.
    async fn count_row(&self, row: &UserConversation, ends: &Ends) -> Result<Option<u64>> {
        let newest = self.log.newest(&row.conversation, row.joined, None, 1).await?;
        match newest.first() {
            Some(head) => self.unread_of(row, head, ends).await.map(Some),
            None => Ok(None),
        }
    }

    /// Entries above `read` that count and whose time is not over.
    pub(super) async fn unread_of(
        &self,
        row: &UserConversation,
        head: &Entry,
        ends: &Ends,
    ) -> Result<u64> {
        let mut kept = Kept::default();
        // Of who joined, what was there before counts as read: his row begins with the ordinal at that place.
        let joined_late = row.marks.read < row.joined && mutant!(UnreadFromFirst);
        let read = if joined_late { 0 } else { row.marks.read_ordinal };
        let unread = head.ordinal.saturating_sub(read);
        if unread == 0 || self.is_expired_of(head, &mut kept).await? && !mutant!(OverIsUnread) {
            return Ok(0);
        }
        if unread == 1 && head.content.counts() {
            // It is the head itself, which can be read: mostly no more is to be asked.
            return Ok(1);
        }
        let first = row.marks.read.max(row.joined.prev());
        let over = self.ordinal_over(head, first, &mut kept, ends).await?;
        Ok(head.ordinal.saturating_sub(read.max(over)))
    }
}
