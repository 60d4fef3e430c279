//! Who belongs to a conversation at a place in its log: the rows that were read, with every membership entry that
//! was read applied on top, in order.

use std::collections::BTreeMap;

use super::App;
use super::deliver::MAX_INLINE;
use crate::error::Result;
use crate::group::{Allowed, GroupInfo, Member, Role, Roster};
use crate::ids::{ConversationId, MediaId, Seq, UserId};
use crate::message::{Content, Entry, GroupChange};
use crate::mutants::mutant;

/// The members of one conversation, by user, and what holds for a group.
#[derive(Clone, Debug)]
pub(super) struct Members {
    of: BTreeMap<UserId, Member>,
    info: Option<GroupInfo>,
}

impl Members {
    /// Applies an entry; entries must come in the order of their seq. A row that was read later than the entry was
    /// stored already holds it: then this changes nothing.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let Content::System { change } = &entry.content else { return };
        if mutant!(MembersAsRead) {
            return;
        }
        match change {
            GroupChange::Created { name, members } => {
                // Their rows come in parts before this entry: whoever read them too early lacks some.
                self.info.get_or_insert_with(|| GroupInfo::founded(name.clone()));
                for user in members {
                    let founder = *user == entry.sender_id;
                    let role = if founder { Role::Owner } else { Role::Member };
                    self.of.entry(user.clone()).or_insert_with(|| Member {
                        user: user.clone(),
                        role,
                        joined: entry.seq,
                    });
                }
            }
            GroupChange::Added { members } => {
                for user in members {
                    self.of.entry(user.clone()).or_insert_with(|| Member {
                        user: user.clone(),
                        role: Role::Member,
                        joined: entry.seq,
                    });
                }
            }
            GroupChange::Removed { members, owner } => {
                for user in members {
                    if self.of.get(user).is_some_and(|m| m.joined < entry.seq) {
                        self.of.remove(user);
                    }
                }
                if let Some(owner) = owner {
                    self.set_role(owner, Role::Owner, entry.seq);
                }
            }
            GroupChange::Role { member, role } => self.set_role(member, *role, entry.seq),
            GroupChange::Updated { name, post, add, avatar, retention_days } => {
                if let Some(info) = &mut self.info {
                    let avatar = avatar.as_ref();
                    update(info, name.as_deref(), *post, *add, avatar, *retention_days);
                }
            }
        }
    }

    /// What the member may do from `seq` on, if they belong since before. There is one owner.
    fn set_role(&mut self, user: &UserId, role: Role, seq: Seq) {
        if self.of.get(user).is_none_or(|m| m.joined >= seq) {
            return;
        }
        for member in self.of.values_mut() {
            if member.user == *user {
                member.role = role;
            } else if role == Role::Owner && member.role == Role::Owner {
                member.role = Role::Admin;
            }
        }
    }

    /// What holds for the conversation; `None` of a group that does not exist, and of a direct one that was not read to be changed.
    pub(super) fn info(&self) -> Option<&GroupInfo> {
        self.info.as_ref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Member> {
        self.of.values()
    }

    /// Whether this member may do what is `allowed` to some. Of a direct conversation both may all.
    pub(super) fn may(member: &Member, allowed: Option<Allowed>) -> bool {
        allowed != Some(Allowed::Admins) || member.role >= Role::Admin
    }

    /// Whether this member may add others.
    pub(super) fn may_add(&self, member: &Member) -> bool {
        Self::may(member, self.info().map(|info| info.add))
    }

    pub(super) fn get(&self, user: &UserId) -> Option<&Member> {
        self.of.get(user)
    }

    pub(super) fn users(&self) -> impl Iterator<Item = &UserId> {
        self.of.keys()
    }

    pub(super) fn into_list(self) -> Vec<Member> {
        self.of.into_values().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.of.len()
    }

    /// Those who may read the entry at `seq`.
    pub(super) fn who_read(&self, seq: Seq) -> Vec<UserId> {
        let reads = |m: &&Member| m.joined <= seq || mutant!(JoinedIgnored);
        self.of.values().filter(reads).map(|m| m.user.clone()).collect()
    }
}

impl App {
    /// Reads the members; a direct conversation's stand in its id.
    pub(super) async fn read_members(&self, of: &ConversationId) -> Result<Members> {
        self.read_some_members(of, usize::MAX).await
    }

    /// Reads the members of a conversation that is to be changed, and what holds for it. What can be changed of a direct one, both
    /// may.
    pub(super) async fn read_changeable(&self, of: &ConversationId) -> Result<Members> {
        let mut members = self.read_members(of).await?;
        if of.pair().is_some() {
            let info = self.conversations.roster(of, 0).await?.info;
            members.info = Some(info.unwrap_or(GroupInfo::direct()));
            members.of.values_mut().for_each(|member| member.role = Role::Admin);
        }
        Ok(members)
    }

    /// The members of a conversation that is small enough to post to at once, `None` of a larger one. Reads no further
    /// than it takes to know.
    pub(super) async fn read_few_members(&self, of: &ConversationId) -> Result<Option<Members>> {
        let members = self.read_some_members(of, MAX_INLINE + 1).await?;
        Ok((members.len() <= MAX_INLINE).then_some(members))
    }

    async fn read_some_members(&self, of: &ConversationId, limit: usize) -> Result<Members> {
        let roster = match of.pair() {
            Some((a, b)) => {
                let member = |user| Member { user, role: Role::Member, joined: Seq::FIRST };
                Roster { info: None, members: [a, b].map(member).into() }
            }
            None => self.conversations.roster(of, limit).await?,
        };
        let of = roster.members.into_iter().map(|m| (m.user.clone(), m)).collect();
        Ok(Members { of, info: roster.info })
    }
}

/// Puts in what is other than before.
pub(super) fn update(
    info: &mut GroupInfo,
    name: Option<&str>,
    post: Option<Allowed>,
    add: Option<Allowed>,
    avatar: Option<&Option<MediaId>>,
    retention_days: Option<u32>,
) {
    if let Some(name) = name {
        info.name = name.to_owned();
    }
    info.post = post.unwrap_or(info.post);
    info.add = add.unwrap_or(info.add);
    if let Some(avatar) = avatar {
        info.avatar.clone_from(avatar);
    }
    if let Some(days) = retention_days {
        info.retention_days = (days > 0).then_some(days);
    }
}
