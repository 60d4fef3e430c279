//! Where history goes that is too old for the table: what is known of it beside the log, and the objects it lies in.

use async_trait::async_trait;

use super::Put;
use crate::error::Result;
use crate::ids::{ConversationId, Seq};
use crate::message::{Entry, Why};

/// Where a conversation's table begins, and what can be read no more. A conversation of which nothing is known has the
/// default: all of it lies in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The highest seq that lies in the archive. Of what is above, no row is missing; of what is not, the first may be
    /// there, and others by accident.
    pub archived: Seq,
    /// The fence: the highest seq that an archiver may have copied, or may copy while its lease holds. What is deleted at
    /// or below it is noted beside the log too, for the row may not be the only copy. Never below `archived`.
    pub closing: Seq,
    /// The highest seq whose retention has ended: it and all below are gone from wherever they lay.
    pub gone: Seq,
    /// The ordinal of the entry at `gone`.
    pub gone_ordinal: u64,
    /// When the first entry above `gone` was sent that lies in the archive, ms since 1970; 0 if none lies there, or if an
    /// earlier version wrote the floor.
    pub oldest_at: u64,
    /// Until when an archiver has the objects for itself, ms since 1970; 0: none has.
    pub until: u64,
    /// How often it was moved.
    pub version: u64,
}

impl Floor {
    /// The highest seq that the table need not hold.
    pub fn base(&self) -> Seq {
        self.archived.max(self.gone)
    }
}

/// What stands beside a log so that its old end can go: the floor, the notes of what was deleted there, and the timer that
/// sets the archiver off.
#[async_trait]
pub trait Cold: Send + Sync {
    /// Must be strongly consistent.
    async fn floor(&self, of: &ConversationId) -> Result<Floor>;

    /// Puts `new` in the place of `old` if that still stands (by its version), with the next version, and returns
    /// whether it did so. When it fails, it may have been moved, or may be moved yet.
    async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool>;

    /// Stores a `delete` of an entry that may be archived, and with it, in the same step, what it does. `target` is its
    /// target as it was read, with its edits. Of these and the target, each row that is there gets
    /// [`Content::deleted`](crate::message::Content::deleted) in place of what it holds, and each that is not above
    /// [`Floor::closing`] is noted in [`Cold::redactions`].
    ///
    /// Must return `Taken` and change nothing if the place is not free, if `floor` is not what stands (by its version), if
    /// the target is gone or noted already, if a row above [`Floor::archived`] is not there, if the target's row has other
    /// edits than `target`, or if another write of any of these was under way. When it fails, all of it may have happened,
    /// or none, or may happen yet.
    async fn put_delete(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put>;

    /// Empties these entries (at most 40) of one log, as they were read: each row that is there gets
    /// [`Content::deleted`](crate::message::Content::deleted) in place of what it holds, and each that is not above
    /// [`Floor::closing`] is noted in [`Self::redactions`]; all of it in one step. Must change nothing and return `false` if
    /// a row above [`Floor::archived`] is not there, if `floor` is not what stands (by its version), or if another write of
    /// any of these was under way. May be repeated.
    async fn erase(&self, of: &ConversationId, entries: &[Entry], floor: &Floor) -> Result<bool>;

    /// The seqs from `from` to `through` that were deleted and noted, oldest first, at most `limit`. Must be strongly
    /// consistent.
    async fn redactions(
        &self,
        of: &ConversationId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>>;

    /// Removes these notes, those that are there. May fail half-way, and may be repeated.
    async fn remove_redactions(&self, of: &ConversationId, seqs: &[Seq]) -> Result<()>;

    /// Sets the timer, whether there is one or not: some time after `at` (ms since 1970) it vanishes, perhaps days
    /// later, and [`App::archive`](crate::App::archive) is called.
    async fn set_timer(&self, of: &ConversationId, at: u64) -> Result<()>;

    /// Sets the timer if there is none.
    async fn keep_timer(&self, of: &ConversationId, at: u64) -> Result<()>;

    /// Removes the rows from `from` to `through`, those that are there. May fail half-way, and may be repeated. Never
    /// called with the first or with the last entry of a log.
    async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()>;

    /// Empties the row at this place, if there is one: its content becomes [`Content::Gone`] for this reason, and all
    /// else stays. May be repeated.
    ///
    /// [`Content::Gone`]: crate::message::Content::Gone
    async fn empty(&self, of: &ConversationId, seq: Seq, why: Why) -> Result<()>;
}

/// A version of an object: two that are equal name the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

/// An object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which version of it.
    pub version: Version,
    /// The stretch that it holds, oldest first.
    pub entries: Vec<Entry>,
}

/// What must hold for a put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// No object has the name.
    Absent,
    /// The object with the name is this one.
    Is(Version),
}

/// Objects with stretches of logs, each named by its last seq. Together they hold every entry from above
/// [`Floor::gone`] to [`Floor::archived`]: the first object whose name is not below a seq holds it. Objects that a crash
/// left above the floor hold nothing that is not in the table too, and nobody reads them. Only who has the lease of
/// [`Floor::until`] writes.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Stores a stretch (at least one entry, of one conversation, without a hole) under its last seq if the precondition
    /// holds, and returns whether it did so. Once it has returned, every read must find it. When it fails, it may be
    /// stored, or may be stored yet.
    async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool>;

    /// The object that ends with `last`; `None` if there is none. Must fail, and never return a part, if what is there is
    /// not whole or not what its name says.
    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>>;

    /// The names of a conversation's objects that are not below `from`, in their order, at most `limit`.
    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>>;

    /// Removes an object, if it is there.
    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()>;
}
