//! What users show, and whom they block and watch.

use crate::error::Result;
use crate::ids::{ConversationId, UserId};
use crate::people::{Profile, ProfileChange};
use crate::ports::{People, Regard, UserConversation};
use async_trait::async_trait;
use std::collections::BTreeSet;

use super::Memory;

#[async_trait]
impl People for Memory {
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        let state = self.state();
        let users: BTreeSet<&UserId> = users.iter().collect();
        let profile = |u: &UserId| Some((u.clone(), state.profiles.get(u)?.clone()));
        Ok(users.into_iter().filter_map(profile).collect())
    }

    async fn set_profile(&self, user: &UserId, change: &ProfileChange) -> Result<Profile> {
        let mut state = self.state();
        let profile = state.profiles.entry(user.clone()).or_default();
        change.apply(profile);
        Ok(profile.clone())
    }

    async fn row_and_profile(
        &self,
        user: &UserId,
        of: &ConversationId,
    ) -> Result<(Option<UserConversation>, Profile)> {
        let state = self.state();
        let row = state.rows.get(user).and_then(|r| r.get(of)).cloned();
        Ok((row, state.profiles.get(user).cloned().unwrap_or_default()))
    }

    async fn block(&self, owner: &UserId, other: &UserId) -> Result<()> {
        self.state().blocks.insert((owner.clone(), other.clone()));
        Ok(())
    }

    async fn unblock(&self, owner: &UserId, other: &UserId) -> Result<()> {
        self.state().blocks.remove(&(owner.clone(), other.clone()));
        Ok(())
    }

    async fn blocked(
        &self,
        owner: &UserId,
        page: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        let state = self.state();
        let of_owner = state.blocks.iter().filter(|(o, _)| o == owner).map(|(_, other)| other);
        Ok(of_owner.filter(|u| page.is_none_or(|p| *u > p)).take(limit).cloned().collect())
    }

    async fn regards(&self, pairs: &[(UserId, UserId)]) -> Result<Vec<Regard>> {
        let state = self.state();
        let blocks = |a: &UserId, b: &UserId| state.blocks.contains(&(a.clone(), b.clone()));
        let regard = |(who, user): &(UserId, UserId)| Regard {
            presence: state.profiles.get(user).map(|p| p.presence).unwrap_or_default(),
            contact: state
                .rows
                .get(user)
                .is_some_and(|r| r.contains_key(&ConversationId::direct(who, user))),
            blocked: blocks(who, user) || blocks(user, who),
        };
        Ok(pairs.iter().map(regard).collect())
    }

    async fn watch(&self, user: &UserId, watcher: &UserId, until: u64) -> Result<()> {
        self.state().watches.insert((user.clone(), watcher.clone()), until);
        Ok(())
    }

    async fn watchers(&self, user: &UserId, now: u64, limit: usize) -> Result<Vec<UserId>> {
        let state = self.state();
        let live = state.watches.iter().filter(|((u, _), until)| u == user && **until > now);
        Ok(live.take(limit).map(|((_, watcher), _)| watcher.clone()).collect())
    }

    async fn erase(&self, user: &UserId, limit: usize) -> Result<bool> {
        let mut state = self.state();
        let mut left = limit;
        let mut take = || left.checked_sub(1).map(|rest| left = rest).is_some();
        state.blocks.retain(|(owner, _)| owner != user || !take());
        if let Some(rows) = state.rows.get_mut(user) {
            rows.retain(|of, _| of.pair().is_none() || !take());
        }
        state.profiles.retain(|owner, _| owner != user || !take());
        state.watches.retain(|(watched, _), _| watched != user || !take());
        if left == 0 {
            return Ok(true);
        }
        state.seen.remove(user);
        Ok(false)
    }

    async fn blockers(&self, users: &[UserId], other: &UserId) -> Result<BTreeSet<UserId>> {
        let state = self.state();
        let blocks = |u: &&UserId| state.blocks.contains(&((*u).clone(), other.clone()));
        Ok(users.iter().filter(blocks).cloned().collect())
    }
}
