//! Someone with one device who keeps to docs/protocol.md on his own: connects again, syncs, sends again what was not
//! answered, acks. What he was told and what he holds is what a run is judged by.

mod books;
mod sending;
mod syncing;
mod tally;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub use self::books::{Acknowledged, Composed, Held};
use self::sending::Pending;
use self::syncing::Syncing;
pub use self::tally::{Tally, Times};
use crate::client::{Error, PATIENCE};
use crate::{Client, Incoming, Log, Login, Outgoing};

/// Nothing came for so long although something was asked: the socket may be dead.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest pause before the second try to connect; it doubles.
const BACKOFF: Duration = Duration::from_millis(50);
/// Most doublings.
const DOUBLINGS: u32 = 5;

/// What everyone is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Write and read.
    #[default]
    Write,
    /// Write nothing new; what was written goes on being sent until it is answered.
    Drain,
    /// Read what is there, and leave.
    Settle,
}

/// What everyone knows of the run.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Where sockets open; nowhere while there is no server.
    pub url: Option<String>,
    /// What to do.
    pub phase: Phase,
}

/// How someone writes.
#[derive(Clone, Debug)]
pub struct Habits {
    /// Where; any of them at any time.
    pub conversations: Vec<Arc<str>>,
    /// Between one frame and the next.
    pub pause: Range<Duration>,
    /// Most messages in a frame.
    pub most: usize,
    /// Bytes of a text, at least.
    pub bytes: usize,
    /// Leaves and comes back after about so long, as phones do.
    pub stays: Option<Duration>,
}

/// Someone with one device.
#[derive(Debug)]
pub struct Person {
    /// Who.
    pub user: String,
    token: String,
    habits: Habits,
    rng: Rng,
    tally: Arc<Tally>,
    phase: Phase,
    logs: BTreeMap<Arc<str>, Log<Held>>,
    outbox: BTreeMap<Arc<str>, Pending>,
    acked: BTreeMap<Arc<str>, u64>,
    syncing: Option<Syncing>,
    sync_at: Option<Instant>,
    ack_at: Option<Instant>,
    write_at: Instant,
    leave_at: Option<Instant>,
    /// When something was asked of this socket that was not answered by anything yet.
    asked_at: Option<Instant>,
    settled: bool,
    /// Everything that was written, in order.
    pub composed: Vec<Composed>,
    /// Everything that was acknowledged.
    pub acknowledged: Vec<Acknowledged>,
    /// Every way in which the server broke a promise to him.
    pub problems: Vec<String>,
}

impl Person {
    /// Someone who holds nothing. `seed` is all that his choices depend on.
    pub fn new(user: &str, token: String, habits: Habits, seed: u64, tally: Arc<Tally>) -> Self {
        Self {
            user: user.to_owned(),
            token,
            habits,
            rng: Rng::with_seed(seed),
            tally,
            phase: Phase::Write,
            logs: BTreeMap::new(),
            outbox: BTreeMap::new(),
            acked: BTreeMap::new(),
            syncing: None,
            sync_at: None,
            ack_at: None,
            write_at: Instant::now(),
            leave_at: None,
            asked_at: None,
            settled: false,
            composed: vec![],
            acknowledged: vec![],
            problems: vec![],
        }
    }

    /// What he holds of each conversation.
    pub fn logs(&self) -> impl Iterator<Item = (&str, &Log<Held>)> {
        self.logs.iter().map(|(id, log)| (&**id, log))
    }

    /// Lives until the run is over: everything he wrote is answered, and everything that is there is held.
    pub async fn live(mut self, mut world: watch::Receiver<World>) -> Self {
        let mut failures = 0;
        while !self.settled {
            let url = {
                let now = world.borrow_and_update();
                self.enter(now.phase);
                now.url.clone()
            };
            let Some(url) = url else {
                if world.changed().await.is_err() {
                    break;
                }
                continue;
            };
            let login = Login::new(&url, &self.token).device("fire");
            match timeout(PATIENCE, Client::connect(&login)).await {
                Ok(Ok(client)) => {
                    failures = 0;
                    self.tally.connects.add(1);
                    let (outgoing, incoming) = client.split();
                    if self.session(outgoing, incoming, &mut world).await.is_none() {
                        break;
                    }
                }
                Ok(Err(Error::Refused { status: 503, body })) => {
                    self.told_busy(&body);
                    failures += 1;
                }
                Ok(Err(Error::Refused { status, body })) => {
                    self.broke(format!("{} got no socket: {status} {body}", self.user));
                    break;
                }
                _ => failures += 1,
            }
            let most = BACKOFF * 2_u32.pow(failures.min(DOUBLINGS));
            sleep(self.between(Duration::ZERO..most)).await;
        }
        self
    }

    fn enter(&mut self, phase: Phase) {
        if self.phase < Phase::Drain && phase >= Phase::Drain {
            self.tally.draining.add(1);
        }
        if self.phase < Phase::Settle && phase == Phase::Settle {
            // What is under way was asked before.
            self.syncing = None;
            self.sync_at = Some(Instant::now());
        }
        self.phase = phase;
    }

    /// The server has not kept a promise.
    fn broke(&mut self, how: String) {
        self.tally.broken.add(1);
        self.problems.push(how);
    }

    /// The server has too much to do, and must say when to come again.
    fn told_busy(&mut self, error: &Value) {
        self.tally.busy.add(1);
        if !error["retry_after_ms"].is_u64() {
            self.broke(format!("{}: busy, without saying until when: {error}", self.user));
        }
    }

    fn between(&mut self, range: Range<Duration>) -> Duration {
        range.start + (range.end - range.start).mul_f64(self.rng.f64())
    }

    /// One socket, until it ends, or he leaves it. `None` when nobody leads the run any more.
    async fn session(
        &mut self,
        mut outgoing: Outgoing,
        mut incoming: Incoming,
        world: &mut watch::Receiver<World>,
    ) -> Option<()> {
        let now = Instant::now();
        self.syncing = None;
        self.sync_at = Some(now);
        self.asked_at = None;
        self.ack_at = None;
        let pause = self.between(self.habits.pause.clone());
        self.write_at = now + pause;
        self.leave_at = self.habits.stays.map(|stay| now + self.between(stay / 2..stay * 2));
        self.outbox.values_mut().for_each(|pending| pending.again_at = Some(now));
        loop {
            for frame in self.due(Instant::now()) {
                self.asked_at.get_or_insert_with(Instant::now);
                match timeout(SILENCE, outgoing.send(&frame)).await {
                    Ok(Ok(())) => {}
                    _ => return Some(()),
                }
            }
            let leaves = self.leave_at.is_some_and(|at| at <= Instant::now());
            if self.settled || leaves {
                leave(outgoing, incoming).await;
                return Some(());
            }
            if self.asked_at.is_some_and(|at| at.elapsed() > SILENCE) {
                return Some(());
            }
            tokio::select! {
                frame = incoming.next() => match frame {
                    Ok(frame) => {
                        self.asked_at = None;
                        self.takes(&frame);
                    }
                    Err(Error::Closed { code: 1007, reason }) => {
                        self.broke(format!("{}: {reason}", self.user));
                        return Some(());
                    }
                    Err(_) => return Some(()),
                },
                () = sleep_until(self.next_due()) => {}
                changed = world.changed() => {
                    changed.ok()?;
                    let phase = world.borrow_and_update().phase;
                    self.enter(phase);
                }
            }
        }
    }

    /// The frames whose time has come.
    fn due(&mut self, now: Instant) -> Vec<Value> {
        let mut frames = vec![];
        frames.extend(self.sync_due(now));
        frames.extend(self.acks_due(now));
        if self.phase == Phase::Write && self.write_at <= now {
            self.compose(now);
        }
        frames.extend(self.sends_due(now));
        frames
    }

    fn next_due(&self) -> Instant {
        let writes = (self.phase == Phase::Write).then_some(self.write_at);
        let silent = self.asked_at.map(|at| at + SILENCE);
        let sends = self.outbox.values().filter_map(|p| p.again_at).min();
        let all = [self.sync_at, self.ack_at, self.leave_at, writes, silent, sends];
        let never = Instant::now() + Duration::from_secs(60);
        all.into_iter().flatten().min().unwrap_or(never)
    }

    /// A frame has come.
    fn takes(&mut self, frame: &Value) {
        match frame["type"].as_str() {
            Some("message") => self.take(frame, frame, true),
            Some("batch") => {
                for entry in frame["messages"].as_array().into_iter().flatten() {
                    self.take(frame, entry, false);
                }
            }
            Some("sent") => self.sent(frame),
            Some("synced") => self.synced(frame),
            Some("error") => self.error(frame),
            Some(_) => {}
            // The gateway's own: what is pending goes again.
            None => {
                let now = Instant::now();
                self.outbox.values_mut().for_each(|p| p.again_at = Some(now));
                self.syncing = None;
                self.sync_at = Some(now);
            }
        }
    }

    fn error(&mut self, error: &Value) {
        let wait = error["retry_after_ms"].as_u64();
        let again = Instant::now() + Duration::from_millis(wait.unwrap_or(500));
        if error["code"] == "busy" {
            self.told_busy(error);
        }
        match (error["action"].as_str(), error["code"].as_str()) {
            (Some("send"), _) => self.refused(error),
            (Some("sync"), Some("busy" | "rate_limited")) => {
                self.syncing = None;
                self.sync_at = Some(again);
            }
            (Some("ack"), Some("busy" | "rate_limited")) => {
                self.acked.clear();
                self.ack_at = Some(again);
            }
            _ => self.broke(format!("{} was refused: {error}", self.user)),
        }
    }
}

/// Closes a socket as one should, and waits for the server to agree.
async fn leave(mut outgoing: Outgoing, mut incoming: Incoming) {
    use crate::tungstenite::Message;
    let goodbye = async {
        let _ = outgoing.send_raw(Message::Close(None)).await;
        while incoming.next_text().await.is_ok() {}
    };
    let _ = timeout(Duration::from_secs(5), goodbye).await;
}
