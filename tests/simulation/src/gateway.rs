//! The gateway as API Gateway is: sockets that open when `$connect` has returned, posts that get lost, doubled and
//! reordered, a `$disconnect` that is best effort.

use std::collections::BTreeMap;
use std::sync::Arc;

use petrel_core::ids::{ConnectionId, UserId};
use petrel_core::ports::{Connection, Posted};
use serde_json::Value;

use crate::core::{Core, Event, Invocation};
use crate::faults::{Fault, Path};

/// A socket ends after two hours, ms.
pub const TWO_HOURS: u64 = 2 * 3_600_000;

/// How far a socket is, as the gateway sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `$connect` has not returned.
    Connecting,
    /// It takes frames.
    Open,
    /// It is no more.
    Closed,
}

/// One socket.
#[derive(Clone, Debug)]
pub struct Socket {
    /// As the functions are told of it.
    pub connection: Connection,
    /// Which device opened it.
    pub device: usize,
    /// How far it is.
    pub phase: Phase,
    /// Whether the device is gone and the gateway does not know.
    pub half_open: bool,
}

/// All sockets there ever were, by number.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    /// By number.
    pub sockets: BTreeMap<u64, Socket>,
    numbers: BTreeMap<ConnectionId, u64>,
}

impl Gateway {
    /// A handshake begins.
    pub fn add(&mut self, number: u64, socket: Socket) {
        self.numbers.insert(socket.connection.id.clone(), number);
        self.sockets.insert(number, socket);
    }

    /// The socket with this id.
    pub fn find(&self, id: &ConnectionId) -> Option<(u64, &Socket)> {
        let number = *self.numbers.get(id)?;
        Some((number, self.sockets.get(&number)?))
    }

    /// Whether it takes frames.
    pub fn is_open(&self, number: u64) -> bool {
        self.sockets.get(&number).is_some_and(|s| s.phase == Phase::Open)
    }

    /// Whether a later socket of the same device has taken its place: it is known no more, and ends by itself.
    pub fn is_displaced(&self, socket: &Socket) -> bool {
        let connection = &socket.connection;
        let later = |o: &Socket| {
            o.device == socket.device
                && o.connection.id != connection.id
                && o.connection.connected_at >= connection.connected_at
        };
        self.sockets.values().any(later)
    }

    /// Whether the socket is connecting, or open and younger than this.
    pub fn is_fresh(&self, id: &ConnectionId, now: u64, young_ms: u64) -> bool {
        self.find(id).is_some_and(|(_, s)| {
            s.phase != Phase::Closed && now.saturating_sub(s.connection.connected_at) < young_ms
        })
    }
}

impl Core {
    /// A frame for a connection.
    pub fn post(&mut self, by: Invocation, to: &ConnectionId, frame: &str) -> Posted {
        self.moment += 1;
        let frame: Arc<Value> = Arc::new(serde_json::from_str(frame).unwrap_or_default());
        let Some((number, socket)) = self.gateway.find(to) else {
            self.broke(format!("a post to {to}, which never was"));
            return Posted::Gone;
        };
        let (phase, half_open) = (socket.phase, socket.half_open);
        let connection = socket.connection.clone();
        self.must_read(&connection.user, &frame, Some(by));
        let posted = self.outcome(number, phase, half_open, &frame);
        self.note(|| format!("#{by} post to {to}: {posted:?} {}", brief(&frame)));
        self.attempted(by, &connection, &frame, posted);
        // A socket whose place another took before is not known to whoever disables its user.
        let known = self.marked.get(&connection.user).is_some_and(|ids| ids.contains(to));
        if posted == Posted::Accepted && known && self.cut_off.contains(&connection.user) {
            self.broke(format!("{} is cut off, and was sent {}", connection.user, brief(&frame)));
        }
        posted
    }

    /// An operator is told that a user is cut off: no socket of his is open, and as long as he is disabled none is.
    pub fn must_be_cut_off(&mut self, by: Invocation, user: &UserId) {
        // Enabled meanwhile: then nothing holds any more, also if somebody has disabled him again.
        let began = self.notes.get(&by).map_or(0, |n| n.began);
        let enabled = self.truth.disabled_until.get(user).is_some_and(|until| *until > began);
        if enabled || !self.truth.disabled.contains_key(user) {
            return;
        }
        let known =
            |s: &Socket| self.marked.get(user).is_some_and(|ids| ids.contains(&s.connection.id));
        let open = |s: &&Socket| s.connection.user == *user && s.phase == Phase::Open && known(s);
        let open = self.gateway.sockets.values().find(open).map(|s| s.connection.id.clone());
        match open {
            Some(id) => self.broke(format!("{user} is said to be cut off, and {id} is open")),
            None => {
                self.cut_off.insert(user.clone());
            }
        }
    }

    fn outcome(
        &mut self,
        number: u64,
        phase: Phase,
        half_open: bool,
        frame: &Arc<Value>,
    ) -> Posted {
        if self.faults.is_out(Fault::GatewayOverload) && self.dice.percent(90) {
            return Posted::Later;
        }
        if self.strikes(Fault::PostLater) {
            return Posted::Later;
        }
        match phase {
            Phase::Connecting => {
                self.passed(Path::Connecting);
                return Posted::Gone;
            }
            Phase::Closed => {
                self.passed(Path::Gone);
                return Posted::Gone;
            }
            Phase::Open => {}
        }
        if self.strikes(Fault::PostGone) {
            self.passed(Path::Gone);
            return Posted::Gone;
        }
        let lost = half_open || self.strikes(Fault::PostLost);
        if !lost {
            let copies = 1 + u64::from(self.strikes(Fault::PostDoubled));
            for _ in 0..copies {
                let slow = self.strikes(Fault::PostDelayed);
                let ms = if slow { self.dice.magnitude(50, 20_000) } else { self.latency() };
                self.after(ms, Event::Arrives(number, frame.clone()));
            }
            if self.strikes(Fault::PostLaterDone) {
                return Posted::Later;
            }
        }
        Posted::Accepted
    }

    /// An operator closes a connection.
    pub fn close_by_hand(&mut self, by: Invocation, id: &ConnectionId) -> Posted {
        self.moment += 1;
        let closed = self.close_one(by, id);
        if closed != Posted::Accepted
            && let Some(notes) = self.notes.get_mut(&by)
        {
            // It may be open, or open yet.
            notes.refused = true;
        }
        closed
    }

    fn close_one(&mut self, by: Invocation, id: &ConnectionId) -> Posted {
        if self.strikes(Fault::CloseRefused) || self.faults.is_out(Fault::GatewayOverload) {
            return Posted::Later;
        }
        let Some((number, socket)) = self.gateway.find(id) else { return Posted::Gone };
        let (phase, user) = (socket.phase, socket.connection.user.clone());
        self.note(|| format!("#{by} closes {id}, which is {phase:?}"));
        if phase != Phase::Open {
            return Posted::Gone;
        }
        self.passed(Path::Cut);
        if self.erasures.contains_key(&user) && self.strikes(Fault::LastWords) {
            self.last_words(number, &user);
        }
        self.close(number);
        let ms = self.latency();
        self.after(ms, Event::Closed(number));
        Posted::Accepted
    }

    /// The gateway's side of a socket ends. `$disconnect` follows, if nothing comes between.
    pub fn close(&mut self, number: u64) {
        let Some(socket) = self.gateway.sockets.get_mut(&number) else { return };
        if socket.phase == Phase::Closed {
            return;
        }
        let was_open = socket.phase == Phase::Open;
        socket.phase = Phase::Closed;
        if !was_open || self.strikes(Fault::DisconnectMissing) {
            return;
        }
        let late = self.strikes(Fault::DisconnectLate);
        let ms = if late { self.dice.magnitude(1_000, 600_000) } else { self.latency() };
        self.after(ms, Event::Disconnects(number));
    }
}

/// A frame in a few words.
pub fn brief(frame: &Value) -> String {
    let mut text = frame.to_string();
    if let Some((end, _)) = text.char_indices().nth(160) {
        text.truncate(end);
    }
    text
}
