//! Groups, those who belong to them, and invites.

use serde::{Deserialize, Serialize};

use crate::group::{Allowed, Invite, Member, Role};
use crate::ids::{ConversationId, InviteCode, InviteId, MediaId, Seq, UserId};
use crate::message::{Content, Entry, present};
use crate::people::{DisplayName, Profile};
use crate::services::{Group, Preview};

/// `POST /api/conversations`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostGroup {
    /// Shown to its members.
    pub name: String,
    /// Who belongs to it, besides the caller.
    pub member_ids: Vec<UserId>,
    /// Makes the request repeatable.
    pub request_id: Option<String>,
}

/// `PATCH /api/conversations/{id}`: what is absent stays.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchGroup {
    /// Shown to its members.
    pub name: Option<String>,
    /// Who may write.
    pub post: Option<Allowed>,
    /// Who may add members and invite.
    pub add: Option<Allowed>,
    /// The picture, an upload of the caller's; `null` takes it away.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<MediaId>"))]
    pub avatar: Option<Option<MediaId>>,
    /// Days that messages are kept, 1 to 3650 or what the operator lets it be; 0: as long as the operator has them kept. Of
    /// a direct conversation both may change this, and nothing else.
    pub retention_days: Option<u32>,
}

/// `PATCH /api/conversations/{id}/members/{user}`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchMember {
    /// What they shall be. Who makes someone else the owner is an admin from then on.
    pub role: Role,
}

/// `POST /api/conversations/{id}/invites`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostInvite {
    /// How long it shall hold, s: 1 to 2,592,000 (30 days); 7 days if not said.
    pub expires_in_s: Option<u64>,
}

/// `POST /api/conversations/{id}/members`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostMembers {
    /// Whom to add.
    pub user_ids: Vec<UserId>,
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct MemberAnswer {
    user_id: UserId,
    role: Role,
    joined: Seq,
    /// What they go by; `null` if they have set none.
    name: Option<DisplayName>,
    /// Their picture; `null` if they have set none.
    avatar: Option<MediaId>,
}

/// What a `GET /api/conversations/{id}` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupAnswer {
    conversation_id: ConversationId,
    name: Option<String>,
    created_by: UserId,
    created_at: u64,
    /// Who may write; `null` if direct.
    post: Option<Allowed>,
    /// Who may add members and invite; `null` if direct.
    add: Option<Allowed>,
    /// The group's picture; `null` if it has none, or if direct.
    avatar: Option<MediaId>,
    /// Days that messages are kept; `null` of a conversation that has not chosen: as long as the operator has them kept.
    retention_days: Option<u32>,
    members: Vec<MemberAnswer>,
}

impl GroupAnswer {
    /// The answer about this conversation.
    pub fn new(conversation_id: ConversationId, group: Group) -> Self {
        let mut profiles = group.profiles;
        let mut member = |m: Member| {
            let profile = profiles.remove(&m.user).unwrap_or_default();
            let Profile { name, avatar, .. } = profile;
            MemberAnswer { user_id: m.user, role: m.role, joined: m.joined, name, avatar }
        };
        Self {
            conversation_id,
            post: group.info.as_ref().map(|i| i.post),
            add: group.info.as_ref().map(|i| i.add),
            avatar: group.info.as_ref().and_then(|i| i.avatar.clone()),
            retention_days: group.retention_days,
            name: group.info.map(|i| i.name),
            created_by: group.created_by,
            created_at: group.created_at,
            members: group.members.into_iter().map(&mut member).collect(),
        }
    }
}

/// An invite.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InviteAnswer {
    /// Names it in the group's list.
    invite_id: InviteId,
    /// What is handed on.
    code: String,
    created_by: UserId,
    created_at: u64,
    expires_at: u64,
}

impl From<Invite> for InviteAnswer {
    fn from(invite: Invite) -> Self {
        let code = InviteCode { group: invite.group, invite: invite.id.clone() }.to_string();
        Self {
            invite_id: invite.id,
            code,
            created_by: invite.created_by,
            created_at: invite.created_at,
            expires_at: invite.expires_at,
        }
    }
}

/// What a `GET /api/conversations/{id}/invites` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct InviteList {
    /// Those that can still be used.
    pub invites: Vec<InviteAnswer>,
}

/// What a `GET /api/invites/{code}` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PreviewAnswer {
    conversation_id: ConversationId,
    name: String,
    members: usize,
    expires_at: u64,
}

impl From<Preview> for PreviewAnswer {
    fn from(preview: Preview) -> Self {
        Self {
            conversation_id: preview.group,
            name: preview.name,
            members: preview.members,
            expires_at: preview.expires_at,
        }
    }
}

/// What a change of a conversation answers: the entry that announces it.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ChangeAnswer {
    conversation_id: ConversationId,
    /// `null` if there was nothing to change.
    seq: Option<Seq>,
    /// `null` if there was nothing to change.
    change: Option<Content>,
}

impl ChangeAnswer {
    /// The answer for this entry.
    pub fn new(conversation_id: ConversationId, entry: Option<&Entry>) -> Self {
        Self {
            conversation_id,
            seq: entry.map(|e| e.seq),
            change: entry.map(|e| e.content.clone()),
        }
    }
}
