//! What happens to be done in a run: who there is, who writes, reads, comes and goes, which groups change, and which
//! sockets end. All of it follows from the seed.

mod acts;
mod asks;
mod files;
mod phones;

use petrel_core::group::{Allowed, Role};
use petrel_core::ids::{ConversationId, DeviceId, InviteId, MediaId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::people::{Audience, ProfileChange};
use petrel_core::services::{Erased, MAX_MUTED_UNTIL, OwnChange, Range};

use crate::client::Device;
use crate::cold::KEEPING;
use crate::core::{Core, Event};
use crate::faults::{Fault, Path};
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
    /// Whether everyone sleeps for weeks once.
    weeks: bool,
    /// Who may send which file, as they think.
    files: Vec<(UserId, MediaId)>,
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
                if core.dice.percent(60) {
                    core.stands(user, &id, id.as_str());
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
            weeks: false,
            files: vec![],
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
            let tail = core.keeping.tail;
            let length = core.dice.magnitude(2, 90 + 2 * tail);
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
                let end_s = core.now / 1_000 + 7 * 86_400;
                for _ in 0..count {
                    let id = MediaId::new(core.uuid().as_u128());
                    core.truth.media.stand(user, id.clone(), end_s);
                    core.file_ends(&id);
                }
            }
        }
        if core.faults.may(Fault::Night) && core.dice.percent(30) {
            self.nights = core.dice.between(1, 3) as u32;
        }
        if core.files && core.faults.may(Fault::Night) && core.dice.percent(30) {
            (self.nights, self.weeks) = (self.nights + 1, true);
        }
    }

    /// When the services that may be out are out.
    fn outages(&self, core: &mut Core) {
        let length = self.left * self.pace / 2;
        // Several at once, or each when it likes.
        let together = core.dice.percent(40);
        let (all_begin, all_last) =
            (core.dice.below(length.max(1)), core.dice.magnitude(100, length.max(200)));
        for fault in [
            Fault::QueueOut,
            Fault::PushOut,
            Fault::GatewayOverload,
            Fault::ArchiveOut,
            Fault::FilesOut,
        ] {
            if core.faults.may(fault) && core.dice.chance(fault.rate()) {
                let mut begins = core.dice.below(length.max(1));
                let mut lasts = core.dice.magnitude(100, length.max(200));
                if together {
                    (begins, lasts) = (all_begin, all_last);
                }
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
                // Or one of his conversations before its turn.
                if only.is_none()
                    && let Some(of) = core.dice.pick(&core.speaks_in(&user)).cloned()
                {
                    self.ask(core, Request::EraseIn(user, of, None));
                }
            }
            Some(Asked::Files(answer)) => self.answered_of_files(core, number, answer),
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
        self.calls.push(Call { request, left: 40, tries: 0, over: false });
        core.after(ms, Event::Request(number));
    }

    /// An operator disables someone, in runs that have one.
    fn operate(&mut self, core: &mut Core) {
        if !core.operator || core.dice.percent(70) {
            return;
        }
        match core.dice.below(6) {
            0 => return self.notice(core),
            1 => return self.found_for(core),
            2..4 => return self.sign_out(core),
            _ => {}
        }
        let user = self.users[core.dice.index(self.users.len())].clone();
        if !self.disabling.contains(&user) {
            self.disabling.push(user.clone());
            self.ask(core, Request::Disable(user));
        }
    }

    /// An operator writes into a conversation, be it there or not.
    fn notice(&mut self, core: &mut Core) {
        let Some(of) = core.dice.pick(&self.conversations).cloned() else { return };
        let id = MessageId::minted(core.uuid());
        self.ask(core, Request::Notice(UserId::system(), of, id));
    }

    /// An operator founds a group for a user.
    fn found_for(&mut self, core: &mut Core) {
        let mut members = self.users.clone();
        let owner = members.swap_remove(core.dice.index(members.len()));
        members.truncate(1 + core.dice.index(members.len()));
        let number = core.fresh();
        self.ask(core, Request::FoundFor(owner, members, number));
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
}
