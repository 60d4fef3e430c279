//! What all parts of a run share: the clock, the dice, the events to come, the truth, and the first rule that was
//! broken. One lock, one thread: it is never held across a scheduling point.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use petrel_core::ids::{ConnectionId, ConversationId, MediaId, UserId};
use petrel_core::limits::{Limits, Usage};
use petrel_core::services::Keeping;
use uuid::Uuid;

use crate::dice::Dice;
use crate::erasure::Erasure;
use crate::faults::{Fault, Faults, Path};
use crate::gateway::Gateway;
use crate::invocation::Notes;
use crate::ledger::{Ledger, Owed};
use crate::media::FileEvent;
use crate::mutants::Mutant;
use crate::phones::Phones;
use crate::queue::Queue;
use crate::truth::{Truth, Write};

/// When the runs begin, ms since 1970.
pub const EPOCH: u64 = 1_790_000_000_000;

/// Names an invocation of a function.
pub type Invocation = u64;

/// What happens next, and to whom.
#[derive(Debug)]
pub enum Event {
    /// A port call of an invocation goes on.
    Turn(Invocation, u64),
    /// An invocation begins.
    Start(Invocation),
    /// The gateway waits no longer for an invocation.
    GiveUp(Invocation),
    /// A frame reaches the device that holds this socket.
    Arrives(u64, Arc<serde_json::Value>),
    /// A frame of a device reaches the gateway.
    Received(u64, String),
    /// The handshake of a socket has succeeded or failed.
    Opened(u64, bool),
    /// The gateway closes a socket (two hours, ten minutes idle).
    Closes(u64),
    /// A device hears that its socket is closed.
    Closed(u64),
    /// The gateway calls `$disconnect`.
    Disconnects(u64),
    /// A timer of a device; an older generation was stopped.
    Timer(usize, crate::client::Timer, u64),
    /// A write that was thought lost has its effect. By whose request, and since when it is on its way, ms since 1970.
    Late(Box<Write>, Option<UserId>, u64),
    /// A job becomes visible.
    Visible(u64),
    /// A conversation's timer vanishes, and the stream tells of it.
    TimerGone(ConversationId),
    /// A device should have heard of an entry by now.
    Owed(Owed),
    /// A client's `PUT` reaches the bucket of files.
    FilePut(crate::media::Put),
    /// The time of an upload's row is over, unless it was put off.
    FileEnds(MediaId),
    /// An outage begins.
    Begins(Fault),
    /// An outage ends.
    Ends(Fault),
    /// Something that people do.
    Act,
    /// An HTTP request is sent, perhaps again.
    Request(usize),
}

/// A port call that waits.
struct Timer {
    due: bool,
    waker: Option<Waker>,
}

/// Everything but the running functions.
pub struct Core {
    /// Ms since 1970, by the clock on the wall.
    pub now: u64,
    /// One more with every effect: orders what happens in the same ms.
    pub moment: u64,
    /// The source of every choice.
    pub dice: Dice,
    /// What goes wrong.
    pub faults: Faults,
    /// What is stored.
    pub truth: Truth,
    /// The sockets.
    pub gateway: Gateway,
    /// The jobs.
    pub queue: Queue,
    /// The phones.
    pub phones: Phones,
    /// What was done to deliver each entry.
    pub ledger: Ledger,
    /// What is known of each running invocation.
    pub notes: BTreeMap<Invocation, Notes>,
    /// How much may be done in a while, in this run.
    pub limits: Limits,
    /// Whether events are told, in this run.
    pub webhook: bool,
    /// Whether people send files, in this run.
    pub files: bool,
    /// Whether someone scans them, in this run.
    pub scan: bool,
    /// What the media function was told in vain: an operator sends it again.
    pub failed_files: Vec<FileEvent>,
    /// Whether there is an operator, in this run.
    pub operator: bool,
    /// How long what lies where, in this run.
    pub keeping: Keeping,
    /// Whom an operator erases, or has erased.
    pub erasures: BTreeMap<UserId, Erasure>,
    /// Messages that their users sent once more, as nothing could say whether they stand already.
    pub retried: BTreeSet<String>,
    /// Since when nothing is begun any more and the archivers run for the last time, ms since 1970.
    pub swept: u64,
    /// The sockets that were known when a user was disabled. Others have lost their rows (displaced, or after a 410 that
    /// was no truth), and end by themselves.
    pub marked: BTreeMap<UserId, BTreeSet<ConnectionId>>,
    /// What was reported: the id of its event, and by whom.
    pub reported: BTreeMap<String, UserId>,
    /// Who is disabled, and was said to be cut off.
    pub cut_off: BTreeSet<UserId>,
    /// What users did of late: as if one environment ran every function.
    pub usage: Arc<Usage>,
    /// The broken variant that runs, if one does.
    pub mutant: Option<Mutant>,
    /// The first rule that was broken.
    pub broken: Option<String>,
    trace: Option<String>,
    events: BinaryHeap<Reverse<(u64, u64, u64)>>,
    waiting: BTreeMap<u64, Event>,
    timers: BTreeMap<u64, Timer>,
    next: u64,
}

impl Core {
    /// The world before anything has happened.
    pub fn new(dice: Dice, faults: Faults, mutant: Option<Mutant>, traced: bool) -> Self {
        Self {
            now: EPOCH,
            moment: 0,
            dice,
            faults,
            truth: Truth::default(),
            gateway: Gateway::default(),
            queue: Queue::default(),
            phones: Phones::default(),
            ledger: Ledger::new(),
            notes: BTreeMap::new(),
            limits: Limits::OFF,
            webhook: false,
            files: false,
            scan: false,
            failed_files: vec![],
            operator: false,
            keeping: crate::cold::KEEPING,
            erasures: BTreeMap::new(),
            retried: BTreeSet::new(),
            swept: 0,
            cut_off: BTreeSet::new(),
            marked: BTreeMap::new(),
            reported: BTreeMap::new(),
            usage: Arc::default(),
            mutant,
            broken: None,
            trace: traced.then(String::new),
            events: BinaryHeap::new(),
            waiting: BTreeMap::new(),
            timers: BTreeMap::new(),
            next: 0,
        }
    }

    /// A number that was not given before.
    pub fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Lets something happen after so many ms; what falls on the same ms comes in any order.
    pub fn after(&mut self, ms: u64, event: Event) {
        let (id, tie) = (self.fresh(), self.dice.next());
        self.events.push(Reverse((self.now + ms, tie, id)));
        self.waiting.insert(id, event);
    }

    /// The next event; the clock moves to it.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let Reverse((at, _, id)) = self.events.pop()?;
            self.now = self.now.max(at);
            if let Some(event) = self.waiting.remove(&id) {
                return Some(event);
            }
        }
    }

    /// How long a step of a call takes, ms: mostly next to nothing.
    pub fn latency(&mut self) -> u64 {
        match self.dice.below(100) {
            0..70 => self.dice.below(4),
            70..95 => self.dice.between(3, 40),
            _ => self.dice.between(40, 400),
        }
    }

    /// Whether a fault strikes now.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let strikes = self.faults.strikes(&mut self.dice, fault);
        if strikes {
            self.note(|| format!("   fault: {}", fault.name()));
        }
        strikes
    }

    /// Counts a path.
    pub fn passed(&mut self, path: Path) {
        self.faults.counts.paths[path as usize] += 1;
    }

    /// Whether this broken variant runs.
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    /// Writes a line into the trace, if there is one.
    pub fn note(&mut self, line: impl FnOnce() -> String) {
        let ms = self.now - EPOCH;
        if let Some(trace) = &mut self.trace {
            let (s, ms) = (ms / 1_000, ms % 1_000);
            let _ = writeln!(
                trace,
                "{:>3}:{:02}:{:02}.{ms:03}  {}",
                s / 3600,
                s / 60 % 60,
                s % 60,
                line()
            );
        }
    }

    /// A rule is broken; the first one counts.
    pub fn broke(&mut self, rule: String) {
        if self.broken.is_none() {
            self.note(|| format!("BROKEN: {rule}"));
            self.broken = Some(rule);
        }
    }

    /// Notes it if a rule is broken.
    pub fn must(&mut self, held: Result<(), String>) {
        if let Err(rule) = held {
            self.broke(rule);
        }
    }

    /// A UUIDv7 of this moment.
    pub fn uuid(&mut self) -> Uuid {
        let random = u128::from(self.dice.next()) << 64 | u128::from(self.dice.next());
        let low = random & 0x0fff_3fff_ffff_ffff_ffff;
        Uuid::from_u128(u128::from(self.now) << 80 | 0x7000_8000_0000_0000_0000 | low)
    }

    /// Wakes the port call that waits for this timer; `false` if it is gone.
    pub fn wake(&mut self, timer: u64) -> bool {
        let Some(timer) = self.timers.get_mut(&timer) else { return false };
        timer.due = true;
        if let Some(waker) = timer.waker.take() {
            waker.wake();
        }
        true
    }

    /// The trace up to here.
    pub fn take_trace(&mut self) -> String {
        self.trace.take().unwrap_or_default()
    }
}

/// The shared core.
pub struct Hub(Mutex<Core>);

impl Hub {
    /// Shares it.
    pub fn new(core: Core) -> Arc<Self> {
        Arc::new(Self(Mutex::new(core)))
    }

    /// There is one thread, so this never waits.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A scheduling point of an invocation, which lasts at least so many ms.
    pub fn turn(self: &Arc<Self>, invocation: Invocation, ms: u64) -> Turn {
        let mut core = self.lock();
        let id = core.fresh();
        core.timers.insert(id, Timer { due: false, waker: None });
        core.after(ms, Event::Turn(invocation, id));
        drop(core);
        Turn { hub: self.clone(), id }
    }
}

/// Ready once its event has come.
pub struct Turn {
    hub: Arc<Hub>,
    id: u64,
}

impl Future for Turn {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut core = self.hub.lock();
        match core.timers.get_mut(&self.id) {
            Some(timer) if !timer.due => {
                timer.waker = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.hub.lock().timers.remove(&self.id);
    }
}
