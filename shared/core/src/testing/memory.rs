//! Every port over one lock. True to the contracts, and to nothing else of AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::events::Report;
use crate::group::{GroupInfo, Invite, Member, Role, Roster};
use crate::ids::{ConnectionId, ConversationId, DeviceId, EndpointId, InviteId, Seq, UserId};
use crate::message::{Content, Entry, Why};
use crate::metrics::NoMetrics;
use crate::people::{Profile, ProfileChange};
use crate::ports::{
    Account, Archive, Change, Cold, Connection, Connections, Conversations, Delivery, Devices,
    Endpoint, Floor, Gateway, Hooked, Job, Jobs, Log, MAX_EDITS, Moderation, Notification,
    Notifier, Object, OwnState, People, Platform, Posted, Precondition, Pushed, Put, Regard,
    Registered, Sockets, UserConversation, Version, Watermarks, Webhook, World,
};
use crate::services::{App, Settings};
use crate::testing::MemoryMedia;

#[derive(Default)]
struct State {
    log: BTreeMap<ConversationId, BTreeMap<Seq, Entry>>,
    members: BTreeMap<ConversationId, BTreeMap<UserId, Member>>,
    info: BTreeMap<ConversationId, GroupInfo>,
    invites: BTreeMap<(ConversationId, InviteId), Invite>,
    rows: BTreeMap<UserId, BTreeMap<ConversationId, UserConversation>>,
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

#[async_trait]
impl Log for Memory {
    async fn newest(
        &self,
        conversation: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let end = before.unwrap_or(Seq::new(u64::MAX));
        if end <= from {
            return Ok(vec![]);
        }
        let state = self.state();
        let Some(log) = state.log.get(conversation) else { return Ok(vec![]) };
        Ok(log.range(from..end).rev().take(limit).map(|(_, e)| e.clone()).collect())
    }

    async fn after(
        &self,
        conversation: &ConversationId,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let state = self.state();
        let Some(log) = state.log.get(conversation) else { return Ok(vec![]) };
        Ok(log.range(after.next()..).take(limit).map(|(_, e)| e.clone()).collect())
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        Ok(self.state().put(entry))
    }

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        Ok(self.state().put_changing(entry))
    }
}

#[async_trait]
impl Cold for Memory {
    async fn floor(&self, of: &ConversationId) -> Result<Floor> {
        Ok(self.state().floors.get(of).cloned().unwrap_or_default())
    }

    async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool> {
        let mut state = self.state();
        let stands = state.floors.entry(of.clone()).or_default();
        if stands.version != old.version {
            return Ok(false);
        }
        *stands = Floor { version: old.version + 1, ..new.clone() };
        Ok(true)
    }

    async fn put_delete(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put> {
        Ok(self.state().put_delete(delete, target, floor))
    }

    async fn erase(&self, of: &ConversationId, entries: &[Entry], floor: &Floor) -> Result<bool> {
        let state = &mut *self.state();
        if state.floors.get(of).map_or(0, |floor| floor.version) != floor.version {
            return Ok(false);
        }
        let log = state.log.entry(of.clone()).or_default();
        if entries.iter().any(|e| e.seq > floor.archived && !log.contains_key(&e.seq)) {
            return Ok(false);
        }
        let noted = state.redactions.entry(of.clone()).or_default();
        for entry in entries {
            if let Some(row) = log.get_mut(&entry.seq) {
                *row = row.deleted();
            }
            if entry.seq <= floor.closing {
                noted.insert(entry.seq);
            }
        }
        Ok(true)
    }

    async fn redactions(
        &self,
        of: &ConversationId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>> {
        let state = self.state();
        let noted = state.redactions.get(of).into_iter().flatten();
        Ok(noted.filter(|s| (from..=through).contains(s)).take(limit).copied().collect())
    }

    async fn remove_redactions(&self, of: &ConversationId, seqs: &[Seq]) -> Result<()> {
        if let Some(noted) = self.state().redactions.get_mut(of) {
            noted.retain(|seq| !seqs.contains(seq));
        }
        Ok(())
    }

    async fn set_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
        self.state().timers.insert(of.clone(), at);
        Ok(())
    }

    async fn keep_timer(&self, of: &ConversationId, at: u64) -> Result<()> {
        self.state().timers.entry(of.clone()).or_insert(at);
        Ok(())
    }

    async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
        if let Some(log) = self.state().log.get_mut(of) {
            log.retain(|seq, _| *seq < from || *seq > through);
        }
        Ok(())
    }

    async fn empty(&self, of: &ConversationId, seq: Seq, why: Why) -> Result<()> {
        if let Some(entry) = self.state().log.get_mut(of).and_then(|log| log.get_mut(&seq)) {
            entry.content = Content::Gone { why };
        }
        Ok(())
    }
}

#[async_trait]
impl Archive for Memory {
    async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool> {
        let last = stretch.last().ok_or_else(|| Error::port("an empty stretch"))?;
        let key = (last.conversation_id.clone(), last.seq);
        let mut state = self.state();
        let stands = state.objects.get(&key).map(|stands| version(stands));
        let holds = match only_if {
            Precondition::Absent => stands.is_none(),
            Precondition::Is(version) => stands.as_ref() == Some(version),
        };
        if holds {
            state.objects.insert(key, stretch.to_vec());
        }
        Ok(holds)
    }

    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>> {
        let state = self.state();
        if state.archive_is_out {
            return Err(Error::port("the archive is out"));
        }
        let found = state.objects.get(&(of.clone(), last));
        Ok(found.map(|entries| Object { version: version(entries), entries: entries.clone() }))
    }

    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
        let state = self.state();
        let named = state.objects.range((of.clone(), from)..);
        Ok(named.take_while(|((c, _), _)| c == of).take(limit).map(|((_, s), _)| *s).collect())
    }

    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()> {
        self.state().objects.remove(&(of.clone(), last));
        Ok(())
    }
}

#[async_trait]
impl Conversations for Memory {
    async fn roster(&self, group: &ConversationId, limit: usize) -> Result<Roster> {
        let state = self.state();
        let members = state.members.get(group).into_iter().flat_map(BTreeMap::values);
        let members = members.take(limit).cloned().collect();
        Ok(Roster { info: state.info.get(group).cloned(), members })
    }

    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()> {
        let mut state = self.state();
        for user in users {
            if !state.rows.get(user).is_some_and(|r| r.contains_key(direct)) {
                state.write_row(user, direct, Seq::FIRST, 0, OwnState::default());
            }
        }
        Ok(())
    }

    async fn found(
        &self,
        group: &ConversationId,
        info: &GroupInfo,
        members: &[(UserId, Role)],
    ) -> Result<Put> {
        let mut state = self.state();
        if state.log.get(group).is_some_and(|log| log.contains_key(&Seq::FIRST)) {
            return Ok(Put::Taken);
        }
        state.info.insert(group.clone(), info.clone());
        for (user, role) in members {
            state.write_row(user, group, Seq::FIRST, 0, OwnState::default());
            state.write_member(group, user, *role, Seq::FIRST);
        }
        Ok(Put::Stored)
    }

    async fn change(&self, change: &Change) -> Result<Put> {
        let mut state = self.state();
        let entry = &change.entry;
        let group = &entry.conversation_id;
        let invited = |i: &InviteId| state.invites.contains_key(&(group.clone(), i.clone()));
        if !change.invite.as_ref().is_none_or(invited) || state.put(entry) == Put::Taken {
            return Ok(Put::Taken);
        }
        for user in &change.added {
            state.write_row(user, group, entry.seq, entry.ordinal, OwnState::anew(entry.sent_at));
            state.write_member(group, user, Role::Member, entry.seq);
        }
        for member in &change.roles {
            state.write_member(group, &member.user, member.role, member.joined);
        }
        if let Some(info) = &change.info {
            state.info.insert(group.clone(), info.clone());
        }
        for user in &change.removed {
            if let Some(rows) = state.rows.get_mut(user) {
                rows.remove(group);
            }
            if let Some(members) = state.members.get_mut(group) {
                members.remove(user);
            }
        }
        Ok(Put::Stored)
    }

    async fn set_invite(&self, invite: &Invite) -> Result<()> {
        let key = (invite.group.clone(), invite.id.clone());
        self.state().invites.insert(key, invite.clone());
        Ok(())
    }

    async fn invite(&self, group: &ConversationId, id: &InviteId) -> Result<Option<Invite>> {
        Ok(self.state().invites.get(&(group.clone(), id.clone())).cloned())
    }

    async fn invites(&self, group: &ConversationId, limit: usize) -> Result<Vec<Invite>> {
        let state = self.state();
        let of_group = state.invites.values().filter(|i| i.group == *group);
        Ok(of_group.take(limit).cloned().collect())
    }

    async fn remove_invite(&self, group: &ConversationId, id: &InviteId) -> Result<()> {
        self.state().invites.remove(&(group.clone(), id.clone()));
        Ok(())
    }

    async fn row(&self, user: &UserId, of: &ConversationId) -> Result<Option<UserConversation>> {
        Ok(self.state().rows.get(user).and_then(|r| r.get(of)).cloned())
    }

    async fn rows(
        &self,
        user: &UserId,
        page: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<UserConversation>> {
        let state = self.state();
        let Some(rows) = state.rows.get(user) else { return Ok(vec![]) };
        Ok(rows
            .values()
            .filter(|r| page.is_none_or(|p| r.conversation > *p))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn advance(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<bool> {
        let mut state = self.state();
        match state.rows.get_mut(user).and_then(|r| r.get_mut(of)) {
            Some(row) if row.marks == old => {
                row.marks = new;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn set_own(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: u64,
        new: OwnState,
    ) -> Result<bool> {
        let mut state = self.state();
        match state.rows.get_mut(user).and_then(|r| r.get_mut(of)) {
            Some(row) if row.own.version == old => {
                row.own = new;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    async fn rows_of(
        &self,
        conversation: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        let state = self.state();
        let row = |u: &UserId| Some((u.clone(), state.rows.get(u)?.get(conversation)?.clone()));
        Ok(users.iter().filter_map(row).collect())
    }

    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool> {
        Ok(self.state().blocks.contains(&(owner.clone(), other.clone())))
    }
}

#[async_trait]
impl People for Memory {
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        let state = self.state();
        let users: BTreeSet<&UserId> = users.iter().collect();
        let profile = |u: &UserId| Some((u.clone(), state.profiles.get(u)?.clone()));
        Ok(users.into_iter().filter_map(profile).collect())
    }

    async fn set_profile(&self, user: &UserId, change: &ProfileChange) -> Result<Profile> {
        let mut state = self.state();
        let profile = state.profiles.entry(user.clone()).or_default();
        change.apply(profile);
        Ok(profile.clone())
    }

    async fn row_and_profile(
        &self,
        user: &UserId,
        of: &ConversationId,
    ) -> Result<(Option<UserConversation>, Profile)> {
        let state = self.state();
        let row = state.rows.get(user).and_then(|r| r.get(of)).cloned();
        Ok((row, state.profiles.get(user).cloned().unwrap_or_default()))
    }

    async fn block(&self, owner: &UserId, other: &UserId) -> Result<()> {
        self.state().blocks.insert((owner.clone(), other.clone()));
        Ok(())
    }

    async fn unblock(&self, owner: &UserId, other: &UserId) -> Result<()> {
        self.state().blocks.remove(&(owner.clone(), other.clone()));
        Ok(())
    }

    async fn blocked(
        &self,
        owner: &UserId,
        page: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        let state = self.state();
        let of_owner = state.blocks.iter().filter(|(o, _)| o == owner).map(|(_, other)| other);
        Ok(of_owner.filter(|u| page.is_none_or(|p| *u > p)).take(limit).cloned().collect())
    }

    async fn regards(&self, pairs: &[(UserId, UserId)]) -> Result<Vec<Regard>> {
        let state = self.state();
        let blocks = |a: &UserId, b: &UserId| state.blocks.contains(&(a.clone(), b.clone()));
        let regard = |(who, user): &(UserId, UserId)| Regard {
            presence: state.profiles.get(user).map(|p| p.presence).unwrap_or_default(),
            contact: state
                .rows
                .get(user)
                .is_some_and(|r| r.contains_key(&ConversationId::direct(who, user))),
            blocked: blocks(who, user) || blocks(user, who),
        };
        Ok(pairs.iter().map(regard).collect())
    }

    async fn watch(&self, user: &UserId, watcher: &UserId, until: u64) -> Result<()> {
        self.state().watches.insert((user.clone(), watcher.clone()), until);
        Ok(())
    }

    async fn watchers(&self, user: &UserId, now: u64, limit: usize) -> Result<Vec<UserId>> {
        let state = self.state();
        let live = state.watches.iter().filter(|((u, _), until)| u == user && **until > now);
        Ok(live.take(limit).map(|((_, watcher), _)| watcher.clone()).collect())
    }

    async fn erase(&self, user: &UserId, limit: usize) -> Result<bool> {
        let mut state = self.state();
        let mut left = limit;
        let mut take = || left.checked_sub(1).map(|rest| left = rest).is_some();
        state.blocks.retain(|(owner, _)| owner != user || !take());
        if let Some(rows) = state.rows.get_mut(user) {
            rows.retain(|of, _| of.pair().is_none() || !take());
        }
        state.profiles.retain(|owner, _| owner != user || !take());
        state.watches.retain(|(watched, _), _| watched != user || !take());
        if left == 0 {
            return Ok(true);
        }
        state.seen.remove(user);
        Ok(false)
    }

    async fn blockers(&self, users: &[UserId], other: &UserId) -> Result<BTreeSet<UserId>> {
        let state = self.state();
        let blocks = |u: &&UserId| state.blocks.contains(&((*u).clone(), other.clone()));
        Ok(users.iter().filter(blocks).cloned().collect())
    }
}

#[async_trait]
impl Connections for Memory {
    async fn register(&self, connection: &Connection) -> Result<Option<Registered>> {
        let mut state = self.state();
        if state.disabled_users.contains_key(&connection.user) {
            return Err(Error::disabled());
        }
        let key = (connection.user.clone(), connection.device.clone());
        let newer =
            state.connections.get(&key).is_some_and(|c| c.connected_at > connection.connected_at);
        if newer {
            return Ok(None);
        }
        let stood = state.connections.insert(key, connection.clone());
        state.seen.entry(connection.user.clone()).or_default();
        let displaced = stood.filter(|c| c.id != connection.id);
        Ok(Some(Registered { sockets: state.sockets(&connection.user), displaced }))
    }

    async fn remove(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
        now: u64,
    ) -> Result<Option<Sockets>> {
        let mut state = self.state();
        let key = (user.clone(), device.clone());
        if state.connections.get(&key).is_none_or(|c| c.id != *id) {
            return Ok(None);
        }
        state.connections.remove(&key);
        state.seen.entry(user.clone()).or_default().last_seen = Some(now);
        Ok(Some(state.sockets(user)))
    }

    async fn sockets(&self, users: &[UserId]) -> Result<Vec<(UserId, Sockets)>> {
        let state = self.state();
        let users: BTreeSet<&UserId> = users.iter().collect();
        let known = users.into_iter().filter(|u| state.seen.contains_key(*u));
        Ok(known.map(|u| (u.clone(), state.sockets(u))).collect())
    }

    async fn watched(&self, user: &UserId, until: u64) -> Result<Sockets> {
        let mut state = self.state();
        let seen = state.seen.entry(user.clone()).or_default();
        seen.watched_until = seen.watched_until.max(until);
        Ok(state.sockets(user))
    }

    async fn set_away(&self, user: &UserId, away: bool) -> Result<Sockets> {
        let mut state = self.state();
        state.seen.entry(user.clone()).or_default().away = away;
        Ok(state.sockets(user))
    }

    async fn of(&self, users: &[UserId]) -> Result<Devices> {
        let state = self.state();
        let enabled = users.iter().filter(|u| !state.disabled_users.contains_key(*u));
        let enabled: Vec<UserId> = enabled.cloned().collect();
        Ok(state.devices(&enabled))
    }

    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        let key = (endpoint.user.clone(), endpoint.device.clone());
        self.state().endpoints.retain(|_, e| e.id != endpoint.id);
        self.state().endpoints.insert(key, endpoint.clone());
        Ok(())
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        self.state().endpoints.retain(|_, e| e != endpoint);
        Ok(())
    }

    async fn set_disabled(&self, user: &UserId, since: Option<u64>) -> Result<Account> {
        let mut state = self.state();
        match since {
            Some(since) => {
                state.disabled_users.entry(user.clone()).or_insert(since);
            }
            None => {
                state.disabled_users.remove(user);
            }
        }
        Ok(state.account(user))
    }

    async fn account(&self, user: &UserId) -> Result<Account> {
        Ok(self.state().account(user))
    }

    async fn is_disabled(&self, user: &UserId) -> Result<bool> {
        Ok(self.state().disabled_users.contains_key(user))
    }
}

#[async_trait]
impl Gateway for Memory {
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted {
        let mut state = self.state();
        if state.gone.contains(to) {
            return Posted::Gone;
        }
        if state.overloaded.contains(to) {
            return Posted::Later;
        }
        state.posts.push((to.clone(), frame.to_owned()));
        Posted::Accepted
    }

    async fn close(&self, connection: &ConnectionId) -> Posted {
        let mut state = self.state();
        if state.gone.contains(connection) {
            return Posted::Gone;
        }
        if state.overloaded.contains(connection) {
            return Posted::Later;
        }
        state.gone.insert(connection.clone());
        state.closed.push(connection.clone());
        Posted::Accepted
    }
}

#[async_trait]
impl Jobs for Memory {
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()> {
        let mut state = self.state();
        if state.no_queue {
            return Err(Error::port("the queue is out"));
        }
        state.jobs.extend(jobs.into_iter().map(|job| (job, delay_s)));
        Ok(())
    }
}

#[async_trait]
impl Notifier for Memory {
    async fn endpoint(&self, platform: Platform, token: &str, _: &UserId) -> Result<EndpointId> {
        let endpoint = EndpointId::parse(&format!("{platform:?}/{token}"))?;
        let mut state = self.state();
        state.forgotten.remove(&endpoint);
        state.phones.insert(endpoint.clone());
        Ok(endpoint)
    }

    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed {
        let mut state = self.state();
        if state.disabled.contains(to) || state.forgotten.contains(to) {
            return Pushed::Disabled;
        }
        if state.pushes_later {
            return Pushed::Later;
        }
        state.pushes.push((to.clone(), notification.clone()));
        Pushed::Accepted
    }

    async fn remove(&self, endpoint: &EndpointId) -> Result<()> {
        let mut state = self.state();
        if state.pushes_later {
            return Err(Error::port("the push service is out"));
        }
        state.phones.remove(endpoint);
        state.forgotten.insert(endpoint.clone());
        Ok(())
    }
}

#[async_trait]
impl Webhook for Memory {
    async fn deliver(&self, delivery: &Delivery) -> Hooked {
        let mut state = self.state();
        if state.receiver_refuses {
            return Hooked::Refused { retry_after_s: None };
        }
        state.deliveries.push(delivery.clone());
        Hooked::Accepted
    }
}

#[async_trait]
impl Moderation for Memory {
    async fn report(&self, report: &Report) -> Result<()> {
        let mut state = self.state();
        if state.no_queue {
            return Err(Error::port("the topic is out"));
        }
        state.reports.push(report.clone());
        Ok(())
    }
}

#[async_trait]
impl World for Memory {
    /// Stands still unless [`Memory::pass`] is called: the hardest clock for `sent_at`.
    fn now_ms(&self) -> u64 {
        1_790_000_000_000 + self.state().ticks
    }

    fn new_id(&self) -> Uuid {
        let mut state = self.state();
        state.ids += 1;
        Uuid::from_u128(0x0192_f3c4_0000_7000_8000_0000_0000_0000 | u128::from(state.ids))
    }

    fn secret(&self) -> u128 {
        self.new_id().as_u128()
    }

    fn jitter(&self, _below: u64) -> u64 {
        0
    }

    async fn pause(&self, _ms: u64) {}
}
