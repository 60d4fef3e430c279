//! What holds for a group at a place of its log, told from its entries alone: who may what, its name and its rules. The
//! rows have to say the same, and each entry has to be one that its author might write there.

use std::collections::BTreeMap;

use petrel_core::group::{Allowed, GroupInfo, Member, Role};
use petrel_core::ids::UserId;
use petrel_core::message::{Content, Entry, GroupChange};

/// What holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Who belongs, and what they may do.
    pub roles: BTreeMap<UserId, Role>,
    /// The name and the rules; none before the first entry.
    pub info: Option<GroupInfo>,
}

impl Standing {
    fn role(&self, user: &UserId) -> Option<Role> {
        self.roles.get(user).copied()
    }

    fn allows(&self, user: &UserId, rule: impl Fn(&GroupInfo) -> Allowed) -> bool {
        let all = self.info.as_ref().is_some_and(|i| rule(i) == Allowed::All);
        self.role(user).is_some_and(|role| all || role >= Role::Admin)
    }

    /// What holds once the entry stands.
    #[must_use]
    pub fn after(&self, entry: &Entry) -> Self {
        let mut now = self.clone();
        let Content::System { change } = &entry.content else { return now };
        match change {
            GroupChange::Created { name, members } => {
                now.roles = members.iter().map(|u| (u.clone(), Role::Member)).collect();
                now.roles.insert(entry.sender_id.clone(), Role::Owner);
                now.info = Some(GroupInfo {
                    name: name.clone(),
                    post: Allowed::All,
                    add: Allowed::Admins,
                    avatar: None,
                    retention_days: None,
                });
            }
            GroupChange::Added { members } => {
                now.roles.extend(members.iter().map(|u| (u.clone(), Role::Member)));
            }
            GroupChange::Removed { members, owner } => {
                now.roles.retain(|u, _| !members.contains(u));
                if let Some(owner) = owner {
                    now.roles.insert(owner.clone(), Role::Owner);
                }
            }
            GroupChange::Role { member, role } => {
                if *role == Role::Owner {
                    now.roles
                        .values_mut()
                        .filter(|r| **r == Role::Owner)
                        .for_each(|r| *r = Role::Admin);
                }
                now.roles.insert(member.clone(), *role);
            }
            GroupChange::Updated { name, post, add, avatar, retention_days } => {
                if entry.conversation_id.pair().is_some() {
                    now.info.get_or_insert(GroupInfo::direct());
                }
                if let Some(info) = &mut now.info {
                    info.avatar = avatar.clone().unwrap_or_else(|| info.avatar.clone());
                    info.name = name.clone().unwrap_or_else(|| info.name.clone());
                    info.post = post.unwrap_or(info.post);
                    info.add = add.unwrap_or(info.add);
                    if let Some(days) = retention_days {
                        info.retention_days = (*days > 0).then_some(*days);
                    }
                }
            }
        }
        now
    }

    /// Whether this user may add members, and have invites that hold.
    pub fn may_add(&self, user: &UserId) -> bool {
        self.allows(user, |info| info.add)
    }

    /// Whether its author may write the entry where this holds. `invited`: whether an invite holds.
    ///
    /// # Errors
    /// What forbids it.
    pub fn allow(&self, entry: &Entry, invited: bool) -> Result<(), String> {
        let by = &entry.sender_id;
        let admin = self.role(by) >= Some(Role::Admin);
        let may = match &entry.content {
            Content::System { change } => match change {
                GroupChange::Created { .. } => self.info.is_none(),
                GroupChange::Added { members } => {
                    members.iter().all(|u| self.role(u).is_none())
                        && (self.may_add(by) || invited && members[..] == [by.clone()])
                }
                GroupChange::Removed { members, owner } => {
                    let left = self.roles.keys().any(|u| !members.contains(u));
                    let owner_goes = members.iter().any(|u| self.role(u) == Some(Role::Owner));
                    members[..] == [by.clone()] && self.role(by).is_some()
                        || members.iter().all(|u| self.role(u).is_some() && admin)
                            && members.iter().all(|u| u == by || self.role(by) > self.role(u))
                            && owner.is_some() == (owner_goes && left)
                }
                GroupChange::Role { member, role } => match (self.role(by), self.role(member)) {
                    (Some(Role::Owner), Some(now)) => now != *role && member != by,
                    (Some(Role::Admin), Some(Role::Member)) => *role == Role::Admin,
                    (Some(Role::Admin), Some(Role::Admin)) => member == by && *role == Role::Member,
                    _ => false,
                },
                GroupChange::Updated { .. } => admin,
            },
            Content::Reaction { .. } | Content::Delete { .. } => self.role(by).is_some(),
            _ => self.allows(by, |i| i.post),
        };
        if may {
            Ok(())
        } else {
            Err(format!("{by} ({:?}) may not write {:?}", self.role(by), entry.content))
        }
    }

    /// Whether it may stand in a direct conversation: of what changes, only how long messages are kept.
    ///
    /// # Errors
    /// What forbids it.
    pub fn allow_in_direct(entry: &Entry) -> Result<(), String> {
        use GroupChange::Updated;
        match &entry.content {
            Content::System {
                change:
                    Updated { name: None, post: None, add: None, avatar: None, retention_days: Some(_) },
            } => Ok(()),
            Content::System { change } => Err(format!("{change:?} is no change of a direct one")),
            _ => Ok(()),
        }
    }

    /// What is wrong with the rows.
    ///
    /// # Errors
    /// The first difference.
    pub fn agrees<'a>(
        &self,
        info: Option<&GroupInfo>,
        members: impl Iterator<Item = &'a Member>,
    ) -> Result<(), String> {
        if info != self.info.as_ref() {
            return Err(format!("the info is {info:?}, by the log {:?}", self.info));
        }
        let roles: BTreeMap<_, _> = members.map(|m| (m.user.clone(), m.role)).collect();
        if roles != self.roles {
            return Err(format!("the roles are {roles:?}, by the log {:?}", self.roles));
        }
        let owners = roles.values().filter(|r| **r == Role::Owner).count();
        if owners != usize::from(!roles.is_empty()) {
            return Err(format!("{owners} own it"));
        }
        Ok(())
    }
}
