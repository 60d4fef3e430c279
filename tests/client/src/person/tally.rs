//! What all people of a run have done together, to be looked at while it goes on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A number that many count on.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds so many.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes so many away.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long things took since one last looked.
#[derive(Debug, Default)]
pub struct Times {
    /// From a `send` to its `sent`; only of those that were sent once.
    pub sent: Vec<Duration>,
    /// From a `send` until another device had it by push.
    pub delivered: Vec<Duration>,
}

/// What all people have done together.
#[derive(Debug, Default)]
pub struct Tally {
    /// Messages written.
    pub composed: Count,
    /// Messages acknowledged.
    pub acknowledged: Count,
    /// Of these, those that were answered as a duplicate: an earlier answer was lost.
    pub duplicates: Count,
    /// Frames that were sent again.
    pub resent: Count,
    /// Entries that came to a device, each counted once a device.
    pub delivered: Count,
    /// Entries that came again, and were dropped.
    pub doubled: Count,
    /// Answers that said `busy`.
    pub busy: Count,
    /// Times that somebody had to prove by reading that a message was not there.
    pub recovered: Count,
    /// Sockets opened.
    pub connects: Count,
    /// Sends that wait for their answer now.
    pub pending: Count,
    /// Promises that were not kept, as far as people noticed themselves.
    pub broken: Count,
    /// People who write nothing new any more.
    pub draining: Count,
    times: Mutex<Times>,
}

impl Tally {
    pub(super) fn time(&self, add: impl FnOnce(&mut Times)) {
        add(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The times since this was asked last.
    pub fn take_times(&self) -> Times {
        std::mem::take(&mut self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
