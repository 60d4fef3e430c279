//! What is stored: the log, the rows, the connections and the endpoints, as the tables hold them. Each write is a value,
//! so that it can also have its effect later than the call that made it. `rules` looks at every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use petrel_core::group::{GroupInfo, Invite, Member, Role};
use petrel_core::ids::{
    ConnectionId, ConversationId, DeviceId, EndpointId, InviteId, MediaId, MessageId, Seq, UserId,
};
use petrel_core::media::{Keep, Upload, UploadState};
use petrel_core::message::{Content, Entry, GroupChange, Why};
use petrel_core::people::{Audience, Profile, ProfileChange};
use petrel_core::ports::{
    Account, Change, Connection, Devices, Endpoint, Floor, OwnState, Precondition, Put, Sockets,
    UserConversation, Version, Watermarks,
};

use crate::media::Media;
use crate::stale::Before;
use crate::standing::Standing;

/// Who belongs to a conversation at a place of its log, and since where.
pub type Tenures = Arc<BTreeMap<UserId, Seq>>;

/// One entry as it was stored first, whatever a table holds now.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The entry.
    pub entry: Entry,
    /// When, in moments.
    pub moment: u64,
    /// When, ms since 1970.
    pub at: u64,
    /// Whether it came over a socket that no row named when it came.
    pub strayed: bool,
    /// Who belongs once it stands.
    pub members: Tenures,
    /// What holds once it stands.
    pub standing: Arc<Standing>,
}

impl Stored {
    /// Whether this user may see it: a member at this place, or one whom it removes.
    pub fn readable(&self, user: &UserId) -> bool {
        self.members.contains_key(user) || self.removes(user)
    }

    fn removes(&self, user: &UserId) -> bool {
        matches!(&self.entry.content,
            Content::System { change: GroupChange::Removed { members, .. } } if members.contains(user))
    }
}

/// One conversation's log.
#[derive(Clone, Debug, Default)]
pub struct LogOf {
    /// What the table holds.
    pub table: BTreeMap<Seq, Entry>,
    /// What was ever stored, in order.
    pub history: Vec<Stored>,
    /// When what stood at a place was deleted, in moments; of edits of what was deleted too.
    pub deleted: BTreeMap<Seq, u64>,
    /// Where each message was stored.
    pub places: BTreeMap<(UserId, MessageId), Seq>,
}

impl LogOf {
    /// The last place.
    pub fn head(&self) -> Seq {
        self.history.last().map_or(Seq::ZERO, |s| s.entry.seq)
    }

    /// The places of the edits of an entry.
    pub fn edits_of(&self, target: Seq) -> impl Iterator<Item = Seq> {
        let edits = self.history.iter().filter(
            move |s| matches!(s.entry.content, Content::Edit { target: of, .. } if of == target),
        );
        edits.map(|s| s.entry.seq)
    }

    /// An entry as it must lie wherever it lies: with its edits noted, or as its delete left it.
    pub fn expected(&self, stored: &Entry) -> Entry {
        let whole = self.whole(stored);
        if self.deleted.contains_key(&stored.seq) { whole.deleted() } else { whole }
    }

    /// An entry with its edits noted, deleted or not.
    pub fn whole(&self, stored: &Entry) -> Entry {
        Entry { edits: self.edits_of(stored.seq).collect(), ..stored.clone() }
    }

    /// What was stored at a place.
    pub fn at(&self, seq: Seq) -> Option<&Stored> {
        self.history.get(usize::try_from(seq.get().checked_sub(1)?).ok()?)
    }
}

/// A connection's row, and since when (in moments) it stands without a break.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The row.
    pub connection: Connection,
    /// Since when.
    pub since: u64,
}

/// Something that is so or not, and since when, in moments.
#[derive(Clone, Copy, Debug)]
pub struct Since {
    /// Whether it is.
    pub on: bool,
    /// Since when.
    pub at: u64,
}

impl Since {
    /// Whether it was so all the while since `began`.
    pub fn holds(self, began: u64) -> bool {
        self.on && self.at < began
    }

    /// Whether it was so at some time since `began`.
    pub fn touches(self, began: u64) -> bool {
        self.on || self.at >= began
    }
}

/// The tables.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// Every conversation's log.
    pub logs: BTreeMap<ConversationId, LogOf>,
    /// Every user's list.
    pub rows: BTreeMap<UserId, BTreeMap<ConversationId, UserConversation>>,
    /// Since when (in moments) each user has chosen what his rows say.
    pub chosen: BTreeMap<(UserId, ConversationId), u64>,
    /// Every group's members.
    pub members: BTreeMap<ConversationId, BTreeMap<UserId, Member>>,
    /// What holds for every group.
    pub info: BTreeMap<ConversationId, GroupInfo>,
    /// Of every user, the groups that he is noted to have left.
    pub left: BTreeMap<UserId, BTreeSet<ConversationId>>,
    /// Every group's invites.
    pub invites: BTreeMap<ConversationId, BTreeMap<InviteId, Invite>>,
    /// Every user's profile.
    pub profiles: BTreeMap<UserId, Profile>,
    /// Who hides what he has read.
    pub hides: BTreeMap<UserId, Since>,
    /// Who blocks whom.
    pub blocks: BTreeMap<(UserId, UserId), Since>,
    /// Who may see whose presence, and since when, in moments.
    pub audiences: BTreeMap<UserId, (Audience, u64)>,
    /// Who watches whom, until when.
    pub watches: BTreeMap<UserId, BTreeMap<UserId, u64>>,
    /// What stands beside a user's sockets.
    pub beside: BTreeMap<UserId, Sockets>,
    /// Whether a user has sockets.
    pub online: BTreeMap<UserId, Since>,
    /// Every device's socket.
    pub connections: BTreeMap<UserId, BTreeMap<DeviceId, Registered>>,
    /// Since when whom an operator has disabled is, ms since 1970.
    pub disabled: BTreeMap<UserId, u64>,
    /// Until when (in moments) a user was disabled last.
    pub disabled_until: BTreeMap<UserId, u64>,
    /// Every device's endpoint, and since when.
    pub endpoints: BTreeMap<UserId, BTreeMap<DeviceId, (Endpoint, u64)>>,
    /// What is archived of every conversation.
    pub cold: BTreeMap<ConversationId, ColdOf>,
    /// How long messages are kept where nobody has chosen anything else, ms.
    pub retention_ms: u64,
    /// Files.
    pub media: Media,
    /// What stood before, for reads that may be stale.
    pub before: Before,
    /// Since when (ms since 1970) who wants to hide what he is written does.
    pub hides_previews: BTreeMap<UserId, u64>,
    /// Everything that a user ever chose for a conversation, by its version.
    pub chose: BTreeMap<(UserId, ConversationId), BTreeMap<u64, OwnState>>,
    /// When each row was written anew, in moments.
    pub written: BTreeMap<(UserId, ConversationId), u64>,
    /// When something was noted last beside a user's sockets, or of who watches him, in moments.
    pub noted: BTreeMap<UserId, u64>,
    /// When each user was disabled, ms since 1970 by the clock on the wall.
    pub disabled_since: BTreeMap<UserId, u64>,
}

/// What is archived.
#[derive(Clone, Debug, Default)]
pub struct ColdOf {
    /// Where the table begins.
    pub floor: Floor,
    /// Whether the conversation has a timer.
    pub timer: bool,
    /// The objects, by their last seq.
    pub objects: BTreeMap<Seq, Vec<Entry>>,
    /// What was deleted and is not yet so in the objects.
    pub redactions: BTreeSet<Seq>,
}

/// The version of an object: what it holds, in words.
pub fn version(entries: &[Entry]) -> Version {
    Version(serde_json::to_string(entries).unwrap_or_default())
}

/// A write, as a value.
#[derive(Clone, Debug)]
pub enum Write {
    /// `Log::put`.
    Put(Entry),
    /// `Log::put_changing`.
    PutChanging(Entry),
    /// `Conversations::set_own`.
    Own(UserId, ConversationId, u64, OwnState),
    /// A row of `Conversations::open`.
    Open(ConversationId, UserId),
    /// A member of `Conversations::found`.
    Found(ConversationId, GroupInfo, UserId, Role),
    /// `Conversations::change`.
    Change(Change),
    /// `Conversations::set_invite`.
    SetInvite(Invite),
    /// `Conversations::remove_invite`.
    RemoveInvite(ConversationId, InviteId),
    /// A note of `Conversations::note_left`.
    NoteLeft(ConversationId, UserId),
    /// `Conversations::forget_left`.
    ForgetLeft(ConversationId, UserId),
    /// `Conversations::advance`.
    Advance(UserId, ConversationId, Watermarks, Watermarks),
    /// `People::set_profile`.
    SetProfile(UserId, ProfileChange),
    /// `People::block` and, with `false`, `unblock`.
    Block(UserId, UserId, bool),
    /// `People::watch`.
    Watch(UserId, UserId, u64),
    /// `Connections::watched`.
    Watched(UserId, u64),
    /// `Connections::set_away`.
    SetAway(UserId, bool),
    /// `Connections::register`.
    Register(Connection),
    /// `Connections::remove`.
    Remove(UserId, DeviceId, ConnectionId, u64),
    /// `Connections::set_endpoint`.
    SetEndpoint(Endpoint),
    /// `Connections::remove_endpoint`.
    RemoveEndpoint(Endpoint),
    /// Half of `Notifier::endpoint`: the token's endpoint, made for this user or found.
    MakeEndpoint(String, UserId),
    /// The other half: it is enabled, and this user's.
    EnableEndpoint(EndpointId, UserId),
    /// `Notifier::remove`.
    ForgetEndpoint(EndpointId),
    /// `Cold::move_floor`.
    MoveFloor(ConversationId, Floor, Floor),
    /// `Cold::set_timer` and `Cold::keep_timer`.
    SetTimer(ConversationId),
    /// Some rows of `Cold::remove`.
    RemoveRows(ConversationId, Seq, Seq),
    /// `Cold::put_delete`: the delete, its target as it was read, and the floor.
    PutDelete(Box<(Entry, Entry, Floor)>),
    /// Some notes of `Cold::remove_redactions`.
    RemoveRedactions(ConversationId, Vec<Seq>),
    /// `Archive::put`.
    PutObject(Vec<Entry>, Precondition),
    /// `Archive::delete`.
    DeleteObject(ConversationId, Seq),
    /// `Connections::set_disabled`.
    SetDisabled(UserId, Option<u64>),
    /// `Cold::empty`.
    Empty(ConversationId, Seq, Why),
    /// `Cold::erase`: whom, the entries as they were read, the floor, and which rows were there of what is archived.
    Erase(Box<(UserId, Vec<Entry>, Floor, BTreeSet<Seq>)>),
    /// Some items of `People::erase`.
    EraseOwn(UserId, Vec<Own>),
    /// What `People::erase` does beside the sockets.
    EraseBeside(UserId),
    /// `Uploads::announce`.
    Announce(Box<Upload>),
    /// `Uploads::set_state`.
    SetUploadState(UserId, MediaId, Vec<UploadState>, UploadState),
    /// `Uploads::keep`.
    KeepUpload(UserId, MediaId, u64, Keep),
    /// `Uploads::lend`.
    Lend(MediaId, UserId, u64),
    /// `Files::remove`.
    RemoveFile(UserId, MediaId),
    /// `Uploads::forget`.
    ForgetUpload(UserId, MediaId),
}

/// Something that is kept of a user by himself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// Whom he blocks.
    Block(UserId),
    /// A row of his list.
    Row(ConversationId),
    /// What he shows.
    Profile,
    /// Who watches him.
    Watcher(UserId),
}

/// What a write came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// It had its effect.
    Yes,
    /// It had none: its condition did not hold.
    No,
    /// It had its effect, and this stands now.
    Sockets(Sockets),
    /// A socket was registered: this stands now, and it took this one's place.
    Registered(Sockets, Option<Connection>),
    /// A user is enabled or disabled now, or was found disabled.
    Account(Account),
    /// The push service has made or found this endpoint.
    Endpoint(EndpointId),
    /// An endpoint stands on its device, where this one stood.
    Replaced(Endpoint),
}

impl Wrote {
    /// What stands now, if it had its effect.
    pub fn sockets(self) -> Option<Sockets> {
        match self {
            Self::Sockets(sockets) => Some(sockets),
            _ => None,
        }
    }

    /// As the answer of a put.
    pub fn put(&self) -> Put {
        if *self == Self::Yes { Put::Stored } else { Put::Taken }
    }
}

impl Truth {
    /// The log of a conversation, also if nothing stands in it.
    pub fn log(&self, of: &ConversationId) -> Option<&LogOf> {
        self.logs.get(of).filter(|log| !log.history.is_empty())
    }

    /// Who belongs now, and since where. Of a direct conversation both, whether it exists or not.
    pub fn tenures(&self, of: &ConversationId) -> Tenures {
        match (self.log(of), of.pair()) {
            (Some(log), _) => log.history.last().map(|s| s.members.clone()).unwrap_or_default(),
            (None, Some((a, b))) => Arc::new([(a, Seq::FIRST), (b, Seq::FIRST)].into()),
            (None, None) => Arc::default(),
        }
    }

    /// What holds now.
    pub fn standing(&self, of: &ConversationId) -> Arc<Standing> {
        let last = self.log(of).and_then(|log| log.history.last());
        last.map(|s| s.standing.clone()).unwrap_or_default()
    }

    /// `Log::newest` on a table that ends at `last`.
    pub fn newest(
        &self,
        of: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
        last: Seq,
    ) -> Vec<Entry> {
        let end = before.unwrap_or(last.next()).min(last.next());
        let Some(log) = self.logs.get(of).filter(|_| from < end) else { return vec![] };
        log.table.range(from..end).rev().take(limit).map(|(_, e)| e.clone()).collect()
    }

    /// `Log::after`.
    pub fn entries_after(&self, of: &ConversationId, after: Seq, limit: usize) -> Vec<Entry> {
        let Some(log) = self.logs.get(of) else { return vec![] };
        log.table.range(after.next()..).take(limit).map(|(_, e)| e.clone()).collect()
    }

    /// `Connections::of`.
    pub fn devices(&self, users: &[UserId]) -> Devices {
        let mut found = Devices::default();
        let mut users: Vec<&UserId> = users.iter().collect();
        users.sort();
        users.dedup();
        for user in users {
            if self.disabled.contains_key(user) {
                continue;
            }
            let connections = self.connections.get(user).into_iter().flatten();
            found.connections.extend(connections.map(|(_, r)| r.connection.clone()));
            let endpoints = self.endpoints.get(user).into_iter().flatten();
            found.endpoints.extend(endpoints.map(|(_, (e, _))| e.clone()));
        }
        found
    }

    /// `Connections::account`.
    pub fn account(&self, user: &UserId) -> Account {
        let mut devices = Devices::default();
        let connections = self.connections.get(user).into_iter().flatten();
        devices.connections.extend(connections.map(|(_, r)| r.connection.clone()));
        let endpoints = self.endpoints.get(user).into_iter().flatten();
        devices.endpoints.extend(endpoints.map(|(_, (e, _))| e.clone()));
        let last_seen = self.beside.get(user).and_then(|beside| beside.last_seen);
        Account { disabled_at: self.disabled.get(user).copied(), last_seen, devices }
    }

    /// A user's row.
    pub fn row(&self, user: &UserId, of: &ConversationId) -> Option<&UserConversation> {
        self.rows.get(user)?.get(of)
    }

    /// Writes a row anew.
    pub fn write_row(
        &mut self,
        user: &UserId,
        of: &ConversationId,
        joined: Seq,
        ordinal: u64,
        own: OwnState,
        moment: u64,
    ) {
        let row = UserConversation {
            conversation: of.clone(),
            joined,
            marks: Watermarks { read_ordinal: ordinal, ..Watermarks::default() },
            own,
        };
        self.chose.entry((user.clone(), of.clone())).or_default().insert(own.version, own);
        self.rows.entry(user.clone()).or_default().insert(of.clone(), row);
        self.written.insert((user.clone(), of.clone()), moment);
    }

    /// Writes a member's row anew.
    pub fn write_member(&mut self, group: &ConversationId, user: &UserId, role: Role, joined: Seq) {
        let member = Member { user: user.clone(), role, joined };
        self.members.entry(group.clone()).or_default().insert(user.clone(), member);
    }

    /// What a user has.
    pub fn sockets(&self, user: &UserId) -> Sockets {
        let connections = self.devices(std::slice::from_ref(user)).connections;
        Sockets { connections, ..self.beside.get(user).cloned().unwrap_or_default() }
    }

    /// Whether `user` has hidden from `who` all the while since `began` whether he is online.
    pub fn hidden(&self, who: &UserId, user: &UserId, began: u64) -> bool {
        let blocked = self.blocked(who, user, began) || self.blocked(user, who, began);
        let (audience, at) = self.audiences.get(user).copied().unwrap_or_default();
        let contact = self.row(user, &ConversationId::direct(who, user)).is_some();
        let listed = match audience {
            Audience::Everyone => true,
            Audience::Contacts => contact,
            Audience::Nobody => false,
        };
        who != user && (blocked || at < began && !listed)
    }

    /// Whether `owner` has blocked `other` all the while since `began`.
    pub fn blocked(&self, owner: &UserId, other: &UserId, began: u64) -> bool {
        let block = self.blocks.get(&(owner.clone(), other.clone()));
        block.is_some_and(|b| b.holds(began))
    }

    /// Whether `owner` has blocked `other` at some time since `began`.
    pub fn may_be_blocked(&self, owner: &UserId, other: &UserId, began: u64) -> bool {
        let block = self.blocks.get(&(owner.clone(), other.clone()));
        block.is_some_and(|b| b.touches(began))
    }

    /// Whom `owner` blocks.
    pub fn blocked_by<'a>(&'a self, owner: &'a UserId) -> impl Iterator<Item = &'a UserId> {
        let of_owner = self.blocks.iter().filter(move |((o, _), b)| o == owner && b.on);
        of_owner.map(|((_, other), _)| other)
    }

    /// Whether the place is free.
    pub fn is_free(&self, of: &ConversationId, seq: Seq) -> bool {
        self.logs.get(of).is_none_or(|log| !log.table.contains_key(&seq))
    }

    /// Whether what was stored at a place was deleted, or its time is over, or nothing was.
    pub fn is_gone(&self, of: &ConversationId, seq: Seq) -> bool {
        let gone = self.cold.get(of).is_some_and(|cold| seq <= cold.floor.gone);
        gone || self
            .logs
            .get(of)
            .is_none_or(|log| log.at(seq).is_none() || log.deleted.contains_key(&seq))
    }

    /// Empties the rows of an entry and of the edits that are noted there, those that are in the table. From then on
    /// nothing may show what it or any edit of it said.
    pub fn delete(&mut self, of: &ConversationId, target: &Entry, moment: u64) {
        let Some(log) = self.logs.get_mut(of) else { return };
        for seq in std::iter::once(&target.seq).chain(&target.edits) {
            if let Some(row) = log.table.get_mut(seq) {
                *row = row.deleted();
            }
        }
        let seqs: Vec<Seq> = log.edits_of(target.seq).chain([target.seq]).collect();
        log.deleted.extend(seqs.into_iter().map(|seq| (seq, moment)));
    }

    /// Whether a row names this socket.
    pub fn knows(&self, connection: &Connection) -> bool {
        let devices = self.connections.get(&connection.user);
        let row = devices.and_then(|devices| devices.get(&connection.device));
        row.is_some_and(|row| row.connection.id == connection.id)
    }

    /// Stands an entry in the table and, if its place is new, in the history.
    pub fn store(&mut self, entry: &Entry, moment: u64, at: u64, strayed: bool) {
        let before = self.tenures(&entry.conversation_id);
        let standing = self.standing(&entry.conversation_id);
        let log = self.logs.entry(entry.conversation_id.clone()).or_default();
        log.table.insert(entry.seq, entry.clone());
        log.places.insert((entry.sender_id.clone(), entry.message_id), entry.seq);
        if entry.seq == log.head().next() {
            let members = changed(before, entry);
            let standing = match &entry.content {
                Content::System { .. } => Arc::new(standing.after(entry)),
                _ => standing,
            };
            log.history.push(Stored {
                entry: entry.clone(),
                moment,
                at,
                strayed,
                members,
                standing,
            });
        }
    }
}

/// Who belongs once the entry stands.
fn changed(before: Tenures, entry: &Entry) -> Tenures {
    let Content::System { change } = &entry.content else { return before };
    let mut members = (*before).clone();
    match change {
        GroupChange::Created { members: named, .. } | GroupChange::Added { members: named } => {
            members.extend(named.iter().map(|u| (u.clone(), entry.seq)));
        }
        GroupChange::Removed { members: named, .. } => members.retain(|u, _| !named.contains(u)),
        GroupChange::Role { .. } | GroupChange::Updated { .. } => {}
    }
    Arc::new(members)
}
