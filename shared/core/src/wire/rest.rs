//! The bodies of the HTTP requests and of their answers. Where a request and a frame say the same, the frame's type
//! serves both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConversationFrame, EntryFrame};
use crate::events::Reason;
use crate::group::{Allowed, Invite, Member, Role};
use crate::ids::{ConversationId, DeviceId, InviteCode, InviteId, MediaId, MessageId, Seq, UserId};
use crate::media::{ContentType, File, Sha256, UploadState};
use crate::message::{Content, Entry, present};
use crate::people::{DisplayName, Profile};
use crate::ports::{Account, Devices, OwnState, Platform, SignedRequest};
use crate::services::{
    Download, Erased, Group, OwnChange, Page, Preview, Receipts, Synced, Ticket, Unread,
};

/// `POST /api/messages`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostMessage {
    /// Where to …
    pub conversation_id: Option<ConversationId>,
    /// … or to whom.
    pub to_user_id: Option<UserId>,
    /// The idempotency key. Without one the server mints it, and a repeat is a new message.
    pub message_id: Option<MessageId>,
    /// What it holds.
    pub content: Content,
    /// Highest seq held when it was composed; without it the newest 100 entries are searched for a duplicate.
    pub seen: Option<Seq>,
}

/// `POST /api/media`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostMedia {
    /// What the bytes are.
    pub content_type: ContentType,
    /// How many they are.
    pub size: u64,
    /// Their SHA-256, in base64.
    pub sha256: Sha256,
}

/// The answer to it: an upload, and how to store its bytes.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MediaAnswer {
    /// The upload.
    pub media_id: MediaId,
    /// How to store the bytes.
    pub upload: UploadRequest,
    /// From when on the upload is gone unless it was sent or shown by then, ms since 1970.
    pub expires_at: u64,
}

/// A request that a client makes to the store of files, without a token of its own.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UploadRequest {
    /// Always `PUT`.
    pub method: &'static str,
    /// Where to. A secret: whoever has it may do the same.
    pub url: String,
    /// Headers that it must have, exactly so, besides `Content-Length`.
    pub headers: BTreeMap<String, String>,
    /// From when on it is void, ms since 1970.
    pub expires_at: u64,
}

/// `POST /api/media/{media_id}/complete`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CompleteAnswer {
    /// The upload.
    pub media_id: MediaId,
    /// How far it is.
    pub state: UploadState,
}

/// `POST /api/conversations/{id}/messages/{seq}/forward`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ForwardAnswer {
    /// What the caller may send from now on, for a week.
    pub media_id: MediaId,
}

/// How to read media.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct DownloadAnswer {
    /// The upload.
    pub media_id: MediaId,
    /// What the bytes are.
    #[serde(flatten)]
    pub file: File,
    /// Where to `GET` them, without a token. A secret: whoever has it may do the same.
    pub url: String,
    /// From when on it is void, ms since 1970.
    pub expires_at: u64,
}

impl From<Ticket> for MediaAnswer {
    fn from(ticket: Ticket) -> Self {
        let SignedRequest { url, headers } = ticket.put;
        let headers = headers.into_iter().collect();
        let upload = UploadRequest { method: "PUT", url, headers, expires_at: ticket.put_until };
        Self { media_id: ticket.id, upload, expires_at: ticket.expires_at }
    }
}

impl From<Download> for DownloadAnswer {
    fn from(download: Download) -> Self {
        let Download { id, file, get, get_until } = download;
        Self { media_id: id, file, url: get.url, expires_at: get_until }
    }
}

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
    /// Days that messages are kept, 1 to 3650; 0: as long as the operator has them kept.
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

/// `PATCH /api/conversations/{id}/state`: what is absent stays; at least one is there.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PatchState {
    /// Until when no phone is woken, but for mentions; ms since 1970, at most 253,402,300,799,999 (the year 9999: for
    /// ever); 0: it is muted no more.
    pub muted_until: Option<u64>,
    /// Shown above the others.
    pub pinned: Option<bool>,
    /// Put away. A new message leaves it there.
    pub archived: Option<bool>,
    /// Shown as unread, until something more is read.
    pub marked_unread: Option<bool>,
}

impl From<PatchState> for OwnChange {
    fn from(patch: PatchState) -> Self {
        let PatchState { muted_until, pinned, archived, marked_unread } = patch;
        Self { muted_until, pinned, archived, marked_unread }
    }
}

/// What a `PATCH /api/conversations/{id}/state` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StateAnswer {
    conversation_id: ConversationId,
    #[serde(flatten)]
    state: OwnState,
}

impl StateAnswer {
    /// The answer about this conversation.
    pub fn new(conversation_id: ConversationId, state: OwnState) -> Self {
        Self { conversation_id, state }
    }
}

/// What a `GET /api/unread` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UnreadAnswer {
    /// Unread messages, in all conversations.
    messages: u64,
    /// Conversations with unread messages, or marked as unread.
    conversations: u64,
    /// What the app's icon shows: the messages in conversations that are neither muted nor archived, and one for each of
    /// those that is marked as unread and has none.
    badge: u64,
    /// Whether there are more than 1000 conversations: those beyond are not counted.
    more: bool,
}

impl From<Unread> for UnreadAnswer {
    fn from(unread: Unread) -> Self {
        let Unread { messages, conversations, badge, more } = unread;
        Self { messages, conversations, badge, more }
    }
}

/// `POST /api/conversations/{id}/members`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostMembers {
    /// Whom to add.
    pub user_ids: Vec<UserId>,
}

/// `POST /api/conversations/{id}/ack`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostAck {
    /// Highest seq on a device.
    pub delivered: Option<Seq>,
    /// Highest seq that was read.
    pub read: Option<Seq>,
}

/// `POST /api/sync`: the fields of the `sync` frame.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostSync {
    /// Highest seq held, by conversation.
    #[serde(default)]
    pub cursors: BTreeMap<ConversationId, Seq>,
    /// Entries a conversation.
    pub limit: Option<usize>,
    /// The newest instead of the next.
    #[serde(default)]
    pub tail: bool,
    /// From the last answer.
    pub page: Option<ConversationId>,
}

/// `PUT /api/devices/{device}/push`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PutPush {
    /// Whose push service.
    pub platform: Platform,
    /// What the push service calls the device.
    pub token: String,
}

/// `POST /api/conversations/{id}/messages/{seq}/report`.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PostReport {
    /// Why.
    pub reason: Reason,
    /// In one's own words, at most 1000 bytes.
    pub comment: Option<String>,
}

/// What a report answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReportAnswer {
    /// The same for the same caller and message.
    pub report_id: String,
}

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

/// What a `GET /api/health` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthAnswer {
    /// The product's.
    pub version: &'static str,
    /// The commit that it was built from; `null` if nobody said so.
    pub revision: Option<String>,
}

/// A stretch of a log.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Messages {
    messages: Vec<EntryFrame>,
    more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    more_before: Option<bool>,
}

impl From<&Page> for Messages {
    fn from(page: &Page) -> Self {
        let messages = page.messages.iter().map(EntryFrame::from).collect();
        Self { messages, more: page.more, more_before: page.more_before }
    }
}

/// A stretch of one log of several.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Batch {
    conversation_id: ConversationId,
    #[serde(flatten)]
    messages: Messages,
}

/// What a `POST /api/sync` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SyncAnswer {
    batches: Vec<Batch>,
    #[serde(flatten)]
    list: ConversationList,
}

impl From<&Synced> for SyncAnswer {
    fn from(synced: &Synced) -> Self {
        let batch = |page: &Page| Batch {
            conversation_id: page.conversation.clone(),
            messages: page.into(),
        };
        Self { batches: synced.batches.iter().map(batch).collect(), list: synced.into() }
    }
}

/// What a `GET /api/conversations` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConversationList {
    conversations: Vec<ConversationFrame>,
    page: Option<ConversationId>,
}

impl From<&Synced> for ConversationList {
    fn from(synced: &Synced) -> Self {
        Self {
            conversations: synced.conversations.iter().map(ConversationFrame::from).collect(),
            page: synced.page.clone(),
        }
    }
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
    /// Days that messages are kept; `null` if direct, and of a group that has not chosen: as long as the operator has
    /// them kept.
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
            retention_days: group.info.as_ref().and_then(|i| i.retention_days),
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

/// What a `GET /api/conversations/{id}/invites` answers: at most 20.
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

/// What a change of a group answers: the entry that announces it.
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

#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct ReaderAnswer {
    user_id: UserId,
    delivered: Seq,
    read: Seq,
}

/// What a `GET /api/conversations/{id}/receipts` answers.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReceiptsAnswer {
    conversation_id: ConversationId,
    seq: Seq,
    members: usize,
    delivered: usize,
    read: usize,
    readers: Vec<ReaderAnswer>,
    page: Option<UserId>,
}

impl ReceiptsAnswer {
    /// The answer about this entry.
    pub fn new(conversation_id: ConversationId, seq: Seq, receipts: Receipts) -> Self {
        let reader = |r: crate::services::Reader| ReaderAnswer {
            user_id: r.user,
            delivered: r.marks.delivered,
            read: r.marks.read,
        };
        Self {
            conversation_id,
            seq,
            members: receipts.members,
            delivered: receipts.delivered,
            read: receipts.read,
            readers: receipts.readers.into_iter().map(reader).collect(),
            page: receipts.page,
        }
    }
}
