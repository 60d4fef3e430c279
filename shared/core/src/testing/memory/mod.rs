//! Every port over one lock. True to the contracts, and to nothing else of AWS.

mod connections;
mod conversations;
mod history;
mod outside;
mod people;

use crate::events::Report;
use crate::group::{GroupInfo, Invite, Member, Role};
use crate::ids::{ConnectionId, ConversationId, DeviceId, EndpointId, InviteId, Seq, UserId};
use crate::message::{Content, Entry};
use crate::metrics::NoMetrics;
use crate::people::Profile;
use crate::ports::{
    Account, Connection, Delivery, Devices, Endpoint, Floor, Job, MAX_EDITS, Notification,
    OwnState, Put, Sockets, UserConversation, Version, Watermarks, World,
};
use crate::services::{App, Settings};
use crate::testing::MemoryMedia;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Default)]
struct State {
    log: BTreeMap<ConversationId, BTreeMap<Seq, Entry>>,
    members: BTreeMap<ConversationId, BTreeMap<UserId, Member>>,
    info: BTreeMap<ConversationId, GroupInfo>,
    invites: BTreeMap<(ConversationId, InviteId), Invite>,
    rows: BTreeMap<UserId, BTreeMap<ConversationId, UserConversation>>,
    left: BTreeMap<UserId, BTreeSet<ConversationId>>,
    blocks: BTreeSet<(UserId, UserId)>,
    profiles: BTreeMap<UserId, Profile>,
    watches: BTreeMap<(UserId, UserId), u64>,
    /// What of a user's sockets is no connection.
    seen: BTreeMap<UserId, Sockets>,
    connections: BTreeMap<(UserId, DeviceId), Connection>,
    disabled_users: BTreeMap<UserId, u64>,
    gone: BTreeSet<ConnectionId>,
    closed: Vec<ConnectionId>,
    overloaded: BTreeSet<ConnectionId>,
    no_queue: bool,
    posts: Vec<(ConnectionId, String)>,
    jobs: Vec<(Job, u32)>,
    endpoints: BTreeMap<(UserId, DeviceId), Endpoint>,
    phones: BTreeSet<EndpointId>,
    forgotten: BTreeSet<EndpointId>,
    disabled: BTreeSet<EndpointId>,
    pushes_later: bool,
    pushes: Vec<(EndpointId, Notification)>,
    deliveries: Vec<Delivery>,
    receiver_refuses: bool,
    reports: Vec<Report>,
    ticks: u64,
    ids: u64,
    floors: BTreeMap<ConversationId, Floor>,
    timers: BTreeMap<ConversationId, u64>,
    objects: BTreeMap<(ConversationId, Seq), Vec<Entry>>,
    redactions: BTreeMap<ConversationId, BTreeSet<Seq>>,
    archive_is_out: bool,
}

/// Every port, in memory.
#[derive(Default)]
pub struct Memory(Mutex<State>, Arc<MemoryMedia>);

impl Memory {
    /// An `App` whose every port is this one.
    pub fn app(self: &Arc<Self>) -> App {
        App {
            log: self.clone(),
            cold: self.clone(),
            archive: self.clone(),
            conversations: self.clone(),
            people: self.clone(),
            connections: self.clone(),
            gateway: self.clone(),
            jobs: self.clone(),
            notifier: self.clone(),
            webhook: self.clone(),
            moderation: self.clone(),
            uploads: self.1.clone(),
            files: self.1.clone(),
            world: self.clone(),
            metrics: Arc::new(NoMetrics),
            usage: Arc::default(),
            settings: Settings::default(),
        }
    }

    /// Uploads and their bytes.
    pub fn media(&self) -> &MemoryMedia {
        &self.1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Every frame that was posted, in order.
    pub fn posts(&self) -> Vec<(ConnectionId, String)> {
        self.state().posts.clone()
    }

    /// Every job that was queued, in order.
    pub fn jobs(&self) -> Vec<Job> {
        self.state().jobs.iter().map(|(job, _)| job.clone()).collect()
    }

    /// The delay of each of [`Self::jobs`], s.
    pub fn delays(&self) -> Vec<u32> {
        self.state().jobs.iter().map(|(_, delay_s)| *delay_s).collect()
    }

    /// Every push that was accepted, in order.
    pub fn pushes(&self) -> Vec<(EndpointId, Notification)> {
        self.state().pushes.clone()
    }

    /// Every delivery that the receiver of webhooks took, in order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.state().deliveries.clone()
    }

    /// Whether the receiver of webhooks refuses from now on.
    pub fn refuse_webhooks(&self, refuses: bool) {
        self.state().receiver_refuses = refuses;
    }

    /// Every report, in order.
    pub fn reports(&self) -> Vec<Report> {
        self.state().reports.clone()
    }

    /// From now on the endpoint is disabled.
    pub fn disable(&self, endpoint: &EndpointId) {
        self.state().disabled.insert(endpoint.clone());
    }

    /// The endpoints that the push service has made, and has still.
    pub fn phones(&self) -> Vec<EndpointId> {
        self.state().phones.iter().cloned().collect()
    }

    /// Whether the push service is overloaded from now on.
    pub fn overload_pushes(&self, overloaded: bool) {
        self.state().pushes_later = overloaded;
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        self.state().ticks += ms;
    }

    /// From now on the connection answers 410.
    pub fn cut(&self, connection: &ConnectionId) {
        self.state().gone.insert(connection.clone());
    }

    /// Every connection that was closed from here, in order.
    pub fn closed(&self) -> Vec<ConnectionId> {
        self.state().closed.clone()
    }

    /// From now on posts to the connection are refused for now (429).
    pub fn overload(&self, connection: &ConnectionId) {
        self.state().overloaded.insert(connection.clone());
    }

    /// No more.
    pub fn relieve(&self, connection: &ConnectionId) {
        self.state().overloaded.remove(connection);
    }

    /// From now on nothing can be queued.
    pub fn stop_queue(&self) {
        self.state().no_queue = true;
    }

    /// Writes a founder's rows whatever stands in the log: the broken founding of a mutant.
    pub fn found_late(&self, group: &ConversationId, user: &UserId, role: Role) {
        let mut state = self.state();
        if !state.rows.get(user).is_some_and(|r| r.contains_key(group)) {
            state.write_row(user, group, Seq::FIRST, 0, OwnState::default());
            state.write_member(group, user, role, Seq::FIRST);
        }
    }

    /// The conversations whose timer has run out, which vanishes with that.
    pub fn expired_timers(&self) -> Vec<ConversationId> {
        let now = World::now_ms(self);
        let mut state = self.state();
        let over: Vec<_> =
            state.timers.iter().filter(|(_, at)| **at <= now).map(|(c, _)| c.clone()).collect();
        state.timers.retain(|_, at| *at > now);
        over
    }

    /// The seqs of the rows of a log.
    pub fn rows_of_log(&self, of: &ConversationId) -> Vec<u64> {
        self.state().log.get(of).into_iter().flatten().map(|(seq, _)| seq.get()).collect()
    }

    /// From now on no object can be read, or each again.
    pub fn put_archive_out(&self, out: bool) {
        self.state().archive_is_out = out;
    }

    /// Damages every object: reading one fails.
    pub fn lose_objects(&self) {
        self.state().objects.clear();
    }

    /// Puts an entry whatever stands at its place: the broken put of a mutant.
    pub fn overwrite(&self, entry: &Entry) {
        self.state()
            .log
            .entry(entry.conversation_id.clone())
            .or_default()
            .insert(entry.seq, entry.clone());
    }
}

fn is_gone(entry: &Entry) -> bool {
    matches!(entry.content, Content::Gone { .. })
}

/// Empties the target and its edits, those that are there.
fn delete_rows(log: &mut BTreeMap<Seq, Entry>, target: &Entry) {
    for seq in std::iter::once(&target.seq).chain(&target.edits) {
        if let Some(row) = log.get_mut(seq) {
            *row = row.deleted();
        }
    }
}

/// The version of an object: what it holds, in words.
fn version(entries: &[Entry]) -> Version {
    Version(serde_json::to_string(entries).unwrap_or_default())
}

impl State {
    fn devices(&self, users: &[UserId]) -> Devices {
        let connections = self.connections.values().filter(|c| users.contains(&c.user));
        let endpoints = self.endpoints.values().filter(|e| users.contains(&e.user));
        Devices {
            connections: connections.cloned().collect(),
            endpoints: endpoints.cloned().collect(),
        }
    }

    fn account(&self, user: &UserId) -> Account {
        Account {
            disabled_at: self.disabled_users.get(user).copied(),
            last_seen: self.seen.get(user).and_then(|seen| seen.last_seen),
            devices: self.devices(std::slice::from_ref(user)),
        }
    }

    fn put(&mut self, entry: &Entry) -> Put {
        let log = self.log.entry(entry.conversation_id.clone()).or_default();
        if log.contains_key(&entry.seq) {
            return Put::Taken;
        }
        log.insert(entry.seq, entry.clone());
        Put::Stored
    }

    fn put_changing(&mut self, entry: &Entry) -> Put {
        let log = self.log.entry(entry.conversation_id.clone()).or_default();
        let target = entry.content.target().and_then(|of| log.get(&of));
        let Some(target) = target.filter(|e| !is_gone(e)).cloned() else { return Put::Taken };
        if log.contains_key(&entry.seq) {
            return Put::Taken;
        }
        if let Content::Delete { .. } = entry.content {
            if !target.edits.iter().all(|edit| log.contains_key(edit)) {
                return Put::Taken;
            }
            delete_rows(log, &target);
        } else {
            if target.edits.len() >= MAX_EDITS {
                return Put::Taken;
            }
            let mut target = target;
            target.edits.push(entry.seq);
            log.insert(target.seq, target);
        }
        log.insert(entry.seq, entry.clone());
        Put::Stored
    }

    fn put_delete(&mut self, delete: &Entry, target: &Entry, floor: &Floor) -> Put {
        let of = &delete.conversation_id;
        let log = self.log.entry(of.clone()).or_default();
        let noted = self.redactions.entry(of.clone()).or_default();
        let stands = self.floors.get(of).map_or(0, |floor| floor.version);
        let row = log.get(&target.seq);
        let other = row.is_some_and(|row| is_gone(row) || row.edits != target.edits);
        let mut changed = std::iter::once(&target.seq).chain(&target.edits);
        let missing = changed.any(|seq| *seq > floor.archived && !log.contains_key(seq));
        if log.contains_key(&delete.seq)
            || stands != floor.version
            || noted.contains(&target.seq)
            || is_gone(target)
            || other
            || missing
        {
            return Put::Taken;
        }
        delete_rows(log, target);
        let changed = std::iter::once(&target.seq).chain(&target.edits);
        noted.extend(changed.filter(|seq| **seq <= floor.closing));
        log.insert(delete.seq, delete.clone());
        Put::Stored
    }

    fn sockets(&self, user: &UserId) -> Sockets {
        let enabled = !self.disabled_users.contains_key(user);
        let connections = self.connections.values().filter(|c| c.user == *user && enabled);
        let connections = connections.cloned().collect();
        Sockets { connections, ..self.seen.get(user).cloned().unwrap_or_default() }
    }

    fn write_row(
        &mut self,
        user: &UserId,
        conversation: &ConversationId,
        joined: Seq,
        read_ordinal: u64,
        own: OwnState,
    ) {
        self.rows.entry(user.clone()).or_default().insert(
            conversation.clone(),
            UserConversation {
                conversation: conversation.clone(),
                joined,
                marks: Watermarks { read_ordinal, ..Watermarks::default() },
                own,
            },
        );
    }

    fn write_member(&mut self, group: &ConversationId, user: &UserId, role: Role, joined: Seq) {
        let member = Member { user: user.clone(), role, joined };
        self.members.entry(group.clone()).or_default().insert(user.clone(), member);
    }
}
