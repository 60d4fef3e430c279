//! What the core needs from the world. Each doc comment is a contract; the suite in [`crate::testing`] holds every
//! implementation to it. A port that fails returns [`Error::port`](crate::Error::port), and then the caller does not
//! know whether the effect happened, unless the contract says so.

mod cold;
mod connections;
mod media;
mod outside;
mod people;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Result;
use crate::group::{GroupInfo, Invite, Member, Role, Roster};
use crate::ids::{ConversationId, InviteId, MessageId, Seq, UserId};
use crate::message::Entry;

pub use cold::{Archive, Cold, Floor, Object, Precondition, Version};
pub use connections::{Account, Connection, Connections, Devices, Endpoint, Registered, Sockets};
pub use media::{Files, SignedRequest, Uploads};
pub use outside::{
    Delivery, Gateway, Hooked, Job, Jobs, Moderation, Notification, Notifier, Platform, Posted,
    Pushed, Webhook,
};
pub use people::{People, Regard};

/// Most edits of one entry: a delete empties them all in one transaction of at most 100 actions, two an edit.
pub const MAX_EDITS: usize = 20;

/// The outcome of a put at a place that must be free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// The entry stands at its place.
    Stored,
    /// Another call was first, or was under way at the same place, which then may be free still; nothing changed.
    Taken,
}

/// The log of every conversation.
#[async_trait]
pub trait Log: Send + Sync {
    /// The entries with `from <= seq < before` (no upper bound if `None`), newest first, at most `limit`; none if
    /// `before <= from`.
    /// Must be strongly consistent: an entry whose put returned before this call began must be in it.
    async fn newest(
        &self,
        conversation: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// The entries with `seq > after`, oldest first, at most `limit`. Must be strongly consistent.
    async fn after(
        &self,
        conversation: &ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// Stores the entry if, and only if, its place is free. Must return `Taken` and change nothing otherwise.
    /// When it fails the entry may be stored, or may be stored yet.
    async fn put(&self, entry: &Entry) -> Result<Put>;

    /// Stores an `edit` or a `delete`, and with it, in the same step, what it does to its target, which stands in this
    /// log: an edit is noted there; a delete puts [`Content::deleted`](crate::message::Content::deleted) in place of what
    /// the target and each edit of it hold, and changes nothing else of them. Must return `Taken` and change nothing if
    /// the place is not free, if the target is gone already, if an edit finds [`MAX_EDITS`] there, or if another edit or delete of
    /// it was under way. When it
    /// fails, all of it may have happened, or none, or may happen yet.
    async fn put_changing(&self, entry: &Entry) -> Result<Put>;
}

/// How far a user got in one conversation. Each part only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    /// Highest seq that reached a device.
    pub delivered: Seq,
    /// Highest seq that was read; never above `delivered`.
    pub read: Seq,
    /// The ordinal of the entry at `read`, so that unread is a subtraction; until something is read, of the one at which the
    /// user joined.
    pub read_ordinal: u64,
}

impl Watermarks {
    /// As if nothing had been read: what others see of one who hides it.
    pub fn unread(self) -> Self {
        Self { read: Seq::ZERO, read_ordinal: 0, ..self }
    }
}

/// What a user chose for one conversation. Only his own devices see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OwnState {
    /// Of two, the higher one is the newer. It never goes back, also when the user leaves and comes again; 0: never changed.
    pub version: u64,
    /// Until when no phone is woken, but for mentions; ms since 1970, 0: it is not muted.
    pub muted_until: u64,
    /// Shown above the others.
    pub pinned: bool,
    /// Put away. Its messages wake no phone, but for mentions, and are not in the badge.
    pub archived: bool,
    /// Shown as unread though it may be read.
    pub marked_unread: bool,
}

/// How far the clocks of two functions may be apart at most, ms, if versions shall not go back.
const CLOCKS_APART_MS: u64 = 10_000;

impl OwnState {
    /// What a member has chosen who joins by an entry of this time: nothing, at a version above all that he held when he was a
    /// member before, also by a clock that ran ahead.
    pub fn anew(sent_at: u64) -> Self {
        Self { version: sent_at.saturating_add(CLOCKS_APART_MS), ..Self::default() }
    }

    /// Whether its messages wake nobody at this time, but for mentions.
    pub const fn is_quiet(&self, now_ms: u64) -> bool {
        self.archived || self.muted_until > now_ms
    }
}

/// One row of a user's conversation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConversation {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Where this user begins to read.
    pub joined: Seq,
    /// How far the user got.
    pub marks: Watermarks,
    /// What the user chose for it.
    pub own: OwnState,
}

/// A change of a conversation, to be applied as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The `system` entry that announces it.
    pub entry: Entry,
    /// Who joins, at `entry.seq`, as a member. Their rows are written anew, with `entry.ordinal` as what they have read and
    /// [`OwnState::anew`] of `entry.sent_at`.
    pub added: Vec<UserId>,
    /// Who goes. Their rows are removed.
    pub removed: Vec<UserId>,
    /// Members whose role changes: as they stand from now on.
    pub roles: Vec<Member>,
    /// What holds for the conversation from now on, if that changes.
    pub info: Option<GroupInfo>,
    /// The invite that it rests on.
    pub invite: Option<InviteId>,
}

/// Who belongs to which conversation, and how far they got.
#[async_trait]
pub trait Conversations: Send + Sync {
    /// What holds for a conversation, and the members of a group, at most the first `limit`. Must be strongly consistent. A
    /// direct conversation's id names its members: it has no rows of them, and an info only if they have chosen something.
    async fn roster(&self, of: &ConversationId, limit: usize) -> Result<Roster>;

    /// Writes each user's row of a direct conversation, joined at 1, if it is absent; rows that exist stay as they
    /// are. May be repeated, and may fail half-way.
    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()>;

    /// Writes the info, the member rows and the user rows of a group that is coming into being, all joined at 1. Must return
    /// `Taken` and write no row that was not there once the group's first entry stands: a call that was frozen since
    /// before must not bring back who was removed meanwhile. May be repeated with the same members, and may fail
    /// half-way.
    async fn found(
        &self,
        group: &ConversationId,
        info: &GroupInfo,
        members: &[(UserId, Role)],
    ) -> Result<Put>;

    /// Stores the entry and applies the change in one transaction. Must return `Taken` and change nothing if the
    /// entry's place is not free, or if the invite that it rests on is not there.
    async fn change(&self, change: &Change) -> Result<Put>;

    /// Stores an invite.
    async fn set_invite(&self, invite: &Invite) -> Result<()>;

    /// An invite, also if it has expired. Must be strongly consistent.
    async fn invite(&self, group: &ConversationId, id: &InviteId) -> Result<Option<Invite>>;

    /// A group's invites, at most `limit`, in the order of their ids.
    async fn invites(&self, group: &ConversationId, limit: usize) -> Result<Vec<Invite>>;

    /// Removes an invite, if it is there.
    async fn remove_invite(&self, group: &ConversationId, id: &InviteId) -> Result<()>;

    /// One row of a user's list. Must be strongly consistent.
    async fn row(&self, user: &UserId, of: &ConversationId) -> Result<Option<UserConversation>>;

    /// A user's rows after `page` in the order of the conversation ids, at most `limit`. Must be strongly consistent.
    async fn rows(
        &self,
        user: &UserId,
        page: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<UserConversation>>;

    /// Replaces a user's watermarks if `old` still stands and returns whether it did so. `false` also if the row is
    /// gone.
    async fn advance(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<bool>;

    /// Replaces what a user chose if `old` is the version that stands, and returns whether it did so. `false` also if the
    /// row is gone. The watermarks stay as they are.
    async fn set_own(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: u64,
        new: OwnState,
    ) -> Result<bool>;

    /// The rows that these users (at most 100) have of one conversation, those that exist. Must be strongly consistent:
    /// who has no row is not a member, and is not woken.
    async fn rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>>;

    /// As [`Self::rows_of`], and each may be a moment old: for who looks at how far others got.
    async fn recent_rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        self.rows_of(conversation, users).await
    }

    /// Whether `owner` blocks `other`.
    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool>;

    /// Notes that these users (at most 49), who are about to leave this group, may have written in it. Whether they then
    /// leave is not looked at. May be repeated, and may fail half-way.
    async fn note_left(&self, group: &ConversationId, users: &[UserId]) -> Result<()>;

    /// Groups in which a user may have written before he left, in the order of their ids, at most `limit`. Must be strongly
    /// consistent.
    async fn left(&self, user: &UserId, limit: usize) -> Result<Vec<ConversationId>>;

    /// Removes such a note, if it is there.
    async fn forget_left(&self, user: &UserId, group: &ConversationId) -> Result<()>;
}

/// Time and ids, so that a simulation can own them.
#[async_trait]
pub trait World: Send + Sync {
    /// Now, ms since 1970. May differ between functions.
    fn now_ms(&self) -> u64;
    /// A new UUIDv7.
    fn new_id(&self) -> Uuid;
    /// 128 bits that nobody can guess.
    fn secret(&self) -> u128;
    /// A random number from 0 to `below` − 1 (0 if `below` is 0), for jitter.
    fn jitter(&self, below: u64) -> u64;
    /// Returns when this much time has passed, ms.
    async fn pause(&self, ms: u64);
}

/// Mints a message id.
pub fn mint(world: &dyn World) -> MessageId {
    MessageId::minted(world.new_id())
}
