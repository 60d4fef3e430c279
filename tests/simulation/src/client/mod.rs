//! A device: the client that docs/protocol.md prescribes, as a state machine. It knows frames and timers, and nothing
//! of what the server holds.

mod conversation;
mod sending;
mod syncing;

use std::collections::BTreeMap;

use petrel_core::ids::{DeviceId, UserId};
use serde_json::{Value, json};

pub use self::conversation::{Conversation, Held};
use self::syncing::Syncing;
use crate::core::{Core, Event};
use crate::faults::Path;
use crate::gateway::brief;
use crate::ledger::Owed;
use crate::mutants::Mutant;

const MINUTE: u64 = 60_000;
/// No answer for so long: ask again, on a new socket if this one was silent, ms.
const PATIENCE: u64 = 15_000;

/// What a device waits for. With the number of the conversation, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// The next try to connect.
    Connect,
    /// The next socket, before this one ends.
    Renew,
    /// The next sync at the latest.
    KeepAlive,
    /// A sync that was put off.
    Sync,
    /// The answer of a sync.
    SyncAnswer,
    /// Acks go together.
    Ack,
    /// A hole may close by itself.
    Hole(usize),
    /// The answer of `history`.
    HistoryAnswer(usize),
    /// The answer of `send`.
    SendAnswer(usize),
    /// The next send.
    Send(usize),
}

/// One device of one user.
pub struct Device {
    /// Its number.
    pub number: usize,
    /// Whose.
    pub user: UserId,
    /// Its id.
    pub id: DeviceId,
    /// Whether it wants to be connected.
    pub wanted: bool,
    /// Whether it wants to be again in the morning.
    pub sleeps: bool,
    /// Whether its user is erased: it is over with it.
    pub retired: bool,
    /// The socket it sends over.
    pub link: Option<u64>,
    /// The socket that is opening.
    pub opening: Option<u64>,
    /// What it holds.
    pub conversations: BTreeMap<String, Conversation>,
    /// Every message that it composed, in order, by conversation; for the rules, not for the client.
    pub composed: BTreeMap<String, Vec<String>>,
    /// What may be stored or not: refused, forgotten or tried again by the user; for the rules.
    pub unsure: Vec<String>,
    /// Who was online when it asked last.
    pub picture: BTreeMap<String, (bool, Option<u64>)>,
    /// Whom it asks about until it is answered, in the end.
    asks: Option<(String, Vec<UserId>)>,
    /// When the last sync began that came to its end, ms since 1970.
    synced_from: u64,
    syncing: Option<Syncing>,
    again: bool,
    stalled: u32,
    refused: u32,
    /// Whether a frame has come since the socket was asked for something.
    silent: bool,
    generations: BTreeMap<Timer, u64>,
    names: Vec<String>,
}

impl Device {
    /// A device that holds nothing and is not connected.
    pub fn new(number: usize, user: UserId, id: DeviceId) -> Self {
        Self {
            number,
            user,
            id,
            wanted: true,
            sleeps: false,
            retired: false,
            link: None,
            opening: None,
            conversations: BTreeMap::new(),
            composed: BTreeMap::new(),
            unsure: vec![],
            picture: BTreeMap::new(),
            asks: None,
            synced_from: 0,
            syncing: None,
            again: false,
            stalled: 0,
            refused: 0,
            silent: false,
            generations: BTreeMap::new(),
            names: vec![],
        }
    }

    /// What is under way or waits, but for the next keep-alive.
    pub fn under_way(&self) -> Vec<String> {
        let mut busy = vec![];
        if self.retired {
            return busy;
        }
        let mut note = |waits: bool, what: &str| {
            if waits {
                busy.push(format!("{} {what}", self.id));
            }
        };
        note(self.link.is_none(), "is not connected");
        note(self.opening.is_some(), "connects");
        note(self.syncing.is_some() || self.again || self.runs(Timer::Sync), "syncs");
        note(self.runs(Timer::Ack), "acks");
        note(self.asks.is_some(), "looks around");
        for (of, c) in &self.conversations {
            note(c.waiting().next().is_some(), &format!("sends to {of}"));
            note(c.ask.is_some() || c.recovery.is_some(), &format!("reads {of}"));
            note(!c.ahead.is_empty() && !c.gone, &format!("has a hole in {of}"));
            note(c.wants_older, &format!("scrolls in {of}"));
            note(c.behind(), &format!("is behind in {of}"));
        }
        busy
    }

    /// Someone types, or has stopped.
    pub fn types(&mut self, core: &mut Core, of: &str) {
        let active = core.dice.percent(70);
        self.post(core, &json!({"action": "typing", "conversation_id": of, "active": active}));
    }

    /// Whether the device has heard of an entry that only a sync would tell it of, or goes about it.
    ///
    /// # Errors
    /// What it has missed.
    pub fn must_have_heard(&self, owed: &Owed) -> Result<(), String> {
        let (of, seq) = (owed.place.0.as_str(), owed.place.1.get());
        let busy = self.syncing.is_some() || self.again || self.runs(Timer::Sync);
        if self.retired || self.link != Some(owed.socket) || busy {
            return Ok(());
        }
        let c = self.conversations.get(of);
        let reads =
            |c: &Conversation| c.gone || c.high() >= seq || c.ask.is_some() || c.recovery.is_some();
        if self.synced_from < owed.since {
            return Err(format!("{} has not synced since {of} {seq} was left to it", self.id));
        }
        if c.is_some_and(reads) {
            return Ok(());
        }
        Err(format!("{} has synced since {of} {seq} was left to it, and does not hold it", self.id))
    }

    /// Asks who is online, and does not care whether it is answered.
    pub fn look_around(&mut self, core: &mut Core, users: &[UserId], watch: bool) {
        let request = format!("p{}", core.fresh());
        let frame =
            json!({"action": "presence", "user_ids": users, "watch": watch, "request_id": request});
        self.post(core, &frame);
    }

    /// Asks who is online, until it is answered.
    pub fn insist(&mut self, core: &mut Core, users: Vec<UserId>) {
        let request = format!("p{}", core.fresh());
        let frame =
            json!({"action": "presence", "user_ids": users, "watch": true, "request_id": request});
        self.picture.clear();
        self.asks = Some((request, users));
        self.post(core, &frame);
    }

    fn presence(&mut self, frame: &Value) {
        let asked = self.asks.as_ref().map(|(request, _)| request.as_str());
        if asked.is_none() || frame["request_id"].as_str() != asked {
            return;
        }
        self.asks = None;
        for told in frame["users"].as_array().into_iter().flatten() {
            let user = told["user_id"].as_str().unwrap_or_default().to_owned();
            let seen = (told["online"] == true, told["last_seen"].as_u64());
            self.picture.insert(user, seen);
        }
    }

    fn runs(&self, timer: Timer) -> bool {
        self.generations.contains_key(&timer)
    }

    fn set(&mut self, core: &mut Core, timer: Timer, ms: u64) {
        let generation = core.fresh();
        self.generations.insert(timer, generation);
        core.after(ms, Event::Timer(self.number, timer, generation));
    }

    fn stop(&mut self, timer: Timer) {
        self.generations.remove(&timer);
    }

    fn name_of(&mut self, of: &str) -> usize {
        let known = self.names.iter().position(|n| n == of);
        known.unwrap_or_else(|| {
            self.names.push(of.to_owned());
            self.names.len() - 1
        })
    }

    fn of(&self, number: usize) -> String {
        self.names.get(number).cloned().unwrap_or_default()
    }

    /// A timer has run out, unless it was stopped or set again.
    pub fn timer(&mut self, core: &mut Core, timer: Timer, generation: u64) {
        if self.generations.get(&timer) != Some(&generation) {
            return;
        }
        self.stop(timer);
        match timer {
            Timer::Connect => self.connect(core),
            Timer::Renew => self.renew(core),
            Timer::KeepAlive if core.is(Mutant::NoKeepAlive) => {
                self.set(core, Timer::KeepAlive, 5 * MINUTE);
            }
            Timer::KeepAlive | Timer::Sync => self.sync(core),
            Timer::SyncAnswer => {
                self.syncing = None;
                self.unanswered(core);
                self.sync(core);
            }
            Timer::Ack => self.ack_all(core),
            Timer::Hole(n) => self.fill(core, &self.of(n)),
            Timer::HistoryAnswer(n) => {
                let of = self.of(n);
                self.unanswered(core);
                self.history_failed(core, &of, false);
            }
            Timer::SendAnswer(n) => {
                let of = self.of(n);
                if let Some(c) = self.conversations.get_mut(&of) {
                    c.inflight = None;
                }
                self.unanswered(core);
                self.flush(core, &of);
            }
            Timer::Send(n) => {
                let of = self.of(n);
                if let Some(c) = self.conversations.get_mut(&of) {
                    c.waits = false;
                }
                self.flush(core, &of);
            }
        }
    }

    /// Nothing came for so long: this socket may be dead.
    fn unanswered(&mut self, core: &mut Core) {
        if self.silent
            && let Some(link) = self.link
        {
            core.close(link);
            self.closed(core, link);
        }
    }

    /// A frame leaves the device. A socket that is closed is noticed now.
    fn post(&mut self, core: &mut Core, frame: &Value) {
        let Some(link) = self.link else { return };
        let number = self.number;
        core.note(|| format!("device {number} sends {}", brief(frame)));
        let ms = core.latency();
        core.after(ms, Event::Received(link, frame.to_string()));
    }

    /// Opens a socket, unless one is open or opening.
    pub fn connect(&mut self, core: &mut Core) {
        if self.wanted && self.link.is_none() && self.opening.is_none() {
            self.opening = Some(core.handshake(self.number, &self.user, &self.id));
        }
    }

    /// Opens the next socket while this one is still there.
    fn renew(&mut self, core: &mut Core) {
        if self.link.is_some() && self.opening.is_none() {
            core.passed(crate::faults::Path::Renewed);
            self.opening = Some(core.handshake(self.number, &self.user, &self.id));
        }
    }

    /// A handshake has succeeded or failed.
    pub fn opened(&mut self, core: &mut Core, socket: u64, well: bool) {
        if self.opening != Some(socket) {
            core.close(socket);
            return;
        }
        self.opening = None;
        if !self.wanted {
            // Its user has gone away meanwhile.
            core.close(socket);
            return;
        }
        if !well {
            self.refused += 1;
            if self.link.is_some() {
                self.set(core, Timer::Renew, MINUTE);
            } else {
                self.come_again(core);
            }
            return;
        }
        self.refused = 0;
        self.silent = false;
        let old = self.link.replace(socket);
        let number = self.number;
        core.note(|| format!("device {number} is on {socket}"));
        self.land_all();
        if let Some((_, users)) = self.asks.take() {
            self.insist(core, users);
        }
        let ms = core.dice.between(90 * MINUTE, 115 * MINUTE);
        self.set(core, Timer::Renew, ms);
        // What ran over the old socket is asked again over the new one.
        self.syncing = None;
        self.sync(core);
        for of in self.ids() {
            self.ask_again(core, &of);
            self.flush(core, &of);
        }
        if let Some(old) = old {
            core.close(old);
        }
    }

    fn come_again(&mut self, core: &mut Core) {
        if self.wanted {
            let most = 500 << self.refused.min(6);
            let ms = core.dice.below(most);
            self.set(core, Timer::Connect, ms);
        }
    }

    /// The socket is gone.
    pub fn closed(&mut self, core: &mut Core, socket: u64) {
        if self.link != Some(socket) {
            return;
        }
        let number = self.number;
        core.note(|| format!("device {number} has lost {socket}"));
        self.link = None;
        self.syncing = None;
        for timer in [Timer::Renew, Timer::KeepAlive, Timer::Sync, Timer::SyncAnswer, Timer::Ack] {
            self.stop(timer);
        }
        self.land_all();
        if self.opening.is_none() {
            self.come_again(core);
        }
    }

    /// The user goes away, or comes back.
    pub fn want(&mut self, core: &mut Core, wanted: bool) {
        self.wanted = wanted && !self.retired;
        if self.wanted {
            self.stop(Timer::Connect);
            self.connect(core);
        } else if let Some(link) = self.link {
            core.close(link);
            self.closed(core, link);
        }
    }

    /// Its user is erased. What it had to send may be stored or not, and it goes on no more.
    pub fn retire(&mut self, core: &mut Core) {
        self.lose_memory(core, true);
        self.retired = true;
        self.generations.clear();
        self.want(core, false);
    }

    /// All that is held is lost; with what is to be sent, or without.
    pub fn lose_memory(&mut self, core: &mut Core, outbox_too: bool) {
        let number = self.number;
        core.note(|| format!("device {number} loses its memory (its outbox too: {outbox_too})"));
        for c in self.conversations.values_mut() {
            if outbox_too {
                self.unsure.extend(c.outbox.drain(..).map(|m| m.id));
            }
            c.forget();
        }
        self.conversations.retain(|_, c| !c.outbox.is_empty());
        if let Some(link) = self.link {
            core.close(link);
            self.closed(core, link);
        }
    }

    fn land_all(&mut self) {
        let numbers: Vec<usize> = (0..self.names.len()).collect();
        for n in numbers {
            self.stop(Timer::SendAnswer(n));
            self.stop(Timer::HistoryAnswer(n));
            if let Some(c) = self.conversations.get_mut(&self.names[n]) {
                c.inflight = None;
            }
        }
    }

    fn ids(&self) -> Vec<String> {
        self.conversations.keys().cloned().collect()
    }

    /// What is held of a conversation.
    pub fn conversation(&mut self, core: &Core, of: &str) -> &mut Conversation {
        self.name_of(of);
        let accepts_hole = core.is(Mutant::AcceptsHole);
        let new = || Conversation { accepts_hole, ..Conversation::default() };
        self.conversations.entry(of.to_owned()).or_insert_with(new)
    }

    /// The device has held this entry since before the run.
    pub fn holds(&mut self, core: &mut Core, entry: &petrel_core::message::Entry) {
        let frame = crate::invocation::as_frame(entry);
        self.take(core, entry.conversation_id.as_str(), &[frame], false);
    }

    /// A frame arrives.
    pub fn arrives(&mut self, core: &mut Core, socket: u64, frame: &Value) {
        // A socket that was left is not read any more.
        if self.link != Some(socket) {
            return;
        }
        self.silent = false;
        let of = frame["conversation_id"].as_str().unwrap_or_default().to_owned();
        match frame["type"].as_str() {
            Some("message") => {
                self.take(core, &of, std::slice::from_ref(frame), false);
                self.took(core, &of);
            }
            Some("batch") => self.batch(core, &of, frame),
            Some("synced") => self.synced(core, frame),
            Some("sent") => self.sent(core, &of, frame),
            Some("error") => self.error(core, frame),
            Some("presence") => self.presence(frame),
            Some(_) => {}
            // The gateway's own: resend what is pending.
            None => {
                for of in self.ids() {
                    let Some(c) = self.conversations.get_mut(&of) else { continue };
                    if c.inflight.take().is_some() {
                        self.pause(core, &of, None);
                    }
                }
            }
        }
    }

    fn take(&mut self, core: &mut Core, of: &str, entries: &[Value], begins: bool) {
        self.take_above(core, of, entries, begins, None);
    }

    /// `after`: the entries were asked for as those above this seq, so that what they leave out can be read no more.
    fn take_above(
        &mut self,
        core: &mut Core,
        of: &str,
        entries: &[Value],
        begins: bool,
        after: Option<u64>,
    ) {
        let me = self.user.to_string();
        let run = entries.iter().filter_map(|e| Held::read(e, &me)).collect();
        let c = self.conversation(core, of);
        let (follows, begun) = (after.is_some_and(|after| after <= c.high()), c.begins);
        let taken = c.take(run, &me, begins, follows);
        if c.begins != begun {
            core.passed(Path::BegunLater);
        }
        let number = self.number;
        core.must(taken.map_err(|e| format!("device {number}, {of}: {e}")));
    }

    /// Something of this conversation has arrived, or changed.
    fn took(&mut self, core: &mut Core, of: &str) {
        self.due(core, of);
        self.mind(core, of);
        self.older(core, of);
        self.flush(core, of);
    }
}
