//! Where history goes that is too old for the table: what is known of it beside the log, and the objects it lies in.

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::{ConversationId, Seq};
use crate::message::Entry;

/// Where a conversation's table begins, and what can be read no more. A conversation of which nothing is known has the
/// default: all of it lies in the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// The highest seq that lies in the archive. Of what is above, no row is missing; of what is not, the first may be
    /// there, and others by accident.
    pub archived: Seq,
    /// The highest seq whose retention has ended: it and all below are gone from wherever they lay.
    pub gone: Seq,
    /// The ordinal of the entry at `gone`.
    pub gone_ordinal: u64,
    /// How often it was moved.
    pub version: u64,
}

impl Floor {
    /// The highest seq that the table need not hold.
    pub fn base(&self) -> Seq {
        self.archived.max(self.gone)
    }
}

/// What stands beside a log so that its old end can go: the floor, and the timer that sets the archiver off.
#[async_trait]
pub trait Cold: Send + Sync {
    /// Must be strongly consistent.
    async fn floor(&self, of: &ConversationId) -> Result<Floor>;

    /// Puts `new` in the place of `old` if that still stands (by its version), with the next version, and returns
    /// whether it did so. When it fails, it may have been moved.
    async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool>;

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
    async fn empty(&self, of: &ConversationId, seq: Seq, why: crate::message::Why) -> Result<()>;
}

/// Objects with stretches of logs, each named by its last seq. Together they hold every entry from above
/// [`Floor::gone`] to [`Floor::archived`]: the first object whose name is not below a seq holds it. They may overlap, and
/// objects that a crash left above the floor hold nothing that is not in the table too.
#[async_trait]
pub trait Archive: Send + Sync {
    /// Stores a stretch (at least one entry, of one conversation, without a hole) under its last seq, in the place of
    /// what is there. Once it has returned, every read must find it.
    async fn put(&self, stretch: &[Entry]) -> Result<()>;

    /// The stretch that ends with `last`, oldest first; `None` if there is none. Must fail, and never return a part, if
    /// what is there is not whole or not what its name says.
    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Vec<Entry>>>;

    /// The names of a conversation's objects that are not below `from`, in their order, at most `limit`.
    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>>;

    /// Removes an object, if it is there.
    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()>;
}
