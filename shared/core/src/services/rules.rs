//! Who may change what of a group, and what the change then is. Pure: the members as they stand go in, a change of
//! the rows and the words of the entry that announces it come out.

use std::collections::BTreeSet;

use super::groups::{MAX_MEMBERS, check_name, too_many};
use super::members::{Members, update};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{Allowed, GroupInfo, Member, Role};
use crate::ids::{ConversationId, InviteId, MediaId, UserId};
use crate::message::GroupChange;
use crate::mutants::mutant;

/// Most members that one request may add or remove: one transaction holds 100 writes, two a member and the entry.
pub(super) const MAX_CHANGED: usize = 49;

/// What someone wants of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// These shall belong to it, 1 to 49.
    Add(BTreeSet<UserId>),
    /// These shall not, 1 to 49. Who names but himself leaves.
    Remove(BTreeSet<UserId>),
    /// Who asks shall belong to it, by this invite.
    Join(InviteId),
    /// This member shall have this role.
    SetRole(UserId, Role),
    /// These shall be other than they are; what is `None` stays.
    Update {
        /// Shown to the members, 1 to 256 bytes.
        name: Option<String>,
        /// Who may write.
        post: Option<Allowed>,
        /// Who may add members and invite.
        add: Option<Allowed>,
        /// The picture, or that there is none.
        avatar: Option<Option<MediaId>>,
        /// Days that messages are kept, 1 or more; 0: as long as the operator has them kept.
        retention_days: Option<u32>,
    },
}

/// A change of the rows, and how the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) change: GroupChange,
    pub(super) added: Vec<UserId>,
    pub(super) removed: Vec<UserId>,
    pub(super) roles: Vec<Member>,
    pub(super) info: Option<GroupInfo>,
}

impl Plan {
    fn new(change: GroupChange) -> Self {
        Self { change, added: vec![], removed: vec![], roles: vec![], info: None }
    }
}

impl Intent {
    /// Checks what needs no look at the group.
    ///
    /// # Errors
    /// `bad_request`.
    pub(super) fn check(&self, of: &ConversationId, max_retention_days: u32) -> Result<()> {
        if of.pair().is_some() && !self.is_for_direct() {
            let what = "of a direct conversation only retention_days can be changed";
            return Err(Error::bad_request(what));
        }
        match self {
            Self::Add(users) | Self::Remove(users)
                if users.is_empty() || users.len() > MAX_CHANGED =>
            {
                Err(Error::bad_request(format!("name 1 to {MAX_CHANGED} users")))
            }
            Self::Update {
                name: None,
                post: None,
                add: None,
                avatar: None,
                retention_days: None,
            } => {
                let what = "name, post, add, avatar or retention_days";
                Err(Error::bad_request(format!("nothing to change: {what} is needed")))
            }
            Self::Update { retention_days: Some(days), .. } if *days > max_retention_days => Err(
                Error::bad_request(format!("retention_days is 1 to {max_retention_days}, or 0")),
            ),
            Self::Update { name: Some(name), .. } => check_name(name),
            _ => Ok(()),
        }
    }

    /// Whether a direct conversation has it.
    const fn is_for_direct(&self) -> bool {
        matches!(
            self,
            Self::Update {
                name: None,
                post: None,
                add: None,
                avatar: None,
                retention_days: Some(_)
            }
        )
    }

    /// How many rows of members it may write.
    pub(super) fn members(&self) -> usize {
        match self {
            Self::Add(users) | Self::Remove(users) => users.len(),
            _ => 1,
        }
    }

    /// Whether who asks takes himself out.
    pub(super) fn leaves(&self, asks: &UserId) -> bool {
        matches!(self, Self::Remove(users) if users.len() == 1 && users.contains(asks))
    }

    /// What has to be done, `None` if it is so already.
    ///
    /// # Errors
    /// `not_a_member`; `forbidden` if this member may not do it; `not_found` for the role of one who does not belong;
    /// `too_many_members`; `bad_request` for taking the owner's role away.
    pub(super) fn plan(&self, asks: &UserId, members: &Members) -> Result<Option<Plan>> {
        if let Self::Join(_) = self {
            // A group that everyone left has nobody who could own it: it is no more.
            if members.len() == 0 {
                return Err(Error::new(ErrorKind::NotFound, "everyone has left this group"));
            }
            return add(members, [asks].into_iter());
        }
        let me = members.get(asks).ok_or_else(Error::not_a_member)?;
        match self {
            Self::Add(users) => {
                if !members.may_add(me) {
                    return Err(forbidden());
                }
                add(members, users.iter())
            }
            Self::Remove(users) => remove(me, members, users),
            Self::SetRole(user, role) => set_role(me, members, user, *role),
            Self::Update { name, post, add, avatar, retention_days } => {
                if me.role < Role::Admin {
                    return Err(forbidden());
                }
                let info = members.info().ok_or_else(Error::not_a_member)?;
                Ok(updated(info, name.as_deref(), *post, *add, avatar.as_ref(), *retention_days))
            }
            Self::Join(_) => Ok(None),
        }
    }

    /// Whether this change, which the caller made a while ago, is what he asks for now; what it did has to hold still.
    pub(super) fn made(&self, asks: &UserId, change: &GroupChange, members: &Members) -> bool {
        let belongs = |u: &UserId| members.get(u).is_some();
        match (self, change) {
            (Self::Add(users), GroupChange::Added { members: named }) => {
                named.iter().all(|u| users.contains(u) && belongs(u))
            }
            (Self::Join(_), GroupChange::Added { members: named }) => {
                named.iter().all(|u| u == asks && belongs(u))
            }
            (Self::Remove(users), GroupChange::Removed { members: named, .. }) => {
                named.iter().all(|u| users.contains(u) && !belongs(u))
            }
            (Self::SetRole(user, role), GroupChange::Role { member, role: given }) => {
                user == member && role == given
            }
            (
                Self::Update { name, post, add, avatar, retention_days },
                GroupChange::Updated { name: n, post: p, add: a, avatar: v, retention_days: r },
            ) => {
                // What was so already is not told.
                (n.is_none() || n == name)
                    && (p.is_none() || p == post)
                    && (a.is_none() || a == add)
                    && (r.is_none() || r == retention_days)
                    && (v.is_none() || v == avatar)
            }
            _ => false,
        }
    }
}

fn forbidden() -> Error {
    Error::new(ErrorKind::Forbidden, "this member may not do this")
}

fn add<'a>(members: &Members, users: impl Iterator<Item = &'a UserId>) -> Result<Option<Plan>> {
    let added: Vec<_> = users.filter(|u| members.get(u).is_none()).cloned().collect();
    if added.is_empty() {
        return Ok(None);
    }
    if members.len() + added.len() > MAX_MEMBERS {
        return Err(too_many());
    }
    let change = GroupChange::Added { members: added.clone() };
    Ok(Some(Plan { added, ..Plan::new(change) }))
}

fn remove(me: &Member, members: &Members, users: &BTreeSet<UserId>) -> Result<Option<Plan>> {
    let found: Vec<&Member> = users.iter().filter_map(|u| members.get(u)).collect();
    let outranked = |m: &Member| me.role > m.role || mutant!(RanksIgnored);
    let may = |m: &&Member| m.user == me.user || me.role >= Role::Admin && outranked(m);
    if !found.iter().all(may) || me.role < Role::Admin && !users.contains(&me.user) {
        return Err(forbidden());
    }
    if found.is_empty() {
        return Ok(None);
    }
    let removed: Vec<UserId> = found.iter().map(|m| m.user.clone()).collect();
    // A group is never without an owner: whoever may most takes over, and of these who belongs longest.
    let owner_goes = found.iter().any(|m| m.role == Role::Owner) && !mutant!(NoHeir);
    let stay = members.iter().filter(|m| owner_goes && !users.contains(&m.user));
    let heir = stay
        .min_by(|a, b| b.role.cmp(&a.role).then(a.joined.cmp(&b.joined)).then(a.user.cmp(&b.user)));
    let change =
        GroupChange::Removed { members: removed.clone(), owner: heir.map(|m| m.user.clone()) };
    let roles = heir.map(|m| Member { role: Role::Owner, ..m.clone() }).into_iter().collect();
    Ok(Some(Plan { removed, roles, ..Plan::new(change) }))
}

fn set_role(me: &Member, members: &Members, user: &UserId, role: Role) -> Result<Option<Plan>> {
    if me.role < Role::Admin {
        return Err(forbidden());
    }
    let member = members
        .get(user)
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "no such member in this group"))?;
    if member.role == role {
        return Ok(None);
    }
    if member.role == Role::Owner {
        return Err(if me.role == Role::Owner {
            Error::bad_request("the owner stays until someone else is made the owner")
        } else {
            forbidden()
        });
    }
    // An admin makes admins, and may step down; the rest is the owner's.
    let steps_down = member.user == me.user;
    if me.role != Role::Owner && role != Role::Admin && !(steps_down && role == Role::Member) {
        return Err(forbidden());
    }
    let mut roles = vec![Member { role, ..member.clone() }];
    if role == Role::Owner {
        roles.push(Member { role: Role::Admin, ..me.clone() });
    }
    let change = GroupChange::Role { member: user.clone(), role };
    Ok(Some(Plan { roles, ..Plan::new(change) }))
}

fn updated(
    info: &GroupInfo,
    name: Option<&str>,
    post: Option<Allowed>,
    add: Option<Allowed>,
    avatar: Option<&Option<MediaId>>,
    retention_days: Option<u32>,
) -> Option<Plan> {
    let name = name.filter(|n| *n != info.name);
    let post = post.filter(|p| *p != info.post);
    let add = add.filter(|a| *a != info.add);
    let avatar = avatar.filter(|a| **a != info.avatar);
    let retention_days = retention_days.filter(|r| *r != info.retention_days.unwrap_or(0));
    let quiet = name.is_none() && post.is_none() && add.is_none();
    if quiet && avatar.is_none() && retention_days.is_none() {
        return None;
    }
    let mut info = info.clone();
    update(&mut info, name, post, add, avatar, retention_days);
    let (name, avatar) = (name.map(str::to_owned), avatar.cloned());
    let change = GroupChange::Updated { name, post, add, avatar, retention_days };
    Some(Plan { info: Some(info), ..Plan::new(change) })
}
