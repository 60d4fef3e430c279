//! Links by which people join a group without being added: a row that cannot be guessed, expires and can be taken
//! back. Whoever may add may invite, and his invites hold for as long as he may: who is taken out of a group does not
//! come back by a link of his own.

use super::members::Members;
use super::rules::Intent;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::group::{Invite, Member, Role};
use crate::ids::{ConversationId, InviteCode, InviteId, UserId};
use crate::limits::Use;
use crate::message::Entry;

/// Most invites of a group at a time; the expired ones make room.
const MAX_INVITES: usize = 20;
/// Most that are read: a crash may leave more than there should be, and those too must be seen to be taken back.
const MAX_LISTED: usize = 100;
/// How long an invite holds unless its maker says otherwise, s.
const DEFAULT_LIFE_S: u64 = 7 * 24 * 3600;
/// How long an invite may hold, s.
const MAX_LIFE_S: u64 = 30 * 24 * 3600;

/// A request for an invite.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewInvite {
    /// How long it shall hold, s: 1 to 2,592,000 (30 days); 7 days if not said.
    pub expires_in_s: Option<u64>,
}

/// What someone who holds a code may know of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The group.
    pub group: ConversationId,
    /// Its name.
    pub name: String,
    /// How many belong to it.
    pub members: usize,
    /// From when on the invite is void, ms since 1970.
    pub expires_at: u64,
}

impl App {
    /// Makes an invite.
    ///
    /// # Errors
    /// `not_a_member`; `forbidden` unless the caller may add members; `bad_request` for a life out of range, or when
    /// the group has as many invites as it may.
    pub async fn create_invite(
        &self,
        caller: &Caller,
        group: &ConversationId,
        new: NewInvite,
    ) -> Result<Invite> {
        let life_s = new.expires_in_s.unwrap_or(DEFAULT_LIFE_S);
        if life_s == 0 || life_s > MAX_LIFE_S {
            return Err(Error::bad_request(format!("expires_in_s is 1 to {MAX_LIFE_S}")));
        }
        self.spend(&caller.user, Use::Members, 1)?;
        self.may_invite(caller, group).await?;
        let now = self.world.now_ms();
        let standing = self.conversations.invites(group, MAX_LISTED).await?;
        // What holds no more because of its maker may hold again, or be of one who joined a moment ago.
        let (current, ended): (Vec<_>, Vec<_>) =
            standing.into_iter().partition(|invite| invite.expires_at > now);
        if current.len() >= MAX_INVITES {
            return Err(too_many());
        }
        for invite in ended {
            self.conversations.remove_invite(group, &invite.id).await?;
        }
        let invite = Invite {
            id: InviteId::new(self.world.secret()),
            group: group.clone(),
            created_by: caller.user.clone(),
            created_at: now,
            expires_at: now + life_s * 1000,
        };
        self.conversations.set_invite(&invite).await?;
        // Others may have made some meanwhile: whoever finds too many takes his own back.
        let standing = self.conversations.invites(group, MAX_LISTED).await?;
        if standing.iter().filter(|invite| invite.expires_at > now).count() > MAX_INVITES {
            self.conversations.remove_invite(group, &invite.id).await?;
            return Err(too_many());
        }
        // Nor had he been taken out meanwhile, and his invites taken away before this one stood.
        if let Err(out) = self.may_invite(caller, group).await {
            self.conversations.remove_invite(group, &invite.id).await?;
            return Err(out);
        }
        Ok(invite)
    }

    /// The invites of a group that have not ended, also those that are void while their makers may not add members.
    ///
    /// # Errors
    /// `not_a_member`; `forbidden` unless the caller may add members.
    pub async fn invites(&self, caller: &Caller, group: &ConversationId) -> Result<Vec<Invite>> {
        self.spend(&caller.user, Use::Requests, 1)?;
        self.may_invite(caller, group).await?;
        let now = self.world.now_ms();
        let invites = self.conversations.invites(group, MAX_LISTED).await?;
        Ok(invites.into_iter().filter(|invite| invite.expires_at > now).collect())
    }

    /// Takes an invite back. May be repeated. Its maker may, and every admin.
    ///
    /// # Errors
    /// `not_a_member`; `forbidden`.
    pub async fn revoke_invite(
        &self,
        caller: &Caller,
        group: &ConversationId,
        id: &InviteId,
    ) -> Result<()> {
        self.spend(&caller.user, Use::Requests, 1)?;
        let role = self.membership(caller, group).await?.0.role;
        let invite = self.conversations.invite(group, id).await?;
        let Some(invite) = invite else { return Ok(()) };
        if role < Role::Admin && invite.created_by != caller.user {
            return Err(forbidden());
        }
        self.conversations.remove_invite(group, id).await
    }

    /// What a code leads to.
    ///
    /// # Errors
    /// `not_found` if it is void.
    pub async fn preview(&self, caller: &Caller, code: &InviteCode) -> Result<Preview> {
        self.spend(&caller.user, Use::Requests, 1)?;
        let invite = self.current_invite(&code.group, &code.invite).await?;
        let members = self.read_members(&code.group).await?;
        may_have_made(&invite, &members)?;
        let info = members.info();
        let info = info.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such group"))?;
        Ok(Preview {
            group: code.group.clone(),
            name: info.name.clone(),
            members: members.len(),
            expires_at: invite.expires_at,
        })
    }

    /// The caller joins by a code; one who belongs already stays as he is.
    ///
    /// # Errors
    /// `not_found` if it is void; `too_many_members`; `busy`.
    pub async fn join(&self, caller: &Caller, code: &InviteCode) -> Result<Option<Entry>> {
        let joined = self.change(caller, &code.group, &Intent::Join(code.invite.clone())).await;
        joined.map_err(|error| match error.kind {
            // An invite to a group whose founding never ended.
            ErrorKind::NotAMember => Error::new(ErrorKind::NotFound, "no such group"),
            _ => error,
        })
    }

    /// An invite that has not expired.
    pub(super) async fn current_invite(
        &self,
        group: &ConversationId,
        id: &InviteId,
    ) -> Result<Invite> {
        let invite = self.conversations.invite(group, id).await?;
        invite.filter(|invite| invite.expires_at > self.world.now_ms()).ok_or_else(void)
    }

    /// Removes the invites to a group that these users made: of who was taken out, so that they are not good again should someone
    /// add him again. Until then they are void. If this fails, whoever took him out repeats it.
    pub(super) async fn remove_invites_of(
        &self,
        users: &[UserId],
        group: &ConversationId,
    ) -> Result<()> {
        if users.is_empty() {
            return Ok(());
        }
        // All: two who made the last one at once have made one more.
        for invite in self.conversations.invites(group, usize::MAX).await? {
            if users.contains(&invite.created_by) {
                self.conversations.remove_invite(group, &invite.id).await?;
            }
        }
        Ok(())
    }

    async fn may_invite(&self, caller: &Caller, group: &ConversationId) -> Result<()> {
        let (me, members) = self.membership(caller, group).await?;
        if members.may_add(&me) { Ok(()) } else { Err(forbidden()) }
    }

    /// The caller as a member of a group, and all members.
    async fn membership(
        &self,
        caller: &Caller,
        group: &ConversationId,
    ) -> Result<(Member, Members)> {
        if group.pair().is_some() {
            return Err(Error::bad_request("nobody is invited to a direct conversation"));
        }
        self.about(group, None);
        self.readable(&caller.user, group).await?;
        let members = self.read_members(group).await?;
        let me = members.get(&caller.user).cloned().ok_or_else(Error::not_a_member)?;
        Ok((me, members))
    }
}

/// Refuses an invite whose maker may not add members any more.
pub(super) fn may_have_made(invite: &Invite, members: &Members) -> Result<()> {
    let maker = members.get(&invite.created_by);
    if maker.is_some_and(|maker| members.may_add(maker)) { Ok(()) } else { Err(void()) }
}

fn void() -> Error {
    Error::new(ErrorKind::NotFound, "no such invite, or it is void")
}

fn too_many() -> Error {
    let words = format!("a group has at most {MAX_INVITES} invites; take one back first");
    Error::bad_request(words)
}

fn forbidden() -> Error {
    Error::new(ErrorKind::Forbidden, "this member may not do this")
}
