//! Who belongs to what, and what a user has of each.

use crate::error::Result;
use crate::group::{GroupInfo, Invite, Role, Roster};
use crate::ids::{ConversationId, InviteId, Seq, UserId};
use crate::ports::{Change, Conversations, OwnState, Put, UserConversation, Watermarks};
use async_trait::async_trait;
use std::collections::BTreeMap;

use super::Memory;

#[async_trait]
impl Conversations for Memory {
    async fn roster(&self, group: &ConversationId, limit: usize) -> Result<Roster> {
        let state = self.state();
        let members = state.members.get(group).into_iter().flat_map(BTreeMap::values);
        let members = members.take(limit).cloned().collect();
        Ok(Roster { info: state.info.get(group).cloned(), members })
    }

    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()> {
        let mut state = self.state();
        for user in users {
            if !state.rows.get(user).is_some_and(|r| r.contains_key(direct)) {
                state.write_row(user, direct, Seq::FIRST, 0, OwnState::default());
            }
        }
        Ok(())
    }

    async fn found(
        &self,
        group: &ConversationId,
        info: &GroupInfo,
        members: &[(UserId, Role)],
    ) -> Result<Put> {
        let mut state = self.state();
        if state.log.get(group).is_some_and(|log| log.contains_key(&Seq::FIRST)) {
            return Ok(Put::Taken);
        }
        state.info.insert(group.clone(), info.clone());
        for (user, role) in members {
            state.write_row(user, group, Seq::FIRST, 0, OwnState::default());
            state.write_member(group, user, *role, Seq::FIRST);
        }
        Ok(Put::Stored)
    }

    async fn change(&self, change: &Change) -> Result<Put> {
        let mut state = self.state();
        let entry = &change.entry;
        let group = &entry.conversation_id;
        let invited = |i: &InviteId| state.invites.contains_key(&(group.clone(), i.clone()));
        if !change.invite.as_ref().is_none_or(invited) || state.put(entry) == Put::Taken {
            return Ok(Put::Taken);
        }
        for user in &change.added {
            state.write_row(user, group, entry.seq, entry.ordinal, OwnState::anew(entry.sent_at));
            state.write_member(group, user, Role::Member, entry.seq);
        }
        for member in &change.roles {
            state.write_member(group, &member.user, member.role, member.joined);
        }
        if let Some(info) = &change.info {
            state.info.insert(group.clone(), info.clone());
        }
        for user in &change.removed {
            if let Some(rows) = state.rows.get_mut(user) {
                rows.remove(group);
            }
            if let Some(members) = state.members.get_mut(group) {
                members.remove(user);
            }
        }
        Ok(Put::Stored)
    }

    async fn set_invite(&self, invite: &Invite) -> Result<()> {
        let key = (invite.group.clone(), invite.id.clone());
        self.state().invites.insert(key, invite.clone());
        Ok(())
    }

    async fn invite(&self, group: &ConversationId, id: &InviteId) -> Result<Option<Invite>> {
        Ok(self.state().invites.get(&(group.clone(), id.clone())).cloned())
    }

    async fn invites(&self, group: &ConversationId, limit: usize) -> Result<Vec<Invite>> {
        let state = self.state();
        let of_group = state.invites.values().filter(|i| i.group == *group);
        Ok(of_group.take(limit).cloned().collect())
    }

    async fn remove_invite(&self, group: &ConversationId, id: &InviteId) -> Result<()> {
        self.state().invites.remove(&(group.clone(), id.clone()));
        Ok(())
    }

    async fn row(&self, user: &UserId, of: &ConversationId) -> Result<Option<UserConversation>> {
        Ok(self.state().rows.get(user).and_then(|r| r.get(of)).cloned())
    }

    async fn rows(
        &self,
        user: &UserId,
        page: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<UserConversation>> {
        let state = self.state();
        let Some(rows) = state.rows.get(user) else { return Ok(vec![]) };
        Ok(rows
            .values()
            .filter(|r| page.is_none_or(|p| r.conversation > *p))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn advance(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<bool> {
        let mut state = self.state();
        match state.rows.get_mut(user).and_then(|r| r.get_mut(of)) {
            Some(row) if row.marks == old => {
                row.marks = new;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn set_own(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: u64,
        new: OwnState,
    ) -> Result<bool> {
        let mut state = self.state();
        match state.rows.get_mut(user).and_then(|r| r.get_mut(of)) {
            Some(row) if row.own.version == old => {
                row.own = new;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        let state = self.state();
        let row = |u: &UserId| Some((u.clone(), state.rows.get(u)?.get(conversation)?.clone()));
        Ok(users.iter().filter_map(row).collect())
    }

    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool> {
        Ok(self.state().blocks.contains(&(owner.clone(), other.clone())))
    }

    async fn note_left(&self, group: &ConversationId, users: &[UserId]) -> Result<()> {
        let mut state = self.state();
        for user in users {
            state.left.entry(user.clone()).or_default().insert(group.clone());
        }
        Ok(())
    }

    async fn left(&self, user: &UserId, limit: usize) -> Result<Vec<ConversationId>> {
        let state = self.state();
        Ok(state.left.get(user).into_iter().flatten().take(limit).cloned().collect())
    }

    async fn forget_left(&self, user: &UserId, group: &ConversationId) -> Result<()> {
        if let Some(left) = self.state().left.get_mut(user) {
            left.remove(group);
        }
        Ok(())
    }
}
