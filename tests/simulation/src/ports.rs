//! The ports, as one invocation of a function sees them. Each call has two scheduling points, one before its effect and
//! one after, and may fail at either. This is the only place where an `App` is made.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use petrel_core::App;
use petrel_core::error::{Error, Result};
use petrel_core::events::Report;
use petrel_core::group::{GroupInfo, Invite, Role, Roster};
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, EndpointId, InviteId, Seq, UserId};
use petrel_core::message::{Entry, Why};
use petrel_core::metrics::NoMetrics;
use petrel_core::people::{Profile, ProfileChange};
use petrel_core::ports::{
    Account, Archive, Change, Cold, Connection, Connections, Conversations, Delivery, Devices,
    Endpoint, Floor, Gateway, Hooked, Job, Jobs, Log, Moderation, Notification, Notifier, Object,
    OwnState, People, Platform, Posted, Precondition, Pushed, Put, Regard, Registered, Sockets,
    UserConversation, Watermarks, Webhook, World,
};
use petrel_core::services::Settings;
use uuid::Uuid;

use crate::core::{Core, Event, Hub, Invocation};
use crate::faults::{Fault, Path};
use crate::mutants::Mutant;
use crate::truth::{Write, Wrote, version};

/// The ports of one invocation.
pub struct Ports {
    hub: Arc<Hub>,
    invocation: Invocation,
    /// How far the function's clock is ahead, ms.
    skew: i64,
}

/// The product, for one invocation.
pub fn app(hub: &Arc<Hub>, invocation: Invocation, skew: i64) -> App {
    let ports = Arc::new(Ports { hub: hub.clone(), invocation, skew });
    let (limits, webhook, usage, keeping) = {
        let core = hub.lock();
        (core.limits, core.webhook, core.usage.clone(), core.keeping.clone())
    };
    App {
        log: ports.clone(),
        cold: ports.clone(),
        archive: ports.clone(),
        conversations: ports.clone(),
        people: ports.clone(),
        connections: ports.clone(),
        gateway: ports.clone(),
        jobs: ports.clone(),
        notifier: ports.clone(),
        webhook: ports.clone(),
        moderation: ports.clone(),
        uploads: ports.clone(),
        files: ports.clone(),
        world: ports,
        metrics: Arc::new(NoMetrics),
        usage,
        settings: Settings { limits, webhook, keeping, ..Settings::default() },
    }
}

impl Ports {
    async fn turn(&self) {
        let ms = {
            let mut core = self.hub.lock();
            if core.is_erasure(self.invocation) && core.strikes(Fault::ErasureSlow) {
                core.dice.between(1_000, 7_000)
            } else {
                core.latency()
            }
        };
        self.hub.turn(self.invocation, ms).await;
    }

    /// A call that changes nothing.
    async fn read<T>(&self, what: &str, effect: impl FnOnce(&mut Core) -> T + Send) -> Result<T> {
        self.turn().await;
        self.fails(what, Fault::FailsBefore)?;
        let done = {
            let mut core = self.hub.lock();
            core.note(|| format!("#{} {what}", self.invocation));
            effect(&mut core)
        };
        self.turn().await;
        self.fails(what, Fault::FailsAfter)?;
        Ok(done)
    }

    /// A write, which may also have its effect after it has failed, or be refused because of another one.
    async fn write(&self, what: &str, write: Write) -> Result<Wrote> {
        self.turn().await;
        {
            let mut core = self.hub.lock();
            // An operator who is told that it failed asks again, and does not change his mind meanwhile.
            let waits = !matches!(write, Write::SetDisabled(..));
            if waits && core.strikes(Fault::FailsLate) {
                let ms = core.dice.magnitude(1, 60_000);
                let user = core.notes.get(&self.invocation).and_then(|n| n.user.clone());
                let user = user.filter(|_| !core.is_erasure(self.invocation));
                let now = core.now;
                core.after(ms, Event::Late(Box::new(write), user, now));
                drop(core);
                return self.failed(what);
            }
            let refusable = matches!(
                write,
                Write::Put(_)
                    | Write::PutChanging(_)
                    | Write::PutDelete(..)
                    | Write::Change(_)
                    | Write::Advance(..)
                    | Write::Own(..)
            );
            if refusable && core.strikes(Fault::WriteConflict) {
                core.passed(Path::Conflict);
                if let Some(notes) = core.notes.get_mut(&self.invocation) {
                    notes.conflicts += 1;
                }
                return Ok(Wrote::No);
            }
        }
        self.fails(what, Fault::FailsBefore)?;
        let mut wrote = {
            let mut core = self.hub.lock();
            let wrote = core.apply(&write, Some(self.invocation));
            core.note(|| format!("#{} {what}: {wrote:?}", self.invocation));
            wrote
        };
        self.turn().await;
        let puts = matches!(write, Write::Put(_) | Write::PutChanging(_) | Write::PutDelete(..));
        if puts && wrote == Wrote::Yes {
            let mut core = self.hub.lock();
            if core.strikes(Fault::OwnConflict) {
                core.apply(&write, Some(self.invocation));
                wrote = Wrote::No;
            }
        }
        self.fails(what, Fault::FailsAfter)?;
        Ok(wrote)
    }

    fn fails(&self, what: &str, fault: Fault) -> Result<()> {
        if self.hub.lock().strikes(fault) { self.failed(what) } else { Ok(()) }
    }

    /// What the caller is told; from now on the invocation may answer `busy`.
    fn failed<T>(&self, what: &str) -> Result<T> {
        let mut core = self.hub.lock();
        core.note(|| format!("#{} {what}: failed", self.invocation));
        if let Some(notes) = core.notes.get_mut(&self.invocation) {
            notes.hurt = true;
        }
        Err(Error::port("injected"))
    }
}

#[async_trait]
impl Log for Ports {
    async fn newest(
        &self,
        of: &ConversationId,
        from: Seq,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let what = format!("log.newest {of} from {from} before {before:?}");
        self.read(&what, |core| {
            let last = core.last_visible(of);
            core.truth.newest(of, from, before, limit, last)
        })
        .await
    }

    async fn after(&self, of: &ConversationId, after: Seq, limit: usize) -> Result<Vec<Entry>> {
        let what = format!("log.after {of} {after}");
        self.read(&what, |core| core.truth.entries_after(of, after, limit)).await
    }

    async fn put(&self, entry: &Entry) -> Result<Put> {
        let what = format!("log.put {} {}", entry.conversation_id, entry.seq);
        let done = self.write(&what, Write::Put(entry.clone())).await?;
        Ok(done.put())
    }

    async fn put_changing(&self, entry: &Entry) -> Result<Put> {
        let what = format!("log.put_changing {} {}", entry.conversation_id, entry.seq);
        let done = self.write(&what, Write::PutChanging(entry.clone())).await?;
        Ok(done.put())
    }
}

#[async_trait]
impl Cold for Ports {
    async fn floor(&self, of: &ConversationId) -> Result<Floor> {
        let what = format!("cold.floor {of}");
        self.read(&what, |core| {
            core.truth.cold.get(of).map(|c| c.floor.clone()).unwrap_or_default()
        })
        .await
    }

    async fn move_floor(&self, of: &ConversationId, old: &Floor, new: &Floor) -> Result<bool> {
        let what = format!("cold.move_floor {of} to {new:?}");
        let write = Write::MoveFloor(of.clone(), old.clone(), new.clone());
        Ok(self.write(&what, write).await? == Wrote::Yes)
    }

    async fn put_delete(&self, delete: &Entry, target: &Entry, floor: &Floor) -> Result<Put> {
        let what = format!("cold.put_delete {} {}", delete.conversation_id, delete.seq);
        let write = Write::PutDelete(Box::new((delete.clone(), target.clone(), floor.clone())));
        Ok(self.write(&what, write).await?.put())
    }

    async fn redactions(
        &self,
        of: &ConversationId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<Seq>> {
        self.read(&format!("cold.redactions {of} {from} to {through}"), |core| {
            let noted = core.truth.cold.get(of).map(|c| &c.redactions).into_iter().flatten();
            noted.filter(|s| (from..=through).contains(s)).take(limit).copied().collect()
        })
        .await
    }

    async fn remove_redactions(&self, of: &ConversationId, seqs: &[Seq]) -> Result<()> {
        // In parts, each of which is one call.
        for part in seqs.chunks(2) {
            let write = Write::RemoveRedactions(of.clone(), part.to_vec());
            self.write(&format!("cold.remove_redactions {of} {part:?}"), write).await?;
        }
        Ok(())
    }

    async fn set_timer(&self, of: &ConversationId, _: u64) -> Result<()> {
        self.write("cold.set_timer", Write::SetTimer(of.clone())).await.map(drop)
    }

    async fn keep_timer(&self, of: &ConversationId, _: u64) -> Result<()> {
        self.write("cold.keep_timer", Write::SetTimer(of.clone())).await.map(drop)
    }

    async fn remove(&self, of: &ConversationId, from: Seq, through: Seq) -> Result<()> {
        // In parts, each of which is one call.
        let mut from = from;
        while from <= through {
            let last = Seq::new(from.get() + 24).min(through);
            let write = Write::RemoveRows(of.clone(), from, last);
            self.write(&format!("cold.remove {of} {from} to {last}"), write).await?;
            from = last.next();
        }
        Ok(())
    }

    async fn empty(&self, of: &ConversationId, seq: Seq, why: Why) -> Result<()> {
        self.write(&format!("cold.empty {of} {seq}"), Write::Empty(of.clone(), seq, why))
            .await
            .map(drop)
    }

    async fn erase(&self, of: &ConversationId, entries: &[Entry], floor: &Floor) -> Result<bool> {
        // Of those that lie elsewhere by now, a run that died may have left the rows: that is a call of its own.
        let old: Vec<Seq> =
            entries.iter().map(|e| e.seq).filter(|s| *s <= floor.archived).collect();
        let mut left = BTreeSet::new();
        if !old.is_empty() {
            left = self
                .read(&format!("cold.erase {of}: rows"), |core| {
                    let table = core.truth.logs.get(of).map(|log| &log.table);
                    let stands = |seq: &Seq| table.is_some_and(|table| table.contains_key(seq));
                    old.into_iter().filter(stands).collect()
                })
                .await?;
        }
        let Some(user) = self.hub.lock().notes.get(&self.invocation).and_then(|n| n.user.clone())
        else {
            return Err(Error::port("nobody is erased"));
        };
        let what = format!(
            "cold.erase {of} {:?}",
            entries.iter().map(|e| e.seq.get()).collect::<Vec<_>>()
        );
        let write = Write::Erase(Box::new((user, entries.to_vec(), floor.clone(), left)));
        Ok(self.write(&what, write).await? == Wrote::Yes)
    }
}

impl Ports {
    /// Whether the archive's objects can be reached.
    fn archive_is_up(&self) -> Result<()> {
        let out = {
            let mut core = self.hub.lock();
            let core = &mut *core;
            core.faults.is_out(Fault::ArchiveOut)
        };
        if out { self.failed("the archive is out") } else { Ok(()) }
    }
}

#[async_trait]
impl Archive for Ports {
    async fn put(&self, stretch: &[Entry], only_if: &Precondition) -> Result<bool> {
        self.archive_is_up()?;
        let last = stretch.last().map_or(Seq::ZERO, |e| e.seq);
        let what = format!("archive.put to {last}");
        let write = Write::PutObject(stretch.to_vec(), only_if.clone());
        Ok(self.write(&what, write).await? == Wrote::Yes)
    }

    async fn get(&self, of: &ConversationId, last: Seq) -> Result<Option<Object>> {
        self.archive_is_up()?;
        self.read(&format!("archive.get {of} {last}"), |core| {
            let found = core.truth.cold.get(of).and_then(|c| c.objects.get(&last)).cloned();
            if found.is_some() {
                core.passed(Path::ReadCold);
            }
            found.map(|entries| Object { version: version(&entries), entries })
        })
        .await
    }

    async fn list(&self, of: &ConversationId, from: Seq, limit: usize) -> Result<Vec<Seq>> {
        self.archive_is_up()?;
        self.read(&format!("archive.list {of} from {from}"), |core| {
            let objects = core.truth.cold.get(of).map(|c| &c.objects);
            objects.into_iter().flat_map(|o| o.range(from..)).take(limit).map(|(s, _)| *s).collect()
        })
        .await
    }

    async fn delete(&self, of: &ConversationId, last: Seq) -> Result<()> {
        self.archive_is_up()?;
        let write = Write::DeleteObject(of.clone(), last);
        self.write("archive.delete", write).await.map(drop)
    }
}

impl Core {
    /// The last entry that a read of the newest shows: the head, but for a broken variant that reads what was true a
    /// moment ago.
    fn last_visible(&mut self, of: &ConversationId) -> Seq {
        let stale = self.is(Mutant::StaleHead) && self.dice.percent(30);
        let Some(log) = self.truth.logs.get(of) else { return Seq::ZERO };
        let old = log.history.iter().rev().find(|s| s.at + 50 < self.now);
        if stale { old.map_or(Seq::ZERO, |s| s.entry.seq) } else { Seq::new(u64::MAX - 1) }
    }
}

#[async_trait]
impl Conversations for Ports {
    async fn roster(&self, group: &ConversationId, limit: usize) -> Result<Roster> {
        self.read("conversations.roster", |core| {
            let members = core.truth.members.get(group).into_iter().flat_map(BTreeMap::values);
            let members = members.take(limit).cloned().collect();
            Roster { info: core.truth.info.get(group).cloned(), members }
        })
        .await
    }

    async fn open(&self, direct: &ConversationId, users: &[UserId]) -> Result<()> {
        for user in users {
            let write = Write::Open(direct.clone(), user.clone());
            self.write("conversations.open", write).await?;
        }
        Ok(())
    }

    async fn found(
        &self,
        group: &ConversationId,
        info: &GroupInfo,
        members: &[(UserId, Role)],
    ) -> Result<Put> {
        // In parts, each of which is one transaction.
        for part in members.chunks(part_of(members.len())) {
            let mut put = Put::Stored;
            for (i, (user, role)) in part.iter().enumerate() {
                let write = Write::Found(group.clone(), info.clone(), user.clone(), *role);
                let wrote = if i == 0 {
                    self.write("conversations.found", write).await?
                } else {
                    self.hub.lock().apply(&write, Some(self.invocation))
                };
                if wrote == Wrote::No {
                    put = Put::Taken;
                }
            }
            if put == Put::Taken {
                return Ok(put);
            }
        }
        Ok(Put::Stored)
    }

    async fn change(&self, change: &Change) -> Result<Put> {
        let what = format!("conversations.change {}", change.entry.seq);
        Ok(self.write(&what, Write::Change(change.clone())).await?.put())
    }

    async fn set_invite(&self, invite: &Invite) -> Result<()> {
        self.write("conversations.set_invite", Write::SetInvite(invite.clone())).await.map(drop)
    }

    async fn invite(&self, group: &ConversationId, id: &InviteId) -> Result<Option<Invite>> {
        self.read("conversations.invite", |core| {
            core.truth.invites.get(group).and_then(|invites| invites.get(id)).cloned()
        })
        .await
    }

    async fn invites(&self, group: &ConversationId, limit: usize) -> Result<Vec<Invite>> {
        self.read("conversations.invites", |core| {
            let invites = core.truth.invites.get(group).into_iter().flat_map(BTreeMap::values);
            invites.take(limit).cloned().collect()
        })
        .await
    }

    async fn remove_invite(&self, group: &ConversationId, id: &InviteId) -> Result<()> {
        let write = Write::RemoveInvite(group.clone(), id.clone());
        self.write("conversations.remove_invite", write).await.map(drop)
    }

    async fn row(&self, user: &UserId, of: &ConversationId) -> Result<Option<UserConversation>> {
        self.read("conversations.row", |core| core.truth.row(user, of).cloned()).await
    }

    async fn rows(
        &self,
        user: &UserId,
        page: Option<&ConversationId>,
        limit: usize,
    ) -> Result<Vec<UserConversation>> {
        self.read("conversations.rows", |core| {
            let rows = core.truth.rows.get(user).into_iter().flatten().map(|(_, row)| row);
            let rows = rows.filter(|r| page.is_none_or(|p| r.conversation > *p));
            rows.take(limit).cloned().collect()
        })
        .await
    }

    async fn advance(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<bool> {
        let write = Write::Advance(user.clone(), of.clone(), old, new);
        Ok(self.write("conversations.advance", write).await? == Wrote::Yes)
    }

    async fn set_own(
        &self,
        user: &UserId,
        of: &ConversationId,
        old: u64,
        new: OwnState,
    ) -> Result<bool> {
        let write = Write::Own(user.clone(), of.clone(), old, new);
        Ok(self.write("conversations.set_own", write).await? == Wrote::Yes)
    }

    async fn rows_of(
        &self,
        of: &ConversationId,
        users: &[UserId],
    ) -> Result<Vec<(UserId, UserConversation)>> {
        self.read("conversations.rows_of", |core| {
            let row = |u: &UserId| Some((u.clone(), core.truth.row(u, of)?.clone()));
            users.iter().filter_map(row).collect()
        })
        .await
    }

    async fn blocks(&self, owner: &UserId, other: &UserId) -> Result<bool> {
        self.read("conversations.blocks", |core| core.truth.blocked_by(owner).any(|u| u == other))
            .await
    }
}

#[async_trait]
impl People for Ports {
    async fn profiles(&self, users: &[UserId]) -> Result<Vec<(UserId, Profile)>> {
        self.read("people.profiles", |core| {
            let profile = |u: &UserId| Some((u.clone(), core.truth.profiles.get(u)?.clone()));
            users.iter().filter_map(profile).collect()
        })
        .await
    }

    async fn set_profile(&self, user: &UserId, change: &ProfileChange) -> Result<Profile> {
        let write = Write::SetProfile(user.clone(), change.clone());
        self.write(&format!("people.set_profile {user}"), write).await?;
        Ok(self.hub.lock().truth.profiles.get(user).cloned().unwrap_or_default())
    }

    async fn row_and_profile(
        &self,
        user: &UserId,
        of: &ConversationId,
    ) -> Result<(Option<UserConversation>, Profile)> {
        self.read("people.row_and_profile", |core| {
            let profile = core.truth.profiles.get(user).cloned().unwrap_or_default();
            (core.truth.row(user, of).cloned(), profile)
        })
        .await
    }

    async fn block(&self, owner: &UserId, other: &UserId) -> Result<()> {
        let write = Write::Block(owner.clone(), other.clone(), true);
        self.write(&format!("people.block {owner} {other}"), write).await.map(drop)
    }

    async fn unblock(&self, owner: &UserId, other: &UserId) -> Result<()> {
        let write = Write::Block(owner.clone(), other.clone(), false);
        self.write(&format!("people.unblock {owner} {other}"), write).await.map(drop)
    }

    async fn blocked(
        &self,
        owner: &UserId,
        page: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>> {
        self.read("people.blocked", |core| {
            let all = core.truth.blocked_by(owner).filter(|u| page.is_none_or(|p| *u > p));
            all.take(limit).cloned().collect()
        })
        .await
    }

    async fn regards(&self, pairs: &[(UserId, UserId)]) -> Result<Vec<Regard>> {
        self.read("people.regards", |core| {
            let truth = &core.truth;
            let blocks = |a: &UserId, b: &UserId| truth.blocked_by(a).any(|u| u == b);
            let regard = |(who, user): &(UserId, UserId)| Regard {
                presence: truth.profiles.get(user).map(|p| p.presence).unwrap_or_default(),
                contact: truth.row(user, &ConversationId::direct(who, user)).is_some(),
                blocked: blocks(who, user) || blocks(user, who),
            };
            pairs.iter().map(regard).collect()
        })
        .await
    }

    async fn watch(&self, user: &UserId, watcher: &UserId, until: u64) -> Result<()> {
        let write = Write::Watch(user.clone(), watcher.clone(), until);
        self.write(&format!("people.watch {user} {watcher}"), write).await.map(drop)
    }

    async fn watchers(&self, user: &UserId, now: u64, limit: usize) -> Result<Vec<UserId>> {
        self.read("people.watchers", |core| {
            let watches = core.truth.watches.get(user).into_iter().flatten();
            let live = watches.filter(|(_, until)| **until > now);
            live.take(limit).map(|(watcher, _)| watcher.clone()).collect()
        })
        .await
    }

    async fn erase(&self, user: &UserId, limit: usize) -> Result<bool> {
        // So few that it takes several.
        let limit = limit.min(3);
        let found = self.read("people.erase", |core| core.truth.own(user, limit)).await?;
        let full = found.len() == limit;
        // In parts, each of which is one call.
        for part in found.chunks(2) {
            let write = Write::EraseOwn(user.clone(), part.to_vec());
            self.write(&format!("people.erase {user} {part:?}"), write).await?;
        }
        if full {
            return Ok(true);
        }
        self.write("people.erase beside", Write::EraseBeside(user.clone())).await.map(|_| false)
    }

    async fn blockers(&self, users: &[UserId], other: &UserId) -> Result<BTreeSet<UserId>> {
        self.read("people.blockers", |core| {
            let blocks = |u: &&UserId| core.truth.blocked_by(u).any(|b| b == other);
            users.iter().filter(blocks).cloned().collect()
        })
        .await
    }
}

/// How old an answer may be that is not strongly consistent, ms.
const STALE_MS: u64 = 1_000;

/// Members founded in one transaction: small, so that founding is often half done.
fn part_of(members: usize) -> usize {
    if members > 8 { 49 } else { 1 }
}

#[async_trait]
impl Connections for Ports {
    async fn register(&self, connection: &Connection) -> Result<Option<Registered>> {
        let what = format!("connections.register {}", connection.id);
        match self.write(&what, Write::Register(connection.clone())).await? {
            Wrote::Account(_) => Err(Error::disabled()),
            Wrote::Registered(sockets, displaced) => Ok(Some(Registered { sockets, displaced })),
            _ => Ok(None),
        }
    }

    async fn remove(
        &self,
        user: &UserId,
        device: &DeviceId,
        id: &ConnectionId,
        now: u64,
    ) -> Result<Option<Sockets>> {
        let what = format!("connections.remove {id}");
        let write = Write::Remove(user.clone(), device.clone(), id.clone(), now);
        Ok(self.write(&what, write).await?.sockets())
    }

    async fn sockets(&self, users: &[UserId]) -> Result<Vec<(UserId, Sockets)>> {
        self.read("connections.sockets", |core| {
            users.iter().map(|u| (u.clone(), core.truth.sockets(u))).collect()
        })
        .await
    }

    async fn watched(&self, user: &UserId, until: u64) -> Result<Sockets> {
        let what = format!("connections.watched {user}");
        let wrote = self.write(&what, Write::Watched(user.clone(), until)).await?;
        Ok(wrote.sockets().unwrap_or_default())
    }

    async fn set_away(&self, user: &UserId, away: bool) -> Result<Sockets> {
        let what = format!("connections.set_away {user} {away}");
        let wrote = self.write(&what, Write::SetAway(user.clone(), away)).await?;
        Ok(wrote.sockets().unwrap_or_default())
    }

    async fn of(&self, users: &[UserId]) -> Result<Devices> {
        self.read("connections.of", |core| {
            let early = core.notes.get(&self.invocation).and_then(|n| n.early.clone());
            early.as_deref().unwrap_or(&core.truth).devices(users)
        })
        .await
    }

    async fn set_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        self.write("connections.set_endpoint", Write::SetEndpoint(endpoint.clone())).await.map(drop)
    }

    async fn remove_endpoint(&self, endpoint: &Endpoint) -> Result<()> {
        let write = Write::RemoveEndpoint(endpoint.clone());
        self.write("connections.remove_endpoint", write).await.map(drop)
    }

    async fn set_disabled(&self, user: &UserId, since: Option<u64>) -> Result<Account> {
        let what = format!("connections.set_disabled {user}: {since:?}");
        match self.write(&what, Write::SetDisabled(user.clone(), since)).await? {
            Wrote::Account(account) => Ok(account),
            _ => Err(Error::port("no account")),
        }
    }

    async fn account(&self, user: &UserId) -> Result<Account> {
        self.read("connections.account", |core| core.truth.account(user)).await
    }

    async fn is_disabled(&self, user: &UserId) -> Result<bool> {
        self.read("connections.is_disabled", |core| {
            // It may be a moment old.
            let since = core.truth.disabled_since.get(user).copied();
            let new = since.is_some_and(|since| core.now.saturating_sub(since) < STALE_MS);
            since.is_some() && !(new && core.strikes(Fault::StaleRead))
        })
        .await
    }
}

#[async_trait]
impl Gateway for Ports {
    async fn post(&self, to: &ConnectionId, frame: &str) -> Posted {
        self.turn().await;
        let posted = self.hub.lock().post(self.invocation, to, frame);
        self.turn().await;
        posted
    }

    async fn close(&self, connection: &ConnectionId) -> Posted {
        self.turn().await;
        let posted = self.hub.lock().close_by_hand(self.invocation, connection);
        self.turn().await;
        posted
    }
}

#[async_trait]
impl Jobs for Ports {
    async fn enqueue(&self, jobs: Vec<Job>, delay_s: u32) -> Result<()> {
        self.turn().await;
        let queued = self.hub.lock().enqueue(self.invocation, jobs, delay_s);
        self.turn().await;
        if queued { Ok(()) } else { Err(Error::port("injected")) }
    }
}

#[async_trait]
impl Notifier for Ports {
    async fn endpoint(&self, _: Platform, token: &str, _: &UserId) -> Result<EndpointId> {
        self.read("notifier.endpoint", |_| ()).await?;
        EndpointId::parse(token)
    }

    async fn push(&self, to: &EndpointId, notification: &Notification) -> Pushed {
        self.turn().await;
        let pushed = self.hub.lock().push(self.invocation, to, notification);
        self.turn().await;
        pushed
    }

    async fn remove(&self, endpoint: &EndpointId) -> Result<()> {
        self.turn().await;
        let removed = self.hub.lock().remove_endpoint(self.invocation, endpoint);
        self.turn().await;
        if removed { Ok(()) } else { Err(Error::port("injected")) }
    }
}

#[async_trait]
impl Webhook for Ports {
    async fn deliver(&self, delivery: &Delivery) -> Hooked {
        self.turn().await;
        let hooked = self.hub.lock().hook(self.invocation, delivery);
        self.turn().await;
        hooked
    }
}

#[async_trait]
impl Moderation for Ports {
    async fn report(&self, _: &Report) -> Result<()> {
        self.read("moderation.report", |_| ()).await
    }
}

#[async_trait]
impl World for Ports {
    fn now_ms(&self) -> u64 {
        self.hub.lock().now.saturating_add_signed(self.skew)
    }

    fn new_id(&self) -> Uuid {
        self.hub.lock().uuid()
    }

    fn secret(&self) -> u128 {
        self.hub.lock().uuid().as_u128()
    }

    fn jitter(&self, below: u64) -> u64 {
        self.hub.lock().dice.below(below)
    }

    async fn pause(&self, ms: u64) {
        self.hub.turn(self.invocation, ms).await;
    }
}
