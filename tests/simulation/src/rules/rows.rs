//! What must hold of the rows beside the log: that they say the same, and that watermarks only grow.

use super::*;

impl Core {
    pub(super) fn found(
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
        if self.truth.log(group).is_none() {
            return Ok(());
        }
        if group.pair().is_some() {
            let (info, standing) = (self.truth.info.get(group), self.truth.standing(group));
            return if info == standing.info.as_ref() {
                Ok(())
            } else {
                Err(format!("{group}: the info is {info:?}, by the log {:?}", standing.info))
            };
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

    pub(super) fn advance(
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

    pub(super) fn marks_hold(
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
