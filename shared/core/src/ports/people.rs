//! What users show of themselves, and to whom.

use std::collections::BTreeSet;

use async_trait::async_trait;

use crate::error::Result;
use crate::ids::{ConversationId, UserId};
use crate::people::{Audience, Profile, ProfileChange};

use super::UserConversation;

/// What decides what one user may see of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regard {
    /// Who may see the other's presence.
    pub presence: Audience,
    /// Whether the two have a direct conversation.
    pub contact: bool,
    /// Whether one of the two blocks the other.
    pub blocked: bool,
}

/// What users show of themselves, whom they block, and who watches them.
#[async_trait]
pub trait People: Send + Sync {
    /// The profiles of these users (at most 100), those who have set one. Must be strongly consistent.
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>>;

    /// As [`Self::profiles`], and each may be a moment old: for who looks at names and pictures.
    async fn recent_profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        self.profiles(users).await
    }

    /// Puts in what the change names, leaves the rest as it stands, and returns the whole. May be repeated.
    async fn set_profile(&self, user: &UserId, change: &ProfileChange) -> Result<Profile>;

    /// A user's row and the profile beside it, the default if none is set, in one call. Must be strongly consistent.
    async fn row_and_profile(
        &self,
        user: &UserId,
        of: &ConversationId,
    ) -> Result<(Option<UserConversation>, Profile)>;

    /// `owner` blocks `other` from now on. May be repeated.
    async fn block(&self, owner: &UserId, other: &UserId) -> Result<()>;

    /// `owner` blocks `other` no more. May be repeated.
    async fn unblock(&self, owner: &UserId, other: &UserId) -> Result<()>;

    /// Whom `owner` blocks, in the order of their ids (bytes), those after `page`, at most `limit`. Must be strongly consistent.
    async fn blocked(
        &self,
        owner: &UserId,
        page: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>>;

    /// Those of these users (at most 100) who block `other`. Must be strongly consistent.
    async fn blockers(&self, users: &[UserId], other: &UserId) -> Result<BTreeSet<UserId>>;

    /// How the first of each pair (at most 200) may look at the second, in the order of the pairs. Must be strongly
    /// consistent.
    async fn regards(&self, pairs: &[(UserId, UserId)]) -> Result<Vec<Regard>>;

    /// `watcher` hears of changes of `user` until then, ms since 1970. Takes the place of what was noted before.
    async fn watch(&self, user: &UserId, watcher: &UserId, until: u64) -> Result<()>;

    /// Who watches `user` beyond `now`, in the order of their ids (bytes), at most `limit`. Must be strongly consistent.
    async fn watchers(&self, user: &UserId, now: u64, limit: usize) -> Result<Vec<UserId>>;

    /// Removes what is kept of a user by himself, at most `limit` items of it, and returns whether there is more: what he
    /// shows, his list of direct conversations, whom he blocks, who watches him, and when he was last online. That he is
    /// disabled stays; so do his rows of groups, each of which goes with his place in it, and the notes of those that he left.
    async fn erase(&self, user: &UserId, limit: usize) -> Result<bool>;
}
