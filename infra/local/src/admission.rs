//! How many invocations may be under way at the same time, as Lambda's concurrency bounds them on AWS. Who comes when
//! there are as many is told to come again: a queue that nobody bounds takes memory, and answers when nobody waits any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use petrel_core::{Error, ErrorKind};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// When to come again, ms: not all at the same moment.
const RETRY_AFTER_MS: std::ops::Range<u64> = 500..1_500;

/// The bound, and who was turned away.
#[derive(Debug)]
pub struct Admission {
    limit: usize,
    free: Arc<Semaphore>,
    refused: AtomicU64,
}

impl Admission {
    /// So many at the same time.
    pub fn new(limit: usize) -> Self {
        Self { limit, free: Arc::new(Semaphore::new(limit)), refused: AtomicU64::new(0) }
    }

    /// Lets an invocation begin; it is over when the permit goes.
    pub fn admit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.free.clone().try_acquire_owned().map_err(|_| {
            self.refused.fetch_add(1, Ordering::Relaxed);
            let words = "the server is busy; send the same again";
            let retry_after_ms = Some(fastrand::u64(RETRY_AFTER_MS));
            Error { retry_after_ms, ..Error::new(ErrorKind::Busy, words) }
        })
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.limit - self.free.available_permits()
    }

    /// How many were turned away since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}
