//! Many runs, on several threads, each with a scheduler of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::faults::Counts;
use crate::run::{Options, run};

/// Runs that broke a rule, after which there is no need for more.
const ENOUGH: usize = 10;

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// What happened, in all of them.
    pub counts: Counts,
    /// The seeds that broke a rule, and which.
    pub broken: Vec<(u64, String)>,
}

/// Runs so many seeds, and calls `each` after every one of them. Ends early when enough are broken.
pub fn many(
    from: u64,
    seeds: u64,
    threads: u64,
    options: &Options,
    each: &(impl Fn(&Total) + Sync),
) -> Total {
    let next = AtomicU64::new(from);
    let stop = AtomicBool::new(false);
    let total = Mutex::new(Total::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + seeds {
                        return;
                    }
                    let outcome = run(seed, options);
                    // Only a panic of `each` could have poisoned it.
                    let Ok(mut total) = total.lock() else { return };
                    total.counts.add(&outcome.counts);
                    total.broken.extend(outcome.broken.map(|rule| (seed, rule)));
                    each(&total);
                    if total.broken.len() >= ENOUGH {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    total.into_inner().unwrap_or_default()
}
