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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_when_there_are_as_many_is_told_when_to_come_again_and_a_place_that_is_left_is_free()
     {
        let admission = Admission::new(2);
        let first = admission.admit().unwrap();
        let second = admission.admit().unwrap();
        for turned_away in 1..=50 {
            let busy = admission.admit().unwrap_err();
            assert_eq!(busy.kind, ErrorKind::Busy);
            assert!(busy.retry_after_ms.is_some_and(|ms| RETRY_AFTER_MS.contains(&ms)), "{busy:?}");
            assert_eq!((admission.under_way(), admission.refused()), (2, turned_away));
        }
        drop(first);
        assert_eq!(admission.under_way(), 1);
        let third = admission.admit().unwrap();
        assert!(admission.admit().is_err());
        drop((second, third));
        assert_eq!((admission.under_way(), admission.refused()), (0, 51));
    }
}
