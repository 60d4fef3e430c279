//! Erasing a user: the effects of its writes, what may be written of whom it erases, and that nothing of him is left.

use std::collections::BTreeSet;

use petrel_core::ids::{ConversationId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Change, Floor};
use petrel_core::services::Erased;
use serde_json::json;

use crate::core::{Core, Invocation};
use crate::faults::Path;
use crate::frames::Held;
use crate::http::Request;
use crate::invocation::{Notes, Task};
use crate::mutants::Mutant;
use crate::truth::{LogOf, Own, Stored, Truth, Wrote};

/// A function that works for a user ends so long after it began at most, ms: the time-outs of the template.
const LIVES_MS: u64 = 20_000;
/// A write whose answer is lost has its effect so much later at most, ms. What is later still is none of a user who is being
/// erased: the product waits for as long as any call can take.
const LATE_MS: u64 = 2_000;

/// What is known of an erasure.
#[derive(Clone, Debug, Default)]
pub struct Erasure {
    /// Whether it has ended.
    pub ended: bool,
}

impl Truth {
    /// The first items that are kept of a user by himself, in the order of the table.
    pub fn own(&self, user: &UserId, limit: usize) -> Vec<Own> {
        let blocks = self.blocked_by(user).cloned().map(Own::Block);
        // A row of a group goes with the member's.
        let rows = self.rows.get(user).into_iter().flatten().filter(|(of, _)| of.pair().is_some());
        let rows = rows.map(|(of, _)| Own::Row(of.clone()));
        let profile = self.profiles.get(user).map(|_| Own::Profile);
        let watchers = self.watches.get(user).into_iter().flatten();
        let watchers = watchers.map(|(watcher, _)| Own::Watcher(watcher.clone()));
        blocks.chain(rows).chain(profile).chain(watchers).take(limit).collect()
    }
}

/// Whether it holds what its author made.
fn says(content: &Content) -> bool {
    let anothers =
        matches!(content, Content::System { .. } | Content::Notice { .. } | Content::Delete { .. });
    !anothers && !content.is_emptied()
}

/// When one was disabled who is not, ms since 1970.
const NEVER: u64 = u64::MAX;

/// The first entry of this user's that says something still; but for what has come since he was disabled over a socket that no row
/// named: an erasure does not wait for that, as `docs/security.md` says.
fn left_of<'a>(log: &'a LogOf, user: &UserId, gone: Seq, disabled: u64) -> Option<&'a Entry> {
    let left = |s: &&Stored| {
        let e = &s.entry;
        e.sender_id == *user
            && !(s.strayed && s.at >= disabled)
            && e.seq > gone
            && says(&e.content)
            && !log.deleted.contains_key(&e.seq)
    };
    log.history.iter().find(left).map(|s| &s.entry)
}

impl Core {
    /// Whether this invocation erases somebody.
    pub fn is_erasure(&self, by: Invocation) -> bool {
        self.erases(Some(by)).is_some()
    }

    /// Whom this invocation erases.
    fn erases(&self, by: Option<Invocation>) -> Option<&UserId> {
        match &self.notes.get(&by?)?.task {
            Task::Http(_, Request::Erase(user, _) | Request::EraseIn(user, ..)) => Some(user),
            _ => None,
        }
    }

    /// A user is disabled, perhaps to be erased.
    pub fn is_erasing(&mut self, user: &UserId, by: Option<Invocation>) {
        if self.erases(by) == Some(user) {
            self.erasures.entry(user.clone()).or_default();
        }
    }

    /// Whether a function that works for a user who is being erased has reached its time-out. Elsewhere functions may stand
    /// still for longer than AWS lets them.
    pub fn is_over(&self, notes: &Notes) -> bool {
        let erased = notes.user.as_ref().is_some_and(|user| self.erasures.contains_key(user));
        let operator = matches!(&notes.task, Task::Http(_, request) if request.is_operators());
        erased && !operator && self.now >= notes.began_at + LIVES_MS
    }

    /// Whether a write of a user who is being erased comes later than any can.
    pub fn has_settled(&self, user: Option<&UserId>, since: u64) -> bool {
        user.is_some_and(|user| self.erasures.contains_key(user)) && self.now > since + LATE_MS
    }

    /// A message of a user's that the gateway has taken just before it closes his socket.
    pub fn last_words(&mut self, number: u64, user: &UserId) {
        let all: Vec<ConversationId> =
            self.truth.rows.get(user).into_iter().flatten().map(|(of, _)| of.clone()).collect();
        let Some(of) = self.dice.pick(&all).cloned() else { return };
        let id = self.uuid().to_string();
        let content = json!({"type": "text", "text": "http last words"});
        let frame =
            json!({"action": "send", "conversation_id": of, "message_id": id, "content": content});
        self.invoke(0, Task::Route(number, frame.to_string()));
    }

    /// Empties these entries as they were read, and notes those at or below the fence.
    pub fn erase_entries(
        &mut self,
        user: &UserId,
        entries: &[Entry],
        floor: &Floor,
        left: &BTreeSet<Seq>,
        by: Option<Invocation>,
    ) -> Wrote {
        let Some(of) = entries.first().map(|e| e.conversation_id.clone()) else { return Wrote::No };
        let empty = Default::default();
        let cold = self.truth.cold.get(&of).unwrap_or(&empty);
        let unchecked = self.is(Mutant::FloorUnchecked);
        let row_is_there =
            |e: &Entry| self.truth.logs.get(&of).is_some_and(|log| log.table.contains_key(&e.seq));
        let needed = |e: &&Entry| e.seq > floor.archived || left.contains(&e.seq);
        if cold.floor.version != floor.version && !unchecked
            || !entries.iter().filter(needed).all(row_is_there)
        {
            self.passed(Path::Conflict);
            if let Some(notes) = by.and_then(|by| self.notes.get_mut(&by)) {
                notes.conflicts += 1;
            }
            return Wrote::No;
        }
        let others = entries.iter().find(|e| e.sender_id != *user || !says(&e.content));
        if let Some(other) = others {
            let rule = format!("{of} {}: {user} is erased, and it is not theirs", other.seq);
            self.broke(rule);
        }
        let moment = self.moment;
        if let Some(log) = self.truth.logs.get_mut(&of) {
            for entry in entries {
                if needed(&entry)
                    && let Some(row) = log.table.get_mut(&entry.seq)
                {
                    *row = row.deleted();
                }
                log.deleted.entry(entry.seq).or_insert(moment);
            }
        }
        let noted = entries.iter().map(|e| e.seq).filter(|seq| *seq <= floor.closing);
        let noted: Vec<Seq> = noted.filter(|_| !self.is(Mutant::ErasedUnnoted)).collect();
        self.passed(if noted.is_empty() { Path::Emptied } else { Path::EmptiedInArchive });
        self.truth.cold.entry(of.clone()).or_default().redactions.extend(noted);
        let held = self.nothing_shows(&of).and_then(|()| self.nothing_is_lost(&of));
        self.must(held.map_err(|e| format!("{of}: {e}")));
        Wrote::Yes
    }

    /// Removes what a user has by himself.
    pub fn erase_own(&mut self, user: &UserId, items: &[Own]) -> Wrote {
        for item in items {
            match item {
                Own::Block(other) => {
                    let block = (user.clone(), other.clone());
                    let off = crate::truth::Since { on: false, at: self.moment };
                    self.truth.blocks.insert(block, off);
                }
                Own::Row(of) => {
                    self.truth.rows.entry(user.clone()).or_default().remove(of);
                    let held = self.rows_agree(of);
                    self.must(held);
                }
                Own::Profile => {
                    self.truth.profiles.remove(user);
                    self.truth.hides_previews.remove(user);
                    let off = crate::truth::Since { on: false, at: self.moment };
                    self.truth.hides.insert(user.clone(), off);
                    self.truth.audiences.insert(user.clone(), (Default::default(), self.moment));
                }
                Own::Watcher(watcher) => {
                    self.truth.watches.entry(user.clone()).or_default().remove(watcher);
                }
            }
        }
        Wrote::Yes
    }

    /// Who leaves a group is noted: an erasure would not find what he wrote there. Whom one takes out has nothing left there, and
    /// one that has been there takes the note away, be it that somebody else has just written it.
    pub fn may_leave(&self, change: &Change, by: Option<Invocation>) -> Held {
        let group = &change.entry.conversation_id;
        for user in &change.removed {
            let noted = self.truth.left.get(user).is_some_and(|left| left.contains(group));
            if !noted && !self.erasures.contains_key(user) {
                return Err(format!("{user} leaves {group}, and it is noted nowhere"));
            }
            if !noted {
                self.nothing_says(user, group)?;
            }
        }
        match self.erases(by).filter(|user| change.removed.contains(user)) {
            Some(user) => self.nothing_says(user, group),
            None => Ok(()),
        }
    }

    /// That someone has left a group is forgotten when nothing of his is left there.
    pub fn may_forget(&self, user: &UserId, group: &ConversationId) -> Held {
        self.nothing_says(user, group)
    }

    fn nothing_says(&self, user: &UserId, of: &ConversationId) -> Held {
        let Some(log) = self.truth.log(of) else { return Ok(()) };
        let gone = self.truth.cold.get(of).map_or(Seq::ZERO, |cold| cold.floor.gone);
        let disabled = self.truth.disabled_since.get(user).copied().unwrap_or(NEVER);
        match left_of(log, user, gone, disabled) {
            Some(left) => {
                Err(format!("{user} is erased from {of}, and {} says it still", left.seq))
            }
            None => self.nothing_shows(of),
        }
    }

    /// An erasure says that nothing is left.
    pub fn must_be_erased(
        &mut self,
        by: Invocation,
        user: &UserId,
        only: Option<&ConversationId>,
        erased: &Erased,
    ) {
        if erased.page.is_some() {
            return self.passed(Path::ErasedInPages);
        }
        let held = match only {
            Some(of) => {
                self.passed(Path::ErasedByName);
                self.nothing_says(user, of)
            }
            None => {
                self.passed(Path::Erased);
                self.erasures.entry(user.clone()).or_default().ended = true;
                self.nothing_is_left(by, user)
            }
        };
        self.must(held.map_err(|e| format!("an erasure has ended, and {e}")));
    }

    /// Nothing is left of a user: neither words anywhere, nor what he had by himself. What others have written since
    /// the call began (a row, as they began to write to him; that they watch him) is theirs.
    fn nothing_is_left(&self, by: Invocation, user: &UserId) -> Held {
        let began = self.notes.get(&by).map_or(0, |n| n.began);
        let truth = &self.truth;
        for of in truth.logs.keys() {
            self.nothing_says(user, of)?;
        }
        let written = |of: &ConversationId| truth.written.get(&(user.clone(), of.clone()));
        // Nor of a group that never came into being.
        let is_there = |of: &ConversationId| of.pair().is_some() || truth.log(of).is_some();
        let mut rows = truth.rows.get(user).into_iter().flatten();
        if let Some((of, _)) = rows.find(|(of, _)| written(of) < Some(&began) && is_there(of)) {
            return Err(format!("{user} has a row of {of}"));
        }
        if truth.profiles.contains_key(user) {
            return Err(format!("{user} has a profile"));
        }
        if let Some(other) = truth.blocked_by(user).next() {
            return Err(format!("{user} blocks {other}"));
        }
        self.files_are_erased(user)?;
        if truth.endpoints.get(user).is_some_and(|phones| !phones.is_empty()) {
            return Err(format!("{user} has a phone"));
        }
        let quiet = truth.noted.get(user).is_none_or(|at| *at < began);
        let watched = truth.watches.get(user).is_some_and(|watches| !watches.is_empty());
        let beside = truth.beside.get(user).is_some_and(|b| b.last_seen.is_some() || b.away);
        if quiet && (watched || beside) {
            return Err(format!("it is known who watches {user}, or when they were here"));
        }
        Ok(())
    }

    /// The conversations with words of a user's in them.
    pub fn speaks_in(&self, user: &UserId) -> Vec<ConversationId> {
        let gone =
            |of: &ConversationId| self.truth.cold.get(of).map_or(Seq::ZERO, |cold| cold.floor.gone);
        let logs = self.truth.logs.iter();
        logs.filter(|(of, log)| left_of(log, user, gone(of), NEVER).is_some())
            .map(|(of, _)| of.clone())
            .collect()
    }

    /// Who is erased is not woken, but by what was under way when he was disabled.
    pub fn may_be_woken(&self, user: &UserId, by: Invocation) -> Held {
        let began = self.notes.get(&by).map_or(0, |n| n.began_at);
        let disabled = self.truth.disabled_since.get(user).is_some_and(|since| *since < began);
        if disabled && self.erasures.contains_key(user) {
            return Err(format!("{user} is erased, and was woken"));
        }
        Ok(())
    }
}
