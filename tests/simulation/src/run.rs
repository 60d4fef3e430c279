//! One run: the loop that takes the next event and lets it happen, from the first act until all is at rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Waker};

use petrel_core::ids::ConnectionId;
use petrel_core::limits::{Limit, Limits};
use petrel_core::ports::Connection;

use crate::client::Device;
use crate::core::{Core, Event, Hub, Invocation};
use crate::dice::Dice;
use crate::faults::{Counts, Fault, Faults, Path};
use crate::gateway::{Phase, Socket};
use crate::http::Asked;
use crate::invocation::{self, Done, GATEWAY_WAITS, Running, Task};
use crate::mutants::Mutant;
use crate::people::People;
use crate::queue::brief;

/// Steps after which a run should long be at rest.
const MAX_STEPS: u64 = 400_000;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Dials that are set by hand, of 10,000.
    pub dials: Vec<(Fault, u32)>,
    /// Things that people do; by default each seed chooses.
    pub acts: Option<u64>,
    /// A broken variant.
    pub mutant: Option<Mutant>,
    /// Whether to keep a trace.
    pub traced: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The rule that was broken, if one was.
    pub broken: Option<String>,
    /// What happened.
    pub counts: Counts,
    /// Everything that happened, if it was traced.
    pub trace: String,
}

/// All of it.
pub struct Run {
    pub(crate) hub: Arc<Hub>,
    pub(crate) running: BTreeMap<Invocation, Running>,
    pub(crate) devices: Vec<Device>,
    pub(crate) people: People,
}

/// Runs one seed.
pub fn run(seed: u64, options: &Options) -> Outcome {
    #[cfg(feature = "mutants")]
    petrel_core::mutants::set(match options.mutant {
        Some(Mutant::Core(mutant)) => Some(mutant),
        _ => None,
    });
    let mut dice = Dice::new(seed);
    let faults = Faults::new(&mut dice, &options.dials);
    let mut core = Core::new(dice, faults, options.mutant, options.traced);
    crate::retention::choose(&mut core, seed);
    crate::media::choose(&mut core, seed);
    crate::phones::choose(&mut core, seed);
    let (people, devices) = People::new(&mut core, options.acts);
    // What was written before the run began knew no limit.
    core.limits = limits(seed);
    core.operator = Dice::new(seed ^ 0x6f70_6572_6174_6f72).percent(25);
    core.webhook = Dice::new(seed ^ 0x6576_656e_7473).percent(50);
    let hub = Hub::new(core);
    let mut run = Run { hub, running: BTreeMap::new(), devices, people };
    run.play();
    // Before the core is looked at: what is dropped takes its timers along.
    run.running.clear();
    let mut core = run.hub.lock();
    core.faults.counts.seeds = 1;
    Outcome {
        broken: core.broken.clone(),
        counts: core.faults.counts.clone(),
        trace: core.take_trace(),
    }
}

/// How much may be done in a while: in three of four runs, as much as anyone likes. Chosen by dice of its own.
fn limits(seed: u64) -> Limits {
    let mut dice = Dice::new(seed ^ 0x6c69_6d69_7473);
    if dice.percent(75) {
        return Limits::OFF;
    }
    let mut limit = |least, most, period| {
        let count = u32::try_from(dice.between(least, most)).unwrap_or(u32::MAX);
        Limit::new(count, period)
    };
    Limits {
        conversation: limit(2, 12, 30),
        messages: limit(3, 30, 60),
        requests: limit(20, 80, 60),
        members: limit(10, 60, 60),
        sockets: limit(4, 20, 60),
        reports: limit(1, 5, 600),
    }
}

impl Run {
    fn play(&mut self) {
        self.begin();
        while self.is_well() {
            let Some(event) = self.next() else { break };
            self.happen(event);
            if self.at_peace() && self.rests() && !self.one_more_round() {
                self.at_rest();
                return;
            }
        }
    }

    fn next(&mut self) -> Option<Event> {
        let mut core = self.hub.lock();
        core.faults.counts.steps += 1;
        if core.faults.counts.steps > MAX_STEPS {
            let under_way = self.under_way(&core);
            core.broke(format!("it does not come to rest: {}", under_way.join("; ")));
        }
        core.next_event()
    }

    /// What keeps it from coming to rest.
    fn under_way(&self, core: &Core) -> Vec<String> {
        let functions = core.notes.iter().map(|(id, n)| format!("#{id} {}", n.name));
        let jobs = core.queue.messages.values().map(|m| brief(&m.job));
        let devices = self.devices.iter().flat_map(Device::under_way);
        let calls = self.people.waiting().map(|request| format!("{request:?}"));
        functions.chain(jobs).chain(devices).chain(calls).collect()
    }

    fn is_well(&self) -> bool {
        self.hub.lock().broken.is_none()
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Turn(id, timer) => self.turn(id, timer),
            Event::Start(id) => self.start(id),
            Event::GiveUp(id) => {
                let mut core = self.hub.lock();
                if core.notes.contains_key(&id) {
                    core.passed(Path::GaveUp);
                    core.give_up(id);
                }
                drop(core);
                self.http_unanswered(id);
            }
            Event::Request(number) => self.request(number),
            Event::Act => self.act(),
            Event::Late(write, user, since) => {
                let mut core = self.hub.lock();
                if core.has_settled(user.as_ref(), since) {
                    core.note(|| format!("never: {write:?}"));
                    return;
                }
                core.note(|| format!("late: {write:?}"));
                core.apply(&write, None);
            }
            Event::Visible(number) => self.visible(number),
            Event::Timer(device, timer, generation) => {
                let mut core = self.hub.lock();
                self.devices[device].timer(&mut core, timer, generation);
            }
            Event::Opened(number, well) => {
                let mut core = self.hub.lock();
                let Some(device) = core.gateway.sockets.get(&number).map(|s| s.device) else {
                    return;
                };
                self.devices[device].opened(&mut core, number, well);
                if !well
                    && self.people.peace
                    && !core.erasures.contains_key(&self.devices[device].user)
                {
                    self.people.let_everyone_in(&mut core);
                }
            }
            Event::Closed(number) => {
                let mut core = self.hub.lock();
                let Some(device) = core.gateway.sockets.get(&number).map(|s| s.device) else {
                    return;
                };
                self.devices[device].closed(&mut core, number);
            }
            Event::Arrives(number, frame) => {
                let mut core = self.hub.lock();
                let socket = core.gateway.sockets.get(&number).filter(|s| !s.half_open);
                let Some(device) = socket.map(|s| s.device) else { return };
                self.devices[device].arrives(&mut core, number, &frame);
            }
            Event::Received(number, frame) => self.received(number, frame),
            Event::Closes(number) => {
                let mut core = self.hub.lock();
                if core.gateway.is_open(number) {
                    core.passed(Path::TwoHours);
                    core.close(number);
                    let ms = core.latency();
                    core.after(ms, Event::Closed(number));
                }
            }
            Event::Disconnects(number) => {
                self.hub.lock().invoke(0, Task::Disconnect(number));
            }
            Event::TimerGone(of) => {
                let mut core = self.hub.lock();
                core.timer_gone(&of);
            }
            Event::Owed(owed) => self.must_have_heard(&owed),
            Event::FilePut(put) => self.file_put(put),
            Event::FileEnds(id) => self.hub.lock().file_has_ended(&id),
            Event::Begins(fault) => {
                let mut core = self.hub.lock();
                core.note(|| format!("outage begins: {}", fault.name()));
                if !core.faults.out.is_empty() {
                    core.passed(Path::OutTogether);
                }
                core.faults.out.push(fault);
            }
            Event::Ends(fault) => {
                let mut core = self.hub.lock();
                core.note(|| format!("outage ends: {}", fault.name()));
                core.faults.out.retain(|f| *f != fault);
            }
        }
    }

    fn received(&mut self, number: u64, frame: String) {
        let mut core = self.hub.lock();
        if core.gateway.is_open(number) {
            core.invoke(0, Task::Route(number, frame));
        } else if let Some(device) = core.gateway.sockets.get(&number).map(|s| s.device) {
            self.devices[device].closed(&mut core, number);
        }
    }

    fn visible(&mut self, number: u64) {
        let mut core = self.hub.lock();
        if let Some(message) = core.receive(number) {
            core.invoke(0, Task::Job(number, message.job));
        }
    }

    fn start(&mut self, id: Invocation) {
        if let Some(running) = invocation::start(&self.hub, id) {
            self.running.insert(id, running);
            self.hub.lock().after(GATEWAY_WAITS, Event::GiveUp(id));
            self.poll(id);
        }
    }

    /// A port call goes on, unless the function stands still or dies here.
    fn turn(&mut self, id: Invocation, timer: u64) {
        let mut core = self.hub.lock();
        let Some(frozen) = core.notes.get(&id).map(|n| n.frozen) else { return };
        if frozen > core.now {
            let ms = frozen - core.now;
            core.after(ms, Event::Turn(id, timer));
            return;
        }
        let timed_out = core.notes.get(&id).is_some_and(|n| n.dies <= core.now || core.is_over(n));
        if timed_out || core.strikes(Fault::Kill) {
            core.note(|| format!("#{id} is killed"));
            core.give_up(id);
            if let Some(task) = core.notes.get(&id).map(|n| n.task.clone()) {
                core.again(task);
            }
            core.is_unwell(id);
            drop(core);
            self.http_unanswered(id);
            self.running.remove(&id);
            self.hub.lock().notes.remove(&id);
            return;
        }
        if core.strikes(Fault::Freeze) {
            let ms = core.dice.magnitude(500, 600_000);
            core.note(|| format!("#{id} stands still for {ms} ms"));
            let until = core.now + ms;
            if let Some(notes) = core.notes.get_mut(&id) {
                notes.frozen = until;
            }
            core.after(ms, Event::Turn(id, timer));
            return;
        }
        if core.wake(timer) {
            drop(core);
            self.poll(id);
        }
    }

    fn poll(&mut self, id: Invocation) {
        let Some(running) = self.running.get_mut(&id) else { return };
        let mut context = Context::from_waker(Waker::noop());
        if let std::task::Poll::Ready(done) = running.as_mut().poll(&mut context) {
            self.running.remove(&id);
            self.ended(id, done);
        }
    }

    fn ended(&mut self, id: Invocation, done: Done) {
        let mut core = self.hub.lock();
        if let Some((number, asked)) = core.ended(id, done) {
            self.people.answered(&mut core, number, Some(&asked));
            if let Asked::Erased(user, None, erased) = &asked
                && erased.page.is_none()
            {
                for device in self.devices.iter_mut().filter(|d| d.user == *user) {
                    device.retire(&mut core);
                }
            }
        }
    }

    /// An HTTP caller hears nothing any more.
    fn http_unanswered(&mut self, id: Invocation) {
        let mut core = self.hub.lock();
        if let Some(Task::Http(number, _)) = core.notes.get(&id).map(|n| n.task.clone()) {
            self.people.answered(&mut core, number, None);
        }
    }

    /// Whether nothing goes wrong any more, and nobody begins anything.
    fn at_peace(&self) -> bool {
        self.people.peace
    }

    fn rests(&self) -> bool {
        let core = self.hub.lock();
        self.running.is_empty()
            && core.notes.is_empty()
            && core.queue.messages.is_empty()
            && self.people.waiting().next().is_none()
            && self.devices.iter().all(|d| d.under_way().is_empty())
    }

    /// The last things to ask of the devices before they are looked at: a sync, what lies before, and who is online.
    fn one_more_round(&mut self) -> bool {
        if self.people.rounds == 0 {
            return false;
        }
        self.people.rounds -= 1;
        let mut core = self.hub.lock();
        core.note(|| "at rest; once more".to_owned());
        let last = self.people.rounds == 0;
        if core.swept == 0 {
            core.sweep();
        }
        for device in self.devices.iter_mut().filter(|d| !d.retired) {
            // Once every sync has found its socket registered: who is online is asked last.
            if last {
                device.insist(&mut core, self.people.users.clone());
                continue;
            }
            let ids: Vec<String> = device.conversations.keys().cloned().collect();
            for of in ids {
                device.scroll(&mut core, &of);
            }
            device.sync(&mut core);
        }
        true
    }

    fn begin(&mut self) {
        let mut core = self.hub.lock();
        for device in &mut self.devices {
            if device.wanted {
                device.connect(&mut core);
            }
        }
    }
}

impl Core {
    /// A device asks for a socket.
    pub fn handshake(
        &mut self,
        device: usize,
        user: &petrel_core::ids::UserId,
        id: &petrel_core::ids::DeviceId,
    ) -> u64 {
        let number = self.fresh();
        let skew = if self.strikes(Fault::ClockSkew) { self.dice.below(2_000) } else { 0 };
        // Visible ASCII of fewer than 128 characters, by construction.
        let Ok(name) = ConnectionId::parse(&format!("{id}.{number}")) else { return number };
        let connection = Connection {
            user: user.clone(),
            device: id.clone(),
            id: name,
            connected_at: self.now + skew,
        };
        let socket = Socket { connection, device, phase: Phase::Connecting, half_open: false };
        self.gateway.add(number, socket);
        let ms = self.latency();
        self.invoke(ms, Task::Connect(number));
        number
    }
}
