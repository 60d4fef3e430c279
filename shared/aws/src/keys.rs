//! Where everything lies: the tables, the keys and the names of the attributes. Nothing else in this crate spells
//! one of them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use petrel_core::ids::{ConversationId, DeviceId, EndpointId, InviteId, MediaId, Seq, UserId};

/// The names of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// The log: one item per entry.
    pub messages: String,
    /// Members, conversation lists and blocks.
    pub conversations: String,
    /// Who is connected: one item per user.
    pub connections: String,
}

/// messages, partition key: the conversation.
pub const CONVERSATION_ID: &str = "conversation_id";
/// messages, sort key: the place (N).
pub const SEQ: &str = "seq";
/// messages: the message id.
pub const MESSAGE_ID: &str = "mid";
/// messages: the sender.
pub const SENDER: &str = "u";
/// messages: when it was stored, ms (N).
pub const SENT_AT: &str = "at";
/// messages: how many entries up to here count as unread (N).
pub const ORDINAL: &str = "o";
/// messages: how full the conversation's bucket is with it, µs (N). Absent: empty.
pub const LEVEL: &str = "l";
/// messages: the content as JSON.
pub const CONTENT: &str = "c";
/// messages: the places of the edits of this entry (NS), so that a delete finds them. Absent: there are none.
pub const EDITS: &str = "ed";

/// conversations, partition key: a conversation's id, [`user`], [`left`] or [`timer`].
pub const PK: &str = "pk";
/// conversations, sort key: [`INFO`], [`member`], [`invite`], [`FLOOR`], [`redaction`], [`row`], [`PROFILE`], [`block`],
/// [`watcher`], [`TIMER`] or, in a partition of [`left`], a group's id.
pub const SK: &str = "sk";
/// conversations, sort key of what holds for a conversation. Sorts before its members and begins as they do: one query reads both.
pub const INFO: &str = "m";
/// conversations, info: the group's name.
pub const NAME: &str = "name";
/// conversations, info: who may write.
pub const POST: &str = "post";
/// conversations, info: who may add.
pub const ADD: &str = "add";
/// conversations, info: days that messages are kept (N), if the group has chosen.
pub const RETENTION_DAYS: &str = "retention";
/// conversations, invite: who made it.
pub const CREATED_BY: &str = "by";
/// conversations, invite: when, ms (N).
pub const CREATED_AT: &str = "at";
/// conversations, invite: from when on it is void, ms (N).
pub const EXPIRES_AT: &str = "expires";
/// conversations, member: what they may do.
pub const ROLE: &str = "role";
/// conversations, member and row: from where they read (N).
pub const JOINED: &str = "joined";
/// conversations, row: the highest seq that reached a device (N).
pub const DELIVERED: &str = "delivered";
/// conversations, row: the highest seq that was read (N).
pub const READ: &str = "read";
/// conversations, row: the ordinal at `read` (N).
pub const READ_ORDINAL: &str = "read_ordinal";
/// conversations, row: how often the user changed what follows (N). Absent, as all of it: never.
pub const OWN_VERSION: &str = "v";
/// conversations, row: until when it is muted, ms (N).
pub const MUTED_UNTIL: &str = "muted";
/// conversations, row: whether it is pinned (BOOL).
pub const PINNED: &str = "pinned";
/// conversations, row: whether it is archived (BOOL).
pub const ARCHIVED: &str = "archived";
/// conversations, row: whether it is marked as unread (BOOL).
pub const MARKED_UNREAD: &str = "unread";

/// conversations, sort key of what is known of a log's old end.
pub const FLOOR: &str = "floor";
/// conversations, floor: the highest seq in the archive (N).
pub const ARCHIVED_THROUGH: &str = "archived";
/// conversations, floor: the highest seq that may be copied to it (N).
pub const CLOSING: &str = "closing";
/// conversations, floor: until when an archiver is at it, ms (N); 0: none is.
pub const LEASE: &str = "until";
/// conversations, floor: the highest seq whose retention has ended (N).
pub const GONE: &str = "gone";
/// conversations, floor: the ordinal at `gone` (N).
pub const GONE_ORDINAL: &str = "gone_ordinal";
/// When the first entry in the archive was sent.
pub const OLDEST_AT: &str = "oldest_at";
/// conversations, floor: how often it was moved (N).
pub const VERSION: &str = "version";
/// conversations, sort key of the only row in the partition of a conversation's timer.
pub const TIMER: &str = "timer";
/// conversations, profile: the media id of the user's picture. The user's name is [`NAME`].
pub const AVATAR: &str = "avatar";
/// conversations, profile: whether others are not told what the user has read (BOOL).
pub const HIDE_READ_RECEIPTS: &str = "hide_read_receipts";
/// Whether pushes leave out what was written.
pub const HIDE_PREVIEWS: &str = "hide_previews";
/// conversations, profile: who sees whether the user is online.
pub const PRESENCE: &str = "presence";

/// connections, partition key: the user.
pub const USER_ID: &str = "user_id";
/// connections: when a socket of the user was removed last, ms (N).
pub const LAST_SEEN: &str = "last_seen";
/// connections: until when someone may watch the user, ms (N).
pub const WATCHED_UNTIL: &str = "watched";
/// connections: there (BOOL) if the user's watchers were told last that he is offline.
pub const AWAY: &str = "away";
/// connections: since when the user is disabled, ms (N). Absent: he is not.
pub const DISABLED_AT: &str = "off";
/// connections, in a device's map: the connection's id.
pub const CONNECTION_ID: &str = "id";
/// connections, in a device's map: when it was opened, ms (N).
pub const CONNECTED_AT: &str = "at";

/// Begins the partition key of a user's list and blocks.
pub const USER: &str = "u#";
/// connections, note of an endpoint's owner: the user.
pub const OWNER: &str = "owner";
/// connections, note of an endpoint's owner: the device.
pub const OWNER_DEVICE: &str = "device";
/// Begins the sort key of a member.
pub const MEMBER: &str = "m#";
/// Begins the sort key of an invite.
pub const INVITE: &str = "i#";
/// Sort key of what a user shows of himself, in his partition.
pub const PROFILE: &str = "p";
/// Begins the sort key of a blocked user.
pub const BLOCK: &str = "b#";
/// Begins the sort key of a watcher, in the partition of whom he watches.
pub const WATCHER: &str = "w#";
/// conversations, watcher: until when, ms (N).
pub const UNTIL: &str = "until";
/// Begins the sort key of a row of a user's list.
pub const ROW: &str = "c#";
/// Begins the sort key of a row of a group, in a user's partition.
pub const GROUP_ROWS: &str = "c#g:";
/// Sorts right behind all of those.
pub const BEHIND_GROUP_ROWS: &str = "c#g;";
/// Begins the sort key of a group, where that is its id.
pub const GROUP: &str = "g:";
/// Begins the name of a device's map.
pub const DEVICE: &str = "d#";
/// Begins the name of a device's push endpoint (S).
pub const ENDPOINT: &str = "p#";

/// The partition of a conversation's timer.
pub fn timer(of: &ConversationId) -> String {
    format!("t#{of}")
}

/// The conversation whose timer lies in this partition.
pub fn read_timer(pk: &str) -> Option<ConversationId> {
    ConversationId::parse(pk.strip_prefix("t#")?).ok()
}

/// Begins the keys of a conversation's objects in the archive.
pub fn objects(of: &ConversationId) -> String {
    format!("{of}/")
}

/// The key of an object in the archive: seqs in as many digits as any has, so that they sort as numbers do.
pub fn object(of: &ConversationId, last: Seq) -> String {
    format!("{of}/{:020}.zst", last.get())
}

/// The last seq of the object with this key.
pub fn read_object(of: &ConversationId, key: &str) -> Option<Seq> {
    let digits = key.strip_prefix(of.as_str())?.strip_prefix('/')?.strip_suffix(".zst")?;
    let digits = Some(digits).filter(|d| d.len() == 20 && d.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().map(Seq::new)
}

/// The partition of a user's list and blocks.
pub fn user(user: &UserId) -> String {
    format!("{USER}{user}")
}

/// A member, in the group's partition.
pub fn member(user: &UserId) -> String {
    format!("{MEMBER}{user}")
}

/// An invite, in the group's partition.
pub fn invite(invite: &InviteId) -> String {
    format!("{INVITE}{invite}")
}

/// A conversation, in a user's partition.
pub fn row(conversation: &ConversationId) -> String {
    format!("{ROW}{conversation}")
}

/// The partition of the groups that a user has left, where a group's id is the sort key. Not the user's own: what is there goes
/// before what is here has been looked at.
pub fn left(user: &UserId) -> String {
    format!("l#{user}")
}

/// A blocked user, in a user's partition.
pub fn block(other: &UserId) -> String {
    format!("{BLOCK}{other}")
}

/// Who watches, in the partition of whom he watches.
pub fn watcher(watcher: &UserId) -> String {
    format!("{WATCHER}{watcher}")
}

/// The name of a device's map.
pub fn device(device: &DeviceId) -> String {
    format!("{DEVICE}{device}")
}

/// The name of a device's push endpoint.
pub fn endpoint(device: &DeviceId) -> String {
    format!("{ENDPOINT}{device}")
}

/// The note of who has an endpoint, in the place of a user; no user id holds a `#`.
pub fn owner(endpoint: &EndpointId) -> String {
    format!("e#{endpoint}")
}

/// conversations: from when on DynamoDB may remove the item, s since 1970 (N). The one attribute that a TTL is on.
pub const TTL: &str = "ttl";
/// conversations, upload: the type of its bytes.
pub const CONTENT_TYPE: &str = "type";
/// conversations, upload: how many they are (N).
pub const SIZE: &str = "size";
/// conversations, upload: their SHA-256, base64.
pub const SHA256: &str = "sha256";
/// conversations, upload: how far it is.
pub const STATE: &str = "state";
/// conversations, upload: whether everyone may see it (BOOL).
pub const SHOWN: &str = "shown";

/// Begins the partition key of an upload.
pub const FILE: &str = "f#";

/// The partition of an upload, where its owner's id ([`user`]) is the sort key, and of those who may send it.
pub fn upload(id: &MediaId) -> String {
    format!("{FILE}{id}")
}

/// A user who may send another's upload, in the upload's partition.
pub fn loan(user: &UserId) -> String {
    format!("l#{user}")
}

/// Begins the sort key of a note that what stood at a place was deleted, in the conversation's partition.
pub const REDACTION: &str = "r#";

/// The note that what stood at a place was deleted: as many digits as any has, so that they sort as numbers do.
pub fn redaction(seq: Seq) -> String {
    format!("{REDACTION}{:020}", seq.get())
}

/// The place of such a note.
pub fn read_redaction(sk: &str) -> Option<Seq> {
    let digits = sk.strip_prefix(REDACTION)?;
    let digits = Some(digits).filter(|d| d.len() == 20 && d.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok().map(Seq::new)
}

/// Begins the keys of what a user has uploaded, in the media bucket. In base64, for what a user id may hold means
/// something in a path to some; and one ends where the slash is, so that no user's begins another's.
pub fn files(owner: &UserId) -> String {
    format!("{}/", URL_SAFE_NO_PAD.encode(owner.as_str()))
}

/// An upload's bytes, in the media bucket.
pub fn file(owner: &UserId, id: &MediaId) -> String {
    format!("{}{id}", files(owner))
}

/// Whose upload an object of the media bucket is.
pub fn read_file(key: &str) -> Option<(UserId, MediaId)> {
    let (owner, id) = key.split_once('/')?;
    let owner = String::from_utf8(URL_SAFE_NO_PAD.decode(owner).ok()?).ok()?;
    Some((UserId::parse(&owner).ok()?, MediaId::parse(id).ok()?))
}

/// Whose upload an item is, by its key; `None` for any other item.
pub fn read_upload(pk: &str, sk: &str) -> Option<(UserId, MediaId)> {
    let (id, owner) = (pk.strip_prefix(FILE)?, sk.strip_prefix(USER)?);
    Some((UserId::parse(owner).ok()?, MediaId::parse(id).ok()?))
}
