//! Changing a group. A change is an entry of the log, so it has a place among the messages, and the rows change in the
//! same transaction; whatever two callers want at once, one comes first and the other reads again.

use super::invites::may_have_made;
use super::members::Members;
use super::rules::Intent;
use super::{App, Caller};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{ConversationId, Seq, UserId};
use crate::limits::Use;
use crate::message::{Content, Entry, GroupChange};
use crate::metrics::Count;
use crate::mutants::mutant;
use crate::ports::{Change, Put, mint};

/// How far back a change is looked for that stands already.
const RECENT: usize = 100;
/// Tries for a change before `busy`.
const MAX_TRIES: usize = 12;
/// Tries that may fail, not lose, before `busy`.
const MAX_FAILURES: usize = 2;

impl App {
    /// Brings about what the caller wants of a group, or of how long a direct conversation keeps messages. Returns the entry that
    /// tells it, that of an earlier call if this one repeats it, or `None` if there was nothing to change.
    ///
    /// # Errors
    /// `not_a_member`; `forbidden` if the caller's role is too low, or if one whom he adds blocks him; `not_found` for an invite that is void or a member
    /// who does not belong; `too_many_members`; `bad_request`; as [`use_as_avatar`](Self::use_as_avatar); `busy`.
    pub async fn change(
        &self,
        caller: &Caller,
        group: &ConversationId,
        intent: &Intent,
    ) -> Result<Option<Entry>> {
        intent.check(group, self.settings.max_retention_days)?;
        self.spend(&caller.user, Use::Members, intent.members())?;
        self.bring_about(caller, group, intent).await
    }

    /// As [`Self::change`], for an intent that was checked, however much the caller has changed of late.
    pub(super) async fn bring_about(
        &self,
        caller: &Caller,
        group: &ConversationId,
        intent: &Intent,
    ) -> Result<Option<Entry>> {
        self.about(group, None);
        self.check_blocks(caller, group).await?;
        let (mut failures, mut noted, mut shown) = (0, vec![], false);
        for attempt in 0..MAX_TRIES {
            if attempt > 0 {
                self.pause(attempt).await;
            }
            let invite = match intent {
                Intent::Join(invite) => Some(invite),
                _ => None,
            };
            // The head before the members: a change in between takes head + 1, and the transaction fails.
            let head = self.log.newest(group, Seq::FIRST, None, 1).await?.into_iter().next();
            let members = self.read_changeable(group).await?;
            let belongs = members.get(&caller.user).is_some();
            if let (Some(invite), false) = (invite, belongs) {
                let invite = self.current_invite(group, invite).await?;
                may_have_made(&invite, &members)?;
            }
            if !belongs && intent.leaves(&caller.user) {
                // Perhaps he left a while ago; a stranger finds no such entry. Also of a group that is not there, so that
                // he waits as long for both.
                let left = self.deliver_change_again(caller, group, intent).await?;
                return left.map(Some).ok_or_else(Error::not_a_member);
            }
            let head = match head {
                Some(head) if belongs || invite.is_some() => head,
                _ => return Err(Error::not_a_member()),
            };
            let Some(plan) = intent.plan(&caller.user, &members)? else {
                return self.deliver_change_again(caller, group, intent).await;
            };
            // Before it stands in the group: whoever reads it there can look at it. Not before he may have it there: everyone who
            // was told its id, in a message say, can look at it from then on.
            if let GroupChange::Updated { avatar: Some(Some(picture)), .. } = &plan.change
                && !shown
            {
                self.use_as_avatar(caller, picture).await?;
                shown = true;
            }
            let now = self.world.now_ms();
            if let Intent::Add(_) = intent {
                self.check_addable(caller, &plan.added).await?;
            }
            let entry = Entry {
                conversation_id: group.clone(),
                seq: head.seq.next(),
                ordinal: head.ordinal,
                message_id: mint(&*self.world),
                sender_id: caller.user.clone(),
                sent_at: now.max(head.sent_at.saturating_add(1)),
                content: Content::System { change: plan.change },
                level: self.level_carried(Some(&head), now),
                edits: vec![],
            };
            let change = Change {
                entry: entry.clone(),
                added: plan.added.clone(),
                removed: plan.removed,
                roles: plan.roles,
                info: plan.info,
                invite: invite.cloned(),
            };
            // Before, for afterwards nobody may be there to do it: were it forgotten, an erasure would not come here.
            if change.removed != noted && !mutant!(LeavingUnnoted) {
                self.conversations.note_left(group, &change.removed).await?;
                noted.clone_from(&change.removed);
            }
            // Unsure or taken: read again. If it happened after all, it is found there.
            match self.conversations.change(&change).await {
                Ok(Put::Taken) => self.metrics.count(Count::Conflicts, 1),
                Ok(Put::Stored) => {
                    self.about(group, Some(entry.seq));
                    self.metrics.count(Count::Messages, 1);
                    let mut to = members.who_read(entry.seq);
                    to.extend(plan.added);
                    let ended = self.remove_invites_of(&change.removed, group).await;
                    self.deliver(&entry, to, caller.connection(), false).await?;
                    return ended.map(|()| Some(entry));
                }
                Err(error) => {
                    failures += 1;
                    if failures == MAX_FAILURES {
                        return Err(error);
                    }
                }
            }
        }
        Err(Error::new(ErrorKind::Busy, "too many changes at once; send the same again"))
    }

    /// Adds members; those who belong already stay as they are.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn add_members(
        &self,
        caller: &Caller,
        group: &ConversationId,
        users: &[UserId],
    ) -> Result<Option<Entry>> {
        users.iter().try_for_each(UserId::check_person)?;
        self.change(caller, group, &Intent::Add(users.iter().cloned().collect())).await
    }

    /// Removes members; a member who removes himself leaves, and may repeat that.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn remove_members(
        &self,
        caller: &Caller,
        group: &ConversationId,
        users: &[UserId],
    ) -> Result<Option<Entry>> {
        self.change(caller, group, &Intent::Remove(users.iter().cloned().collect())).await
    }

    /// The change stands already. If the caller made it a while ago, an earlier call may have ended before it
    /// delivered: deliver it again, to those who are told of it. An own change that no longer holds is another one.
    async fn deliver_change_again(
        &self,
        caller: &Caller,
        group: &ConversationId,
        intent: &Intent,
    ) -> Result<Option<Entry>> {
        let recent = self.log.newest(group, Seq::FIRST, None, RECENT).await?;
        // After the entries: who is in it and joined at or before one of them belonged when that was stored.
        let members = self.read_members(group).await?;
        let made = recent.into_iter().find(|entry| {
            entry.sender_id == caller.user
                && matches!(&entry.content, Content::System { change }
                    if intent.made(&caller.user, change, &members) && since(entry, change, &members))
        });
        if let Some(entry) = &made {
            self.about(group, Some(entry.seq));
            let mut to = members.who_read(entry.seq);
            let mut gone = vec![];
            if let Content::System { change: GroupChange::Removed { members: named, .. } } =
                &entry.content
            {
                to.extend(named.iter().cloned());
                gone.extend(named.iter().filter(|user| members.get(user).is_none()).cloned());
            }
            let ended = self.remove_invites_of(&gone, group).await;
            self.deliver(entry, to, caller.connection(), true).await?;
            ended?;
        }
        Ok(made)
    }
}

/// Whether those whom it added belong since this very entry, and were not taken out and added again.
fn since(entry: &Entry, change: &GroupChange, members: &Members) -> bool {
    let joined = |u: &UserId| members.get(u).is_some_and(|m| m.joined == entry.seq);
    match change {
        GroupChange::Added { members: named } => named.iter().all(joined),
        _ => true,
    }
}
