//! Any interleaving of concurrent senders on one conversation, with functions that freeze, crash between any two
//! port calls, fail and time out, with resends while the first try still runs, and with repeated frames, leaves seq
//! 1…n without holes, each message once, and every acknowledged message stored and on its way to every member.
//! A run follows from its seed alone; a failure names it.
#![allow(clippy::unwrap_used, reason = "a test reports by panicking")]

mod ports;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures::executor::block_on;
use petrel_core::ids::{ConnectionId, ConversationId, DeviceId, MessageId, Seq, UserId};
use petrel_core::message::{Content, Entry};
use petrel_core::ports::{Connection, Connections, Conversations, Job, Log, mint};
use petrel_core::services::{NewGroup, Outgoing, SendRequest, Sent};
use petrel_core::testing::Memory;
use petrel_core::{App, Caller, Error, ErrorKind};
use ports::{Dice, Faulty, Mutant};
use proptest::prelude::*;

type Answer = Rc<RefCell<Option<Result<Sent, Error>>>>;

/// A running function.
struct Invocation(Pin<Box<dyn Future<Output = ()>>>);

/// A device that sends `left` messages, one at a time, and keeps each pending with its first `seen`.
struct Device {
    caller: Caller,
    holds: Seq,
    pending: Option<(MessageId, Seq)>,
    answer: Option<Answer>,
    left: usize,
}

struct Run {
    seed: u64,
    dice: Arc<Dice>,
    faulty: Arc<Faulty>,
    app: App,
    conversation: ConversationId,
    devices: Vec<Device>,
    invocations: Vec<Invocation>,
    minted: BTreeSet<MessageId>,
    acknowledged: Vec<(MessageId, Seq)>,
    removal: Removal,
}

/// Ana removes cy from the group, while functions that founded it may still run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removal {
    None,
    Due,
    Done,
}

fn user(name: &str) -> UserId {
    UserId::parse(name).unwrap()
}

fn everything(memory: &Memory, c: &ConversationId) -> Vec<Entry> {
    block_on(memory.after(c, Seq::ZERO, usize::MAX)).unwrap()
}

impl Run {
    /// Three devices of ana and bo; cy, in a group, is never online. Bo has one more device that only listens.
    fn new(seed: u64, mutant: Mutant, in_group: bool) -> Result<Self, String> {
        let memory = Arc::new(Memory::default());
        let dice = Arc::new(Dice::new(seed));
        let faulty = Arc::new(Faulty {
            memory: memory.clone(),
            dice: dice.clone(),
            mutant,
            faults: Mutex::new(true),
        });
        let socket = |name: &str, device: &str| Connection {
            user: user(name),
            device: DeviceId::parse(device).unwrap(),
            id: ConnectionId::parse(device).unwrap(),
            connected_at: 0,
        };
        for (name, device) in [("ana", "ana-1"), ("ana", "ana-2"), ("bo", "bo-1"), ("bo", "bo-2")] {
            block_on(memory.register(&socket(name, device))).unwrap();
        }
        let mut run = Self {
            seed,
            app: faulty.app(),
            dice,
            conversation: ConversationId::direct(&user("ana"), &user("bo")),
            devices: ["ana-1", "ana-2", "bo-1"]
                .map(|id| Device {
                    caller: Caller::over(socket(&id[..id.len() - 2], id)),
                    holds: Seq::ZERO,
                    pending: None,
                    answer: None,
                    left: 4,
                })
                .into(),
            faulty,
            invocations: vec![],
            minted: BTreeSet::new(),
            acknowledged: vec![],
            removal: if in_group { Removal::Due } else { Removal::None },
        };
        if in_group {
            run.create_group()?;
        }
        Ok(run)
    }

    /// Repeats the request, crashing and doubling it, until an answer comes back.
    fn create_group(&mut self) -> Result<(), String> {
        let created: Rc<RefCell<BTreeSet<ConversationId>>> = Rc::default();
        for attempt in 0.. {
            if attempt > 400 {
                return Err("the group never came into being".into());
            }
            if self.invocations.len() < 3 {
                let (app, created) = (self.app.clone(), created.clone());
                let caller = self.devices[0].caller.clone();
                self.invocations.push(Invocation(Box::pin(async move {
                    let group = NewGroup {
                        name: "trip".into(),
                        members: vec![user("bo"), user("cy")],
                        request_id: Some("r1".into()),
                    };
                    if let Ok(entry) = app.create_group(&caller, group).await {
                        created.borrow_mut().insert(entry.conversation_id);
                    }
                })));
            }
            self.advance_one(10);
            for id in created.borrow().iter() {
                self.conversation = id.clone();
            }
            if !created.borrow().is_empty() && self.dice.percent(20) {
                break;
            }
        }
        let founders = block_on(self.faulty.memory.roster(&self.conversation, usize::MAX)).unwrap();
        let founders = founders.members;
        if founders.len() != 3 {
            return Err(format!("{} founders of three", founders.len()));
        }
        if created.borrow().len() == 1 { Ok(()) } else { Err("one request, two groups".into()) }
    }

    /// Polls a random invocation a few steps, or drops it.
    fn advance_one(&mut self, crash_percent: usize) {
        if self.invocations.is_empty() {
            return;
        }
        let i = self.dice.below(self.invocations.len());
        if self.dice.percent(crash_percent) {
            drop(self.invocations.swap_remove(i));
            return;
        }
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..=self.dice.below(6) {
            if let Poll::Ready(()) = self.invocations[i].0.as_mut().poll(&mut context) {
                drop(self.invocations.swap_remove(i));
                return;
            }
        }
    }

    /// Removing him runs to its end here: the interleaving that matters is that of the frozen founders around it.
    fn remove_cy(&mut self) {
        let app = self.faulty.memory.app();
        let ana = self.devices[0].caller.clone();
        if block_on(app.remove_members(&ana, &self.conversation, &[user("cy")])).is_ok() {
            self.removal = Removal::Done;
        }
    }

    fn advance_device(&mut self, i: usize, in_peace: bool) {
        let memory = self.faulty.memory.clone();
        let device = &mut self.devices[i];
        let Some((id, seen)) = device.pending else {
            if device.left == 0 {
                return;
            }
            if self.dice.percent(70) {
                device.holds =
                    everything(&memory, &self.conversation).last().map_or(Seq::ZERO, |e| e.seq);
            }
            device.left -= 1;
            let id = mint(&*memory);
            self.minted.insert(id);
            device.pending = Some((id, device.holds));
            return;
        };
        let answered = device.answer.as_ref().and_then(|a| a.borrow_mut().take());
        match answered {
            // The answer may be lost on its way; then the device resends.
            Some(Ok(_)) if !in_peace && self.dice.percent(20) => device.answer = None,
            Some(Ok(sent)) => {
                self.acknowledged.push((sent.message_id, sent.seq));
                device.pending = None;
                device.answer = None;
            }
            Some(Err(error)) if error.kind == ErrorKind::SyncRequired => {
                let log = everything(&memory, &self.conversation);
                if !log.iter().any(|e| e.message_id == id) {
                    device.pending = Some((id, log.last().map_or(Seq::ZERO, |e| e.seq)));
                }
                device.answer = None;
            }
            Some(Err(_)) => device.answer = None,
            None => {
                // Waits, or gives up and sends again while the first try may still run.
                if device.answer.is_some() && !self.dice.percent(10) {
                    return;
                }
                let seen = if self.faulty.mutant == Mutant::ForgetsSeen {
                    everything(&memory, &self.conversation).last().map_or(seen, |e| e.seq)
                } else {
                    seen
                };
                let answer: Answer = Rc::default();
                device.answer = Some(answer.clone());
                let (app, caller) = (self.app.clone(), device.caller.clone());
                let send = SendRequest {
                    conversation: self.conversation.clone(),
                    seen: Some(seen),
                    messages: vec![Outgoing {
                        message_id: id,
                        content: Content::text(id.to_string()),
                    }],
                };
                self.invocations.push(Invocation(Box::pin(async move {
                    let outcome = match app.send(&caller, send).await {
                        Ok(mut results) => results.remove(0).map_err(|(_, error)| error),
                        Err(error) => Err(error),
                    };
                    *answer.borrow_mut() = Some(outcome);
                })));
            }
        }
    }

    /// Runs until everything was acknowledged and nothing runs any more, then checks what must hold.
    fn finish(mut self) -> Result<usize, String> {
        let seed = self.seed;
        let mut steps = 0;
        loop {
            steps += 1;
            if steps > 50_000 {
                return Err(format!("seed {seed}: did not come to rest"));
            }
            let in_peace = steps > 1_500;
            *self.faulty.faults.lock().unwrap() = !in_peace;
            if self.dice.percent(75) {
                self.advance_one(if in_peace { 0 } else { 3 });
            } else {
                let i = self.dice.below(self.devices.len());
                self.advance_device(i, in_peace);
            }
            if self.removal == Removal::Due && self.dice.percent(5) {
                self.remove_cy();
            }
            self.always().map_err(|e| format!("seed {seed}, step {steps}: {e}"))?;
            let idle = |d: &Device| d.left == 0 && d.pending.is_none();
            let removed = self.removal != Removal::Due;
            if self.devices.iter().all(idle) && removed && self.invocations.is_empty() {
                break;
            }
        }
        self.at_rest().map_err(|e| format!("seed {seed}: {e}"))?;
        Ok(steps)
    }

    /// What must hold at every step.
    fn always(&self) -> Result<(), String> {
        let memory = &self.faulty.memory;
        let log = everything(memory, &self.conversation);
        for (entry, expected) in log.iter().zip(1..) {
            if entry.seq.get() != expected {
                return Err(format!("a hole at {expected}"));
            }
        }
        if log.is_empty() {
            return Ok(());
        }
        for member in [user("ana"), user("bo")] {
            if block_on(memory.row(&member, &self.conversation)).unwrap().is_none() {
                return Err(format!("an entry stands, but {member} has no row to find it by"));
            }
        }
        Ok(())
    }

    fn at_rest(&self) -> Result<(), String> {
        if self.removal == Removal::Done {
            let memory = &self.faulty.memory;
            let members = block_on(memory.roster(&self.conversation, usize::MAX)).unwrap().members;
            let row = block_on(memory.row(&user("cy"), &self.conversation)).unwrap();
            if row.is_some() || members.iter().any(|m| m.user == user("cy")) {
                return Err("cy was removed and came back".into());
            }
        }
        let log = everything(&self.faulty.memory, &self.conversation);
        let mut stored = BTreeSet::new();
        for entry in log.iter().filter(|e| e.content.counts()) {
            if !stored.insert(entry.message_id) {
                return Err(format!("{} is stored twice", entry.message_id));
            }
        }
        if stored != self.minted {
            return Err(format!("{} minted, {} stored", self.minted.len(), stored.len()));
        }
        for pair in log.windows(2) {
            if pair[1].sent_at <= pair[0].sent_at {
                return Err(format!("sent_at stands still at {}", pair[1].seq));
            }
            let counts = u64::from(pair[1].content.counts());
            if pair[1].ordinal != pair[0].ordinal + counts {
                return Err(format!("the ordinal at {} is wrong", pair[1].seq));
            }
        }
        let posts = self.faulty.memory.posts();
        let jobs = self.faulty.memory.jobs();
        for (id, seq) in &self.acknowledged {
            let entry = log.iter().find(|e| e.seq == *seq);
            if entry.is_none_or(|e| e.message_id != *id) {
                return Err(format!("{id} was acknowledged at {seq} and is not there"));
            }
            let sender = entry.map(|e| e.sender_id.clone());
            // Somebody else's device gets a frame; who is offline gets a push.
            for listener in ["ana-1", "ana-2", "bo-1", "bo-2"] {
                let own = sender.as_ref().is_some_and(|s| listener.starts_with(s.as_str()));
                let needle = format!("\"message_id\":\"{id}\"");
                let got = posts.iter().any(|(c, f)| c.as_str() == listener && f.contains(&needle));
                if !own && !got {
                    return Err(format!("{id} was acknowledged and never posted to {listener}"));
                }
            }
            let pushed = |name: &str| {
                let to = user(name);
                jobs.iter().any(
                    |j| matches!(j, Job::Push { to: t, seq: s, .. } if t.contains(&to) && s == seq),
                )
            };
            if pushed("ana") || pushed("bo") {
                return Err(format!("{id}: a push for someone who is online"));
            }
        }
        Ok(())
    }
}

fn run(seed: u64, mutant: Mutant, in_group: bool) -> Result<usize, String> {
    Run::new(seed, mutant, in_group).map_err(|e| format!("seed {seed}: {e}"))?.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_direct_conversation_holds_its_promise(seed: u64) {
        if let Err(broken) = run(seed, Mutant::None, false) {
            prop_assert!(false, "{broken}");
        }
    }

    #[test]
    fn a_group_holds_its_promise(seed: u64) {
        if let Err(broken) = run(seed, Mutant::None, true) {
            prop_assert!(false, "{broken}");
        }
    }
}

/// The invariants can fail: each broken variant is found, by what it breaks.
#[test]
fn every_mutant_is_found() {
    for (mutant, symptom) in [
        (Mutant::UnconditionalPut, "stored"),
        (Mutant::JumpToTail, "twice"),
        (Mutant::RowsLate, "no row"),
        (Mutant::FoundsLate, "came back"),
        (Mutant::ForgetsSeen, "twice"),
    ] {
        let in_group = mutant == Mutant::FoundsLate;
        let found = (0..2_000)
            .find_map(|seed| run(seed, mutant, in_group).err().filter(|e| e.contains(symptom)));
        assert!(found.is_some(), "{mutant:?} was not found in 2,000 seeds");
    }
}

/// The same seed is the same run.
#[test]
fn a_seed_replays() {
    for seed in 0..20 {
        assert_eq!(run(seed, Mutant::None, true), run(seed, Mutant::None, true));
    }
}
