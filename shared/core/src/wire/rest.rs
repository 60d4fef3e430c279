//! The bodies of the HTTP requests and of their answers. Where a request and a frame say the same, the frame's type
//! serves both.

mod groups;
mod media;
mod operators;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConversationFrame, EntryFrame};
use crate::events::Reason;
use crate::ids::{ConversationId, MessageId, Seq, UserId};
use crate::message::{Content, object};
use crate::ports::{OwnState, Platform};
use crate::services::{OwnChange, Page, Receipts, Synced, Unread};

pub use groups::{
    ChangeAnswer, GroupAnswer, InviteAnswer, InviteList, PatchGroup, PatchMember, PostGroup,
    PostInvite, PostMembers, PreviewAnswer,
};
pub use media::{
    CompleteAnswer, DownloadAnswer, ForwardAnswer, MediaAnswer, PostMedia, UploadRequest,
};
pub use operators::{
    AccountAnswer, ClosedAnswer, ErasureAnswer, PostConversationFor, PostErasure, PostNotice,
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
    #[serde(deserialize_with = "object")]
    pub content: Content,
    /// Highest seq held when it was composed; without it the newest 100 entries are searched for a duplicate.
    pub seen: Option<Seq>,
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
