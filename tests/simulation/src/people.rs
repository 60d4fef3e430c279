//! What happens to be done in a run: who there is, who writes, reads, comes and goes, which groups change, and which
//! sockets end. All of it follows from the seed.

use petrel_core::group::{Allowed, Role};
use petrel_core::ids::{
    ConversationId, DeviceId, EndpointId, InviteId, MediaId, MessageId, Seq, UserId,
};
use petrel_core::message::{Content, Entry};
use petrel_core::people::{Audience, ProfileChange};
use petrel_core::ports::Endpoint;
use petrel_core::services::{Erased, MAX_MUTED_UNTIL, OwnChange, Range};

use crate::client::Device;
use crate::cold::KEEPING;
use crate::core::{Core, Event};
use crate::faults::Fault;
use crate::http::{Asked, Call, Request};
use crate::invocation::Task;
use crate::retention::DAY_MS;
use crate::run::Run;
use crate::truth::Write;

/// Everyone, and what they have to do yet.
pub struct People {
    /// Those who have devices.
    pub users: Vec<UserId>,
    /// Those who only belong to groups: they make some of them large.
    crowd: Vec<UserId>,
    /// The conversations that messages go to.
    pub conversations: Vec<ConversationId>,
    /// HTTP requests.
    pub calls: Vec<Call>,
    /// Whom an operator disables, until they are enabled again; or erases, for ever.
    disabling: Vec<UserId>,
    /// How many users an operator erases yet.
    erasing: u32,
    /// How often everyone sleeps yet.
    nights: u32,
    /// Acts to come.
    left: u64,
    /// The longest time between two acts, ms.
    pace: u64,
    /// Groups to found still.
    groups: u64,
    /// Of 100 acts, how many are messages, changes of groups, and trouble; the rest is this and that.
    habits: (u64, u64, u64),
    /// Whether nothing is begun any more, and nothing goes wrong.
    pub peace: bool,
    /// How often the devices are asked to sync in the end.
    pub rounds: u32,
}

fn user(name: &str) -> Option<UserId> {
    UserId::parse(name).ok()
}

impl People {
    /// Chooses who there is, and when things go wrong.
    pub fn new(core: &mut Core, acts: Option<u64>) -> (Self, Vec<Device>) {
        let names = ["ana", "bo", "cy", "di", "ed"];
        let count = 2 + core.dice.index(4);
        let users: Vec<UserId> = names[..count].iter().filter_map(|n| user(n)).collect();
        let mut devices = vec![];
        for user in &users {
            for kind in ["phone", "laptop"].iter().take(1 + core.dice.index(2)) {
                let Ok(id) = DeviceId::parse(&format!("{user}-{kind}")) else { continue };
                if core.dice.percent(60)
                    && let Ok(endpoint) = EndpointId::parse(&format!("endpoint/{id}"))
                {
                    let endpoint =
                        Endpoint { user: user.clone(), device: id.clone(), id: endpoint };
                    core.apply(&Write::SetEndpoint(endpoint), None);
                }
                let mut device = Device::new(devices.len(), user.clone(), id);
                device.wanted = core.dice.percent(85);
                devices.push(device);
            }
        }
        let size = [0, 0, 30, 33, 34, 101, 120][core.dice.index(7)];
        let crowd = (0..size).filter_map(|i| user(&format!("u{i:03}"))).collect();
        let mut conversations = vec![ConversationId::direct(&users[0], &users[1])];
        if core.dice.percent(30) {
            conversations.push(ConversationId::direct(&users[0], &users[0]));
        }
        if let Some(third) = users.get(2) {
            conversations.push(ConversationId::direct(third, &users[0]));
        }
        let pace = [50, 500, 5_000, 60_000, 1_200_000][core.dice.index(5)];
        let left = acts.unwrap_or_else(|| core.dice.between(20, 90));
        let groups = core.dice.below(3);
        let habits = [(45, 8, 12), (25, 40, 8), (35, 8, 35)][core.dice.index(3)];
        let mut people = Self {
            users,
            crowd,
            conversations,
            calls: vec![],
            disabling: vec![],
            erasing: 0,
            nights: 0,
            left,
            pace,
            groups,
            habits,
            peace: false,
            rounds: 3,
        };
        people.fate(core);
        people.outages(core);
        if core.dice.percent(4) {
            let length = core.dice.between(505, 620);
            people.long_log(core, &mut devices, length, (1_000_000, 1));
        } else if core.dice.percent(35) {
            // Old enough to be archived.
            let length = core.dice.magnitude(2, 90);
            let mut age = (DAY_MS, 1);
            if core.keeping.retention_s < KEEPING.retention_s {
                // Some of it is over already, and some will be soon.
                let kept = core.truth.retention_ms;
                age = (kept + kept / 6, kept * core.dice.between(1, 7) / 6 / length);
            }
            people.long_log(core, &mut devices, length, age);
        }
        core.after(0, Event::Act);
        (people, devices)
    }

    /// Whether someone will be erased, what he has by then, and how often days pass.
    fn fate(&mut self, core: &mut Core) {
        if core.dice.percent(25) {
            self.erasing = 1 + u32::from(core.dice.percent(20));
            for user in &self.users {
                let many = core.dice.percent(3);
                let count = if many { 110 } else { core.dice.below(3) };
                let uploads = core.truth.uploads.entry(user.clone()).or_default();
                uploads.extend((0..count).map(|n| (MediaId::new(n.into()), true)));
            }
        }
        if core.faults.may(Fault::Night) && core.dice.percent(30) {
            self.nights = core.dice.between(1, 3) as u32;
        }
    }

    /// When the services that may be out are out.
    fn outages(&self, core: &mut Core) {
        let length = self.left * self.pace / 2;
        for fault in [Fault::QueueOut, Fault::PushOut, Fault::GatewayOverload, Fault::ArchiveOut] {
            if core.faults.may(fault) && core.dice.chance(fault.rate()) {
                let begins = core.dice.below(length.max(1));
                let lasts = core.dice.magnitude(100, length.max(200));
                core.after(begins, Event::Begins(fault));
                core.after(begins + lasts, Event::Ends(fault));
            }
        }
    }

    /// A conversation from before: one that is longer than a `send` reads, or old; and a device that held its beginning
    /// only.
    fn long_log(
        &self,
        core: &mut Core,
        devices: &mut [Device],
        length: u64,
        (age_ms, step_ms): (u64, u64),
    ) {
        let of = self.conversations[0].clone();
        let Some((a, b)) = of.pair() else { return };
        for user in [&a, &b] {
            core.apply(&Write::Open(of.clone(), user.clone()), None);
        }
        core.apply(&Write::SetTimer(of.clone()), None);
        let mut written: Vec<(Seq, UserId)> = vec![];
        for seq in 1..=length {
            let message_id = MessageId::minted(core.uuid());
            let edited = if seq > 3 && step_ms == 1 && core.dice.percent(12) {
                core.dice.pick(&written)
            } else {
                None
            };
            let (sender_id, content) = match edited.cloned() {
                Some((target, author)) => (author, Content::Edit { target, text: "edited".into() }),
                None => {
                    let author = if core.dice.percent(50) { &a } else { &b };
                    written.push((Seq::new(seq), author.clone()));
                    (author.clone(), Content::text(message_id.to_string()))
                }
            };
            let entry = Entry {
                conversation_id: of.clone(),
                seq: Seq::new(seq),
                ordinal: written.len() as u64,
                message_id,
                sender_id,
                sent_at: core.now - age_ms + seq * step_ms,
                content,
                level: 0,
                edits: vec![],
            };
            let edits = matches!(entry.content, Content::Edit { .. });
            let put = if edits { Write::PutChanging } else { Write::Put };
            core.apply(&put(entry.clone()), None);
            if seq <= 3 {
                for device in devices.iter_mut().filter(|d| d.user == a || d.user == b) {
                    device.holds(core, &entry);
                }
            }
        }
        for device in devices.iter_mut().filter(|d| d.user == a) {
            device.compose(core, of.as_str());
        }
    }

    /// What is asked and not answered yet.
    pub fn waiting(&self) -> impl Iterator<Item = &Request> {
        self.calls.iter().filter(|c| !c.over).map(|c| &c.request)
    }

    /// An HTTP answer has come, or none will.
    pub fn answered(&mut self, core: &mut Core, number: usize, asked: Option<&Asked>) {
        match asked {
            // Let in again after a while.
            Some(Asked::CutOff(user)) => {
                let user = user.clone();
                let ms = core.dice.magnitude(100, 600_000);
                self.ask_after(core, ms, Request::Enable(user));
            }
            Some(Asked::Erased(user, only, Erased { page: Some(page), .. })) => {
                let (user, only, page) = (user.clone(), only.clone(), page.to_string());
                let request = |page| match &only {
                    None => Request::Erase(user.clone(), page),
                    Some(of) => Request::EraseIn(user.clone(), of.clone(), page),
                };
                // Or from the beginning, or both at once.
                let ways =
                    [(true, false), (true, false), (true, false), (true, true), (false, true)];
                let (mut on, mut anew) = ways[core.dice.index(5)];
                let many = self.waiting().filter(|r| matches!(r, Request::Erase(..))).count() > 2;
                if self.peace || many || core.erasures.get(&user).is_some_and(|e| e.ended) {
                    (on, anew) = (true, false);
                }
                if on {
                    self.ask(core, request(Some(page)));
                }
                if anew {
                    self.ask(core, request(None));
                }
            }
            Some(Asked::Erased(user, None, _)) => {
                for of in core.left_behind(user) {
                    self.ask(core, Request::EraseIn(user.clone(), of, None));
                }
            }
            Some(Asked::Enabled(user)) => {
                let user = user.clone();
                self.disabling.retain(|u| *u != user);
            }
            _ => {}
        }
        if let Some(Asked::Founded(entry)) = asked
            && !self.conversations.contains(&entry.conversation_id)
        {
            self.conversations.push(entry.conversation_id.clone());
        }
        self.calls[number].answered(core, number, asked);
    }

    /// A call that was frozen can disable someone long after he was enabled: the operator sees to it in the end.
    pub fn let_everyone_in(&mut self, core: &mut Core) {
        let out = core.truth.disabled.keys().filter(|u| !core.erasures.contains_key(*u));
        let out: Vec<UserId> = out.cloned().collect();
        for user in out {
            let request = Request::Enable(user);
            if !self.waiting().any(|r| format!("{r:?}") == format!("{request:?}")) {
                self.ask(core, request);
            }
        }
    }

    fn ask(&mut self, core: &mut Core, request: Request) {
        self.ask_after(core, 0, request);
    }

    fn ask_after(&mut self, core: &mut Core, ms: u64, request: Request) {
        let number = self.calls.len();
        self.calls.push(Call { request, left: 40, over: false });
        core.after(ms, Event::Request(number));
    }

    /// An operator disables someone, in runs that have one.
    fn operate(&mut self, core: &mut Core) {
        if !core.operator || core.dice.percent(70) {
            return;
        }
        let user = self.users[core.dice.index(self.users.len())].clone();
        if !self.disabling.contains(&user) {
            self.disabling.push(user.clone());
            self.ask(core, Request::Disable(user));
        }
    }

    /// An operator erases someone whom he does not let in just now.
    fn erase(&mut self, core: &mut Core) {
        let user = self.users[core.dice.index(self.users.len())].clone();
        let lets_in =
            |r: &Request| matches!(r, Request::Enable(u) | Request::Disable(u) if *u == user);
        let under_way =
            core.notes.values().any(|n| matches!(&n.task, Task::Http(_, r) if lets_in(r)));
        if under_way || self.disabling.contains(&user) || self.waiting().any(lets_in) {
            return;
        }
        self.erasing -= 1;
        self.disabling.push(user.clone());
        if core.dice.percent(30) {
            // Two operators, who know nothing of each other.
            let ms = core.dice.magnitude(1_000, 60_000);
            self.ask_after(core, ms, Request::Erase(user.clone(), None));
        }
        self.ask(core, Request::Erase(user, None));
    }

    /// Someone who belongs to a conversation, or perhaps does not.
    fn someone(&self, core: &mut Core, of: &ConversationId) -> UserId {
        let members: Vec<UserId> = core.truth.tenures(of).keys().cloned().collect();
        let members: Vec<UserId> = members.into_iter().filter(|u| self.users.contains(u)).collect();
        let stranger = core.strikes(Fault::Hostile);
        let from = if stranger || members.is_empty() { &self.users } else { &members };
        core.dice.pick(from).cloned().unwrap_or_else(|| self.users[0].clone())
    }

    fn found(&mut self, core: &mut Core) {
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

    fn change_group(&mut self, core: &mut Core) {
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
            15.. => {
                let days = [0, 1, 1, 2, 3, 30][core.dice.index(6)];
                Request::Keep(who, group, days)
            }
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
    fn delete_many(&mut self, core: &mut Core, of: &ConversationId, old: u64) {
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
    fn change_message(&mut self, core: &mut Core, of: &ConversationId) {
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
    fn choose(&mut self, core: &mut Core, of: &ConversationId) {
        let user = self.someone(core, of);
        let flag = core.dice.percent(60);
        let mut change = OwnChange::default();
        match core.dice.below(5) {
            0..2 => change.muted_until = Some(u64::from(flag) * MAX_MUTED_UNTIL),
            2 => change.archived = Some(flag),
            3 => change.pinned = Some(flag),
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
    fn set_up(&mut self, core: &mut Core) {
        let user = self.users[core.dice.index(self.users.len())].clone();
        let other = self.users[core.dice.index(self.users.len())].clone();
        let blocked: Vec<UserId> = core.truth.blocked_by(&user).cloned().collect();
        let audiences = [Audience::Everyone, Audience::Contacts, Audience::Nobody];
        let request = match (core.dice.below(6), core.dice.pick(&blocked)) {
            (0, _) => Request::Block(user, other, true),
            (1..=2, Some(other)) => Request::Block(user, other.clone(), false),
            (4.., _) => {
                let presence = Some(audiences[core.dice.index(3)]);
                Request::Profile(user, ProfileChange { presence, ..Default::default() })
            }
            _ => {
                let hide_read_receipts = Some(core.dice.percent(60));
                Request::Profile(user, ProfileChange { hide_read_receipts, ..Default::default() })
            }
        };
        self.ask(core, request);
    }

    fn read(&mut self, core: &mut Core) {
        let Some(of) = core.dice.pick(&self.conversations).cloned() else { return };
        let user = self.someone(core, &of);
        let head = core.truth.log(&of).map_or(0, |log| log.head().get());
        let beyond = u64::from(core.strikes(Fault::Hostile)) * 3;
        // Rather an old one, whose time may be over.
        let at = core.dice.below(head + 1).min(core.dice.below(head + 1));
        let at = Seq::new(at + beyond);
        let request = match core.dice.below(9) {
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

impl Run {
    /// A request goes out, for the first time or again.
    pub(crate) fn request(&mut self, number: usize) {
        let request = self.people.calls[number].request.clone();
        let mut core = self.hub.lock();
        let ms = core.latency();
        core.invoke(ms, Task::Http(number, request));
    }

    /// Someone does something; in the end peace comes.
    pub(crate) fn act(&mut self) {
        let hub = self.hub.clone();
        let mut core = hub.lock();
        for device in self.devices.iter_mut().filter(|d| d.sleeps) {
            device.sleeps = false;
            device.want(&mut core, true);
        }
        if self.people.left == 0 {
            self.make_peace(&mut core);
            return;
        }
        self.people.left -= 1;
        let pace = self.people.pace;
        if self.people.erasing > 0 && core.dice.percent(6) {
            self.people.erase(&mut core);
        }
        if self.people.nights > 0 && core.dice.percent(6) && core.strikes(Fault::Night) {
            return self.night(&mut core);
        }
        let ms = core.dice.magnitude(1, pace);
        core.after(ms, Event::Act);
        let device = core.dice.index(self.devices.len());
        let (messages, changes, trouble) = self.people.habits;
        let act = core.dice.below(100);
        if act < messages {
            self.write(&mut core, device);
        } else if act < messages + changes {
            if self.people.groups > 0 {
                self.people.groups -= 1;
                self.people.found(&mut core);
            } else {
                self.people.change_group(&mut core);
            }
        } else if act < messages + changes + trouble {
            self.trouble(&mut core, device);
        } else {
            self.this_and_that(&mut core, device);
        }
    }

    /// Everyone sleeps, perhaps for days; the timers of the archive run out meanwhile.
    fn night(&mut self, core: &mut Core) {
        self.people.nights -= 1;
        let ms = core.dice.between(6, 60) * 3_600_000;
        core.note(|| format!("everyone sleeps for {} h", ms / 3_600_000));
        for device in &mut self.devices {
            device.sleeps = device.wanted;
            device.want(core, false);
        }
        for of in &self.people.conversations {
            if core.dice.percent(70) {
                let ms = core.dice.below(ms);
                core.after(ms, Event::TimerGone(of.clone()));
            }
        }
        core.after(ms, Event::Act);
    }

    /// A message, or several at once.
    fn write(&mut self, core: &mut Core, device: usize) {
        let Some(of) = core.dice.pick(&self.people.conversations).cloned() else { return };
        let device = &mut self.devices[device];
        let stranger = core.strikes(Fault::Hostile);
        if stranger || core.truth.tenures(&of).contains_key(&device.user) {
            let many = if core.dice.percent(20) { 4 } else { 1 };
            for _ in 0..many {
                device.compose(core, of.as_str());
            }
        }
    }

    fn this_and_that(&mut self, core: &mut Core, device: usize) {
        let Some(of) = core.dice.pick(&self.people.conversations).cloned() else { return };
        let device = &mut self.devices[device];
        match core.dice.below(18) {
            16.. => core.timer_runs_out(&of),
            9 => self.people.set_up(core),
            10 => {
                let mut users = self.people.users.clone();
                users.retain(|_| core.dice.percent(60));
                let watch = core.dice.percent(70);
                device.look_around(core, &users, watch);
            }
            11..14 => self.people.change_message(core, &of),
            14..16 => self.people.choose(core, &of),
            0..2 => {
                let user = self.people.someone(core, &of);
                let id = MessageId::minted(core.uuid());
                self.people.ask(core, Request::Send(user, of, id));
            }
            2..4 => self.people.read(core),
            4..6 => {
                let wanted = !device.wanted;
                device.want(core, wanted);
            }
            6 => device.look(core, of.as_str()),
            7 => device.scroll(core, of.as_str()),
            _ => device.retry(core, of.as_str()),
        }
    }

    /// A socket ends in one way or another, or a device forgets.
    fn trouble(&mut self, core: &mut Core, device: usize) {
        self.people.operate(core);
        let link = self.devices[device].link;
        if core.strikes(Fault::Storm) {
            for device in &mut self.devices {
                if let Some(link) = device.link {
                    core.close(link);
                    device.closed(core, link);
                }
            }
        }
        if let Some(link) = link {
            if core.strikes(Fault::SocketEnds) {
                core.close(link);
                self.devices[device].closed(core, link);
            } else if core.strikes(Fault::SocketHalfOpen) {
                if let Some(socket) = core.gateway.sockets.get_mut(&link) {
                    socket.half_open = true;
                }
                let ms = core.dice.magnitude(1_000, 600_000);
                core.after(ms, Event::Closes(link));
                self.devices[device].closed(core, link);
            } else if core.strikes(Fault::SocketUnnoticed) {
                core.close(link);
            }
        }
        if core.strikes(Fault::MemoryLost) {
            self.devices[device].lose_memory(core, true);
        } else if core.strikes(Fault::EntriesLost) {
            self.devices[device].lose_memory(core, false);
        }
    }

    fn make_peace(&mut self, core: &mut Core) {
        core.note(|| "peace".to_owned());
        core.faults.on = false;
        self.people.peace = true;
        core.redrive_timers();
        for device in &mut self.devices {
            device.want(core, true);
            // Nobody looks at a socket that died without a word, but for the next sync.
            if device.link.is_some() {
                device.sync(core);
            }
        }
    }
}
