//! The effect of every write, and what must hold at each: these rules are looked at with every step of every run.

use petrel_core::group::{GroupInfo, Role};
use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::message::{Content, Entry, GroupChange};
use petrel_core::ports::{MAX_EDITS, OwnState, Watermarks};

use crate::core::{Core, Invocation};
use crate::faults::Path;
use crate::invocation::Task;
use crate::mutants::Mutant;
use crate::truth::{LogOf, Registered, Since, Write, Wrote};

/// A socket younger than this may answer 410 although it lives, ms; less what clocks may differ by.
const FRESH_MS: u64 = 60_000 - 10_000;

/// How long a message can be edited: the product's default, ms.
const EDIT_WINDOW_MS: u64 = 900_000;
/// How much later than that an edit may be stored: what clocks differ by, and what an invocation lives.
const LATENESS_MS: u64 = 120_000;

impl Core {
    /// Lets a write have its effect, if its condition holds. `by` is unknown for one that comes late.
    pub fn apply(&mut self, write: &Write, by: Option<Invocation>) -> Wrote {
        self.moment += 1;
        match write {
            Write::Put(entry) => self.put(entry, by),
            Write::PutChanging(entry) => self.put_changing(entry, by),
            Write::PutDelete(of) => self.put_delete(&of.0, &of.1, &of.2, by),
            Write::Own(user, of, old, new) => {
                let row = self.truth.rows.get_mut(user).and_then(|rows| rows.get_mut(of));
                let Some(row) = row.filter(|row| row.own.version == *old) else { return Wrote::No };
                row.own = *new;
                self.truth.chosen.insert((user.clone(), of.clone()), self.moment);
                self.passed(Path::Chosen);
                Wrote::Yes
            }
            Write::Open(direct, user) => {
                if self.truth.row(user, direct).is_none() {
                    self.truth.write_row(
                        user,
                        direct,
                        Seq::FIRST,
                        0,
                        OwnState::default(),
                        self.moment,
                    );
                }
                Wrote::Yes
            }
            Write::Found(group, info, user, role) => {
                if let Some(founder) = by.and_then(|by| self.notes.get(&by)?.user.clone()) {
                    let held = self.may_be_added(&founder, std::slice::from_ref(user), by);
                    self.must(held);
                }
                self.found(group, info, user, *role)
            }
            Write::SetInvite(invite) => {
                let invites = self.truth.invites.entry(invite.group.clone()).or_default();
                invites.insert(invite.id.clone(), invite.clone());
                Wrote::Yes
            }
            Write::RemoveInvite(group, id) => {
                self.truth.invites.entry(group.clone()).or_default().remove(id);
                Wrote::Yes
            }
            Write::Change(change) => {
                let entry = &change.entry;
                let group = &entry.conversation_id;
                let invites = self.truth.invites.get(group);
                let invited = change
                    .invite
                    .as_ref()
                    .is_none_or(|id| invites.is_some_and(|invites| invites.contains_key(id)));
                if !invited || !self.truth.is_free(group, entry.seq) {
                    self.lost_race(by);
                    return Wrote::No;
                }
                let again = change.added.iter().any(|user| self.was_member(group, user));
                let held = self.may_be_added(&entry.sender_id, &change.added, by);
                self.must(held);
                let held = self.may_leave(change, by);
                self.must(held);
                self.stored(entry, by);
                for user in &change.added {
                    self.truth.write_row(
                        user,
                        group,
                        entry.seq,
                        entry.ordinal,
                        OwnState::anew(entry.sent_at),
                        self.moment,
                    );
                    self.truth.write_member(group, user, Role::Member, entry.seq);
                }
                for member in &change.roles {
                    self.truth.write_member(group, &member.user, member.role, member.joined);
                }
                if let Some(info) = &change.info {
                    self.truth.info.insert(group.clone(), info.clone());
                }
                for user in &change.removed {
                    self.truth.rows.entry(user.clone()).or_default().remove(group);
                    self.truth.members.entry(group.clone()).or_default().remove(user);
                }
                self.passed(match &entry.content {
                    Content::System { change: GroupChange::Added { .. } } => Path::Added,
                    Content::System { change: GroupChange::Removed { .. } } => Path::Left,
                    Content::System { change: GroupChange::Role { .. } } => Path::RoleGiven,
                    Content::System {
                        change: GroupChange::Updated { retention_days: Some(_), .. },
                    } => Path::RetentionChosen,
                    _ => Path::Updated,
                });
                if change.invite.is_some() {
                    self.passed(Path::Joined);
                }
                if change.roles.iter().any(|m| m.role == Role::Owner) {
                    self.passed(Path::HandedOver);
                }
                if again {
                    self.passed(Path::AddedAgain);
                }
                if self.queue.delivers(group, entry.seq) {
                    self.passed(Path::ChangedMeanwhile);
                }
                let held = self.rows_agree(group);
                self.must(held);
                Wrote::Yes
            }
            Write::SetProfile(user, change) => {
                let profile = self.truth.profiles.entry(user.clone()).or_default();
                change.apply(profile);
                let hides = Since { on: profile.hide_read_receipts, at: self.moment };
                let before = self.truth.hides.get(user).is_some_and(|h| h.on);
                let presence = profile.presence;
                let stood = self.truth.audiences.get(user).map(|(a, _)| *a).unwrap_or_default();
                if presence != stood {
                    self.truth.audiences.insert(user.clone(), (presence, self.moment));
                }
                if hides.on != before {
                    self.truth.hides.insert(user.clone(), hides);
                }
                Wrote::Yes
            }
            Write::Block(owner, other, on) => {
                let block = (owner.clone(), other.clone());
                if self.truth.blocks.get(&block).is_some_and(|b| b.on) != *on {
                    self.truth.blocks.insert(block, Since { on: *on, at: self.moment });
                }
                Wrote::Yes
            }
            Write::Advance(user, of, old, new) => self.advance(user, of, *old, *new),
            Write::Watch(user, watcher, until) => {
                let watches = self.truth.watches.entry(user.clone()).or_default();
                watches.insert(watcher.clone(), *until);
                self.truth.noted.insert(user.clone(), self.moment);
                Wrote::Yes
            }
            Write::Watched(user, until) => {
                let beside = self.truth.beside.entry(user.clone()).or_default();
                beside.watched_until = beside.watched_until.max(*until);
                self.truth.noted.insert(user.clone(), self.moment);
                Wrote::Sockets(self.truth.sockets(user))
            }
            Write::SetAway(user, away) => {
                self.truth.beside.entry(user.clone()).or_default().away = *away;
                self.truth.noted.insert(user.clone(), self.moment);
                Wrote::Sockets(self.truth.sockets(user))
            }
            Write::Register(connection) => {
                if self.truth.disabled.contains_key(&connection.user) {
                    return Wrote::Account(self.truth.account(&connection.user));
                }
                let devices = self.truth.connections.entry(connection.user.clone()).or_default();
                let stands = devices.get(&connection.device);
                if stands.is_some_and(|s| s.connection.connected_at > connection.connected_at) {
                    return Wrote::No;
                }
                let since = match stands {
                    Some(stands) if stands.connection.id == connection.id => stands.since,
                    _ => self.moment,
                };
                let stood = stands.map(|s| s.connection.clone());
                let displaced = stood.filter(|stood| stood.id != connection.id);
                let row = Registered { connection: connection.clone(), since };
                devices.insert(connection.device.clone(), row);
                let heads = self.heads(&connection.user);
                let notes = by.and_then(|by| self.notes.get_mut(&by));
                let again = notes.as_ref().is_some_and(|n| matches!(n.task, Task::Route(..)));
                if let Some(notes) = notes {
                    notes.heads = heads;
                }
                if again {
                    self.passed(Path::Registered);
                }
                self.came_or_went(&connection.user);
                Wrote::Registered(self.truth.sockets(&connection.user), displaced)
            }
            Write::Remove(user, device, id, now) => {
                let devices = self.truth.connections.entry(user.clone()).or_default();
                if devices.get(device).is_none_or(|r| r.connection.id != *id) {
                    return Wrote::No;
                }
                devices.remove(device);
                self.truth.beside.entry(user.clone()).or_default().last_seen = Some(*now);
                self.truth.noted.insert(user.clone(), self.moment);
                self.came_or_went(user);
                if by.and_then(|by| self.notes.get(&by)).is_some_and(|n| n.delivers) {
                    self.passed(Path::Removed);
                    let lives = self.gateway.is_fresh(id, self.now, FRESH_MS);
                    if lives {
                        self.broke(format!("{user}'s fresh socket {id} was removed after a 410"));
                    }
                }
                Wrote::Sockets(self.truth.sockets(user))
            }
            Write::SetEndpoint(endpoint) => {
                for devices in self.truth.endpoints.values_mut() {
                    devices.retain(|_, (e, _)| e.id != endpoint.id);
                }
                let devices = self.truth.endpoints.entry(endpoint.user.clone()).or_default();
                devices.insert(endpoint.device.clone(), (endpoint.clone(), self.moment));
                Wrote::Yes
            }
            Write::Erase(what) => self.erase_entries(&what.0, &what.1, &what.2, &what.3, by),
            Write::EraseOwn(user, items) => self.erase_own(user, items),
            Write::EraseBeside(user) => {
                if let Some(beside) = self.truth.beside.get_mut(user) {
                    *beside = Default::default();
                }
                Wrote::Yes
            }
            Write::RemoveFile(user, id) => {
                if let Some(stored) =
                    self.truth.uploads.entry(user.clone()).or_default().get_mut(id)
                {
                    *stored = false;
                }
                Wrote::Yes
            }
            Write::ForgetUpload(user, id) => {
                self.truth.uploads.entry(user.clone()).or_default().remove(id);
                Wrote::Yes
            }
            Write::MoveFloor(..)
            | Write::Empty(..)
            | Write::SetTimer(_)
            | Write::RemoveRows(..)
            | Write::RemoveRedactions(..)
            | Write::PutObject(..)
            | Write::DeleteObject(..) => self.put_away(write, by),
            Write::SetDisabled(user, since) => {
                match since {
                    Some(since) => {
                        self.passed(Path::Disabled);
                        let known = self.truth.account(user).devices.connections;
                        let marked = self.marked.entry(user.clone()).or_default();
                        marked.extend(known.into_iter().map(|c| c.id));
                        self.truth.disabled.entry(user.clone()).or_insert(*since);
                        self.truth.disabled_since.entry(user.clone()).or_insert(self.now);
                        self.is_erasing(user, by);
                    }
                    None => {
                        // Who is disabled again later is known by the sockets that he has then.
                        self.marked.remove(user);
                        self.cut_off.remove(user);
                        self.truth.disabled_since.remove(user);
                        if self.truth.disabled.remove(user).is_some() {
                            self.truth.disabled_until.insert(user.clone(), self.moment);
                        }
                    }
                }
                self.came_or_went(user);
                Wrote::Account(self.truth.account(user))
            }
            Write::RemoveEndpoint(endpoint) => {
                let devices = self.truth.endpoints.entry(endpoint.user.clone()).or_default();
                devices.retain(|_, (e, _)| e != endpoint);
                Wrote::Yes
            }
        }
    }

    /// A user's sockets have changed.
    fn came_or_went(&mut self, user: &UserId) {
        let on = !self.truth.sockets(user).connections.is_empty();
        let now = Since { on, at: self.moment };
        let since = self.truth.online.entry(user.clone()).or_insert(Since { on: false, at: 0 });
        if since.on != on {
            *since = now;
        }
    }

    fn lost_race(&mut self, by: Option<Invocation>) {
        self.passed(Path::Conflict);
        if let Some(notes) = by.and_then(|by| self.notes.get_mut(&by)) {
            notes.conflicts += 1;
        }
    }

    fn was_member(&self, group: &ConversationId, user: &UserId) -> bool {
        let log = self.truth.log(group);
        log.is_some_and(|log| log.history.iter().any(|s| s.members.contains_key(user)))
    }

    fn put(&mut self, entry: &Entry, by: Option<Invocation>) -> Wrote {
        if self.is(Mutant::TailExpires) && self.dice.percent(5) {
            let log = self.truth.logs.get_mut(&entry.conversation_id);
            log.map(|log| log.table.pop_last());
        }
        if !self.truth.is_free(&entry.conversation_id, entry.seq)
            && !self.is(Mutant::PutUnconditional)
        {
            self.lost_race(by);
            return Wrote::No;
        }
        let held = self.may_be_written(entry, by);
        self.must(held);
        self.stored(entry, by);
        Wrote::Yes
    }

    /// An edit or a delete, with what it does to its target.
    fn put_changing(&mut self, entry: &Entry, by: Option<Invocation>) -> Wrote {
        let of = &entry.conversation_id;
        let Some(target) = entry.content.target() else { return Wrote::No };
        let deletes = matches!(entry.content, Content::Delete { .. });
        let row = self.truth.logs.get_mut(of).and_then(|log| log.table.get_mut(&target));
        let row = row.filter(|row| {
            let full = !deletes && row.edits.len() >= MAX_EDITS;
            !matches!(row.content, Content::Gone { .. }) && !full
        });
        let Some(row) = row else {
            self.lost_race(by);
            return Wrote::No;
        };
        let found = row.clone();
        if !self.truth.is_free(of, entry.seq) {
            self.lost_race(by);
            return Wrote::No;
        }
        if deletes {
            self.truth.delete(of, &found, self.moment);
            self.passed(Path::Deleted);
        } else {
            let row = self.truth.logs.get_mut(of).and_then(|log| log.table.get_mut(&target));
            row.into_iter().for_each(|row| row.edits.push(entry.seq));
            self.passed(Path::Edited);
        }
        self.stored(entry, by);
        Wrote::Yes
    }

    /// What a change does to its target: only where that is still to be changed, and a delete leaves nothing of it.
    fn may_change(&self, entry: &Entry) -> Result<(), String> {
        let of = &entry.conversation_id;
        let target = match entry.content {
            Content::Edit { target, .. } | Content::Delete { target } => target,
            _ => return Ok(()),
        };
        let log = self.truth.log(of).ok_or("there is no log")?;
        let changed = log.at(target).ok_or("its target is not there")?;
        if matches!(entry.content, Content::Delete { .. }) {
            let says = |e: &Entry| {
                e.seq == target && !matches!(e.content, Content::Gone { .. })
                    || matches!(&e.content, Content::Edit { target: t, text } if *t == target && !text.is_empty())
            };
            return match log.table.values().find(|e| says(e)) {
                Some(left) => Err(format!("{target} is deleted, and {} says it still", left.seq)),
                None => self.nothing_shows(of),
            };
        }
        if changed.entry.sender_id != entry.sender_id {
            return Err(format!("{} wrote what it edits", changed.entry.sender_id));
        }
        if log.deleted.contains_key(&target) {
            return Err(format!("{target} was deleted before"));
        }
        // Clocks differ, and an invocation may stand still between its look at the clock and its put.
        let age = entry.sent_at.saturating_sub(changed.entry.sent_at);
        if age > EDIT_WINDOW_MS + LATENESS_MS {
            return Err(format!("{target} is {age} ms old"));
        }
        Ok(())
    }

    /// When the invocation began, if it is known.
    fn began(&self, by: Option<Invocation>) -> Option<u64> {
        Some(self.notes.get(&by?)?.began)
    }

    /// Nobody writes to someone who blocks him.
    fn may_be_written(&self, entry: &Entry, by: Option<Invocation>) -> Result<(), String> {
        let Some((began, (a, b))) = self.began(by).zip(entry.conversation_id.pair()) else {
            return Ok(());
        };
        let peer = if a == entry.sender_id { b } else { a };
        if self.truth.blocked(&peer, &entry.sender_id, began) {
            return Err(format!("{} wrote to {peer}, who blocks them", entry.sender_id));
        }
        Ok(())
    }

    /// Nobody adds someone who blocks him.
    fn may_be_added(
        &self,
        by_whom: &UserId,
        users: &[UserId],
        by: Option<Invocation>,
    ) -> Result<(), String> {
        let Some(began) = self.began(by) else { return Ok(()) };
        let blocks = |u: &&UserId| *u != by_whom && self.truth.blocked(u, by_whom, began);
        match users.iter().find(blocks) {
            Some(user) => Err(format!("{by_whom} added {user}, who blocks them")),
            None => Ok(()),
        }
    }

    /// Stores an entry, and looks at everything that must hold of it.
    pub fn stored(&mut self, entry: &Entry, by: Option<Invocation>) {
        let held = self.may_be_stored(entry).and_then(|()| {
            let place = format!("{} {}", entry.conversation_id, entry.seq);
            self.may_change(entry).map_err(|e| format!("{place}: {e}"))
        });
        let held = held.and_then(|()| self.may_name(entry, by));
        self.truth.store(entry, self.moment, self.now);
        self.note(|| {
            format!("   stored: {} {} by {}", entry.conversation_id, entry.seq, entry.sender_id)
        });
        self.must(held);
        self.passed(Path::Stored);
    }

    /// Nobody writes more into a conversation than its limit lets in: twice what fits at once in one period, and what was
    /// admitted before its put came late.
    fn within_the_limit(&self, entry: &Entry, log: &LogOf) -> Result<(), String> {
        let limit = self.limits.conversation;
        let people = |e: &Entry| !matches!(e.content, Content::System { .. });
        if !limit.is_on() || !people(entry) {
            return Ok(());
        }
        let from = entry.sent_at.saturating_sub(u64::from(limit.period_s()) * 1_000);
        let recent = log.history.iter().rev().take_while(|s| s.entry.sent_at > from);
        let count = recent.filter(|s| people(&s.entry)).count();
        if count > 2 * limit.count() as usize + 4 {
            let of = &entry.conversation_id;
            return Err(format!("{of}: {count} messages where {limit} are allowed"));
        }
        Ok(())
    }

    fn may_be_stored(&self, entry: &Entry) -> Result<(), String> {
        let (of, seq) = (&entry.conversation_id, entry.seq);
        let place = || format!("{of} {seq}");
        let empty = Default::default();
        let log = self.truth.logs.get(of).unwrap_or(&empty);
        if let Some(stood) = log.at(seq) {
            return Err(format!(
                "{}: {:?} stood there, and was replaced",
                place(),
                stood.entry.content
            ));
        }
        if seq != log.head().next() {
            return Err(format!("{}: a hole, the head is {}", place(), log.head()));
        }
        let key = (entry.sender_id.clone(), entry.message_id);
        if let Some(at) = log.places.get(&key) {
            // A caller without state is searched for in the newest 100 only, and in the table.
            let floor = self.truth.cold.get(of).map_or(Seq::ZERO, |c| c.floor.base());
            let stateless =
                self.truth_is_stateless(entry) && (seq.since(*at) > 100 || *at <= floor);
            if !stateless {
                return Err(format!("{}: {} stands at {at} too", place(), entry.message_id));
            }
        }
        let (sent_at, ordinal) =
            log.history.last().map_or((0, 0), |s| (s.entry.sent_at, s.entry.ordinal));
        if entry.sent_at <= sent_at {
            return Err(format!("{}: sent_at does not grow", place()));
        }
        self.within_the_limit(entry, log)?;
        if entry.ordinal != ordinal + u64::from(entry.content.counts()) {
            return Err(format!("{}: the ordinal is {} after {ordinal}", place(), entry.ordinal));
        }
        if seq == Seq::FIRST {
            return self.may_begin(entry).map_err(|e| format!("{}: {e}", place()));
        }
        if !self.truth.tenures(of).contains_key(&entry.sender_id) {
            let joins = matches!(&entry.content,
                Content::System { change: GroupChange::Added { members } } if members[..] == [entry.sender_id.clone()]);
            if !joins {
                return Err(format!("{}: {} wrote, and is no member", place(), entry.sender_id));
            }
        }
        if of.pair().is_none() {
            let invites = self.truth.invites.get(of).is_some_and(|invites| !invites.is_empty());
            let allowed = self.truth.standing(of).allow(entry, invites);
            return allowed.map_err(|e| format!("{}: {e}", place()));
        }
        Ok(())
    }

    fn truth_is_stateless(&self, entry: &Entry) -> bool {
        match &entry.content {
            Content::Text { text, .. } => text.starts_with("http"),
            // Only callers over HTTP change messages here.
            content => content.target().is_some() || matches!(content, Content::Sealed { .. }),
        }
    }

    /// A conversation comes into being with the rows to find it by.
    fn may_begin(&self, entry: &Entry) -> Result<(), String> {
        let of = &entry.conversation_id;
        let users = match (of.pair(), &entry.content) {
            (Some((a, b)), _) if a == entry.sender_id || b == entry.sender_id => vec![a, b],
            (None, Content::System { change: GroupChange::Created { members, .. } }) => {
                members.clone()
            }
            _ => return Err(format!("{} may not begin it", entry.sender_id)),
        };
        let founded = |u: &UserId| {
            of.pair().is_some() || self.truth.members.get(of).is_some_and(|m| m.contains_key(u))
        };
        // Whose list is erased has none, whatever begins with him.
        let users = users.iter().filter(|u| !self.erasures.contains_key(*u));
        match users.into_iter().find(|u| self.truth.row(u, of).is_none() || !founded(u)) {
            Some(user) => Err(format!("it begins, and {user} has no row to find it by")),
            None => Ok(()),
        }
    }

    fn found(
        &mut self,
        group: &ConversationId,
        info: &GroupInfo,
        user: &UserId,
        role: Role,
    ) -> Wrote {
        let stands = !self.truth.is_free(group, Seq::FIRST);
        if self.is(Mutant::FoundsLate) {
            if self.truth.row(user, group).is_some() {
                return Wrote::Yes;
            }
        } else if stands {
            return Wrote::No;
        }
        self.truth.info.insert(group.clone(), info.clone());
        self.truth.write_row(user, group, Seq::FIRST, 0, OwnState::default(), self.moment);
        self.truth.write_member(group, user, role, Seq::FIRST);
        let held = self.rows_agree(group);
        self.must(held);
        Wrote::Yes
    }

    /// The rows say of membership what the log says.
    pub fn rows_agree(&self, group: &ConversationId) -> Result<(), String> {
        if self.truth.log(group).is_none() || group.pair().is_some() {
            return Ok(());
        }
        let tenures = self.truth.tenures(group);
        let empty = Default::default();
        let members = self.truth.members.get(group).unwrap_or(&empty);
        let wrong = members.iter().find(|(user, m)| tenures.get(*user) != Some(&m.joined));
        if let Some((user, member)) = wrong {
            return Err(format!(
                "{group}: {user} has a member row of {} against the log",
                member.joined
            ));
        }
        for (user, joined) in tenures.iter() {
            let row = self.truth.row(user, group).map(|r| r.joined);
            if row != Some(*joined) || !members.contains_key(user) {
                return Err(format!("{group}: {user} joined at {joined} and has the row {row:?}"));
            }
        }
        let standing = self.truth.standing(group);
        let agrees = standing.agrees(self.truth.info.get(group), members.values());
        agrees.map_err(|e| format!("{group}: {e}"))?;
        let stray =
            |user: &&UserId| self.truth.row(user, group).is_some() && !tenures.contains_key(*user);
        match self.truth.rows.keys().find(stray) {
            Some(user) => Err(format!("{group}: {user} is no member and has a row")),
            None => Ok(()),
        }
    }

    fn advance(
        &mut self,
        user: &UserId,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Wrote {
        let unconditional = self.is(Mutant::AdvanceUnconditional);
        let Some(row) = self.truth.rows.get_mut(user).and_then(|rows| rows.get_mut(of)) else {
            return Wrote::No;
        };
        if row.marks != old && !unconditional {
            return Wrote::No;
        }
        let stood = row.marks;
        row.marks = new;
        self.passed(Path::Acked);
        let held = self.marks_hold(of, stood, new);
        self.must(
            held.map_err(|e| format!("{user}'s watermarks of {of}, {stood:?} to {new:?}: {e}")),
        );
        Wrote::Yes
    }

    fn marks_hold(
        &self,
        of: &ConversationId,
        old: Watermarks,
        new: Watermarks,
    ) -> Result<(), String> {
        let log = self.truth.log(of).ok_or("there is no log")?;
        if new.delivered < old.delivered
            || new.read < old.read
            || new.read_ordinal < old.read_ordinal
        {
            return Err("they fell".into());
        }
        if new.delivered > log.head() || new.read > new.delivered {
            return Err(format!("they pass the head {}", log.head()));
        }
        // Until something is read, it is what was there when the user joined.
        let ordinal = log.at(new.read).map_or(old.read_ordinal, |s| s.entry.ordinal);
        if new.read_ordinal != ordinal {
            return Err(format!("the ordinal there is {ordinal}"));
        }
        Ok(())
    }
}
