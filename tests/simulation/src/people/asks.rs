//! What is asked over HTTP: groups that change, messages that are changed, what users choose, and what is read.

use super::*;

impl People {
    pub(super) fn found(&mut self, core: &mut Core) {
        let mut members: Vec<UserId> = self.users.clone();
        members.retain(|_| core.dice.percent(80));
        let with_crowd = core.dice.percent(50);
        members.extend(self.crowd.iter().filter(|_| with_crowd).cloned());
        let founder = self.users[core.dice.index(self.users.len())].clone();
        members.push(if founder == self.users[0] {
            self.users[1].clone()
        } else {
            self.users[0].clone()
        });
        let number = core.fresh();
        self.ask(core, Request::Found(founder, members, number));
    }

    /// One of the two says how long their conversation keeps messages.
    fn keep_direct(&mut self, core: &mut Core) {
        let direct: Vec<_> =
            self.conversations.iter().filter(|c| c.pair().is_some()).cloned().collect();
        if let Some(of) = core.dice.pick(&direct).cloned() {
            let (who, days) = (self.someone(core, &of), days(core));
            self.ask(core, Request::Keep(who, of, days));
        }
    }

    pub(super) fn change_group(&mut self, core: &mut Core) {
        if core.dice.percent(8) {
            return self.keep_direct(core);
        }
        let groups: Vec<_> =
            self.conversations.iter().filter(|c| c.pair().is_none()).cloned().collect();
        let Some(group) = core.dice.pick(&groups).cloned() else { return };
        let roles = core.truth.standing(&group).roles.clone();
        let admins: Vec<_> = roles.into_iter().filter(|(_, r)| *r >= Role::Admin).collect();
        let admin = core.dice.pick(&admins).map(|(user, _)| user.clone());
        let someone = self.someone(core, &group);
        let who = admin.filter(|_| core.dice.percent(80)).unwrap_or_else(|| someone.clone());
        let mut whom = vec![self.users[core.dice.index(self.users.len())].clone()];
        if core.dice.percent(20)
            && let Some(more) = core.dice.pick(&self.crowd)
        {
            whom.push(more.clone());
        }
        let one = whom[0].clone();
        let allowed = |n| [None, Some(Allowed::All), Some(Allowed::Admins)][n];
        let request = match core.dice.below(17) {
            15.. => Request::Keep(who, group, days(core)),
            0..5 => Request::Add(who, group, whom),
            5..9 if !whom.contains(&who) => Request::Remove(who, group, whom),
            9..11 => {
                let roles = [Role::Member, Role::Admin, Role::Admin, Role::Owner];
                Request::SetRole(who, group, one, roles[core.dice.index(4)])
            }
            11 => {
                // Mostly open: who may not write says little.
                let post = if core.dice.percent(70) { 1 } else { core.dice.index(3) };
                Request::Update(who, group, allowed(post), allowed(core.dice.index(3)))
            }
            12 => Request::Invite(who, group, core.dice.magnitude(1, 100_000)),
            13..15 => {
                let invites = core.truth.invites.get(&group).into_iter().flatten();
                let invites: Vec<_> = invites.map(|(id, _)| id.clone()).collect();
                let id = core.dice.pick(&invites).cloned().unwrap_or(InviteId::new(0));
                if core.dice.percent(20) {
                    Request::Revoke(who, group, id)
                } else {
                    Request::Join(one, group, id)
                }
            }
            _ => Request::Remove(someone.clone(), group, vec![someone]),
        };
        self.ask(core, request);
    }

    /// Some old messages are deleted while they are archived for the first time.
    pub(super) fn delete_many(&mut self, core: &mut Core, of: &ConversationId, old: u64) {
        core.timer_runs_out(of);
        for _ in 0..core.dice.below(5) {
            let target = Seq::new(1 + core.dice.below(old));
            let author = core.truth.log(of).and_then(|log| log.at(target));
            let author = author.map(|s| s.entry.sender_id.clone());
            let Some(user) = author.filter(|u| self.users.contains(u)) else { continue };
            let id = MessageId::minted(core.uuid());
            self.ask(core, Request::Say(user, of.clone(), id, Content::Delete { target }));
        }
    }

    /// Something is done to a message, mostly a late one; or somebody is mentioned.
    pub(super) fn change_message(&mut self, core: &mut Core, of: &ConversationId) {
        let user = self.someone(core, of);
        let head = core.truth.log(of).map_or(0, |log| log.head().get());
        let mut target = Seq::new(head.saturating_sub(core.dice.below(6)).max(1));
        // Or one that is old enough to be archived, perhaps at this moment.
        let log = core.truth.log(of);
        let old_ms = core.now.saturating_sub(KEEPING.hot_s * 1_000);
        let old = log.map_or(0, |log| log.history.partition_point(|s| s.entry.sent_at < old_ms));
        let far = old > 0 && core.dice.percent(70);
        if far {
            target = Seq::new(1 + core.dice.below(old as u64));
            if core.dice.percent(50) {
                core.timer_runs_out(of);
            }
            if core.truth.cold.get(of).is_none_or(|c| c.floor.version == 0) {
                self.delete_many(core, of, old as u64);
            }
        }
        // Mostly its author, who may.
        let author = core.truth.log(of).and_then(|log| log.at(target));
        let author = author.map(|s| s.entry.sender_id.clone()).filter(|u| self.users.contains(u));
        let user = author.filter(|_| core.dice.percent(80)).unwrap_or(user);
        let content = match core.dice.below(11) {
            _ if far && core.dice.percent(60) => Content::Delete { target },
            0..2 => Content::Edit { target, text: "other".into() },
            2..5 => Content::Delete { target },
            5 => Content::Reaction { target, emoji: "+".into(), remove: core.dice.percent(30) },
            6 => Content::Sealed { ciphertext: "c2VhbGVk".into(), push: core.dice.percent(50) },
            _ => {
                // Best someone who wants to hear nothing else of it.
                let quiet = |u: &&UserId| {
                    core.truth.row(u, of).is_some_and(|row| row.own.is_quiet(core.now))
                };
                let quiet: Vec<UserId> = self.users.iter().filter(quiet).cloned().collect();
                let from = if quiet.is_empty() { &self.users } else { &quiet };
                let someone = from[core.dice.index(from.len())].clone();
                Content::Text { text: "http you".into(), mentions: vec![someone] }
            }
        };
        let id = MessageId::minted(core.uuid());
        self.ask(core, Request::Say(user, of.clone(), id, content));
    }

    /// A user mutes a conversation, or the like, and looks at what is unread.
    pub(super) fn choose(&mut self, core: &mut Core, of: &ConversationId) {
        let user = self.someone(core, of);
        let flag = core.dice.percent(60);
        let mut change = OwnChange::default();
        match core.dice.below(6) {
            0..3 => change.muted_until = Some(u64::from(flag) * MAX_MUTED_UNTIL),
            3 => change.archived = Some(flag),
            4 => change.pinned = Some(flag),
            _ => change.marked_unread = Some(flag),
        }
        let request = if core.dice.percent(25) {
            Request::Unread(user)
        } else {
            Request::Choose(user, of.clone(), change)
        };
        self.ask(core, request);
    }

    /// Someone sets what he shows, or whom he wants to hear of.
    pub(super) fn set_up(&mut self, core: &mut Core) {
        let user = self.users[core.dice.index(self.users.len())].clone();
        let other = self.users[core.dice.index(self.users.len())].clone();
        let blocked: Vec<UserId> = core.truth.blocked_by(&user).cloned().collect();
        let audiences = [Audience::Everyone, Audience::Contacts, Audience::Nobody];
        let request = match (core.dice.below(6), core.dice.pick(&blocked)) {
            (0, _) => Request::Block(user, other, true),
            (1..=2, Some(other)) => Request::Block(user, other.clone(), false),
            (4.., _) => {
                // Best of someone whom others watch.
                let watched = core.truth.watches.iter().filter(|(_, by)| !by.is_empty());
                let watched: Vec<UserId> = watched.map(|(user, _)| user.clone()).collect();
                let watched = core.dice.pick(&watched).cloned();
                let user = watched.filter(|_| core.dice.percent(60)).unwrap_or(user);
                let presence = Some(audiences[core.dice.index(3)]);
                Request::Profile(user, ProfileChange { presence, ..Default::default() })
            }
            _ if core.dice.percent(40) => {
                let hide_previews = Some(core.dice.percent(60));
                Request::Profile(user, ProfileChange { hide_previews, ..Default::default() })
            }
            _ => {
                let hide_read_receipts = Some(core.dice.percent(60));
                self.look_at_receipts(core, &user);
                Request::Profile(user, ProfileChange { hide_read_receipts, ..Default::default() })
            }
        };
        self.ask(core, request);
    }

    /// Someone wants to know what a user has read who is just about to hide it.
    fn look_at_receipts(&mut self, core: &mut Core, user: &UserId) {
        let rows = core.truth.rows.get(user).into_iter().flatten();
        let read: Vec<ConversationId> =
            rows.filter(|(_, row)| row.marks.read > Seq::ZERO).map(|(of, _)| of.clone()).collect();
        let Some(of) = core.dice.pick(&read).cloned() else { return };
        let Some(at) = core.truth.row(user, &of).map(|row| row.marks.read) else { return };
        let who = self.someone(core, &of);
        let ms = core.dice.below(800);
        self.ask_after(core, ms, Request::Receipts(who, of, at));
    }

    pub(super) fn read(&mut self, core: &mut Core) {
        let Some(of) = core.dice.pick(&self.conversations).cloned() else { return };
        let user = self.someone(core, &of);
        let head = core.truth.log(&of).map_or(0, |log| log.head().get());
        let beyond = u64::from(core.strikes(Fault::Hostile)) * 3;
        // Rather an old one, whose time may be over.
        let at = core.dice.below(head + 1).min(core.dice.below(head + 1));
        let at = Seq::new(at + beyond);
        let request = match core.dice.below(12) {
            11 => Request::Overview(user),
            9.. => Request::Report(user, of, at),
            7 => Request::Export(user, of, at),
            8 => Request::Read(user, of, Range::Around(at)),
            6 => Request::Group(user, of),
            0 => Request::Sync(user, [(of, at)].into()),
            1 => Request::Sync(user, [].into()),
            2 => Request::Read(user, of, Range::After(at)),
            3 => Request::Read(user, of, Range::Before(at.next())),
            4 => Request::Receipts(user, of, at),
            // A person who reads elsewhere: what is acknowledged is what was read, or more by mistake.
            _ => {
                let most = Seq::new(head + beyond * 3);
                Request::Ack(user, of, at.min(most), Seq::new(core.dice.below(at.get() + 1)))
            }
        };
        self.ask(core, request);
    }
}

/// How long a conversation shall keep messages; 0: as long as the operator has them kept.
fn days(core: &mut Core) -> u32 {
    [0, 1, 1, 2, 3, 30][core.dice.index(6)]
}
