//! Who belongs to what, and what a user has of each.

use crate::truth::{Write, Wrote};
use async_trait::async_trait;
use petrel_core::error::Result;
use petrel_core::group::{GroupInfo, Invite, Role, Roster};
use petrel_core::ids::{ConversationId, InviteId, UserId};
use petrel_core::ports::{Change, Conversations, OwnState, Put, UserConversation, Watermarks};
use std::collections::BTreeMap;

use super::Ports;

/// Members founded in one transaction: small, so that founding is often half done.
fn part_of(members: usize) -> usize {
    if members > 8 { 49 } else { 1 }
}

#[async_trait]
impl Conversations for Ports {
    async fn roster(&self, group: &ConversationId, limit: usize) -> Result<Roster> {
        self.read("conversations.roster", |core| {
            let members = core.truth.members.get(group).into_iter().flat_map(BTreeMap::values);
            let members = members.take(limit).cloned().collect();
            Roster { info: core.truth.info.get(group).cloned(), members }
        })
        .await
    }

    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()> {
        for user in users {
            let write = Write::Open(direct.clone(), user.clone());
            self.write("conversations.open", write).await?;
        }
        Ok(())
    }

    async fn found(
        &self,
        group: &ConversationId,
        info: &GroupInfo,
        members: &[(UserId, Role)],
    ) -> Result<Put> {
        // In parts, each of which is one transaction.
        for part in members.chunks(part_of(members.len())) {
            let mut put = Put::Stored;
            for (i, (user, role)) in part.iter().enumerate() {
                let write = Write::Found(group.clone(), info.clone(), user.clone(), *role);
                let wrote = if i == 0 {
                    self.write("conversations.found", write).await?
                } else {
                    self.hub.lock().apply(&write, Some(self.invocation))
                };
                if wrote == Wrote::No {
                    put = Put::Taken;
                }
            }
            if put == Put::Taken {
                return Ok(put);
            }
        }
        Ok(Put::Stored)
    }

    async fn change(&self, change: &Change) -> Result<Put> {
        let what = format!("conversations.change {}", change.entry.seq);
        Ok(self.write(&what, Write::Change(change.clone())).await?.put())
    }

    async fn set_invite(&self, invite: &Invite) -> Result<()> {
        self.write("conversations.set_invite", Write::SetInvite(invite.clone())).await.map(drop)
    }

    async fn invite(&self, group: &ConversationId, id: &InviteId) -> Result<Option<Invite>> {
        self.read("conversations.invite", |core| {
            core.truth.invites.get(group).and_then(|invites| invites.get(id)).cloned()
        })
        .await
    }

    async fn invites(&self, group: &ConversationId, limit: usize) -> Result<Vec<Invite>> {
        self.read("conversations.invites", |core| {
            let invites = core.truth.invites.get(group).into_iter().flat_map(BTreeMap::values);
            invites.take(limit).cloned().collect()
        })
        .await
    }

    async fn remove_invite(&self, group: &ConversationId, id: &InviteId) -> Result<()> {
        let write = Write::RemoveInvite(group.clone(), id.clone());
        self.write("conversations.remove_invite", write).await.map(drop)
    }

    async fn row(&self, user: &UserId, of: &ConversationId) -> Result<Option<UserConversation>> {
        self.read("conversations.row", |core| core.truth.row(user, of).cloned()).await
    }

    async fn rows(
        &self,
        user: &UserId,
        page: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<UserConversation>> {
        self.read("conversations.rows", |core| {
            let rows = core.truth.rows.get(user).into_iter().flatten().map(|(_, row)| row);
            let rows = rows.filter(|r| page.is_none_or(|p| r.conversation > *p));
            rows.take(limit).cloned().collect()
        })
        .await
    }

    async fn advance(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<bool> {
        let write = Write::Advance(user.clone(), of.clone(), old, new);
        Ok(self.write("conversations.advance", write).await? == Wrote::Yes)
    }

    async fn set_own(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: u64,
        new: OwnState,
    ) -> Result<bool> {
        let write = Write::Own(user.clone(), of.clone(), old, new);
        Ok(self.write("conversations.set_own", write).await? == Wrote::Yes)
    }

    async fn rows_of(
        &self,
        of: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        self.read("conversations.rows_of", |core| {
            let row = |u: &UserId| Some((u.clone(), core.truth.row(u, of)?.clone()));
            users.iter().filter_map(row).collect()
        })
        .await
    }

    async fn recent_rows_of(
        &self,
        of: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        self.read("conversations.recent_rows_of", |core| {
            let row = |u: &UserId| Some((u.clone(), core.recent_row(u, of)?));
            users.iter().filter_map(row).collect()
        })
        .await
    }

    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool> {
        self.read("conversations.blocks", |core| core.truth.blocked_by(owner).any(|u| u == other))
            .await
    }

    async fn note_left(&self, group: &ConversationId, users: &[UserId]) -> Result<()> {
        // One at a time: a batch is no transaction.
        for user in users {
            let write = Write::NoteLeft(group.clone(), user.clone());
            self.write("conversations.note_left", write).await?;
        }
        Ok(())
    }

    async fn left(&self, user: &UserId, limit: usize) -> Result<Vec<ConversationId>> {
        self.read("conversations.left", |core| {
            core.truth.left.get(user).into_iter().flatten().take(limit).cloned().collect()
        })
        .await
    }

    async fn forget_left(&self, user: &UserId, group: &ConversationId) -> Result<()> {
        let write = Write::ForgetLeft(group.clone(), user.clone());
        self.write("conversations.forget_left", write).await.map(drop)
    }
}
