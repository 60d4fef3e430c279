//! What the core needs from the world. Each doc comment is a contract; the suite in [`crate::testing`] holds every
//! implementation to it. A port that fails returns [`Error::port`](crate::Error::port), and then the caller does not
//! know whether the effect happened, unless the contract says so.

mod cold;

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Result;
use crate::events::{Event, Report};
use crate::group::{GroupInfo, Invite, Member, Role, Roster};
use crate::ids::{
    ConnectionId, ConversationId, DeviceId, EndpointId, InviteId, MediaId, MessageId, Seq, UserId,
};
use crate::media::{Keep, Upload, UploadState};
use crate::message::Entry;
use crate::people::{Audience, Profile, ProfileChange};

pub use cold::{Archive, Cold, Floor, Object, Precondition, Version};

/// Most edits of one entry: a delete empties them all in one transaction of at most 100 actions, two an edit.
pub const MAX_EDITS: usize = 20;

/// The outcome of a put at a place that must be free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// The entry stands at its place.
    Stored,
    /// Another call was first, or was under way at the same place, which then may be free still; nothing changed.
    Taken,
}

/// The log of every conversation.
#[async_trait]
pub trait Log: Send + Sync {
    /// The entries with `from <= seq < before` (no upper bound if `None`), newest first, at most `limit`; none if
    /// `before <= from`.
    /// Must be strongly consistent: an entry whose put returned before this call began must be in it.
    async fn newest(
        &self,
        conversation: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// The entries with `seq > after`, oldest first, at most `limit`. Must be strongly consistent.
    async fn after(
        &self,
        conversation: &ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>>;

    /// Stores the entry if, and only if, its place is free. Must return `Taken` and change nothing otherwise.
    /// When it fails the entry may be stored, or may be stored yet.
    async fn put(&self, entry: &Entry) -> Result<Put>;

    /// Stores an `edit` or a `delete`, and with it, in the same step, what it does to its target, which stands in this
    /// log: an edit is noted there; a delete puts [`Content::deleted`](crate::message::Content::deleted) in place of what
    /// the target and each edit of it hold, and changes nothing else of them. Must return `Taken` and change nothing if
    /// the place is not free, if the target is gone already, if an edit finds [`MAX_EDITS`] there, or if another edit or delete of
    /// it was under way. When it
    /// fails, all of it may have happened, or none, or may happen yet.
    async fn put_changing(&self, entry: &Entry) -> Result<Put>;
}

/// How far a user got in one conversation. Each part only ever grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermarks {
    /// Highest seq that reached a device.
    pub delivered: Seq,
    /// Highest seq that was read; never above `delivered`.
    pub read: Seq,
    /// The ordinal of the entry at `read`, so that unread is a subtraction; until something is read, of the one at which the
    /// user joined.
    pub read_ordinal: u64,
}

impl Watermarks {
    /// As if nothing had been read: what others see of one who hides it.
    pub fn unread(self) -> Self {
        Self { read: Seq::ZERO, read_ordinal: 0, ..self }
    }
}

/// What a user chose for one conversation. Only his own devices see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OwnState {
    /// Of two, the higher one is the newer. It never goes back, also when the user leaves and comes again; 0: never changed.
    pub version: u64,
    /// Until when no phone is woken, but for mentions; ms since 1970, 0: it is not muted.
    pub muted_until: u64,
    /// Shown above the others.
    pub pinned: bool,
    /// Put away. Its messages wake no phone, but for mentions, and are not in the badge.
    pub archived: bool,
    /// Shown as unread though it may be read.
    pub marked_unread: bool,
}

/// How far the clocks of two functions may be apart at most, ms, if versions shall not go back.
const CLOCKS_APART_MS: u64 = 10_000;

impl OwnState {
    /// What a member has chosen who joins by an entry of this time: nothing, at a version above all that he held when he was a
    /// member before, also by a clock that ran ahead.
    pub fn anew(sent_at: u64) -> Self {
        Self { version: sent_at.saturating_add(CLOCKS_APART_MS), ..Self::default() }
    }

    /// Whether its messages wake nobody at this time, but for mentions.
    pub const fn is_quiet(&self, now_ms: u64) -> bool {
        self.archived || self.muted_until > now_ms
    }
}

/// One row of a user's conversation list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConversation {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Where this user begins to read.
    pub joined: Seq,
    /// How far the user got.
    pub marks: Watermarks,
    /// What the user chose for it.
    pub own: OwnState,
}

/// A change of a group, to be applied as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The `system` entry that announces it.
    pub entry: Entry,
    /// Who joins, at `entry.seq`, as a member. Their rows are written anew, with `entry.ordinal` as what they have read and
    /// [`OwnState::anew`] of `entry.sent_at`.
    pub added: Vec<UserId>,
    /// Who goes. Their rows are removed.
    pub removed: Vec<UserId>,
    /// Members whose role changes: as they stand from now on.
    pub roles: Vec<Member>,
    /// What holds for the group from now on, if that changes.
    pub info: Option<GroupInfo>,
    /// The invite that it rests on.
    pub invite: Option<InviteId>,
}

/// Who belongs to which conversation, and how far they got.
#[async_trait]
pub trait Conversations: Send + Sync {
    /// A group and its members, at most the first `limit`. Must be strongly consistent. Never called for a direct
    /// conversation: its id names its members.
    async fn roster(&self, group: &ConversationId, limit: usize) -> Result<Roster>;

    /// Writes each user's row of a direct conversation, joined at 1, if it is absent; rows that exist stay as they
    /// are. May be repeated, and may fail half-way.
    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()>;

    /// Writes the info, the member rows and the user rows of a group that is coming into being, all joined at 1. Must return
    /// `Taken` and write no row that was not there once the group's first entry stands: a call that was frozen since
    /// before must not bring back who was removed meanwhile. May be repeated with the same members, and may fail
    /// half-way.
    async fn found(
        &self,
        group: &ConversationId,
        info: &GroupInfo,
        members: &[(UserId, Role)],
    ) -> Result<Put>;

    /// Stores the entry and applies the change in one transaction. Must return `Taken` and change nothing if the
    /// entry's place is not free, or if the invite that it rests on is not there.
    async fn change(&self, change: &Change) -> Result<Put>;

    /// Stores an invite.
    async fn set_invite(&self, invite: &Invite) -> Result<()>;

    /// An invite, also if it has expired. Must be strongly consistent.
    async fn invite(&self, group: &ConversationId, id: &InviteId) -> Result<Option<Invite>>;

    /// A group's invites, at most `limit`, in the order of their ids.
    async fn invites(&self, group: &ConversationId, limit: usize) -> Result<Vec<Invite>>;

    /// Removes an invite, if it is there.
    async fn remove_invite(&self, group: &ConversationId, id: &InviteId) -> Result<()>;

    /// One row of a user's list. Must be strongly consistent.
    async fn row(&self, user: &UserId, of: &ConversationId) -> Result<Option<UserConversation>>;

    /// A user's rows after `page` in the order of the conversation ids, at most `limit`. Must be strongly consistent.
    async fn rows(
        &self,
        user: &UserId,
        page: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<UserConversation>>;

    /// Replaces a user's watermarks if `old` still stands and returns whether it did so. `false` also if the row is
    /// gone.
    async fn advance(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<bool>;

    /// Replaces what a user chose if `old` is the version that stands, and returns whether it did so. `false` also if the
    /// row is gone. The watermarks stay as they are.
    async fn set_own(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: u64,
        new: OwnState,
    ) -> Result<bool>;

    /// The rows that these users (at most 100) have of one conversation, those that exist. Must be strongly consistent:
    /// who has no row is not a member, and is not woken.
    async fn rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>>;

    /// As [`Self::rows_of`], and each may be a moment old: for who looks at how far others got.
    async fn recent_rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        self.rows_of(conversation, users).await
    }

    /// Whether `owner` blocks `other`.
    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool>;
}

/// What decides what one user may see of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regard {
    /// Who may see the other's presence.
    pub presence: Audience,
    /// Whether the two have a direct conversation.
    pub contact: bool,
    /// Whether one of the two blocks the other.
    pub blocked: bool,
}

/// What users show of themselves, whom they block, and who watches them.
#[async_trait]
pub trait People: Send + Sync {
    /// The profiles of these users (at most 100), those who have set one. Must be strongly consistent.
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>>;

    /// As [`Self::profiles`], and each may be a moment old: for who looks at names and pictures.
    async fn recent_profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        self.profiles(users).await
    }

    /// Puts in what the change names, leaves the rest as it stands, and returns the whole. May be repeated.
    async fn set_profile(&self, user: &UserId, change: &ProfileChange) -> Result<Profile>;

    /// A user's row and the profile beside it, the default if none is set, in one call. Must be strongly consistent.
    async fn row_and_profile(
        &self,
        user: &UserId,
        of: &ConversationId,
    ) -> Result<(Option<UserConversation>, Profile)>;

    /// `owner` blocks `other` from now on. May be repeated.
    async fn block(&self, owner: &UserId, other: &UserId) -> Result<()>;

    /// `owner` blocks `other` no more. May be repeated.
    async fn unblock(&self, owner: &UserId, other: &UserId) -> Result<()>;

    /// Whom `owner` blocks, in the order of their ids (bytes), those after `page`, at most `limit`. Must be strongly consistent.
    async fn blocked(
        &self,
        owner: &UserId,
        page: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>>;

    /// Those of these users (at most 100) who block `other`. Must be strongly consistent.
    async fn blockers(&self, users: &[UserId], other: &UserId) -> Result<BTreeSet<UserId>>;

    /// How the first of each pair (at most 200) may look at the second, in the order of the pairs. Must be strongly
    /// consistent.
    async fn regards(&self, pairs: &[(UserId, UserId)]) -> Result<Vec<Regard>>;

    /// `watcher` hears of changes of `user` until then, ms since 1970. Takes the place of what was noted before.
    async fn watch(&self, user: &UserId, watcher: &UserId, until: u64) -> Result<()>;

    /// Who watches `user` beyond `now`, in the order of their ids (bytes), at most `limit`. Must be strongly consistent.
    async fn watchers(&self, user: &UserId, now: u64, limit: usize) -> Result<Vec<UserId>>;

    /// Removes what is kept of a user by himself, at most `limit` items of it, and returns whether there is more: what he
    /// shows, his list of direct conversations, whom he blocks, who watches him, and when he was last online. That he is
    /// disabled stays; so do his rows of groups, each of which goes with his place in it.
    async fn erase(&self, user: &UserId, limit: usize) -> Result<bool>;
}

/// A socket that a device of a user holds open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Whose.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// The gateway's name for it.
    pub id: ConnectionId,
    /// When it was opened, ms since 1970.
    pub connected_at: u64,
}

/// The sockets of one user, and who wants to hear of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sockets {
    /// Those that are registered, by device; none of a user who is disabled.
    pub connections: Vec<Connection>,
    /// When one was removed last, ms since 1970; `None` if never.
    pub last_seen: Option<u64>,
    /// Until when someone may watch, ms since 1970; 0 if never.
    pub watched_until: u64,
    /// Whether the watchers were told last that the user is offline.
    pub away: bool,
}

/// What a registration has left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registered {
    /// What the user has now.
    pub sockets: Sockets,
    /// The other socket whose place it took. It may be open still, and nothing knows of it any more.
    pub displaced: Option<Connection>,
}

/// A device that can be woken by a mobile push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Whose.
    pub user: UserId,
    /// Which device.
    pub device: DeviceId,
    /// The push service's name for it.
    pub id: EndpointId,
}

/// What some users can be reached by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Open sockets, by user and device.
    pub connections: Vec<Connection>,
    /// Devices that take pushes, by user and device.
    pub endpoints: Vec<Endpoint>,
}

/// Who is connected, and who can be woken.
#[async_trait]
pub trait Connections: Send + Sync {
    /// Registers a device's socket, unless a later `connected_at` stands there, and returns what the user has then and whose
    /// place it took, in the same step; `None` if a later one stands there. Must register nothing and fail with `disabled`
    /// while the user is.
    async fn register(&self, connection: &Connection) -> Result<Option<Registered>>;

    /// Removes the device's socket if its connection id is this one, notes `now` (ms since 1970) as `last_seen`, and returns
    /// what is left; `None` if it is another one.
    async fn remove(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
        now: u64,
    ) -> Result<Option<Sockets>>;

    /// The sockets of these users (at most 100), of those who ever had one or were watched. Must be strongly consistent.
    async fn sockets(&self, users: &[UserId]) -> Result<Vec<(UserId, Sockets)>>;

    /// Marks a user as watched until then (ms since 1970), unless a later time stands there, and returns what stands.
    async fn watched(&self, user: &UserId, until: u64) -> Result<Sockets>;

    /// Notes what the watchers of a user were told, and returns what stands.
    async fn set_away(&self, user: &UserId, away: bool) -> Result<Sockets>;

    /// Everything that these users (at most 100) can be reached by. Must be strongly consistent, and must fail
    /// rather than leave a user out; but nothing of a user who is disabled: whatever stands there still, they are sent
    /// nothing.
    async fn of(&self, users: &[UserId]) -> Result<Devices>;

    /// Sets where the device takes pushes, and takes the endpoint away from the device that had it before, whoever's
    /// that was: a phone changes hands, and the next owner must not see the last one's messages. It outlives the
    /// device's sockets. May be repeated after a failure.
    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<()>;

    /// Removes the device's endpoint if it is this one.
    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()>;

    /// Disables the user from this time on (ms since 1970; an earlier one that stands there stays), or enables him, and
    /// returns what stands there at that moment: whatever is registered later has met the mark.
    async fn set_disabled(&self, user: &UserId, since: Option<u64>) -> Result<Account>;

    /// All that is known of a user, disabled or not. Must be strongly consistent.
    async fn account(&self, user: &UserId) -> Result<Account>;

    /// Whether the user is disabled. May be a moment old.
    async fn is_disabled(&self, user: &UserId) -> Result<bool>;
}

/// A user as an operator sees him.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Since when he is disabled, ms since 1970.
    pub disabled_at: Option<u64>,
    /// When a socket of his was removed last, ms since 1970; `None` if never.
    pub last_seen: Option<u64>,
    /// What he can be reached by.
    pub devices: Devices,
}

/// What became of a frame that was posted to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// The gateway took it. That is no proof that the device has it.
    Accepted,
    /// There is no such connection (410).
    Gone,
    /// The gateway is overloaded or failed (429, 5xx): try again later.
    Later,
}

/// The gateway's way back to the devices.
#[async_trait]
pub trait Gateway: Send + Sync {
    /// Posts one frame to one connection. Must not block on a slow reader.
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted;

    /// Closes one connection. `Gone` also of one whose `$connect` has not returned, which then opens all the same.
    async fn close(&self, connection: &ConnectionId) -> Posted;
}

/// Work that one function hands to another through a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "job", rename_all = "snake_case")]
pub enum Job {
    /// Deliver an entry to these members (at most 100).
    FanOut {
        /// What to deliver.
        entry: Entry,
        /// To whom.
        to: Vec<UserId>,
        /// The connection that sent it and needs no copy.
        except: Option<ConnectionId>,
        /// How often it was put back because the gateway was overloaded.
        attempt: u8,
    },
    /// Wake the phones of these users (at most 100), except of those who have `seq` by then. On a phone, pushes
    /// collapse per conversation.
    Push {
        /// Whom.
        to: Vec<UserId>,
        /// About which conversation.
        conversation: ConversationId,
        /// The entry that they may not have.
        seq: Seq,
        /// How often it was put back because the push service was overloaded.
        attempt: u8,
    },
    /// Look whether a user is where his watchers think, and tell them if not.
    Presence {
        /// Whom.
        user: UserId,
    },
    /// Tell the operator's receiver of an event.
    Webhook {
        /// Of what.
        event: Event,
        /// How often it was put back because the receiver did not take it.
        attempt: u8,
    },
}

/// The queues.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Queues every job, to run after `delay_s` seconds (0 to 900), or fails; on failure some may be queued.
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()>;
}

/// Who delivers pushes to a kind of phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Platform {
    /// Apple, production.
    Apns,
    /// Apple, development builds.
    ApnsSandbox,
    /// Firebase Cloud Messaging.
    Fcm,
}

/// What a phone shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notification {
    /// The conversation; also the key by which a phone replaces an older one.
    pub conversation_id: ConversationId,
    /// The entry that it announces.
    pub seq: Seq,
    /// Who wrote it.
    pub sender_id: UserId,
    /// The name that they go by, if they have set one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    /// The first words; `None` for what the server cannot or may not read.
    pub preview: Option<String>,
    /// What the icon shows: how many messages the user has not read, in conversations that are neither muted nor
    /// archived. `None`: it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub badge: Option<u64>,
    /// Whether the message mentions the user.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mentioned: bool,
}

/// What became of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// The push service took it.
    Accepted,
    /// The device takes no more pushes at this endpoint.
    Disabled,
    /// The push service is overloaded or failed: try again later.
    Later,
}

/// The way to the phones.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Makes an endpoint of a device's token, or finds the one that the token has, enabled again. Must fail with
    /// `bad_request` for a platform that is not set up or a token that the push service refuses.
    async fn endpoint(&self, platform: Platform, token: &str, user: &UserId) -> Result<EndpointId>;

    /// Pushes one notification to one device.
    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed;

    /// Makes the push service forget an endpoint and its token, if it is there. One of a platform that is not set up is
    /// out of reach, and counts as forgotten. May be repeated.
    async fn remove(&self, endpoint: &EndpointId) -> Result<()>;
}

/// One event on its way to the operator's receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// [`Event::id`].
    pub id: String,
    /// When this attempt is made, s since 1970: a receiver refuses what is old.
    pub timestamp_s: u64,
    /// JSON.
    pub body: String,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooked {
    /// The receiver took it (2xx).
    Accepted,
    /// It did not, or did not answer in time, and may have it all the same. It may have said when to come again.
    Refused {
        /// After so many seconds.
        retry_after_s: Option<u32>,
    },
}

/// The way to the operator's receiver.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// Delivers one event, signed. Must come back within a bounded time, and read no more of the answer than it needs.
    async fn deliver(&self, delivery: &Delivery) -> Hooked;
}

/// The way to those who look at reports.
#[async_trait]
pub trait Moderation: Send + Sync {
    /// Hands a report on. May be called again with the same report.
    async fn report(&self, report: &Report) -> Result<()>;
}

/// What is known of uploads. The bytes lie in [`Files`].
#[async_trait]
pub trait Uploads: Send + Sync {
    /// Writes down an upload that is to come. Ids are never used twice.
    async fn announce(&self, upload: &Upload) -> Result<()>;

    /// An upload, also if its time is over; none when nothing is known of it any more. Must be strongly consistent.
    async fn upload(&self, id: &MediaId) -> Result<Option<Upload>>;

    /// Sets the state if it is one of `from`, and returns whether it was. `false` also if nothing is known of it.
    async fn set_state(
        &self,
        owner: &UserId,
        id: &MediaId,
        from: &[UploadState],
        to: UploadState,
    ) -> Result<bool>;

    /// Puts its end off to what `keep` says, if it has not come by `now_s` (s since 1970) and it is not blocked; never
    /// brings it nearer, and never takes back that it is shown. Returns whether it is kept so now; `false` also if
    /// nothing is known of it. May be repeated.
    async fn keep(&self, owner: &UserId, id: &MediaId, now_s: u64, keep: Keep) -> Result<bool>;

    /// Forgets an upload, if it is there.
    async fn forget(&self, owner: &UserId, id: &MediaId) -> Result<()>;

    /// Lets a user who does not own the upload send it, until `until_s` (s since 1970).
    async fn lend(&self, id: &MediaId, user: &UserId, until_s: u64) -> Result<()>;

    /// Until when the user may send it, s since 1970. Must be strongly consistent.
    async fn lent(&self, id: &MediaId, user: &UserId) -> Result<Option<u64>>;
}

/// A request that a client makes to the store of files by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRequest {
    /// Where to. Good for itself, until it expires.
    pub url: String,
    /// Headers that it must have, by name.
    pub headers: Vec<(String, String)>,
}

/// The bytes of uploads. They never pass through a service.
#[async_trait]
pub trait Files: Send + Sync {
    /// A `PUT` by which a client stores the bytes. The store must refuse it for anything but this id, and bytes of this
    /// size, type and SHA-256, and after `life_s` seconds.
    async fn to_put(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest>;

    /// A `GET` by which a client reads the bytes, for `life_s` seconds. The answer says their type, and a browser must
    /// not show it by itself unless the type [is shown](crate::media::ContentType::is_shown).
    async fn to_get(&self, upload: &Upload, life_s: u64) -> Result<SignedRequest>;

    /// Whether the bytes are there: all of them, or it is `false`.
    async fn stored(&self, owner: &UserId, id: &MediaId) -> Result<bool>;

    /// Removes the bytes, if they are there.
    async fn remove(&self, owner: &UserId, id: &MediaId) -> Result<()>;

    /// The ids of what a user has stored, after `page`, in order, at most `limit` (1 to 1000).
    async fn of(
        &self,
        owner: &UserId,
        page: Option<&MediaId>,
        limit: usize,
    ) -> Result<Vec<MediaId>>;
}

/// Time and ids, so that a simulation can own them.
#[async_trait]
pub trait World: Send + Sync {
    /// Now, ms since 1970. May differ between functions.
    fn now_ms(&self) -> u64;
    /// A new UUIDv7.
    fn new_id(&self) -> Uuid;
    /// 128 bits that nobody can guess.
    fn secret(&self) -> u128;
    /// A random number from 0 to `below` − 1 (0 if `below` is 0), for jitter.
    fn jitter(&self, below: u64) -> u64;
    /// Returns when this much time has passed, ms.
    async fn pause(&self, ms: u64);
}

/// Mints a message id.
pub fn mint(world: &dyn World) -> MessageId {
    MessageId::minted(world.new_id())
}
