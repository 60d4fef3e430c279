//! What operators ask for.

use serde::{Deserialize, Serialize};

use crate::ids::{ConversationId, DeviceId, MessageId, UserId};
use crate::ports::{Account, Devices};
use crate::services::Erased;

/// `POST /api/admin/conversations`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostConversationFor {
    /// Whose it is to be.
    pub owner_id: UserId,
    /// Shown to its members.
    pub name: String,
    /// Who belongs to it, besides the owner.
    pub member_ids: Vec<UserId>,
    /// Makes the request repeatable.
    pub request_id: Option<String>,
}

/// `POST /api/admin/conversations/{id}/notices`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostNotice {
    /// The idempotency key. Without one the server mints it, and a repeat is a new notice.
    pub message_id: Option<MessageId>,
    /// What it says.
    pub text: String,
}

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct DeviceAnswer {
    device_id: DeviceId,
    /// When its socket was opened, ms since 1970; `null` if none is.
    connected_at: Option<u64>,
    /// Whether it takes pushes.
    push: bool,
}

/// What a `GET /api/admin/users/{user}` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AccountAnswer {
    user_id: UserId,
    /// Since when the user is disabled, ms since 1970; `null` if he is not.
    disabled_at: Option<u64>,
    devices: Vec<DeviceAnswer>,
}

impl AccountAnswer {
    /// The answer about this user.
    pub fn new(user_id: UserId, account: &Account) -> Self {
        let Devices { connections, endpoints } = &account.devices;
        let mut ids: Vec<&DeviceId> = connections.iter().map(|c| &c.device).collect();
        ids.extend(endpoints.iter().map(|e| &e.device));
        ids.sort();
        ids.dedup();
        let device = |id: &DeviceId| DeviceAnswer {
            device_id: id.clone(),
            connected_at: connections.iter().find(|c| c.device == *id).map(|c| c.connected_at),
            push: endpoints.iter().any(|e| e.device == *id),
        };
        let devices = ids.into_iter().map(device).collect();
        Self { user_id, disabled_at: account.disabled_at, devices }
    }
}

/// What ending a user's sockets answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClosedAnswer {
    /// How many were closed.
    pub closed: usize,
}

/// `POST /api/admin/users/{user}/erasure`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostErasure {
    /// Where to go on, as the last answer said; nothing at first.
    pub page: Option<String>,
    /// Only what the user wrote in this conversation, also if he has left it. The user is not disabled by that.
    pub conversation_id: Option<ConversationId>,
}

/// How far an erasure got.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErasureAnswer {
    /// Entries that this request emptied.
    erased: u64,
    /// Where the next request goes on; `null` when nothing is left.
    page: Option<String>,
}

impl From<Erased> for ErasureAnswer {
    fn from(erased: Erased) -> Self {
        Self { erased: erased.entries, page: erased.page.map(|page| page.to_string()) }
    }
}
