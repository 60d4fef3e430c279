//! What must hold of an entry that is stored: its place, its author, what it changes.

use super::*;
use crate::standing::Standing;

impl Core {
    pub(super) fn put(&mut self, entry: &Entry, by: Option<Invocation>) -> Wrote {
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
    pub(super) fn put_changing(&mut self, entry: &Entry, by: Option<Invocation>) -> Wrote {
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
    pub(super) fn may_change(&self, entry: &Entry) -> Result<(), String> {
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
    pub(super) fn began(&self, by: Option<Invocation>) -> Option<u64> {
        Some(self.notes.get(&by?)?.began)
    }

    /// Nobody writes to someone who blocks him.
    pub(super) fn may_be_written(
        &self,
        entry: &Entry,
        by: Option<Invocation>,
    ) -> Result<(), String> {
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
    pub(super) fn may_be_added(
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
        if entry.sender_id.is_system() {
            self.passed(Path::Noticed);
        }
        let held = self.may_be_stored(entry).and_then(|()| {
            let place = format!("{} {}", entry.conversation_id, entry.seq);
            self.may_change(entry).map_err(|e| format!("{place}: {e}"))
        });
        let held = held.and_then(|()| self.may_name(entry, by));
        let held = held.and_then(|()| self.may_carry(entry, by));
        let strayed = by.and_then(|by| self.notes.get(&by)).is_some_and(|notes| notes.strays);
        self.truth.store(entry, self.moment, self.now, strayed);
        self.note(|| {
            format!("   stored: {} {} by {}", entry.conversation_id, entry.seq, entry.sender_id)
        });
        self.must(held);
        self.passed(Path::Stored);
    }

    /// Nobody writes more into a conversation than its limit lets in: twice what fits at once in one period, and what was
    /// admitted before its put came late.
    pub(super) fn within_the_limit(&self, entry: &Entry, log: &LogOf) -> Result<(), String> {
        let limit = self.limits.conversation;
        let people =
            |e: &Entry| !matches!(e.content, Content::System { .. } | Content::Notice { .. });
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

    pub(super) fn may_be_stored(&self, entry: &Entry) -> Result<(), String> {
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
            // What is over is read no more, also before the archiver has come.
            let gone = self.truth.cold.get(of).is_some_and(|c| *at <= c.floor.gone)
                || self.may_be_over(of, *at);
            let knowingly = gone && self.retried.contains(&entry.message_id.to_string());
            if !stateless && !knowingly {
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
        if entry.sender_id.is_system() {
            return self.may_be_noticed(entry).map_err(|e| format!("{}: {e}", place()));
        }
        if !self.truth.tenures(of).contains_key(&entry.sender_id) {
            let joins = matches!(&entry.content,
                Content::System { change: GroupChange::Added { members } } if members[..] == [entry.sender_id.clone()]);
            if !joins {
                return Err(format!("{}: {} wrote, and is no member", place(), entry.sender_id));
            }
        }
        if of.pair().is_none() {
            let standing = self.truth.standing(of);
            let invites = self.truth.invites.get(of).into_iter().flatten();
            let invited = invites.map(|(_, i)| &i.created_by).any(|by| standing.may_add(by));
            let allowed = standing.allow(entry, invited);
            return allowed.map_err(|e| format!("{}: {e}", place()));
        }
        Standing::allow_in_direct(entry).map_err(|e| format!("{}: {e}", place()))
    }

    pub(super) fn truth_is_stateless(&self, entry: &Entry) -> bool {
        match &entry.content {
            Content::Text { text, .. } => text.starts_with("http"),
            // Only callers over HTTP change messages here.
            content => {
                let http = matches!(
                    content,
                    Content::Sealed { .. } | Content::Media { .. } | Content::Notice { .. }
                );
                http || content.target().is_some()
            }
        }
    }

    /// The server writes notices, and nobody else does.
    fn may_be_noticed(&self, entry: &Entry) -> Result<(), String> {
        match &entry.content {
            Content::Notice { .. } => Ok(()),
            content => Err(format!("the server wrote {content:?}")),
        }
    }

    /// A conversation comes into being with the rows to find it by.
    pub(super) fn may_begin(&self, entry: &Entry) -> Result<(), String> {
        let of = &entry.conversation_id;
        let users = match (of.pair(), &entry.content) {
            (Some((a, b)), Content::Notice { .. }) if entry.sender_id.is_system() => vec![a, b],
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
}
