//! What a group is: its members, what each may do, and what holds for all of them. Knows no table.

use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, InviteId, MediaId, Seq, UserId};

/// What a member may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Role {
    /// May read, write and leave.
    Member,
    /// May change the group, add, remove members, make them admins, and delete what others wrote.
    Admin,
    /// May remove admins, make them members, and hand the group over. A group has exactly one while it has members.
    Owner,
}

/// Whom a group lets do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Allowed {
    /// Every member.
    All,
    /// Admins and the owner.
    Admins,
}

/// What holds for a conversation as a whole. Of a direct one that is how long it keeps messages, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupInfo {
    /// Shown to its members.
    pub name: String,
    /// Who may write.
    pub post: Allowed,
    /// Who may add members and invite.
    pub add: Allowed,
    /// Its picture, an upload of the admin who set it. Whoever knows its id may look at it.
    pub avatar: Option<MediaId>,
    /// Days that its messages are kept, at least 1; `None`: as long as the operator has them kept.
    pub retention_days: Option<u32>,
}

impl GroupInfo {
    /// What holds for a group that has just come into being.
    pub const fn founded(name: String) -> Self {
        Self { name, post: Allowed::All, add: Allowed::Admins, avatar: None, retention_days: None }
    }

    /// What holds for a direct conversation whose members have chosen nothing. It has no name and no picture.
    pub const fn direct() -> Self {
        Self::founded(String::new())
    }
}

/// A conversation as its rows have it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Roster {
    /// `None` if the group does not exist, and of a direct conversation whose members have chosen nothing.
    pub info: Option<GroupInfo>,
    /// In the order of their user ids.
    pub members: Vec<Member>,
}

/// The right to join a group, for whoever holds its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Cannot be guessed.
    pub id: InviteId,
    /// Into which group.
    pub group: ConversationId,
    /// Who made it.
    pub created_by: UserId,
    /// When, ms since 1970.
    pub created_at: u64,
    /// From when on it is void, ms since 1970.
    pub expires_at: u64,
}

/// Someone who belongs to a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What they may do.
    pub role: Role,
    /// The entry that announced them; they read from it on.
    pub joined: Seq,
}
