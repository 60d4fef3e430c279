//! Who belongs to a conversation at a place in its log: the rows that were read, with every membership entry that
//! was read applied on top, in order.

use std::collections::BTreeMap;

use super::App;
use super::deliver::MAX_INLINE;
use crate::error::Result;
use crate::ids::{ConversationId, Seq, UserId};
use crate::message::{Content, Entry, MembershipChange};
use crate::mutants::mutant;
use crate::ports::{Member, Role};

/// The members of one conversation, by user.
#[derive(Clone, Debug)]
pub(super) struct Members(BTreeMap<UserId, Member>);

impl Members {
    /// Applies an entry; entries must come in the order of their seq. A row that was read later than the entry was
    /// stored already holds it: then this changes nothing.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let Content::System { change } = &entry.content else { return };
        if mutant!(MembersAsRead) {
            return;
        }
        match change {
            MembershipChange::Created { .. } => {}
            MembershipChange::Added { members } => {
                for user in members {
                    self.0.entry(user.clone()).or_insert_with(|| Member {
                        user: user.clone(),
                        role: Role::Member,
                        joined: entry.seq,
                    });
                }
            }
            MembershipChange::Removed { members } => {
                for user in members {
                    if self.0.get(user).is_some_and(|m| m.joined < entry.seq) {
                        self.0.remove(user);
                    }
                }
            }
        }
    }

    pub(super) fn get(&self, user: &UserId) -> Option<&Member> {
        self.0.get(user)
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &UserId> {
        self.0.keys()
    }

    pub(super) fn into_list(self) -> Vec<Member> {
        self.0.into_values().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those who may read the entry at `seq`.
    pub(super) fn who_read(&self, seq: Seq) -> Vec<UserId> {
        let reads = |m: &&Member| m.joined <= seq || mutant!(JoinedIgnored);
        self.0.values().filter(reads).map(|m| m.user.clone()).collect()
    }
}

impl App {
    /// Reads the members; a direct conversation's stand in its id.
    pub(super) async fn read_members(&self, of: &ConversationId) -> Result<Members> {
        self.read_some_members(of, usize::MAX).await
    }

    /// The members of a conversation that is small enough to post to at once, `None` of a larger one. Reads no further
    /// than it takes to know.
    pub(super) async fn read_few_members(&self, of: &ConversationId) -> Result<Option<Members>> {
        let members = self.read_some_members(of, MAX_INLINE + 1).await?;
        Ok((members.0.len() <= MAX_INLINE).then_some(members))
    }

    async fn read_some_members(&self, of: &ConversationId, limit: usize) -> Result<Members> {
        let members = match of.pair() {
            Some((a, b)) => [a, b]
                .into_iter()
                .map(|user| Member { user, role: Role::Member, joined: Seq::FIRST })
                .collect(),
            None => self.conversations.members(of, limit).await?,
        };
        Ok(Members(members.into_iter().map(|m| (m.user.clone(), m)).collect()))
    }
}
