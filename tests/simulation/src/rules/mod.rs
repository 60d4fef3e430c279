//! The effect of every write, and what must hold at each: these rules are looked at with every step of every run.

mod rows;
mod storing;

use petrel_core::group::{GroupInfo, Role};
use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::message::{Content, Entry, GroupChange};
use petrel_core::ports::{MAX_EDITS, OwnState, Watermarks};

use crate::core::{Core, Invocation};
use crate::faults::Path;
use crate::gateway::TWO_HOURS;
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
        self.remember(write);
        match write {
            Write::Put(entry) => self.put(entry, by),
            Write::PutChanging(entry) => self.put_changing(entry, by),
            Write::PutDelete(of) => self.put_delete(&of.0, &of.1, &of.2, by),
            Write::Own(user, of, old, new) => {
                let row = self.truth.rows.get_mut(user).and_then(|rows| rows.get_mut(of));
                let Some(row) = row.filter(|row| row.own.version == *old) else { return Wrote::No };
                row.own = *new;
                let chose = self.truth.chose.entry((user.clone(), of.clone())).or_default();
                chose.insert(new.version, *new);
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
            Write::NoteLeft(group, user) => {
                self.truth.left.entry(user.clone()).or_default().insert(group.clone());
                Wrote::Yes
            }
            Write::ForgetLeft(group, user) => {
                self.truth.left.entry(user.clone()).or_default().remove(group);
                let held = self.may_forget(user, group);
                self.must(held);
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
                if let Some(id) = &change.invite {
                    let standing = self.truth.standing(group);
                    let maker = invites.and_then(|i| i.get(id)).map(|i| i.created_by.clone());
                    if !maker.is_some_and(|maker| standing.may_add(&maker)) {
                        self.broke(format!(
                            "{group}: someone joins by an invite whose maker may not add"
                        ));
                    }
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
                let previews = profile.hide_previews;
                let presence = profile.presence;
                let stood = self.truth.audiences.get(user).map(|(a, _)| *a).unwrap_or_default();
                if previews {
                    self.truth.hides_previews.entry(user.clone()).or_insert(self.now);
                } else {
                    self.truth.hides_previews.remove(user);
                }
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
                let now = self.now;
                let dead =
                    |r: &Registered| now.saturating_sub(r.connection.connected_at) > TWO_HOURS;
                let was_off = devices.values().all(dead);
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
                if was_off {
                    // Whatever rows there were: their sockets had ended long ago.
                    let off = Since { on: false, at: 0 };
                    self.truth.online.insert(connection.user.clone(), off);
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
            Write::SetEndpoint(_)
            | Write::RemoveEndpoint(_)
            | Write::MakeEndpoint(..)
            | Write::EnableEndpoint(..)
            | Write::ForgetEndpoint(_) => self.put_phone(write, by),
            Write::Erase(what) => self.erase_entries(&what.0, &what.1, &what.2, &what.3, by),
            Write::EraseOwn(user, items) => self.erase_own(user, items),
            Write::EraseBeside(user) => {
                if let Some(beside) = self.truth.beside.get_mut(user) {
                    *beside = Default::default();
                }
                Wrote::Yes
            }
            Write::Announce(_)
            | Write::SetUploadState(..)
            | Write::KeepUpload(..)
            | Write::Lend(..)
            | Write::RemoveFile(..)
            | Write::ForgetUpload(..) => self.put_file(write),
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
                        let moment = self.moment;
                        self.truth.media.closed.entry(user.clone()).or_insert(moment);
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
}
