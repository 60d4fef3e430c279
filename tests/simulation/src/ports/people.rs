//! What users show, and whom they block and watch.

use crate::truth::Write;
use async_trait::async_trait;
use petrel_core::error::Result;
use petrel_core::ids::{ConversationId, UserId};
use petrel_core::people::{Profile, ProfileChange};
use petrel_core::ports::{People, Regard, UserConversation};
use std::collections::BTreeSet;

use super::Ports;

#[async_trait]
impl People for Ports {
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        self.read("people.profiles", |core| {
            let profile = |u: &UserId| Some((u.clone(), core.truth.profiles.get(u)?.clone()));
            users.iter().filter_map(profile).collect()
        })
        .await
    }

    async fn recent_profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        self.read("people.recent_profiles", |core| {
            let profile = |u: &UserId| Some((u.clone(), core.recent_profile(u)?));
            users.iter().filter_map(profile).collect()
        })
        .await
    }

    async fn set_profile(&self, user: &UserId, change: &ProfileChange) -> Result<Profile> {
        let write = Write::SetProfile(user.clone(), change.clone());
        self.write(&format!("people.set_profile {user}"), write).await?;
        Ok(self.hub.lock().truth.profiles.get(user).cloned().unwrap_or_default())
    }

    async fn row_and_profile(
        &self,
        user: &UserId,
        of: &ConversationId,
    ) -> Result<(Option<UserConversation>, Profile)> {
        self.read("people.row_and_profile", |core| {
            let profile = core.truth.profiles.get(user).cloned().unwrap_or_default();
            (core.truth.row(user, of).cloned(), profile)
        })
        .await
    }

    async fn block(&self, owner: &UserId, other: &UserId) -> Result<()> {
        let write = Write::Block(owner.clone(), other.clone(), true);
        self.write(&format!("people.block {owner} {other}"), write).await.map(drop)
    }

    async fn unblock(&self, owner: &UserId, other: &UserId) -> Result<()> {
        let write = Write::Block(owner.clone(), other.clone(), false);
        self.write(&format!("people.unblock {owner} {other}"), write).await.map(drop)
    }

    async fn blocked(
        &self,
        owner: &UserId,
        page: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        self.read("people.blocked", |core| {
            let all = core.truth.blocked_by(owner).filter(|u| page.is_none_or(|p| *u > p));
            all.take(limit).cloned().collect()
        })
        .await
    }

    async fn regards(&self, pairs: &[(UserId, UserId)]) -> Result<Vec<Regard>> {
        self.read("people.regards", |core| {
            let truth = &core.truth;
            let blocks = |a: &UserId, b: &UserId| truth.blocked_by(a).any(|u| u == b);
            let regard = |(who, user): &(UserId, UserId)| Regard {
                presence: truth.profiles.get(user).map(|p| p.presence).unwrap_or_default(),
                contact: truth.row(user, &ConversationId::direct(who, user)).is_some(),
                blocked: blocks(who, user) || blocks(user, who),
            };
            pairs.iter().map(regard).collect()
        })
        .await
    }

    async fn watch(&self, user: &UserId, watcher: &UserId, until: u64) -> Result<()> {
        let write = Write::Watch(user.clone(), watcher.clone(), until);
        self.write(&format!("people.watch {user} {watcher}"), write).await.map(drop)
    }

    async fn watchers(&self, user: &UserId, now: u64, limit: usize) -> Result<Vec<UserId>> {
        self.read("people.watchers", |core| {
            let watches = core.truth.watches.get(user).into_iter().flatten();
            let live = watches.filter(|(_, until)| **until > now);
            live.take(limit).map(|(watcher, _)| watcher.clone()).collect()
        })
        .await
    }

    async fn erase(&self, user: &UserId, limit: usize) -> Result<bool> {
        // So few that it takes several.
        let limit = limit.min(3);
        let found = self.read("people.erase", |core| core.truth.own(user, limit)).await?;
        let full = found.len() == limit;
        // In parts, each of which is one call.
        for part in found.chunks(2) {
            let write = Write::EraseOwn(user.clone(), part.to_vec());
            self.write(&format!("people.erase {user} {part:?}"), write).await?;
        }
        if full {
            return Ok(true);
        }
        self.write("people.erase beside", Write::EraseBeside(user.clone())).await.map(|_| false)
    }

    async fn blockers(&self, users: &[UserId], other: &UserId) -> Result<BTreeSet<UserId>> {
        self.read("people.blockers", |core| {
            let blocks = |u: &&UserId| core.truth.blocked_by(u).any(|b| b == other);
            users.iter().filter(blocks).cloned().collect()
        })
        .await
    }
}
